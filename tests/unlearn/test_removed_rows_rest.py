"""Training on an edited graph leaves the rows of removed nodes where they were first drawn."""

import pytest
import torch

from graphrec import fit, models, unlearn
from graphrec.contrastive.remaining_rows import remaining_rows

USERS, ITEMS = (3, 17), (0, 5, 9)
#: Beside the model's own, e.g. without a decay of the whole table, which is no learning.
SETTINGS = {
    'BM3': {'reg': 0.0},
    'DirectAU': {'reg': 0.0},
    'LightGCL': {'reg': 0.0},
    'NCL': {'warm_up': 0, 'num_prototypes': 4},
    'MMHCL': {'k': 3},
    'LIRDRec': {'hidden': 9, 'reg': 0.0},
}
CLOSED = ('BM25', 'EASE', 'ItemKNN', 'Popularity')
NAMES = [name for name in models.__all__ if name not in ('Recommender', *CLOSED)]


def removed_rows(data, kinds):
    """Numbers of the removed nodes in a table of nodes of these types."""
    starts = [0, data[kinds[0]].num_nodes]
    gone = {'user': USERS, 'item': ITEMS}
    return torch.cat(
        [start + torch.tensor(gone[kind]) for start, kind in zip(starts, kinds, strict=False)]
    )


@pytest.fixture
def edited(data):
    return (unlearn.RemoveUsers(USERS) | unlearn.RemoveItems(ITEMS)).apply(data).data


@pytest.mark.parametrize('name', NAMES)
def test_rows_of_removed_nodes_rest(edited, name):
    model = getattr(models, name).from_graph(edited, seed=1, **SETTINGS.get(name, {}))
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    fit(model, edited, epochs=3, batch_size=128, lr=0.01, eval_every=3, seed=0, progress=False)
    after, moved = dict(model.named_parameters()), False
    for key, kinds in model.node_rows().items():
        if key in before:
            rows = removed_rows(edited, kinds)
            moved |= not torch.equal(before[key], after[key])
            assert torch.equal(before[key][rows], after[key][rows]), key
    assert moved


@pytest.mark.parametrize('name', NAMES)
def test_what_stands_in_them_changes_nothing_for_others(edited, name):
    model = getattr(models, name).from_graph(edited, seed=1, **SETTINGS.get(name, {})).eval()
    left = {'user': USERS, 'item': ITEMS}
    found = []
    for _ in range(2):
        with torch.no_grad():
            z = model.forward()
            keep = {
                kind: torch.ones(len(z[kind])).index_fill_(0, torch.tensor(gone), 0).bool()
                for kind, gone in left.items()
            }
            found.append({kind: z[kind][keep[kind]] for kind in left})
            for key, kinds in model.node_rows().items():
                table = dict(model.named_parameters()).get(key)
                if table is not None and not key.startswith('x_'):  # Those stay 0.
                    table[removed_rows(edited, kinds)] += 3.0
    for kind in left:
        torch.testing.assert_close(found[0][kind], found[1][kind], rtol=0, atol=1e-6)


def test_views_and_anchors_of_the_nodes_that_are_left():
    z1, z2, there = torch.randn(6, 2), torch.randn(6, 2), torch.tensor([0, 2, 3, 5])
    one, two, ids = remaining_rows(there, z1, z2, torch.tensor([5, 0, 3, 5]))
    assert torch.equal(one, z1[there])
    assert torch.equal(two, z2[there])
    assert ids.tolist() == [3, 0, 2, 3]
    assert remaining_rows(there, z1, z2)[2] is None
    assert remaining_rows(None, z1, z2)[0] is z1
