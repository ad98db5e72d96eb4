"""Both benchmarks on planted data, on tiny graphs: what they store makes their sections."""

import json

import pytest

SMALL = ['--users', '60', '--items', '60', '--interactions', '900', '--epochs', '2']


pytestmark = pytest.mark.usefixtures('benchmarks')


def test_a_foreign_block_is_measured_for_every_method(tmp_path, monkeypatch):
    import unlearning_planted
    from _unlearning_sections import stored_sections

    methods = ('edit_only', 'finetune', 'auto')
    monkeypatch.setattr(unlearning_planted, 'METHODS', methods)
    words = [*SMALL, '--block-users', '5', '--block-items', '4', '--golds', '2', '--threads', '1']
    out = tmp_path / 'unlearning_planted.json'
    assert unlearning_planted.main([*words, '--out', str(out)]) == 0
    record = json.loads(out.read_text())
    assert record['pairs'] == 20
    assert list(record['methods']) == list(methods)
    mean = sum(gold['level'] for gold in record['golds']) / 2
    assert record['gold level'] == pytest.approx(mean)
    (section,) = stored_sections(tmp_path)
    assert all(f'| {name} |' in section for name in ('original', *methods))


def test_a_day_is_simulated(tmp_path, monkeypatch):
    import unlearning_stream
    from _unlearning_sections import stored_sections

    monkeypatch.setattr(unlearning_stream, 'SEQUENCE', 4)
    out = tmp_path / 'unlearning_stream.json'
    words = [*SMALL, '--requests', '12', '--batches', '1', '6', '--threads', '1']
    assert unlearning_stream.main([*words, '--steps', '1', '--out', str(out)]) == 0
    record = json.loads(out.read_text())
    assert record['counts'] == [1, 10, 12]
    assert record['sequence']['same graph'] is True
    assert [day['runs'] for day in record['days'].values()] == [12, 2]
    assert list(record['days']['1']['drift from gold']) == ['1', '10', '12']
    assert list(record['days']['6']['drift from gold']) == ['12']
    (section,) = stored_sections(tmp_path)
    assert '4 requests in turn' in section
