"""Checks of what the planted generator is asked for."""

from collections.abc import Mapping

import numpy as np

from graphrec.datasets.planted_sides import Modality
from graphrec.errors import GraphError

DEFAULT_MODALITIES: Mapping[str, Modality] = {
    'visual': Modality(dim=32, informativeness=0.8, noise=0.5),
    'text': Modality(dim=32, informativeness=0.5, noise=0.5),
}


def read_modalities(
    modalities: Mapping[str, Modality | float] | None,
    missing_share: float | Mapping[str, float],
) -> dict[str, Modality]:
    """Every modality by name, with its share of missing items; the defaults for none."""
    chosen = DEFAULT_MODALITIES if modalities is None else modalities
    if not isinstance(chosen, Mapping):
        raise GraphError(
            f"'modalities' needs to be a dict of names to Modality (got {type(chosen).__name__})"
        )
    by_name = missing_share if isinstance(missing_share, Mapping) else {}
    stray = sorted(set(by_name) - set(chosen))
    if stray:
        raise GraphError(f"'missing_share' names {stray[0]!r}, modalities are {sorted(chosen)}")
    parts = {}
    for name, value in chosen.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise GraphError(f"'modalities' holds the name {name!r}; use a plain word, 'visual'")
        if not isinstance(value, Modality):
            value = Modality(informativeness=value)
        lost = missing_share if not isinstance(missing_share, Mapping) else by_name.get(name, 0.0)
        part = Modality(value.dim, value.informativeness, value.noise, lost or value.missing_share)
        at = f'modalities[{name!r}]'
        _need_int(f'{at}.dim', part.dim, 1)
        _need_float(f'{at}.informativeness', part.informativeness, 0, 1)
        _need_float(f'{at}.noise', part.noise, 0)
        _need_float(f'missing_share of {name!r}', part.missing_share, 0, 1)
        parts[name] = part
    return parts


def check_arguments(
    *,
    num_users: int,
    num_items: int,
    num_interactions: int | None,
    num_communities: int,
    num_queries: int,
    num_intents: int,
    popularity_skew: float,
    community_strength: float,
    silent_share: float,
    noise_share: float,
    duplicate_share: float,
    ratios: tuple[float, float, float],
    seed: int,
) -> None:
    """Raises :class:`GraphError` at the first argument that is out of its range."""
    _need_int('num_users', num_users, 1)
    _need_int('num_items', num_items, 1)
    _need_int('num_interactions', num_interactions, 1, num_users * num_items)
    _need_int('num_communities', num_communities, 1, num_items)
    _need_int('num_queries', num_queries, 0)
    _need_int('num_intents', num_intents, 0, num_items)
    _need_int('seed', seed, 0)
    _need_float('popularity_skew', popularity_skew, 0, 10)
    _need_float('community_strength', community_strength, 0, 1)
    _need_float('silent_share', silent_share, 0, 1)
    _need_float('noise_share', noise_share, 0, 1)
    _need_float('duplicate_share', duplicate_share, 0, 0.5)
    if not isinstance(ratios, (tuple, list)) or len(ratios) != 3:
        raise GraphError(f"'ratios' needs three shares (train, valid, test) (got {ratios!r})")
    for share in ratios:
        _need_float('ratios', share, 0, 1)
    if ratios[0] <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise GraphError(
            f"'ratios' needs to sum to 1 with a training share above 0 (got {tuple(ratios)})"
        )


def is_int(value: object) -> bool:
    """Whether a value is a whole number and no switch."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _need_int(name: str, value: object, low: int, high: int | None = None) -> None:
    if not is_int(value) or value < low or (high is not None and value > high):  # type: ignore[operator]
        upper = f' and at most {high}' if high is not None else ''
        raise GraphError(
            f"'{name}' needs to be an integer of at least {low}{upper} (got {value!r})"
        )


def _need_float(name: str, value: object, low: float, high: float | None = None) -> None:
    number = isinstance(value, (int, float, np.integer, np.floating))
    if (
        not number
        or isinstance(value, bool)
        or not np.isfinite(value)  # type: ignore[call-overload]
        or value < low  # type: ignore[operator]
        or (high is not None and value > high)  # type: ignore[operator]
    ):
        upper = f' and at most {high}' if high is not None else ''
        raise GraphError(f"'{name}' needs to be a number of at least {low}{upper} (got {value!r})")
