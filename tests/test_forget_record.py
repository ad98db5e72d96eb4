"""What a ledger knows of a result, and what ``--resume`` goes on with."""

import re
import shutil

import pytest
from program import refused, run, run_json

import graphrec
from graphrec import datasets
from graphrec.forget_folder import LATER
from graphrec.storage import read_json, write_json
from graphrec.unlearn import Ledger, RemoveUsers, model_digest, verify_ledger
from graphrec.unlearn.ledger import read_requests

STEPS = ('--method', 'finetune', '--set', 'steps=5')


@pytest.fixture(scope='module')
def place(tmp_path_factory, write_models):
    place = tmp_path_factory.mktemp('record')
    write_models(place, 3, model=0, other=1)
    (place / 'key').write_text('0123456789abcdef' * 4)
    return place


@pytest.fixture(params=['plain', 'private'])
def record(request, place, tmp_path):
    words = ('--ledger', tmp_path / 'ledger')
    return words if request.param == 'plain' else (*words, '--private', place / 'key')


def words_of(place, *more, users='users.txt'):
    return ('forget', place / 'model', place / 'data', '--users', place / users, *more)


def states(tmp_path):
    return [request.state for request in read_requests(tmp_path / 'ledger')]


def test_an_audited_result_that_is_gone_is_made_and_audited_again(place, tmp_path, record):
    first = run_json(*words_of(place, *STEPS, *record, '--out', tmp_path / 'out'))
    kept = (tmp_path / 'out/model/weights.safetensors').read_bytes()
    shutil.rmtree(tmp_path / 'out')
    new = tmp_path / 'new'
    again = run_json(*words_of(place, *STEPS, *record, '--out', new, '--resume'))
    assert (again['state'], again['request']) == ('audited', first['request'])
    assert again['audit']['status'] == again['verdict'] == first['verdict']
    assert (new / 'audit.html').exists()
    assert (new / 'model/weights.safetensors').read_bytes() == kept
    assert verify_ledger(tmp_path / 'ledger').entries == 4
    # The page alone is missing: the audit is done again, too.
    (new / 'audit.html').unlink()
    again = run_json(*words_of(place, *STEPS, *record, '--out', new, '--resume'))
    assert again['audit'] is not None
    assert (new / 'audit.html').exists()
    # All is there: nothing is done, and the verdict is that of before.
    again = run_json(*words_of(place, *STEPS, *record, '--out', new, '--resume'))
    assert (again['state'], again['audit'], again['verdict']) == ('audited', None, first['verdict'])
    assert verify_ledger(tmp_path / 'ledger').entries == 5


def test_with_other_options_it_is_another_request(place, tmp_path, record):
    first = run_json(*words_of(place, *STEPS, *record, '--out', tmp_path / 'out'))
    shutil.rmtree(tmp_path / 'out')
    other = ('--method', 'finetune', '--set', 'steps=9', *record, '--out', tmp_path / 'new')
    found = run_json(*words_of(place, *other, '--resume'))
    assert any('begins anew' in note for note in found['notes'])
    assert found['request'] != first['request']
    assert found['audit'] is not None
    assert states(tmp_path) == ['audited', 'audited']
    held = read_requests(tmp_path / 'ledger')[1].facts()
    model = graphrec.load_model(tmp_path / 'new/model', graphrec.load(tmp_path / 'new/data'))
    book = Ledger(tmp_path / 'ledger', b'0123456789abcdef' * 4 if len(record) > 2 else None)
    assert held['model_after'] == book.blinded(model_digest(model))
    assert held['options']['steps'] == 9


@pytest.mark.parametrize(
    ('more', 'named'),
    [
        (('--set', 'steps=7'), 'options'),
        (('--set', 'steps=5', '--compact'), 'compact'),
        (('--set', 'steps=5', '--lr', '0.5'), 'fit'),
    ],
)
def test_resume_takes_no_other_settings(place, tmp_path, more, named):
    words = ('--ledger', tmp_path / 'ledger', '--out', tmp_path / 'out', '--method', 'finetune')
    run(*words_of(place, *words, '--set', 'steps=5', '--no-audit'))
    told = refused(*words_of(place, *words, *more, '--resume'))
    assert f'another request (other {named})' in told
    told = refused(*words_of(place, *words, *more, '--resume', '--out', tmp_path / 'new'))
    (request,) = read_requests(tmp_path / 'ledger')
    assert f'{request.id} (applied)' in told
    assert states(tmp_path) == ['applied']
    assert not (tmp_path / 'new').exists()


