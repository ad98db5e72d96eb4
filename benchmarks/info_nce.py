"""InfoNCE against all nodes, forward and backward: the matrix of similarities or blocks of it?

Every path normalises both views, computes the loss and the gradient by both, and is first
checked against the dense autograd form. They take turns in every round; the peak of memory is
that of a fresh process for each, less that of a process that only holds the views. Example:

    python benchmarks/info_nce.py --nodes 9308 --negatives other both
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _jobs import machine
from _timing import alternate, parser, peak_memory, report, spread, write, write_section
from torch import Tensor
from torch.nn import functional as F

from graphrec.contrastive import info_nce

BASE = 'dense autograd (cross_entropy)'
TEXTBOOK = 'dense autograd (exp and sum, as published)'
OURS = 'graphrec'
LOW = 'graphrec, bf16 products'
NOTHING = 'nothing'
# How far the value and the gradient may be off, in relation to the dense form.
TOLERANCE = {TEXTBOOK: 1e-5, OURS: 1e-5, LOW: 1e-2}
TARGET_SPEED, TARGET_MB = 2.0, 200
HEAD = """## InfoNCE against all nodes

    python benchmarks/info_nce.py --docs docs/performance.md

As many rows as TikTok has users, 64 dimensions, value and gradient by both views; candidates
are the rows of the other view, then those of both (the loss of MMHCL). The peak is that of a
process each beyond one that only holds the views; the error is the largest of the value's and
the gradients', in relation to the dense form.
"""


def dense(z1: Tensor, z2: Tensor, temperature: float, negatives: str) -> Tensor:
    a, b = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    logits = a @ b.t() / temperature
    if negatives == 'both':
        same = (a @ a.t() / temperature).fill_diagonal_(-torch.inf)
        logits = torch.cat([logits, same], 1)
    return F.cross_entropy(logits, torch.arange(a.size(0)))


def textbook(z1: Tensor, z2: Tensor, temperature: float, negatives: str) -> Tensor:
    a, b = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    between = torch.exp(a @ b.t() / temperature)
    total = between.sum(1)
    if negatives == 'both':
        refl = torch.exp(a @ a.t() / temperature)
        total = total + refl.sum(1) - refl.diagonal()
    return -torch.log(between.diagonal() / total).mean()


def steps(args, negatives: str) -> dict[str, Callable[[], list[Tensor]]]:  # type: ignore[no-untyped-def]
    """Every path as a function that returns the value and both gradients."""
    generator = torch.Generator().manual_seed(0)
    z1 = torch.randn(args.nodes, args.dim, generator=generator)
    z2 = z1 + torch.randn(args.nodes, args.dim, generator=generator)
    z1.requires_grad_()
    z2.requires_grad_()

    def ours(bf16: bool) -> Tensor:
        return info_nce(z1, z2, temperature=args.temperature, negatives=negatives, bf16=bf16)

    losses: dict[str, Callable[[], Tensor]] = {
        BASE: lambda: dense(z1, z2, args.temperature, negatives),
        TEXTBOOK: lambda: textbook(z1, z2, args.temperature, negatives),
        OURS: lambda: ours(False),
        LOW: lambda: ours(True),
    }

    def step(loss: Callable[[], Tensor]) -> list[Tensor]:
        value = loss()
        return [value.detach(), *torch.autograd.grad(value, (z1, z2))]

    paths = {name: lambda loss=loss: step(loss) for name, loss in losses.items()}
    return {**paths, NOTHING: lambda: [z1, z2]}


def errors(found: list[Tensor], exact: list[Tensor]) -> list[float]:
    """Relative errors of the value and of both gradients."""
    return [float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True)]


def measure(args: argparse.Namespace, negatives: str) -> tuple[dict[str, Any], list[Any]]:
    """The record and the rows of the table for one choice of candidates."""
    paths = steps(args, negatives)
    exact = paths[BASE]()
    off = {name: errors(paths[name](), exact) for name in TOLERANCE}
    for name, limit in TOLERANCE.items():
        if max(off[name]) > limit:
            raise SystemExit(f'{name} is off by {max(off[name]):.1e}')
    del exact
    same = [f'--{n}={getattr(args, n)}' for n in ('nodes', 'dim', 'temperature', 'threads')]
    call = [str(Path(sys.argv[0]).resolve()), *same, f'--negatives={negatives}']
    peaks = {name: peak_memory([*call, f'--only={name}']) for name in paths}
    del paths[NOTHING]
    seconds = alternate(paths, args.rounds)
    rows, cells = [], {}
    base = spread(seconds[BASE])['median_ms']
    for name, times in seconds.items():
        cell = {**spread(times), 'peak_mb': (peaks[name] - peaks[NOTHING]) / 1e6}
        cells[name] = {**cell, 'errors': off.get(name)}
        rows.append(
            {
                'candidates': negatives,
                'path': name,
                'median s': cell['median_ms'] / 1e3,
                'quartiles': f'{cell["q1_ms"] / 1e3:.2f} to {cell["q3_ms"] / 1e3:.2f}',
                'times as fast': base / cell['median_ms'],
                'peak MB': cell['peak_mb'],
                'largest error': f'{max(off[name]):.0e}' if name in off else '–',
            }
        )
    return cells, rows


def main() -> None:
    args_parser = parser(__doc__, 'runs/info_nce.json')
    args_parser.add_argument('--nodes', type=int, default=9308, help='rows (default: TikTok users)')
    args_parser.add_argument('--dim', type=int, default=64)
    args_parser.add_argument('--temperature', type=float, default=0.2)
    choices = ['other', 'both']
    args_parser.add_argument(
        '--negatives', nargs='+', choices=choices, default=choices, help='both: the loss of MMHCL'
    )
    args_parser.add_argument('--rounds', type=int, default=11)
    args_parser.add_argument('--only', help='run one path once and print nothing')
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.only:
        steps(args, args.negatives[0])[args.only]()
        return
    cells, rows = {}, []
    for negatives in args.negatives:
        cells[negatives], made = measure(args, negatives)
        rows += made
    settings = {n: v for n, v in vars(args).items() if n not in ('out', 'only', 'docs')}
    write(args.out, {'machine': machine(), 'settings': settings, 'cells': cells})
    print(f'n = {args.nodes:,}, d = {args.dim}, {args.threads} threads, {args.rounds} rounds.\n')
    text = report(rows)
    print(text + '\n')
    for row in rows:
        if row['path'] == OURS:
            met = row['times as fast'] >= TARGET_SPEED and row['peak MB'] < TARGET_MB
            print(
                f'{row["candidates"]}: target for {OURS}, {TARGET_SPEED:g} times as fast and '
                f'under {TARGET_MB} MB: {"met" if met else "not met"}.'
            )
    write_section(args.docs, 'info_nce', f'{HEAD}\n{text}')


if __name__ == '__main__':
    main()
