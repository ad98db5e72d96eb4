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

    Args:
        task: The request.
        teacher: The teacher.
        users: Users a step.
    """

    def __init__(self, task: Task, teacher: Teacher, users: int) -> None:
        self.task, self.teacher = task, teacher
        self.size = min(users, task.retained_users.numel())
        self._draws = task.generator('distillation')
        shape = (task.model.num_users, num_items(task.data))
        self._forgotten = Sparse.from_edges(task.served, shape=shape)
        self._spread = teacher.spread(task.candidates)

    def __call__(self, z: dict[str, Tensor]) -> Tensor:
        pool = self.task.retained_users
        order = torch.randperm(pool.numel(), generator=self._draws, device=pool.device)
        users = pool[order[: self.size]]
        gap = z['user'][users] @ z['item'].t() - self.teacher.user[users] @ self.teacher.item.t()
        gap = gap / self._spread[users].unsqueeze(1)
        keep = self.task.candidates.to(gap).expand(users.numel(), -1).clone()
        left_out = self._forgotten.select_rows(users)
        keep[left_out.row, left_out.col.long()] = 0.0
        return (gap.square() * keep).sum() / keep.sum().clamp(min=1)
