"""UDITSR: seconds an epoch and peak memory, against the textbook form of the same loss.

Both train on the same batches from the same numbers, in turns; the losses must agree. The
textbook form computes the intent of every recommendation edge from its concatenated inputs and
passes messages edge by edge; graphrec makes per-node products once, generates once a pair and
sums before the last layer. A round is a stated number of batches, scaled to the epoch.

    python benchmarks/search_epoch.py --data lastfm-2k-mm ml-latest-small
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import torch
from _jobs import machine
from _textbook_search import TextbookUDITSR
from _timing import DATA_ROOT, parser, peak_memory, report, spread, write, write_section
from lightgcn_epoch import batches, time_steps
from torch_geometric.data import HeteroData

from graphrec.datasets import load
from graphrec.graphs.search_sampling import SearchBatch
from graphrec.models import UDITSR

PEERS = ('graphrec', 'textbook')
HEAD = """## UDITSR

`python benchmarks/search_epoch.py --docs docs/performance.md`: one epoch of UDITSR on two
threads, the same batches and numbers for both, alternating, medians of five rounds of five
batches scaled to the epoch. *textbook* makes the intent of every recommendation edge from its
concatenated inputs and passes messages edge by edge. Both compute the same loss, so the quality
is the same: the last column is the largest difference of a loss, relative. Peaks are those of
whole processes.
"""


class Trained:
    """A form of the model with its optimiser."""

    def __init__(self, module: torch.nn.Module, loss: Callable[[SearchBatch], Any]) -> None:
        self.loss = loss
        self.optimizer = torch.optim.AdamW(
            module.parameters(), lr=1e-3, weight_decay=1e-5, fused=True
        )

    def step(self, batch: SearchBatch) -> float:
        """One step of training; its loss."""
        loss = self.loss(batch)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())


def make(model: UDITSR, peer: str) -> Trained:
    """A peer with the parameters of the model."""
    if peer == 'graphrec':
        return Trained(model, model.loss)
    textbook = TextbookUDITSR(model)
    return Trained(textbook, textbook.loss)


def build(data: HeteroData, args: argparse.Namespace) -> UDITSR:
    """The model with the settings that are timed."""
    return UDITSR.from_graph(data, dim=args.dim, recommendations=args.recommendations)


def epoch_row(data: HeteroData, args: argparse.Namespace) -> dict[str, Any]:
    """Both forms on one data set."""
    model = build(data, args)
    sampler = model.make_sampler(data, args.batch_size)
    steps = min(len(sampler), args.steps)
    peers = {'textbook': make(model, 'textbook'), 'graphrec': make(model, 'graphrec')}
    seconds, apart = time_steps(peers, sampler, args.rounds, steps)
    row: dict[str, Any] = {
        'events': model.events.user.numel(),
        'recommendation pairs': int(model.pairs.recommended.sum()),
        'words': len(model.words.words),
        'batches': len(sampler),
        'batches timed a round': steps,
        'rounds': args.rounds,
        'largest difference of a loss': apart,
    }
    for peer, times in seconds.items():
        median = statistics.median(times)
        row[peer] = {'batch': spread(times), 'epoch seconds': median * len(sampler)}
    return row


def child(args: argparse.Namespace) -> None:
    """A few steps of one form in a process of its own, for its peak memory."""
    data = load(DATA_ROOT / args.data[0])
    model = build(data, args)
    stream = batches(model.make_sampler(data, args.batch_size))
    peer = make(model, args.child)
    for _ in range(3):
        peer.step(next(stream))


def table(record: dict[str, Any]) -> str:
    """One line a data set."""
    rows = []
    for name, cell in record['cells'].items():
        ours, theirs = (cell['epoch'][peer]['epoch seconds'] for peer in PEERS)
        rows.append(
            {
                'data': name,
                'events': cell['epoch']['events'],
                'pairs': cell['epoch']['recommendation pairs'],
                'graphrec s/epoch': ours,
                'textbook s/epoch': theirs,
                'ratio': f'{theirs / ours:.1f}×',
                'graphrec peak GB': cell['memory']['graphrec'] / 1e9,
                'textbook peak GB': cell['memory']['textbook'] / 1e9,
                'losses differ by': f'{cell["epoch"]["largest difference of a loss"]:.1e}',
            }
        )
    return report(rows)


def main() -> None:
    args_parser = parser(__doc__, 'runs/search_epoch.json')
    add = args_parser.add_argument
    add('--data', nargs='+', default=['lastfm-2k-mm', 'ml-latest-small'], help='data sets')
    add('--dim', type=int, default=100)
    add('--batch-size', type=int, default=2048)
    add('--recommendations', default='other', help='which interactions are recommendations')
    add('--rounds', type=int, default=5)
    add('--steps', type=int, default=5, help='batches a round at most')
    add('--child', choices=PEERS, help=argparse.SUPPRESS)
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        child(args)
        return
    shown = ('dim', 'batch_size', 'recommendations')
    setting = {name: getattr(args, name) for name in shown}
    record: dict[str, Any] = {'machine': machine(), 'setting': setting, 'cells': {}}
    options = [x for name in shown for x in (f'--{name.replace("_", "-")}', str(setting[name]))]
    for name in args.data:
        cell = record['cells'][name] = {'epoch': epoch_row(load(DATA_ROOT / name), args)}
        cell['memory'] = {
            peer: peak_memory(
                [
                    __file__,
                    '--child',
                    peer,
                    '--data',
                    name,
                    '--threads',
                    str(args.threads),
                    *options,
                ]
            )
            for peer in PEERS
        }
        write(args.out, record)
    text = table(record)
    write_section(args.docs, 'search_epoch', f'{HEAD}\n{text}')
    print(text)


if __name__ == '__main__':
    main()
