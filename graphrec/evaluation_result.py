r"""What an evaluation found, by metric, user and group."""

from collections.abc import Mapping

import pandas as pd


class Evaluation(dict[str, float]):
    r"""Means over users by name, ``{'recall@20': 0.11, ...}``, and what they come from.

    Attributes:
        per_user: DataFrame with a row a user: ``user`` (original id), ``num_heldout``,
            then a column a metric (coverage has none).
        per_event: Of a search evaluation, DataFrame with a row a held-out search: ``user``,
            ``query``, ``item`` (original ids), ``rank`` (from 1), then a column a metric;
            its means are the values. Otherwise :obj:`None`.
        groups: DataFrame of means by group with ``num_users``; :obj:`None` unless asked.
        num_users: Users that the means are over.
        dropped: Users left out, by reason.
        notes: Other counts that a reader of the numbers should know.
        protocol: One line that says how the numbers were made.
    """

    def __init__(
        self,
        values: Mapping[str, float],
        *,
        per_user: pd.DataFrame,
        dropped: dict[str, int],
        notes: dict[str, int],
        protocol: str,
        groups: pd.DataFrame | None = None,
        per_event: pd.DataFrame | None = None,
    ) -> None:
        super().__init__(values)
        self.per_user = per_user
        self.num_users = len(per_user)
        self.dropped = dropped
        self.notes = notes
        self.protocol = protocol
        self.groups = groups
        self.per_event = per_event

    def __str__(self) -> str:
        table = pd.Series(dict(self), dtype=float).rename_axis('name').reset_index(name='value')
        parts = [name.partition('@') for name in table['name']]
        table['metric'] = [metric for metric, _, _ in parts]
        table['k'] = [sign + k for _, sign, k in parts]
        wide = table.pivot(index='metric', columns='k', values='value')
        wide = wide.loc[table['metric'].unique(), table['k'].unique()]
        wide = wide.rename_axis(index=None, columns=None)
        lines = [self.protocol, wide.to_string(float_format='{:.4f}'.format, na_rep='')]
        if self.groups is not None:
            groups = self.groups.rename_axis(index=None)
            lines += ['by group:', groups.to_string(float_format='{:.4f}'.format)]
        lines += [f'left out: {n:,} users: {why}' for why, n in self.dropped.items() if n]
        lines += [f'note: {n:,} {what}' for what, n in self.notes.items() if n]
        return '\n'.join(lines)


def sampled_prefix(num_negatives: int | None) -> str:
    """What the names of metrics begin with: nothing for full ranking, ``'sampled99_'`` for
    ranking against 99 sampled items."""
    return '' if num_negatives is None else f'sampled{num_negatives}_'
