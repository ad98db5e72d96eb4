import copy

import numpy as np
import pytest
import torch

from graphrec import GraphError, UnknownIdError
from graphrec.graphs.schema import SEARCHES
from graphrec.unlearn import (
    RemoveAttribute,
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveQueries,
    RemoveUsers,
)


def changed(graph, node_type, name, value):
    out = copy.copy(graph)
    out[node_type][name] = value
    return out


def test_unknown_ids_are_counted_or_refused(graph):
    edit = RemoveUsers(['u1', 'nobody']) | RemoveInteractions([('u2', 999)])
    summary = edit.apply(graph).summary
    assert summary.unknown == {'users': 1, 'pairs user interacts item': 1}
    assert 'not in the graph: 1 of the users' in str(summary)
    with pytest.raises(UnknownIdError, match="1 of 2 users are not in the graph: 'nobody';"):
        edit.apply(graph, strict=True)
    with pytest.raises(UnknownIdError, match=r"not in the graph: \('u2', 999\);") as caught:
        RemoveInteractions([('u2', 999)]).apply(graph, strict=True)
    assert caught.value.ids == (('u2', 999),)
    many = RemoveUsers([f'x{n}' for n in range(9)])
    with pytest.raises(UnknownIdError, match="'x0', 'x1', 'x2', 'x3', 'x4' and 4 more;") as caught:
        many.apply(graph, strict=True)
    assert (caught.value.kind, len(caught.value.ids)) == ('users', 9)
    pair = graph['user', 'interacts', 'item'].edge_index[:, 0].tolist()
    known = RemoveInteractions([(f'u{pair[0]}', pair[1] + 100)])
    assert known.apply(graph, strict=True).forget.pairs.tolist() == [[pair[0]], [pair[1]]]
    with pytest.raises(GraphError, match='user ids are strings'):
        RemoveUsers([3]).apply(graph)


def test_a_held_out_pair_is_known(graph):
    user, item = graph['user', 'holdout_test', 'item'].edge_index[:, 0].tolist()
    result = RemoveInteractions([(f'u{user}', item + 100)]).apply(graph, strict=True)
    assert result.forget.pairs.size(1) == 0
    assert result.forget.heldout['test'].tolist() == [[user], [item]]


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (RemoveModality('smell'), "no modality 'smell'; they have"),
        (
            RemoveAttribute('user', 'shoe'),
            r"no attribute data\['user'\].shoe .*are \['age', 'email'\]",
        ),
        (
            RemoveAttribute('item', 'genres'),  # A vocabulary, as long as the items or not.
            r"data\['item'\].genres does not hold one value a node.* are \['price', 'tags', ",
        ),
        (RemoveInteractions([('u1', 100)], ('user', 'sues', 'item')), 'no edges'),
        (RemoveAttribute('planet', 'age'), r"no attribute .* has the nodes \['user', "),
    ],
)
@pytest.mark.parametrize('strict', [False, True])
def test_what_the_graph_does_not_have(graph, edit, message, strict):
    with pytest.raises(GraphError, match=message):
        edit.apply(graph, strict=strict)


def test_queries_where_there_are_none(graph):
    bare = copy.copy(graph)
    for edge_type in [t for t in bare.edge_types if 'query' in t]:
        del bare[edge_type]
    del bare['query']
    with pytest.raises(GraphError, match='no query nodes'):
        RemoveQueries([1]).apply(bare)


@pytest.mark.parametrize(
    ('node_type', 'name', 'value', 'message'),
    [
        ('item', 'prototypes', torch.ones(3, 2), 'prototypes has 3 entries for 8 nodes'),
        ('item', 'loader', object(), 'loader is a object'),
        ('session', 'user', [0, 1, 2, 3, 4], r"'session'\].user is a list, expected a tensor"),
        ('session', 'user', np.arange(5), r"'session'\].user is a ndarray, expected a tensor"),
        ('user', 'adjacency', torch.eye(7).to_sparse(), 'adjacency is a sparse tensor'),
        (('user', 'views', 'item'), 'weight', torch.ones(3), 'weight has 3 entries for 25 edges'),
        (('user', 'interacts', 'item'), 'edge_label_time', torch.ones(2), '2 entries for 24'),
        ('item', 'duplicate_of', torch.full((8,), 9), 'to 9, expected numbers of the 8 item nodes'),
    ],
)
def test_what_nobody_can_account_for_is_refused(graph, node_type, name, value, message):
    with pytest.raises(GraphError, match=message):
        RemoveItems([103]).apply(changed(graph, node_type, name, value))


