"""A day of requests to forget, one a minute, one by one and in batches.

Each request takes out one interaction. Measured are the cost of a request, and how far the
lists are from those of models retrained on the graph after so many requests; two retrained
models differ too, which is the yardstick. Twenty requests in turn are also compared with their
union: the graph must be the same.

    python benchmarks/unlearning_stream.py --docs docs/unlearning.md
"""

import argparse
import sys
from typing import Any

import torch
from _jobs import machine
from _timing import measured, parser
from _unlearning_sections import stream_section
from torch_geometric.data import HeteroData

from graphrec import models, unlearn
from graphrec.datasets import planted
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import train_edges
from graphrec.training import fit
from graphrec.unlearn.stream import drift, forget_stream

CONFIG = {'dim': 16, 'num_layers': 2}
SEQUENCE = 20


def requests(data: HeteroData, count: int, seed: int = 0) -> list[unlearn.Edit]:
    """As many requests of one training pair each, drawn at random."""
    edges = train_edges(data)
    order = torch.randperm(edges.size(1), generator=torch.Generator().manual_seed(seed))
    return [unlearn.RemoveInteractions([pair]) for pair in edges[:, order[:count]].t().tolist()]


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Runs the day for each size of a batch."""
    data = planted(
        args.users, args.items, num_interactions=args.interactions, modalities={}, seed=0
    )
    settings = {
        'epochs': args.epochs,
        'batch_size': 512,
        'lr': 1e-2,
        'patience': None,
        'eval_every': args.epochs,
    }
    model = models.LightGCN.from_graph(data, **CONFIG)
    fit(model, data, progress=False, **settings)
    edits = requests(data, args.requests)
    counts = [n for n in (1, 10, 100) if n < len(edits)] + [len(edits)]
    users = torch.arange(args.users)
    golds, yardstick, recalls = {}, {}, {}
    for count in counts:
        graph = unlearn.EditSet(tuple(edits[:count])).apply(data, digests=False).data
        pair = []
        for seed in (1, 2):
            gold = models.LightGCN.from_graph(graph, seed=seed, **CONFIG)
            fit(gold, graph, seed=seed, progress=False, **settings)
            pair.append(gold)
        golds[count], yardstick[count] = pair[0], drift(*pair, users)
        recalls[count] = recall(pair[0], graph)
    more = {'method': args.method, 'fit': settings, 'options': {'steps': args.steps}}
    days = {}
    for batch in args.batches:
        day = forget_stream(
            model, data, edits, batch=batch, golds=golds, drift_users=args.users,
            digests=False, **more,
        )  # fmt: skip
        history = day.history
        known = history[history['requests'].isin(counts)]
        days[batch] = {
            'runs': len(history),
            'seconds': float(history['seconds'].sum()),
            'seconds a request': float(history['seconds'].sum()) / len(edits),
            'longest run': float(history['seconds'].max()),
            'statuses': history['status'].value_counts().to_dict(),
            'drift from gold': dict(
                zip(known['requests'].tolist(), known['gold_drift'].tolist(), strict=True)
            ),
            'test recall@20': recall(day.model, day.data),
        }
    return {
        'machine': machine(),
        'settings': {n: v for n, v in vars(args).items() if isinstance(v, (int, str))},
        'counts': counts,
        'gold against gold': yardstick,
        'gold recall': recalls,
        'start against gold': {count: drift(golds[count], model, users) for count in counts},
        'days': days,
        'sequence': sequence(model, data, edits[:SEQUENCE], users, more),
    }


def sequence(
    model: models.Recommender,
    data: HeteroData,
    edits: list[unlearn.Edit],
    users: torch.Tensor,
    more: dict[str, Any],
) -> dict[str, Any]:
    """Requests one at a time against their union at once."""
    one = forget_stream(model, data, edits, **more)
    union = forget_stream(model, data, edits, batch=len(edits), **more)
    digests = [unlearn.graph_digest(each.data) for each in (one, union)]
    return {
        'requests': len(edits),
        'same graph': digests[0] == digests[1],
        'drift between both': drift(one.model, union.model, users),
        'recall one by one': recall(one.model, one.data),
        'recall at once': recall(union.model, union.data),
        'seconds one by one': float(one.history['seconds'].sum()),
        'seconds at once': float(union.history['seconds'].sum()),
    }


def recall(model: models.Recommender, data: HeteroData) -> float:
    """Recall@20 on the test part."""
    return float(evaluate(model, data, k=20, metrics='recall')['recall@20'])


def main(argv: list[str] | None = None) -> int:
    made = parser(__doc__, 'docs/benchmarks/unlearning_stream.json')
    made.add_argument('--users', type=int, default=150)
    made.add_argument('--items', type=int, default=120)
    made.add_argument('--interactions', type=int, default=4500)
    made.add_argument('--epochs', type=int, default=40)
    made.add_argument('--requests', type=int, default=1440, help='one a minute for a day')
    made.add_argument('--batches', type=int, nargs='+', default=[1, 10, 60])
    made.add_argument('--method', default='heldout_match')
    made.add_argument('--steps', type=int, default=2, help='gradient steps a run')
    return measured(made.parse_args(argv), measure, stream_section, 'stream')


if __name__ == '__main__':
    sys.exit(main())
