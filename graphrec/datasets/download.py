"""Downloads of the public data sets: resumed, checked, and never half there."""

import hashlib
import http.client
import json
import logging
import os
import shutil
import socket
import stat
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from graphrec.datasets.sources import RECORD, SOURCES, RemoteFile, Source
from graphrec.errors import FormatError, GraphError, OfflineError

logger = logging.getLogger(__name__)

_CHUNK = 1 << 18
_NO_RETRY = (400, 401, 403, 404, 405, 410, 451)


class _BrokenOffError(OSError):
    """The transfer ended before the announced length."""


def available() -> pd.DataFrame:
    """The public data sets that :func:`download` knows, one row each: ``name``,
    ``title``, ``format`` (of :data:`graphrec.datasets.formats.FORMATS`), ``files``,
    ``address`` of the first file, ``checksum`` and ``licence``."""
    rows = [
        {
            'name': source.name,
            'title': source.title,
            'format': source.format,
            'files': ' '.join(file.name for file in source.files),
            'address': source.files[0].url,
            'checksum': _checksum_kind(source),
            'licence': source.licence,
        }
        for source in SOURCES.values()
    ]
    return pd.DataFrame(rows)


def download(
    name: str,
    root: str | Path,
    *,
    force: bool = False,
    retries: int = 4,
    timeout: float = 30.0,
    wait: float = 1.0,
    progress: bool = True,
) -> Path:
    r"""Brings a public data set to ``root/name`` and unpacks its archives there.

    What is there and intact is not fetched again, so files may also be put into the
    folder by hand. A transfer that broke off goes on where it stopped, also in a later
    call (``<file>.part``). Each file is held against its published checksum; where
    none is published, size and SHA-256 of the first download are recorded in
    ``download.json``, and later calls are held against that record.

    Args:
        name: A name from :func:`available`.
        root: Folder of all data sets; made if missing.
        force: Fetch again what is there; the old file stays until the new one is whole.
        retries: Further attempts after a failed one.
        timeout: Seconds without an answer that end an attempt.
        wait: Seconds before the first further attempt, doubled each time.
        progress: Whether to show a progress bar.

    Returns:
        The folder; ``graphrec.load(folder)`` makes the graph of it.

    Raises:
        GraphError: If the name is unknown or the folder can't be written.
        OfflineError: If an address can't be reached; it says which file to get and
            where to put it.
        FormatError: If a file differs from its checksum or an archive is broken.
    """
    if name not in SOURCES:
        raise GraphError(f"'name' is {name!r}, expected one of {list(SOURCES)}")
    source, folder = SOURCES[name], Path(root) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraphError(f"'root': the folder '{folder}' can't be made ({error})") from None
    record = _read_record(folder)
    for file in source.files:
        target = folder / file.name
        if force or not target.is_file():
            part = folder / f'{file.name}.part'
            if force:
                _remove(part, _tag_file(part))
            _transfer(file, part, folder, retries, timeout, wait, progress)
            _check_new(file, part)
            os.replace(part, target)
            _remove(_tag_file(part))
            record.pop(file.name, None)
        digest = _digest(target, 'sha256')
        _check_present(file, target, record.get(file.name, {}).get('sha256'), digest)
        size = target.stat().st_size
        record[file.name] = {'url': file.url, 'size': size, 'sha256': digest}
        _write_record(folder, record)
        if target.suffix == '.zip':
            _unpack(target, folder)
    return folder


def _transfer(
    file: RemoteFile,
    part: Path,
    folder: Path,
    retries: int,
    timeout: float,
    wait: float,
    progress: bool,
) -> None:
    for attempt in range(retries + 1):
        error = _failure(file, part, timeout, progress)
        if error is None:
            return
        final = isinstance(error, urllib.error.HTTPError) and error.code in _NO_RETRY
        reason = getattr(error, 'reason', None)
        no_network = isinstance(reason, (socket.gaierror, ConnectionRefusedError))
        if final or no_network or attempt == retries:
            raise OfflineError(
                f"'{file.url}' could not be fetched ({error}); get that file by another way "
                f"and put it at '{folder / file.name}', then call again"
            )
        logger.info('%s: attempt %d failed (%s)', file.name, attempt + 1, error)
        time.sleep(wait * 2**attempt)


def _failure(file: RemoteFile, part: Path, timeout: float, progress: bool) -> Exception | None:
    """What ended one attempt; None if the part is whole."""
    try:
        _attempt(file, part, timeout, progress)
    except (http.client.HTTPException, OSError) as error:  # URLError is an OSError.
        return error
    return None


