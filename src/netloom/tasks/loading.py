"""`load`: a task by its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from ..errors import TaskError
from .digits import digits
from .task import Task

#: Name of a task → the function that loads it, given the seed of its split.
_LOADERS: dict[str, Callable[[int], Task]] = {"digits": digits}


def names() -> tuple[str, ...]:
    """The tasks that `load` knows.

    >>> names()
    ('digits',)
    """
    return tuple(sorted(_LOADERS))


def load(spec: str) -> Task:
    """The task that ``spec`` names: ``NAME``, or ``NAME?seed=3`` for another random split of the same data.

    Raises `TaskError` for a name or setting it does not know.

    >>> load("digits?seed=1").hash == load("digits").hash
    False
    """
    if not isinstance(spec, str):
        raise TaskError(f"a task is named by a string such as 'digits', not {spec!r}")
    name, _, settings = spec.partition("?")
    if name not in _LOADERS:
        near = difflib.get_close_matches(name, _LOADERS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        listing = f"there is: {', '.join(names())}; for your own data: nl.tasks.from_arrays(x, y)"
        raise TaskError(f"unknown task {name[:80]!r}; {hint}{listing}")
    seed = 0
    if settings:
        key, _, value = settings.partition("=")
        if key != "seed" or not value.isascii() or not value.isdigit():
            raise TaskError(f"task {spec[:80]!r}: cannot read {settings[:80]!r}; write {name}?seed=INTEGER")
        seed = int(value)
    return _LOADERS[name](seed)
