"""Which attributes of a graph name other nodes by their number, and which nodes belong to
another one: what an edit has to follow beyond the edges."""

from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import FEATURE_PREFIX, ITEM, PRESENT_PREFIX, SESSION, USER, EdgeType

ENTITY = 'entity'
OPENS: EdgeType = (USER, 'opens', SESSION)

#: Nodes that belong to the node which this attribute names, and go with it: the sessions
#: of a user, the entity that an item is in a knowledge graph. -1 names nobody.
BELONGINGS: dict[tuple[str, str], str] = {
    (SESSION, 'user'): USER,
    (ENTITY, 'item'): ITEM,
}
#: All attributes that hold one node number a node.
REFERENCES: dict[tuple[str, str], str] = {**BELONGINGS, (ITEM, 'duplicate_of'): ITEM}
#: Edge types from an owner to what belongs to it.
OWNERSHIP: tuple[EdgeType, ...] = (OPENS,)

NEIGHBOURS_PREFIX, NEIGHBOURS_SUFFIX = 'knn_', '_index'
#: What belongs to a modality of items begins so.
MODALITY_PREFIXES = (FEATURE_PREFIX, PRESENT_PREFIX, NEIGHBOURS_PREFIX, 'code_')


def target_of(node_type: str, name: str, value: object) -> str | None:
    """The node type whose numbers the attribute holds, :obj:`None` for one that holds
    other values. Frozen neighbour lists (``knn_<modality>_index``) name items."""
    if not isinstance(value, Tensor) or value.is_floating_point():
        return None
    if node_type == ITEM and is_neighbour_list(name):
        return ITEM
    return REFERENCES.get((node_type, name))


def is_neighbour_list(name: str) -> bool:
    """Whether an item attribute is a frozen list of neighbours."""
    return name.startswith(NEIGHBOURS_PREFIX) and name.endswith(NEIGHBOURS_SUFFIX)


def checked_numbers(data: HeteroData, node_type: str, name: str, target: str) -> Tensor:
    """The node numbers of an attribute.

    Raises:
        GraphError: If one is not a node, so that an edit could not follow it.
    """
    value = data[node_type][name]
    count = int(data[target].num_nodes) if target in data.node_types else 0
    if value.numel() and (int(value.min()) < -1 or int(value.max()) >= count):
        raise GraphError(
            f'data[{node_type!r}].{name} runs from {int(value.min())} to {int(value.max())}, '
            f'expected numbers of the {count} {target} nodes, or -1 for none'
        )
    return value


def owners(data: HeteroData, node_type: str) -> list[tuple[Tensor, Tensor]]:
    """Pairs (user numbers, node numbers) that say to which users the nodes of a type
    belong, one pair of vectors for each way in which the graph says so."""
    found = []
    for (owned, name), target in BELONGINGS.items():
        if (owned, target) == (node_type, USER) and node_type in data.node_types:
            value = data[node_type].get(name)
            if target_of(node_type, name, value) == USER:
                user = checked_numbers(data, node_type, name, USER)
                node = (user >= 0).nonzero().squeeze(1)
                found.append((user[node], node))
    for edge_type in OWNERSHIP:
        if edge_type[2] == node_type and edge_type in data.edge_types:
            user, node = data[edge_type].edge_index
            found.append((user, node))
    return found
