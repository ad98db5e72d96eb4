from types import SimpleNamespace

import pytest

from graphrec.datasets import planted


@pytest.fixture
def bench(benchmarks):
    """The scripts as modules, with their helper files beside them."""
    import graph_construction
    import multimodal_epoch

    return SimpleNamespace(epoch=multimodal_epoch, graphs=graph_construction)


@pytest.mark.parametrize('name', ['MMHCL', 'FREEDOM'])
def test_textbook_and_library_lose_the_same_step_by_step(bench, name):
    data = planted(seed=0, num_users=60, num_items=40)
    stream, _ = bench.epoch.batches(name, data)
    first, second = (bench.epoch.PEERS[name][peer](data) for peer in ('graphrec', 'textbook'))
    losses = []
    for peer in (first, second):
        peer.begin_epoch()
    for _ in range(3):
        batch = next(stream)
        losses.append((first.step(batch), second.step(batch)))
    for a, b in losses:
        assert a == pytest.approx(b, rel=1e-5)
    assert losses[0][0] != losses[2][0]


def test_dense_and_sparse_constructions_agree(bench):
    bench.graphs.check()


def test_a_section_is_replaced_and_the_rest_stays(bench, tmp_path):
    write_section = bench.epoch.write_section
    page = tmp_path / 'page.md'
    page.write_text('# Page\n')
    write_section(page, 'one', 'old')
    write_section(page, 'two', 'kept')
    write_section(page, 'one', 'new')
    text = page.read_text()
    assert text.startswith('# Page\n')
    assert 'old' not in text
    assert text.index('new') < text.index('kept')
    assert text.count('<!--') == 4
