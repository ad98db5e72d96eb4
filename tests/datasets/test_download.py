import gzip
import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from graphrec.datasets.download import available, download
from graphrec.datasets.formats import FORMATS
from graphrec.datasets.loading import load
from graphrec.datasets.sources import SOURCES, RemoteFile, Source
from graphrec.errors import FormatError, GraphError, OfflineError

BODY = bytes(range(256)) * 4096  # 1 MiB


class Server:
    """A local server whose answers a test can bend."""

    def __init__(self):
        self.files = {}
        self.ranges = []  # The Range header of each request.
        self.break_after = []  # Bytes after which the next answers break off.
        self.errors = []  # Status codes of the next answers.
        self.etag = '"one"'
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, name):
        return f'http://127.0.0.1:{self.http.server_address[1]}/{name}'

    def answer(self, request):
        self.ranges.append(request.headers.get('Range'))
        if self.errors:
            return request.send_error(self.errors.pop(0))
        body = self.files.get(request.path[1:])
        if body is None:
            return request.send_error(404)
        begin, total = 0, len(body)
        condition = request.headers.get('If-Range')
        if request.headers.get('Range') and condition in (None, self.etag):
            begin = int(request.headers['Range'].removeprefix('bytes=').removesuffix('-'))
        if begin >= total:
            request.send_response(416)
            request.send_header('Content-Range', f'bytes */{total}')
            request.send_header('Content-Length', '0')
            return request.end_headers()
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header('Content-Range', f'bytes {begin}-{total - 1}/{total}')
        if self.etag:
            request.send_header('ETag', self.etag)
        request.send_header('Content-Length', str(total - begin))
        request.end_headers()
        end = begin + self.break_after.pop(0) if self.break_after else total
        request.wfile.write(body[begin:end])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def add(server, monkeypatch):
    def add_source(name='toy', file='toy.bin', body=BODY, checksum=None):
        server.files[file] = body
        remote = RemoteFile(server.url(file), checksum)
        source = Source(name, 'A toy', 'lightgcn', 'none', (remote,))
        monkeypatch.setitem(SOURCES, name, source)

    return add_source


def get(root, name='toy', **kwargs):
    return download(name, root, wait=0, progress=False, **kwargs)


def test_download_records_and_does_not_fetch_again(server, add, tmp_path):
    add()
    folder = get(tmp_path)
    assert folder == tmp_path / 'toy'
    assert (folder / 'toy.bin').read_bytes() == BODY
    record = json.loads((folder / 'download.json').read_text())['toy.bin']
    assert record == {
        'url': server.url('toy.bin'),
        'size': len(BODY),
        'sha256': hashlib.sha256(BODY).hexdigest(),
    }
    get(tmp_path)
    assert len(server.ranges) == 1
    assert sorted(p.name for p in folder.iterdir()) == ['download.json', 'toy.bin']


def test_broken_transfer_resumes_where_it_stopped(server, add, tmp_path):
    add()
    server.break_after = [300_000, 200_000]
    folder = get(tmp_path)
    assert (folder / 'toy.bin').read_bytes() == BODY
    assert server.ranges == [None, 'bytes=300000-', 'bytes=500000-']


def test_a_later_call_resumes(server, add, tmp_path):
    add()
    server.break_after = [300_000]
    with pytest.raises(OfflineError, match='broke off after 300000 of 1048576'):
        get(tmp_path, retries=0)
    assert (tmp_path / 'toy' / 'toy.bin.part').stat().st_size == 300_000
    assert not (tmp_path / 'toy' / 'toy.bin').exists()
    assert (get(tmp_path) / 'toy.bin').read_bytes() == BODY
    assert server.ranges[-1] == 'bytes=300000-'


def test_a_changed_file_starts_over(server, add, tmp_path):
    add()
    server.break_after = [300_000]
    with pytest.raises(OfflineError):
        get(tmp_path, retries=0)
    changed = BODY[::-1]
    server.files['toy.bin'], server.etag = changed, '"two"'
    assert (get(tmp_path) / 'toy.bin').read_bytes() == changed


def test_without_tag_or_checksum_no_resume(server, add, tmp_path):
    add()
    server.etag, server.break_after = None, [300_000]
    assert (get(tmp_path) / 'toy.bin').read_bytes() == BODY
    assert server.ranges == [None, None]


def test_part_that_is_whole_already(server, add, tmp_path):
    add(checksum='sha256:' + hashlib.sha256(BODY).hexdigest())
    folder = tmp_path / 'toy'
    folder.mkdir()
    (folder / 'toy.bin.part').write_bytes(BODY)
    get(tmp_path)
    assert (folder / 'toy.bin').read_bytes() == BODY
    assert server.ranges == [f'bytes={len(BODY)}-']


def test_part_that_is_too_long_is_dropped(server, add, tmp_path):
    add(checksum='sha256:' + hashlib.sha256(BODY).hexdigest())
    folder = tmp_path / 'toy'
    folder.mkdir()
    (folder / 'toy.bin.part').write_bytes(BODY + b'more')
    assert (get(tmp_path) / 'toy.bin').read_bytes() == BODY


@pytest.mark.parametrize(
    'checksum',
    [
        'md5:' + hashlib.md5(BODY).hexdigest(),
        'sha256:' + hashlib.sha256(BODY).hexdigest(),
        'git:' + hashlib.sha1(b'blob 1048576\0' + BODY).hexdigest(),
    ],
)
def test_right_checksums(add, tmp_path, checksum):
    add(checksum=checksum)
    assert (get(tmp_path) / 'toy.bin').read_bytes() == BODY


