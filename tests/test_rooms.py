"""Imports flow one way: a lower room never imports a higher one."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / 'graphrec').rglob('*.py'))

# What a room may import, besides itself.
GROUND = {'errors', 'version', 'storage'}
ROOMS = {
    'errors': set(),
    'version': set(),
    'storage': {'errors'},
    'graphs': GROUND,
    'datasets': GROUND | {'graphs'},
    'conv': GROUND | {'graphs'},
    'contrastive': GROUND | {'graphs', 'conv'},
    'models': GROUND | {'graphs', 'conv', 'contrastive'},
}
TOP = {'cli', 'demo', '__main__', '__init__'}
SERVING = {'recommend', 'explain', 'runs'}


def room(path):
    return path.relative_to(ROOT / 'graphrec').parts[0].removesuffix('.py')


def imported_rooms(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: write imports in full'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            head, _, rest = name.partition('.')
            if head == 'graphrec' and rest:
                found.add(rest.partition('.')[0])
    return found - {room(path)}


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_imports_a_higher_one(path):
    here, used = room(path), imported_rooms(path)
    if here in ROOMS:
        assert used <= ROOMS[here]
    if here == 'evaluation':
        assert 'training' not in used
    if here not in TOP:
        assert not used & TOP
    if here in {'training', 'evaluation'}:
        assert not used & SERVING
