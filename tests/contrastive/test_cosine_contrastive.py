import pytest
import torch

from graphrec.contrastive import cosine_contrastive
from graphrec.errors import GraphError


def test_by_hand():
    user = torch.tensor([[2.0, 0.0]])
    pos = torch.tensor([[0.6, 0.8]])  # Cosine 0.6.
    neg = torch.tensor([[[3.0, 0.0], [0.8, 0.6], [-1.0, 0.0]]])  # Cosines 1, 0.8, -1.
    loss = cosine_contrastive(user, pos, neg, margin=0.5, weight=3.0)
    assert float(loss) == pytest.approx(0.4 + 3 / 3 * (0.5 + 0.3))


def test_zero_only_if_positives_are_parallel_and_negatives_below_the_margin():
    user = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    below = torch.tensor([[[0.0, 1.0], [0.5, 0.9]], [[1.0, 0.1], [-1.0, -1.0]]])
    options = {'margin': 0.5, 'weight': 10.0}
    assert cosine_contrastive(user, 3 * user, below, **options) == 0
    assert cosine_contrastive(user, user + 0.1, below, **options) > 0
    above = below.clone()
    above[1, 0] = torch.tensor([0.5, 0.9])
    assert cosine_contrastive(user, 3 * user, above, **options) > 0


def test_gradcheck():
    generator = torch.Generator().manual_seed(0)
    tables = [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((3, 4), (3, 4), (3, 5, 4))
    ]
    assert torch.autograd.gradcheck(
        lambda *t: cosine_contrastive(*t, margin=0.1, weight=2.0), tables
    )


def test_errors():
    table = torch.ones(2, 3)
    with pytest.raises(GraphError, match='margin'):
        cosine_contrastive(table, table, table[:, None], margin=2.0)
    with pytest.raises(GraphError, match='weight'):
        cosine_contrastive(table, table, table[:, None], weight=-1.0)
    with pytest.raises(GraphError, match='shapes'):
        cosine_contrastive(table, table, table)
