r"""The check of the rows of removed nodes: a fresh draw, and nothing else."""

import torch
from torch import Tensor

from graphrec.unlearn.check import Check, Setting, listed
from graphrec.unlearn.fresh_rows import copy_on, fresh_rows, fresh_seed


def removed_rows(setting: Setting) -> Check:
    """The rows of removed nodes, and of users with nothing left, are a fresh draw of the
    initialiser: those of the run's seed where that is known, in any case neither the
    original's nor zeros by accident."""
    model, forget = setting.unlearned, setting.forget
    if not model.is_trainable:
        return Check('removed rows', None, 'nothing is drawn: the model is in closed form')
    blank, features = copy_on(model, setting.edited)
    seed = fresh_seed(setting.seed if setting.seed is not None else 0)
    expected = fresh_rows(blank, forget, seed, features)
    if not expected:
        return Check('removed rows', None, 'no row of the model is a removed node')
    tables = dict(model.named_parameters()) | dict(model.named_buffers())
    before = dict(setting.original.named_parameters()) | dict(setting.original.named_buffers())
    start = type(model)(setting.edited, model.config)
    fresh = dict(start.named_parameters()) | dict(start.named_buffers())
    counts = {'rows': 0, 'as the seed draws them': 0, 'as before': 0, 'zero by accident': 0}
    for name, (index, drawn) in expected.items():
        if name in model.fitted_buffers():
            continue
        size = index.numel()
        rows, old, own = (
            t[name].detach()[index].reshape(size, -1) for t in (tables, before, fresh)
        )
        drawn = drawn.reshape(size, -1)
        exact = (rows == drawn).all(1) | (rows == own).all(1)
        counts['rows'] += index.numel()
        counts['as the seed draws them'] += int(exact.sum())
        counts['as before'] += int((_alike(rows, old) & ~exact).sum())
        counts['zero by accident'] += int(((rows == 0).all(1) & ~exact).sum())
    bad = counts['as before'] + counts['zero by accident']
    some = counts['as the seed draws them']
    detail = f'{some:,} of {counts["rows"]:,} rows are the draw itself, the others moved from it'
    if bad:
        detail = listed('rows', {k: counts[k] for k in ('as before', 'zero by accident')})
    return Check('removed rows', not bad, detail, counts)


def _alike(rows: Tensor, old: Tensor) -> Tensor:
    """Rows that are the old ones, or the old ones hardly moved: nearer to them than half of
    their length."""
    if not rows.is_floating_point():
        return torch.zeros(len(rows), dtype=torch.bool)
    length = old.norm(dim=1)
    return ((rows - old).norm(dim=1) < 0.5 * length) | ((rows == old).all(1) & (length > 0))
