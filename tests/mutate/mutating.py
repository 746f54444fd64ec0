"""What the tests of mutations share: a generator without chance, small networks, and what is asked of every edit of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import netloom as nl
from netloom.building.example import example_inputs
from netloom.mutate import Edit
from netloom.mutate.mutations import is_vertex


class Draws:
    """A generator that always draws the middle, and of several the one at ``place``."""

    def __init__(self, place: int = 0) -> None:
        self.place = place

    def random(self) -> float:
        return 0.5

    def integers(self, count: int) -> int:
        return min(self.place, count - 1)

    def permutation(self, count: int) -> Any:
        return np.arange(count)


def chain(*sizes: int) -> nl.Graph:
    x = value = nl.input(sizes[0], name="in")
    for i, size in enumerate(sizes[1:], 1):
        value = nl.linear(value, size, name=f"v{i}")
    return nl.Graph(x, nl.linear(value, 2, name="head"))


def conv(x: Any, size: int, name: str, kernel: Any = 3, **attributes: Any) -> Any:
    return nl.conv2d(x, size, kernel=kernel, name=name, **{"padding": 1, **attributes})


def sizes(edit: Edit) -> list[int]:
    return [node.out_size for node in edit.graph if is_vertex(node)]


def network(graph: nl.Graph, seed: int = 0) -> nl.Network:
    return nl.build(graph, seed=seed).double().eval()


def outputs(net: nl.Network) -> list[torch.Tensor]:
    torch.manual_seed(1)
    given = example_inputs(net.graph)
    given = {k: _double(v) for k, v in given.items()} if isinstance(given, dict) else tuple(map(_double, given))
    with torch.no_grad():
        found = net(**given) if isinstance(given, dict) else net(*given)
    return [leaf for leaf in torch.utils._pytree.tree_leaves(found) if isinstance(leaf, torch.Tensor)]


def _double(tree: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda leaf: leaf.double() if leaf.is_floating_point() else leaf, tree)


def checked(edit: Edit) -> nl.Network:
    """The edited network: sound, it runs, what survives has its weights, and it computes what it did where the plan says so."""
    old, new, plan = edit.subject.model, edit.result, edit.plan
    plan.graph.check()
    before, after = old.state_dict(), new.state_dict()
    for key, axes in plan.codes.items():
        if axes is None or key not in before or key not in after:
            continue
        was, now = before[key], after[key]
        for axis in range(now.dim()):
            indices = np.array(plan.indices(key, axis), dtype=np.int64)
            stay = np.flatnonzero(indices >= 0)
            now, was = now.index_select(axis, torch.from_numpy(stay)), was.index_select(axis, torch.from_numpy(indices[stay]))
        assert torch.equal(now, was), key
    found = outputs(new)
    if plan.preserving:
        for one, other in zip(found, outputs(old)):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
    return new
