"""``netloom draw``."""

from __future__ import annotations

import argparse
from pathlib import Path


def run(given: argparse.Namespace) -> int:
    """Draw a network to a file."""
    from ..graph.drawing.picture import check_options, checked_target
    from .networks import load_graph

    # Before the network is loaded: tracing a large model takes seconds.
    checked_target(given.out)
    check_options(given.direction, given.theme, given.scale, given.depth)
    graph = load_graph(given.network, given.input)
    graph.draw(
        given.out, direction=given.direction, collapse=not given.flat, depth=given.depth, theme=given.theme,
        node_size=given.scale, title=_title(given),
    )  # fmt: skip
    return 0


def _title(given: argparse.Namespace) -> str:
    """What stands above the picture: as given, else the name of the network without its place."""
    if given.title is not None:
        return str(given.title)
    name = str(given.network)
    return Path(name).stem if Path(name).suffix else name.rpartition(":")[2]
