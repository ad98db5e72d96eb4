import numpy as np
from torch_geometric.data import HeteroData

from graphrec.graphs.labels import label, title_of, titles


def test_labels_speak_titles_and_original_ids():
    data = HeteroData()
    data['user'].num_nodes = 1
    data['user'].id = np.array(['ann'], dtype=object)
    data['item'].num_nodes = 3
    data['item'].id = np.array([7, 8, 9])
    assert titles(data, 'item') is None
    assert (label(data, 'user', 0), label(data, 'item', 1)) == ('user ann', 'item 8')

    data['item'].name = np.array(['a  cup', float('nan'), 'x' * 50], dtype=object)
    assert label(data, 'item', 0) == 'a cup · 7'
    assert label(data, 'item', 1) == 'item 8'  # No title there.
    assert label(data, 'item', 2, width=10) == 'x' * 9 + '… · 9'
    data['item'].title = np.array(['the cup', 'pen', 'hat'], dtype=object)
    assert title_of(data, 'item', 0) == 'the cup'  # A title comes before a name.
