r"""Did it work? The audit of an unlearned model, check by check."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import USER, num_users
from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph
from graphrec.unlearn.audit_facts import request_facts, run_facts
from graphrec.unlearn.audit_report import AuditReport
from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND, Measure
from graphrec.unlearn.built_for import check_model
from graphrec.unlearn.canaries import canary_uniformity
from graphrec.unlearn.case import Case, ask, make_case
from graphrec.unlearn.check import Setting
from graphrec.unlearn.completeness import Completeness, completeness, overlaps
from graphrec.unlearn.cost import cost
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.membership import Attacked, Membership, membership
from graphrec.unlearn.put_back import put_back
from graphrec.unlearn.relearning import relearning
from graphrec.unlearn.report import ForgetReport
from graphrec.unlearn.residue import residue
from graphrec.unlearn.shortcomings import find_failures, unmeasured, weaknesses
from graphrec.unlearn.utility import Served, Utility, utility
from graphrec.unlearn.verdict import MIN_GOLDS, NOOP, Verdict, verdict

_MAX_GROUPS = 8
_MIN_USERS = 10


def audit(
    original: Recommender,
    unlearned: Recommender,
    gold: Recommender | None = None,
    data: HeteroData | None = None,
    edit: Edit | None = None,
    *,
    golds: Sequence[Recommender] | None = None,
    unlearned_models: Sequence[Recommender] | None = None,
    forget_report: ForgetReport | None = None,
    gold_reports: Sequence[ForgetReport] = (),
    edited: HeteroData | None = None,
    canaries: Tensor | None = None,
    stores: Mapping[str, Any] | None = None,
    groups: str | None = None,
    min_golds: int = MIN_GOLDS,
    relearn: bool = False,
    show_again: bool = False,
    seed: int = 0,
) -> AuditReport:
    r"""Audits a model after unlearning: residue, closeness to models retrained without the
    data, membership inference, utility, cost, and a verdict.

    The verdict is ``'passed'`` if and only if every residue check is exact, the forget metrics
    lie in the band that retrained (*gold*) models span, and utility is equivalent to theirs.
    Without golds it is never ``'passed'``: residue, membership against held-out pairs and
    utility against the original are still checked, and what is missing is named. Neither a
    model nor the graph is changed.

    Args:
        original: The model before, on :obj:`data`.
        unlearned: The model after, on the edited graph.
        gold: A model retrained from scratch on the edited graph.
        data: The graph before the edit.
        edit: What was to be forgotten.
        golds: Several such models with seeds of their own; the protocol asks for five.
        unlearned_models: Other models that the same method gave with other seeds; they make
            the margins of pairs and the test of equivalence sharper.
        forget_report: Of the run, for method, guarantee class, seed and cost.
        gold_reports: Of the golds' runs, for the cost.
        edited: The graph that the running system holds; by default :obj:`edit` is applied to
            :obj:`data`.
        canaries: User and item numbers :math:`(2, m)` of planted pairs that the edit forgets,
            see :func:`graphrec.unlearn.insert_canaries`.
        stores: Further things that the running system holds, by name (caches, an index, the
            state of an optimiser): each is searched for forgotten pairs and must hold nothing
            of the size of the nodes.
        groups: A column of the users that names protected groups.
        min_golds: Golds that a pass asks for.
        relearn: Whether to measure how soon each model learns the forgotten pairs again, see
            :func:`~graphrec.unlearn.relearning.relearning`. It trains copies of all models.
        show_again: Whether removed items are also audited with their features put back, see
            :func:`~graphrec.unlearn.put_back.put_back`; without, they are put back bare.
        seed: Of the bootstrap and of drawn pairs.

    Raises:
        GraphError: If :obj:`data` or :obj:`edit` is missing, a model is of other size than the
            graph, or the users have no such column.
    """
    if data is None or edit is None:
        name = 'data' if data is None else 'edit'
        raise GraphError(f"'{name}' is missing; an audit needs the graph before and the edit")
    retrained = [*(golds or ()), *([gold] if gold is not None else [])]
    more = [m for m in unlearned_models or () if m is not unlearned]
    check_model(original, data, 'original')
    for model in (unlearned, *more):
        check_graph(model, data)  # What edges it stands on is a check of residue.
    result = edit.apply(data)
    graph = result.data if edited is None else edited
    for model in retrained:
        check_model(model, graph, 'gold')
    checks = residue(
        Setting(
            data=data,
            edited=graph,
            edit=edit,
            forget=result.forget,
            digest=result.summary.digest_after,
            original=original,
            unlearned=unlearned,
            seed=None if forget_report is None else forget_report.seed,
            stores=stores or {},
        )
    )
    case = make_case(data, graph, result.forget, seed)
    before, after = ask(original, case), ask(unlearned, case)
    gold_answers = [ask(model, case) for model in retrained]
    other_answers = [ask(model, case) for model in more]
    chosen = _groups(data, case, groups)
    parts = _compare(case, before, after, gold_answers, other_answers, chosen, seed)
    others: list[Measure | None] = []
    if relearn:
        pairs = case.pairs, case.negatives
        others.append(relearning(original, unlearned, retrained, *pairs, seed=seed))
    if show_again:
        others.append(put_back(original, unlearned, retrained, case, graph, data))
    failures = find_failures(
        checks, case, original, unlearned, before, [after, *gold_answers], forget_report
    )
    canary = None if canaries is None else canary_uniformity(unlearned, graph, canaries.cpu())
    missing = unmeasured(case, result, edit, canaries is not None)
    decided = _decide(failures, parts, len(retrained), result, missing, min_golds)
    return AuditReport(
        verdict=decided,
        request=request_facts(edit, result),
        run=run_facts(unlearned, forget_report, len(retrained), len(more) + 1, seed),
        checks=checks,
        completeness=parts[0],
        membership=parts[1],
        utility=parts[2],
        cost=None if forget_report is None else cost(forget_report, gold_reports),
        canaries=canary,
        others=[measure for measure in others if measure is not None],
        gold_self_check=_self_check(case, before, gold_answers),
        limits=weaknesses(result, parts, len(retrained), min_golds),
        scores=_score_sample(case, before, after, gold_answers),
    )


def _compare(
    case: Case,
    before: tuple[Attacked, Served],
    after: tuple[Attacked, Served],
    golds: Sequence[tuple[Attacked, Served]],
    others: Sequence[tuple[Attacked, Served]],
    groups: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> tuple[Completeness | None, Membership | None, Utility]:
    """The statistical parts; the first two are :obj:`None` without forgotten pairs."""
    lists = overlaps(
        before[1].lists, after[1].lists, [g[1].lists for g in golds], case.overlap_groups
    )
    complete, attacked = None, None
    if case.pairs.numel():
        complete = completeness(
            case.pairs,
            case.served,
            before[0].forgotten,
            after[0].forgotten,
            [g[0].forgotten for g in golds],
            [m[0].forgotten for m in others],
            lists,
        )
        attacked = membership(
            case.pairs,
            case.heldout,
            case.matches,
            before[0],
            after[0],
            [g[0] for g in golds],
            case.strata,
            seed,
        )
    useful = utility(
        case.truth,
        case.split,
        before[1],
        after[1],
        [g[1] for g in golds],
        [m[1] for m in others],
        case.user_degree[case.users],
        case.item_degree,
        case.distance,
        int(case.candidates.sum()),
        groups,
    )
    return complete, attacked, useful


def _decide(
    failures: Sequence[str],
    parts: tuple[Completeness | None, Membership | None, Utility],
    num_golds: int,
    result: EditResult,
    missing: Sequence[str],
    min_golds: int,
) -> Verdict:
    complete, attacked, useful = parts
    if result.summary.noop and not failures:
        return Verdict(NOOP, ('the graph holds nothing of what was asked to be forgotten',))
    measures = [*(complete.decisive if complete else [])]
    if attacked is not None and attacked.auc is not None:
        measures.append(attacked.auc)
    # An item that is gone is matched with items that are not: 0.5 is no yardstick then. Nor
    # is an interval over a handful of users.
    plain = not result.forget.items.numel()
    plain &= result.forget.pairs[0].unique().numel() >= _MIN_USERS
    return verdict(
        failures,
        measures,
        useful.equivalence,
        num_golds,
        auc_interval=attacked.interval if attacked and plain else None,
        recall_change=useful.clear_change,
        not_measured=missing,
        min_golds=min_golds,
    )


def _groups(data: HeteroData, case: Case, column: str | None) -> dict[str, Tensor] | None:
    if column is None:
        return None
    values = data[USER].get(column)
    if values is None or len(values) != num_users(data):
        raise GraphError(
            f"'groups' is {column!r}, but the users have no such column (they have "
            f'{sorted(data[USER].keys())})'
        )
    listed = [str(values[int(user)]) for user in case.users]
    names = sorted(set(listed))[:_MAX_GROUPS]
    return {
        f'{column} {n + 1}': torch.tensor([v == name for v in listed])
        for n, name in enumerate(names)
    }


def _self_check(
    case: Case, before: tuple[Attacked, Served], golds: Sequence[tuple[Attacked, Served]]
) -> dict[str, int] | None:
    """How often a gold, audited against the others, is inside their band: by metric, and all
    at once. It says how strict the bands are."""
    if len(golds) <= MIN_GOLDS_OF_BAND or not case.pairs.numel():
        return None
    count: dict[str, int] = {}
    for place, gold in enumerate(golds):
        rest = [other for n, other in enumerate(golds) if n != place]
        complete, attacked, _ = _compare(case, before, gold, rest, ())
        assert complete is not None
        assert attacked is not None
        measures = [*complete.decisive, *([attacked.auc] if attacked.auc else [])]
        for measure in measures:
            count[measure.name] = count.get(measure.name, 0) + int(bool(measure.inside))
        count['all'] = count.get('all', 0) + int(all(m.inside for m in measures))
    return {'golds': len(golds), **count}


def _score_sample(
    case: Case,
    before: tuple[Attacked, Served],
    after: tuple[Attacked, Served],
    golds: Sequence[tuple[Attacked, Served]],
) -> dict[str, list[float]]:
    """Standardised scores for the plots: sorted, without any pair they could be traced to, and
    only where there are enough of them."""
    found = {
        'forgotten, original': before[0].forgotten.z,
        'forgotten, unlearned': after[0].forgotten.z,
        'held out, unlearned': after[0].heldout.z[case.matches.other],
    }
    if golds:
        found['forgotten, gold'] = golds[0][0].forgotten.z
    if min(z.numel() for z in found.values()) < 20:
        return {}
    points = torch.linspace(0, 1, 101, dtype=torch.float64)
    return {name: torch.quantile(z, points).tolist() for name, z in found.items()}
