r"""What speaks against a model in an audit, what was not measured, and what weakens it."""

from collections.abc import Sequence

import torch

from graphrec.models.recommender import Recommender
from graphrec.unlearn.canaries import LEVEL, CanaryTest, p_text
from graphrec.unlearn.case import Case
from graphrec.unlearn.check import Check
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.findings import Findings
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.membership import Attacked
from graphrec.unlearn.report import ForgetReport
from graphrec.unlearn.residue import has_modality
from graphrec.unlearn.stores import equal
from graphrec.unlearn.utility import Served
from graphrec.unlearn.verdict import FAILED


def find_failures(
    checks: Sequence[Check],
    case: Case,
    original: Recommender,
    unlearned: Recommender,
    before: tuple[Attacked, Served],
    answers: Sequence[tuple[Attacked, Served]],
    report: ForgetReport | None,
    untouched: bool = False,
) -> list[str]:
    """What makes the verdict ``'failed'``, in sentences: residue, scores that are not finite,
    a model that did not change although it had to, a run that reported failure."""
    found = [f'residue: {c.name}: {c.detail}' for c in checks if c.passed is False]
    for place, (attacked, served) in enumerate(answers):
        parts = (attacked.forgotten, attacked.heldout, attacked.random)
        if not all(part.is_finite for part in parts) or not served.scores.isfinite().all():
            name = 'the unlearned model' if not place else f'gold {place}'
            found.append(f'{name} gives scores that are not finite')
    same = _same_state(original, unlearned) and torch.equal(before[1].scores, answers[0][1].scores)
    needless = untouched or (report is not None and report.needless)
    # A rebuild in closed form may change nothing.
    if same and unlearned.is_trainable and not needless:
        found.append('nothing changed: the model has the parameters and scores of the original')
    if report is not None and report.status == FAILED:
        found.append(f'the run reported failure: {report.reason}')
    return found


def _same_state(a: Recommender, b: Recommender) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)


def unmeasured(
    case: Case, result: EditResult, edit: Edit, canaries: bool, groups_left_out: int = 0
) -> list[str]:
    """What a reader may take for checked and was not."""
    found = []
    if not case.pairs.numel():
        what = 'what was removed is checked by the absence of residue alone'
        if has_modality(edit):
            what = (
                'the modality is checked by the absence of residue, and by what models make of '
                'the items that lost it'
            )
        found.append(f'forgetting of interactions: none was forgotten; {what}')
    elif not case.matches.member.numel():
        found.append('membership inference: no held-out pair matches a forgotten one')
    elif case.matches.num_unmatched:
        found.append(
            f'membership inference on {case.matches.num_unmatched:,} forgotten pairs without a '
            'held-out pair of about their degrees'
        )
    if not canaries:
        found.append('canaries: none was planted before training')
    if groups_left_out:
        found.append(f'{groups_left_out:,} groups of users beyond the first 50')
    if result.summary.unknown:
        number = sum(result.summary.unknown.values())
        found.append(f'{number:,} requested ids or pairs that the graph does not hold')
    return found


def weaknesses(
    result: EditResult,
    parts: Findings,
    num_golds: int,
    min_golds: int,
    report: ForgetReport | None = None,
    canaries: CanaryTest | None = None,
) -> list[str]:
    """What makes the findings weaker than they look."""
    complete, attacked = parts.completeness, parts.membership
    weak = [m.name for m in parts.decisive if m.powered is False]
    found = [f'the edit: {sentence}' for sentence in result.summary.residue]
    if weak:
        found.append(
            'this request is too small to tell the original from a retrained model by '
            f'{", ".join(weak)}: being within the band says little there'
        )
    if report is not None and report.needless and parts.completeness is not None:
        found.append(f'no parameter was changed, since the run found no need: {report.reason}')
    strong = attacked.likelihood if attacked is not None else None
    if strong is not None and strong.inside is False:
        found.append(
            'the stronger attack, which knows how retrained models score, lies outside of their '
            'band; the verdict does not rest on it'
        )
    if canaries is not None and canaries.in_doubt:
        found.append(
            f'retrained models, which never saw the canaries, fail their test too (p '
            f'{p_text(min(canaries.golds))}): it says nothing of this model (p '
            f'{p_text(canaries.p_value)})'
        )
    if canaries is not None and canaries.original is not None and canaries.original >= LEVEL:
        found.append(
            f'the original does not remember the canaries either (p {p_text(canaries.original)}): '
            'that they left no trace says little'
        )
    if 0 < num_golds < min_golds:
        found.append(f'bands from {num_golds} retrained models are rough; {min_golds} are advised')
    if complete is not None and complete.num_unserved:
        found.append(
            f'{complete.num_unserved:,} forgotten pairs are of removed items: they are audited by '
            'raw scores, with the item put back as a node without edges and features'
        )
    return found
