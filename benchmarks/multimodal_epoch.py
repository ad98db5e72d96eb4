"""How long is an epoch of MMHCL and of FREEDOM, in how much memory, and what is left to gain?

Ours against the equations written down (`benchmarks/_multimodal_peers.py`), from the same
numbers, on the same batches, in turns; their losses have to agree in every step. An epoch is
the median step times the steps of an epoch. Peaks are those of a process each. The parts of
a step of MMHCL are set against their operations at the rate of matrix products measured on
this machine. Example, with the section of the documentation made again:

    python benchmarks/multimodal_epoch.py --out docs/benchmarks/multimodal_epoch.json \\
        --docs docs/performance.md
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from _jobs import machine, reset_peak_memory
from _multimodal_peers import (
    BATCH,
    LR,
    Peer,
    build,
    ours,
    textbook_freedom,
    textbook_mmhcl,
)
from _timing import (
    DATA_ROOT,
    alternate,
    parser,
    peak_memory,
    report,
    spread,
    write,
    write_section,
)
from torch_geometric.data import HeteroData

from graphrec.datasets import load
from graphrec.graphs.sampling import BPRBatch
from graphrec.models import MMHCL

OURS, LOW, TEXTBOOK, NOTHING = 'graphrec', 'graphrec, bf16 contrast', 'textbook', 'data alone'
PEERS: dict[str, dict[str, Callable[[HeteroData], Peer]]] = {
    'MMHCL': {
        OURS: lambda data: ours('MMHCL', data),
        LOW: lambda data: ours('MMHCL', data, bf16=True),
        TEXTBOOK: textbook_mmhcl,
    },
    'FREEDOM': {OURS: lambda data: ours('FREEDOM', data), TEXTBOOK: textbook_freedom},
}
# How far a loss may be from the textbook's, in relation to it.
TOLERANCE = {OURS: 1e-5, LOW: 1e-3}
TARGETS = {'MMHCL': 5.0}
MEMORY_TARGET = 1 / 5
HEAD = """## Epochs of multimodal models

    python benchmarks/multimodal_epoch.py --docs docs/performance.md

TikTok (visual and acoustic features), the published settings. The textbook form holds every
operator as one `torch.sparse` COO matrix, MMHCL's hypergraphs multiplied out to all pairs of
users and of items, and lets autograd keep the similarities of all blocks, as the published code
does (`benchmarks/_multimodal_peers.py`). Same numbers, same batches, in turns; losses agree
step by step. The peak is that of a process of its own without the reading of files; "for
training" is what is left beside libraries, data and the model at rest, which alone are a quarter
of the textbook's peak.

