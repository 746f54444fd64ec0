"""Graphs of layers, sums and concatenations as the tests of NaiveNASlib draw them, and what is asked of every edit of one.

`layer` has weights (it takes any size and gives its own), `inv` and `add` keep the size of what they read, `cat` adds sizes
up. What a graph ends in goes into a layer of its own, called ``head``, since outputs keep their size. Later neurons of a layer
are worth more, unless a test says otherwise.

Where a row of the table is settled by an objective alone, another answer will do if it costs no more; see `no_worse`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.building.example import example_inputs
from netloom.errors import EditError
from netloom.mutate import Edit
from netloom.ops import operator

NEW = -1


def source(size: int = 3) -> Any:
    return nl.input(size, name="in")


def layer(x: Any, size: int, name: str) -> Any:
    return nl.linear(x, size, name=name)


def inv(x: Any, name: str) -> Any:
    return nl.relu(x, name=name)


def add(x: Any, y: Any, name: str) -> Any:
    return nl.add(x, y, name=name)


def cat(*values: Any, name: str) -> Any:
    return nl.cat(list(values), 1, name=name)


def graph_of(x: Any, *ends: Any) -> nl.Graph:
    """The graph of values that each go into a layer: ``head``, ``head2``, …"""
    heads = [layer(end, 2, "head" if i == 0 else f"head{i + 1}") for i, end in enumerate(ends)]
    return nl.Graph(x, heads[0] if len(heads) == 1 else tuple(heads))


def network(graph: nl.Graph, seed: int = 0) -> nl.Network:
    """A network in double precision that is in evaluation mode, no weight of which is zero or one."""
    net = nl.build(graph, seed=seed).double().eval()
    generator = torch.Generator().manual_seed(seed)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor += torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.2 + 0.01
    return net


def rank(graph: nl.Graph) -> dict[str, list[float]]:
    """Values by which later neurons of a layer are worth more."""
    return {node.name: [i + 1.0 for i in range(node.out_size)] for node in graph.nodes if node.op in ("linear", "conv2d")}


def edited(what: nl.Graph | nl.Network, value: Any = None, **options: Any) -> Edit:
    """An edit of a network, or of a fresh network of a graph."""
    net = network(what) if isinstance(what, nl.Graph) else what
    return nl.edit(net, value=rank(net.graph) if value is None else value, **options)


def sizes(edit: Edit, *names: str) -> tuple[int, ...]:
    return tuple(edit.graph[name].out_size for name in names)


def reads(edit: Edit, name: str) -> list[str]:
    """The nodes that a node reads."""
    return [edge.node for edge in edit.graph[name].operands]


def checked(edit: Edit) -> nl.Network:
    """The edited network, which is sound.

    It runs; every weight whose indices survive is what it was; it computes what it did where the plan says so.
    """
    old, new, plan = edit.subject.model, edit.result.eval(), edit.plan
    edit.graph.check()
    before, after = old.state_dict(), new.state_dict()
    for key, axes in plan.codes.items():
        if axes is None:
            continue
        was, now = before[key], after[key]
        for axis, codes in enumerate(axes):
            if codes is not None:
                now = now.index_select(axis, torch.as_tensor((codes >= 0).nonzero()[0]))
                was = was.index_select(axis, torch.as_tensor(codes[codes >= 0]))
        assert torch.equal(now, was), key
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(value.shape, generator=generator, dtype=torch.float64) for value in example_inputs(old.graph)]
    with torch.no_grad():
        found, expected = new(*inputs), old(*inputs)
    if plan.preserving:
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    return new


def preserved(edit: Edit) -> nl.Network:
    """The edited network, which is sound and computes what it did."""
    assert edit.plan.preserving, edit.plan.reasons
    return checked(edit)


def refused(edit: Edit, request: Callable[[Edit], Any], match: str = "") -> None:
    """A request is refused, and leaves graph and weights as they were."""
    before = edit.graph
    with pytest.raises(EditError, match=match):
        request(edit)
        edit.graph
    assert edit.graph is before
    preserved(edit)


def cost(before: nl.Graph, after: Mapping[str, int]) -> float:
    """0.1 · Σ + 0.8 · max of the relative changes of layers and concatenations: the objective of `netloom.mutate.sizing`."""
    layers = [node for node in before.nodes if node.weights or operator(node.op).family == "join"]
    changes = [abs(after.get(node.name, node.out_size) - node.out_size) / node.out_size for node in layers]
    return 0.1 * sum(changes) + 0.8 * max(changes)


def no_worse(edit: Edit, before: nl.Graph, **reference: int) -> None:
    """The sizes of an edit cost no more than the reference's; what is not named stayed as it was there."""
    found = {node.name: node.out_size for node in edit.graph.nodes}
    assert cost(before, found) <= cost(before, reference) + 1e-9, (found, reference)


def new(kept: Sequence[int], size: int) -> list[int]:
    """Indices that stay and, up to a size, new ones behind them."""
    return [*kept, *[NEW] * (size - len(kept))]
