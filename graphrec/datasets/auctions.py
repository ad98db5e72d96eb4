"""Folders of bidding logs: ``auctions.npz``."""

import json
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import HeteroData

from graphrec.datasets.tables import read_archive
from graphrec.errors import FormatError

AUCTION = 'auction'


def read_auctions(folder: Path) -> HeteroData:
    r"""Auctions as nodes in time order: ``click`` (int64, 0 or 1), ``market_price``
    (int64, in the currency of the log), ``pctr`` (float32, predicted click
    probability). ``data.train_info`` is ``train_info.json``, where there is one.

    Raises:
        FormatError: If a file is damaged or the arrays differ in length.
    """
    path = folder / 'auctions.npz'
    arrays = read_archive(path, ('click', 'market_price', 'pctr'))
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise FormatError(f"'{path}': the arrays differ in length ({lengths})")
    data = HeteroData()
    data.name = folder.name
    data.repairs = {}
    data[AUCTION].num_nodes = lengths['click']
    data[AUCTION].id = np.arange(lengths['click'])
    for name, values in arrays.items():
        target = np.float32 if values.dtype.kind == 'f' else np.int64
        data[AUCTION][name] = torch.from_numpy(values.astype(target))
    info = folder / 'train_info.json'
    if info.is_file():
        try:
            data.train_info = json.loads(info.read_text(encoding='utf-8'))
        except ValueError as error:
            raise FormatError(f"'{info}' is no complete JSON ({error}); copy it again") from None
    return data