def test_a_table_of_the_whole_graph_is_refused(graph):
    out = copy.copy(graph)
    out.scores = torch.ones(7, 8)
    with pytest.raises(GraphError, match=r'data\.scores is a table'):
        RemoveUsers(['u1']).apply(out)


def test_an_undeclared_direction_is_refused(graph):
    out = copy.copy(graph)
    out['item', 'bought_by', 'user'].edge_index = torch.tensor([[1], [1]])
    with pytest.raises(GraphError, match='rev_'):
        RemoveInteractions([('u1', 101)]).apply(out)
    assert RemoveUsers(['u1']).apply(out).data['item', 'bought_by', 'user'].edge_index.numel() == 0


def test_search_events_of_other_lengths_are_refused(graph):
    out = copy.copy(graph)
    out['query', 'finds', 'item'].edge_index = out['query', 'finds', 'item'].edge_index[:, 1:]
    with pytest.raises(GraphError, match='no events'):
        RemoveUsers(['u1']).apply(out)


def test_modalities_are_zeroed_and_marked(graph):
    result = RemoveModality('image', items=[101, 105]).apply(graph)
    items, before = result.data['item'], graph['item']
    index = items.knn_image_index
    assert (index[[1, 5]] == -1).all()
    assert not torch.isin(index, torch.tensor([1, 5])).any()
    others = torch.tensor([0, 2, 3, 4, 6, 7])
    named = torch.isin(before.knn_image_index[others], torch.tensor([1, 5]))
    assert torch.equal(index[others][~named], before.knn_image_index[others][~named])
    assert (items.knn_image_similarity[others][named] == 0).all()
    assert result.summary.mentions == {'item.knn_image_index': int(named.sum())}
    assert items.has_image.tolist() == [n not in (1, 5) for n in range(8)]
    assert not items.x_image_spectral[[1, 5]].any()
    assert items.has_image_spectral.tolist() == items.has_image.tolist()
    assert torch.equal(items.x_visual, before.x_visual)
    assert 'is_removed' not in items
    assert any('cannot be computed again' in each for each in result.summary.residue)


def test_a_modality_that_is_missing_already_is_no_change(graph):
    result = RemoveModality('visual', items=[102]).apply(graph)
    assert result.summary.noop
    assert result.forget.modality_cells['visual'].numel() == 0


def test_the_whole_modality(graph):
    result = RemoveModality('visual').apply(graph)
    assert not result.data['item'].x_visual.any()
    assert not result.data['item'].has_visual.any()
    assert result.forget.modality_cells['visual'].tolist() == [0, 1, 3, 4, 5, 6, 7]


def test_attributes(graph):
    edit = RemoveAttribute('item', 'title', ids=[101]) | RemoveAttribute('user', 'age')
    result = edit.apply(graph)
    assert result.data['item'].title.tolist() == ['Title 0', None, *graph['item'].title[2:]]
    assert not result.data['user'].age.any()
    assert result.summary.rows == {'item.title': 1, 'user.age': 7}


def test_titles_in_a_list_are_one_a_node(graph):
    titles = [f'Title {n}' for n in range(8)]
    data = changed(graph, 'item', 'title', titles)
    assert RemoveItems([101]).apply(data).data['item'].title == ['Title 0', None, *titles[2:]]
    compact = RemoveItems([101]).apply(data, compact=True).data
    assert compact['item'].title == ['Title 0', *titles[2:]]
    assert compact['item'].genres == graph['item'].genres


