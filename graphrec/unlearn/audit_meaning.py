"""What a verdict means, in a sentence that says no more than was found."""

from graphrec.unlearn import audit_words as words
from graphrec.unlearn.audit_report import AuditReport
from graphrec.unlearn.bands import MIN_GOLDS_OF_BAND
from graphrec.unlearn.verdict import NOT_MEASURABLE, UTILITY_LOSS


def meaning(report: AuditReport) -> str:
    """The meaning of the verdict for the head of the page."""
    if report.status == UTILITY_LOSS and report.run['num_golds'] < MIN_GOLDS_OF_BAND:
        return words.WITHOUT_GOLD
    if report.status == NOT_MEASURABLE and _speaks_against(report):
        return words.OPEN
    return words.MEANING[report.status]


def _speaks_against(report: AuditReport) -> bool:
    """Whether anything measured is not as it should be, though it does not decide."""
    measures = [*(report.completeness.decisive if report.completeness else []), *report.affected]
    if report.membership is not None:
        measures += [m for m in (report.membership.auc, report.membership.likelihood) if m]
    found = any(measure.inside is False for measure in measures)
    found |= any(test.outcome in ('worse', 'inconclusive') for test in report.utility.equivalence)
    if report.canaries is not None:
        found |= bool(report.canaries.side) or report.canaries.in_doubt
    return found
