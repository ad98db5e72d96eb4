"""What there is to train: every model with its paper and the graphs that it reads."""

import dataclasses

import pandas as pd

from graphrec import runs


@dataclasses.dataclass(frozen=True)
class Card:
    """What a list of models tells of one.

    Args:
        graphs: Kinds of graph that it reads, of ``'user-item'``, ``'item-item'``,
            ``'co-occurrence'``, ``'hypergraph'``, ``'features'`` of items, ``'searches'``
            and ``'words'``.
        year: Year of publication; ``None`` without a paper.
        paper: Authors, venue and arXiv or DOI number.
        about: The idea in one line.
    """

    graphs: tuple[str, ...]
    year: int | None
    paper: str
    about: str


_PAIRS = ('user-item',)
_FEATURES = ('user-item', 'features')
_SEMANTIC = ('user-item', 'item-item', 'features')

CARDS: dict[str, Card] = {
    'popularity': Card(_PAIRS, None, '', 'the same items for all, most users first'),
    'itemknn': Card(
        ('co-occurrence',),
        2001,
        'Sarwar et al., WWW, doi:10.1145/371920.372071',
        'items had by the same users, no training',
    ),
    'ease': Card(
        ('co-occurrence',), 2019, 'Steck, WWW, arXiv:1905.03375', 'item weights in closed form'
    ),
    'mf': Card(_PAIRS, 2009, 'Rendle et al., UAI, arXiv:1205.2618', 'BPR on plain vectors'),
    'lightgcn': Card(
        _PAIRS, 2020, 'He et al., SIGIR, arXiv:2002.02126', 'vectors averaged over neighbours'
    ),
    'contrastivelightgcn': Card(
        _PAIRS, None, '', 'LightGCN with any contrastive view and objective'
    ),
    'sgl': Card(
        _PAIRS, 2021, 'Wu et al., SIGIR, arXiv:2010.10783', 'contrast of two thinned graphs'
    ),
    'simgcl': Card(
        _PAIRS, 2022, 'Yu et al., SIGIR, arXiv:2112.08679', 'contrast of two noisy passes'
    ),
    'xsimgcl': Card(
        _PAIRS, 2023, 'Yu et al., TKDE, arXiv:2209.02544', 'contrast of layers of one noisy pass'
    ),
    'lightgcl': Card(
        _PAIRS, 2023, 'Cai et al., ICLR, arXiv:2302.08191', 'contrast with a low-rank graph'
    ),
    'ncl': Card(
        _PAIRS, 2022, 'Lin et al., WWW, arXiv:2202.06200', 'contrast with neighbours and clusters'
    ),
    'directau': Card(
        _PAIRS, 2022, 'Wang et al., KDD, arXiv:2206.12811', 'alignment and uniformity, no negatives'
    ),
    'buir': Card(_PAIRS, 2021, 'Lee et al., SIGIR, arXiv:2105.06323', 'online and target network'),
    'selfcf': Card(
        _PAIRS, 2023, 'Zhou et al., TORS, arXiv:2107.03019', 'one network against itself'
    ),
    'vbpr': Card(
        _FEATURES, 2016, 'He and McAuley, AAAI, arXiv:1510.01784', 'BPR with projected features'
    ),
    'lattice': Card(
        _SEMANTIC, 2021, 'Zhang et al., MM, arXiv:2104.09036', 'item graph learned from features'
    ),
    'bm3': Card(
        _FEATURES, 2023, 'Zhou et al., WWW, arXiv:2207.05969', 'bootstrap of latent modalities'
    ),
    'freedom': Card(
        _SEMANTIC, 2023, 'Zhou and Shen, MM, arXiv:2211.06924', 'frozen item graph, thinned pairs'
    ),
    'mgcn': Card(
        _SEMANTIC, 2023, 'Yu et al., MM, arXiv:2308.03588', 'purified features, behaviour-aware'
    ),
    'lgmrec': Card(
        ('user-item', 'hypergraph', 'features'),
        2024,
        'Guo et al., AAAI, arXiv:2312.16400',
        'local graphs and global hyperedges',
    ),
    'lirdrec': Card(
        _SEMANTIC,
        2025,
        'Zhou et al., arXiv:2505.04960',
        'items from features alone',
    ),
    'mmhcl': Card(
        ('user-item', 'hypergraph', 'features'),
        2025,
        'TOMM, arXiv:2504.16576',
        'contrast with user and item hypergraphs',
    ),
    'semanticitemgraph': Card(
        ('user-item', 'item-item', 'co-occurrence', 'features'),
        2025,
        'Zhang et al., arXiv:2508.06154',
        'item graphs infused with co-occurrence (reconstructed)',
    ),
    'bm25': Card(
        ('words',),
        2009,
        'Robertson and Zaragoza, doi:10.1561/1500000019',
        'search by the words of item texts, no training',
    ),
    'unionlightgcn': Card(
        _PAIRS, 2020, 'He et al., SIGIR, arXiv:2002.02126', 'LightGCN on searches as interactions'
    ),
    'querybilinear': Card(
        ('user-item', 'words'), None, '', 'BPR on vectors, moved by the words of a query'
    ),
    'hypersar': Card(
        ('hypergraph', 'words'),
        2022,
        'Thonet et al., ECIR',
        'hyperedges of user, query words and item (reconstructed)',
    ),
    'uditsr': Card(
        ('user-item', 'words'),
        2024,
        'KDD, arXiv:2407.00912',
        'search and recommendation by translation along intents',
    ),
}


def model_catalogue() -> pd.DataFrame:
    """One row a model that can be trained: its ``name``, ``year`` (missing without a paper),
    ``paper``, ``graphs`` (kinds of graph that it reads) and what it is ``about``."""
    rows = [
        (name, card.year, card.paper, ', '.join(card.graphs), card.about)
        for name, card in ((name, CARDS[name]) for name in runs.MODELS)
    ]
    table = pd.DataFrame(rows, columns=['name', 'year', 'paper', 'graphs', 'about'])
    return table.astype({'year': 'Int64'})
