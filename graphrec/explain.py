r"""Why an item has its score for a user: the parts that add up to it, exactly.

A part is never an estimate. If the parts that are found do not add up to the score
that the model gives, there is an error and no explanation.
"""

import dataclasses
import itertools
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.explanation import FACTORS, OWN, Explanation, plain
from graphrec.graphs.labels import label, title_of
from graphrec.graphs.path_drawing import DrawnPath
from graphrec.graphs.schema import ITEM, USER, index_of, node_ids, num_items, num_users, train_edges
from graphrec.graphs.walks import count_walks, strongest_walks
from graphrec.models.mf import MF
from graphrec.models.recommender import Recommender

_Path = tuple[tuple[int, ...], float, float]  # Nodes with users first, weight, match.


@runtime_checkable
class Layered(Protocol):
    r"""A model with :math:`\mathbf{Z} = \sum_l a_l \hat{\mathbf{A}}^l \mathbf{E}` and the
    score :math:`\mathbf{z}_u^\top \mathbf{z}_i`, such as LightGCN."""

    layer_weights: Tensor
    adjacency: Any

    def propagate_layers(self) -> list[Tensor]:
        """The layers :math:`\\hat{\\mathbf{A}}^l \\mathbf{E}`, users before items."""


@runtime_checkable
class ItemWeighted(Protocol):
    r"""A model with the score :math:`\sum_{j \in \mathcal{H}_u} w_{ji}` over the items
    of a user, such as ItemKNN and EASE."""

    def item_weights(self, item: int) -> Tensor:
        """The weights :math:`w_{\\cdot i}` of all items for one."""


def explain(
    model: Recommender, data: HeteroData, user: Any, item: Any, *, num_paths: int = 10
) -> Explanation:
    r"""Splits the score of a user-item pair into parts that add up to it.

    For a model with layers (LightGCN, He et al., SIGIR 2020), with
    :math:`\mathbf{h}^l = \hat{\mathbf{A}}^l \mathbf{E}`, in three exact ways:

    .. math::
        s_{ui} = \sum_{l, m} a_l a_m {\mathbf{h}^l_u}^\top \mathbf{h}^m_i
        = a_0 \mathbf{e}_u^\top \mathbf{z}_i + \sum_{j \in \mathcal{N}(u)}
        \hat{A}_{uj} \sum_{l \geq 1} a_l {\mathbf{h}^{l-1}_j}^\top \mathbf{z}_i
        = a_0 \mathbf{e}_u^\top \mathbf{z}_i + \sum_{u \to j \to \ldots \to p}
        a_l \hat{A}_{uj} \cdots \hat{A}_{\cdot p} \, \mathbf{e}_p^\top \mathbf{z}_i

    the last over all walks of :math:`1 \ldots L` edges, whose strongest of every
    length are listed. For ItemKNN and EASE, :math:`s_{ui} = \sum_j w_{ji}` over the
    user's training items. MF has no graph: its one part is the product of factors.

    Args:
        model: A LightGCN-type model, ItemKNN, EASE or MF.
        data: The graph that the model was built from.
        user: Original id.
        item: Original id.
        num_paths: Most paths to list, at least 1; dealt out evenly among the lengths.

    Raises:
        UnknownIdError: If the graph does not hold an id.
        GraphError: If the model's scores have no such parts, or the model was built
            from another graph than :obj:`data`.
    """
    if isinstance(num_paths, bool) or not isinstance(num_paths, int) or num_paths < 1:
        raise GraphError(f"'num_paths' needs to be an integer of at least 1 (got {num_paths!r})")
    if (model.num_users, model.num_items) != (num_users(data), num_items(data)):
        raise GraphError(
            f"'model' knows {model.num_users} users and {model.num_items} items, 'data' holds "
            f'{num_users(data)} and {num_items(data)}; pass the graph that it was built from'
        )
    u = int(index_of(data, USER, [user])[0])
    i = int(index_of(data, ITEM, [item])[0])
    device = next((t.device for t in [*model.parameters(), *model.buffers()]), None)
    with torch.no_grad():
        pair = torch.tensor([u], device=device), torch.tensor([i], device=device)
        score = float(model.score(*pair))
    story = _Story(data, u, i, type(model).__name__, score, num_paths)
    if isinstance(model, ItemWeighted):
        return _by_items(model, story)
    if isinstance(model, Layered):
        return _by_layers(model, story)
    if isinstance(model, MF):
        return _by_factors(story)
    raise GraphError(
        f'{type(model).__name__} cannot be explained: its score has no parts along the graph; '
        "LightGCN and its kin ('propagate_layers', 'layer_weights', 'adjacency'), ItemKNN and "
        "EASE ('item_weights') and MF can"
    )


