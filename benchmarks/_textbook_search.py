"""UDITSR as its equations stand: every edge on its own, autograd for everything."""

import copy

import torch
from torch import Tensor
from torch.nn import functional as F

from graphrec.conv import TranslationConv
from graphrec.graphs.search_sampling import SearchBatch
from graphrec.models import UDITSR


class TextbookUDITSR(torch.nn.Module):
    """The loss of a :class:`~graphrec.models.UDITSR` with the default switches, from the same
    parameters: the generator runs on the concatenated inputs of every recommendation edge, its
    key and its attention too, and every layer gathers and scatters the edges of both kinds.

    Args:
        model: The model whose parameters are copied and whose events and words are shared.
    """

    def __init__(self, model: UDITSR) -> None:
        super().__init__()
        self.config, self.num_items = model.config, model.num_items
        self.shape = (model.num_users, model.num_items)
        for name in ('user_embedding', 'item_embedding', 'word_embedding'):
            setattr(self, name, torch.nn.Parameter(getattr(model, name).detach().clone()))
        for name in ('intent', 'search_head', 'recommend_head'):
            setattr(self, name, copy.deepcopy(getattr(model, name)))
        self.user, self.item, self.query = model.events
        self.queries = model.query_lists.padded(model.config.query_length)
        self.user_words = model.user_lists.padded(model.config.user_length)
        self.item_words = model.item_words
        self.to_item, self.to_user = TranslationConv(1), TranslationConv(-1)

    def words(self, lists: Tensor) -> Tensor:
        """Vectors of padded lists, zeros in empty places."""
        return F.embedding(lists.clamp(min=0), self.word_embedding) * (lists >= 0).unsqueeze(2)

    def generate(self, user: Tensor, item: Tensor) -> Tensor:
        """Demand intents, one pair after the other."""
        own, lists = self.words(self.user_words[user]), self.item_words[item]
        near, person = self.words(lists), self.user_embedding[user]
        key = self.intent.key(torch.cat([person, own.flatten(1)], dim=1))
        score = (self.intent.attention(near) * key.unsqueeze(1)).sum(2)
        score = score.masked_fill(lists < 0, torch.finfo(score.dtype).min)
        found = ((score.softmax(1) * (lists >= 0)).unsqueeze(2) * near).sum(1)
        inputs = torch.cat([person, self.item_embedding[item], own.sum(1), found], dim=1)
        hidden = torch.tanh(self.intent.second(torch.tanh(self.intent.first(inputs))))
        return self.intent.last(hidden)

    def final(self, batch: SearchBatch) -> tuple[Tensor, Tensor]:
        """Final embeddings without the edges of the batch's pairs."""
        key = self.user * self.num_items + self.item
        kept = ~torch.isin(key, batch.user * self.num_items + batch.pos)
        user, item, query = self.user[kept], self.item[kept], self.query[kept]
        made = query < 0
        intent = self.user_embedding.new_empty(user.numel(), self.config.dim)
        intent = intent.index_put(
            (made.nonzero().squeeze(1),), self.generate(user[made], item[made])
        )
        real = self.words(self.queries[query[~made]]).sum(1)
        intent = intent.index_put(((~made).nonzero().squeeze(1),), real)
        edges = torch.stack([user, item])
        h_user, h_item = self.user_embedding, self.item_embedding
        total_user, total_item = h_user, h_item
        for layer in range(1, self.config.num_layers + 1):
            h_user, h_item = (
                self.to_user(h_item, edges.flip(0), intent, size=self.shape[::-1]),
                self.to_item(h_user, edges, intent, size=self.shape),
            )
            total_user = total_user + h_user / (layer + 1)
            total_item = total_item + h_item / (layer + 1)
        return total_user, total_item

    def loss(self, batch: SearchBatch) -> Tensor:
        """The three losses."""
        user, item = self.final(batch)
        search = batch.is_search
        made = self.generate(batch.user, batch.pos)
        real = self.words(self.queries[batch.query[search]]).sum(1)
        demand = made.index_put((search.nonzero().squeeze(1),), real)
        person, pos, neg = user[batch.user], item[batch.pos], item[batch.neg]
        other = self.generate(batch.user[~search], batch.neg[~search])
        bpr = person.new_zeros(())
        for head, rows, below in (
            (self.search_head, search, real),
            (self.recommend_head, ~search, other),
        ):
            gap = head(person[rows], pos[rows], demand[rows]) - head(person[rows], neg[rows], below)
            bpr = bpr - F.logsigmoid(gap).sum() / search.numel()
        moved = person + demand
        near, far = ((moved - each).square().mean(1) for each in (pos, neg))
        contrast = -F.logsigmoid(far - near).mean()
        error = (made[search] - real).square().mean(1).sum() / max(int(search.sum()), 1)
        return bpr + self.config.cl_weight * contrast + self.config.sg_weight * error
