r"""What the report of an audit says of the request and of the run."""

from typing import Any

import torch

import graphrec.version
from graphrec.models.recommender import Recommender
from graphrec.unlearn.edits import Edit
from graphrec.unlearn.forget_set import EditResult
from graphrec.unlearn.report import ForgetReport, utc_now
from graphrec.unlearn.taken import other_counts


def request_facts(edit: Edit, result: EditResult) -> dict[str, Any]:
    """What was asked: digests and counts, no id."""
    summary, forget = result.summary, result.forget
    return {
        'digest': edit.digest(),
        'counts': {
            'interactions': forget.pairs.size(1),
            'users': forget.users.numel(),
            'items': forget.items.numel(),
            'queries': forget.queries.numel(),
            **{f'items without {name}': c.numel() for name, c in forget.modality_cells.items()},
            **other_counts(edit, result),
        },
        'edges': summary.edges,
        'rows': summary.rows,
        'mentions': summary.mentions,
        'unknown': summary.unknown,
        'graph_digest_before': summary.digest_before,
        'graph_digest_after': summary.digest_after,
    }


def run_facts(
    model: Recommender, report: ForgetReport | None, golds: int, unlearned: int, seed: int
) -> dict[str, Any]:
    """When, by which method and guarantee, with how many models."""
    return {
        'received_at': None if report is None else report.received_at,
        'unlearned_at': None if report is None else report.unlearned_at,
        'audited_at': utc_now(),
        'model': type(model).__name__,
        'method': 'not stated' if report is None else report.method,
        'guarantee': None if report is None else report.guarantee,
        'own_status': None if report is None else report.status,
        'stop_reason': None if report is None else report.reason,
        'num_golds': golds,
        'num_unlearned': unlearned,
        'seed': seed,
        'graphrec': graphrec.version.__version__,
        'torch': torch.__version__,
    }
