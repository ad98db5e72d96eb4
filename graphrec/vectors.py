r"""Vectors for an approximate-neighbour index, and the check that it answers as exact
search does."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, USER, index_of, node_ids, remaining, train_edges
from graphrec.metrics import hit_matrix
from graphrec.models.recommender import Recommender
from graphrec.ranking import check_graph, check_k, top_k
from graphrec.storage import replacing_folder


def export_vectors(model: Recommender, data: HeteroData, path: str | Path) -> Path:
    r"""Writes the final vectors, whose dot products are the scores, into a folder:
    ``user.npy`` :math:`(U, d)`, ``item.npy`` :math:`(I, d)` in float32 and ``ids.json``
    with the original ids in row order, ``{"user": [...], "item": [...]}``. The folder
    appears whole or not at all and takes the place of an older one. Users and items that
    were removed from the graph have no row.

    Raises:
        GraphError: If the model has no vectors, or the folder cannot be written.
    """
    check_graph(model, data)
    path = Path(path)
    if path.is_file() or (path.is_dir() and set(path.iterdir()) - _own_files(path)):
        raise GraphError(
            f"'{path}' exists and holds other things than exported vectors; name a new folder"
        )
    vectors = _vectors(model)
    rows = {each: _rows(data, each) for each in (USER, ITEM)}
    ids = {each: node_ids(data, each)[rows[each]].tolist() for each in (USER, ITEM)}
    with replacing_folder(path) as folder:
        for each in (USER, ITEM):
            np.save(folder / f'{each}.npy', vectors[each][rows[each]])
        (folder / 'ids.json').write_text(json.dumps(ids))
    return path


def build_index(model: Recommender, kind: str = 'flat', **options: Any) -> Any:
    r"""A faiss index of the item vectors by dot product; its answers are item numbers
    (``graphrec.graphs.schema.node_ids(data, 'item')`` turns them into ids).

    Args:
        model: A model with vectors.
        kind: ``'flat'``, exact; or ``'hnsw'``, a navigable graph that is approximate
            and much faster on millions of items.
        options: For ``'hnsw'``: ``neighbors`` (32) a node, ``construction`` (80) and
            ``search`` (128), the lengths of its candidate lists.

    Raises:
        GraphError: If faiss is not installed, or the model has no vectors.
    """
    try:
        import faiss
    except ImportError:
        raise GraphError(
            "an index needs faiss, which is not installed; install 'graphrec[faiss]'"
        ) from None
    settings = {'neighbors': 32, 'construction': 80, 'search': 128} if kind == 'hnsw' else {}
    unknown = sorted(set(options) - set(settings))
    if kind not in ('flat', 'hnsw') or unknown:
        raise GraphError(
            f"'kind' needs to be 'flat' or 'hnsw' (got {kind!r}), options out of "
            f'{sorted(settings)} (got {sorted(options)})'
        )
    settings |= options
    item = _vectors(model)[ITEM]
    index: Any
    if kind == 'flat':
        index = faiss.IndexFlatIP(item.shape[1])
    else:
        index = faiss.IndexHNSWFlat(
            item.shape[1], settings['neighbors'], faiss.METRIC_INNER_PRODUCT
        )
        index.hnsw.efConstruction = settings['construction']
        index.hnsw.efSearch = settings['search']
    index.add(item)
    return index


def check_index(
    index: Any,
    model: Recommender,
    data: HeteroData,
    k: int = 20,
    users: Iterable[Any] | None = None,
) -> float:
    r"""Share of the :obj:`k` best items by exact search that the index finds too, as a
    mean over users; 1 means that it loses nothing. Nothing is masked on either side.

    Args:
        index: With ``search(vectors, k)`` that returns scores and item numbers, as
            faiss has it.
        model: The model whose vectors are in the index.
        data: The graph that the model was built for.
        k: Length of the lists.
        users: Original ids of the users to ask for; all by default.

    Raises:
        GraphError: If k is larger than the catalogue or no user is asked for.
        UnknownIdError: If an id is not in the graph.
    """
    check_graph(model, data)
    check_k(k, model.num_items)
    asked = np.arange(model.num_users) if users is None else index_of(data, USER, list(users))
    if not asked.size:
        raise GraphError("'users' is empty; give at least one user id")
    device = train_edges(data).device
    exact = top_k(model.ranker(), torch.from_numpy(asked).to(device), k).items.cpu()
    _, found = index.search(np.ascontiguousarray(_vectors(model)[USER][asked]), k)
    row = torch.arange(len(asked)).repeat_interleave(k)
    truth = torch.stack([row, exact.flatten()])
    return float(hit_matrix(torch.from_numpy(found), truth, model.num_items).double().mean())


def _vectors(model: Recommender) -> dict[str, np.ndarray]:
    training = model.training
    model.eval()
    try:
        if type(model).ranker is not Recommender.ranker:  # Scores are no products of vectors.
            raise NotImplementedError
        with torch.no_grad():
            vectors = model.forward()
    except NotImplementedError:
        raise GraphError(
            f'{type(model).__name__} has no vectors to export; LightGCN and MF have'
        ) from None
    finally:
        model.train(training)
    return {
        name: np.ascontiguousarray(vectors[name].detach().float().cpu().numpy())
        for name in (USER, ITEM)
    }


def _rows(data: HeteroData, node_type: str) -> np.ndarray:
    there = remaining(data, node_type)
    return np.arange(data[node_type].num_nodes) if there is None else there.cpu().numpy()


def _own_files(path: Path) -> set[Path]:
    return {path / name for name in ('user.npy', 'item.npy', 'ids.json')}
