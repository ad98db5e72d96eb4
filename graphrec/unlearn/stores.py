"""What an object holds: every array in it, however deep, and comparisons of arrays."""

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.storage import BaseStorage

from graphrec.graphs.sparse import Sparse

#: Attributes of operators that are made on first use, by class: work tables that are written
#: before they are read, and other forms of what the operator holds, which
#: :func:`cached_forms_agree` compares with it.
SCRATCH = {'Polynomial': ('_pool',), 'UDITSR': ('_pool',)}
CACHES = {'Sparse': ('_transpose', '_cuda_matrix', '_blocks')}
_ATOMS = (str, bytes, bool, int, float, complex, type(None), type, torch.Generator, torch.device)
_SKIPPED = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType)


class Leaf(NamedTuple):
    """An array and where it is: ``adjacency``, ``encoders.0.weight``; whether it was a list, a
    set or keys, so that it has no memory of its own."""

    path: str
    value: Any
    listed: bool = False


class _Listed(NamedTuple):
    array: np.ndarray


def leaves(root: Any, path: str = '') -> Iterator[Leaf]:
    """Every tensor, array, scipy matrix and sparse operator in an object: in modules,
    attributes, slots, dictionaries, lists, sets, data classes, graphs and frames. Lists, sets
    and keys of numbers or of pairs of numbers count as arrays. What several places share
    comes once a place."""
    return _walk(root, path, ())


def _walk(value: Any, path: str, above: tuple[int, ...]) -> Iterator[Leaf]:
    if isinstance(value, (*_ATOMS, *_SKIPPED)) or id(value) in above:
        return
    if isinstance(value, _Listed):
        yield Leaf(path, value.array, listed=True)
        return
    if isinstance(value, (Tensor, np.ndarray, Sparse)) or scipy.sparse.issparse(value):
        yield Leaf(path, value)
        return
    above = (*above, id(value))
    for name, part in _parts(value):
        yield from _walk(part, f'{path}.{name}' if path and name else path or name, above)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    hidden = SCRATCH.get(type(value).__name__, ())
    if isinstance(value, torch.nn.Module):
        for name, part in vars(value).items():
            if name in hidden:
                continue
            if name in ('_parameters', '_buffers', '_modules'):
                yield from part.items()
            else:
                yield name, part
    elif isinstance(value, HeteroData):
        for store in value.stores:
            yield (
                '/'.join(store._key if isinstance(store._key, tuple) else [store._key or '']),
                {**store},
            )
    elif isinstance(value, BaseStorage):
        yield '', {**value}
    elif isinstance(value, pd.DataFrame):
        yield from ((str(name), value[name].to_numpy()) for name in value.columns)
    elif isinstance(value, (pd.Series, pd.Index)):
        yield '', value.to_numpy()
    elif isinstance(value, Mapping):
        yield from _numbers('keys', value)
        yield from ((str(name), part) for name, part in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        numbers = list(_numbers('', value))
        yield from numbers
        if not numbers:
            yield from ((str(n), part) for n, part in enumerate(value))
    elif dataclasses.is_dataclass(value) or hasattr(value, '__dict__'):
        yield from ((name, part) for name, part in vars(value).items() if name not in hidden)
    for name in getattr(type(value), '__slots__', ()):
        if isinstance(name, str) and hasattr(value, name):
            yield name, getattr(value, name)


def _numbers(name: str, values: Iterable[Any]) -> Iterator[tuple[str, _Listed]]:
    """The values as an array, if they are whole numbers or pairs of them."""
    found = list(values)
    if not found:
        return
    pairs = all(isinstance(v, (tuple, list)) and len(v) == 2 for v in found)
    numbers = [part for v in found for part in v] if pairs else found
    if all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in numbers):
        yield name, _Listed(np.asarray(found))


def texts(root: Any) -> set[str]:
    """Every text in an object outside of arrays, keys of dictionaries too."""
    found: set[str] = set()
    _gather_texts(root, found, ())
    return found


def _gather_texts(value: Any, found: set[str], above: tuple[int, ...]) -> None:
    if isinstance(value, str):
        found.add(value)
    if isinstance(value, (*_ATOMS, *_SKIPPED, _Listed, Tensor, np.ndarray)) or id(value) in above:
        return
    if isinstance(value, Mapping):
        found.update(key for key in value if isinstance(key, str))
    for _, part in _parts(value):
        _gather_texts(part, found, (*above, id(value)))


