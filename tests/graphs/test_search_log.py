import pandas as pd
import pytest

from graphrec.errors import GraphError
from graphrec.graphs import query_words, search_events
from graphrec.graphs.schema import HOLDOUT_TEST, INTERACTS, validate
from graphrec.graphs.search_log import from_search_log


def test_a_log_becomes_interactions_and_searches():
    log = pd.DataFrame(
        {
            'who': ['ann', 'ann', 'bob', 'bob', 'cat'],
            'what': [1, 2, 1, 3, 3],
            'q': ['Red shoe', None, '[]', ['blue', 'hat'], float('nan')],
            'when': [5, 6, 7, 8, 9],
        }
    )
    data = from_search_log(log, user='who', item='what', query='q', time='when')
    validate(data)
    assert data[INTERACTS].edge_index.size(1) == 5
    events = search_events(data)
    assert data['user'].id[events.user].tolist() == ['ann', 'bob']
    assert data['item'].id[events.item].tolist() == [1, 3]
    assert data['query'].text[events.query].tolist() == ['Red shoe', 'blue hat']
    assert events.time.tolist() == [5, 8]
    with pytest.raises(GraphError, match="no row of 'log' has a word"):
        from_search_log(log.assign(q=''), user='who', item='what', query='q')
    with pytest.raises(GraphError, match="'log' has no column 'query'"):
        from_search_log(log, user='who', item='what')
    with pytest.raises(GraphError, match='DataFrame'):
        from_search_log([])


def test_a_log_is_split_with_its_searches():
    log = pd.DataFrame([(u, i, f'word{i}', i) for u in range(3) for i in range(10)])
    log.columns = ['user', 'item', 'query', 'timestamp']
    data = from_search_log(log, how='time_per_user')
    for split, edge_type in (('train', INTERACTS), ('test', HOLDOUT_TEST)):
        pairs = {tuple(p) for p in data[edge_type].edge_index.t().tolist()}
        events = search_events(data, split)
        assert set(zip(events.user.tolist(), events.item.tolist(), strict=True)) == pairs
    words = query_words(data)
    assert words.words == tuple(f'word{i}' for i in range(8))
    assert words.num_unseen == 2