@dataclasses.dataclass(frozen=True)
class _Story:
    """What all kinds of explanation need to be told."""

    data: HeteroData
    u: int
    i: int
    model: str
    score: float
    num_paths: int

    def tell(
        self,
        paths: list[_Path],
        parts: dict[int | str, float],
        note: str,
        *,
        total_paths: int,
        layers: pd.DataFrame | None = None,
        tolerance: float = 1e-4,
    ) -> Explanation:
        """Parts are keyed by item number, or by a name for what comes from no item."""
        found = sum(parts.values())
        scale = max(1.0, sum(abs(value) for value in parts.values()))
        if not abs(self.score - found) <= tolerance * scale:
            raise GraphError(
                f'the parts found add up to {found:.6g}, but {self.model} scores the pair '
                f"{self.score:.6g}: either 'model' was built from another graph than 'data' "
                "(call 'model.refresh(data)'), or its score holds parts outside the graph"
            )
        contributions = self._contributions(parts)
        table = pd.DataFrame(
            [
                {
                    'path': ' → '.join(self._box(node)[1] for node in nodes),
                    'length': len(nodes) - 1,
                    'weight': weight,
                    'match': match,
                    'contribution': weight * match,
                    'share': self._share(weight * match),
                }
                for nodes, weight, match in paths
            ],
            columns=['path', 'length', 'weight', 'match', 'contribution', 'share'],
        )
        shown = {} if layers is None else parts
        drawn = [DrawnPath(self._boxes(nodes, shown), w * m) for nodes, w, m in paths]
        if not drawn:
            drawn = [DrawnPath((self._box(self.u),), found)]
        return Explanation(
            user=plain(node_ids(self.data, USER)[self.u]),
            item=plain(node_ids(self.data, ITEM)[self.i]),
            model=self.model,
            score=self.score,
            table=table,
            contributions=contributions,
            layers=layers,
            covered=self._share(float(table['contribution'].sum())),
            num_paths=total_paths,
            residual=self.score - found,
            note=note,
            _paths=drawn,
            _target=(ITEM, label(self.data, ITEM, self.i)),
        )

    def _contributions(self, parts: dict[int | str, float]) -> pd.DataFrame:
        rows = []
        for part, value in sorted(parts.items(), key=lambda pair: -abs(pair[1])):
            known = isinstance(part, int)
            rows.append(
                {
                    'source': 'item' if known else part,
                    'item': plain(node_ids(self.data, ITEM)[part]) if known else None,
                    'title': title_of(self.data, ITEM, part) if isinstance(part, int) else '',
                    'contribution': value,
                    'share': self._share(value),
                }
            )
        columns = ['source', 'item', 'title', 'contribution', 'share']
        frame = pd.DataFrame(rows, columns=columns)
        frame['item'] = pd.Series([row['item'] for row in rows], dtype=object)
        return frame

    def layer_table(self, products: np.ndarray) -> pd.DataFrame:
        """The parts of all pairs of layers, from their matrix."""
        user_layer, item_layer = np.indices(products.shape).reshape(2, -1)
        value = products.reshape(-1)
        share = [self._share(part) for part in value.tolist()]
        return pd.DataFrame(
            {
                'user_layer': user_layer,
                'item_layer': item_layer,
                'contribution': value,
                'share': share,
            }
        )

    def _share(self, value: float) -> float:
        return value / self.score if self.score else float('nan')

    def _box(self, node: int) -> tuple[str, str]:
        users = num_users(self.data)
        if node < users:
            return USER, label(self.data, USER, node)
        return ITEM, label(self.data, ITEM, node - users)

    def _boxes(
        self, nodes: tuple[int, ...], parts: dict[int | str, float]
    ) -> tuple[tuple[str, str], ...]:
        boxes = [self._box(node) for node in nodes]
        through = parts.get(nodes[1] - num_users(self.data))
        if through is not None:
            boxes[1] = (ITEM, f'{boxes[1][1]}  ({through:+.3g})')
        return tuple(boxes)


