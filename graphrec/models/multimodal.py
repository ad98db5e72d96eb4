"""What multimodal models share: LightGCN beside the features of items."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphrec.errors import GraphError
from graphrec.graphs.schema import FEATURE_PREFIX
from graphrec.graphs.semantic import semantic_modalities
from graphrec.models.histories import attach_rows
from graphrec.models.item_features import VISUAL, check_modalities, feature_name, item_features
from graphrec.models.lightgcn import LightGCN, LightGCNConfig
from graphrec.models.recommender import Recommender
from graphrec.models.seeded_init import xavier_


@dataclass(frozen=True)
class MultimodalConfig(LightGCNConfig):
    r"""Hyper-parameters of :class:`MultimodalLightGCN`, beside those of LightGCN.

    Attributes:
        num_layers: :math:`L` of the user-item graph.
        init_std: Standard deviation of the first embeddings; 0 for Xavier's uniform draw, that
            of the published codes, which is ten times smaller.
        modalities: Names of the modalities, in order; all of them, the visual one first, if
            omitted.
        freeze_features: Whether features stay as they are. The papers' codes train them (all
            but LGMRec's), which takes four times their memory; frozen is the practical choice
            for large tables.
    """

    num_layers: int = 2
    init_std: float = 0.0
    modalities: tuple[str, ...] | None = None
    freeze_features: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_std < 0:
            raise GraphError(f"'init_std' must not be negative (got {self.init_std})")
        object.__setattr__(self, 'modalities', check_modalities(self.modalities))


class MultimodalLightGCN(LightGCN):
    r"""LightGCN with features :math:`\mathbf{X}^m` of items and their projections
    :math:`\mathbf{X}^m \mathbf{W}_m`, without bias, so that an item without features is zero.

    A modality is read from ``data['item'].x_<name>``, or, where there is only a frozen
    neighbour graph of that name, from features derived from it (``x_<name>_spectral``).
    Features that are trained start from the data and are parameters; frozen ones follow
    :meth:`refresh`. A subclass makes its modules in :meth:`build`.

    Args:
        data: The graph; training edges and features only.
        config: See :class:`MultimodalConfig`.
    """

    config_class = MultimodalConfig
    config: MultimodalConfig
    projection: torch.nn.ModuleDict

    def __init__(self, data: HeteroData, config: MultimodalConfig) -> None:
        super().__init__(data, config)
        self.build()
        self.to(self.embedding.device)
        self.reset_parameters()

    def build(self) -> None:
        """Makes the modules, for the features that :meth:`refresh` found; their first values
        come from :meth:`reset_parameters`."""

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws everything but features anew, from the config's seed unless given a
        generator: matrices by Xavier's uniform rule, vectors as zeros."""
        if generator is None:
            generator = torch.Generator().manual_seed(self.config.seed)
        if self.config.init_std:
            super().reset_parameters(generator)
        else:
            for part in self.embedding.detach().split([self.num_users, self.num_items]):
                xavier_(part, generator)
        features = {f'{FEATURE_PREFIX}{name}' for name in getattr(self, 'featured', ())}
        for name, parameter in self.named_parameters():
            if name == 'embedding' or name in features:
                continue
            if parameter.dim() == 2:
                xavier_(parameter, generator)
            else:
                torch.nn.init.zeros_(parameter)

    def refresh(self, data: HeteroData) -> None:
        super().refresh(data)
        known = semantic_modalities(data)
        #: Names of the modalities, in the order of their weights.
        self.modalities = list(self.config.modalities or sorted(known, key=_visual_first))
        unknown = [name for name in self.modalities if name not in known]
        if unknown or not self.modalities:
            raise GraphError(
                f"'modalities' names {unknown}, but the items have {known}; give features "
                f"'x_<name>' or a frozen neighbour graph"
            )
        #: Those of them that have features, not a frozen graph alone.
        self.featured = []
        for name in self.modalities:
            if feature_name(data, name) is not None:
                (x,) = item_features(data, [name]).values()
                self._set_feature(name, x.to(self.embedding))
                self.featured.append(name)

    def _set_feature(self, modality: str, x: Tensor) -> None:
        name = f'{FEATURE_PREFIX}{modality}'
        old = getattr(self, name, x)
        if old.shape != x.shape:
            raise GraphError(
                f'the features {name!r} have shape {list(x.shape)}, but the model was built for '
                f'{list(old.shape)}; build it anew'
            )
        if self.config.freeze_features:
            self.register_buffer(name, x, persistent=False)
        elif name not in self._parameters:
            self.register_parameter(name, torch.nn.Parameter(x.clone()))

    def node_rows(self) -> dict[str, tuple[str, ...]]:
        features = (f'{FEATURE_PREFIX}{name}' for name in self.featured)
        return super().node_rows() | dict.fromkeys(features, ('item',))

    def feature_rows(self) -> tuple[str, ...]:
        if self.config.freeze_features:
            return ()
        return tuple(f'{FEATURE_PREFIX}{name}' for name in self.featured)

    # What a subclass adds to the propagated rows is in its forward alone.
    pair_scores = Recommender.pair_scores

    def require_features(self) -> None:
        """Refuses modalities that have a frozen graph and no features."""
        missing = [name for name in self.modalities if name not in self.featured]
        if missing:
            raise GraphError(
                f'{type(self).__name__} projects features, but {missing[0]!r} has only a frozen '
                f"neighbour graph; give 'x_{missing[0]}', or leave it out of 'modalities'"
            )

    def feature(self, modality: str) -> Tensor:
        r"""Features :math:`\mathbf{X}^m` :math:`(I, d_m)` as they are now."""
        value = getattr(self, f'{FEATURE_PREFIX}{modality}')
        assert isinstance(value, Tensor)
        return value

    def weight(self, modality: str) -> Tensor:
        r""":math:`\mathbf{W}_m^{\top}` :math:`(d, d_m)`."""
        weight = self.projection[modality].weight
        assert isinstance(weight, Tensor)
        return weight

    def projected(self, modality: str) -> Tensor:
        r""":math:`\mathbf{X}^m \mathbf{W}_m` :math:`(I, d)`."""
        return self.feature(modality) @ self.weight(modality).t()

    def projections(self) -> torch.nn.ModuleDict:
        r"""Fresh :math:`\mathbf{W}_m` of all modalities with features, by name."""
        return torch.nn.ModuleDict(
            {
                name: torch.nn.Linear(self.feature(name).size(1), self.config.dim, bias=False)
                for name in self.featured
            }
        )

    def served(self) -> dict[str, Tensor]:
        """:meth:`forward` as serving sees it, without gradient."""
        training = self.training
        self.eval()
        with torch.no_grad():
            z = self.forward()
        self.train(training)
        return z

    def rank_history(self, histories: list[Tensor]) -> Tensor:
        r"""Scores :math:`(n, I)` of people outside the graph, each an item list: their node
        is attached to the trained graph as in :meth:`LightGCN.rank_history`, items are the
        final ones."""
        return self._history_vectors(histories) @ self.served()['item'].t()

    def attached(self, histories: list[Tensor], table: Tensor) -> Tensor:
        r"""The row :math:`\sum_{i \in H} \mathbf{h}_i / \sqrt{|H| d_i}` :math:`(n, d)` of
        :math:`\hat{\mathbf{A}}` for a node attached to the items of each history, from
        item rows :math:`(I, d)`."""
        return attach_rows(histories, table, self.adjacency, self.num_users)


def unit(x: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays one, with a gradient that is finite."""
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(norm > 0, norm, 1.0)


def _visual_first(name: str) -> tuple[bool, str]:
    return name not in VISUAL, name
