"""What a model of one graph knows, as a model of another graph takes it."""

from torch import Tensor

from graphrec.errors import GraphError
from graphrec.graphs.words import carry_table
from graphrec.models.recommender import Recommender


def carried_state(model: Recommender, copy: Recommender) -> dict[str, Tensor]:
    """The state of :obj:`model` for :obj:`copy`, one of its class on another graph. Words that
    stay keep their row, new ones have the copy's; the vocabulary is that of its graph.

    Raises:
        GraphError: If the words of the model are not those of its rows.
    """
    state: dict[str, Tensor] = dict(model.state_dict())
    own, words = dict(copy.named_parameters()), model.word_rows()
    for name, known in copy.word_rows().items():
        if len(words[name]) != len(state[name]):
            raise GraphError(
                f'{name!r} has {len(state[name])} rows for {len(words[name])} words; the model '
                'mixes those of two graphs, build it anew'
            )
        state[name] = carry_table(state[name], own[name].detach(), words[name], known)
    return state
