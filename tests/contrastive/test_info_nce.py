import math

import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import info_nce, nt_xent
from graphrec.errors import GraphError

TAU = 0.3


def views(n, dim=4):
    generator = torch.Generator().manual_seed(n)
    pair = (torch.randn(n, dim, generator=generator, dtype=torch.float64) for _ in range(2))
    return [z.requires_grad_() for z in pair]


def loop(z1, z2, anchors, candidates, negatives='other', factor=1.0):
    """The definition, term by term."""
    cos = torch.nn.CosineSimilarity(dim=0)
    terms = []
    for b in anchors:
        positive = torch.exp(cos(z1[b], z2[b]) / TAU)
        total = positive
        for c in candidates:
            if c != b:
                total = total + factor * torch.exp(cos(z1[b], z2[c]) / TAU)
                if negatives == 'both':
                    total = total + factor * torch.exp(cos(z1[b], z1[c]) / TAU)
        terms.append(-torch.log(positive / total))
    return torch.stack(terms).mean()


def assert_same(ours, expected, tables):
    torch.testing.assert_close(ours, expected)
    for one, two in zip(
        torch.autograd.grad(ours, tables), torch.autograd.grad(expected, tables), strict=True
    ):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize('negatives', ['other', 'both'])
@pytest.mark.parametrize('candidates', ['batch', 'all'])
def test_equals_the_definition(negatives, candidates):
    tables, ids = views(9), torch.tensor([7, 2, 5, 0])
    ours = info_nce(*tables, ids, candidates, temperature=TAU, negatives=negatives)
    around = ids.tolist() if candidates == 'batch' else range(9)
    assert_same(ours, loop(*tables, ids.tolist(), around, negatives), tables)
    whole = info_nce(*tables, None, candidates, temperature=TAU, negatives=negatives)
    assert_same(whole, loop(*tables, range(9), range(9), negatives), tables)


@pytest.mark.parametrize('negatives', ['other', 'both'])
def test_drawn_candidates_are_scaled_up(negatives):
    tables, ids = views(9), torch.tensor([7, 2])
    sample = torch.tensor([2, 3, 4, 4, 8])  # Node 2 is an anchor: its own draw does not count.
    ours = info_nce(*tables, ids, sample, temperature=TAU, negatives=negatives)
    seven = loop(*tables, [7], [2, 3, 4, 8], negatives, 8 / 4)
    two = loop(*tables, [2], [3, 4, 8], negatives, 8 / 3)
    assert_same(ours, (seven + two) / 2, tables)
    everything = torch.arange(9)
    torch.testing.assert_close(
        info_nce(*tables, ids, everything, temperature=TAU, negatives=negatives),
        info_nce(*tables, ids, 'all', temperature=TAU, negatives=negatives),
    )


def test_gradcheck_through_the_normalisation():
    tables = views(5)
    ids = torch.tensor([4, 1, 1])
    for options in ({'candidates': 'all'}, {'negatives': 'both'}, {'symmetric': True}):
        assert torch.autograd.gradcheck(lambda a, b, o=options: info_nce(a, b, ids, **o), tables)


@pytest.mark.parametrize('candidates', ['batch', 'all'])
def test_repeated_ids_change_nothing(candidates):
    tables = views(9)
    once = info_nce(*tables, torch.tensor([7, 2, 5]), candidates)
    twice = info_nce(*tables, torch.tensor([5, 7, 2, 7, 7]), candidates)
    assert torch.equal(once, twice)


def test_repeated_ids_count_if_asked():
    tables, ids = views(9), torch.tensor([7, 2, 7])
    single = [info_nce(*tables, torch.tensor([n]), 'all') for n in (7, 2, 7)]
    counted = info_nce(*tables, ids, 'all', count_repeats=True)
    torch.testing.assert_close(counted, torch.stack(single).mean())
    total = info_nce(*tables, ids, 'all', count_repeats=True, reduction='sum')
    torch.testing.assert_close(total, torch.stack(single).sum())
    two = info_nce(*tables, ids, 'all', reduction='sum')
    torch.testing.assert_close(two, single[0] + single[1])


def test_scale_of_rows_does_not_matter_unless_asked():
    z1, z2 = views(6)
    factor = torch.rand(6, 1) + 0.5
    torch.testing.assert_close(info_nce(factor * z1, 7 * z2), info_nce(z1, z2))
    raw = info_nce(z1, z2, normalize=False, temperature=TAU)
    torch.testing.assert_close(raw, F.cross_entropy(z1 @ z2.t() / TAU, torch.arange(6)))


@pytest.mark.parametrize('options', [{}, {'negatives': 'both'}, {'candidates': 'all'}])
def test_follows_a_permutation(options):
    z1, z2 = views(8)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    loss = info_nce(z1, z2, **options)
    moved = info_nce(z1[order], z2[order], **options)
    torch.testing.assert_close(loss, moved)


def test_equal_rows_give_the_logarithm_of_the_candidates():
    z = torch.ones(12, 3)
    ids = torch.arange(5)
    assert float(info_nce(z, z, ids)) == pytest.approx(math.log(5), rel=1e-6)
    assert float(info_nce(z, z, ids, 'all')) == pytest.approx(math.log(12), rel=1e-6)
    assert float(info_nce(z, z, negatives='both')) == pytest.approx(math.log(23), rel=1e-6)


def test_symmetric_forms_are_symmetric():
    z1, z2 = views(7)
    assert not torch.allclose(info_nce(z1, z2), info_nce(z2, z1))
    for loss in (nt_xent, lambda a, b: info_nce(a, b, symmetric=True)):
        torch.testing.assert_close(loss(z1, z2), loss(z2, z1))


def test_nt_xent_is_the_one_of_simclr():
    z1, z2 = views(5)
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.t() / TAU).fill_diagonal_(-torch.inf)
    target = torch.cat([torch.arange(5, 10), torch.arange(5)])
    torch.testing.assert_close(nt_xent(z1, z2, temperature=TAU), F.cross_entropy(logits, target))


def test_both_views_loss_of_mmhcl():
    assert info_nce(torch.randn(1, 3), torch.randn(1, 3), negatives='both') == 0
    z1, z2 = views(6)
    assert info_nce(z1, z1, negatives='both', temperature=0.01) >= 0
    # Nearer to its positive, the rest fixed, the loss of node 0 is smaller.
    z1 = F.normalize(z1.detach(), dim=1)
    losses = []
    for share in (0.0, 0.5, 1.0):
        moved = z2.detach().clone()
        moved[0] = torch.lerp(F.normalize(moved[0], dim=0), z1[0], share)
        losses.append(float(info_nce(z1, moved, torch.tensor([0]), 'all', negatives='both')))
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize(
    ('field', 'options'),
    [
        ('temperature', {'temperature': 0.0}),
        ('negatives', {'negatives': 'none'}),
        ('candidates', {'candidates': 'some'}),
        ('reduction', {'reduction': 'max'}),
    ],
)
def test_errors_name_the_field(field, options):
    z1, z2 = views(3)
    with pytest.raises(GraphError, match=field):
        info_nce(z1, z2, **options)
    with pytest.raises(GraphError, match='same shape'):
        info_nce(z1, z2[:2])