def _attempt(file: RemoteFile, part: Path, timeout: float, progress: bool) -> None:
    """One request for what is still missing of :obj:`part`."""
    tag = _tag_file(part)
    validator = tag.read_text() if tag.is_file() else ''
    offset = part.stat().st_size if part.is_file() else 0
    if not validator and not file.checksum:
        offset = 0  # Nothing would show that the file has changed meanwhile.
    request = urllib.request.Request(file.url, headers={'User-Agent': 'graphrec'})
    if offset:
        request.add_header('Range', f'bytes={offset}-')
        if validator:
            request.add_header('If-Range', validator)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and offset:
            if error.headers.get('Content-Range') == f'bytes */{offset}':
                return  # The part is the whole file already.
            _remove(part, tag)
        raise
    with response:
        if response.status != 206:
            offset = 0
        elif not response.headers.get('Content-Range', '').startswith(f'bytes {offset}-'):
            _remove(part, tag)
            raise _BrokenOffError('the server sent another part than the one asked for')
        length = response.headers.get('Content-Length')
        total = None if length is None else offset + int(length)
        validator = response.headers.get('ETag') or response.headers.get('Last-Modified') or ''
        # A weak tag promises no equal bytes, so it can't carry a resume.
        _write(tag, '' if validator.startswith('W/') else validator)
        received = _receive(response, part, offset, total, file.name, progress)
    if total is not None and received < total:
        raise _BrokenOffError(f'broke off after {received} of {total} bytes')


def _receive(
    response: Any, part: Path, offset: int, total: int | None, name: str, progress: bool
) -> int:
    received = offset
    try:
        stream = part.open('r+b' if offset else 'wb')
    except OSError as error:
        raise GraphError(f"'{part}' can't be written ({error})") from None
    bar = tqdm(
        total=total, initial=offset, desc=name, unit='B', unit_scale=True, disable=not progress
    )
    with stream, bar:
        stream.seek(offset)
        while chunk := response.read(_CHUNK):
            try:
                stream.write(chunk)
            except OSError as error:
                raise GraphError(f"'{part}' can't be written ({error})") from None
            received += len(chunk)
            bar.update(len(chunk))
    return received


def _check_new(file: RemoteFile, part: Path) -> None:
    """Removes a download that differs from its published checksum, and says so."""
    if file.checksum is None:
        return
    kind, expected = file.checksum.split(':')
    got = _digest(part, kind)
    if got != expected:
        _remove(part, _tag_file(part))
        raise FormatError(
            f"'{file.url}' came with {kind} {got}, expected {expected}; it was removed: call "
            f'again, and if it happens again the file has changed at its source'
        )


def _check_present(file: RemoteFile, target: Path, recorded: str | None, sha256: str) -> None:
    """Holds a file that is there against its published or recorded checksum."""
    if file.checksum is not None:
        kind, expected = file.checksum.split(':')
        got = sha256 if kind == 'sha256' else _digest(target, kind)
    elif recorded is not None:
        kind, expected, got = 'sha256 (recorded at the first download)', recorded, sha256
    else:
        return
    if got != expected:
        raise FormatError(
            f"'{target}' has {kind} {got}, expected {expected}; delete it or pass force=True to "
            f'fetch it again'
        )


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new('sha1' if kind == 'git' else kind)
    if kind == 'git':
        digest.update(b'blob %d\0' % path.stat().st_size)
    with path.open('rb') as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _unpack(archive: Path, folder: Path) -> None:
    """Unpacks into :obj:`folder` what is not there yet; every member must stay inside."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = [m for m in zipped.infolist() if not m.is_dir()]
            for member in members:
                _require_inside(member, archive)
            for member in members:
                target = folder / member.filename
                if target.is_file() and target.stat().st_size == member.file_size:
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                part = target.with_name(f'{target.name}.part')
                with zipped.open(member) as source, part.open('wb') as stream:
                    shutil.copyfileobj(source, stream)
                os.replace(part, target)
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise FormatError(
            f"'{archive}' is no readable zip archive ({error}); delete it or pass force=True"
        ) from None
    except OSError as error:
        raise GraphError(f"'{archive}' can't be unpacked into '{folder}' ({error})") from None


def _require_inside(member: zipfile.ZipInfo, archive: Path) -> None:
    path = PurePosixPath(member.filename.replace('\\', '/'))
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if not path.parts or path.is_absolute() or '..' in path.parts or is_link or ':' in str(path):
        raise FormatError(
            f"'{archive}' holds {member.filename!r}, which would lie outside its folder; it was "
            f'not unpacked'
        )


def _checksum_kind(source: Source) -> str:
    kinds = {f.checksum.split(':')[0] if f.checksum else 'at first download' for f in source.files}
    return ', '.join(sorted(kinds))


def _tag_file(part: Path) -> Path:
    return part.with_name(f'{part.name}.tag')


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _read_record(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FormatError(f"'{path}' is unreadable ({error}); delete it to start anew") from None
    if not isinstance(record, dict):
        raise FormatError(f"'{path}' holds no record of downloads; delete it to start anew")
    return record


def _write_record(folder: Path, record: dict[str, dict[str, Any]]) -> None:
    path = folder / RECORD
    _write(path.with_name(f'{RECORD}.part'), json.dumps(record, indent=1, sort_keys=True))
    os.replace(path.with_name(f'{RECORD}.part'), path)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise GraphError(f"'{path}' can't be written ({error})") from None
