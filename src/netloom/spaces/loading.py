"""`load`: a space by its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SpaceError
from .conv import Conv
from .mlp import MLP
from .nasbench201 import NASBench201
from .space import Space

_SPACES: dict[str, Any] = {"conv": Conv, "mlp": MLP, "nasbench201": NASBench201}


def names() -> tuple[str, ...]:
    """The spaces that `load` knows.

    >>> names()
    ('conv', 'mlp', 'nasbench201')
    """
    return tuple(sorted(_SPACES))


def load(spec: str, *, input_shape: tuple[int, ...] | None = None, num_classes: int | None = None) -> Space:
    """The space that ``spec`` names: ``NAME``, or ``NAME?SETTING=NUMBER&…``; shapes as ``3x32x32``.

    ``input_shape`` and ``num_classes``, usually those of a task, count where the spec does not give them. Raises `SpaceError`.

    >>> load("conv?max_macs=5e6&conv_num=3", input_shape=(1, 8, 8)).spec
    'conv?input_shape=1x8x8&num_classes=10&conv_num=3&lin_num=3&max_macs=5000000'
    """
    name, _, rest = str(spec).partition("?")
    if name not in _SPACES:
        near = difflib.get_close_matches(name, _SPACES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SpaceError(f"unknown space {name[:80]!r}; {hint}there is: {', '.join(names())}")
    given: dict[str, Any] = {"input_shape": input_shape, "num_classes": num_classes}
    settings = {key: value for key, value in given.items() if value is not None}
    for part in filter(None, rest.split("&")):
        key, equals, value = part.partition("=")
        if key not in _SPACES[name].SETTINGS or not equals:
            near = difflib.get_close_matches(key, _SPACES[name].SETTINGS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"settings are {', '.join(_SPACES[name].SETTINGS)}"
            raise SpaceError(f"space {str(spec)[:120]!r}: cannot read {part[:80]!r}; {hint} (written as SETTING=NUMBER)")
        settings[key] = _value(str(spec), key, value, getattr(_SPACES[name], "READERS", {}))
    made: Space = _SPACES[name](**settings)
    return made


def _value(spec: str, key: str, text: str, readers: Mapping[str, tuple[str, Callable[[str], Any]]]) -> Any:
    """A setting read by the reader that the space has for it, given with what it expects; else a shape or a whole number."""
    expected = "sizes such as 3x32x32" if key.endswith("_shape") else "a whole number"
    try:
        if key in readers:
            expected, read = readers[key]
            return read(text)
        if key.endswith("_shape"):
            return tuple(int(size) for size in text.split("x"))
        number = float(text)
        if not number.is_integer():
            raise ValueError
        return int(number)
    except (ValueError, OverflowError):
        raise SpaceError(f"space {spec[:120]!r}: {key} = {text[:80]!r}; expected {expected}") from None