def test_resume_takes_no_other_request(place, tmp_path):
    words = ('--ledger', tmp_path / 'ledger', '--method', 'edit_only', '--out', tmp_path / 'out')
    users = place / 'changed.txt'
    users.write_text('3\n17\n')
    request = Ledger(tmp_path / 'ledger').receive(RemoveUsers([5]))
    users.write_text('3\n')
    told = refused(*words_of(place, *words, '--resume', users='changed.txt'))
    assert f"'--resume' finds no request like this in '{tmp_path / 'ledger'}'" in told
    assert f'{request} (received)' in told
    assert states(tmp_path) == ['received']
    run(*words_of(place, *words, users='changed.txt'))
    assert states(tmp_path) == ['received', 'audited']


def test_a_result_of_another_ledger_is_no_result_of_this_one(place, tmp_path):
    words = ('--method', 'edit_only', '--out', tmp_path / 'out', '--no-audit')
    run(*words_of(place, *words))
    new = ('--ledger', tmp_path / 'ledger')
    assert 'there is no ledger at' in refused(*words_of(place, *words, *new, '--resume'))
    assert not (tmp_path / 'ledger').exists()
    Ledger(tmp_path / 'ledger')
    assert 'does not know' in refused(*words_of(place, *words, *new, '--resume'))
    assert states(tmp_path) == []


@pytest.fixture
def replaced(place, tmp_path, record):
    """A result whose model became another one of the same graph, and how it was asked for."""
    out = tmp_path / 'out'
    run(*words_of(place, '--method', 'edit_only', *record, '--out', out, '--no-audit'))
    data = graphrec.load(out / 'data')
    other = graphrec.load_model(place / 'other', data, strict=False)
    graphrec.save(other, out / 'model')
    return out, record


def test_a_replaced_model_is_neither_audited_nor_resumed(place, tmp_path, replaced):
    out, record = replaced
    asked = ('audit', place / 'model', out, place / 'data', '--users', place / 'users.txt')
    resumed = words_of(place, '--method', 'edit_only', *record, '--out', out, '--resume')
    plain = () if '--private' in record else (asked,)  # It is found without a ledger, too.
    for words in (*plain, (*asked, *record), resumed):
        assert 'is not the model that the run wrote' in refused(*words)
    # Whoever writes its digest into the folder as well has the ledger against him.
    document = read_json(out / 'forget.json')
    data = graphrec.load(out / 'data')
    document['model_after'] = model_digest(graphrec.load_model(out / 'model', data))
    write_json(out / 'forget.json', document)
    for words in ((*asked, *record), resumed):
        assert 'records as applied' in refused(*words)
    assert states(tmp_path) == ['applied']
    assert not (out / 'audit.json').exists()
    # The run itself is made again in another folder, the model of the ledger.
    words = words_of(place, '--method', 'edit_only', *record, '--out', tmp_path / 'new')
    assert run_json(*words, '--resume')['state'] == 'audited'
    assert states(tmp_path) == ['audited']


def test_a_model_that_the_ledger_does_not_know_is_not_put_in_place(
    place, tmp_path, record, monkeypatch
):
    out = tmp_path / 'out'
    words = words_of(place, '--method', 'edit_only', *record, '--out', out)
    run(*words, '--no-audit')
    shutil.rmtree(out)
    real = graphrec.unlearn.forget

    def elsewhere(*args, **kwargs):
        result = real(*args, **kwargs)
        result.model.embedding.data += 1e-6  # As another machine might.
        return result

    monkeypatch.setattr('graphrec.forget_job.forget', elsewhere)
    assert 'records as applied' in refused(*words, '--resume')
    assert states(tmp_path) == ['applied']
    assert {path.name for path in tmp_path.iterdir()} == {'ledger', 'ledger.head'}


def test_a_replaced_graph_is_not_audited(place, tmp_path):
    out, record = tmp_path / 'out', ('--ledger', tmp_path / 'ledger')
    for method in ('edit_only', 'suppress'):
        shutil.rmtree(out, ignore_errors=True)
        run(*words_of(place, '--method', method, *record, '--out', out, '--no-audit'))
        other = RemoveUsers([5]).apply(graphrec.load(place / 'data')).data
        shutil.rmtree(out / 'data')
        datasets.write_folder(other, out / 'data')
        words = ('audit', place / 'model', out, place / 'data', '--users', place / 'users.txt')
        assert 'is not the graph that this request leaves' in refused(*words, *record)
        again = words_of(place, '--method', method, *record, '--out', out, '--resume')
        assert 'is not the graph that this request leaves' in refused(*again)
    assert states(tmp_path) == ['applied', 'applied']


