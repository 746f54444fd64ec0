"""`load`: a space by its name."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ..errors import SpaceError
from .conv import Conv
from .deepnets import DeepNets1M
from .function_space import from_function
from .mlp import MLP
from .nasbench201 import NASBench201
from .numbers_read import whole_number as whole_number
from .space import Space

_SPACES: dict[str, Any] = {"conv": Conv, "deepnets1m": DeepNets1M, "mlp": MLP, "nasbench201": NASBench201}
#: Entry points of this group are spaces that other packages bring, by name.
PLUGINS = "netloom.spaces"


def names() -> tuple[str, ...]:
    """The spaces that `load` knows: netloom's own, and those of the entry points ``netloom.spaces`` of other packages.

    >>> names()
    ('conv', 'deepnets1m', 'mlp', 'nasbench201')
    """
    return tuple(sorted({*_SPACES, *entry_points(group=PLUGINS).names}))


def load(
    spec: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    max_params: int | None = None,
    max_flops: int | None = None,
) -> Space:
    """The space that ``spec`` names: ``NAME``, ``NAME?SETTING=NUMBER&…``, or ``MODULE:NAME``.

    Shapes are written as ``3x32x32``, numbers also as ``2e6`` or ``2M``. ``MODULE:NAME`` is imported from the Python path or
    the current directory: a space, a function without arguments that gives one, or a function for `from_function`.
    ``input_shape`` and ``num_classes``, usually those of a task, and the caps count where the spec does not give them and
    the space has such settings. Raises `SpaceError`.

    >>> load("conv?max_macs=5M&conv_num=3", input_shape=(1, 8, 8)).spec
    'conv?input_shape=1x8x8&num_classes=10&conv_num=3&lin_num=3&max_macs=5000000'
    """
    name, _, rest = str(spec).partition("?")
    if ":" in name:
        return _imported(name, rest)
    kind = _kind(name)
    if kind is None:
        near = difflib.get_close_matches(name, names(), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SpaceError(f"unknown space {name[:80]!r}; {hint}there is: {', '.join(names())}, and MODULE:NAME for your own")
    given: dict[str, Any] = {
        "input_shape": input_shape, "num_classes": num_classes, "max_params": max_params, "max_flops": max_flops,
    }  # fmt: skip
    known = getattr(kind, "SETTINGS", None) or tuple(inspect.signature(kind).parameters)
    settings = {key: value for key, value in given.items() if value is not None and key in known}
    for part in filter(None, rest.split("&")):
        key, equals, value = part.partition("=")
        if key not in known or not equals:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"settings are {', '.join(known)}"
            raise SpaceError(f"space {str(spec)[:120]!r}: cannot read {part[:80]!r}; {hint} (written as SETTING=NUMBER)")
        settings[key] = _value(str(spec), key, value, getattr(kind, "READERS", {}))
    made: Space = kind(**settings)
    return made


def _kind(name: str) -> Any:
    """The class, or other callable, that makes the space of this name; None where there is none."""
    if name in _SPACES:
        return _SPACES[name]
    for plugin in entry_points(group=PLUGINS, name=name):
        try:
            return plugin.load()
        except Exception as error:  # whatever importing another package does
            raise SpaceError(f"space {name!r} of {plugin.value}: {type(error).__name__}: {error}") from error
    return None


def _value(spec: str, key: str, text: str, readers: Mapping[str, tuple[str, Callable[[str], Any]]]) -> Any:
    """A setting read by the reader that the space has for it, given with what it expects; else a shape or a whole number."""
    expected = "sizes such as 3x32x32" if key.endswith("_shape") else "a whole number"
    try:
        if key in readers:
            expected, read = readers[key]
            return read(text)
        if key.endswith("_shape"):
            return tuple(int(size) for size in text.split("x"))
        return whole_number(text)
    except (ValueError, OverflowError):
        raise SpaceError(f"space {spec[:120]!r}: {key} = {text[:80]!r}; expected {expected}") from None


def _imported(name: str, rest: str) -> Space:
    """The space that a module of the user's own holds or makes."""
    module, _, attribute = name.partition(":")
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        needed = inspect.signature(found).parameters.values() if callable(found) and not isinstance(found, Space) else ()
        if any(parameter.default is parameter.empty for parameter in needed):
            found = from_function(found)
        elif callable(found) and not isinstance(found, Space):
            found = found()
    except SpaceError:
        raise
    except Exception as error:  # whatever importing or calling it does
        raise SpaceError(f"space {name[:120]!r}: {type(error).__name__}: {error}") from error
    if not isinstance(found, Space) or isinstance(found, type):
        raise SpaceError(f"space {name[:120]!r} is a {type(found).__name__}; expected a space, or a function that gives one")
    if rest:
        raise SpaceError(f"space {name[:120]!r} takes no settings after '?'; set them where it is made")
    return found
