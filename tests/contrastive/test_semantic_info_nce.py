import pytest
import torch
from torch.nn import functional as F

from graphrec.contrastive import info_nce, semantic_info_nce
from graphrec.errors import GraphError


@pytest.fixture
def tables():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(6, 4, generator=generator, dtype=torch.float64) for _ in range(4)]


def naive(anchor, views, tau, positive):
    unit = [F.normalize(x, dim=1) for x in (anchor, *views)]
    weights = [(unit[0] @ view.t() / tau).exp() for view in unit[1:]]
    if positive == 'mean':
        parts = [(w.diagonal() / w.sum(1)).log() for w in weights]
        return -sum(part.mean() for part in parts) / len(parts)
    return -(sum(w.diagonal() for w in weights) / sum(w.sum(1) for w in weights)).log().mean()


@pytest.mark.parametrize('positive', ['sum', 'mean'])
def test_equals_the_equation_in_value_and_gradient(tables, positive):
    anchor, *views = (table.requires_grad_() for table in tables)
    for detach in (False, True):
        loss = semantic_info_nce(anchor, views, temperature=0.3, positive=positive, detach=detach)
        expected = naive(anchor.detach() if detach else anchor, views, 0.3, positive)
        torch.testing.assert_close(loss, expected)
        inputs = views if detach else [anchor, *views]
        grads = torch.autograd.grad(loss, inputs, retain_graph=True)
        torch.testing.assert_close(grads, torch.autograd.grad(expected, inputs))
        if detach:
            assert torch.autograd.grad(loss, anchor, allow_unused=True) == (None,)


@pytest.mark.parametrize('positive', ['sum', 'mean'])
def test_one_view_is_info_nce_and_order_is_nothing(tables, positive):
    anchor, *views = tables
    one = semantic_info_nce(anchor, views[:1], positive=positive)
    torch.testing.assert_close(one, info_nce(anchor, views[0], temperature=0.2))
    loss = semantic_info_nce(anchor, views, positive=positive)
    torch.testing.assert_close(loss, semantic_info_nce(anchor, views[::-1], positive=positive))
    better = semantic_info_nce(anchor, [anchor, *views[1:]], positive=positive)
    assert better < loss


def test_bad_arguments(tables):
    with pytest.raises(GraphError, match='views'):
        semantic_info_nce(tables[0], [])
    with pytest.raises(GraphError, match='views'):
        semantic_info_nce(tables[0], [tables[1][:3]])
    with pytest.raises(GraphError, match='positive'):
        semantic_info_nce(tables[0], tables[1:], positive='max')
    with pytest.raises(GraphError, match='temperature'):
        semantic_info_nce(tables[0], tables[1:], temperature=0.0)
