"""Methods of unlearning, one file each, and the register of them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from graphrec.errors import GraphError
from graphrec.unlearn.methods.ascent_retain import AscentRetainOptions, ascent_retain
from graphrec.unlearn.methods.distil import DistilOptions, distil
from graphrec.unlearn.methods.edit_only import EditOnlyOptions, edit_only
from graphrec.unlearn.methods.finetune import finetune
from graphrec.unlearn.methods.gold import GoldOptions, gold
from graphrec.unlearn.methods.grad_ascent import GradAscentOptions, grad_ascent
from graphrec.unlearn.methods.heldout_match import HeldoutMatchOptions, heldout_match
from graphrec.unlearn.methods.ifru import IFRUOptions, ifru
from graphrec.unlearn.methods.influence import InfluenceOptions, influence
from graphrec.unlearn.methods.mmrecun import MMRecUnOptions, mmrecun
from graphrec.unlearn.methods.receraser import RecEraserOptions, receraser
from graphrec.unlearn.methods.rrl import RRLOptions, rrl
from graphrec.unlearn.methods.sisa import SISAOptions, sisa
from graphrec.unlearn.methods.suppress import SuppressOptions, suppress
from graphrec.unlearn.repair import RepairOptions
from graphrec.unlearn.task import Outcome, Task

__all__ = ['METHODS', 'Method', 'method_options']


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of unlearning.

    Attributes:
        run: The function from a task and options to an outcome.
        options: The class of its options.
        guarantee: Guarantee class with its default options: ``'E'`` exact, ``'A'`` approximate
            (audited), ``'S'`` suppressed.
        moves: Whether it changes parameters, so that a run without a change has failed.
        by_graph: Whether it relies on the edit of the graph alone, so that a run has failed if the
            scores are those of before as well.
    """

    run: Callable[[Task, Any], Outcome]
    options: type
    guarantee: str = 'A'
    moves: bool = True
    by_graph: bool = False

    @property
    def is_repair(self) -> bool:
        """Whether it repairs a model on the edited graph: it is neither trained anew nor left
        on the old graph."""
        return self.by_graph or (self.moves and self.guarantee == 'A')


METHODS: dict[str, Method] = {
    'gold': Method(gold, GoldOptions, 'E'),
    'suppress': Method(suppress, SuppressOptions, 'S', moves=False),
    'edit_only': Method(edit_only, EditOnlyOptions, moves=False, by_graph=True),
    'finetune': Method(finetune, RepairOptions),
    'grad_ascent': Method(grad_ascent, GradAscentOptions),
    'ascent_retain': Method(ascent_retain, AscentRetainOptions),
    'mmrecun': Method(mmrecun, MMRecUnOptions),
    'rrl': Method(rrl, RRLOptions),
    'distil': Method(distil, DistilOptions),
    'influence': Method(influence, InfluenceOptions),
    'ifru': Method(ifru, IFRUOptions),
    'sisa': Method(sisa, SISAOptions, 'E', moves=False),
    'receraser': Method(receraser, RecEraserOptions, moves=False),
    'heldout_match': Method(heldout_match, HeldoutMatchOptions),
}


def method_options(name: str, given: Any) -> Any:
    """The options of a method, from an instance of its class, a mapping, or nothing.

    Raises:
        GraphError: If the method is unknown, or has no option of that name.
    """
    if name not in METHODS:
        raise GraphError(f'there is no method {name!r}; there are {[*METHODS, "auto"]}')
    cls = METHODS[name].options
    if isinstance(given, cls):
        return given
    if given is not None and not isinstance(given, Mapping):
        raise GraphError(
            f"'options' must be a {cls.__name__} or a dict for {name!r} (got {given!r})"
        )
    given = dict(given or {})
    known = [field.name for field in dataclasses.fields(cls)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise GraphError(f'{name!r} has no option {unknown[0]!r}; its options are {known}')
    return cls(**given)
