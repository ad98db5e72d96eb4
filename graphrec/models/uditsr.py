"""UDITSR: one model for search and recommendation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import HeteroData
from typing_extensions import Self

from graphrec.conv.translation import translation_layers
from graphrec.graphs.event_pairs import EventPairs, Messages
from graphrec.graphs.search_sampling import SearchBatch
from graphrec.graphs.words import QueryWords, WordLists, query_words
from graphrec.models.intent_generator import IntentGenerator
from graphrec.models.intent_head import IntentHead
from graphrec.models.intent_states import GeneratorTables
from graphrec.models.pair_blocks import (
    KEEP_BYTES,
    PairBlock,
    PairPlan,
    make_blocks,
    over_grid,
)
from graphrec.models.query_recommender import QueryRecommender
from graphrec.models.recommender import QueryRanker, Ranker
from graphrec.models.uditsr_config import OFFICIAL, UDITSRConfig


class UDITSR(QueryRecommender):
    r"""Search and recommendation in one graph, of `"Unified Dual-Intent Translation for Joint
    Modeling of Search and Recommendation" <https://arxiv.org/abs/2407.00912>`_ (KDD 2024).

    A user comes with an inherent intent, the embedding :math:`\mathbf{e}_u`, and a demand
    intent: the query :math:`\mathbf{q} = \sum_w \mathbf{e}_w` of a search, or
    :math:`\hat{\mathbf{q}}(u, i)` of :class:`~graphrec.models.intent_generator.IntentGenerator`
    for a recommendation. Every event is an edge that translates one into the other (see
    :class:`~graphrec.conv.TranslationConv`),

    .. math::
        \mathbf{h}_i^{(l)} = \mathrm{mean}_{(u, i)} \big( \mathbf{h}_u^{(l-1)} + \mathbf{q}_e
        \big), \quad
        \mathbf{h}_u^{(l)} = \mathrm{mean}_{(u, i)} \big( \mathbf{h}_i^{(l-1)} - \mathbf{q}_e
        \big), \quad
        \mathbf{e}^* = \sum_{l=0}^{L} \frac{\mathbf{h}^{(l)}}{l + 1}

    and two heads score :math:`f_s([\mathbf{e}_u^* \| \mathbf{e}_i^* \| \mathbf{q}])` in search
    and :math:`f_r([\mathbf{e}_u^* \| \mathbf{e}_i^* \| \hat{\mathbf{q}}(u, i)])` in
    recommendation. Over a batch of events of both kinds with a negative each,

    .. math::
        \mathcal{L} = \frac{1}{B} \sum_b \Big[ -\ln \sigma (s_b^+ - s_b^-) - \lambda_{cl} \ln
        \sigma (D_b^- - D_b^+) \Big] + \frac{\lambda_{sg}}{B_s} \sum_{b \text{ search}}
        \frac{1}{d} \| \hat{\mathbf{q}}(u, i^+) - \mathbf{q} \|^2

    .. math::
        D^{\pm} = \frac{1}{d} \| \mathbf{e}_u^* + \tilde{\mathbf{q}} - \mathbf{e}_{i^{\pm}}^* \|^2

    with :math:`\tilde{\mathbf{q}} = \mathbf{q}` in search and :math:`\hat{\mathbf{q}}(u, i^+)` in
    recommendation. The events of the pairs in a batch are left out of its messages.

    The generator runs once a distinct pair of a recommendation, with all products that depend
    on one node made once a node (see :mod:`graphrec.models.intent_states`); the means of the
    intents are made once for all layers. Both are exact.

    The paper trains with ``fit(..., batch_size=256, optimizer=lambda p:
    torch.optim.AdamW(p, lr=1e-4, weight_decay=1e-5))``.

    Args:
        data: The graph; training events only.
        config: See :class:`~graphrec.models.uditsr_config.UDITSRConfig`.
    """

    config_class = UDITSRConfig
    config: UDITSRConfig

    def __init__(self, data: HeteroData, config: UDITSRConfig) -> None:
        super().__init__(data, config)
        self.intent = IntentGenerator(config.dim, config.user_length, config.dropout)
        self.search_head = IntentHead(config.dim, config.leaky_output)
        self.recommend_head = IntentHead(config.dim, config.leaky_output)
        self.to(self.user_embedding.device)
        self._pool: list[Tensor] = []
        self.refresh(data)
        self.reset_parameters()

    @classmethod
    def official(cls) -> dict[str, Any]:
        """The quirks of the official code, for :meth:`from_graph`; see
        :data:`~graphrec.models.uditsr_config.OFFICIAL`."""
        return dict(OFFICIAL)

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        config, device = self.config, self.user_embedding.device
        self.user_lists = self.full_lists(self.words.user, config.user_length).to(device)
        item_lists = self.full_lists(self.words.item, config.item_length)
        width = int(item_lists.count.max()) if item_lists.word.numel() else 0
        self.item_words = item_lists.padded(width).to(device)
        shape = (self.num_users, self.num_items)
        self.pairs = EventPairs.of(self.events, self.query_lists, len(self.words.words), shape)
        self._cut_pairs()

    def derive_words(self, data: HeteroData) -> QueryWords:
        config = self.config
        return query_words(
            data,
            max_words=config.max_words,
            min_count=config.min_count,
            query_length=config.query_length,
            user_length=config.user_length,
            item_length=config.item_length,
        )

    def full_lists(self, lists: WordLists, length: int) -> WordLists:
        if not self.config.pad_with_word or not self.words.words:
            return lists
        padded = lists.padded(length).clamp(min=0)
        ptr = torch.arange(len(lists) + 1, device=padded.device) * length
        return WordLists(ptr, padded.reshape(-1))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        if hasattr(self, 'pairs'):
            self._cut_pairs()
        return self

    def forward(self) -> dict[str, Tensor]:
        r"""Final embeddings :math:`\mathbf{e}^*`; scores are not their products."""
        tables = self._tables()
        messages = self.pairs.messages(None, self.user_embedding.dtype)
        sums, _ = self._intents(tables, messages)
        return self._propagate(messages, sums)

    def loss(self, batch: SearchBatch) -> Tensor:
        config = self.config
        user, pos, neg, query, is_search = batch
        dropped = None if config.keep_target_edges else self.pairs.find(user, pos)
        messages = self.pairs.messages(dropped, self.user_embedding.dtype)
        tables, recommended = self._tables(), ~is_search
        # Intents of all positives, then of the recommendations' negatives.
        wanted = (torch.cat([user, user[recommended]]), torch.cat([pos, neg[recommended]]))
        sums, intents = self._intents(tables, messages, wanted)
        generated, generated_neg = intents.split([user.numel(), wanted[0].numel() - user.numel()])
        real = self.embed_batch_queries(query, is_search)
        demand = torch.where(is_search.unsqueeze(1), real, generated)

        z = self._propagate(messages, sums)
        size = user.numel()
        z_user = z['user'].index_select(0, user)
        z_pos, z_neg = z['item'].index_select(0, torch.cat([pos, neg])).split(size)
        loss = z_user.new_zeros(())
        for head, rows, intent_neg in (
            (self.search_head, is_search, real[is_search]),
            (self.recommend_head, recommended, generated_neg),
        ):
            if bool(rows.any()):
                above = head(z_user[rows], z_pos[rows], demand[rows])
                below = head(z_user[rows], z_neg[rows], intent_neg)
                loss = loss + F.softplus(below - above).sum() / size
        if config.cl_weight:
            moved = z_user + demand
            gap = (moved - z_pos).square().mean(1) - (moved - z_neg).square().mean(1)
            loss = loss + config.cl_weight * F.softplus(gap).mean()
        count = int(is_search.sum())
        if config.sg_weight and config.generator and count:
            target = real[is_search].detach() if config.detach_query else real[is_search]
            error = (generated[is_search] - target).square().mean(1).sum()
            whole = size if config.sg_reduction == 'batch' else count
            loss = loss + config.sg_weight * error / whole
        return loss

    def generate(self, user: Tensor, item: Tensor) -> Tensor:
        r"""The demand intents :math:`\hat{\mathbf{q}}(u, i)` of pairs :math:`(n)`, shape
        :math:`(n, d)`, with gradient where it is on."""
        return self._generate(self._tables(), user, item)

    def pair_scores(self, user: Tensor, item: Tensor) -> Tensor:
        messages = self.pairs.messages(None, self.user_embedding.dtype)
        sums, intents = self._intents(self._tables(), messages, (user, item))
        z = self._propagate(messages, sums)
        scores: Tensor = self.recommend_head(z['user'][user], z['item'][item], intents)
        return scores

    def ranker(self) -> Ranker:
        z, tables = self._frozen()
        head = self.recommend_head
        with torch.no_grad():
            users, items = head.parts(z['user'], z['item'])

        def rank(user: Tensor) -> Tensor:
            def score(row: Tensor, item: Tensor) -> Tensor:
                intent = self._generate(tables, user[row], item)
                return head.finish(
                    head.intent_part(intent).add_(users[user[row]]).add_(items[item])
                )

            return over_grid(user.numel(), self.num_items, items, score)

        return rank

    def query_ranker(self) -> QueryRanker:
        """See :meth:`Recommender.query_ranker`; someone unknown is ranked for as the mean of
        all users."""
        z, _ = self._frozen()
        head = self.search_head
        everyone = torch.cat([z['user'], z['user'].mean(0, keepdim=True)])  # Row -1: the mean.
        with torch.no_grad():
            users, items = head.parts(everyone, z['item'])

        @torch.no_grad()
        def rank(user: Tensor, lists: WordLists) -> Tensor:
            q = self.embed_queries(self.full_lists(lists, self.config.query_length))
            base = users[user] + head.intent_part(q)

            def score(row: Tensor, item: Tensor) -> Tensor:
                return head.finish(base[row].add_(items[item]))

            return over_grid(len(lists), self.num_items, items, score)

        return rank

    @property
    def has_demand(self) -> bool:
        """Whether intents are generated and there are words to name them by."""
        return self.config.generator and bool(self.words.words)

    @torch.no_grad()
    def demand_words(self, user: Tensor, item: Tensor, k: int = 3) -> list[list[str]]:
        vocabulary = F.normalize(self.word_embedding, dim=1)
        intents = F.normalize(self._generate(self._frozen()[1], user, item), dim=1)
        nearest = (intents @ vocabulary.t()).topk(min(k, len(self.words.words)), dim=1).indices
        return [[self.words.words[word] for word in row] for row in nearest.tolist()]

    def _tables(self) -> GeneratorTables | None:
        if not self.config.generator:
            return None
        return self.intent.tables(
            self.user_embedding, self.item_embedding, self.word_embedding, self.user_lists
        )

    def _intents(
        self,
        tables: GeneratorTables | None,
        messages: Messages,
        wanted: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Sums of the generated intents at nodes, each over the events there, and the intents
        of the wanted pairs."""
        count = 0 if wanted is None else wanted[0].numel()
        if tables is None:
            return None, self.user_embedding.new_zeros(count, self.config.dim)
        single: list[PairBlock] = [] if wanted is None else self._make_blocks(*wanted)
        summed = self._blocks if self.config.translation else []
        share = torch.stack([messages.user_share, messages.item_share], dim=1)[self._recommended]
        return self.intent(tables, self._plan(summed, single), share, self.noise_source())

    def _generate(self, tables: GeneratorTables | None, user: Tensor, item: Tensor) -> Tensor:
        if tables is None:
            return self.user_embedding.new_zeros(user.numel(), self.config.dim)
        plan = self._plan([], self._make_blocks(user, item))
        none = self.user_embedding.new_zeros(0, 2)
        intents: Tensor = self.intent(tables, plan, none, self.noise_source())[1]
        return intents

    def _propagate(self, messages: Messages, sums: Tensor | None) -> dict[str, Tensor]:
        config = self.config
        moved: tuple[Tensor | None, Tensor | None] = (None, None)
        if config.translation:
            moved = real = self.pairs.mean_queries(messages, self.word_embedding)
            if sums is not None:
                made = sums.split([self.num_users, self.num_items])
                moved = (real[0] + made[0], real[1] + made[1])
        user, item = translation_layers(
            self.user_embedding,
            self.item_embedding,
            messages.to_user,
            messages.to_item,
            moved,
            config.num_layers,
            config.normalise_layers,
        )
        return {'user': user, 'item': item}

    def _frozen(self) -> tuple[dict[str, Tensor], GeneratorTables | None]:
        training = self.training
        self.eval()
        with torch.no_grad():
            found = self.forward(), self._tables()
        self.train(training)
        return found

    def _plan(self, summed: list[PairBlock], single: list[PairBlock]) -> PairPlan:
        sizes = (len(self.words.words), self.num_users, self.num_items)
        return PairPlan(summed, single, sizes, self._pool)

    def _cut_pairs(self) -> None:
        """The pairs whose intents are generated, in blocks."""
        self._recommended = self.pairs.recommended.nonzero().squeeze(1)
        self._blocks = self._make_blocks(
            self.pairs.user[self._recommended], self.pairs.item[self._recommended]
        )

    def _make_blocks(self, user: Tensor, item: Tensor) -> list[PairBlock]:
        return make_blocks(user, item, self.item_words, len(self.words.words), self.num_users)

    @classmethod
    def memory_hint(
        cls, num_users: int, num_items: int, num_edges: int, config: UDITSRConfig
    ) -> dict[str, int]:
        """Bytes that training needs; as many searches as interactions are taken for granted."""
        dim, words = config.dim, config.max_words * config.searches
        entries = num_edges * (config.item_length + 2)
        nodes = num_users + num_items + words
        return {
            'parameters': (nodes * dim + (26 + config.user_length) * dim * dim) * 4,
            'graph': 4 * num_edges * 8 + 4 * entries * 8,
            'graph_building': 2 * num_edges * 48,
            'layers': (config.num_layers + 4) * nodes * dim * 4,
            'hidden_states': min(4 * dim * 4 * num_edges, KEEP_BYTES) * config.generator,
            'attention': 4 * entries * config.generator,
        }