def test_wrong_checksum_removes_the_file(add, tmp_path):
    add(checksum='md5:' + '0' * 32)
    with pytest.raises(FormatError, match=r'toy\.bin.*md5.*expected 0000'):
        get(tmp_path)
    assert list((tmp_path / 'toy').iterdir()) == []


def test_file_that_changed_on_disk_is_noticed(add, tmp_path):
    add()
    target = get(tmp_path) / 'toy.bin'
    target.write_bytes(b'cut')
    with pytest.raises(FormatError, match='recorded at the first download'):
        get(tmp_path)
    assert target.read_bytes() == b'cut'  # Someone's file is not ours to delete.
    get(tmp_path, force=True)
    assert target.read_bytes() == BODY


def test_force_keeps_the_old_file_until_the_new_one_is_whole(server, add, tmp_path):
    add()
    target = get(tmp_path) / 'toy.bin'
    server.errors = [404]
    with pytest.raises(OfflineError):
        get(tmp_path, force=True)
    assert target.read_bytes() == BODY


def test_errors_of_the_server_are_retried(server, add, tmp_path):
    add()
    server.errors = [503, 429]
    assert (get(tmp_path) / 'toy.bin').read_bytes() == BODY
    server.errors = [503, 503]
    with pytest.raises(OfflineError, match='503'):
        get(tmp_path, force=True, retries=1)


def test_missing_file_is_not_retried(server, add, tmp_path):
    add()
    del server.files['toy.bin']
    with pytest.raises(OfflineError, match='404'):
        get(tmp_path)
    assert len(server.ranges) == 1


def test_offline_says_which_file_goes_where(server, add, tmp_path, monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    add()
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(OfflineError) as caught:
        get(tmp_path)
    assert server.url('toy.bin') in str(caught.value)
    assert str(tmp_path / 'toy' / 'toy.bin') in str(caught.value)
    (tmp_path / 'toy' / 'toy.bin').write_bytes(b'by hand')
    assert (get(tmp_path) / 'toy.bin').read_bytes() == b'by hand'


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, text in members.items():
            archive.writestr(name.replace('__', '/'), text)
    return stream.getvalue()


def test_from_address_to_graph(add, tmp_path):
    add(file='ml-100k.zip', body=zipped(**{'ml-100k__u.data': '1\t5\t3\t9\n2\t5\t4\t8\n'}))
    data = load(get(tmp_path))
    assert (data.name, data['user'].num_nodes) == ('movielens-100k', 2)
    line = '{"reviewerID": "A", "asin": "x", "overall": 5.0, "unixReviewTime": 7}'
    add(name='other', file='reviews_Toy_5.json.gz', body=gzip.compress(line.encode()))
    assert list(load(get(tmp_path, 'other'))['item'].id) == ['x']


def test_archive_is_unpacked(add, tmp_path):
    add(file='toy.zip', body=zipped(toy__a='one', toy__b='two'))
    folder = get(tmp_path)
    assert (folder / 'toy' / 'a').read_text() == 'one'
    (folder / 'toy' / 'b').unlink()
    get(tmp_path)
    assert (folder / 'toy' / 'b').read_text() == 'two'


@pytest.mark.parametrize('name', ['../out', '/out', 'a/../../out', '..\\out', 'c:/out'])
def test_archive_with_a_path_outside_is_refused(add, tmp_path, name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr('good', 'x')
        archive.writestr(name, 'x')
    add(file='toy.zip', body=stream.getvalue())
    with pytest.raises(FormatError, match='outside'):
        get(tmp_path)
    assert not (tmp_path / 'out').exists()
    assert not (tmp_path / 'toy' / 'good').exists()


def test_archive_with_a_link_is_refused(add, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        link = zipfile.ZipInfo('link')
        link.external_attr = 0o120777 << 16
        archive.writestr(link, '/')
    add(file='toy.zip', body=stream.getvalue())
    with pytest.raises(FormatError, match='link'):
        get(tmp_path)


def test_broken_archive(add, tmp_path):
    add(file='toy.zip', body=zipped(a='one')[:-10])
    with pytest.raises(FormatError, match=r'toy\.zip.*zip'):
        get(tmp_path)


def test_bad_arguments_and_folders(add, tmp_path):
    with pytest.raises(GraphError, match=r"'name' is 'movielens'.*movielens-100k"):
        download('movielens', tmp_path)
    add()
    (tmp_path / 'file').write_text('')
    with pytest.raises(GraphError, match="'root'"):
        get(tmp_path / 'file')
    folder = get(tmp_path)
    (folder / 'download.json').write_text('{')
    with pytest.raises(FormatError, match=r'download\.json'):
        get(tmp_path)


def test_disk_full_names_the_file(add, tmp_path, monkeypatch):
    add()
    real = Path.open

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, 'No space left on device')

    def full(self, mode='r', *args, **kwargs):
        return Full() if self.name.endswith('.part') and 'b' in mode else real(self, mode)

    monkeypatch.setattr(Path, 'open', full)
    with pytest.raises(GraphError, match=r'toy\.bin\.part.*No space left'):
        get(tmp_path)


def test_table_of_sources():
    table = available()
    assert list(table['name']) == list(SOURCES)
    assert {'movielens-100k', 'movielens-1m', 'gowalla', 'yelp2018'} <= set(table['name'])
    assert table['address'].str.startswith('https://').all()
    assert set(table['format']) <= set(FORMATS)
    for source in SOURCES.values():
        for file in source.files:
            kind, _, digest = (file.checksum or 'md5:' + '0' * 32).partition(':')
            assert len(digest) == {'md5': 32, 'git': 40, 'sha256': 64}[kind]
