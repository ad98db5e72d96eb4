r"""Words of queries, users and items, derived from search events.

Everything here is counted over TRAINING events of the graph as it is given, so a new split
or an edit of the graph leaves no word of the old one behind. Nothing is stored in the graph.
"""

import copy
import functools
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import ITEM, USER, WORD, EdgeType, num_items, num_users
from graphrec.graphs.search import QUERY_CONTAINS, event_labels, query_texts, search_events

#: Edge types that :func:`with_words` counts from search events.
WORD_COUNTS: tuple[EdgeType, EdgeType] = ((USER, 'searched', WORD), (ITEM, 'found_by', WORD))
TOKEN = r'(?u)\b\w+\b'


@dataclass(frozen=True, eq=False)
class WordLists:
    r"""Lists of word numbers as CSR: row pointers :math:`(n + 1)` and words, both int64."""

    ptr: Tensor
    word: Tensor

    def __len__(self) -> int:
        return self.ptr.numel() - 1

    def tolist(self) -> list[list[int]]:
        """As Python lists."""
        ends = self.ptr.tolist()
        words = self.word.tolist()
        return [words[low:high] for low, high in itertools.pairwise(ends)]

    @property
    def count(self) -> Tensor:
        """Words of every list :math:`(n)`."""
        return self.ptr.diff()

    @property
    def row(self) -> Tensor:
        """The list of every word."""
        index = torch.arange(len(self), device=self.ptr.device)
        return index.repeat_interleave(self.count)

    def select(self, index: Tensor) -> 'WordLists':
        """The lists of these numbers, in this order; a list may come twice."""
        count = self.count[index]
        end = count.cumsum(0)
        shift = (self.ptr[index] - (end - count)).repeat_interleave(count)
        position = torch.arange(shift.numel(), device=shift.device) + shift
        return WordLists(torch.cat([end.new_zeros(1), end]), self.word[position])

    def cut(self, length: int) -> 'WordLists':
        """The first so many words of every list."""
        row = self.row
        kept = torch.arange(row.numel(), device=row.device) - self.ptr[row] < length
        count = self.count.clamp(max=length)
        return WordLists(torch.cat([count.new_zeros(1), count.cumsum(0)]), self.word[kept])

    def padded(self, width: int) -> Tensor:
        r"""The first words of every list as a matrix :math:`(n, w)`, -1 beyond its end."""
        lists = self.cut(width)
        row = lists.row
        out = self.word.new_full((len(self), width), -1)
        out[row, torch.arange(row.numel(), device=row.device) - lists.ptr[row]] = lists.word
        return out

    def to(self, device: torch.device | str) -> 'WordLists':
        """The same lists on a device."""
        return WordLists(self.ptr.to(device), self.word.to(device))

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> 'WordLists':
        """CSR of Python lists."""
        count = torch.tensor([len(each) for each in lists], dtype=torch.long)
        words = torch.tensor([w for each in lists for w in each], dtype=torch.long)
        return cls(torch.cat([count.new_zeros(1), count.cumsum(0)]), words)


class Encoded(NamedTuple):
    """Texts as a model sees them: word numbers, and of each text the words that the
    model does not know."""

    lists: WordLists
    unseen: list[list[str]]


