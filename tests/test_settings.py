from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from graphrec.errors import GraphError
from graphrec.settings import parse_settings


@dataclass(frozen=True)
class Config:
    dim: int = 64
    reg: float = 1e-4
    name: str = 'a'
    flag: bool = False
    kind: Literal['mean', 'sum'] = 'mean'
    weights: tuple[float, ...] | None = None
    limit: int | None = None


def test_values_take_the_type_of_their_field():
    pairs = [
        'dim=32',
        'reg=1e-3',
        'name=x=y',
        'flag=True',
        'kind=sum',
        'weights=0.5, .25',
        'limit=7',
    ]
    assert parse_settings(Config, pairs) == {
        'dim': 32,
        'reg': 1e-3,
        'name': 'x=y',
        'flag': True,
        'kind': 'sum',
        'weights': (0.5, 0.25),
        'limit': 7,
    }


def test_none_and_last_one_wins():
    assert parse_settings(Config, ['limit=3', 'limit=none']) == {'limit': None}


@pytest.mark.parametrize(
    ('pair', 'words'),
    [
        ('dim', 'key=value'),
        ('=3', 'key=value'),
        ('depth=3', "no setting 'depth'"),
        ('dim=3.5', 'takes an integer'),
        ('dim=__import__("os")', 'takes an integer'),
        ('reg=big', 'takes a number'),
        ('flag=maybe', 'true or false'),
        ('kind=max', "one of ['mean', 'sum']"),
        ('weights=1,x', 'takes a number'),
    ],
)
def test_one_clear_error(pair, words):
    with pytest.raises(GraphError) as caught:
        parse_settings(Config, [pair])
    assert words in str(caught.value)
    assert pair.partition('=')[2] in str(caught.value)


def test_only_what_text_can_say_is_offered():
    @dataclass(frozen=True)
    class Own:
        dim: int = 3
        factors: Mapping[str, float] = field(default_factory=dict)

    with pytest.raises(GraphError, match=r"there are \['dim'\]$"):
        parse_settings(Own, ['depth=3'])
    with pytest.raises(GraphError, match='cannot be given as text'):
        parse_settings(Own, ['factors=1'])
