r"""How models see the items that lost a modality: closeness to gold where no pair was forgotten."""

from collections.abc import Sequence

import torch
from torch import Tensor

from graphrec.unlearn.bands import Measure, distances
from graphrec.unlearn.utility import Served, mean_drift


def affected_items(
    chosen: Tensor, original: Served, unlearned: Served, golds: Sequence[Served]
) -> list[Measure]:
    r"""What a modality had taught shows in the scores of the items that lost it, to all users.
    Two distances from gold, beside gold's from gold:

    - *drift*: one minus the correlation over users of an item's standardised scores, mean over
      the items: who the item is recommended to;
    - *level*: the difference of an item's mean standardised score, absolute, mean over the
      items: how high it stands.

    Args:
        chosen: Bool :math:`(I)`, the items that lost a modality and are still in the catalogue.
        original: Of the model before.
        unlearned: Of the model under audit.
        golds: Of the golds.

    Returns:
        Both measures; nothing without such items or without golds. A model outside of the band
        leans towards memory if its drift from the original is less than that of the golds.
    """
    if not golds or not chosen.any():
        return []

    def drift(a: Served, b: Served) -> float:
        return mean_drift(a, b, chosen)

    def level(a: Served, b: Served) -> float:
        return float((a.scores[:, chosen].mean(0) - b.scores[:, chosen].mean(0)).abs().mean())

    usual = torch.tensor([drift(original, gold) for gold in golds]).mean()
    lean = 1 if drift(original, unlearned) < float(usual) else -1
    found = []
    for name, distance in (('drift', drift), ('level', level)):
        before, after, between = distances(distance, original, unlearned, golds)
        label = f'{name}, items that lost a modality'
        found.append(Measure(label, before, after, between, distance=True, lean=lean))
    return found
