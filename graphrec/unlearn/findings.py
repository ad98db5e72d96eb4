"""What the statistical parts of an audit found."""

from typing import NamedTuple

from graphrec.unlearn.bands import Measure
from graphrec.unlearn.completeness import Completeness
from graphrec.unlearn.membership import Membership
from graphrec.unlearn.utility import Utility


class Findings(NamedTuple):
    """One model against the golds.

    Attributes:
        completeness: Closeness to gold; :obj:`None` if no interaction was forgotten.
        membership: Membership inference; likewise.
        utility: Quality for those who stayed.
        affected: Closeness to gold of items that lost a modality; empty if none did.
    """

    completeness: Completeness | None
    membership: Membership | None
    utility: Utility
    affected: list[Measure]

    @property
    def decisive(self) -> list[Measure]:
        """The forget metrics that the verdict rests on."""
        found = list(self.completeness.decisive) if self.completeness else []
        if self.membership is not None and self.membership.auc is not None:
            found.append(self.membership.auc)
        return found + self.affected
