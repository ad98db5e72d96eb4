"""A copy of a model on an edited graph, in which removed nodes are as if never trained."""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, USER
from graphrec.models.recommender import Recommender
from graphrec.training_run import epoch_generator
from graphrec.unlearn.carrying import carried_state
from graphrec.unlearn.forget_set import ForgetSet
from graphrec.unlearn.sharded import ShardedRecommender

Rows = dict[str, tuple[Tensor, Tensor]]


def copy_on(model: Recommender, data: HeteroData) -> tuple[Recommender, dict[str, Tensor]]:
    r"""The parameters of :obj:`model` on a model built for :obj:`data`, and what that graph
    says its trained features (:meth:`Recommender.feature_rows`) were at first.

    Building anew is :meth:`Recommender.refresh` with nothing left over: operators, caches,
    generators and fitted buffers (:meth:`Recommender.fitted_buffers`) of the old graph are
    never in the copy. The input model is only read.

    Raises:
        GraphError: If the model has parameters and names no row of a node, or its words are
            not those of its rows.
    """
    if isinstance(model, ShardedRecommender):
        return model.on_graph(data), {}
    if model.is_trainable and not model.node_rows():
        raise GraphError(
            f'{type(model).__name__} does not say which of its rows are nodes, so that removed '
            'ones would stay in it; give it node_rows()'
        )
    copy = type(model)(data, model.config)
    own = dict(copy.named_parameters())
    features = {name: own[name].detach().clone() for name in copy.feature_rows()}
    fitted = set(model.fitted_buffers())
    state = carried_state(model, copy)
    state = {key: value for key, value in state.items() if key not in fitted}
    missing, _ = copy.load_state_dict(state, strict=False)
    unknown = set(missing) - fitted
    if unknown:
        raise GraphError(f"the model's state has no {sorted(unknown)[0]!r}; save and load it anew")
    return copy.eval(), features


def fresh_seed(seed: int) -> int:
    """The seed of the draw for removed rows in a run with :obj:`seed`."""
    return epoch_generator(seed, 0, 'fresh rows').initial_seed()


def fresh_rows(
    model: Recommender, forget: ForgetSet, seed: int, features: dict[str, Tensor] | None = None
) -> Rows:
    r"""What the rows of removed nodes become: by parameter or buffer the row numbers
    :math:`(n)` and their values :math:`(n, \ldots)`, drawn by the model's own initialiser
    from :obj:`seed`; nothing for a model in closed form. So do those of users that stay with
    nothing to learn from (``forget.emptied``): all that the row knew is forgotten, and a
    training on the edited graph would leave it as it began. Rows of trained features take
    what the edited graph gives instead, those of items that lost a modality too.

    Args:
        model: On the edited graph, see :func:`copy_on`; unchanged afterwards.
        forget: What was taken out.
        seed: Of the draw, see :func:`fresh_seed`; with the model's own the rows would be
            those that it started from.
        features: What trained features are at first.
    """
    if not model.is_trainable or isinstance(model, ShardedRecommender):
        return {}  # Built from the graph alone, or trained anew where rows were touched.
    features = features or {}
    tables = dict(model.named_parameters()) | dict(model.named_buffers())
    blank = torch.cat([forget.items, *forget.modality_cells.values()]).unique()
    offsets = {USER: model.num_users, ITEM: model.num_items}
    removed = {USER: torch.cat([forget.users, forget.emptied]), ITEM: forget.items}
    rows: dict[str, Tensor] = {}
    for name, types in model.node_rows().items():
        start, parts = 0, []
        for kind in types:
            gone = blank if name in features else removed[kind]
            parts.append(gone.to(tables[name].device) + start)
            start += offsets[kind]
        rows[name] = torch.cat(parts)
    drawn = _draw(model, [name for name, index in rows.items() if index.numel()], seed)
    drawn |= features
    return {name: (index, drawn[name][index]) for name, index in rows.items() if index.numel()}


@torch.no_grad()
def put_rows(model: Recommender, rows: Rows) -> None:
    """Writes the rows of :func:`fresh_rows`."""
    tables = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, (index, values) in rows.items():
        tables[name][index] = values.to(tables[name])


@torch.no_grad()
def _draw(model: Recommender, names: list[str], seed: int) -> dict[str, Tensor]:
    """Tables as the initialiser draws them from another seed; the model ends as it was."""
    if not names:
        return {}
    reset: Callable[[], None] | None = getattr(model, 'reset_parameters', None)
    if reset is None:
        raise GraphError(
            f'{type(model).__name__} has no reset_parameters(), which draws rows of removed nodes'
        )
    config = model.config
    held = {key: value.clone() for key, value in model.state_dict().items()}
    try:
        model.config = dataclasses.replace(config, seed=seed)
        reset()
        tables = dict(model.named_parameters()) | dict(model.named_buffers())
        return {name: tables[name].detach().clone() for name in names}
    finally:
        model.config = config
        model.load_state_dict(held)