def equal(a: Any, b: Any) -> bool:
    """Whether two arrays agree in kind, shape, type and every bit (NaN equals NaN)."""
    if isinstance(a, Sparse) and isinstance(b, Sparse):
        return a.shape == b.shape and all(
            equal(getattr(a, part), getattr(b, part)) for part in ('rowptr', 'col', 'weight')
        )
    if scipy.sparse.issparse(a) and scipy.sparse.issparse(b):
        first, second = a.tocoo(), b.tocoo()
        return a.shape == b.shape and all(
            equal(getattr(first, part), getattr(second, part)) for part in ('row', 'col', 'data')
        )
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.layout != torch.strided or b.layout != torch.strided:
            return a.layout == b.layout and equal(a.to_dense(), b.to_dense())
        a, b = a.detach().cpu(), b.detach().cpu()
        same = a.dtype == b.dtype and a.shape == b.shape
        return same and (torch.equal(a, b) or _same_bytes(a, b))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == 'f'))
    return False


def same_contents(one: Any, other: Any) -> bool:
    """Whether two objects hold the same arrays in the same places, bit by bit, and the same
    texts. No model keeps a number of the graph without the arrays that it was counted from."""
    first = {leaf.path: leaf.value for leaf in leaves(one)}
    second = {leaf.path: leaf.value for leaf in leaves(other)}
    return (
        first.keys() == second.keys()
        and all(equal(value, second[path]) for path, value in first.items())
        and texts(one) == texts(other)
    )


def _same_bytes(a: Tensor, b: Tensor) -> bool:
    return a.contiguous().numpy().tobytes() == b.contiguous().numpy().tobytes()


def shape_of(value: Any) -> tuple[int, ...]:
    """Its lengths."""
    return tuple(value.shape)


def parts_of_leaf(value: Any) -> list[Tensor | np.ndarray]:
    """The plain arrays that a leaf consists of."""
    if isinstance(value, Sparse):
        return [value.rowptr, value.col, value.weight]
    if isinstance(value, Tensor) and value.layout == torch.sparse_csr:
        return [value.crow_indices(), value.col_indices(), value.values()]
    if isinstance(value, Tensor) and value.is_sparse:
        return [value._indices(), value._values()]
    if scipy.sparse.issparse(value):
        found = [getattr(value, name, None) for name in ('data', 'indices', 'indptr', 'row', 'col')]
        return [part for part in found if isinstance(part, np.ndarray)]
    return [value]


def storages(found: Iterable[Leaf]) -> dict[int, str]:
    """Addresses of the memory that arrays lie in, with the first place of each."""
    held: dict[int, str] = {}
    for path, value, listed in found:
        for part in () if listed else parts_of_leaf(value):
            address = _address(part)
            if address:
                held.setdefault(address, path)
    return held


def _address(part: Tensor | np.ndarray) -> int:
    if isinstance(part, Tensor):
        return part.untyped_storage().data_ptr() if part.numel() else 0
    base = part
    while isinstance(base.base, np.ndarray):
        base = base.base
    if isinstance(base.base, Tensor):
        return base.base.untyped_storage().data_ptr()
    return int(base.__array_interface__['data'][0]) if base.size else 0


def entries(value: Any) -> Tensor | None:
    """The pairs :math:`(2, n)` of row and column of a sparse matrix of any kind; for an integer
    array of two rows or two columns these; otherwise :obj:`None`."""
    if isinstance(value, Sparse):
        return torch.stack([value.row.cpu(), value.col.long().cpu()])
    if scipy.sparse.issparse(value):
        found = value.tocoo()
        return torch.from_numpy(np.stack([found.row, found.col]).astype(np.int64))
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            value = value.detach().to_sparse_coo().coalesce().indices()
        array = value.detach().cpu()
        if array.is_floating_point() or array.is_complex() or array.dtype == torch.bool:
            return None
    elif isinstance(value, np.ndarray) and value.dtype.kind in 'iu':
        array = torch.from_numpy(value.astype(np.int64))
    else:
        return None
    if array.dim() != 2 or 2 not in array.shape:
        return None
    return (array if array.size(0) == 2 else array.t()).long()


def cached_forms_agree(op: Sparse) -> bool:
    """Whether the forms of an operator that are made on first use (its transpose, its blocks,
    its matrix on a GPU) hold what the operator holds."""
    if op._transpose is not None:
        other = op._transpose
        here, there = op.to_scipy().T.tocsr(), other.to_scipy().tocsr()
        if here.shape != there.shape or (here != there).nnz:
            return False
    if op._blocks:
        col = torch.cat([block.col for block in op._blocks])
        weight = torch.cat([block.weight for block in op._blocks])
        if not (equal(col, op.col) and equal(weight, op.weight)):
            return False
    if op._cuda_matrix is not None:
        matrix = op._cuda_matrix
        if not equal(matrix.col_indices(), op.col):
            return False
        return equal(matrix.values(), op.weight.to(matrix.dtype))
    return True
