"""The features of items, by modality."""

from collections.abc import Sequence

import scipy.fft
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, PRESENT_PREFIX, modalities

VISUAL = ('visual', 'image')
TRANSFORMS = ('1d', '2d', 'none')


def feature_name(data: HeteroData, modality: str) -> str | None:
    """The name of the features that go with a modality: its own or, beside a frozen neighbour
    graph, the first that is derived from it (``image_spectral``); ``None`` without any."""
    known = modalities(data)
    if modality in known:
        return modality
    return next((name for name in known if name.startswith(f'{modality}_')), None)


def item_features(data: HeteroData, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    r"""Features of the items by modality, each :math:`(I, d_m)` float32, with zeros where
    ``has_<name>`` is False; which those are says :func:`feature_name`.

    Args:
        data: The graph; no edge is read.
        names: Modalities to take, in this order; all, sorted, if omitted.

    Raises:
        GraphError: If there is no such modality, or none at all.
    """
    known = modalities(data)
    chosen = known if names is None else list(names)
    if not chosen:
        raise GraphError(
            "the items have no features; give data['item'] a tensor 'x_<modality>' of shape "
            '[items, d], one row an item'
        )
    features = {}
    for name in chosen:
        stored = feature_name(data, name)
        if stored is None:
            raise GraphError(f"'modalities' names {name!r}, but the items have features of {known}")
        x = data[ITEM][f'{FEATURE_PREFIX}{stored}'].detach().float()
        present = data[ITEM].get(f'{PRESENT_PREFIX}{stored}')
        features[name] = x if present is None else x * present.unsqueeze(1).to(x)
    return features


def check_modalities(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of modalities as a tuple, each of them once."""
    if names is None:
        return None
    if isinstance(names, str) or not names or len(set(names)) != len(names):
        raise GraphError(
            f"'modalities' needs to be a list of different names, or None for all (got {names!r})"
        )
    return tuple(names)


def cosine_transform(x: Tensor, kind: str) -> Tensor:
    r"""The orthonormal discrete cosine transform of type II of features :math:`(I, d)`: along
    the features (``'1d'``), along both axes (``'2d'``), or the features as they are
    (``'none'``)."""
    if kind == 'none':
        return x
    axes = (1,) if kind == '1d' else (0, 1)
    out = scipy.fft.dctn(x.cpu().numpy(), type=2, norm='ortho', axes=axes)
    return torch.from_numpy(out).to(x)


def visual_weights(names: Sequence[str], share: float) -> list[float]:
    """Weights of modalities, of sum 1: :obj:`share` for the visual one, the rest evenly for
    the others; even ones where there is no visual one or nothing else."""
    visual = [name in VISUAL for name in names]
    if not any(visual) or all(visual):
        return [1 / len(names)] * len(names)
    seen = sum(visual)
    return [share / seen if v else (1 - share) / (len(names) - seen) for v in visual]
