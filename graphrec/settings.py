"""Settings of a model from text, as a command line or a file gives them."""

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal, Union

from graphrec.errors import GraphError

_TRUE = {'true', 'yes', 'on', '1'}
_FALSE = {'false', 'no', 'off', '0'}


def parse_settings(config_class: type, pairs: Iterable[str]) -> dict[str, Any]:
    r"""Reads ``key=value`` texts against the fields of a config dataclass.

    The type of the field decides how a value is read: ``int``, ``float``, ``str``,
    ``bool`` (``true``/``false``), ``Literal``, optional types (``none``), and tuples or
    lists (``0.5,0.3,0.2``). Nothing is evaluated.

    Args:
        config_class: A dataclass such as ``LightGCN.config_class``.
        pairs: The texts; the last one of a key wins.

    Raises:
        GraphError: If a text is no pair, the key is no field, or the value does not
            fit the field's type.
    """
    hints = typing.get_type_hints(config_class)
    names = [field.name for field in dataclasses.fields(config_class)]
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition('=')
        name = name.strip()
        if not sign or not name:
            raise GraphError(f"a setting is written key=value (got '{pair}')")
        if name not in names:
            known = [each for each in names if _is_text(hints[each])]
            raise GraphError(f"there is no setting '{name}' (got '{pair}'); there are {known}")
        try:
            settings[name] = _parse(hints[name], text.strip())
        except ValueError as error:
            raise GraphError(f"setting '{name}' {error} (got '{text.strip()}')") from None
    return settings


def _is_text(hint: Any) -> bool:
    """Whether a value of this type can be given as text."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_is_text(each) for each in typing.get_args(hint))
    return (origin or hint) in (Literal, tuple, list, bool, int, float, str)


def _parse(hint: Any, text: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _parse_union(arguments, text)
    if origin is Literal:
        for value in arguments:
            if str(value) == text:
                return value
        raise ValueError(f'takes one of {[str(value) for value in arguments]}')
    if origin in (tuple, list) or hint in (tuple, list):
        element = arguments[0] if arguments else float
        return (origin or hint)(_parse(element, part.strip()) for part in text.split(','))
    if hint is bool:
        return _parse_bool(text)
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise ValueError(f'takes {"an integer" if hint is int else "a number"}') from None
    if hint is str:
        return text
    raise ValueError(f'is of type {hint}, which cannot be given as text')


def _parse_union(arguments: tuple[Any, ...], text: str) -> Any:
    if type(None) in arguments and text.lower() in ('none', ''):
        return None
    error = ValueError('takes none')
    for argument in arguments:
        if argument is type(None):
            continue
        try:
            return _parse(argument, text)
        except ValueError as mismatch:
            error = mismatch
    raise error


def _parse_bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError('takes true or false')