@dataclass(frozen=True)
class QueryWords:
    r"""The words of a graph's search events, see :func:`query_words`.

    Attributes:
        words: The vocabulary in alphabetical order; a word's number is its position.
        query: Known words of every query node, in the order of its text, cut to length.
        user: The most frequent words of every user's training events.
        item: The most frequent words of every item's training events.
        num_unseen: Words of held-out queries, repeats counted, that the vocabulary lacks.
        query_length: Length that query texts are cut to.
    """

    words: tuple[str, ...]
    query: WordLists
    user: WordLists
    item: WordLists
    num_unseen: int
    query_length: int

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """Word to number."""
        return {word: number for number, word in enumerate(self.words)}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the vocabulary."""
        return hashlib.sha256('\n'.join(self.words).encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> Encoded:
        """New texts in word numbers, cut as the queries of the graph are."""
        return encode_texts(texts, self.numbers, self.query_length)


def query_words(
    data: HeteroData,
    *,
    max_words: int = 5000,
    min_count: int = 1,
    query_length: int = 3,
    user_length: int = 3,
    item_length: int = 10,
) -> QueryWords:
    r"""The vocabulary and the word lists of UDITSR (`arXiv:2407.00912
    <https://arxiv.org/abs/2407.00912>`_).

    Every training event counts the words of its whole query for the vocabulary, for its user
    and for its item. The most frequent words are kept, of equally frequent ones those that
    come first in the stored events. A held-out query keeps the words that the vocabulary has.

    Args:
        data: The graph; queries without a text have no words.
        max_words: Size of the vocabulary at most.
        min_count: Training events that a word needs.
        query_length: Words kept of a query, its first ones that the vocabulary has.
        user_length, item_length: Words kept of a user and of an item.

    Raises:
        GraphError: If a limit is below 1, or the queries have neither text nor words.
    """
    for name, limit in {
        'max_words': max_words,
        'min_count': min_count,
        'query_length': query_length,
        'user_length': user_length,
        'item_length': item_length,
    }.items():
        if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1:
            raise GraphError(f'{name!r} needs to be an integer of at least 1 (got {limit!r})')
    texts = query_texts(data)
    tokens = [tokenize(text) for text in texts]
    known = {word: number for number, word in enumerate(sorted({w for t in tokens for w in t}))}
    full = WordLists.of([[known[word] for word in each] for each in tokens])

    events = search_events(data)
    seen = full.select(events.query.cpu())
    kept = _vocabulary(seen.word.numpy(), max_words, min_count)
    names = list(known)
    renumber = torch.full((len(known),), -1)
    renumber[kept] = torch.arange(kept.numel())
    query = _kept(WordLists(full.ptr, renumber[full.word]))
    seen = WordLists(seen.ptr, renumber[seen.word])
    user, item = (
        _top_words(end.cpu()[seen.row], seen.word, kept.numel(), count, length)
        for end, count, length in (
            (events.user, num_users(data), user_length),
            (events.item, num_items(data), item_length),
        )
    )
    return QueryWords(
        words=tuple(names[number] for number in kept.tolist()),
        query=query.cut(query_length),
        user=user,
        item=item,
        num_unseen=_num_unseen(data, full, query),
        query_length=query_length,
    )


def with_words(data: HeteroData, words: QueryWords) -> HeteroData:
    r"""A copy of the graph in which the vocabulary is nodes ``'word'``, tied to its queries by
    ``('query', 'contains', 'word')``, to users by ``('user', 'searched', 'word')`` and to items
    by ``('item', 'found_by', 'word')``: for export and pictures. Models derive their own words,
    so an edit of this copy does not count its words again."""
    out = copy.copy(data)
    out[WORD].id = np.array(words.words, dtype=object)
    out[WORD].num_nodes = len(words.words)
    edge_types = (QUERY_CONTAINS, *WORD_COUNTS)
    for edge_type, lists in zip(edge_types, (words.query, words.user, words.item), strict=True):
        if edge_type[0] in out.node_types:
            out[edge_type].edge_index = torch.stack([lists.row, lists.word])
    return out


def tokenize(text: str) -> list[str]:
    """The words of a text in lower case: runs of letters, digits and underscores. Scripts
    without spaces between words need texts that have them."""
    return _analyzer()(text)


def encode_texts(
    texts: Sequence[str], numbers: dict[str, int], length: int | None = None
) -> Encoded:
    """Texts in the numbers of a vocabulary, and of each text the words that it lacks."""
    if isinstance(texts, str):
        raise GraphError(f"'texts' needs to be a list of texts (got {texts!r}); pass [{texts!r}]")
    tokens = [tokenize(text) for text in texts]
    lists = WordLists.of([[numbers[w] for w in each if w in numbers] for each in tokens])
    unseen = [[word for word in each if word not in numbers] for each in tokens]
    return Encoded(lists if length is None else lists.cut(length), unseen)


def carry_rows(old: Sequence[str], new: Sequence[str]) -> Tensor:
    """For every word of a new vocabulary its number in the old one, -1 if it had none:
    how embeddings of words survive an edit of the graph."""
    numbers = {word: number for number, word in enumerate(old)}
    return torch.tensor([numbers.get(word, -1) for word in new], dtype=torch.long)


def carry_table(
    old: Tensor, new: Tensor, old_words: Sequence[str], new_words: Sequence[str]
) -> Tensor:
    """The table :obj:`new`, one row a word, with the rows of :obj:`old` for the words that had
    one there."""
    kept = carry_rows(old_words, new_words).to(old.device)
    out = new.to(old).clone()
    out[kept >= 0] = old[kept[kept >= 0]]
    return out


@functools.cache
def _analyzer() -> Callable[[str], list[str]]:
    # Imported here: half a second that only searchers should pay for.
    from sklearn.feature_extraction.text import CountVectorizer

    analyzer: Callable[[str], list[str]] = CountVectorizer(token_pattern=TOKEN).build_analyzer()
    return analyzer


def _vocabulary(word: np.ndarray, max_words: int, min_count: int) -> Tensor:
    """The numbers that occur often enough, ascending."""
    number, first, count = np.unique(word, return_index=True, return_counts=True)
    order = np.lexsort((first, -count))
    order = order[count[order] >= min_count][:max_words]
    return torch.from_numpy(np.sort(number[order]))


def _kept(lists: WordLists) -> WordLists:
    """The lists without the words numbered -1."""
    known = lists.word >= 0
    count = torch.bincount(lists.row[known], minlength=len(lists))
    return WordLists(torch.cat([count.new_zeros(1), count.cumsum(0)]), lists.word[known])


def _top_words(
    owner: Tensor, word: Tensor, num_words: int, num_owners: int, length: int
) -> WordLists:
    """The most frequent words of every owner, of equal ones the first to come."""
    known = (word >= 0).numpy()
    key = owner.numpy()[known] * max(num_words, 1) + word.numpy()[known]
    pair, first, count = np.unique(key, return_index=True, return_counts=True)
    owner_of = pair // max(num_words, 1)
    order = np.lexsort((first, -count, owner_of))
    number = np.bincount(owner_of, minlength=num_owners)
    lists = WordLists(
        torch.from_numpy(np.concatenate([[0], np.cumsum(number)]).astype(np.int64)),
        torch.from_numpy((pair % max(num_words, 1))[order].astype(np.int64)),
    )
    return lists.cut(length)


def _num_unseen(data: HeteroData, full: WordLists, query: WordLists) -> int:
    held = [label for label in event_labels(data) if label != 'train']
    asked = torch.zeros(len(full), dtype=torch.bool)
    for label in held:
        asked[search_events(data, label).query.cpu()] = True
    lost = full.count - query.count
    return int(lost[asked].sum())
