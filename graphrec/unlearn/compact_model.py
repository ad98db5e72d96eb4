"""A model without the rows of removed nodes, and back."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.models.recommender import Recommender
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.fresh_rows import copy_on, fresh_rows, fresh_seed, put_rows
from graphrec.unlearn.sharded import ShardedRecommender


@torch.no_grad()
def compact_model(model: Recommender, data: HeteroData, id_map: dict[str, Tensor]) -> Recommender:
    r"""The model on the graph without its removed nodes, in evaluation mode: parameters are
    the same but for the rows of those nodes (:meth:`Recommender.node_rows`), which are left
    out. What it says of the others does not change, as a removed node has no edges.

    Args:
        model: On the edited graph, all nodes in their places; unchanged.
        data: The same graph compacted, see :func:`~graphrec.unlearn.compacting.compacted`.
        id_map: New number of every old node by node type, -1 for one that is gone.

    Raises:
        GraphError: If the model is sharded.
    """
    _check(model)
    small = type(model)(data, model.config)
    held = model.state_dict()
    rows = _rows(model, id_map)
    fitted = {n for n in model.fitted_buffers() if held[n].shape != small.state_dict()[n].shape}
    state = {
        name: value[rows[name] >= 0] if name in rows else value
        for name, value in held.items()
        if name not in fitted - rows.keys()
    }
    small.load_state_dict(state, strict=False)
    return small.eval()


@torch.no_grad()
def expanded_model(
    small: Recommender,
    data: HeteroData,
    id_map: dict[str, Tensor],
    forget: ForgetSet,
    seed: int,
) -> Recommender:
    r"""Undoes :func:`compact_model` for an audit: the rows of removed nodes become the draw of
    the run's seed again, which is all that a run leaves in them.

    Args:
        small: The compact model; unchanged.
        data: The edited graph with all nodes in their places.
        id_map: As for :func:`compact_model`.
        forget: What was taken out.
        seed: Of the run.
    """
    _check(small)
    model = type(small)(data, small.config)
    state = model.state_dict()
    rows = _rows(model, id_map)
    for name, value in small.state_dict().items():
        if name in rows:
            state[name] = state[name].clone()
            state[name][rows[name] >= 0] = value
        elif state[name].shape == value.shape:
            state[name] = value
    model.load_state_dict(state)
    copy, features = copy_on(model, data)
    copy.load_state_dict(state)
    drawn = fresh_rows(copy, forget, fresh_seed(seed), features)
    gone = {name: rows[name][index] < 0 for name, (index, _) in drawn.items()}
    put_rows(
        copy, {name: (index[gone[name]], row[gone[name]]) for name, (index, row) in drawn.items()}
    )
    return copy.eval()


def _rows(model: Recommender, id_map: dict[str, Tensor]) -> dict[str, Tensor]:
    """For every table of rows of nodes the new number of each, -1 for one that is gone."""
    device = next(iter(model.state_dict().values())).device if model.state_dict() else 'cpu'
    return {
        name: torch.cat([id_map[kind] for kind in types]).to(device)
        for name, types in model.node_rows().items()
    }


def _check(model: Recommender) -> None:
    if isinstance(model, ShardedRecommender):
        raise GraphError(
            'a sharded model numbers the nodes of each shard by itself and cannot be compacted; '
            "leave out 'compact'"
        )
