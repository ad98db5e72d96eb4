"""The cheap checks of a run: is it forgotten, and is the rest still good?"""

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import (
    HOLDOUT_VALID,
    USER,
    node_ids,
    num_items,
    num_users,
    train_edges,
)
from graphrec.models.recommender import Recommender
from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND, Measure
from graphrec.unlearn.built_for import check_model
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.heldout_auc import HeldoutAUC, heldout_auc
from graphrec.unlearn.propensity import PairFeatures, effective_size, odds_weights
from graphrec.unlearn.standardised import candidate_items, user_scores

#: Fewer pairs than this on either side say nothing.
MIN_PAIRS = 20


class Monitor:
    r"""The stop rule without a retrained model, from the data after the edit.

    To a model that never saw it, a forgotten pair is like a held-out positive. So the
    standardised scores of forgotten pairs that trained rows still score are compared
    with those of validation positives, weighted to be alike by what the retained graph says
    (:mod:`graphrec.unlearn.propensity`): done is an area within :math:`0.5 \pm \max(h, t)`,
    :math:`h` half the bootstrap interval and :math:`t` the tolerance. Removed users and items
    have no score that is served, so for them only the second check holds: validation recall
    over retained pairs may not fall below :math:`1 - \epsilon` of that of the original.
    Items without any training edge are no reference for removed ones: training draws them as
    negatives, and removed items never.

    Where retrained models are at hand (an audit's), their areas take the place of 0.5: done is
    an area within their band (:mod:`graphrec.unlearn.bands`) around their mean.

    Args:
        data: The edited graph; validation edges are read, test edges never.
        forget: What was taken out.
        epsilon: :math:`\epsilon`.
        tolerance: :math:`t` (reconstructed; three retrained models gave 0.51).
        max_users: Users that each check looks at, drawn once.
        seed: Of the draws.
        golds: Retrained models on the edited graph, three at least.

    Raises:
        GraphError: If there are one or two golds, or one was built for another graph.

    Attributes:
        target: The area that is aimed at: 0.5, or the mean of the golds.
        seconds: Spent in checks so far.
    """

    def __init__(
        self,
        data: HeteroData,
        forget: ForgetSet,
        *,
        epsilon: float = 0.05,
        tolerance: float = 0.02,
        max_users: int = 2000,
        seed: int = 0,
        golds: Sequence[Recommender] = (),
    ) -> None:
        for gold in golds:
            check_model(gold, data, 'golds')
        if 0 < len(golds) < MIN_GOLDS_OF_BAND:
            raise GraphError(
                f"'golds' needs {MIN_GOLDS_OF_BAND} retrained models for a band (got "
                f'{len(golds)}); leave it out to stop at the held-out level'
            )
        self.data, self.epsilon, self.tolerance, self.seed = data, epsilon, tolerance, seed
        self.seconds = 0.0
        self.served = served_pairs(data, forget)
        #: Forgotten searches of pairs that could be served again.
        self.served_searches = served_pairs(data, forget, forget.events[::2]).size(1)
        self.half_width = math.nan
        generator = torch.Generator().manual_seed(seed)
        valid = self._valid_edges()
        self._valid_users = _sample(valid[0].unique(), max_users, generator)
        self.k = min(20, int(candidate_items(data).sum()))
        users = _sample(self.served[0].unique(), max_users, generator)
        self._forgotten = _rows_of(self.served, users, num_users(data))
        #: Held-out pairs that stand for what was never seen, :math:`(2, H)`, of the users with
        #: forgotten pairs first, and of others to fill up.
        self.reference = _reference(valid, users, max_users, num_users(data), generator)
        #: Their weights :math:`(H)`, see :func:`~graphrec.unlearn.propensity.odds_weights`.
        self.weight = torch.ones(self.reference.size(1), dtype=torch.float64)
        #: What the edited graph says of any pair; None where nothing can be compared.
        self.features: PairFeatures | None = None
        #: The same of :attr:`reference`, :math:`(H, c)`.
        self.of_reference = torch.zeros(0, 0, dtype=torch.float64)
        if self._forgotten.size(1) and self.reference.size(1):
            self.features = PairFeatures(data, seed)
            self.of_reference = self.features(self.reference)
            self.weight = odds_weights(self.features(self._forgotten), self.of_reference)
        self.target = 0.5
        self._gold: Measure | None = None
        if golds and self.measures_forgetting:
            areas = tuple(self.auc(gold) for gold in golds)
            self._gold = Measure('forget AUC', None, None, areas)
            self.target = sum(areas) / len(areas)

    @property
    def measures_forgetting(self) -> bool:
        """Whether there are enough pairs on both sides for the area to mean something."""
        return min(self._forgotten.size(1), effective_size(self.weight)) >= MIN_PAIRS

    @property
    def measures_utility(self) -> bool:
        """Whether there are validation edges."""
        return self._valid_users.numel() > 0

    @property
    def band(self) -> float:
        """How far the area may be from the target."""
        if self._gold is not None and self._gold.band is not None:
            return self._gold.band
        return max(self.tolerance, self.half_width)

    def auc(self, model: Recommender) -> float:
        """The area of a model on any graph with these nodes; NaN if not measurable."""
        if not self.measures_forgetting:
            return math.nan
        begin = time.perf_counter()
        both = torch.cat([self._forgotten, self.reference], dim=1)
        scores = user_scores(model.ranker(), self.data, both)
        if not bool(torch.isfinite(scores.raw).all()):
            return math.nan
        size = self._forgotten.size(1)
        found: HeldoutAUC = heldout_auc(
            scores.z[:size],
            scores.z[size:],
            self.weight,
            self._forgotten[0],
            self.reference[0],
            self.seed,
            interval=math.isnan(self.half_width),
        )
        if not math.isnan(found.half_width):  # Of the first model; later ones differ little.
            self.half_width = found.half_width
        self.seconds += time.perf_counter() - begin
        return found.auc

    def recall(self, model: Recommender) -> float:
        """Recall@20 of retained validation pairs, forgotten pairs unmasked as after any
        training on the edited graph; NaN if not measurable."""
        if not self.measures_utility:
            return math.nan
        begin = time.perf_counter()
        users = node_ids(self.data, USER)[self._valid_users.cpu().numpy()]
        found = evaluate(model, self.data, split='valid', k=self.k, metrics='recall', users=users)
        self.seconds += time.perf_counter() - begin
        return found[f'recall@{self.k}']

    @property
    def level(self) -> str:
        """What forgotten pairs are to score like, in words."""
        return 'held-out ones' if self._gold is None else 'those of retrained models'

    def side(self, auc: float) -> int:
        """+1 if forgotten pairs still stand out, -1 if they are pushed below, else 0."""
        if math.isnan(auc) or abs(auc - self.target) <= self.band:
            return 0
        return 1 if auc > self.target else -1

    def _valid_edges(self) -> Tensor:
        if HOLDOUT_VALID not in self.data.edge_types:
            return train_edges(self.data).new_zeros(2, 0)
        return self.data[HOLDOUT_VALID].edge_index


