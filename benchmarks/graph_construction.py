"""How long does it take to build the graphs of Amazon Sports, and in how much memory?

From the real interactions and the frozen neighbours of image and text: MMHCL's item and user
hypergraphs and the item co-occurrence graph. Ours against the equations with a dense matrix at
every step. The dense user graph of all 35,598 users takes minutes and tens of gigabytes: it is
built for the first users only (`--users`) and its seconds and bytes are scaled with their
square, and marked so. Each build runs in a process of its own, the ways in turn; all are first
checked to agree on a small set. The dense features themselves are not in the data:
`benchmarks/semantic_graph.py` times their neighbour search on features drawn by seed. Example:

    python benchmarks/graph_construction.py --out docs/benchmarks/graph_construction.json \\
        --docs docs/performance.md
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from _jobs import machine, peak_memory, reset_peak_memory
from _timing import DATA_ROOT, builds, parser, report, write, write_section
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.datasets import load, planted
from graphrec.graphs.cooccurrence import cooccurrence_graph
from graphrec.graphs.hypergraph import item_hypergraph, user_hypergraph
from graphrec.graphs.neighbours import NeighbourGraph
from graphrec.graphs.operators import Operator
from graphrec.graphs.schema import num_items, num_users, train_edges
from graphrec.graphs.semantic import semantic_graph, semantic_modalities

OURS, DENSE = 'graphrec', 'dense'
K = 10
TARGET_SPEED, TARGET_GB = 20.0, 1.0
Graph = Tensor | Operator | NeighbourGraph
HEAD = """## Graphs of Amazon Sports

    python benchmarks/graph_construction.py --docs docs/performance.md

From the real interactions and the frozen ten neighbours of image and text, against the same
equations with a dense matrix at every step. The dense user graph was built for the first users
only; its seconds and bytes are scaled with their square. Peaks are those of a process each,
libraries and data included.
"""


def neighbours(data: HeteroData) -> list[NeighbourGraph]:
    """Neighbours by modality, the input of both ways."""
    return [semantic_graph(data, name, K) for name in semantic_modalities(data)]


def history(data: HeteroData, users: int) -> Tensor:
    """The dense interactions of the first users."""
    user, item = train_edges(data)
    matrix = torch.zeros(users, num_items(data))
    matrix[user[user < users], item[user < users]] = 1.0
    return matrix


def dense_items(data: HeteroData, users: int) -> Tensor:
    """Incidence, shared neighbours, degrees as a diagonal matrix, products."""
    parts = []
    for graph in neighbours(data):
        (row, col), _ = graph.edges(positive=True)
        part = torch.zeros(graph.num_nodes, graph.num_nodes)
        part[row, col] = 1.0
        parts.append(part)
    matrix = torch.cat(parts, dim=1)
    matrix = matrix @ matrix.t()
    scale = torch.diag(matrix.sum(1).rsqrt())
    return scale @ matrix @ scale


def dense_users(data: HeteroData, users: int) -> Tensor:
    """Shared items without the diagonal, over the row's sum."""
    matrix = history(data, users)
    matrix = matrix @ matrix.t()
    matrix = matrix * (1 - torch.eye(users))
    total = matrix.sum(1, keepdim=True)
    return torch.where(total > 0, matrix / total, 0.0)


def dense_cooccurrence(data: HeteroData, users: int) -> Tensor:
    """Cosines of the columns, the k largest of a row kept."""
    matrix = history(data, num_users(data))
    degree = matrix.sum(0)
    matrix = matrix.t() @ matrix
    matrix = matrix / (degree.unsqueeze(1) * degree).sqrt().clamp(min=1e-12)
    matrix.fill_diagonal_(0)
    value, index = matrix.topk(K, dim=1)
    return torch.zeros_like(matrix).scatter_(1, index, value)


WAYS: dict[str, dict[str, Callable[[HeteroData, int], Graph]]] = {
    'item hypergraph, frozen neighbours': {
        OURS: lambda data, users: item_hypergraph(neighbours(data)),
        DENSE: dense_items,
    },
    'user hypergraph': {OURS: lambda data, users: user_hypergraph(data), DENSE: dense_users},
    'item co-occurrence': {
        OURS: lambda data, users: cooccurrence_graph(data, K),
        DENSE: dense_cooccurrence,
    },
}
SCALED = 'user hypergraph'  # Whose dense form is built for the first users.


