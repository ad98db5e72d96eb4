"""The parts of one score, as tables, text and a picture."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graphrec.graphs.path_drawing import DrawnPath, draw_paths

OWN = 'own embedding'
FACTORS = 'user × item factor'


@dataclasses.dataclass(frozen=True)
class Explanation:
    r"""What :func:`explain` found. All ids are original ones.

    Attributes:
        user: The user.
        item: The item.
        model: Class name of the model.
        score: The model's score of the pair.
        table: The strongest paths: ``path`` (text), ``length`` (edges), ``weight``,
            ``match``, ``contribution`` = weight · match, ``share`` of the score. The
            places are dealt out evenly among the lengths, since long paths are many
            and small.
        contributions: Parts that add up to the score, strongest first: ``source``,
            ``item``, ``title``, ``contribution``, ``share``; one row a training item
            of the user, and one for what comes from no item.
        layers: For a model with layers, the parts of all pairs of layers, which also
            add up to the score: ``user_layer``, ``item_layer``, ``contribution``,
            ``share``; otherwise :obj:`None`.
        covered: Share of the score that the paths in :attr:`table` carry.
        num_paths: Number of paths that there are.
        residual: Score less the sum of :attr:`contributions`: rounding.
        note: One sentence on how to read it.
    """

    user: Any
    item: Any
    model: str
    score: float
    table: pd.DataFrame
    contributions: pd.DataFrame
    layers: pd.DataFrame | None
    covered: float
    num_paths: int
    residual: float
    note: str
    _paths: list[DrawnPath] = dataclasses.field(repr=False)
    _target: tuple[str, str] = dataclasses.field(repr=False)

    def draw(self, path: str | os.PathLike[str]) -> Path:
        r"""Draws the paths of :attr:`table` to a PNG or SVG; the number behind a training
        item is the whole part of the score that goes through it.

        Raises:
            GraphError: If the suffix is another one or the file cannot be written.
        """
        start = self._paths[0].boxes[0][1]
        return draw_paths(
            self._paths,
            self._target,
            path,
            title=f'{start} and {self._target[1]}: score {self.score:.4g} ({self.model})',
            subtitle=self._summary(),
            via='' if self.layers is None else 'training item (all that goes through it)',
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types, ready for JSON (undefined shares are ``None``)."""
        names = ('user', 'item', 'model', 'score', 'covered', 'num_paths', 'residual', 'note')
        values = {name: getattr(self, name) for name in names}
        values['covered'] = self.covered if np.isfinite(self.covered) else None
        for name in ('table', 'contributions', 'layers'):
            frame = getattr(self, name)
            values[name] = None if frame is None else _records(frame)
        return values

    def __str__(self) -> str:
        lines = [f'user {self.user}, item {self.item}: score {self.score:.6g} ({self.model})']
        lines += [self._summary(), '', _printed(self.contributions, 10), '']
        if self.layers is not None:
            square = self.layers.pivot(
                index='user_layer', columns='item_layer', values='contribution'
            )
            lines += [square.to_string(float_format=lambda value: f'{value:.4g}'), '']
        if self.num_paths:
            lines += [self.note, '', _printed(self.table, len(self.table))]
        return '\n'.join(lines).rstrip()

    def _summary(self) -> str:
        via = self.contributions.loc[self.contributions['source'] == 'item', 'contribution']
        if self.num_paths == 0:
            return self.note
        own = self.contributions.loc[self.contributions['source'] == OWN, 'contribution']
        parts = [f'own embedding {own.sum():+.3g}'] if len(own) else []
        parts.append(f'{len(via):,} training item{"s" * (len(via) != 1)} {via.sum():+.3g}')
        shown = f'{len(self.table):,} of {self.num_paths:,} paths shown'
        carried = f', with {self.covered:.1%} of the score' if np.isfinite(self.covered) else ''
        return f'score = {" and ".join(parts)} · {shown}{carried}'


def _printed(frame: pd.DataFrame, rows: int) -> str:
    shown = frame.head(rows).copy()
    shown['share'] = ['' if np.isnan(s) else f'{s:.2%}' for s in shown['share']]
    if 'item' in shown:
        shown['item'] = ['' if value is None else value for value in shown['item']]
    text = shown.to_string(index=False, float_format=lambda value: f'{value:.4g}')
    left = len(frame) - rows
    return f'{text}\n… and {left:,} more' if left > 0 else text


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    records = frame.to_dict('records')
    return [{str(k): None if v != v else plain(v) for k, v in row.items()} for row in records]


def plain(value: Any) -> Any:
    """A NumPy scalar as the Python one; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value
