r"""How soon a model learns again what it forgot: fast is a sign that it was not gone."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from graphrec.graphs.sampling import BPRBatch
from graphrec.models.recommender import Recommender
from graphrec.unlearn.bands import Measure
from graphrec.unlearn.objectives import forward_bpr, margins

_BATCH = 1024


def relearning_steps(
    model: Recommender,
    batch: BPRBatch,
    target: float,
    *,
    lr: float = 1e-3,
    most: int = 200,
) -> int:
    r"""Steps of Adam on the forward BPR loss of forgotten pairs until it is at most
    :obj:`target`, in a copy of the model; :obj:`most` if it takes longer.

    Args:
        model: On the edited graph; unchanged.
        batch: Forgotten pairs, each with an item that its user never had.
        target: The loss that counts as known again.
        lr: Learning rate, the same for all models that are compared.
        most: Steps at most.
    """
    learner = copy.deepcopy(model).train(False)
    parameters = [p for p in learner.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for step in range(most):
        loss = forward_bpr(margins(learner, batch))
        if float(loss.detach()) <= target:
            return step
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for parameter in parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        optimizer.step()
    return most


def relearning(
    original: Recommender,
    unlearned: Recommender,
    golds: Sequence[Recommender],
    pairs: Tensor,
    negatives: Tensor,
    *,
    seed: int = 0,
    lr: float = 1e-3,
    most: int = 200,
) -> Measure | None:
    r"""Steps to learn the forgotten pairs as well as the original knew them (C3.7 of the
    protocol; secondary, in no verdict), beside those of golds.

    Args:
        original: The model before; its loss is the target.
        unlearned: The model under audit.
        golds: Retrained models.
        pairs: Forgotten pairs :math:`(2, F)`; 1,024 of them are drawn if there are more.
        negatives: For each pair an item that its user never had, -1 for none :math:`(F)`.
        seed: Of the draw.
        lr, most: See :func:`relearning_steps`.

    Returns:
        :obj:`None` for models in closed form, or without a pair.
    """
    chosen = (negatives >= 0).nonzero().squeeze(1)
    order = torch.randperm(chosen.numel(), generator=torch.Generator().manual_seed(seed))
    chosen = chosen[order[:_BATCH]]
    if not unlearned.is_trainable or not chosen.numel():
        return None
    device = next(unlearned.parameters()).device
    batch = BPRBatch(*(part[chosen].to(device) for part in (pairs[0], pairs[1], negatives)))
    with torch.no_grad():
        target = float(forward_bpr(margins(original, batch)))
    steps = [
        float(relearning_steps(model, batch, target, lr=lr, most=most))
        for model in (unlearned, *golds)
    ]
    note = f'steps of at most {most} until the pairs are known as well as by the original'
    return Measure(
        'relearning steps',
        0.0,
        steps[0],
        tuple(steps[1:]),
        memory=-1,
        tells=False,
        step=1.0,
        note=note,
    )
