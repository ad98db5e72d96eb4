r"""Many audits of one request: what does not depend on the model is made once."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph
from graphrec.unlearn.affected import affected_items
from graphrec.unlearn.audit_facts import request_facts, run_facts
from graphrec.unlearn.audit_report import AuditReport
from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND, Measure
from graphrec.unlearn.built_for import check_model
from graphrec.unlearn.canaries import CanaryTest, canary_uniformity
from graphrec.unlearn.case import Case, ask, make_case
from graphrec.unlearn.check import Check, Setting
from graphrec.unlearn.completeness import completeness, overlaps
from graphrec.unlearn.cost import cost
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.findings import Findings
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.membership import Attacked, membership
from graphrec.unlearn.nothing_left import check_left
from graphrec.unlearn.protected_groups import protected_groups
from graphrec.unlearn.put_back import put_back
from graphrec.unlearn.relearning import relearning
from graphrec.unlearn.report import ForgetReport
from graphrec.unlearn.residue import GRAPH_CHECKS, residue
from graphrec.unlearn.shortcomings import find_failures, unmeasured, weaknesses
from graphrec.unlearn.untouched import is_untouched
from graphrec.unlearn.utility import Served, utility
from graphrec.unlearn.verdict import MIN_GOLDS, NOOP, Verdict, verdict

_MIN_USERS = 10


Answers = tuple[Attacked, Served]


class Auditor:
    """Audits the results of many methods or seeds for one request, as
    :func:`graphrec.unlearn.audit` does each; the edit is applied once and every model is asked
    once. Models that were seen must not be trained any more.

    Args:
        data: The graph before the edit.
        edit: What was to be forgotten.
        golds: Models retrained from scratch on the edited graph.
        gold_reports: Of the golds' runs, for the cost.
        edited: The graph that the running system holds; by default the edit is applied.
        canaries: See :func:`graphrec.unlearn.audit`, as the others.
        groups: A column of the users that names protected groups.
        min_golds: Golds that a pass asks for.
        seed: Of the bootstrap and of drawn pairs.

    Raises:
        GraphError: If a gold is of other size than the graph, the users have no such column, or
            the edit leaves nothing to learn from.
    """

    def __init__(
        self,
        data: HeteroData,
        edit: Edit,
        golds: Sequence[Recommender] = (),
        *,
        gold_reports: Sequence[ForgetReport] = (),
        edited: HeteroData | None = None,
        canaries: Tensor | None = None,
        groups: str | None = None,
        min_golds: int = MIN_GOLDS,
        seed: int = 0,
    ) -> None:
        self.data, self.edit, self.golds, self.seed = data, edit, list(golds), seed
        self.gold_reports, self.canaries, self.min_golds = gold_reports, canaries, min_golds
        self._result = edit.apply(data)
        if not self._result.summary.noop:
            check_left(self._result.data)
        self._graph = self._result.data if edited is None else edited
        for model in self.golds:
            check_model(model, self._graph, 'gold')
        self._case = make_case(data, self._graph, self._result.forget, seed)
        self._groups = protected_groups(data, self._case.users, groups)
        # The model is held too, so that no other takes its number.
        self._asked: dict[int, tuple[Recommender, Answers]] = {}
        self._graph_checks: dict[str, Check] = {}
        self._checked: dict[int, dict[str, int] | None] = {}
        self._untouched: dict[int, bool] = {}

    def audit(
        self,
        original: Recommender,
        unlearned: Recommender,
        *,
        unlearned_models: Sequence[Recommender] = (),
        forget_report: ForgetReport | None = None,
        stores: Mapping[str, Any] | None = None,
        relearn: bool = False,
        show_again: bool = False,
    ) -> AuditReport:
        """One audit; arguments and errors are those of :func:`graphrec.unlearn.audit`."""
        more = [m for m in unlearned_models if m is not unlearned]
        check_model(original, self.data, 'original')
        for model in (unlearned, *more):
            check_graph(model, self.data)  # What edges it stands on is a check of residue.
        case, result, golds = self._case, self._result, self.golds
        checks = residue(
            Setting(
                data=self.data,
                edited=self._graph,
                edit=self.edit,
                forget=result.forget,
                digest=result.summary.digest_after,
                original=original,
                unlearned=unlearned,
                seed=None if forget_report is None else forget_report.seed,
                method=None if forget_report is None else forget_report.method,
                stores=stores or {},
            ),
            self._graph_checks,
        )
        self._graph_checks = {c.name: c for c in checks if c.name in GRAPH_CHECKS}
        before, after = self._ask(original), self._ask(unlearned)
        retrained = [self._ask(model) for model in golds]
        others = [self._ask(model) for model in more]
        parts = _compare(case, before, after, retrained, others, self._groups.masks, self.seed)
        measures: list[Measure | None] = []
        if relearn:
            pairs = case.pairs, case.negatives
            measures.append(relearning(original, unlearned, golds, *pairs, seed=self.seed))
        if show_again:
            measures.append(put_back(original, unlearned, golds, case, self._graph, self.data))
        untouched = self._is_untouched(original)
        failures = find_failures(
            checks,
            case,
            original,
            unlearned,
            before,
            [after, *retrained],
            forget_report,
            untouched,
        )
        canary = self._test_canaries(original, unlearned)
        missing = unmeasured(
            case, result, self.edit, self.canaries is not None, self._groups.left_out
        )
        return AuditReport(
            verdict=_decide(
                failures, parts, len(golds), result, missing, self.min_golds, untouched, canary
            ),
            request=request_facts(self.edit, result),
            run=run_facts(unlearned, forget_report, len(golds), len(more) + 1, self.seed),
            checks=checks,
            completeness=parts.completeness,
            membership=parts.membership,
            utility=parts.utility,
            affected=parts.affected,
            cost=None if forget_report is None else cost(forget_report, self.gold_reports),
            canaries=canary,
            others=[measure for measure in measures if measure is not None],
            gold_self_check=self._self_check(original),
            limits=weaknesses(result, parts, len(golds), self.min_golds, forget_report, canary),
            scores=_score_sample(case, before, after, retrained),
        )

    def drop(self, models: Sequence[Recommender]) -> None:
        """Lets go of what these models were asked, where they will not be seen again."""
        for model in models:
            self._asked.pop(id(model), None)

    def _ask(self, model: Recommender) -> Answers:
        if id(model) not in self._asked:
            self._asked[id(model)] = (model, ask(model, self._case))
        return self._asked[id(model)][1]

    def _test_canaries(self, original: Recommender, unlearned: Recommender) -> CanaryTest | None:
        if self.canaries is None:
            return None
        models = [unlearned, original, *self.golds]
        pairs = self.canaries.cpu()
        found, before, *golds = [canary_uniformity(m, self._graph, pairs) for m in models]
        return dataclasses.replace(
            found, original=before.p_value, golds=tuple(gold.p_value for gold in golds)
        )

    def _is_untouched(self, original: Recommender) -> bool:
        if id(original) not in self._untouched:
            forget = self._result.forget
            self._untouched[id(original)] = is_untouched(original, self.data, self._graph, forget)
        return self._untouched[id(original)]

    def _self_check(self, original: Recommender) -> dict[str, int] | None:
        if id(original) not in self._checked:
            golds = [self._ask(gold) for gold in self.golds]
            self._checked[id(original)] = _self_check(self._case, self._ask(original), golds)
        return self._checked[id(original)]


def _compare(
    case: Case,
    before: Answers,
    after: Answers,
    golds: Sequence[Answers],
    others: Sequence[Answers],
    groups: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> Findings:
    """The statistical parts of one audit."""
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
    affected = affected_items(case.affected, before[1], after[1], [g[1] for g in golds])
    return Findings(complete, attacked, useful, affected)


def _decide(
    failures: Sequence[str],
    parts: Findings,
    num_golds: int,
    result: EditResult,
    missing: Sequence[str],
    min_golds: int,
    untouched: bool,
    canaries: CanaryTest | None,
) -> Verdict:
    attacked = parts.membership
    if result.summary.noop and not failures:
        return Verdict(NOOP, ('the graph holds nothing of what was asked to be forgotten',))
    # An item that is gone is matched with items that are not: 0.5 is no yardstick then. Nor
    # is an interval over a handful of users.
    plain = not result.forget.items.numel()
    plain &= result.forget.pairs[0].unique().numel() >= _MIN_USERS
    return verdict(
        failures,
        parts.decisive,
        parts.utility.equivalence,
        num_golds,
        auc_interval=attacked.interval if attacked and plain else None,
        recall_change=parts.utility.clear_change,
        not_measured=missing,
        min_golds=min_golds,
        untouched=untouched,
        canaries=canaries,
    )


def _self_check(case: Case, before: Answers, golds: Sequence[Answers]) -> dict[str, int] | None:
    """How often a gold, audited against the others, is inside their band: by metric, and all
    at once. It says how strict the bands are."""
    if len(golds) <= MIN_GOLDS_OF_BAND or not (case.pairs.numel() or case.affected.any()):
        return None
    count: dict[str, int] = {}
    for place, gold in enumerate(golds):
        rest = [other for n, other in enumerate(golds) if n != place]
        measures = _compare(case, before, gold, rest, ()).decisive
        for measure in measures:
            count[measure.name] = count.get(measure.name, 0) + int(bool(measure.inside))
        count['all'] = count.get('all', 0) + int(all(m.inside for m in measures))
    return {'golds': len(golds), **count}


def _score_sample(
    case: Case,
    before: Answers,
    after: Answers,
    golds: Sequence[Answers],
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
