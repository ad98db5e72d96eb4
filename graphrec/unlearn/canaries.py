"""Canaries: random pairs planted before training, to be forgotten without a trace."""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from scipy import stats
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import INTERACTS, ITEM, USER, num_items, num_users, train_edges
from graphrec.unlearn.standing import standing

#: Fewer are hardly told from chance.
MIN_CANARIES = 100
#: A p-value below this says that the canaries left a trace.
LEVEL = 0.01


class Planted(NamedTuple):
    """A research copy of a graph with canaries, and their user and item numbers
    :math:`(2, m)`."""

    data: HeteroData
    pairs: Tensor


@dataclass(frozen=True)
class CanaryTest:
    """Whether the canaries' places among the unobserved items look random.

    Attributes:
        p_value: Kolmogorov-Smirnov test against the uniform distribution.
        statistic: Its distance.
        mean_place: Mean place in [0, 1], 0 the best; 0.5 without a trace.
        num_canaries: How many.
        original: The p-value of the model before, where it was tested as well.
        golds: Those of retrained models, likewise.
    """

    p_value: float
    statistic: float
    mean_place: float
    num_canaries: int
    original: float | None = None
    golds: tuple[float, ...] = ()

    @property
    def in_doubt(self) -> bool:
        """Whether retrained models, which never saw the canaries, fail as well: one of them
        below :data:`LEVEL` over their number (Bonferroni)."""
        return bool(self.golds) and min(self.golds) < LEVEL / len(self.golds)

    @property
    def side(self) -> int:
        """+1 if the canaries still stand too high, -1 if they are pushed down, 0 if their
        places look random or the test is in doubt."""
        if not self.p_value < LEVEL or self.in_doubt:
            return 0
        return 1 if self.mean_place <= 0.5 else -1

    @property
    def reason(self) -> str:
        """The finding in a sentence."""
        return (
            f'the places of {self.num_canaries:,} planted canaries are not random: p '
            f'{p_text(self.p_value)}, mean place {self.mean_place:.3f} where 0.5 is no trace and '
            '0 the top'
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dict(vars(self))


def insert_canaries(data: HeteroData, count: int = MIN_CANARIES, seed: int = 0) -> Planted:
    r"""Adds :obj:`count` random training edges that no user has in any split, for a research
    copy: train on it, forget the canaries, and test them by :func:`canary_uniformity`. Other
    values of an edge (time, rating) are those of a random training edge.

    Raises:
        GraphError: If there are fewer such pairs than asked for.
    """
    users, items = num_users(data), num_items(data)
    generator = torch.Generator().manual_seed(seed)
    known = torch.cat(
        [data[t].edge_index.cpu() for t in data.edge_types if t[0] == USER and t[2] == ITEM], 1
    )
    taken = torch.unique(known[0] * items + known[1])
    if not 1 <= count <= users * items - taken.numel():
        raise GraphError(
            f"'count' is {count}, but {users * items - taken.numel()} pairs are in no split; "
            'choose between 1 and that'
        )
    found = torch.zeros(0, dtype=torch.long)
    while found.numel() < count:
        drawn = torch.randint(users * items, (2 * count,), generator=generator)
        found = torch.cat([found, drawn[~torch.isin(drawn, taken)]])
        _, first = _first_of_each(found)
        found = found[first]
    pairs = torch.stack([found[:count] // items, found[:count] % items])
    planted = copy.copy(data)
    store = planted[INTERACTS]
    size = train_edges(data).size(1)
    source = torch.randint(size, (count,), generator=generator)
    for key, value in list(store.items()):
        if key == 'edge_index':
            store[key] = torch.cat([value, pairs.to(value.device)], 1)
        elif isinstance(value, Tensor) and value.dim() and value.size(0) == size:
            store[key] = torch.cat([value, value[source.to(value.device)]])
    return Planted(planted, pairs)


def canary_uniformity(model: Any, edited: HeteroData, pairs: Tensor) -> CanaryTest:
    r"""Where canaries stand among the items that their user has no edge to, as a share of the
    list: uniform in [0, 1] for a model that never saw them, whatever it learned otherwise.

    Args:
        model: A recommender on the edited graph.
        edited: The graph without the canaries.
        pairs: Their user and item numbers :math:`(2, m)`.

    Raises:
        GraphError: If a canary is still a training edge.
    """
    items, retained = num_items(edited), train_edges(edited).cpu()
    key = pairs[0] * items + pairs[1]
    left = torch.isin(key, retained[0] * items + retained[1])
    if left.any():
        raise GraphError(f'{int(left.sum())} canaries are still training edges; forget them first')
    rank = standing(model.ranker(), pairs, retained, torch.ones(items, dtype=torch.bool)).rank
    degree = torch.bincount(retained[0], minlength=num_users(edited))
    place = (rank.double() - 0.5) / (items - degree[pairs[0]]).double()
    test = stats.kstest(place.numpy(), 'uniform')
    return CanaryTest(float(test.pvalue), float(test.statistic), float(place.mean()), pairs.size(1))


def p_text(value: float) -> str:
    """``= 0.123``, or ``< 0.001``."""
    return '< 0.001' if value < 0.001 else f'= {value:.3f}'


def _first_of_each(values: Tensor) -> tuple[Tensor, Tensor]:
    unique, inverse = values.unique(return_inverse=True)
    first = torch.full((unique.numel(),), values.numel())
    first.scatter_reduce_(0, inverse, torch.arange(values.numel()), 'amin')
    return unique, first.sort().values
