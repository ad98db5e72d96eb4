r"""Did it work? The audit of an unlearned model, check by check."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.models.recommender import Recommender
from graphrec.unlearn.audit_report import AuditReport
from graphrec.unlearn.auditor import Auditor
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.report import ForgetReport
from graphrec.unlearn.verdict import MIN_GOLDS


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

    The verdict is ``'passed'`` if and only if every residue check holds, the forget metrics
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
    auditor = Auditor(
        data,
        edit,
        [*(golds or ()), *([gold] if gold is not None else [])],
        gold_reports=gold_reports,
        edited=edited,
        canaries=canaries,
        groups=groups,
        min_golds=min_golds,
        seed=seed,
    )
    return auditor.audit(
        original,
        unlearned,
        unlearned_models=unlearned_models or (),
        forget_report=forget_report,
        stores=stores,
        relearn=relearn,
        show_again=show_again,
    )
