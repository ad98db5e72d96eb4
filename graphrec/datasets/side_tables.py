"""Further tables of a data set folder: tags, words, friends, citations, facts, kNN."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch_geometric.data import HeteroData

from graphrec.datasets.tables import find_table, read_archive, read_table
from graphrec.errors import FormatError
from graphrec.graphs.columns import node_columns
from graphrec.graphs.ids import clean_ids, node_numbers, require_same_kind, united
from graphrec.graphs.interactions import table_rows
from graphrec.graphs.node_features import row_nodes
from graphrec.graphs.schema import ATTRIBUTE, ITEM, USER, WORD, EdgeType

ENTITY = 'entity'
TAG = 'tag'
KNOWS: EdgeType = (USER, 'knows', USER)
CITES: EdgeType = (ITEM, 'cites', ITEM)
CONTAINS: EdgeType = (ITEM, 'contains', WORD)
ITEM_RELATES: EdgeType = (ITEM, 'relates', ENTITY)
ENTITY_RELATES: EdgeType = (ENTITY, 'relates', ENTITY)


def add_side_tables(data: HeteroData, folder: Path, id_type: type | None = None) -> None:
    r"""Adds to :obj:`data` in place what the further tables of a folder hold:

    - ``item_attributes`` (item, attribute): ``('item', 'has', 'attribute')``;
    - ``item_tag`` (item, tag) with ``tags`` (tag, text): the same, or
      ``('item', 'has', 'tag')`` where there are attributes too;
    - ``user_user`` (user, friend): ``('user', 'knows', 'user')``;
    - ``item_item`` (item, cited): ``('item', 'cites', 'item')``;
    - ``item_entity`` (item, relation, entity) with ``entities`` and ``relations``:
      ``('item', 'relates', 'entity')`` with ``relation`` and ``relation_name``;
    - ``kg`` (head, relation, tail) with ``kg_relations``: ``('entity', 'relates',
      'entity')``; ``data['entity'].item`` is the item an entity is, -1 for others.

    Rows with an id that the graph does not hold are left out and counted in
    ``data.repairs['unknown_ids_<table>']``.

    Args:
        data: A graph with user and item ids.
        folder: The data set.
        id_type: ``str`` to read ids as strings, whatever they look like.
    """
    has_attributes = find_table(folder, 'item_attributes') is not None
    reader = _Reader(data, folder, id_type)
    reader.memberships('item_attributes', 'attribute', ATTRIBUTE, 'attributes')
    reader.memberships('item_tag', 'tag', TAG if has_attributes else ATTRIBUTE, 'tags')
    reader.relation('user_user', ('user', 'friend'), KNOWS)
    reader.relation('item_item', ('item', 'cited'), CITES)
    reader.item_facts()
    reader.facts()


class _Reader:
    def __init__(self, data: HeteroData, folder: Path, id_type: type | None) -> None:
        self.data = data
        self.folder = folder
        self.id_type = id_type

    def table(
        self, stem: str, columns: tuple[str, ...], named: bool = False
    ) -> pd.DataFrame | None:
        path = find_table(self.folder, stem)
        if path is None:
            return None
        text = columns if self.id_type is str else ()
        return read_table(path, columns, text=text, exact=named)

    def ids(self, table: pd.DataFrame, column: str, stem: str) -> np.ndarray:
        return clean_ids(table[column], f'{column!r} of {stem}')[0]

    def known(self, table: pd.DataFrame, column: str, stem: str, node_type: str) -> np.ndarray:
        ids = self.ids(table, column, stem)
        held = np.asarray(self.data[node_type].id)
        require_same_kind(held, f'the {node_type} ids of the graph', ids, f'{column!r} of {stem}')
        return node_numbers(held, ids)

    def add_nodes(self, node_type: str, found: list[np.ndarray], names: str, key: str) -> None:
        table = self.table(names, (key,), named=True)
        if table is not None:
            found = [*found, self.ids(table, key, names)]
        ids = united(found)
        self.data[node_type].id = ids
        self.data[node_type].num_nodes = len(ids)
        if table is not None:
            position = table_rows(self.data, node_type, found[-1])
            for name, values in node_columns(table, key, position).items():
                self.data[node_type][name] = values

    def add_edges(
        self, edge_type: EdgeType, stem: str, src: np.ndarray, dst: np.ndarray
    ) -> np.ndarray:
        kept = (src >= 0) & (dst >= 0)
        if not kept.all():
            self.data.repairs[f'unknown_ids_{stem}'] = int((~kept).sum())
        self.data[edge_type].edge_index = torch.from_numpy(np.stack([src[kept], dst[kept]]))
        return kept

    def memberships(self, stem: str, column: str, node_type: str, names: str) -> None:
        table = self.table(stem, ('item', column))
        if table is None:
            return
        member = self.ids(table, column, stem)
        self.add_nodes(node_type, [member], names, column)
        target = node_numbers(np.asarray(self.data[node_type].id), member)
        self.add_edges(
            (ITEM, 'has', node_type), stem, self.known(table, 'item', stem, ITEM), target
        )

    def relation(self, stem: str, columns: tuple[str, str], edge_type: EdgeType) -> None:
        table = self.table(stem, columns)
        if table is not None:
            ends = [self.known(table, c, stem, edge_type[0]) for c in columns]
            self.add_edges(edge_type, stem, ends[0], ends[1])

    def relations(
        self, table: pd.DataFrame, names: str, edge_type: EdgeType, kept: np.ndarray, stem: str
    ) -> None:
        relation = self.ids(table, 'relation', stem)
        named = self.table(names, ('relation', 'name'), named=True)
        found = [relation] if named is None else [relation, self.ids(named, 'relation', names)]
        known = united(found)
        store = self.data[edge_type]
        store.relation = torch.from_numpy(node_numbers(known, relation)[kept])
        labels = known.astype(str).astype(object)
        if named is not None:
            labels[node_numbers(known, found[1])] = named['name'].astype(object).to_numpy()
        store.relation_name = labels.tolist()

    def item_facts(self) -> None:
        stem = 'item_entity'
        table = self.table(stem, ('item', 'relation', 'entity'))
        if table is None:
            return
        entity = self.ids(table, 'entity', stem)
        self.add_nodes(ENTITY, [entity], 'entities', 'entity')
        target = node_numbers(np.asarray(self.data[ENTITY].id), entity)
        item = self.known(table, 'item', stem, ITEM)
        kept = self.add_edges(ITEM_RELATES, stem, item, target)
        self.relations(table, 'relations', ITEM_RELATES, kept, stem)

    def facts(self) -> None:
        table = self.table('kg', ('head', 'relation', 'tail'))
        if table is None:
            return
        if ENTITY in self.data.node_types:
            raise FormatError(
                f"'{self.folder}' holds both 'item_entity' and 'kg'; their entities are not the "
                f'same numbers: keep one of the tables'
            )
        ends = [self.ids(table, c, 'kg') for c in ('head', 'tail')]
        ids = united(ends)
        self.data[ENTITY].id = ids
        self.data[ENTITY].num_nodes = len(ids)
        self.data[ENTITY].item = torch.from_numpy(node_numbers(np.asarray(self.data[ITEM].id), ids))
        numbers = [node_numbers(ids, end) for end in ends]
        kept = self.add_edges(ENTITY_RELATES, 'kg', numbers[0], numbers[1])
        self.relations(table, 'kg_relations', ENTITY_RELATES, kept, 'kg')


def add_words(data: HeteroData, folder: Path, table_ids: np.ndarray | None) -> None:
    r"""Adds the bag of words of ``item_words.npz`` (CSR: ``indptr``, ``indices``,
    ``data``) in place: ``('item', 'contains', 'word')`` with ``count``; word nodes have
    the ``text`` of their line in ``vocabulary.txt``.

    Raises:
        FormatError: If the file is damaged, or a word has no line in the vocabulary.
    """
    path = folder / 'item_words.npz'
    arrays = read_archive(path, ('indptr', 'indices', 'data'))
    indptr, word = (arrays[k].astype(np.int64) for k in ('indptr', 'indices'))
    if len(indptr) == 0 or indptr[-1] != len(word) or (np.diff(indptr) < 0).any():
        raise FormatError(f"'{path}': 'indptr' does not fit the {len(word)} entries of 'indices'")
    nodes = row_nodes(np.asarray(data[ITEM].id), table_ids, len(indptr) - 1, f"'{path.name}'")
    count = int(word.max(initial=-1)) + 1
    vocabulary = folder / 'vocabulary.txt'
    if vocabulary.is_file():
        lines = vocabulary.read_text(encoding='utf-8').split('\n')
        lines = lines[:-1] if lines[-1] == '' else lines
        if len(lines) < count:
            raise FormatError(
                f"'{vocabulary}' has {len(lines)} lines, but '{path.name}' holds word "
                f'{count - 1}; give one line a word'
            )
        count = len(lines)
        data[WORD].text = np.array(lines, dtype=object)
    data[WORD].id = np.arange(count)
    data[WORD].num_nodes = count
    item = np.repeat(nodes, np.diff(indptr))
    data[CONTAINS].edge_index = torch.from_numpy(np.stack([item, word]))
    data[CONTAINS].count = torch.from_numpy(arrays['data'].astype(np.int64))


def add_neighbours(
    data: HeteroData, path: Path, modality: str, table_ids: np.ndarray | None
) -> None:
    r"""Adds a frozen nearest-neighbour graph of the items in place:
    ``knn_<modality>_index`` (int64, node numbers, -1 for none) and
    ``knn_<modality>_similarity`` (float32), both :math:`(I, k)`.

    Raises:
        FormatError: If the arrays differ in shape or name rows that do not exist.
    """
    arrays = read_archive(path, ('index', 'similarity'))
    index, similarity = arrays['index'].astype(np.int64), arrays['similarity']
    if index.ndim != 2 or index.shape != similarity.shape:
        raise FormatError(
            f"'{path}': 'index' has shape {list(index.shape)} and 'similarity' "
            f'{list(similarity.shape)}; both must be [items, k]'
        )
    if index.max(initial=-1) >= len(index) or index.min(initial=0) < -1:
        raise FormatError(
            f"'{path}': 'index' runs from {index.min()} to {index.max()} for {len(index)} rows"
        )
    nodes = row_nodes(np.asarray(data[ITEM].id), table_ids, len(index), f"'{path.name}'")
    order = np.empty(len(nodes), dtype=np.int64)
    order[nodes] = np.arange(len(nodes))
    index = np.where(index >= 0, nodes[index], -1)[order]
    data[ITEM][f'knn_{modality}_index'] = torch.from_numpy(index)
    data[ITEM][f'knn_{modality}_similarity'] = torch.from_numpy(
        similarity[order].astype(np.float32)
    )
