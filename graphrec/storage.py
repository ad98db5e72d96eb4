r"""Files that are either whole or not there: atomic writes, checksums, and nested state
as JSON beside safetensors. Reading executes nothing.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphrec.errors import FormatError, GraphError

_CHUNK = 1 << 20
_SEAL = 'sha256_of_this_document'


def pack(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    r"""Splits nested state into a tree that JSON can hold and its tensors by name.

    Dictionaries (with keys of any plain type), lists, tuples, strings, numbers (NaN and
    infinities too), booleans and :obj:`None` come back from :func:`unpack` as they were.

    Raises:
        GraphError: If a value is of another type; names its place in the tree.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(tree, '', tensors), tensors


def unpack(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of :func:`pack`."""
    if isinstance(tree, list):
        return [unpack(value, tensors) for value in tree]
    if not isinstance(tree, dict):
        return tree
    if '$tensor' in tree:
        return tensors[tree['$tensor']]
    if '$float' in tree:
        return float(tree['$float'])
    if '$tuple' in tree:
        return tuple(unpack(tree['$tuple'], tensors))
    if '$map' in tree:
        return {key: unpack(value, tensors) for key, value in tree['$map']}
    return {key: unpack(value, tensors) for key, value in tree.items()}


def _pack(tree: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        name = place or 'tensor'
        while name in tensors:  # The keys 1 and '1' read alike.
            name += "'"
        tensors[name] = tree.detach()
        return {'$tensor': name}
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, float) and not math.isfinite(tree):
        return {'$float': repr(float(tree))}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, dict):
        packed = [(key, _pack(value, f'{place}/{key}', tensors)) for key, value in tree.items()]
        if all(isinstance(key, str) and not key.startswith('$') for key in tree):
            return dict(packed)
        if all(key is None or isinstance(key, (bool, int, float, str)) for key in tree):
            return {'$map': [list(pair) for pair in packed]}
    if isinstance(tree, (list, tuple)):
        values = [_pack(value, f'{place}/{n}', tensors) for n, value in enumerate(tree)]
        return {'$tuple': values} if isinstance(tree, tuple) else values
    raise GraphError(
        f"'{place or 'state'}' holds {tree!r} of type {type(tree).__name__}, which cannot be "
        'stored; only tensors, numbers, text, lists, tuples and dictionaries can'
    )


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns a failed write below :obj:`path` into one clear error.

    Raises:
        GraphError: On a full disk, a missing permission or any other failed write.
    """
    try:
        yield
    except SafetensorError as error:
        raise GraphError(_reason(path, _error_number(str(error)), str(error))) from error
    except OSError as error:
        raise GraphError(_reason(path, error.errno, str(error.strerror or error))) from error


def _error_number(text: str) -> int | None:
    """The number in ``... (os error 28)``, as safetensors reports a failed write."""
    digits = text.rpartition('(os error ')[2].partition(')')[0]
    return int(digits) if digits.isdigit() else None


def _reason(path: Path, number: int | None, text: str) -> str:
    start, end = f"'{path}' could not be written", 'what was there before is unchanged'
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f'{start}: the disk is full; free some space or name another disk ({end})'
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f'{start}: no permission; name a folder that you may write to ({end})'
    if number in (errno.ENOTDIR, errno.EEXIST):
        return f'{start}: a part of the path is a file, not a folder; name another one ({end})'
    return f'{start}: {text} ({end})'


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> str:
    """Writes a safetensors file through a temporary name; returns its SHA-256 (hex)."""
    seen: set[int] = set()
    unshared = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().cpu().contiguous()
        start = flat.untyped_storage().data_ptr()
        if start in seen:  # safetensors refuses tensors that share memory.
            flat = flat.clone()
        seen.add(flat.untyped_storage().data_ptr())
        unshared[name] = flat
    with replacing(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # save_file would leave a file for its owner only.
        save_file(unshared, temporary)
        temporary.chmod(mode)
        return sha256_of(temporary)


def read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Reads what :func:`write_tensors` wrote.

    Raises:
        FormatError: If the file is missing, or other bytes than were written.
    """
    check_sha256(path, sha256)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise FormatError(f"'{path}' is not a readable safetensors file ({error})") from error


def write_json(path: Path, document: dict[str, Any], *, indent: int | None = 1) -> str:
    """Writes a sealed document (it carries its own SHA-256) through a temporary name;
    returns the SHA-256 (hex) of the file."""
    sealed = {**document, _SEAL: _seal(document)}
    content = json.dumps(sealed, indent=indent, allow_nan=False).encode()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Reads what :func:`write_json` wrote.

    Raises:
        FormatError: If the file is missing, no JSON object, or was changed.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(f"'{path}' cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"'{path}' is cut off or no JSON ({error})") from error
    seal = document.pop(_SEAL, None) if isinstance(document, dict) else None
    try:
        whole = seal is not None and seal == _seal(document)
    except (ValueError, RecursionError):  # NaN, or nested deeper than is ever written.
        whole = False
    if not whole:
        raise FormatError(f"'{path}' was changed after it was written: its checksum is wrong")
    return document


def require_entries(path: Path, document: dict[str, Any], entries: Mapping[str, type]) -> None:
    """Raises :class:`FormatError` unless the document read from :obj:`path` has these
    entries, each of its type."""
    for name, kind in entries.items():
        if not isinstance(document.get(name), kind):
            raise FormatError(
                f"'{path}' has {name}={document.get(name)!r}, expected a {kind.__name__}; it was "
                'not written by graphrec'
            )


def check_sha256(path: Path, sha256: str) -> None:
    """Raises :class:`FormatError` unless the file at :obj:`path` has this SHA-256."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise FormatError(f"'{path}' cannot be read ({error.strerror})") from error
    if found != sha256:
        raise FormatError(
            f"'{path}' was cut off or changed after it was written: its checksum is "
            f'{found[:12]}…, expected {sha256[:12]}…'
        )


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside :obj:`path`; what was written there takes the place of
    :obj:`path` at the end, and is removed if anything fails.

    Raises:
        GraphError: If the file cannot be written.
    """
    folder = temporary_folder(path)
    temporary = folder / path.name
    try:
        with explained(path):
            folder.mkdir(exist_ok=True)
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def replacing_folder(path: Path, *, only_new: bool = False) -> Iterator[Path]:
    """A new folder beside :obj:`path` that takes its place when the block ends without
    an error; otherwise it is removed and :obj:`path` stays what it was. Where :obj:`path` is a
    link, the folder that it points to is meant.

    Args:
        path: The folder.
        only_new: Whether nothing but an empty folder may be replaced.

    Raises:
        GraphError: If the folder cannot be written, or with :obj:`only_new` holds something by
            then.
    """
    path = Path(os.path.realpath(path))
    temporary = temporary_folder(path)
    previous = previous_folder(path)
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            _sync(temporary)
            if only_new:
                _move(temporary, path)
            else:
                _exchange(temporary, path, previous)
            _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_folder(path: Path) -> Path:
    """Where this process prepares what will be at :obj:`path`."""
    return path.with_name(f'.{path.name}.{os.getpid()}.tmp')


def previous_folder(path: Path) -> Path:
    """Where :func:`replacing_folder` keeps the old folder for the moment in which the new
    one takes its place; it stays only if the machine stops in that moment."""
    return path.with_name(f'.{path.name}.previous')


def _move(temporary: Path, path: Path) -> None:
    """In one step, which the system refuses where there is more than an empty folder."""
    try:
        os.rename(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise GraphError(
            f"'{path}' was written by another run in the meantime; name a new folder, or add "
            "'--resume' if it was the same request"
        ) from None


def _exchange(temporary: Path, path: Path, previous: Path) -> None:
    if not path.exists():
        os.replace(temporary, path)
    else:
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(path, previous)
        try:
            os.replace(temporary, path)
        except OSError:
            os.replace(previous, path)
            raise
    shutil.rmtree(previous, ignore_errors=True)


def _seal(document: dict[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(',', ':'), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _sync(path: Path) -> None:
    """Brings a file or folder to the disk, so that a name never precedes its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
