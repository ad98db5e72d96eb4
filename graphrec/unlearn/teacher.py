"""The original's parameters on the edited graph, as a teacher of everything else."""

import dataclasses

import torch
from torch import Tensor
from typing_extensions import Self

from graphrec.graphs.operators import Sparse
from graphrec.graphs.schema import num_items
from graphrec.models.recommender import Ranker
from graphrec.unlearn.task import Task

_TINY = 1e-12  # Of a variance: below it is rounding.


@dataclasses.dataclass(frozen=True)
class Teacher:
    r"""Final embeddings of a model that stays as it is.

    Attributes:
        user: :math:`(U, d)`.
        item: :math:`(I, d)`.
    """

    user: Tensor
    item: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, task: Task) -> Self:
        """Of the task's model as it is now: before any step, the original on the edited
        graph."""
        task.model.eval()
        z = task.model.forward()
        return cls(z['user'].clone(), z['item'].clone())

    def ranker(self) -> Ranker:
        """Its scores of all items, for user numbers."""
        return lambda index: self.user[index] @ self.item.t()

    def spread(self, candidates: Tensor) -> Tensor:
        r"""The standard deviation :math:`\sigma_u` of each user's scores over the candidates
        (bool), :math:`(U)`; 1 where all are alike. With :math:`\mathbf{C}` the covariance of
        the items, :math:`\sigma_u^2 = \mathbf{z}_u^{\top} \mathbf{C} \mathbf{z}_u`."""
        item = self.item[candidates]
        covariance = torch.cov(item.t().double(), correction=0).view(item.size(1), -1)
        user = self.user.double()
        square = ((user @ covariance) * user).sum(1)
        tiny = _TINY * user.square().sum(1) * item.double().square().sum(1).mean()
        return torch.where(square > tiny, square, 1.0).sqrt().to(self.user)


class Distillation:
    r"""The mean squared difference between scores and those of a teacher, in units of the
    spread :math:`\sigma_u` of the teacher's scores of a user, for drawn users and all items
    that may be recommended; forgotten pairs are left out. Without the unit its weight beside
    a term of standardised scores would depend on the scale of the model: four times as much
    with a spread of 2 (LightGCN on lastfm-2k-mm), a quarter with one of 0.5 (on TikTok).
    A pair counts :math:`1 + \kappa \max(z^0_{uj}, 0)^2` in the mean, :math:`z^0_{uj}` its
    standardised score under the teacher: what is recommended, and held-out pairs, are at the
    top of the scores, where a plain mean has few of its pairs.

    Args:
        task: The request.
        teacher: The teacher.
        users: Users a step.
        emphasis: :math:`\kappa`.
    """

    def __init__(self, task: Task, teacher: Teacher, users: int, emphasis: float = 0.0) -> None:
        self.task, self.teacher, self.emphasis = task, teacher, emphasis
        self.size = min(users, task.retained_users.numel())
        self._draws = task.generator('distillation')
        shape = (task.model.num_users, num_items(task.data))
        self._forgotten = Sparse.from_edges(task.served, shape=shape)
        self._spread = teacher.spread(task.candidates)
        self._centre = teacher.item[task.candidates].mean(0)

    def __call__(self, z: dict[str, Tensor]) -> Tensor:
        pool = self.task.retained_users
        order = torch.randperm(pool.numel(), generator=self._draws, device=pool.device)
        users = pool[order[: self.size]]
        taught = self.teacher.user[users] @ self.teacher.item.t()
        spread = self._spread[users].unsqueeze(1)
        gap = (z['user'][users] @ z['item'].t() - taught) / spread
        keep = self.task.candidates.to(gap).expand(users.numel(), -1).clone()
        left_out = self._forgotten.select_rows(users)
        keep[left_out.row, left_out.col.long()] = 0.0
        if self.emphasis:
            centre = (self.teacher.user[users] @ self._centre).unsqueeze(1)
            keep *= 1 + self.emphasis * ((taught - centre) / spread).clamp(min=0).square()
        return (gap.square() * keep).sum() / keep.sum().clamp(min=1)
