"""How long does it take to build the semantic graphs of a catalogue, and in how much memory?

The item-item graph of one modality (k nearest by cosine, normalised) and MMHCL's item
hypergraph of several, from random clustered features of the size of Amazon Sports. Ours
is held against two ways to write the equations down: with a dense matrix at every step,
as the published code of LATTICE and MMHCL does (similarities, adjacency, degrees as a
diagonal matrix, products), and with dense similarities only, which turn sparse after
the top k (FREEDOM). Every build runs in a process of its own, the ways in turn; all are
first checked to agree on a small catalogue. Example:

    python benchmarks/semantic_graph.py --dims 384 4096 --hypergraph 4096 384
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from _jobs import machine, peak_memory, reset_peak_memory
from _timing import builds, parser, report, write, write_section
from torch import Tensor

from graphrec.graphs.hypergraph import item_hypergraph
from graphrec.graphs.knn import nearest_neighbours
from graphrec.graphs.operators import Operator

OURS, TEXTBOOK, SIMILARITIES = 'graphrec', 'dense', 'dense similarities'
ITEMS = 18_357  # Amazon Sports.
TARGET_SPEED, TARGET_GB = 20.0, 1.0
HEAD = """## Neighbour search over dense features

    python benchmarks/semantic_graph.py --docs docs/performance.md

As many items as Amazon Sports has, with features of the sizes of its image and sentence vectors,
which are not in the data: drawn by seed around a twentieth as many centres. The table of features
itself is counted in the peak ("before the build").
"""
Graph = Tensor | Operator


def features(items: int, dim: int) -> Tensor:
    """Rows around a twentieth as many centres, as pictures of like products are."""
    generator = torch.Generator().manual_seed(dim)
    centre = torch.randn(max(items // 20, 1), dim, generator=generator)
    which = torch.randint(len(centre), (items,), generator=generator)
    x = torch.randn(items, dim, generator=generator)
    for row, part in zip(x.split(256), which.split(256), strict=True):
        row += centre[part]
    return x


def ours(tables: list[Tensor], k: int, hyper: bool) -> Graph:
    graphs = [nearest_neighbours(x, k) for x in tables]
    return item_hypergraph(graphs) if hyper else graphs[0].to_operator()


def dense_neighbours(x: Tensor, k: int) -> Tensor:
    """The columns of the k largest entries of every row of the similarity matrix."""
    x = x / x.norm(dim=1, keepdim=True)
    return (x @ x.t()).topk(k, dim=1).indices


def textbook(tables: list[Tensor], k: int, hyper: bool) -> Graph:
    parts = []
    for x in tables:
        index = dense_neighbours(x, k)
        parts.append(torch.zeros(len(x), len(x)).scatter_(1, index, 1.0))
    matrix = torch.cat(parts, dim=1) if hyper else parts[0]
    if hyper:
        matrix = matrix @ matrix.t()
    scale = torch.diag(matrix.sum(1).rsqrt())
    return scale @ matrix @ scale


def similarities(tables: list[Tensor], k: int, hyper: bool) -> Graph:
    """One modality only: what FREEDOM's frozen graph takes."""
    index = dense_neighbours(tables[0], k)
    row = torch.arange(len(index)).repeat_interleave(k)
    weight = torch.full((row.numel(),), 1 / k)
    edge_index, size = torch.stack([row, index.flatten()]), (len(index), len(index))
    return torch.sparse_coo_tensor(edge_index, weight, size, check_invariants=False).coalesce()


WAYS: dict[str, Callable[[list[Tensor], int, bool], Graph]] = {
    OURS: ours,
    SIMILARITIES: similarities,
    TEXTBOOK: textbook,
}


def check(dims: list[int], k: int, hyper: bool) -> None:
    """All ways give one matrix."""
    tables = [features(700, dim) for dim in dims]
    wanted = textbook(tables, k, hyper)
    assert isinstance(wanted, Tensor)
    for name in ways(hyper):
        made = WAYS[name](tables, k, hyper)
        error = float((made.to_dense().float() - wanted).abs().max())
        if error > 1e-5:
            raise SystemExit(f'{name} is off by {error:.1e}')


def ways(hyper: bool) -> list[str]:
    return [OURS, TEXTBOOK] if hyper else list(WAYS)


