"""How long is one product with the normalised adjacency, by every available path?

All paths multiply the same matrix and the same [N, 64] table; each is first checked
against the float64 product. They take turns in every round. Example:

    python benchmarks/propagation.py --data tiktok amazon-sports yelp-sparse gowalla
"""

from collections.abc import Callable

import numpy as np
import torch
from _jobs import machine
from _timing import DATA_ROOT, alternate, parser, report, spread, write
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import WITH_TORCH_SCATTER
from torch_geometric.utils import segment

from graphrec.datasets import load
from graphrec.graphs.operators import Sparse, normalized_adjacency

OURS = 'graphrec operator (embedding_bag)'
BASE = 'torch.sparse COO'


def paths(op: Sparse, x: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Every path as a function that returns the product in float32."""
    row, col, weight = op.row, op.col.long(), op.weight
    rowptr, size = op.rowptr.long(), op.shape
    coo = torch.sparse_coo_tensor(torch.stack([row, col]), weight, size).coalesce()
    csr = torch.sparse_csr_tensor(rowptr, col, weight, size)
    edge_index = EdgeIndex(torch.stack([row, col]), sparse_size=size, sort_order='row')
    edge_index.fill_cache_()
    matrix, table = op.to_scipy(), x.numpy()
    half, x_half = op.to(dtype=torch.bfloat16), x.bfloat16()
    order = torch.from_numpy(reverse_cuthill_mckee(matrix, symmetric_mode=True).astype(np.int64))
    moved, x_moved = Sparse.from_scipy(matrix[order.numpy()][:, order.numpy()]), x[order]
    back = torch.empty_like(order)
    back[order] = torch.arange(order.numel())
    scatter, kept = torch.zeros_like(x), torch.empty_like(x)

    def gather_scatter() -> Tensor:
        message = x.index_select(0, col) * weight.unsqueeze(1)
        return scatter.zero_().index_add_(0, row, message)

    steps: dict[str, Callable[[], Tensor]] = {
        'gather + scatter': gather_scatter,
        'gather + segment' + (' (torch-scatter)' if WITH_TORCH_SCATTER else ''): lambda: segment(
            x.index_select(0, col) * weight.unsqueeze(1), rowptr
        ),
        BASE: lambda: torch.sparse.mm(coo, x),
        'torch.sparse CSR': lambda: csr @ x,
        'PyG EdgeIndex.matmul': lambda: edge_index.matmul(x, weight),
        'scipy CSR (1 thread)': lambda: torch.from_numpy(matrix @ table),
        OURS: lambda: op.apply(x),
        'the same, as models call it: A h + x into a kept table': lambda: op.multiply_add(
            x, x, 1.0, kept
        ),
        'the same, bf16 weights and table': lambda: half.apply(x_half),
        'the same, nodes in RCM order': lambda: moved.apply(x_moved),
    }
    exact = op.to(dtype=torch.float64).apply(x.double())
    for name, step in steps.items():
        product = step()
        product = product[back] if 'RCM' in name else product
        product = product - x if 'kept' in name else product
        error = float((product.double() - exact).abs().max() / exact.abs().max())
        if error > (1e-2 if 'bf16' in name else 1e-5):
            raise SystemExit(f'{name} is off by {error:.1e}')
    return steps


def main() -> None:
    args_parser = parser(__doc__, 'runs/propagation.json')
    sets = ['tiktok', 'amazon-sports', 'yelp-sparse', 'gowalla']
    args_parser.add_argument('--data', nargs='+', default=sets, help='data sets')
    args_parser.add_argument('--dim', type=int, default=64)
    args_parser.add_argument('--rounds', type=int, default=21)
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    record, columns = {'machine': machine(), 'dim': args.dim, 'cells': {}}, {}
    for name in args.data:
        op = normalized_adjacency(load(DATA_ROOT / name))
        x = torch.randn(op.shape[0], args.dim, generator=torch.Generator().manual_seed(0))
        seconds = alternate(paths(op, x), args.rounds)
        cell = {step: spread(times) for step, times in seconds.items()}
        record['cells'][name] = {'nnz': op.nnz, 'nodes': op.shape[0], 'paths': cell}
        base = cell[BASE]['median_ms']
        columns[f'{name} ({op.nnz:,} nnz)'] = {
            step: f'{times["median_ms"]:.2f} ({base / times["median_ms"]:.1f}×)'
            for step, times in cell.items()
        }
    write(args.out, record)
    steps = next(iter(columns.values()))
    print(f'Milliseconds a product, median of {args.rounds}; in brackets the ratio to {BASE}.\n')
    print(report([{'path': s, **{n: c[s] for n, c in columns.items()}} for s in steps]))


if __name__ == '__main__':
    main()
