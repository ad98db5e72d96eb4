"""Parts of a graph as plain arrays, for what no table of a folder can hold."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import FormatError, GraphError

FILE_NAME = 'graph_parts.npz'
Skip = Callable[[str, str], bool]


def pack(data: HeteroData, skip: Skip) -> dict[str, np.ndarray]:
    r"""Every attribute of :obj:`data` for which ``skip(place, name)`` is False, as
    arrays under names ``place|name|kind``. A place is ``graph``, ``node/<type>`` or
    ``edge/<source>,<relation>,<target>``.

    Raises:
        GraphError: If an attribute is of a type that cannot be kept.
    """
    arrays = {}
    for place, items in _places(data):
        for name, value in items.items():
            if not skip(place, name):
                kind, array = _encoded(value, place, name)
                arrays[f'{place}|{name}|{kind}'] = array
    return arrays


def unpack(
    data: HeteroData, arrays: Mapping[str, np.ndarray], numbers: Mapping[str, np.ndarray]
) -> None:
    r"""Sets in place what :func:`pack` kept.

    Args:
        data: The graph.
        arrays: The packed arrays.
        numbers: For a node type whose order has changed, the new number of each old
            node.
    """
    for key, array in arrays.items():
        place, name, kind = _split_key(key)
        value = decoded(array, kind)
        section, _, type_name = place.partition('/')
        if section == 'graph':
            setattr(data, name, value)
        elif section == 'node':
            if type_name in numbers and kind != 'value':
                value = _reordered(value, numbers[type_name])
            data[type_name][name] = value
        else:
            src, relation, dst = type_name.split(',')
            if name == 'edge_index':
                rows = (
                    value[row] if t not in numbers else torch.from_numpy(numbers[t])[value[row]]
                    for row, t in ((0, src), (1, dst))
                )
                value = torch.stack(tuple(rows))
            data[src, relation, dst][name] = value


def _split_key(key: str) -> tuple[str, str, str]:
    parts = key.split('|')
    if len(parts) != 3 or parts[2] not in ('tensor', 'array', 'objects', 'value'):
        raise FormatError(f"'{FILE_NAME}' holds an array {key!r}, which graphrec did not write")
    return parts[0], parts[1], parts[2]


def _places(data: HeteroData) -> list[tuple[str, Mapping[str, Any]]]:
    places: list[tuple[str, Mapping[str, Any]]] = [('graph', dict(data._global_store.items()))]
    places += [(f'node/{t}', dict(data[t].items())) for t in data.node_types]
    places += [(f'edge/{",".join(t)}', dict(data[t].items())) for t in data.edge_types]
    return places


def _encoded(value: Any, place: str, name: str) -> tuple[str, np.ndarray]:
    if isinstance(value, Tensor):
        if value.dtype == torch.bfloat16:
            raise GraphError(f'{name!r} of {place} is bfloat16, which files cannot hold; use float')
        return 'tensor', value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return 'array', value
    kind = 'objects' if isinstance(value, np.ndarray) else 'value'
    try:
        text = json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)
    except TypeError as error:
        raise GraphError(f'{name!r} of {place} cannot be written ({error})') from None
    return kind, np.frombuffer(text.encode(), dtype=np.uint8)


def decoded(array: np.ndarray, kind: str) -> Any:
    """The value of an array that :func:`pack` made under this kind."""
    if kind == 'tensor':
        return torch.from_numpy(array)
    if kind == 'array':
        return array
    value = json.loads(array.tobytes().decode())
    if kind == 'value':
        return value
    objects = np.empty(len(value), dtype=object)
    objects[:] = value
    return objects


def _reordered(value: Any, numbers: np.ndarray) -> Any:
    out = torch.empty_like(value) if isinstance(value, Tensor) else np.empty_like(value)
    out[torch.from_numpy(numbers) if isinstance(value, Tensor) else numbers] = value
    return out
