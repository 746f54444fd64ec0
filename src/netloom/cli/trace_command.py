"""``netloom trace``."""

from __future__ import annotations

import argparse

from .networks import load_graph
from .output import writer


def run(given: argparse.Namespace) -> int:
    """Print the graph of a network."""
    graph = load_graph(given.model, given.input)
    with writer(given.out) as write:
        write(graph.to_json() if given.format == "json" else graph.to_text())
    return 0
