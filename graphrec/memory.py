r"""How much memory training will take, before anything is built.

.. code-block:: python

    needed = memory.estimate(LightGCN, data, dim=64, num_layers=3)
    print(needed)  # A table by part.
    memory.check(needed)  # Raises CapacityError if the machine has less.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import HeteroData

from graphrec.errors import CapacityError, GraphError
from graphrec.graphs.schema import num_items, num_users, train_edges
from graphrec.models.recommender import Recommender

# Numbers that an optimiser keeps beside every parameter.
_OPTIMIZER_STATES = {'adam': 2, 'adamw': 2, 'sgd': 0, 'momentum': 1, 'adagrad': 1, 'other': 2}
_FLOAT = 4
_EVALUATION_BLOCK = 32 * 2**20  # Bytes of scores at once; see graphrec.ranking.
_SAMPLER_EDGE = 64  # Bytes a training edge: keys, order, users, positives, negatives.
_UNLIMITED = 1 << 60  # What control groups write for 'no limit'.


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    r"""Bytes by what they hold; printed as a table.

    Attributes:
        model: Name of the model.
        parts: Bytes of each part, all of them held at once at the peak. The interpreter
            with its libraries and the data come on top.
        built: Bytes of those that a model built already holds.
    """

    model: str
    parts: dict[str, int]
    built: int = 0

    @property
    def total(self) -> int:
        """Sum of all parts, bytes."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        rows = [*self.parts.items(), ('total', self.total)]
        width = max(len(name) for name, _ in rows)
        return '\n'.join(f'{name:<{width}}  {format_bytes(size):>9}' for name, size in rows)


def estimate(
    model: Recommender | type[Recommender],
    data: HeteroData,
    *,
    batch_size: int = 2048,
    optimizer: str = 'adam',
    **config: Any,
) -> MemoryEstimate:
    r"""Estimates the peak memory of training and evaluating a model.

    Parameters, gradients, optimiser state and the best state kept by early stopping count
    four bytes a number; a model adds what it derives from the graph and its activations
    through ``memory_hint(num_users, num_items, num_edges, config)``, a class method that
    gives bytes by name. Meant to be right within a factor of two.

    Args:
        model: A model, or its class with :obj:`config`: then nothing is built.
        data: The graph; only its counts are read.
        batch_size: Interactions a step.
        optimizer: ``'adam'``, ``'adamw'``, ``'sgd'``, ``'momentum'``, ``'adagrad'``, or
            ``'other'`` (taken for two numbers a parameter).
        **config: Fields of the model's config, if :obj:`model` is a class.

    Raises:
        GraphError: If a field of the config or the optimiser is unknown.
    """
    if optimizer not in _OPTIMIZER_STATES:
        raise GraphError(
            f"'optimizer' must be one of {sorted(_OPTIMIZER_STATES)} (got {optimizer!r})"
        )
    if isinstance(model, Recommender):
        if config:
            raise GraphError(f'a model has its settings already (got {sorted(config)} too)')
        cls, settings = type(model), model.config
    else:
        cls = model
        settings = _settings(cls, config)
    users, items, edges = num_users(data), num_items(data), train_edges(data).size(1)
    dim = int(getattr(settings, 'dim', 0))
    hint: dict[str, int] = {}
    if hasattr(cls, 'memory_hint'):
        hint = dict(cls.memory_hint(users, items, edges, settings))

    parameters = hint.pop('parameters', (users + items) * dim * _FLOAT)
    if isinstance(model, Recommender):
        parameters = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    built = parameters + sum(size for name, size in hint.items() if name.startswith('graph'))
    parts = {}
    if parameters:
        parts = {
            'parameters': parameters,
            'gradients': parameters,
            'optimizer': _OPTIMIZER_STATES[optimizer] * parameters,
            'best state': parameters,
            'sampler': _SAMPLER_EDGE * edges,
            'batch': 16 * batch_size * dim * _FLOAT,
        }
    parts.update({name.replace('_', ' '): int(size) for name, size in hint.items()})
    scores = users * items * _FLOAT
    block = min(max(_EVALUATION_BLOCK, 16 * items * _FLOAT), scores)
    parts['evaluation'] = 3 * block + (users + items) * dim * _FLOAT
    return MemoryEstimate(cls.__name__, parts, built if isinstance(model, Recommender) else 0)


def check(needed: MemoryEstimate, limit: int | None = None) -> None:
    r"""Refuses work that would not fit.

    Args:
        needed: The estimate.
        limit: Bytes; what the machine has free if omitted.

    Raises:
        CapacityError: If the estimate is above the limit: states it by part, and what
            would make it smaller.
    """
    if limit is None:
        limit = available_memory()
    if limit is None or needed.total <= limit:
        return
    parts = ', '.join(f'{name} {format_bytes(size)}' for name, size in needed.parts.items())
    raise CapacityError(
        f'{needed.model} would take about {format_bytes(needed.total)} ({parts}), but the limit '
        f"is {format_bytes(limit)} ('memory_limit', or what the machine has free); "
        f'{_advice(needed)}'
    )


def available_memory(device: torch.device | str = 'cpu') -> int | None:
    """Bytes that are free on the device: of the GPU, or of main memory within the limit of
    the control group (container) of this process; :obj:`None` where the system does not
    say."""
    if torch.device(device).type == 'cuda':
        return int(torch.cuda.mem_get_info(device)[0])
    amounts = [amount for amount in (_free_memory(), _free_in_group()) if amount is not None]
    return min(amounts, default=None)


def format_bytes(size: int) -> str:
    """``1536`` as ``'1.5 KB'``; powers of 1024."""
    amount = float(size)
    for unit in ('B', 'KB', 'MB', 'GB'):
        if abs(amount) < 1024:
            return f'{amount:.0f} {unit}' if unit == 'B' else f'{amount:.1f} {unit}'
        amount /= 1024
    return f'{amount:.1f} TB'


def _settings(cls: type[Recommender], config: dict[str, Any]) -> Any:
    names = [field.name for field in dataclasses.fields(cls.config_class)]
    for name in config:
        if name not in names:
            raise GraphError(
                f'{cls.__name__} has no setting {name!r} (got {config[name]!r}); its settings '
                f'are {names}'
            )
    return cls.config_class(**config)


def _advice(needed: MemoryEstimate) -> str:
    largest = max(needed.parts, key=lambda name: needed.parts[name])
    ways = []
    if 'parameters' in needed.parts:
        ways = ["a smaller 'dim'", "fewer layers or 'bf16' where the model has them"]
        ways.append("a smaller 'batch_size'")
    else:
        ways = ['fewer items', 'a model whose memory grows with the edges, such as LightGCN']
    return f"its largest part is '{largest}'; what helps: {', '.join(ways)}, or more memory"


def _free_memory() -> int | None:
    try:
        for line in Path('/proc/meminfo').read_text().splitlines():
            if line.startswith('MemAvailable:'):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    except (AttributeError, ValueError, OSError):
        return None


def _free_in_group(root: Path = Path('/sys/fs/cgroup')) -> int | None:
    for limit_name, used_name in (
        ('memory.max', 'memory.current'),
        ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'),
    ):
        try:
            limit = (root / limit_name).read_text().strip()
            used = int((root / used_name).read_text())
        except (OSError, ValueError):
            continue
        if limit.isdigit() and int(limit) < _UNLIMITED:
            return max(int(limit) - used, 0)
    return None
