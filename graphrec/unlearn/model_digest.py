"""SHA-256 of a model."""

import dataclasses
import hashlib
import json

import torch

from graphrec.models.recommender import Recommender


def model_digest(model: Recommender) -> str:
    """SHA-256 (hex) over the class, the settings, the training edges that the model stands
    for, and every parameter and buffer: equal for models that were saved and loaded."""
    settings = json.dumps(dataclasses.asdict(model.config), sort_keys=True, default=str)
    digest = hashlib.sha256()
    for text in (type(model).__name__, settings, str(model.training_digest)):
        digest.update(len(text).to_bytes(8, 'little') + text.encode())
    for name, tensor in sorted(model.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)};'.encode())
        digest.update(value.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
