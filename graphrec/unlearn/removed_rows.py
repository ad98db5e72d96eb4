r"""The check of the rows of removed nodes: a fresh draw, and nothing else."""

import torch
from scipy.stats import beta
from torch import Tensor
from torch.nn import functional as F

from graphrec.unlearn.check import Check, Setting, listed
from graphrec.unlearn.fresh_rows import copy_on, fresh_rows, fresh_seed

#: How often independent draws may be taken for the rows before.
CHANCE = 1e-6
_TRACES = ('other than the draw', 'as before', 'zero by accident')


def removed_rows(setting: Setting) -> Check:
    r"""The rows of removed nodes, and of users with nothing left, are a fresh draw of the
    initialiser.

    After a repair whose method and seed are known they are the draw of that seed, bit for bit:
    every repair puts them back in the end. Training from scratch may move them afterwards
    (weight decay, a loss over all nodes), and without a report the seed is not known. Then this
    is a test: a row that is not the draw fails if it is zero, nearer to the original's than half
    of that one's length, or along the original's, whatever scale and sign, by more than
    independent draws of its width are once in a million audits (:data:`CHANCE`). Rows of fewer
    than five numbers are tested for distance alone. A retraining from the very draw of the
    original goes part of the original's way, whatever it is trained on; then only the original's
    row, scaled, fails."""
    model, forget = setting.unlearned, setting.forget
    if not model.is_trainable:
        return Check('removed rows', None, 'nothing is drawn: the model is in closed form')
    settled = setting.seed is not None and setting.method not in (None, 'gold')
    same_start = setting.method == 'gold' and model.config == setting.original.config
    blank, features = copy_on(model, setting.edited)
    seed = fresh_seed(setting.seed if setting.seed is not None else 0)
    expected = fresh_rows(blank, forget, seed, features)
    if not expected:
        return Check('removed rows', None, 'no row of the model is a removed node')
    tables = dict(model.named_parameters()) | dict(model.named_buffers())
    before = dict(setting.original.named_parameters()) | dict(setting.original.named_buffers())
    start = type(model)(setting.edited, model.config)
    fresh = dict(start.named_parameters()) | dict(start.named_buffers())
    counts = {'rows': 0, 'as the seed draws them': 0, **dict.fromkeys(_TRACES, 0)}
    for name, (index, drawn) in expected.items():
        if name in model.fitted_buffers():
            continue
        size = index.numel()
        rows, old, own = (
            t[name].detach()[index].reshape(size, -1) for t in (tables, before, fresh)
        )
        exact = (rows == drawn.reshape(size, -1)).all(1)
        if not settled:
            exact |= (rows == own).all(1)
        common = before[name].detach().reshape(len(before[name]), -1).double().mean(0)
        alike = _along(rows, old, own, common, same_start)
        if not same_start:
            alike |= _near(rows, old)
        counts['rows'] += size
        counts['as the seed draws them'] += int(exact.sum())
        counts['other than the draw'] += int((~exact).sum()) if settled else 0
        counts['as before'] += int((alike & ~exact).sum())
        counts['zero by accident'] += int(((rows == 0).all(1) & ~exact).sum())
    bad = {name: counts[name] for name in _TRACES if counts[name]}
    some, every = counts['as the seed draws them'], counts['rows']
    detail = f'{every:,} rows are the draw of the run, to the last bit'
    if bad:
        detail = listed('rows', bad)
    elif not settled:
        detail = (
            f'{some:,} of {every:,} rows are the draw itself, the others are not the rows before, '
            'by a test of direction and distance'
        )
    return Check('removed rows', not bad, detail, counts)


def _near(rows: Tensor, old: Tensor) -> Tensor:
    """Rows that are the old ones, or the old ones hardly moved: nearer to them than half of
    their length."""
    if not rows.is_floating_point():
        return torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    length = old.norm(dim=1)
    return ((rows - old).norm(dim=1) < 0.5 * length) | ((rows == old).all(1) & (length > 0))


def _along(rows: Tensor, old: Tensor, own: Tensor, common: Tensor, whole: bool = False) -> Tensor:
    """Rows whose direction is that of the old ones by more than chance (:obj:`whole`: all of
    it), once what both may have without the forgotten data is taken out: the row that the model
    started from, its signs, which weight decay adds under Adam, and the mean of all rows."""
    known = torch.stack([own.double(), own.double().sign(), common.expand(own.shape)], dim=2)
    free = rows.size(1) - known.size(2)
    if not rows.is_floating_point() or free < 2:
        return torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    basis, _ = torch.linalg.qr(known)
    new_part, old_part = (
        x - (basis @ (basis.mT @ x.unsqueeze(2))).squeeze(2) for x in (rows.double(), old.double())
    )
    cosine = F.cosine_similarity(new_part, old_part, dim=1)
    # Of what is left of a row after rounding, the direction says nothing.
    there = new_part.norm(dim=1) > 1e-5 * rows.norm(dim=1)
    there &= old_part.norm(dim=1) > 1e-5 * old.norm(dim=1)
    bound = 1 - 1e-6 if whole else beta.isf(CHANCE / len(rows), 0.5, (free - 1) / 2)
    return there & (cosine.square() > bound)
