"""A day of requests to forget, one a minute, one by one and in batches.

Each request takes out one interaction. Measured are the cost of a request, and how far the
lists are from those of models retrained on the graph after so many requests; two retrained
models differ too, which is the yardstick. At the end of the day the pairs of all requests together
are many enough to tell whether they were forgotten: by the area of membership inference against
held-out pairs, as a run's own check has it. Twenty requests in turn are also compared with their
union: the graph must be the same.

    python benchmarks/unlearning_stream.py
    python benchmarks/unlearning_stream.py --data lastfm-2k-mm
"""

import argparse
import sys
from typing import Any

import torch
from _jobs import machine, with_validation
from _timing import DATA_ROOT, measured, parser
from _unlearning_plan import BACKBONES, SETS, Backbone, planted_backbone, trained
from _unlearning_sections import stream_section
from torch_geometric.data import HeteroData

from graphrec import models, unlearn
from graphrec.datasets import load, planted
from graphrec.evaluation import evaluate
from graphrec.graphs.schema import train_edges
from graphrec.training import fit
from graphrec.unlearn.automatic import TABLE
from graphrec.unlearn.monitor import Monitor
from graphrec.unlearn.stream import drift, forget_stream

SEQUENCE = 20
PLANTED = 'planted'


def requests(data: HeteroData, count: int, seed: int = 0) -> list[unlearn.Edit]:
    """As many requests of one training pair each, drawn at random."""
    edges = train_edges(data)
    order = torch.randperm(edges.size(1), generator=torch.Generator().manual_seed(seed))
    return [unlearn.RemoveInteractions([pair]) for pair in edges[:, order[:count]].t().tolist()]


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Runs the day for each size of a batch."""
    data, backbone = setting(args)
    model = trained(backbone, data, 0, models.LightGCN, fit)
    edits = requests(data, args.requests)
    counts = [n for n in (1, 10, 100) if n < len(edits)] + [len(edits)]
    users = torch.arange(model.num_users)
    golds, yardstick, recalls = {}, {}, {}
    union = unlearn.EditSet(tuple(edits)).apply(data, digests=False)
    monitor = Monitor(union.data, union.forget)
    for count in counts:
        graph = unlearn.EditSet(tuple(edits[:count])).apply(data, digests=False).data
        pair = [trained(backbone, graph, seed, models.LightGCN, fit) for seed in (1, 2)]
        golds[count], yardstick[count] = pair[0], drift(*pair, users)
        recalls[count] = recall(pair[0], graph)
    own = TABLE['few interactions'][0][1] if args.method == 'heldout_match' else {}
    more = {'method': args.method, 'fit': backbone.fit, 'options': own | {'steps': args.steps}}
    days = {}
    for batch in args.batches:
        day = forget_stream(
            model, data, edits, batch=batch, golds=golds, drift_users=users.numel(),
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
            'forget auc': monitor.auc(day.model),
        }
    return {
        'machine': machine(),
        'settings': {n: v for n, v in vars(args).items() if isinstance(v, (int, str))}
        | {'users': model.num_users, 'items': model.num_items},
        'counts': counts,
        'gold against gold': yardstick,
        'gold recall': recalls,
        'gold forget auc': monitor.auc(golds[len(edits)]),
        'start forget auc': monitor.auc(model),
        'start against gold': {count: drift(golds[count], model, users) for count in counts},
        'days': days,
        'sequence': sequence(model, data, edits[:SEQUENCE], users, more),
    }


def setting(args: argparse.Namespace) -> tuple[HeteroData, Backbone]:
    """The graph, and LightGCN with its settings: those chosen for a real set."""
    if args.data != PLANTED:
        data, _ = with_validation(load(DATA_ROOT / args.data))
        return data, next(each for each in BACKBONES[args.data] if each.name == 'LightGCN')
    data = planted(
        args.users, args.items, num_interactions=args.interactions, modalities={}, seed=0
    )
    return data, planted_backbone(args.epochs)


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
    made.add_argument('--data', default=PLANTED, choices=[PLANTED, *SETS])
    made.add_argument('--users', type=int, default=150)
    made.add_argument('--items', type=int, default=120)
    made.add_argument('--interactions', type=int, default=4500)
    made.add_argument('--epochs', type=int, default=40)
    made.add_argument('--requests', type=int, default=1440, help='one a minute for a day')
    made.add_argument('--batches', type=int, nargs='+', default=[1, 10, 60])
    made.add_argument('--method', default='heldout_match')
    made.add_argument('--steps', type=int, default=10, help='gradient steps a run')
    args = made.parse_args(argv)
    if args.data != PLANTED and args.out == made.get_default('out'):
        args.out = args.out.with_name(f'unlearning_stream-{args.data}.json')
    return measured(args, measure, stream_section, 'stream')


if __name__ == '__main__':
    sys.exit(main())
