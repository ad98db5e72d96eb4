"""What models with item features share: the features, seeded layers, unknown users."""

from collections.abc import Sequence

import scipy.fft
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.operators import Polynomial
from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, PRESENT_PREFIX, modalities
from graphrec.graphs.sparse import Sparse

VISUAL = ('visual', 'image')
TRANSFORMS = ('1d', '2d', 'none')


def item_features(data: HeteroData, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    r"""Features of the items by modality, each :math:`(I, d_m)` float32, with zeros where
    ``has_<modality>`` is False.

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
        if name not in known:
            raise GraphError(f"'modalities' names {name!r}, but the items have features of {known}")
        x = data[ITEM][f'{FEATURE_PREFIX}{name}'].detach().float()
        present = data[ITEM].get(f'{PRESENT_PREFIX}{name}')
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


@torch.no_grad()
def xavier_(table: Tensor, generator: torch.Generator, normal: bool = False) -> None:
    r"""Fills a table :math:`(n, d)` with numbers of variance :math:`2 / (n + d)` (Glorot and
    Bengio, AISTATS 2010), uniform or normal, the same ones on every device."""
    scale = (2 / sum(table.shape)) ** 0.5
    if normal:
        table.copy_(torch.randn(table.shape, generator=generator) * scale)
    else:
        table.copy_((torch.rand(table.shape, generator=generator) * 2 - 1) * scale * 3**0.5)


@torch.no_grad()
def fan_in_(linear: torch.nn.Linear, generator: torch.Generator) -> None:
    r"""Torch's own draw of a linear layer, :math:`\pm 1 / \sqrt{d_{in}}`, from a generator."""
    for parameter in linear.parameters():
        draw = torch.rand(parameter.shape, generator=generator) * 2 - 1
        parameter.copy_(draw / linear.in_features**0.5)


@torch.no_grad()
def history_vectors(
    histories: Sequence[Tensor], x: Tensor, propagation: Polynomial, num_users: int
) -> Tensor:
    r"""Vectors :math:`(n, d)` of people outside the graph, each an item list :math:`H`, once
    their node is attached to a trained graph that stays as it is,

    .. math::
        \mathbf{z}_u = \sum_{l=1}^{L} a_l \sum_{i \in H} \frac{1}{\sqrt{|H| d_i}}
        (\hat{\mathbf{A}}^{l-1} \mathbf{X})_i

    with :math:`\mathbf{x}_u = \mathbf{0}`; without layers the sum takes :math:`a_1 = 1`.

    Args:
        histories: Item numbers of each of them.
        x: :math:`\mathbf{X}`, shape :math:`(U + I, d)`, users first.
        propagation: :math:`\sum_l a_l \hat{\mathbf{A}}^l`.
        num_users: :math:`U`.
    """
    adjacency, weights = propagation.op, propagation.coefficients[1:] or [1.0]
    assert isinstance(adjacency, Sparse)
    table = Polynomial(adjacency, weights) @ x
    degree = adjacency.rowptr.diff().clamp(min=1).to(table)
    table = (table * degree.rsqrt().unsqueeze(1))[num_users:]
    rows = [table[items.long()].sum(0) / max(items.numel(), 1) ** 0.5 for items in histories]
    return torch.stack(rows) if rows else table.new_zeros(0, table.size(1))


def cosine_transform(x: Tensor, kind: str) -> Tensor:
    r"""The orthonormal discrete cosine transform of type II of features :math:`(I, d)`: along
    the features (``'1d'``), along both axes (``'2d'``), or the features as they are
    (``'none'``)."""
    if kind == 'none':
        return x
    axes = (1,) if kind == '1d' else (0, 1)
    out = scipy.fft.dctn(x.cpu().numpy(), type=2, norm='ortho', axes=axes)
    return torch.from_numpy(out).to(x)


def modality_weights(names: list[str], visual_weight: float) -> list[float]:
    """Weights, of sum 1, of the graphs of modalities: :obj:`visual_weight` for the one named
    ``visual`` or ``image``, the same for each of the rest. One alone weighs 1."""
    visual = [name for name in names if name in VISUAL]
    if len(visual) != 1 or len(names) == 1:
        return [1 / len(names)] * len(names)
    rest = (1 - visual_weight) / (len(names) - 1)
    return [visual_weight if name in VISUAL else rest for name in names]