def _by_layers(model: Layered, story: _Story) -> Explanation:
    users = num_users(story.data)
    a = model.layer_weights.detach().double().cpu().numpy()
    layers = [layer.detach().double().cpu().numpy() for layer in model.propagate_layers()]
    adjacency = scipy.sparse.csr_matrix(
        (
            model.adjacency.weight.detach().double().cpu().numpy(),
            model.adjacency.col.cpu().numpy(),
            model.adjacency.rowptr.cpu().numpy(),
        ),
        shape=(layers[0].shape[0],) * 2,
    )
    u, i = story.u, users + story.i
    of_user = np.stack([weight * layer[u] for weight, layer in zip(a, layers, strict=True)])
    of_item = np.stack([weight * layer[i] for weight, layer in zip(a, layers, strict=True)])
    z_item = of_item.sum(axis=0)
    row = slice(adjacency.indptr[u], adjacency.indptr[u + 1])
    neighbours, step = adjacency.indices[row], adjacency.data[row]
    through = np.zeros(len(neighbours))
    for length in range(1, len(a)):
        through += a[length] * step * (layers[length - 1][neighbours] @ z_item)
    parts: dict[int | str, float] = {OWN: float(of_user[0] @ z_item)}
    for node, value in zip(neighbours.tolist(), through.tolist(), strict=True):
        parts[node - users] = value
    match = layers[0] @ z_item
    paths = _dealt(
        [
            [
                (walk.nodes, float(a[length]) * walk.weight, float(match[walk.nodes[-1]]))
                for walk in strongest_walks(adjacency, u, match, length, story.num_paths)
            ]
            for length in range(1, len(a))
            if a[length] != 0
        ],
        story.num_paths,
    )
    low_precision = model.adjacency.weight.dtype in (torch.bfloat16, torch.float16)
    return story.tell(
        paths,
        parts,
        'A path counts its layer weight times its edge weights (weight) times how well the '
        'embedding at its end fits the item (match); all paths and the own embedding add up '
        'to the score.',
        total_paths=count_walks(adjacency, u, len(a) - 1),
        layers=story.layer_table(of_user @ of_item.T),
        tolerance=3e-2 if low_precision else 1e-4,
    )


def _dealt(by_length: list[list[_Path]], count: int) -> list[_Path]:
    """One path of every length in turn until there are :obj:`count`; strongest first."""
    rounds = itertools.zip_longest(*by_length)
    turns = [path for one_round in rounds for path in one_round if path is not None]
    return sorted(turns[:count], key=lambda path: -abs(path[1] * path[2]))


def _by_items(model: ItemWeighted, story: _Story) -> Explanation:
    users = num_users(story.data)
    edge_user, edge_item = train_edges(story.data).cpu()
    history = edge_item[edge_user == story.u].unique()
    weight = model.item_weights(story.i).detach().cpu().double()[history].tolist()
    pairs = list(zip(history.tolist(), weight, strict=True))
    strongest = sorted((p for p in pairs if p[1] != 0), key=lambda p: -abs(p[1]))
    paths: list[_Path] = [((story.u, users + j), w, 1.0) for j, w in strongest[: story.num_paths]]
    return story.tell(
        paths,
        dict(pairs),
        'A path counts the weight between the training item and the item scored; all of them '
        'add up to the score.',
        total_paths=len(strongest),
    )


def _by_factors(story: _Story) -> Explanation:
    told = story.tell(
        [],
        {FACTORS: story.score},
        f'{story.model} has no graph path: its score is the product of a user and an item vector.',
        total_paths=0,
    )
    share = 1.0 if story.score else float('nan')
    row = [FACTORS, 0, 1.0, story.score, story.score, share]
    table = pd.DataFrame([row], columns=told.table.columns)
    return dataclasses.replace(told, table=table, covered=share)