@pytest.mark.parametrize('kind', [list, tuple])
def test_lists_as_long_as_the_nodes_are_one_a_node(graph, kind):
    emails = kind(f'{n}@example.org' for n in range(7))
    data = changed(graph, 'user', 'email', emails)
    edit = RemoveUsers(['u3'])
    result = edit.apply(data)
    assert result.data['user'].email == kind((*emails[:3], None, *emails[4:]))
    assert result.summary.rows['user.email'] == 1
    assert result.summary.residue == ()
    assert data['user'].email == emails
    compact = edit.apply(data, compact=True).data
    assert compact['user'].email == kind((*emails[:3], *emails[4:]))
    lost = RemoveAttribute('user', 'email', ids=['u0']).apply(data)
    assert lost.data['user'].email == kind((None, *emails[1:]))
    assert RemoveAttribute('user', 'email').apply(data).data['user'].email == kind([None] * 7)


def test_lists_as_long_as_the_edges_or_labels_are_one_an_edge_or_label(graph):
    data = copy.copy(graph)
    store = data['user', 'interacts', 'item']
    store.review = [f'review {n}' for n in range(24)]
    store.edge_label_text = [f'label {n}' for n in range(24)]
    store.item_note = tuple(f'note {n}' for n in range(8))
    left = RemoveItems([101]).apply(data).data['user', 'interacts', 'item']
    stay = (store.edge_index[1] != 1).nonzero().flatten().tolist()
    labels = (store.edge_label_index[1] != 1).nonzero().flatten().tolist()
    assert len(stay) < 24
    assert left.review == [f'review {n}' for n in stay]
    assert left.edge_label_text == [f'label {n}' for n in labels]
    assert left.item_note == ('note 0', None, *store.item_note[2:])
    assert left.legend == store.legend  # A vocabulary as long as the edges.
    compact = RemoveItems([101]).apply(data, compact=True).data['user', 'interacts', 'item']
    assert compact.item_note == ('note 0', *store.item_note[2:])


def test_lists_of_which_nobody_says_whose_they_are_are_named(graph):
    data = changed(graph, 'user', 'towns', ['here', 'there'])
    data['user'].vip = {'u3': True}
    data['item'].names_of_colours = ['red']
    data.newsletter = ['u3@example.org']
    residue = RemoveUsers(['u3']).apply(data).summary.residue
    named = [each.split(' ', 1)[0] for each in residue]
    assert named == ['data.newsletter', "data['user'].towns", "data['user'].vip"]
    assert 'list of 2' in residue[1]
    data['user'].vocabularies = ['towns']
    assert len(RemoveUsers(['u3']).apply(data).summary.residue) == 2
    assert RemoveUsers(['nobody']).apply(data).summary.residue == ()
    with pytest.raises(GraphError, match=r"vocabularies must be a list .* \(got 'towns'\)"):
        RemoveUsers(['u3']).apply(changed(data, 'user', 'vocabularies', 'towns'))


@pytest.mark.parametrize('value', [['a', 'b'], 'red', {'a': 1}, 3])
def test_an_attribute_that_is_not_one_a_node_cannot_be_removed(graph, value):
    data = changed(graph, 'user', 'colour', value)
    for ids in (None, ['u1']):
        with pytest.raises(GraphError, match=r"data\['user'\].colour does not hold one"):
            RemoveAttribute('user', 'colour', ids=ids).apply(data)
    with pytest.raises(GraphError, match='genres does not hold one value a node'):
        RemoveAttribute('item', 'genres').apply(data)


def test_sessions_opened_by_a_user_go_with_the_user(graph):
    data = copy.copy(graph)
    del data['session'].user
    data['user', 'opens', 'session'].edge_index = torch.tensor([[0, 1, 1, 2], [0, 1, 2, 3]])
    session, item = data['session', 'contains', 'item'].edge_index
    result = RemoveUsers(['u1']).apply(data)
    assert result.data['session'].is_removed.tolist() == [False, True, True, False, False]
    stay = (session != 1) & (session != 2)
    left = result.data['session', 'contains', 'item']
    assert torch.equal(left.edge_index, torch.stack([session, item])[:, stay])
    assert torch.equal(left.position, torch.arange(12)[stay])
    closed = RemoveInteractions([('u2', 3)], ('user', 'opens', 'session')).apply(data)
    assert closed.data['session'].is_removed.tolist() == [False, False, False, True, False]