def served_pairs(data: HeteroData, forget: ForgetSet, pairs: Tensor | None = None) -> Tensor:
    """Forgotten pairs :math:`(2, F)` that trained rows still score: neither end was removed,
    and the user has something left to learn from. Other pairs of the forget set may be given."""
    pairs = (forget.pairs if pairs is None else pairs).to(train_edges(data).device)
    gone_user = torch.zeros(num_users(data), dtype=torch.bool, device=pairs.device)
    gone_item = torch.zeros(num_items(data), dtype=torch.bool, device=pairs.device)
    for users in (forget.users, forget.emptied):
        gone_user[users.to(pairs.device)] = True
    gone_item[forget.items.to(pairs.device)] = True
    return pairs[:, ~(gone_user[pairs[0]] | gone_item[pairs[1]])]


def _sample(values: Tensor, size: int, generator: torch.Generator) -> Tensor:
    if values.numel() <= size:
        return values
    picked = torch.randperm(values.numel(), generator=generator)[:size]
    return values[picked.to(values.device)].sort().values


def _reference(
    valid: Tensor, users: Tensor, size: int, num_users: int, generator: torch.Generator
) -> Tensor:
    """Held-out pairs of users with forgotten pairs, and of as many others as there is room."""
    own = _rows_of(valid, users, num_users)
    others = valid[0].unique()
    others = others[~torch.isin(others, users)]
    return torch.cat(
        [own, _rows_of(valid, _sample(others, max(0, size - users.numel()), generator), num_users)],
        dim=1,
    )


def _rows_of(pairs: Tensor, users: Tensor, size: int) -> Tensor:
    inside = torch.zeros(size, dtype=torch.bool, device=pairs.device)
    inside[users] = True
    return pairs[:, inside[pairs[0]]]
