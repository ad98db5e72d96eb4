"""Planted demands: what users look for, beside what they like."""

from dataclasses import dataclass

import numpy as np

# Dirichlet concentration of a user's demands: most users look for a few things.
_CONCENTRATION = 0.3


@dataclass(frozen=True)
class Intents:
    r"""Who looks for what.

    Attributes:
        item: The intent that each item serves :math:`(I)`.
        user: How often each user looks for each intent :math:`(U, K)`, rows sum to 1.
    """

    item: np.ndarray
    user: np.ndarray

    @property
    def num_intents(self) -> int:
        """Number of intents K."""
        return self.user.shape[1]


def draw_intents(
    num_users: int, num_intents: int, item_community: np.ndarray, rng: np.random.Generator
) -> Intents:
    """Intents spread evenly over the items of every community, in random order, and demands
    of the users that are independent of their communities."""
    order = np.lexsort((rng.random(len(item_community)), item_community))
    item = np.empty(len(item_community), dtype=np.int64)
    item[order] = np.arange(len(order)) % num_intents
    user = rng.dirichlet(np.full(num_intents, _CONCENTRATION), size=num_users)
    return Intents(item, user)


def draw_demands(intents: Intents, degree: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The intent of every pair that a user is to have, sorted by user, then intent."""
    counts = rng.multinomial(degree, intents.user)
    each = np.tile(np.arange(intents.num_intents), len(degree))
    return np.repeat(each, counts.reshape(-1))
