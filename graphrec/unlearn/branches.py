"""Which parameters of a model belong to one modality."""

from collections.abc import Mapping

import torch

from graphrec.errors import GraphError
from graphrec.models.recommender import Recommender


def branch_factors(
    model: Recommender, scale: Mapping[str, float]
) -> dict[torch.nn.Parameter, float]:
    """A factor for the gradient of every parameter that the model names after a modality
    (``projection.visual.weight``, ``x_visual``).

    Args:
        model: A multimodal model.
        scale: Factor by modality; 1 for one that is left out.

    Raises:
        GraphError: If no parameter is named after a modality.
    """
    found: dict[torch.nn.Parameter, float] = {}
    for modality, factor in scale.items():
        named = [
            parameter
            for name, parameter in model.named_parameters()
            if {modality, f'x_{modality}'} & set(name.split('.'))
        ]
        if not named:
            raise GraphError(
                f"'branch_scale' names the modality {modality!r}, but no parameter of "
                f'{type(model).__name__} belongs to it alone'
            )
        found |= dict.fromkeys(named, float(factor))
    return found
