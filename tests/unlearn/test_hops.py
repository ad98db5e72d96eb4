import torch
from torch_geometric.utils import k_hop_subgraph

from graphrec.unlearn.hops import hops


def test_hops_agree_with_a_search():
    generator = torch.Generator().manual_seed(0)
    edges = torch.stack(
        [
            torch.randint(30, (60,), generator=generator),
            torch.randint(20, (60,), generator=generator),
        ]
    )
    users, items = torch.zeros(30, dtype=torch.bool), torch.zeros(20, dtype=torch.bool)
    users[3], items[5] = True, True
    found = hops(edges, users, items, most=2)
    both = torch.stack([edges[0], edges[1] + 30])
    both = torch.cat([both, both.flip(0)], 1)
    for step in (0, 1, 2):
        near, *_ = k_hop_subgraph(torch.tensor([3, 35]), step, both, num_nodes=50)
        assert (found <= step).nonzero().squeeze(1).tolist() == (near[near >= 30] - 30).tolist()
