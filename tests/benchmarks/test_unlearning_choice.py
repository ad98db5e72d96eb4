"""The study behind the default settings, on tiny graphs."""

import copy
import json

import pytest

from graphrec.datasets import planted
from graphrec.graphs.schema import HOLDOUT_TEST
from graphrec.unlearn.automatic import TABLE


@pytest.fixture
def study(small_backbone, monkeypatch):
    """The script as a module, with one small question on planted data."""
    import _unlearning_questions as asked
    import unlearning_choice

    questions = tuple(
        asked.Question(
            'short', 'lastfm-2k-mm', 'LightGCN', request, (7, 8),
            {'edit alone': ('edit_only', {}), 'three steps': ('finetune', {'steps': 3})},
            'How many steps.',
        )
        for request in ('interactions-5', 'image-5')
    )  # fmt: skip
    monkeypatch.setattr(unlearning_choice, 'QUESTIONS', questions)
    monkeypatch.setattr(unlearning_choice, 'load', lambda path: graph())
    return unlearning_choice


def graph():
    return planted(num_users=60, num_items=50, num_interactions=900, seed=0)


def run(study, folder, *more):
    places = [
        '--out', str(folder / 'cells'), '--models', str(folder / 'models'),
        '--table', str(folder / 'choice.md'),
    ]  # fmt: skip
    assert study.main([*places, '--threads', '1', *more]) == 0
    return {p.name: json.loads(p.read_text()) for p in folder.glob('cells/*/*draw*.json')}


def without_seconds(records):
    records = copy.deepcopy(records)
    for record in records.values():
        for found in record['answers'].values():
            for each in found:
                del each['seconds']
    return records


def test_every_draw_is_stored_and_shown(study, tmp_path):
    done = run(study, tmp_path)
    assert [record['status'] for record in done.values()] == ['done'] * 4
    first = next(record for name, record in done.items() if 'interactions-5-draw7' in name)
    assert [len(found) for found in first['answers'].values()] == [2, 2]
    assert [each['steps'] for each in first['answers']['three steps']] == [3, 3]
    assert 0 < first['between retrained'][0]['distance'] < 1
    page = (tmp_path / 'choice.md').read_text()
    mean = sum(each['recall'] for each in first['retrained']) / 2
    row = next(line for line in page.splitlines() if line.startswith('| *retrained* |'))
    assert row.startswith(f'| *retrained* | {mean:.4f}, ')
    assert '| drift | level | steps |' in page
    assert 'Not run yet' not in page
    assert run(study, tmp_path, '--only-table') == done
    assert (tmp_path / 'choice.md').read_text() == page
    assert run(study, tmp_path / 'other', '--only-table') == {}
    assert '- lastfm-2k-mm, LightGCN, image-5: short' in (tmp_path / 'other/choice.md').read_text()


def test_test_edges_are_not_looked_at(study, tmp_path, monkeypatch):
    done = without_seconds(run(study, tmp_path / 'one'))

    def other(path):
        data = graph()
        data[HOLDOUT_TEST].edge_index = data[HOLDOUT_TEST].edge_index.flip(1)[:, :5]
        return data

    monkeypatch.setattr(study, 'load', other)
    assert without_seconds(run(study, tmp_path / 'two')) == done


def test_no_draw_is_that_of_the_results(study):
    import _unlearning_questions as asked

    names = [(q.name, q.data, q.backbone, q.request) for q in asked.QUESTIONS]
    assert len(set(names)) == len(names)
    assert all(0 not in question.draws for question in asked.QUESTIONS)


def test_attempts_of_the_table_are_among_the_answers(study):
    """A setting that is changed in the table is asked for anew."""
    import _unlearning_questions as asked

    given = [answer for question in asked.QUESTIONS for answer in question.answers.values()]
    kinds = set(TABLE) - {'untouched'}
    assert all(attempt in given for kind in kinds for attempt in TABLE[kind][:1])
