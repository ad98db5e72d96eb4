"""LightGCN: seconds an epoch, evaluation, peak memory and quality, against two peers.

graphrec, torch_geometric.nn.LightGCN and the textbook torch.sparse COO form train on
the same batches from the same numbers, in turns; the losses must agree. The rounds of a
large set are a stated number of batches, scaled to the epoch. Evaluation of all users is
compared with a loop over users and with the bare product and top-k. Example:

    python benchmarks/lightgcn_epoch.py --data tiktok amazon-baby amazon-sports gowalla
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from _jobs import machine
from _peers import PEERS, Peer
from _timing import DATA_ROOT, alternate, parser, peak_memory, report, spread, write
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.datasets import load
from graphrec.evaluation import evaluate
from graphrec.graphs.operators import normalized_adjacency
from graphrec.graphs.sampling import BPRBatch, BPRSampler
from graphrec.graphs.schema import num_items, num_users, split_edges, train_edges
from graphrec.models import LightGCN
from graphrec.models.recommender import Recommender

DIM, LAYERS, BATCH, LR, K = 64, 3, 2048, 5e-3, 20
BLOCK = 256
PARTS = ('epoch', 'memory', 'evaluation', 'floor')


def batches(sampler: BPRSampler) -> Iterator[BPRBatch]:
    """Batches without end, epoch by epoch."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from sampler.epoch(generator)


class Fixed(Recommender):
    """Final embeddings of any peer, so that one evaluation serves all."""

    def __init__(self, data: HeteroData, z: tuple[Tensor, Tensor]) -> None:
        super().__init__(data, None)
        self.z = {'user': z[0], 'item': z[1]}

    def forward(self) -> dict[str, Tensor]:
        return self.z


def time_steps(
    peers: dict[str, Peer], sampler: BPRSampler, rounds: int, steps: int
) -> tuple[dict[str, list[float]], float]:
    """Seconds a batch of every peer in every round, and the largest relative difference
    of a loss from ours."""
    stream, apart = batches(sampler), 0.0
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for turn in range(rounds + 1):
        drawn = [next(stream) for _ in range(steps)]
        losses = {}
        for name, peer in peers.items():
            start = time.perf_counter()
            losses[name] = [peer.step(batch) for batch in drawn]
            if turn:  # The first round warms up.
                seconds[name].append((time.perf_counter() - start) / steps)
        for values in losses.values():
            pairs = zip(values, losses['graphrec'], strict=True)
            apart = max(apart, *(abs(a - b) / b for a, b in pairs))
    return seconds, apart


def epoch_row(data: HeteroData, args: argparse.Namespace) -> dict[str, Any]:
    """All peers on one data set."""
    sampler = BPRSampler(data, BATCH)
    peers = {p: make(data, DIM, LAYERS, LR) for p, make in PEERS.items() if p not in args.without}
    steps = min(len(sampler), args.steps)
    seconds, apart = time_steps(peers, sampler, args.rounds, steps)
    start = time.perf_counter()
    for _ in sampler.epoch(torch.Generator().manual_seed(1)):
        pass
    row: dict[str, Any] = {
        'batches': len(sampler),
        'batches timed a round': steps,
        'rounds': args.rounds,
        'largest difference of a loss': apart,
        'sampling seconds an epoch': time.perf_counter() - start,
        'peers': {},
    }
    for peer, times in seconds.items():
        quality = evaluate(Fixed(data, peers[peer].embeddings()), data, k=K)
        row['peers'][peer] = {
            'batch': spread(times),
            'epoch seconds': statistics.median(times) * len(sampler),
            'trained batches': steps * (args.rounds + 1),
            'recall@20': quality['recall@20'],
            'ndcg@20': quality['ndcg@20'],
        }
    return row


def floor(data: HeteroData) -> dict[str, float]:
    """Milliseconds of a batch that the method itself costs here: its products, the Adam
    step; and the bytes that a product has to move against the measured bandwidth."""
    op = normalized_adjacency(data)
    x = torch.randn(op.shape[0], DIM)
    big, other = torch.zeros(2**26), torch.zeros(2**26)
    parameter = torch.nn.Parameter(x.clone())
    parameter.grad = x.clone()
    adam = torch.optim.Adam([parameter], fused=True)
    steps = {
        'product': lambda: op.apply(x),
        'adam': lambda: adam.step(),
        'copy': lambda: other.copy_(big),
    }
    times = {name: statistics.median(t) for name, t in alternate(steps, 9).items()}
    bandwidth = 2 * big.nbytes / times['copy']
    # A row a non-zero if nothing stays in cache; each table once if all does.
    uncached = op.nnz * (4 * DIM + 8) + x.nbytes
    cached = 2 * x.nbytes + op.nnz * 8
    return {
        'product ms': 1e3 * times['product'],
        'adam ms': 1e3 * times['adam'],
        'bandwidth GB/s': bandwidth / 1e9,
        'product ms, every row from memory': 1e3 * uncached / bandwidth,
        'product ms, every row once': 1e3 * cached / bandwidth,
    }


