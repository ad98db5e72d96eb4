"""Noise on embeddings whose strength follows their length."""

from typing import Literal

import torch
from torch import Tensor

from graphrec.contrastive.uniform_noise import inward_direction
from graphrec.errors import GraphError

Intensity = Literal['proportional', 'inverse', 'absolute', 'constant']
INTENSITIES = ('proportional', 'inverse', 'absolute', 'constant')


class EmbeddingPerturbation:
    r"""Moves every row within its orthant by a step that its length sets,

    .. math::
        \mathbf{h}^{\prime}_n = \mathbf{h}_n + \epsilon \, g(\|\mathbf{h}_n\|) \,
        \mathrm{sign}(\mathbf{h}_n) \odot \frac{\mathbf{r}}{\|\mathbf{r}\|_2}, \qquad
        \mathbf{r} \sim U(0, 1)^d

    with :math:`\mu` the mean length of the rows given and

    ================  ===========================================================
    ``proportional``  :math:`g = \mathrm{clip}(\|\mathbf{h}_n\| / \mu)`: the same
                      relative noise for all
    ``inverse``       :math:`g = \mathrm{clip}(\mu / \|\mathbf{h}_n\|)`: short rows,
                      which are trained least, get more
    ``absolute``      :math:`g = \|\mathbf{h}_n\|`, as
                      :func:`~graphrec.contrastive.modulus_noise`
    ``constant``      :math:`g = 1`, as SimGCL's
                      :func:`~graphrec.contrastive.uniform_noise`
    ================  ===========================================================

    `"Semantic Item Graph Enhancement for Multimodal Recommendation"
    <https://arxiv.org/abs/2508.06154>`_ guides noise by the modulus. **Reconstructed**: its
    abstract does not tell the direction, so all of these are offered.

    Args:
        eps: :math:`\epsilon \geq 0`; 0 leaves rows as they are.
        intensity: One of the table.
        clip: Least and largest :math:`g` of the first two.
        intensity_gradient: Whether :math:`g` is differentiated too.

    Raises:
        GraphError: If an argument is out of range.
    """

    def __init__(
        self,
        eps: float = 0.1,
        intensity: Intensity = 'proportional',
        clip: tuple[float, float] = (0.1, 10.0),
        intensity_gradient: bool = False,
    ) -> None:
        if not eps >= 0:
            raise GraphError(f"'eps' must not be negative (got {eps})")
        if intensity not in INTENSITIES:
            raise GraphError(f"'intensity' must be one of {INTENSITIES} (got {intensity!r})")
        if len(clip) != 2 or not 0 <= clip[0] <= clip[1]:
            raise GraphError(f"'clip' needs two rising numbers of at least 0 (got {clip})")
        self.eps, self.intensity, self.clip = eps, intensity, clip
        self.intensity_gradient = intensity_gradient

    def strength(self, h: Tensor) -> Tensor:
        r"""The factors :math:`g` of rows :math:`(N, d)`, shape :math:`(N, 1)`."""
        length = (h if self.intensity_gradient else h.detach()).norm(dim=1, keepdim=True)
        if self.intensity == 'constant':
            return torch.ones_like(length)
        if self.intensity == 'absolute':
            return length
        tiny = torch.finfo(h.dtype).tiny
        mean = length.mean().clamp(min=tiny)
        share = length / mean if self.intensity == 'proportional' else mean / length.clamp(min=tiny)
        return share.clamp(*self.clip)

    def __call__(self, h: Tensor, generator: torch.Generator) -> Tensor:
        """A draw of :obj:`h` :math:`(N, d)`, moved; zero entries stay zero."""
        if not self.eps or not h.numel():
            return h
        return h + self.eps * self.strength(h) * inward_direction(h, generator)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(eps={self.eps}, intensity={self.intensity!r})'