def test_results_and_ledgers_of_before_are_gone_on_with(place, tmp_path):
    words = words_of(place, *STEPS, '--ledger', tmp_path / 'ledger', '--out', tmp_path / 'out')
    run(*words, '--no-audit')
    (request,) = read_requests(tmp_path / 'ledger')
    received, applied = (request.entries[each].facts() for each in ('received', 'applied'))
    for path in tmp_path.glob('ledger*'):
        path.unlink()
    # As they were written before options, training settings and layout were part of them.
    book = Ledger(tmp_path / 'ledger')
    facts = {k: v for k, v in received.items() if k not in (*LATER, 'edit', 'edit_digest')}
    name = book.receive(RemoveUsers([3, 17]), facts)
    book.advance(name, 'applied', applied)
    document = read_json(tmp_path / 'out/forget.json')
    for each in ('graph_after', 'model_after'):
        del document[each]
    document['identity'] = {k: v for k, v in document['identity'].items() if k not in LATER}
    write_json(tmp_path / 'out/forget.json', document)
    assert 'other compact' in refused(*words, '--compact', '--resume')
    found = run_json(*words, '--resume')
    assert (found['state'], found['request']) == ('audited', name)
    words = ('audit', place / 'model', tmp_path / 'out', place / 'data')
    record = ('--ledger', tmp_path / 'ledger')
    run(*words, '--users', place / 'users.txt', *record, code=(0, 1))
    assert verify_ledger(tmp_path / 'ledger').entries == 4


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (('--users', 'unknown.txt'), '1 of 2 users are not in the graph'),
        (('--method', 'sisa', '--set', 'aggregator_epochs=0'), "'aggregator_epochs' must be"),
        (('--method', 'finetune', '--set', 'steps=-1'), "'steps' must not be negative"),
        (('--method', 'sisa', '--set', 'num_shards=1'), "'num_shards' must be at least 2"),
        (('--method', 'influence', '--set', 'tolerance=nan'), "'tolerance' must lie in"),
        (
            ('--method', 'gold', '--epochs', 0),
            "'epochs' must be a whole number of at least 1 (got 0)",
        ),
        (
            ('--method', 'gold', '--batch-size', 0),
            "'batch_size' must be a whole number of at least 1 (got 0)",
        ),
        (('--method', 'edit_only', '--lr', 'nan'), "'lr' must be above 0 and finite (got nan)"),
        (('--lr', 'inf'), "'lr' must be above 0 and finite (got inf)"),
        (('--out', 'full'), 'holds other things'),
    ],
)
def test_no_ledger_is_made_for_a_bad_request(place, tmp_path, more, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'unknown.txt').write_text('3\n4711\n')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full/letter.txt').write_text('Dear Ann')
    told = refused(*words_of(place, '--out', 'out', '--ledger', 'made/ledger', *more))
    assert message in told
    assert {path.name for path in tmp_path.iterdir()} == {'unknown.txt', 'full'}


def test_an_audit_makes_no_ledger(place, tmp_path):
    out = tmp_path / 'out'
    run(*words_of(place, '--method', 'edit_only', '--out', out, '--no-audit'))
    words = ('audit', place / 'model', out, place / 'data', '--users', place / 'users.txt')
    assert 'there is no ledger' in refused(*words, '--ledger', tmp_path / 'ledger')
    assert {path.name for path in tmp_path.iterdir()} == {'out'}


def raising(*args, **kwargs):
    raise graphrec.GraphError('nothing is left')


@pytest.mark.parametrize(
    ('place_of', 'state', 'told'),
    [
        ('graphrec.forget_job.forget', 'received', 'nothing was written'),
        ('graphrec.forget_folder.load_model', 'received', 'cannot be read back'),
        ('graphrec.audit_job.audit', 'applied', 'could not be audited'),
    ],
)
def test_what_fails_leaves_the_state_that_is_true(
    place, tmp_path, monkeypatch, place_of, state, told
):
    out = tmp_path / 'out'
    words = words_of(place, '--method', 'edit_only', '--ledger', tmp_path / 'ledger', '--out', out)
    monkeypatch.setattr(place_of, raising)
    message = refused(*words)
    assert told in message
    assert 'nothing is left' in message
    (request,) = read_requests(tmp_path / 'ledger')
    assert request.state == state
    assert f'request {request.id} stays {state}' in message
    assert out.exists() == (state == 'applied')
    names = {'ledger', 'ledger.head', *(['out'] if state == 'applied' else [])}
    assert {path.name for path in tmp_path.iterdir()} == names
    monkeypatch.undo()
    assert run_json(*words, '--resume')['state'] == 'audited'
    assert states(tmp_path) == ['audited']


def test_the_verdict_is_printed(place, tmp_path):
    words = words_of(place, '--method', 'suppress', '--out', tmp_path / 'out')
    shown = run(*words, '--quiet').stdout  # Exit code 0: the run itself did what it was to do.
    assert re.search('^Verdict: [a-z_]+, the request is not fulfilled$', shown, re.MULTILINE)
    words = words_of(place, '--method', 'edit_only', '--out', tmp_path / 'new', '--no-audit')
    assert 'Verdict: none yet' in run(*words, '--quiet').stdout
