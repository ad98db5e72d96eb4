"""Views of the nodes that an edit left, for objectives that compare all nodes."""

import torch
from torch import Tensor


def remaining_rows(
    there: Tensor | None, z1: Tensor, z2: Tensor, ids: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Two views without the rows of removed nodes, which keep their number in the graph: as
    candidates of a contrast they would still be trained.

    Args:
        there: Numbers of the nodes that are left (:func:`graphrec.graphs.schema.remaining`), as
            many as :math:`n`; :obj:`None` for all.
        z1: View :math:`(N, d)` of all nodes.
        z2: View :math:`(N, d)`.
        ids: Anchors, all of them left.

    Returns:
        The views :math:`(n, d)`, and the places of the anchors in them.
    """
    if there is None:
        return z1, z2, ids
    there = there.to(z1.device)
    if ids is not None:
        place = torch.zeros(z1.size(0), dtype=torch.long, device=z1.device)
        ids = place.index_copy(0, there, torch.arange(there.numel(), device=z1.device))[ids]
    return z1[there], z2[there], ids
