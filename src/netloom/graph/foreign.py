"""Containers of foreign classes (a model's output class): written as dicts, given back as themselves to a live model.

A graph holds such a container as a dict that has the key ``"@class"`` with the name of the class. The class itself is only
ever one that a trace in this process has met: nothing is imported because a document names it.
"""

from __future__ import annotations

from typing import Any

KEY = "@class"
_met: dict[str, type] = {}


def remember(kind: type, tree: dict[str, Any]) -> dict[str, Any]:
    """The tree of a container of class ``kind``, marked with its name."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    _met[name] = kind
    return {KEY: name, **tree}


def class_named(name: str) -> type | None:
    """The class of that name, where a trace in this process has met it."""
    return _met.get(name)