Below, the parts of a step of MMHCL, each timed alone, and the products of the contrast at the
rate of one such product measured on the same machine.
"""


def batches(name: str, data: HeteroData) -> tuple[Iterator[BPRBatch], int]:
    """Batches without end, and how many make an epoch."""
    sampler = build(name, data).make_sampler(data, BATCH[name])

    def stream() -> Iterator[BPRBatch]:
        generator = torch.Generator().manual_seed(0)
        while True:
            yield from sampler.epoch(generator)

    return stream(), len(sampler)


def epoch(name: str, data: HeteroData, rounds: int, steps: int) -> dict[str, Any]:
    """All peers of a model on the same batches, checked step by step."""
    peers = {peer: make(data) for peer, make in PEERS[name].items()}
    stream, count = batches(name, data)
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    apart = {peer: 0.0 for peer in TOLERANCE if peer in peers}
    starts = {peer: _seconds(made.begin_epoch) for peer, made in peers.items()}
    for turn in range(rounds + 1):
        drawn = [next(stream) for _ in range(steps)]
        losses: dict[str, list[float]] = {peer: [] for peer in peers}
        for peer, made in peers.items():
            for batch in drawn:
                begin = time.perf_counter()
                losses[peer].append(made.step(batch))
                if turn:  # The first round warms up.
                    seconds[peer].append(time.perf_counter() - begin)
        for peer in apart:
            pairs = zip(losses[peer], losses[TEXTBOOK], strict=True)
            apart[peer] = max(apart[peer], *(abs(a - b) / abs(b) for a, b in pairs))
            if apart[peer] > TOLERANCE[peer]:
                raise SystemExit(f'{name}, {peer}: a loss is off by {apart[peer]:.1e}')
    return {
        'steps an epoch': count,
        'steps timed': rounds * steps,
        'start of an epoch s': starts,
        'largest difference of a loss': apart,
        'step': {peer: spread(times) for peer, times in seconds.items()},
        'epoch s': {
            peer: starts[peer] + count * statistics.median(times) for peer, times in seconds.items()
        },
    }


def child(name: str, data_name: str, peer: str) -> None:
    """Three steps of a peer, for the peak of memory."""
    data = load(DATA_ROOT / data_name)
    stream, _ = batches(name, data)
    reset_peak_memory()  # Reading the files takes more than either needs beside.
    if peer == NOTHING:
        return
    made = PEERS[name][peer](data)
    made.begin_epoch()
    for _ in range(3):
        made.step(next(stream))


def gemm_rate(size: int, dim: int, bf16: bool) -> float:
    """Operations a second of the products of the contrast: a block of similarities."""
    rows = 512
    kind = torch.bfloat16 if bf16 else torch.float32
    a, b = torch.randn(rows, dim).to(kind), torch.randn(size, dim).to(kind)
    out = torch.empty(rows, size, dtype=kind)
    times = alternate({'mm': lambda: torch.mm(a, b.t(), out=out)}, 30)['mm']
    return 2 * rows * size * dim / statistics.median(times)


def parts(data: HeteroData, bf16: bool, rounds: int) -> dict[str, Any]:
    """Milliseconds of the parts of a step of MMHCL, and what their products cost at least."""
    model = build('MMHCL', data, bf16)
    assert isinstance(model, MMHCL)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR['MMHCL'], fused=True)
    batch = next(batches('MMHCL', data)[0])

    def propagation() -> None:
        tables = [model.first_order(), *model.second_order()]
        torch.autograd.backward(tables, [torch.ones_like(x) for x in tables])

    z, second = model(), model.second_order()
    views = [
        (x.detach().requires_grad_(), h.detach().requires_grad_())
        for x, h in zip(z.values(), second, strict=True)
        if h is not None
    ]

    def contrast() -> None:
        for x, h in views:
            model.contrast(x, h).backward()

    def whole() -> None:
        model.loss(batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    whole()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    steps = {
        'whole step': whole,
        'contrast': contrast,
        'propagation': propagation,
        'optimiser': optimizer.step,
    }

    def fresh(step: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            for parameter in model.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            step()

        return run

    made = {key: fresh(step) for key, step in steps.items()}
    times = {k: 1e3 * statistics.median(t) for k, t in alternate(made, rounds).items()}
    dim, sizes = model.config.dim, [model.num_users, model.num_items]
    # Of N^2 d multiplications and additions: three products with the other view; with the
    # own view three more, or two where each pair is visited once.
    products = 6 if bf16 else 5
    operations = sum(products * 2 * n * n * dim for n in sizes)
    rate = gemm_rate(sizes[0], dim, bf16)
    return {
        'ms': times,
        'contrast operations': operations,
        'operations a second': rate,
        'contrast at that rate ms': 1e3 * operations / rate,
        'exponentials': sum(2 * n * n for n in sizes),
    }


def tables(record: dict[str, Any]) -> str:
    """The section of the documentation."""
    rows, lines = [], []
    for name, cell in record['models'].items():
        base, memory = cell['epoch']['epoch s'][TEXTBOOK], cell['peak bytes']
        for peer, times in cell['epoch']['step'].items():
            own = memory[peer] - memory[NOTHING]
            rows.append(
                {
                    'model': name,
                    'code': peer,
                    'ms a step (quartiles)': f'{times["median_ms"]:.0f} '
                    f'({times["q1_ms"]:.0f}–{times["q3_ms"]:.0f})',
                    's an epoch': cell['epoch']['epoch s'][peer],
                    'times as fast': f'{base / cell["epoch"]["epoch s"][peer]:.1f}×',
                    'peak GB': memory[peer] / 1e9,
                    'of it for training': own / 1e9,
                    "share of the textbook's": f'{memory[peer] / memory[TEXTBOOK]:.2f}, for '
                    f'training {own / (memory[TEXTBOOK] - memory[NOTHING]):.2f}',
                    'largest difference of a loss': f'{apart:.0e}'
                    if (apart := cell['epoch']['largest difference of a loss'].get(peer))
                    is not None
                    else '–',
                }
            )
    lines += [report(rows), '']
    rows = []
    for precision, cell in record['parts'].items():
        for part, ms in cell['ms'].items():
            contrast = part == 'contrast'
            rows.append(
                {
                    'products': precision,
                    'part': part,
                    'ms': ms,
                    'share of the step': f'{ms / cell["ms"]["whole step"]:.0%}',
                    'Gflop': f'{cell["contrast operations"] / 1e9:.0f}' if contrast else '–',
                    'measured Gflop/s': f'{cell["operations a second"] / 1e9:.0f}'
                    if contrast
                    else '–',
                    'ms at that rate': f'{cell["contrast at that rate ms"]:.0f}'
                    if contrast
                    else '–',
                }
            )
    return '\n'.join([*lines, report(rows)] if rows else lines)


def verdict(record: dict[str, Any]) -> list[str]:
    """Whether the targets are met."""
    lines = []
    for name, target in TARGETS.items():
        cell = record['models'][name]
        faster = cell['epoch']['epoch s'][TEXTBOOK] / cell['epoch']['epoch s'][OURS]
        peaks = cell['peak bytes']
        share = peaks[OURS] / peaks[TEXTBOOK]
        beside = (peaks[OURS] - peaks[NOTHING]) / (peaks[TEXTBOOK] - peaks[NOTHING])
        met = 'met' if faster >= target else 'not met'
        lines.append(f'{name}: {faster:.1f} times as fast, target {target:g}: {met}.')
        kept = 'met' if share <= MEMORY_TARGET else 'not met'
        alone = 'met' if beside <= MEMORY_TARGET else 'not met'
        lines.append(
            f'{name}: peak {share:.2f} of the textbook process, target {MEMORY_TARGET:g}: '
            f'{kept}; beside libraries and data {beside:.2f}: {alone}.'
        )
    return lines


def _seconds(call: Callable[[], None]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    args_parser = parser(__doc__, 'runs/multimodal_epoch.json')
    args_parser.add_argument('--data', default='tiktok')
    args_parser.add_argument('--models', nargs='+', default=list(PEERS), choices=list(PEERS))
    args_parser.add_argument('--rounds', type=int, default=5)
    args_parser.add_argument('--steps', type=int, default=3, help='steps a round')
    args_parser.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    args = args_parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        child(args.child[0], args.data, args.child[1])
        return
    data = load(DATA_ROOT / args.data)
    record: dict[str, Any] = {'machine': machine(), 'data': args.data, 'models': {}, 'parts': {}}
    for name in args.models:
        call = [__file__, f'--data={args.data}', f'--threads={args.threads}', '--child', name]
        record['models'][name] = {
            'peak bytes': {peer: peak_memory([*call, peer]) for peer in (*PEERS[name], NOTHING)},
            'epoch': epoch(name, data, args.rounds, args.steps),
        }
    if 'MMHCL' in args.models:
        for precision, bf16 in (('float32', False), ('bfloat16', True)):
            record['parts'][precision] = parts(data, bf16, args.rounds)
    write(args.out, record)
    text = tables(record)
    print(text)
    if 'MMHCL' in args.models:
        print('\n' + '\n'.join(verdict(record)))
    write_section(args.docs, 'multimodal_epoch', f'{HEAD}\n{text}')


if __name__ == '__main__':
    main()
