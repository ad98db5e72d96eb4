import torch

from graphrec.graphs import duplicates
from graphrec.graphs.duplicates import row_groups


def test_groups_are_those_of_unique():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (200, 3), generator=generator).float()
    rows = torch.randperm(200, generator=generator)[:150]
    group = row_groups(x, rows)
    same = (x[rows][:, None] == x[rows][None]).all(2)
    assert torch.equal(group[:, None] == group[None], same)
    first = [int((group == g).nonzero()[0]) for g in range(int(group.max()) + 1)]
    assert first == sorted(first)


def test_minus_zero_is_zero():
    x = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [0.0, -1.0]])
    assert row_groups(x, torch.arange(3)).tolist() == [0, 0, 1]


def test_colliding_hashes_do_not_join_rows(monkeypatch):
    monkeypatch.setattr(duplicates, '_CHUNK', 4)
    bits = duplicates._bits
    calls = []

    def collide(x):  # Zeros for the hashes, the numbers when rows are compared.
        calls.append(len(x))
        return bits(x) * (sum(calls) > 5)

    monkeypatch.setattr(duplicates, '_bits', collide)
    x = torch.tensor([[1.0], [2.0], [1.0], [3.0], [1.0]])
    assert row_groups(x, torch.arange(5)).tolist() == [0, 1, 0, 2, 0]


def test_no_rows():
    assert row_groups(torch.ones(3, 2), torch.zeros(0, dtype=torch.long)).numel() == 0