def check() -> None:
    """Both ways give one matrix; of co-occurrence, whose ties may differ, the row sums."""
    data = planted(seed=0)
    for graph, made in WAYS.items():
        users = num_users(data)
        ours, dense = made[OURS](data, users), made[DENSE](data, users)
        assert isinstance(dense, Tensor)
        if isinstance(ours, NeighbourGraph):
            error = (ours.similarity.sum(1) - dense.sum(1)).abs().max()
        else:
            assert isinstance(ours, Operator)
            error = (ours @ torch.eye(dense.size(1)) - dense).abs().max()
        if float(error) > 1e-5:
            raise SystemExit(f'{graph}: the ways are apart by {float(error):.1e}')


def one(graph: str, way: str, name: str, users: int) -> dict[str, float]:
    """Seconds and peak bytes of one build, and the bytes before it."""
    data = load(DATA_ROOT / name)
    WAYS[graph][OURS](planted(seed=0), 0)  # Loads what is loaded once.
    reset_peak_memory()
    before = peak_memory()
    start = time.perf_counter()
    WAYS[graph][way](data, users)
    seconds = time.perf_counter() - start
    factor = 1.0
    if graph == SCALED and way == DENSE:
        factor = (num_users(data) / users) ** 2
    peak = before + factor * (peak_memory() - before)
    return {'seconds': factor * seconds, 'peak bytes': peak, 'bytes before': before}


def measure(args: argparse.Namespace, graph: str) -> dict[str, Any]:
    """Both ways in turn, each build in a fresh process."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS[graph]}
    for turn in range(args.rounds):
        for way, made in runs.items():
            if way == DENSE and turn >= args.dense_rounds:
                continue
            command = [sys.executable, '-W', 'ignore', __file__, '--child', graph, way]
            command += ['--threads', str(args.threads), '--data', args.data]
            command += ['--users', str(args.users)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            made.append(json.loads(done.stdout.splitlines()[-1]))
    return {way: builds(made) for way, made in runs.items()}


def table(cells: dict[str, Any]) -> str:
    """The section of the documentation."""
    rows = []
    for graph, cell in cells.items():
        for way, values in cell.items():
            scaled = ' (scaled)' if graph == SCALED and way == DENSE else ''
            rows.append(
                {
                    'graph': graph,
                    'way': way + scaled,
                    's': f'{values["median_ms"] / 1e3:,.3f}',
                    'ours is faster by': f'{values["median_ms"] / cell[OURS]["median_ms"]:,.0f}×',
                    'peak GB': values['peak bytes'] / 1e9,
                    'of it before the build': values['bytes before'] / 1e9,
                }
            )
    return report(rows)


def main() -> None:
    args_parser = parser(__doc__, 'runs/graph_construction.json')
    args_parser.add_argument('--data', default='amazon-sports')
    args_parser.add_argument('--graphs', nargs='+', default=list(WAYS), choices=list(WAYS))
    args_parser.add_argument('--users', type=int, default=8000, help='of the dense user graph')
    args_parser.add_argument('--rounds', type=int, default=3)
    args_parser.add_argument('--dense-rounds', type=int, default=1, help='rounds of the dense way')
    args_parser.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        print(json.dumps(one(*args.child, args.data, args.users)))
        return
    check()
    cells = {graph: measure(args, graph) for graph in args.graphs}
    record = {
        'machine': machine(),
        'data': args.data,
        'k': K,
        'users of the dense user graph': args.users,
        'cells': cells,
    }
    write(args.out, record)
    text = table(cells)
    print(text)
    for graph, cell in cells.items():
        faster = cell[DENSE]['median_ms'] / cell[OURS]['median_ms']
        peak = cell[OURS]['peak bytes'] / 1e9
        met = 'met' if faster >= TARGET_SPEED and peak < TARGET_GB else 'not met'
        print(f'{graph}: {faster:,.0f} times as fast in {peak:.2f} GB: {met}.')
    write_section(args.docs, 'graph_construction', f'{HEAD}\n{text}')


if __name__ == '__main__':
    main()
