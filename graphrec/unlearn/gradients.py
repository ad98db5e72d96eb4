"""The check that no gradient leads to what was forgotten."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, modalities
from graphrec.unlearn.check import Check, Setting, listed
from graphrec.unlearn.copying import copied
from graphrec.unlearn.dependencies import forgotten_rows
from graphrec.unlearn.fresh_rows import copy_on
from graphrec.unlearn.node_rows import blank_nodes
from graphrec.unlearn.targets import find_targets


def autograd(setting: Setting) -> Check:
    r"""For the raw rows :math:`\mathbf{x}_i` of forgotten features, :math:`\partial s / \partial
    \mathbf{x}_i = 0`, where :math:`s` is the sum of all that the edit leaves of the features and
    of the embeddings that the unlearned model makes of them.

    The edit is followed number by number; that an array was copied from another place is seen by
    :func:`~graphrec.unlearn.dependence.dependence`."""
    names = [
        name
        for name in modalities(setting.data)
        if forgotten_rows(name, setting.forget).numel()
        and setting.data[ITEM][f'{FEATURE_PREFIX}{name}'].is_floating_point()
    ]
    if not names:
        return Check('autograd', None, 'no forgotten feature')
    raw = {
        name: setting.data[ITEM][f'{FEATURE_PREFIX}{name}'].detach().clone().requires_grad_()
        for name in names
    }
    edited = _traced(setting, raw)
    parts = [edited[ITEM][f'{FEATURE_PREFIX}{name}'] for name in names]
    embeddings = _embeddings(setting, edited)
    parts += embeddings
    total = torch.stack([part.square().sum().cpu() for part in parts]).sum()
    grads = torch.autograd.grad(total, list(raw.values()), allow_unused=True)
    bad = {}
    for name, grad in zip(names, grads, strict=True):
        rows = forgotten_rows(name, setting.forget)
        if grad is not None and (reached := int((grad.cpu()[rows] != 0).any(1).sum())):
            bad[name] = reached
    detail = f'no gradient reaches the forgotten rows of {", ".join(names)}'
    if not embeddings:
        name = type(setting.unlearned).__name__
        detail += f'; followed through the edit alone, since {name} makes no embeddings of them'
    return Check('autograd', not bad, listed('gradients reach', bad) if bad else detail, bad)


def _traced(setting: Setting, raw: dict[str, Tensor]) -> HeteroData:
    """The edited graph, whose features are those that blanking leaves of :obj:`raw`."""
    whole = copied(setting.data)
    for name, rows in raw.items():
        whole[ITEM][f'{FEATURE_PREFIX}{name}'] = rows * 1.0
    blank_nodes(whole, find_targets(setting.data, setting.edit.removals(), strict=False))
    edited = copied(setting.edited)
    for name in raw:
        key = f'{FEATURE_PREFIX}{name}'
        edited[ITEM][key] = whole[ITEM][key]
    return edited


def _embeddings(setting: Setting, edited: HeteroData) -> list[Tensor]:
    """Those of all nodes; none of a model that is in closed form, or that leaves torch on the way
    from features to embeddings (a neighbour graph is numbers of items)."""
    try:
        model, _ = copy_on(setting.unlearned, edited)
        return list(model.forward().values())
    except RuntimeError:  # NotImplementedError is one.
        return []
