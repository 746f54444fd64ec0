"""``netloom sample``."""

from __future__ import annotations

import argparse

from ..errors import SpaceError
from ..spaces import load
from .output import writer


def run(given: argparse.Namespace) -> int:
    """Print random networks."""
    import numpy as np

    if given.n < 1 or given.seed < 0:
        raise SpaceError(f"-n {given.n} --seed {given.seed}: expected at least one network and a seed ≥ 0")
    space = load(given.space)
    with writer(given.out) as write:
        for i in range(given.n):
            graph = space.sample(np.random.default_rng([given.seed, i]))
            if given.format == "json":
                write(graph.to_json())
            else:
                write(f"# {i}: {graph.hash}, {graph.num_params:,} parameters, {graph.flops:,} FLOPs\n{graph.to_text()}")
    return 0
