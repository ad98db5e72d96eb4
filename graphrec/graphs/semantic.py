"""Semantic item graphs: the items that look, read or sound most alike."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.knn import check_k, nearest_neighbours
from graphrec.graphs.neighbours import NeighbourGraph
from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, PRESENT_PREFIX, modalities, num_items

__all__ = [
    'NeighbourGraph',
    'frozen_graph',
    'frozen_modalities',
    'semantic_graph',
    'semantic_modalities',
]

SOURCES = ('auto', 'features', 'frozen')
_PREFIX, _INDEX, _SIMILARITY = 'knn_', '_index', '_similarity'


def semantic_graph(
    data: HeteroData,
    modality: str,
    k: int = 10,
    *,
    self_loops: bool = True,
    source: str = 'auto',
    backend: str = 'exact',
) -> NeighbourGraph:
    r"""The :math:`k` items nearest to every item in one modality, by the cosine of its
    features (:func:`~graphrec.graphs.knn.nearest_neighbours`) or as a frozen graph states
    them (:func:`frozen_graph`).

    An item without the modality (``has_<modality>`` False, or a row of zeros) is nobody's
    neighbour; its own row holds itself with :obj:`self_loops` and nothing without.

    Args:
        data: The graph; features only, no edge is read.
        modality: Its name, ``'visual'`` for ``data['item'].x_visual`` or
            ``data['item'].knn_visual_index``.
        k: Neighbours of an item, itself counted with :obj:`self_loops`.
        self_loops: Whether an item is its own first neighbour or never one.
        source: ``'features'``, ``'frozen'``, or ``'auto'``: features where there are any,
            since they follow an edit.
        backend: Of the search in features: ``'exact'`` or ``'faiss'``.

    Raises:
        GraphError: If the modality has no such source, or :obj:`k` is out of range.
    """
    if source not in SOURCES:
        raise GraphError(f"'source' must be one of {SOURCES} (got {source!r})")
    name = f'{FEATURE_PREFIX}{modality}'
    if source == 'frozen' or (source == 'auto' and name not in data[ITEM]):
        return frozen_graph(data, modality, k, self_loops=self_loops)
    if name not in data[ITEM]:
        raise _unknown(data, modality)
    present = data[ITEM].get(f'{PRESENT_PREFIX}{modality}')
    return nearest_neighbours(
        data[ITEM][name], k, self_loops=self_loops, present=present, backend=backend
    )


def frozen_graph(
    data: HeteroData, modality: str, k: int | None = None, *, self_loops: bool | None = None
) -> NeighbourGraph:
    r"""A nearest-neighbour graph that came with the data, from
    ``data['item'].knn_<modality>_index`` and ``.knn_<modality>_similarity``
    :math:`(I, w)`, as read from ``item_<modality>_knn.npz``.

    Rows are put in order: the item itself, then by falling similarity, equal ones by
    number. Entries of index -1 are none, and so are those that point from or to an item
    whose ``has_<modality>`` is False. A similarity that is not known (NaN) is taken for the
    mean of the known ones of its row, and for 1 in a row without any: an item that
    is not among its own neighbours has as many duplicates.

    Args:
        data: The graph.
        modality: Its name.
        k: How many to keep of the :math:`w`; all if omitted. A row has fewer where the
            stored one is shorter, so :math:`w - 1` without itself.
        self_loops: Whether every item is its own first neighbour (True), none is one
            (False), or as stored (None).

    Raises:
        GraphError: If there is no such graph, or it holds fewer than :obj:`k` a row.
    """
    stored = f'{_PREFIX}{modality}'
    if f'{stored}{_INDEX}' not in data[ITEM]:
        raise _unknown(data, modality)
    index, similarity = data[ITEM][f'{stored}{_INDEX}'], data[ITEM][f'{stored}{_SIMILARITY}']
    count, width = num_items(data), index.size(1)
    if index.size(0) != count or index.shape != similarity.shape:
        raise GraphError(
            f'the frozen graph {stored!r} has shapes {list(index.shape)} and '
            f'{list(similarity.shape)} for {count} items; both must be [items, k]'
        )
    if k is not None:
        check_k(k, count, self_loops is not False)
        if k > width:
            raise GraphError(
                f"'k' is {k}, but the frozen graph of {modality!r} holds {width} neighbours of "
                f'an item; ask for fewer, or give features'
            )
    value = _filled(index, similarity.float())
    row, place = (index >= 0).nonzero().t()
    col, value = index[row, place], value[row, place]
    present = data[ITEM].get(f'{PRESENT_PREFIX}{modality}')
    if present is not None:
        kept = (present[row] & present[col]) | (row == col)
        row, col, value = row[kept], col[kept], value[kept]
    if self_loops is not None:
        kept = row != col
        row, col, value = row[kept], col[kept], value[kept]
    if self_loops:
        own = torch.arange(count, device=row.device)
        row, col = torch.cat([own, row]), torch.cat([own, col])
        value = torch.cat([value.new_ones(count), value])
    return NeighbourGraph.from_entries(row, col, value, num_nodes=count, k=k or width)


def frozen_modalities(data: HeteroData) -> list[str]:
    """Names of the modalities with a frozen graph, sorted."""
    return sorted(
        key.removeprefix(_PREFIX).removesuffix(_INDEX)
        for key in data[ITEM].to_dict()
        if key.startswith(_PREFIX) and key.endswith(_INDEX)
    )


def semantic_modalities(data: HeteroData) -> list[str]:
    """Names of the modalities that a semantic graph can be made of, sorted: those with a
    frozen graph and those with features. Features named after a frozen graph
    (``image_spectral`` beside ``image``) are derived from it and do not count twice."""
    frozen = frozen_modalities(data)
    derived = tuple(f'{name}_' for name in frozen)
    own = [name for name in modalities(data) if not (derived and name.startswith(derived))]
    return sorted({*frozen, *own})


def _filled(index: Tensor, similarity: Tensor) -> Tensor:
    """Similarities with the unknown ones filled in."""
    known = torch.isfinite(similarity) & (index >= 0)
    total = torch.where(known, similarity, 0.0).sum(1, keepdim=True)
    count = known.sum(1, keepdim=True)
    mean = torch.where(count > 0, total / count.clamp(min=1), 1.0)
    return torch.where(known, similarity, mean)


def _unknown(data: HeteroData, modality: str) -> GraphError:
    return GraphError(
        f"'modality' is {modality!r}, but the items have features of {modalities(data)} and "
        f'frozen graphs of {frozen_modalities(data)}'
    )