def test_a_repr_names_no_node(graph):
    forget = RemoveUsers(['u3']).apply(graph).forget
    assert repr(forget).startswith('ForgetSet(')
    assert 'tensor' not in repr(forget)


def test_digests_can_be_left_out(graph):
    summary = RemoveUsers(['u3']).apply(graph, digests=False).summary
    assert summary.digest_before == summary.digest_after == ''


def test_numpy_columns(graph):
    data = changed(graph, 'user', 'weight', np.arange(7.0))
    data['user'].town = np.array(list('abcdefg'))
    result = RemoveUsers(['u3']).apply(data)
    assert result.data['user'].weight.tolist() == [0, 1, 2, 0, 4, 5, 6]
    assert result.data['user'].town.tolist() == ['a', 'b', 'c', '', 'e', 'f', 'g']
    assert result.summary.rows['user.weight'] == 1


def test_a_pair_leaves_the_sessions_of_its_user(graph):
    session, item = graph['session', 'contains', 'item'].edge_index
    owner = graph['session'].user[session]
    user, thing = int(owner[-1]), int(item[-1])
    result = RemoveInteractions([(f'u{user}', thing + 100)]).apply(graph)
    stay = (owner != user) | (item != thing)
    left = result.data['session', 'contains', 'item']
    assert not stay.all()
    assert torch.equal(left.edge_index, torch.stack([session, item])[:, stay])
    assert torch.equal(left.position, torch.arange(12)[stay])
    assert 'is_removed' not in result.data['session']
    opened = copy.copy(graph)
    opened['user', 'opens', 'session'].edge_index = torch.stack(
        [graph['session'].user, torch.arange(5)]
    )
    del opened['session'].user
    again = RemoveInteractions([(f'u{user}', thing + 100)]).apply(opened)
    assert torch.equal(again.data['session', 'contains', 'item'].edge_index, left.edge_index)


def test_a_pair_that_is_only_a_label_is_known_and_goes(graph):
    store = graph['user', 'interacts', 'item']
    edges = {tuple(pair) for pair in store.edge_index.t().tolist()}
    user, item = next(p for p in store.edge_label_index.t().tolist() if tuple(p) not in edges)
    result = RemoveInteractions([(f'u{user}', item + 100)]).apply(graph, strict=True)
    assert not result.summary.noop
    assert result.summary.digest_before != result.summary.digest_after
    left = result.data['user', 'interacts', 'item'].edge_label_index
    count = store.edge_label_index.size(1) - left.size(1)
    assert count >= 1
    assert result.summary.rows == {'user interacts item.edge_label_index': count}
    assert [user, item] not in left.t().tolist()


def test_users_left_with_nothing_to_learn_from_are_named(graph):
    trained, searches = graph['user', 'interacts', 'item'].edge_index, SEARCHES
    searching = set(graph[searches].edge_index[0].tolist())
    for user in set(trained[0].tolist()):
        items = trained[1, trained[0] == user]
        pairs = [(f'u{user}', item + 100) for item in items.tolist()]
        expected = [] if user in searching else [user]
        assert RemoveInteractions(pairs).apply(graph).forget.emptied.tolist() == expected
        assert RemoveInteractions(pairs[1:]).apply(graph).forget.emptied.tolist() == []
        edit = RemoveInteractions(pairs) | RemoveQueries(range(4))
        assert edit.apply(graph).forget.emptied.tolist() == [user]
        assert (edit | RemoveUsers([f'u{user}'])).apply(graph).forget.emptied.tolist() == []
    left = RemoveItems(range(100, 108)).apply(graph).forget.emptied.tolist()
    assert left == sorted(set(trained[0].tolist()))  # Searches go with what they found.
