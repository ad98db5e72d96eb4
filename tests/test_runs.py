import pandas as pd
import pytest

from graphrec import runs
from graphrec.catalogue import catalogue
from graphrec.errors import FormatError, GraphError
from graphrec.graphs.schema import HOLDOUT_TEST, split_edges, train_edges, training_digest
from graphrec.storage import write_json


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of ten items a user whose rows have the given splits in turn."""

    def make(*splits):
        rows = [(u, i, splits[i % len(splits)]) for u in range(6) for i in range(10)]
        path = tmp_path / '-'.join(map(str, splits))
        path.mkdir()
        table = pd.DataFrame(rows, columns=['user', 'item', 'split'])
        if splits == (None,):
            table = table.drop(columns='split')
        table.to_csv(path / 'interactions.csv', index=False)
        return str(path)

    return make


def test_own_parts_are_kept(folder):
    data, steps = runs.prepare(folder('train', 'valid', 'test'))
    assert steps == runs.Steps()
    assert train_edges(data).size(1) == 24
    assert runs.masked_parts(steps, 'test') == ('train',)
    assert runs.describe_steps(data, steps) == []


def test_missing_validation_part_is_carved_and_test_untouched(folder):
    source = folder('train', 'test')
    data, steps = runs.prepare(source, seed=3)
    assert steps == runs.Steps(seed=3, carved=True)
    assert split_edges(data, 'valid').size(1) == 6  # A tenth of five, rounded, each.
    assert data[HOLDOUT_TEST].edge_index.size(1) == 30
    assert runs.masked_parts(steps, 'test') == ('train', 'valid')
    assert runs.masked_parts(steps, 'valid') == ('train',)
    (sentence,) = runs.describe_steps(data, steps)
    assert '24 train, 6 valid, 30 test' in sentence
    assert training_digest(runs.repeat(source, steps)) == training_digest(data)
    other, _ = runs.prepare(source, seed=4)
    assert training_digest(other) != training_digest(data)


def test_no_parts_at_all_are_made(folder):
    source = folder(None)
    data, steps = runs.prepare(source)
    assert steps == runs.Steps(split='random')
    assert (train_edges(data).size(1), split_edges(data, 'test').size(1)) == (48, 6)
    assert training_digest(runs.repeat(source, steps)) == training_digest(data)


def test_record_comes_back_and_a_newer_one_is_refused(tmp_path):
    assert runs.read_record(tmp_path) is None
    steps = runs.Steps(seed=2, split='time', load={'user': 'who'})
    runs.write_record(tmp_path, 'somewhere', steps)
    assert runs.read_record(tmp_path) == steps
    write_json(tmp_path / runs.RECORD, {'version': 99})
    with pytest.raises(FormatError, match='99'):
        runs.read_record(tmp_path)


def test_planted_takes_no_options():
    with pytest.raises(GraphError, match='min_rating'):
        runs.open_data('planted', options={'min_rating': 3.0})


def test_ids_may_be_read_as_text(folder):
    data = runs.open_data(folder('train', 'test'), options={'id_type': 'str'})
    assert data['user'].id[0] == '0'


def test_catalogue(folder, tmp_path):
    source = folder('train', 'test')
    (tmp_path / 'train-test' / 'README.md').write_text('# Title\n\nA small set: made up. More.\n')
    (tmp_path / 'other').mkdir()
    table = catalogue(tmp_path).set_index('name')
    assert table.loc['train-test'].tolist() == ['folder', source, 'A small set']
    assert 'other' not in table.index
    assert table.loc['planted', 'kind'] == 'embedded'
    (tmp_path / 'file').touch()
    with pytest.raises(GraphError, match='file'):
        catalogue(tmp_path / 'file')
