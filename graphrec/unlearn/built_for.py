"""Whether a model stands on the graph that it is asked about."""

from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph


def check_model(model: Recommender, data: HeteroData, name: str = 'model') -> None:
    """Refuses a model of other nodes, or whose message passing is over other training edges
    (:attr:`Recommender.training_digest`), than those of :obj:`data`.

    Raises:
        GraphError: If it was built for another graph.
    """
    check_graph(model, data)
    built = model.training_digest
    if built is not None and built != model.data_digest(data):
        raise GraphError(
            f'{name!r} was built for other training edges than those of this graph; give the graph '
            "that it was trained on, or call 'refresh(data)' to put it on these edges"
        )
