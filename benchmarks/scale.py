"""LightGCN on planted graphs from 10^5 to 10^7 edges: seconds and memory against size.

Each size runs in a process of its own. Every step propagates over the whole graph, so
one step is linear in the edges; the number of steps an epoch is the edges over the batch
size. The script times steps of one batch size, and an epoch of a fixed number of steps
(the batch grows with the graph), and fits the exponent of seconds against edges. Example:

    python benchmarks/scale.py --edges 1e5 1e6 1e7 --plot docs/scale.png
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _jobs import machine, peak_memory
from _timing import parser, report, write
from matplotlib.figure import Figure

from graphrec.datasets import planted
from graphrec.graphs.sampling import BPRSampler
from graphrec.graphs.schema import train_edges
from graphrec.memory import estimate
from graphrec.models import LightGCN

STEPS_AN_EPOCH = 50
EDGES_A_USER = 20


def one_size(edges: int, dim: int, num_layers: int, rounds: int) -> dict[str, Any]:
    """Generation, building, steps and memory for one size."""
    start = time.perf_counter()
    users = edges // EDGES_A_USER
    data = planted(
        users,
        users // 2,
        num_interactions=round(edges / 0.8),
        num_communities=max(8, users // 500),
        modalities={},
        seed=0,
    )
    generated = time.perf_counter()
    model = LightGCN.from_graph(data, dim=dim, num_layers=num_layers)
    built = time.perf_counter()
    trained = train_edges(data).size(1)
    cell: dict[str, Any] = {
        'edges': trained,
        'nodes': model.num_users + model.num_items,
        'generate seconds': generated - start,
        'build seconds': built - generated,
    }
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    for name, size in (('2048', 2048), ('epoch', math.ceil(trained / STEPS_AN_EPOCH))):
        sampler = BPRSampler(data, size)
        stream = sampler.epoch(torch.Generator().manual_seed(0))
        seconds = []
        last = time.perf_counter()
        for _, batch in zip(range(rounds + 1), stream, strict=False):
            model.loss(batch).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            now = time.perf_counter()
            seconds.append(now - last)
            last = now
        # The first step carries the sampling of the whole epoch.
        step = statistics.median(seconds[1:])
        cell[f'{name} step seconds'] = step
        cell[f'{name} sampling seconds'] = max(seconds[0] - step, 0.0)
    cell['epoch seconds'] = cell['epoch step seconds'] * STEPS_AN_EPOCH
    cell['epoch seconds'] += cell['epoch sampling seconds']
    cell['peak bytes'] = peak_memory()
    batch_size = math.ceil(trained / STEPS_AN_EPOCH)
    cell['estimated bytes'] = estimate(model, data, batch_size=batch_size).total
    return cell


def exponent(cells: list[dict[str, Any]], key: str) -> float:
    """Slope of log seconds against log edges."""
    edges = np.log([cell['edges'] for cell in cells])
    return float(np.polyfit(edges, np.log([cell[key] for cell in cells]), 1)[0])


def draw(cells: list[dict[str, Any]], path: Path) -> None:
    """Seconds and memory against edges, both logarithmic."""
    figure = Figure(figsize=(9, 3.8), layout='constrained')
    seconds, memory = figure.subplots(1, 2)
    edges = [cell['edges'] for cell in cells]
    for key, label in (
        ('2048 step seconds', 'a step of 2,048 triples'),
        ('epoch seconds', f'an epoch of {STEPS_AN_EPOCH} steps'),
        ('build seconds', 'building the model'),
    ):
        seconds.plot(
            edges, [cell[key] for cell in cells], 'o-',
            label=f'{label} (exponent {exponent(cells, key):.2f})',
        )  # fmt: skip
    seconds.set(xscale='log', yscale='log', xlabel='training edges', ylabel='seconds')
    seconds.legend(fontsize=8)
    memory.plot(edges, [cell['peak bytes'] / 1e9 for cell in cells], 'o-', label='measured peak')
    memory.plot(
        edges,
        [cell['estimated bytes'] / 1e9 for cell in cells],
        'o--',
        label='graphrec.estimate (without libraries)',
    )
    memory.axhline(16, color='grey', linewidth=0.8)
    memory.text(edges[0], 17, '16 GB', fontsize=8, color='grey')
    memory.set(xscale='log', yscale='log', xlabel='training edges', ylabel='GB')
    memory.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f'.{path.name}')
    figure.savefig(hidden, dpi=120, format=path.suffix.removeprefix('.'))
    hidden.replace(path)


def main() -> None:
    args_parser = parser(__doc__, 'runs/scale.json')
    sizes = [1e5, 3e5, 1e6, 3e6, 1e7]
    args_parser.add_argument('--edges', type=float, nargs='+', default=sizes)
    args_parser.add_argument('--dim', type=int, default=64)
    args_parser.add_argument('--num-layers', type=int, default=3)
    args_parser.add_argument('--rounds', type=int, default=5, help='steps timed at each size')
    args_parser.add_argument('--plot', type=Path, default=Path('runs/scale.png'))
    args_parser.add_argument('--child', action='store_true', help=argparse.SUPPRESS)
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        print(json.dumps(one_size(int(args.edges[0]), args.dim, args.num_layers, args.rounds)))
        return
    cells = []
    for edges in args.edges:
        command = [sys.executable, '-W', 'ignore', __file__, '--child', '--edges', str(edges)]
        for name in ('dim', 'num_layers', 'rounds', 'threads'):
            command += [f'--{name.replace("_", "-")}', str(getattr(args, name))]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        cells.append(json.loads(done.stdout.splitlines()[-1]))
    keys = ('2048 step seconds', 'epoch seconds', 'build seconds')
    exponents = {key: exponent(cells, key) for key in keys} if len(cells) > 1 else {}
    write(args.out, {'machine': machine(), 'cells': cells, 'exponents': exponents})
    if len(cells) > 1:
        draw(cells, args.plot)
    rows = [
        {
            'training edges': cell['edges'],
            'nodes': cell['nodes'],
            'step of 2,048, ms': 1e3 * cell['2048 step seconds'],
            f'epoch of {STEPS_AN_EPOCH} steps, s': cell['epoch seconds'],
            'generate s': cell['generate seconds'],
            'build s': cell['build seconds'],
            'peak GB': cell['peak bytes'] / 1e9,
            'estimated GB, without libraries': cell['estimated bytes'] / 1e9,
        }
        for cell in cells
    ]
    print(report(rows))
    for key, value in exponents.items():
        print(f'{key} grow as edges^{value:.2f}')


if __name__ == '__main__':
    main()
