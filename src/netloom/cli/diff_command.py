"""``netloom diff``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import FormatError
from .output import writer

_TEXTS = (".txt", ".json")


def run(given: argparse.Namespace) -> int:
    """Print what differs between two networks, or write it to a file; gives 1 for a difference where that was asked for."""
    from ..graph.difference import diff
    from ..graph.drawing.picture import SUFFIXES, checked_target
    from .networks import load_graph

    suffix = Path(given.out).suffix if given.out is not None else ".txt"
    if suffix not in (*SUFFIXES, *_TEXTS):
        raise FormatError(f"-o {given.out!r}: expected a file that ends in {', '.join((*SUFFIXES, *_TEXTS))}")
    if suffix in SUFFIXES:
        checked_target(given.out)
    # Files say themselves what their inputs are; where both do, the error of the first one tells.
    models = [name for name in (given.a, given.b) if ":" in name] or [given.a]
    a, b = (load_graph(name, given.input if name in models else None) for name in (given.a, given.b))
    found = diff(a, b)
    if suffix in SUFFIXES:
        found.draw(given.out, direction=given.direction, theme=given.theme, title=f"{_short(given.a)} → {_short(given.b)}")
    else:
        with writer(given.out) as write:
            write(found.to_json() if suffix == ".json" else str(found))
    return int(given.exit_code and bool(found))


def _short(name: str) -> str:
    """A network's name without its place."""
    return Path(name).stem if Path(name).suffix else name.rpartition(":")[2]
