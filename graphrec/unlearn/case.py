"""The pairs, users and rows that every model of an audit is asked about, the same for all."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import ITEM, USER, num_items, num_users, train_edges
from graphrec.models.recommender import Recommender
from graphrec.ranking import top_k
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.hops import hops
from graphrec.unlearn.matching import Matches, match_non_members
from graphrec.unlearn.membership import Attacked
from graphrec.unlearn.standardised import candidate_items
from graphrec.unlearn.standing import Standing, standing
from graphrec.unlearn.utility import Served

LIST_LENGTH = 20
#: Users whose whole score rows are kept, for the drift of items.
_SAMPLE = 256
_SPLITS = ('test', 'valid')


@dataclass(frozen=True)
class Case:
    r"""What is asked of the models.

    Attributes:
        pairs: Forgotten pairs :math:`(2, F)`.
        heldout: Held-out positives :math:`(2, H)` that may be matched with them.
        matches: Which are.
        negatives: For every pair an item that its user never had, -1 for none :math:`(F)`.
        retained: Training edges of the edited graph :math:`(2, E)`.
        candidates: Bool :math:`(I)`, items of the catalogue after the edit.
        users: Users with lists :math:`(n)`: all that were not removed.
        sample: Rows of :attr:`users` whose score rows are kept.
        truth: Held-out rows of the edited graph :math:`(2, T)`: a row of :attr:`users`, an item.
        split: Their name.
        user_degree: Retained interactions :math:`(U)`.
        item_degree: Retained interactions :math:`(I)`.
        distance: Of every item from the edit, -1 for removed ones.
        overlap_groups: Bool :math:`(n)` by name.
        strata: Bool over the pairs :math:`(F)` by name.
        affected: Bool :math:`(I)`, items of the catalogue that lost a modality.
    """

    pairs: Tensor
    heldout: Tensor
    matches: Matches
    negatives: Tensor
    retained: Tensor
    candidates: Tensor
    users: Tensor
    sample: Tensor
    truth: Tensor
    split: str
    user_degree: Tensor
    item_degree: Tensor
    distance: Tensor
    overlap_groups: dict[str, Tensor]
    strata: dict[str, Tensor]
    affected: Tensor

    @property
    def random(self) -> Tensor:
        """Random unobserved pairs of the same users, at most :math:`(2, F)`."""
        return torch.stack([self.pairs[0], self.negatives])[:, self.negatives >= 0]

    @property
    def served(self) -> Tensor:
        """Bool :math:`(F)`, whether the item of a forgotten pair is still in the catalogue."""
        return self.candidates[self.pairs[1]]


def make_case(data: HeteroData, edited: HeteroData, forget: ForgetSet, seed: int = 0) -> Case:
    """Chooses them from the graphs alone, before any model is looked at.

    Removed nodes are matched by their degrees before the edit, all others by those after it, in
    which neither a forgotten pair nor a held-out one counts.
    """
    generator = torch.Generator().manual_seed(seed)
    retained, before = train_edges(edited).cpu(), train_edges(data).cpu()
    sizes = num_users(data), num_items(data)
    degrees, full = (
        [torch.bincount(edges[row], minlength=sizes[row]) for row in (0, 1)]
        for edges in (retained, before)
    )
    candidates = candidate_items(edited).cpu()
    pairs, heldout = forget.pairs.cpu(), _heldout_positives(data, forget, retained, candidates)
    matching = [degree.clone() for degree in degrees]
    for row, gone in ((0, forget.users.cpu()), (1, forget.items.cpu())):
        matching[row][gone] = full[row][gone]
    users = torch.ones(sizes[0], dtype=torch.bool)
    users[forget.users.cpu()] = False
    known = edited[USER].get('is_removed')
    if known is not None:
        users &= ~known.cpu()
    users = users.nonzero().squeeze(1)
    split, truth = _truth(edited)
    row_of = torch.full((sizes[0],), -1)
    row_of[users] = torch.arange(users.numel())
    truth = torch.stack([row_of[truth[0]], truth[1]])
    truth = truth[:, truth[0] >= 0]
    touched = [torch.zeros(size, dtype=torch.bool) for size in sizes]
    touched[0][pairs[0]], touched[1][pairs[1]] = True, True
    touched[0][forget.users.cpu()], touched[1][forget.items.cpu()] = True, True
    blank = torch.zeros(sizes[1], dtype=torch.bool)
    for items in forget.modality_cells.values():
        blank[items.cpu()] = True
    touched[1] |= blank
    distance = hops(before, touched[0], touched[1])
    distance[~candidates] = -1
    near = torch.zeros(sizes[0], dtype=torch.bool)
    near[retained[0][touched[1][retained[1]]]] = True
    return Case(
        pairs=pairs,
        heldout=heldout,
        matches=match_non_members(pairs, heldout, matching[0], matching[1], seed),
        negatives=_negatives(pairs, before, heldout, candidates, generator),
        retained=retained,
        candidates=candidates,
        users=users,
        sample=torch.randperm(users.numel(), generator=generator)[:_SAMPLE].sort().values,
        truth=truth[:, truth[0].argsort(stable=True)],
        split=split,
        user_degree=degrees[0],
        item_degree=degrees[1],
        distance=distance,
        overlap_groups={
            'users who forgot': touched[0][users],
            'users who share a touched item': near[users],
            'everyone': torch.ones(users.numel(), dtype=torch.bool),
        },
        strata=_strata(pairs, matching),
        affected=blank & candidates,
    )


@torch.no_grad()
def ask(model: Recommender, case: Case) -> tuple[Attacked, Served]:
    """What a model says of the pairs, and what it serves to the users."""
    ranker = model.ranker()
    sizes = [part.size(1) for part in (case.pairs, case.heldout, case.random)]
    every = torch.cat([case.pairs, case.heldout, case.random], 1)
    found = standing(ranker, every, case.retained, case.candidates)
    index = torch.arange(every.size(1)).split(sizes)
    parts: list[Standing] = [found.take(part) for part in index]
    items = case.candidates.nonzero().squeeze(1)
    k = min(LIST_LENGTH, items.numel())
    device = next((p.device for p in model.parameters()), case.retained.device)
    lists = top_k(
        ranker,
        case.users.to(device),
        k,
        masked=[case.retained.to(device)],
        candidates=None if items.numel() == case.candidates.numel() else items.to(device),
    )
    scores = ranker(case.users[case.sample].to(device)).cpu().double()
    inside = scores[:, case.candidates]
    spread = inside.std(1, unbiased=False, keepdim=True).clamp(min=1e-12)
    scores = (scores - inside.mean(1, keepdim=True)) / spread
    return Attacked(*parts), Served(lists.items.cpu(), scores)


def _heldout_positives(
    data: HeteroData, forget: ForgetSet, retained: Tensor, candidates: Tensor
) -> Tensor:
    """Held-out pairs of all splits before the edit, since those of removed users went with
    them; no forgotten or retained training pair, no removed item where others are forgotten."""
    found = [
        data[t].edge_index.cpu()
        for t in sorted(data.edge_types)
        if (t[0], t[2]) == (USER, ITEM) and t[1].startswith('holdout_')
    ]
    if not found:
        return torch.zeros(2, 0, dtype=torch.long)
    items = candidates.numel()
    key = torch.cat([pairs[0] * items + pairs[1] for pairs in found]).unique()
    trained = torch.cat([retained, forget.pairs.cpu()], 1)
    key = key[~torch.isin(key, trained[0] * items + trained[1])]
    pairs = torch.stack([key // items, key % items])
    return pairs[:, candidates[pairs[1]]]


def _truth(edited: HeteroData) -> tuple[str, Tensor]:
    for split in _SPLITS:
        edge_type = (USER, f'holdout_{split}', ITEM)
        if edge_type in edited.edge_types and edited[edge_type].edge_index.size(1):
            return split, edited[edge_type].edge_index.cpu()
    return 'none', torch.zeros(2, 0, dtype=torch.long)


def _negatives(
    pairs: Tensor,
    trained: Tensor,
    heldout: Tensor,
    candidates: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """For every pair a random item that its user has in no split, -1 where a few draws find
    none."""
    items = candidates.nonzero().squeeze(1)
    stride = candidates.numel()
    known = torch.cat([trained, heldout], 1)
    taken = (known[0] * stride + known[1]).unique()
    user = pairs[0]
    found = user.new_full((user.numel(),), -1)
    for _ in range(20):
        todo = (found < 0).nonzero().squeeze(1)
        if not todo.numel() or not items.numel():
            break
        item = items[torch.randint(items.numel(), (todo.numel(),), generator=generator)]
        free = ~torch.isin(user[todo] * stride + item, taken)
        found[todo[free]] = item[free]
    return found


def _strata(pairs: Tensor, degrees: list[Tensor]) -> dict[str, Tensor]:
    """Halves of the forgotten pairs by the degree of the item and of the user."""
    found = {}
    for row, high, low in ((1, 'popular items', 'tail items'), (0, 'active users', 'other users')):
        degree = degrees[row][pairs[row]]
        if degree.numel() and degree.min() < degree.max():
            above = degree > degree.double().median()
            if not above.any():
                above = degree == degree.max()
            found[high], found[low] = above, ~above
    return found
