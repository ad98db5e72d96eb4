"""What an audit takes for a retrained model."""

import json
import shutil

import pytest
from program import run

import graphrec
from graphrec.models import EASE
from graphrec.unlearn import RemoveUsers


def forget(place, out, *more, model='model', users='users.txt'):
    words = ('forget', place / model, place / 'data', '--users', place / users, '--no-audit')
    run(*words, '--quiet', '--out', out, *more)
    return out


def golds_of(place, out, seeds, *more, **given):
    retrain = ('--method', 'gold', '--epochs', 1, '--batch-size', 256)
    return [
        forget(place, out / f'gold{seed}', *retrain, '--seed', seed, *more, **given)
        for seed in seeds
    ]


def audit(place, result, *golds, more=(), code=(0, 1), model='model'):
    words = ('audit', place / model, result, place / 'data', '--users', place / 'users.txt')
    given = [word for gold in golds for word in ('--gold', gold)]
    return run(*words, *given, *more, code=code)


def refused(*words, **given):
    shown = audit(*words, code=2, **given)
    assert shown.stderr.startswith('error: ')
    assert shown.stderr.count('\n') == 1
    return shown.stderr


@pytest.fixture(scope='module')
def place(tmp_path_factory, write_models):
    """Data, two models of it, a result and two golds."""
    place = tmp_path_factory.mktemp('golds')
    write_models(place, 2, model=0, other=1)
    (place / 'others.txt').write_text('3\n18\n')
    forget(place, place / 'result', '--method', 'finetune', '--set', 'steps=5')
    golds_of(place, place, (1, 2))
    return place


def test_each_gold_counts_once(place, tmp_path):
    gold, other, result = place / 'gold1', place / 'gold2', place / 'result'
    assert f"gold '{gold}' holds the same model as gold '{gold}'" in refused(
        place, result, gold, gold
    )
    (tmp_path / 'link').symlink_to(gold)
    shutil.copytree(gold, tmp_path / 'copy')
    shutil.copytree(gold / 'model', tmp_path / 'model')
    for same in (tmp_path / 'link', tmp_path / 'copy', gold / 'model', tmp_path / 'model'):
        told = refused(place, result, other, gold, same)
        assert f"gold '{same}' holds the same model as gold '{gold}'" in told
    assert not (result / 'audit.json').exists()
    shown = audit(place, result, gold, other, more=('--json', '--out', tmp_path / 'audit'))
    assert json.loads(shown.stdout)['run']['num_golds'] == 2


def test_a_result_is_not_its_own_gold(place, tmp_path):
    result = place / 'result'
    for same in (result, result / 'model'):
        assert "was made by 'finetune', not retrained" in refused(place, result, same)
    shutil.copytree(result / 'model', tmp_path / 'model')
    told = refused(place, result, tmp_path / 'model')
    assert 'holds the same model as RESULT' in told
    assert 'holds the same model as RESULT' in refused(place, place / 'gold1', place / 'gold1')


def test_a_gold_is_retrained_from_the_same_model_for_the_same_request(place, tmp_path):
    repaired = forget(place, tmp_path / 'edit_only', '--method', 'edit_only')
    assert "was made by 'edit_only', not retrained" in refused(place, place / 'result', repaired)
    (gold,) = golds_of(place, tmp_path / 'a', (1,), users='others.txt')
    assert 'is not the graph that this request leaves' in refused(place, place / 'result', gold)
    (gold,) = golds_of(place, tmp_path / 'b', (1,), model='other')
    assert 'was made from another MODEL' in refused(place, place / 'result', gold)
    data = RemoveUsers([3, 17]).apply(graphrec.load(place / 'data')).data
    graphrec.save(EASE.from_graph(data), tmp_path / 'ease')
    assert 'is of class EASE, MODEL of MF' in refused(place, place / 'result', tmp_path / 'ease')


def test_golds_of_other_ledgers_and_compact_ones_are_golds(place, tmp_path):
    (tmp_path / 'key').write_text('0123456789abcdef' * 4)
    record = ('--ledger', tmp_path / 'ledger', '--private', tmp_path / 'key')
    (private,) = golds_of(place, tmp_path / 'private', (3,), *record)
    (compact,) = golds_of(place, tmp_path / 'compact', (1,), '--compact')
    shown = audit(place, place / 'result', private, compact, more=('--json', '--out', tmp_path))
    assert json.loads(shown.stdout)['run']['num_golds'] == 2
    # It is the gold that it would be with all nodes in their places.
    told = refused(place, place / 'result', place / 'gold1', compact)
    assert f"holds the same model as gold '{place / 'gold1'}'" in told


def test_golds_in_closed_form_are_equal_by_any_seed(place, tmp_path):
    data = graphrec.load(place / 'data')
    model = EASE.from_graph(data)
    graphrec.fit(model, data, progress=False)
    graphrec.save(model, tmp_path / 'ease')
    for name in ('model', 'data', 'users.txt'):
        (tmp_path / name).symlink_to(tmp_path / 'ease' if name == 'model' else place / name)
    result = forget(tmp_path, tmp_path / 'result')
    golds = golds_of(tmp_path, tmp_path, (1, 2))
    shown = audit(tmp_path, result, *golds, more=('--json',))
    assert json.loads(shown.stdout)['run']['num_golds'] == 2
    told = refused(tmp_path, result, golds[0], golds[0])
    assert f"holds the same model as gold '{golds[0]}'" in told