def one(way: str, items: int, dims: list[int], k: int, hyper: bool) -> dict[str, float]:
    """Seconds and peak bytes of one build, and the bytes before it."""
    tables = [features(items, dim) for dim in dims]
    ours([table[:200] for table in tables], k, hyper)  # Loads what is loaded once.
    reset_peak_memory()
    before = peak_memory()
    start = time.perf_counter()
    WAYS[way](tables, k, hyper)
    seconds = time.perf_counter() - start
    return {'seconds': seconds, 'peak bytes': peak_memory(), 'bytes before': before}


def rate(dim: int, rounds: int = 5) -> float:
    """Operations a second of a product of blocks as ours are."""
    left, right = torch.randn(4096, dim), torch.randn(4096, dim)
    out = torch.empty(4096, 4096)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(left, right.t(), out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * 4096**2 * dim / statistics.median(seconds)


def measure(args: argparse.Namespace, dims: list[int], hyper: bool) -> dict[str, Any]:
    """All ways in turn, each build in a fresh process."""
    check(dims, args.k, hyper)
    names = [name for name in ways(hyper) if name in args.ways]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(args.rounds):
        for name in names:
            command = [sys.executable, '-W', 'ignore', __file__, '--child', name]
            command += ['--threads', str(args.threads), '--items', str(args.items)]
            command += ['--k', str(args.k), '--hypergraph' if hyper else '--dims']
            command += [str(dim) for dim in dims]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
    operations = sum(float(args.items) ** 2 * dim for dim in dims)
    floor = sum(float(args.items) ** 2 * dim / rate(dim) for dim in dims)
    cell: dict[str, Any] = {'dims': dims, 'hypergraph': hyper, 'operations': operations}
    cell['seconds of the products alone'] = floor
    for name, made in runs.items():
        cell[name] = builds(made)
    return cell


def rows(cell: dict[str, Any]) -> list[dict[str, Any]]:
    what = 'hypergraph of ' if cell['hypergraph'] else 'graph of '
    base = cell[OURS]['median_ms'] if OURS in cell else float('nan')
    return [
        {
            'build': what + ' + '.join(f'{dim}-d' for dim in cell['dims']),
            'way': name,
            'seconds': cell[name]['median_ms'] / 1e3,
            'ours is faster by': cell[name]['median_ms'] / base,
            'peak GB': cell[name]['peak bytes'] / 1e9,
            'of it before the build': cell[name]['bytes before'] / 1e9,
            'products alone, s': cell['seconds of the products alone'],
        }
        for name in WAYS
        if name in cell
    ]


def main() -> None:
    args_parser = parser(__doc__, 'runs/semantic_graph.json')
    args_parser.add_argument('--items', type=int, default=ITEMS)
    args_parser.add_argument('--dims', type=int, nargs='*', default=[384, 4096])
    args_parser.add_argument(
        '--hypergraph', type=int, nargs='*', default=[], help='sizes of its modalities'
    )
    args_parser.add_argument('--k', type=int, default=10)
    args_parser.add_argument('--rounds', type=int, default=1)
    args_parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    args_parser.add_argument('--child', help=argparse.SUPPRESS)
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        hyper = bool(args.hypergraph)
        dims = args.hypergraph if hyper else args.dims
        print(json.dumps(one(args.child, args.items, dims, args.k, hyper)))
        return
    cells = [measure(args, [dim], False) for dim in args.dims]
    if args.hypergraph:
        cells.append(measure(args, args.hypergraph, True))
    write(args.out, {'machine': machine(), 'items': args.items, 'k': args.k, 'cells': cells})
    text = report([row for cell in cells for row in rows(cell)])
    print(text)
    for cell in cells:
        if OURS in cell and TEXTBOOK in cell:
            faster = cell[TEXTBOOK]['median_ms'] / cell[OURS]['median_ms']
            peak = cell[OURS]['peak bytes'] / 1e9
            met = 'met' if faster >= TARGET_SPEED and peak < TARGET_GB else 'not met'
            print(f'{cell["dims"]}: {faster:.1f} times as fast in {peak:.2f} GB: {met}.')
    write_section(args.docs, 'semantic_graph', f'{HEAD}\n{text}')


if __name__ == '__main__':
    main()