def evaluation_row(data: HeteroData, users_looped: int, rounds: int) -> dict[str, Any]:
    """Evaluation of all users against its floor and against a loop over users."""
    model = LightGCN.from_graph(data, dim=DIM, num_layers=LAYERS)
    z = model()
    user, item = z['user'].detach(), z['item'].detach()
    test = split_edges(data, 'test')
    people = test[0].unique()

    def bare() -> None:
        for block in people.split(BLOCK):
            torch.topk(user[block] @ item.t(), K, dim=1)

    def looped() -> float:
        train, recall = train_edges(data), 0.0
        seen: dict[int, list[int]] = {}
        wanted: dict[int, set[int]] = {}
        for u, i in train.t().tolist():
            seen.setdefault(u, []).append(i)
        for u, i in test.t().tolist():
            wanted.setdefault(u, set()).add(i)
        for u in people[:users_looped].tolist():
            scores = item @ user[u]
            scores[seen.get(u, [])] = -torch.inf
            top = torch.topk(scores, K).indices.tolist()
            recall += len(wanted[u].intersection(top)) / len(wanted[u])
        return recall

    steps = {
        'graphrec.evaluate': lambda: evaluate(model, data, k=K),
        'product and top-k alone': bare,
        'loop over users': looped,
    }
    times = {name: statistics.median(t) for name, t in alternate(steps, rounds, 1).items()}
    times['loop over users'] *= people.numel() / min(people.numel(), users_looped)
    return {'users': people.numel(), 'users looped over': users_looped, 'seconds': times}


def child(name: str, peer: str) -> None:
    """A few steps of one peer in a process of its own, for its peak memory."""
    data = load(DATA_ROOT / name)
    stream = batches(BPRSampler(data, BATCH))
    made = PEERS[peer](data, DIM, LAYERS, LR)
    for _ in range(3):
        made.step(next(stream))


def table(record: dict[str, Any]) -> str:
    """Markdown from the stored record."""
    lines, rows = [], []
    for name, cell in record['cells'].items():
        base = cell['epoch']['peers']['graphrec']
        for peer, values in cell['epoch']['peers'].items():
            rows.append(
                {
                    'data': name,
                    'code': peer,
                    'ms a batch (quartiles)': f'{values["batch"]["median_ms"]:.1f} '
                    f'({values["batch"]["q1_ms"]:.1f}–{values["batch"]["q3_ms"]:.1f})',
                    's an epoch': values['epoch seconds'],
                    'ratio': f'{values["epoch seconds"] / base["epoch seconds"]:.1f}×',
                    'peak GB': cell['memory'][peer] / 1e9,
                    'R@20 after the same batches': f'{values["recall@20"]:.4f}',
                }
            )
    lines += [report(rows), '']
    rows = []
    for name, cell in record['cells'].items():
        seconds = cell['evaluation']['seconds']
        mine = seconds['graphrec.evaluate']
        rows.append(
            {
                'data': name,
                'users': cell['evaluation']['users'],
                'graphrec.evaluate s': mine,
                'product and top-k alone s': seconds['product and top-k alone'],
                'ratio to the floor': f'{mine / seconds["product and top-k alone"]:.2f}×',
                'loop over users s': seconds['loop over users'],
                'ratio of the loop': f'{seconds["loop over users"] / mine:.1f}×',
            }
        )
    lines += [report(rows), '']
    rows = []
    for name, cell in record['cells'].items():
        parts, epoch = cell['floor'], cell['epoch']
        step = epoch['peers']['graphrec']['batch']['median_ms']
        uncached = parts['product ms, every row from memory']
        once = parts['product ms, every row once']
        rows.append(
            {
                'data': name,
                'step ms': step,
                'six products ms': 6 * parts['product ms'],
                'Adam ms': parts['adam ms'],
                'sampling ms': 1e3 * epoch['sampling seconds an epoch'] / epoch['batches'],
                'one product ms': parts['product ms'],
                'bytes floor ms, rows uncached / once': f'{uncached:.2f} / {once:.2f}',
                'bandwidth GB/s': parts['bandwidth GB/s'],
            }
        )
    return '\n'.join([*lines, report(rows)])


def main() -> None:
    args_parser = parser(__doc__, 'runs/lightgcn_epoch.json')
    sets = ['tiktok', 'amazon-baby', 'amazon-sports', 'gowalla']
    args_parser.add_argument('--data', nargs='+', default=sets, help='data sets')
    args_parser.add_argument('--rounds', type=int, default=5)
    args_parser.add_argument('--steps', type=int, default=30, help='batches a round at most')
    args_parser.add_argument('--users-looped', type=int, default=3000)
    args_parser.add_argument(
        '--parts', nargs='+', default=list(PARTS), choices=PARTS, help='the others are kept'
    )
    args_parser.add_argument('--without', nargs='*', default=[], choices=list(PEERS)[1:])
    args_parser.add_argument('--child', choices=list(PEERS), help=argparse.SUPPRESS)
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        child(args.data[0], args.child)
        return
    setting = {'dim': DIM, 'layers': LAYERS, 'batch size': BATCH, 'lr': LR}
    record: dict[str, Any] = {'machine': machine(), 'setting': setting, 'cells': {}}
    if args.parts != list(PARTS) and args.out.is_file():
        record['cells'] = json.loads(args.out.read_text())['cells']
    for name in args.data:
        data = load(DATA_ROOT / name)
        cell = record['cells'].setdefault(name, {})
        cell |= {
            'users': num_users(data),
            'items': num_items(data),
            'edges': train_edges(data).size(1),
        }
        if 'epoch' in args.parts:
            cell['epoch'] = epoch_row(data, args)
        if 'memory' in args.parts:
            cell['memory'] = {
                peer: peak_memory([__file__, '--child', peer, '--data', name]) for peer in PEERS
            }
        if 'evaluation' in args.parts:
            cell['evaluation'] = evaluation_row(data, args.users_looped, args.rounds)
        if 'floor' in args.parts:
            cell['floor'] = floor(data)
        write(args.out, record)
    print(table(record))


if __name__ == '__main__':
    main()
