from typing import NamedTuple
from torch import Tensor
class BPRBatch(NamedTuple):
    user: Tensor
    pos: Tensor
    neg: Tensor
class BPRSampler:
    def __init__(self, data, batch_size=2048): ...
