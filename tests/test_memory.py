import subprocess
import sys

import pytest

from graphrec import memory
from graphrec.datasets.planted import planted
from graphrec.errors import CapacityError, GraphError
from graphrec.memory import MemoryEstimate, check, estimate, format_bytes
from graphrec.models import EASE, MF, LightGCN, Popularity


@pytest.fixture(scope='module')
def data():
    return planted(num_users=20, num_items=15, num_interactions=120, seed=2)


def test_parts_by_hand(data):
    needed = estimate(MF, data, dim=8, batch_size=10)
    table = (20 + 15) * 8 * 4
    edges = data['user', 'interacts', 'item'].edge_index.size(1)
    assert needed.parts == {
        'parameters': table,
        'gradients': table,
        'optimizer': 2 * table,
        'best state': table,
        'sampler': 64 * edges,
        'batch': 16 * 10 * 8 * 4,
        'evaluation': 3 * 20 * 15 * 4 + table,
    }
    assert needed.total == sum(needed.parts.values())
    assert needed.built == 0


@pytest.mark.parametrize(('optimizer', 'states'), [('sgd', 0), ('adagrad', 1), ('adamw', 2)])
def test_optimizer_states(data, optimizer, states):
    parts = estimate(MF, data, optimizer=optimizer).parts
    assert parts['optimizer'] == states * parts['parameters']


def test_hints_of_a_model_are_added(data):
    needed = estimate(LightGCN, data, dim=8, num_layers=3)
    config = LightGCN.config_class(dim=8)
    edges = data['user', 'interacts', 'item'].edge_index.size(1)
    for name, size in LightGCN.memory_hint(20, 15, edges, config).items():
        assert needed.parts[name.replace('_', ' ')] == size
    assert needed.total > estimate(MF, data, dim=8).total


def test_closed_forms_have_nothing_to_train(data):
    assert 'optimizer' not in estimate(Popularity, data).parts
    assert 'optimizer' not in estimate(EASE, data).parts


def test_a_large_ease_is_refused_before_it_is_built(data):
    huge = data.clone()
    huge['item'].num_nodes = 500_000
    needed = estimate(EASE, huge)
    assert needed.total > 4 * 500_000**2
    with pytest.raises(CapacityError, match=r'EASE would take about .* fewer items'):
        check(needed, 16 * 2**30)


def test_class_and_model_agree(data):
    model = LightGCN.from_graph(data, dim=8)
    built = estimate(model, data)
    assert built.parts == estimate(LightGCN, data, dim=8).parts
    parts = built.parts
    assert built.built == parts['parameters'] + parts['graph'] + parts['graph building']


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'depth': 3}, "MF has no setting 'depth'"),
        ({'optimizer': 'newton'}, "'optimizer' must be one of"),
        ({'dim': 0}, "'dim'"),
    ],
)
def test_bad_arguments_are_named(data, arguments, words):
    with pytest.raises(GraphError, match=words):
        estimate(MF, data, **arguments)


def test_a_model_takes_no_config(data):
    with pytest.raises(GraphError, match='a model has its settings already'):
        estimate(MF.from_graph(data), data, dim=3)


def test_check_states_every_part_and_the_advice():
    needed = MemoryEstimate('MF', {'parameters': 3000, 'optimizer': 6000})
    check(needed, 9000)
    with pytest.raises(CapacityError) as caught:
        check(needed, 8999)
    text = str(caught.value)
    assert 'MF would take about 8.8 KB (parameters 2.9 KB, optimizer 5.9 KB), but' in text
    assert 'the limit is 8.8 KB' in text
    assert str(needed) == 'parameters     2.9 KB\noptimizer      5.9 KB\ntotal          8.8 KB'
    assert "its largest part is 'optimizer'; what helps: a smaller 'dim'" in text
    assert isinstance(caught.value, MemoryError)


def test_check_without_a_limit_takes_the_free_memory(monkeypatch):
    needed = MemoryEstimate('MF', {'parameters': 1000})
    monkeypatch.setattr(memory, 'available_memory', lambda: 999)
    with pytest.raises(CapacityError):
        check(needed)
    monkeypatch.setattr(memory, 'available_memory', lambda: None)
    check(needed)


def test_available_memory_is_within_the_machine():
    free = memory.available_memory()
    with open('/proc/meminfo') as file:
        total = int(file.readline().split()[1]) * 1024
    assert 0 < free <= total


@pytest.mark.parametrize(
    ('files', 'expected'),
    [
        ({'memory.max': '1000\n', 'memory.current': '400\n'}, 600),
        ({'memory.max': '1000\n', 'memory.current': '1400\n'}, 0),
        ({'memory.max': 'max\n', 'memory.current': '400\n'}, None),
        (
            {'memory/memory.limit_in_bytes': '900', 'memory/memory.usage_in_bytes': '100'},
            800,
        ),
        (
            {
                'memory/memory.limit_in_bytes': '9223372036854771712',
                'memory/memory.usage_in_bytes': '100',
            },
            None,
        ),
        ({}, None),
    ],
)
def test_limit_of_a_container(tmp_path, files, expected):
    (tmp_path / 'memory').mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert memory._free_in_group(tmp_path) == expected


@pytest.mark.parametrize(
    ('size', 'text'),
    [(0, '0 B'), (1023, '1023 B'), (1536, '1.5 KB'), (5 * 2**30, '5.0 GB'), (2**42, '4.0 TB')],
)
def test_format_bytes(size, text):
    assert format_bytes(size) == text


# Prints the peak of a process beyond what it held before the model, and the estimate.
MEASURE = """
import sys
import torch
from graphrec.graphs.schema import HOLDOUT_VALID, INTERACTS
from graphrec.memory import estimate
from graphrec import models
from graphrec.training import fit
from torch_geometric.data import HeteroData

def peak():
    for line in open('/proc/self/status'):
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) * 1024

def random_graph(users, items, edges, seed=0):
    generator = torch.Generator().manual_seed(seed)
    key = torch.randint(users * items, (edges,), generator=generator).unique()
    edge_index = torch.stack([key // items, key % items])
    data = HeteroData()
    data['user'].num_nodes, data['item'].num_nodes = users, items
    held = torch.zeros(edge_index.size(1), dtype=torch.bool)
    held[:: 50] = True
    data[INTERACTS].edge_index = edge_index[:, ~held]
    data[HOLDOUT_VALID].edge_index = edge_index[:, held]
    return data

cls, users, items, edges = getattr(models, sys.argv[1]), *map(int, sys.argv[2:5])
small = random_graph(50, 40, 500)  # What libraries load on first use is no part of it.
options = {'epochs': 1, 'batch_size': 8192, 'progress': False}
fit(cls.from_graph(small), small, **options)
data = random_graph(users, items, edges)
torch.zeros(1)
before = peak()
fit(cls.from_graph(data), data, **options)
print(peak() - before, estimate(cls, data, batch_size=8192).total)
"""


@pytest.mark.parametrize(
    'arguments',
    [
        ('LightGCN', 60_000, 40_000, 40_000),
        ('EASE', 500, 5000, 40_000),
        ('ItemKNN', 1000, 3000, 150_000),
    ],
)
def test_estimate_is_within_a_factor_of_two_of_the_measured_peak(arguments):
    if not sys.platform.startswith('linux'):
        pytest.skip('the peak is read from /proc')
    command = [sys.executable, '-c', MEASURE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured, estimated = map(int, done.stdout.split())
    assert measured > 50e6, 'too small a case to measure'
    assert measured / 2 < estimated < measured * 2
