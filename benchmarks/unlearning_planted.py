"""Planted data, where the truth is known: is what a foreign block taught gone?

Some users are taught items of another community, which nothing else in the data says that they
like. Every method forgets the block; the mean standardised score of its pairs is compared with
that of models retrained without it.

    python benchmarks/unlearning_planted.py --docs docs/unlearning.md
"""

import argparse
import statistics
import sys
import time
from typing import Any

from _jobs import machine
from _timing import measured, parser
from _unlearning_plan import METHODS, planted_backbone, trained
from _unlearning_sections import planted_section

from graphrec import models, unlearn
from graphrec.datasets import planted
from graphrec.evaluation import evaluate
from graphrec.training import fit
from graphrec.unlearn.foreign_block import teach_block
from graphrec.unlearn.standardised import user_scores


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Trains, forgets by every method, and measures."""
    data = planted(
        args.users,
        args.items,
        num_interactions=args.interactions,
        num_communities=4,
        community_strength=0.9,
        popularity_skew=0.5,
        modalities={},
        seed=0,
    )
    taught, pairs = teach_block(data, args.block_users, args.block_items, seed=1)
    backbone = planted_backbone(args.epochs)
    original = trained(backbone, taught, 0, models.LightGCN, fit)
    edit = unlearn.RemoveInteractions(pairs.t().tolist())
    edited = edit.apply(taught)

    def run(method: str, seed: int = 0) -> dict[str, Any]:
        start = time.perf_counter()
        result = unlearn.forget(
            original, taught, edit, method, seed=seed, fit=backbone.fit, data_edited=edited
        )
        return figures(result.model) | {
            'status': result.report.status,
            'steps': result.report.steps,
            'seconds': time.perf_counter() - start - result.report.seconds['evaluation'],
        }

    def figures(model: models.Recommender) -> dict[str, Any]:
        return {
            'level': float(user_scores(model.ranker(), edited.data, pairs).z.mean()),
            'test recall@20': evaluate(model, edited.data, k=20, metrics='recall')['recall@20'],
        }

    golds = [run('gold', seed) for seed in range(1, args.golds + 1)]
    return {
        'machine': machine(),
        'settings': {name: value for name, value in vars(args).items() if isinstance(value, int)},
        'pairs': pairs.size(1),
        'original': figures(original),
        'golds': golds,
        'methods': {method: run(method) for method in METHODS},
        'gold level': statistics.mean(gold['level'] for gold in golds),
    }


def main(argv: list[str] | None = None) -> int:
    made = parser(__doc__, 'docs/benchmarks/unlearning_planted.json')
    made.add_argument('--users', type=int, default=200)
    made.add_argument('--items', type=int, default=120)
    made.add_argument('--interactions', type=int, default=3500)
    made.add_argument('--block-users', type=int, default=15)
    made.add_argument('--block-items', type=int, default=12)
    made.add_argument('--epochs', type=int, default=40)
    made.add_argument('--golds', type=int, default=5)
    return measured(made.parse_args(argv), measure, planted_section, 'planted')


if __name__ == '__main__':
    sys.exit(main())
