"""RecEraser: shards by similarity, joined by attention."""

import dataclasses

from graphrec.unlearn.methods.sisa import SISAOptions, retrain_touched
from graphrec.unlearn.task import Outcome, Task


@dataclasses.dataclass(frozen=True)
class RecEraserOptions(SISAOptions):
    """Options of :func:`receraser`, as those of
    :class:`~graphrec.unlearn.methods.sisa.SISAOptions`."""

    partition: str = 'user'


def receraser(task: Task, options: RecEraserOptions) -> Outcome:
    r"""`"Recommendation Unlearning" <https://arxiv.org/abs/2201.06820>`_ (Chen et al., WWW
    2022): :func:`~graphrec.unlearn.methods.sisa.sisa` with shards of similar users or
    interactions, joined by attention that is trained anew on all retained interactions.

    Class A: the partition follows embeddings that were trained with what is forgotten, and
    that is a residue; with ``partition='random'`` class E. The published code propagates
    the aggregator over the full graph and picks epochs on the test set; neither is done here.
    """
    return retrain_touched(task, options, 'attention')
