"""What an edit took out of a graph, and how much of it."""

import dataclasses
from typing import Any

from torch import Tensor
from torch_geometric.data import HeteroData


@dataclasses.dataclass(frozen=True, eq=False)
class ForgetSet:
    r"""What is to be forgotten, in node numbers of the graph before any renumbering. Only
    what this edit really took is in it: a second application of the edit gives an empty one.

    Attributes:
        pairs: Training pairs :math:`(2, F)` that are gone, for whatever reason.
        users: Removed users.
        items: Removed items.
        queries: Removed queries.
        modality_cells: Numbers of the items that lost a modality, by its name; those of
            removed items too.
        events: Training search events :math:`(3, Q)` that are gone: user, query, item.
        heldout: Held-out pairs :math:`(2, n)` that are gone, by split.
        emptied: Users that stay and lost their last training pairs, with no search left
            either. Training would never draw them, so their row would stay as it began.
    """

    pairs: Tensor
    users: Tensor
    items: Tensor
    queries: Tensor
    modality_cells: dict[str, Tensor]
    events: Tensor
    heldout: dict[str, Tensor]
    emptied: Tensor

    def __bool__(self) -> bool:
        sizes = [self.pairs.size(1), self.events.size(1)]
        sizes += [each.numel() for each in (self.users, self.items, self.queries)]
        sizes += [each.numel() for each in self.modality_cells.values()]
        sizes += [each.size(1) for each in self.heldout.values()]
        return any(sizes)

    def __repr__(self) -> str:  # Numbers of nodes do not belong in a log.
        return (
            f'ForgetSet({self.pairs.size(1)} pairs, {self.users.numel()} users, '
            f'{self.items.numel()} items, {self.queries.numel()} queries, '
            f'{self.events.size(1)} events)'
        )


@dataclasses.dataclass(frozen=True)
class EditSummary:
    r"""How much an edit changed, without any id.

    Attributes:
        nodes: Removed nodes by node type, sessions of removed users included.
        edges: Removed edges by edge type, ``'user interacts item'``; copies count one by
            one.
        rows: Attribute rows that were blanked, ``'item.x_visual'``, and labels that went,
            ``'user interacts item.edge_label_index'``.
        mentions: References from other nodes that were cut, ``'item.knn_visual_index'``.
        unknown: Requested ids and pairs that the graph does not hold, by kind.
        noop: Whether nothing changed.
        digest_before: :func:`~graphrec.unlearn.graph_digest` of the graph before; empty
            if it was not asked for.
        digest_after: The digest afterwards.
        residue: What the edit cannot reach, in sentences.
    """

    nodes: dict[str, int]
    edges: dict[str, int]
    rows: dict[str, int]
    mentions: dict[str, int]
    unknown: dict[str, int]
    noop: bool
    digest_before: str
    digest_after: str
    residue: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        if self.noop:
            lines = ['nothing removed: the graph holds nothing of what the edit asks for']
        else:
            parts = [f'{n:,} {name} nodes' for name, n in self.nodes.items()]
            parts += [f'{n:,} edges {name}' for name, n in self.edges.items()]
            parts += [f'{n:,} rows of {name}' for name, n in self.rows.items()]
            parts += [f'{n:,} mentions in {name}' for name, n in self.mentions.items()]
            lines = ['removed: ' + ', '.join(parts)]
        lines += [f'not in the graph: {n:,} of the {kind}' for kind, n in self.unknown.items()]
        return '\n'.join([*lines, *self.residue])


@dataclasses.dataclass(frozen=True, eq=False)
class EditResult:
    r"""An edited graph and what was taken out of it.

    Attributes:
        data: The edited graph; it shares no memory with the one before.
        forget: What was taken out.
        summary: How much.
        id_map: With ``compact=True`` the new number of every old node by node type, -1
            for one that is gone; :obj:`None` otherwise.
    """

    data: HeteroData
    forget: ForgetSet
    summary: EditSummary
    id_map: dict[str, Tensor] | None = None
