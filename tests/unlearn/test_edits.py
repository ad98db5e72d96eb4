import dataclasses

import numpy as np
import pytest
import torch

from graphrec import GraphError
from graphrec.unlearn import (
    EditSet,
    RemoveAttribute,
    RemoveInteractions,
    RemoveItems,
    RemoveModality,
    RemoveQueries,
    RemoveUsers,
    edit_from_json,
)

VIEWS = ('user', 'views', 'item')


def test_edits_are_values():
    edit = RemoveUsers([3, 1, 3])
    assert edit.ids == (1, 3)
    assert edit == RemoveUsers((1, 3))
    assert len({edit, RemoveUsers([1, 3]), RemoveItems([1, 3])}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        edit.ids = (5,)
    for ids in (torch.tensor([3, 1]), np.array([1, 3]), {1, 3}, (np.int64(3), torch.tensor(1))):
        assert RemoveUsers(ids) == edit
        assert all(type(each) is int for each in RemoveUsers(ids).ids)


def test_union_is_a_normal_form():
    a, b, c = RemoveUsers([1]), RemoveUsers([2]), RemoveItems([7])
    assert a | b | c == c | (b | a) == EditSet((RemoveItems([7]), RemoveUsers([2, 1])))
    assert (a | a).digest() == a.digest() != b.digest()
    assert (a | b).edits == (RemoveUsers([1, 2]),)
    assert not EditSet()
    assert (EditSet() | a).digest() == a.digest()


def test_union_drops_what_is_implied():
    pairs = RemoveInteractions([(1, 7), (1, 8), (2, 8)])
    assert (pairs | RemoveUsers([1])).edits == (RemoveUsers([1]), RemoveInteractions([(2, 8)]))
    assert (pairs | RemoveUsers([1]) | RemoveItems([8])).edits == (
        RemoveUsers([1]),
        RemoveItems([8]),
    )
    some = RemoveModality('visual', items=[7, 8])
    assert (some | RemoveItems([8])).edits[1:] == (RemoveModality('visual', items=[7]),)
    assert (some | RemoveModality('visual')).edits == (RemoveModality('visual'),)
    # The whole modality is more than the rows of the removed items.
    assert (RemoveModality('visual') | RemoveItems([7])).edits[1:] == (RemoveModality('visual'),)
    ages = RemoveAttribute('user', 'age', [1, 2])
    assert (ages | RemoveUsers([1])).edits[1:] == (RemoveAttribute('user', 'age', [2]),)
    searches = RemoveInteractions([(1, 5)], ('user', 'searches', 'query'))
    assert (searches | RemoveQueries([5])).edits == (RemoveQueries([5]),)
    # Users and items may share ids.
    assert len((RemoveInteractions([(7, 1)]) | RemoveUsers([1])).edits) == 2


def test_a_reverse_edge_type_stands_for_its_forward_one():
    forward = RemoveInteractions([(1, 7)], VIEWS)
    reverse = RemoveInteractions([(7, 1)], ('item', 'rev_views', 'user'))
    assert forward.digest() == reverse.digest()
    assert (forward | reverse).edits == (forward,)


@pytest.mark.parametrize(
    'edit',
    [
        EditSet(),
        RemoveUsers(['é', '3']),
        RemoveItems([3]) | RemoveInteractions([(1, 'b')]) | RemoveInteractions([(1, 5)], VIEWS),
        RemoveModality('visual') | RemoveModality('text', items=[1]) | RemoveQueries(['q']),
        RemoveAttribute('user', 'age') | RemoveAttribute('item', 'title', ids=[4]),
    ],
)
def test_json_comes_back(edit):
    again = edit_from_json(edit.to_json())
    assert again == EditSet((edit,))
    assert again.digest() == edit.digest()


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: RemoveUsers(3), 'need to be a list'),
        (lambda: RemoveUsers('u3'), r"pass \['u3'\]"),
        (lambda: RemoveUsers([1, 'a']), 'integers and strings'),
        (lambda: RemoveUsers([1.5]), '1.5 of type float'),
        (lambda: RemoveUsers([True]), 'True of type bool'),
        (lambda: RemoveItems([None]), 'None of type NoneType'),
        (lambda: RemoveInteractions([1, 2]), 'expected pairs'),
        (lambda: RemoveInteractions([(1, 2, 3)]), 'expected pairs'),
        (lambda: RemoveInteractions([(1, 2), ('a', 2)]), 'at one end'),
        (lambda: RemoveInteractions([(1, 2)], 'views'), 'three names'),
        (lambda: RemoveModality(''), 'a modality'),
        (lambda: RemoveAttribute('item', 'x_visual'), 'RemoveModality'),
        (lambda: RemoveAttribute('user', 'id'), 'structure'),
        (lambda: RemoveAttribute('session', 'user'), 'structure'),
        (lambda: EditSet((3,)), 'no edit'),
        (lambda: edit_from_json('{'), 'no JSON'),
        (lambda: edit_from_json('{}'), "no 'graphrec edit'"),
        (lambda: edit_from_json('{"format":"graphrec edit","version":2}'), 'version 2'),
        (lambda: edit_from_json('{"format":"graphrec edit","version":1}'), 'lacks an entry'),
    ],
)
def test_bad_edits_are_refused(make, message):
    with pytest.raises(GraphError, match=message):
        make()


def test_union_with_something_else():
    with pytest.raises(TypeError):
        RemoveUsers([1]) | {2}
