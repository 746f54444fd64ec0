"""Random networks, from every space and from the builder, and random changes of them.

A change is a function of hypothesis' ``draw`` and of an edit; what it asks for may be refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import assume
from hypothesis import strategies as st

import netloom as nl
from netloom.building.example import example_inputs
from netloom.mutate import Edit
from netloom.ops import Edge
from netloom.testing.graphs import graphs
from tests.mutate.small_models import stir

Change = Callable[[Any, Edit], Any]
#: Every kind of change by name.
CHANGES: dict[str, Change] = {}


def _change(function: Change) -> Change:
    CHANGES[function.__name__.strip("_")] = function
    return function


# -- networks --------------------------------------------------------------------------------------------------------------
@cache
def spaces() -> tuple[Any, ...]:
    return (
        nl.spaces.Conv(input_shape=(2, 8, 8), num_classes=3, max_params=20_000),
        nl.spaces.MLP(input_shape=(5,), num_classes=3, widths=(4, 6, 9), skip=0.5, norm=(None, "batch", "layer")),
        nl.spaces.NASBench201(num_classes=3, C=4, N=1, input_shape=(3, 8, 8)),
    )


@st.composite
def any_graph(draw: Any) -> nl.Graph:
    """A graph of one of the spaces, or of the functional builder."""
    space = draw(st.sampled_from((None, None, *range(len(spaces())))))
    if space is None:
        return draw(graphs(min_size=3, max_size=14))
    return spaces()[space].sample(np.random.default_rng(draw(st.integers(0, 2**16))))


@st.composite
def networks(draw: Any) -> tuple[nl.Network, Any]:
    """A network in double precision and evaluation mode that is off its initial weights, and inputs."""
    graph = draw(any_graph())
    torch.manual_seed(0)
    net = nl.build(graph, seed=draw(st.integers(0, 3))).double().eval()
    assume(any(tensor.is_floating_point() for tensor in net.state_dict().values()))  # or nothing tells what is double
    stir(net)
    inputs = example_inputs(graph)
    return net, _double(inputs)


def _double(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _double(part) for key, part in value.items()}
    return type(value)(map(_double, value)) if isinstance(value, list | tuple) else value


@st.composite
def edits(draw: Any) -> tuple[Edit, Any]:
    """An edit of a random network, with inputs of that network."""
    net, inputs = draw(networks())
    options = {
        "new": draw(st.sampled_from(("zero", "copy", "split"))),
        "value": draw(st.sampled_from(("magnitude", "l1", "random"))),
        "seed": draw(st.integers(0, 3)),
    }
    return nl.edit(net, **options), inputs


# -- what is drawn for a change --------------------------------------------------------------------------------------------
def _node(draw: Any, edit: Edit, *ops: str) -> str:
    """A node that is no input (of these operators, if any are given), those with weights more often."""
    found = [node for node in edit.graph.nodes if node.op != "input" and (not ops or node.op in ops)]
    assume(found)
    weighty = [node for node in found if node.weights]
    return str(draw(st.sampled_from(weighty if weighty and draw(st.booleans()) else found)).name)


def _layers(draw: Any, edit: Edit, node: str, keep: bool) -> Any:
    """Layers that fit the value of a node; with ``keep`` such as give its shape again."""
    type_ = edit.graph.type_of(Edge(node))
    shape = type_.shape
    assume(type_.dtype.startswith("float") and len(shape) > 1)
    found: list[Any] = [nl.op.relu(), nl.op.tanh(), [nl.op.relu(), nl.op.dropout(0.2)]]
    out = 0 if keep else draw(st.integers(1, 3))
    if isinstance(shape[-1], int):
        found.append(nl.op.linear(shape[-1] + out))
        found.append(lambda v: nl.add(v, nl.linear(nl.relu(nl.linear(v, 5)), v.shape[-1])))
        found.append([nl.op.layer_norm((shape[-1],)), nl.op.linear(shape[-1] + out)])
    if len(shape) == 4 and isinstance(shape[1], int):
        found.append([nl.op.conv2d(shape[1] + out, kernel=3, padding=1), nl.op.batch_norm(), nl.op.relu()])
        found.append(nl.op.conv2d(shape[1], kernel=3, padding=1, groups=shape[1]))
    return draw(st.sampled_from(found))


# -- changes ---------------------------------------------------------------------------------------------------------------
@_change
def _resize(draw: Any, edit: Edit) -> None:
    edit[_node(draw, edit)].resize(out=draw(st.sampled_from((-3, -2, -1, 1, 2, 3, 5))))


@_change
def _resize_atom(draw: Any, edit: Edit) -> None:
    free = edit.dims().free
    assume(free)
    atom = draw(st.sampled_from(free))
    edit.ask(atom.id, repr(atom.id), None, draw(st.integers(1, 2 * atom.size)), False)


@_change
def _resize_several(draw: Any, edit: Edit) -> None:
    names = {_node(draw, edit) for _ in range(3)}
    edit.resize({name: draw(st.integers(-2, 3)) for name in sorted(names)}, relax=draw(st.booleans()))


@_change
def _double_size(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    edit[name].resize(out=edit[name].size)


@_change
def _resize_input(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    count = len(edit.graph[name].operands)
    edit[name].resize(in_=tuple(draw(st.sampled_from((None, -1, 1, 2))) for _ in range(count)))


@_change
def _drop(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    size = edit[name].size
    assume(isinstance(size, int) and size > 1)
    edit[name].drop(draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=max(size // 2, 1))))


@_change
def _keep(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    size = edit[name].size
    assume(isinstance(size, int))
    edit[name].keep(draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size)))


@_change
def _limited(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    edit.limit(name, multiple_of=draw(st.sampled_from((1, 2))), at_least=draw(st.integers(1, 3)))
    edit[name].resize(out=draw(st.integers(-2, 4)), relax=True)


@_change
def _insert_after(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    edit.insert_after(name, _layers(draw, edit, name, draw(st.booleans())), init=draw(st.sampled_from(("identity", "fresh"))))


@_change
def _insert_before(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    reads = edit.graph[name].operands
    assume(reads)
    operand = draw(st.integers(0, len(reads) - 1))
    assume(reads[operand].index == 0)
    edit.insert_before(name, _layers(draw, edit, reads[operand].node, True), operand=operand)


@_change
def _insert_for_one(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    readers = sorted({node.name for node in edit.graph.nodes if Edge(name) in node.operands})
    assume(readers)
    edit.insert_after(name, _layers(draw, edit, name, draw(st.booleans())), only=[draw(st.sampled_from(readers))])


@_change
def _remove(draw: Any, edit: Edit) -> None:
    edit.remove(_node(draw, edit), align=draw(st.sampled_from(("grow", "shrink", "both", ("grow", "shrink", "both")))))


@_change
def _replace(draw: Any, edit: Edit) -> None:
    name = _node(draw, edit)
    reads = edit.graph[name].operands
    assume(reads and reads[0].index == 0)
    edit.replace(name, _layers(draw, edit, reads[0].node, draw(st.booleans())))


@_change
def _connect(draw: Any, edit: Edit) -> None:
    """Mostly from an earlier node to a later one."""
    order = [node.name for node in edit.graph.nodes]
    source, target = draw(st.tuples(st.integers(0, len(order) - 1), st.integers(0, len(order) - 1)))
    if source > target and draw(st.integers(0, 9)):
        source, target = target, source
    merge = draw(st.sampled_from((None, "add", "cat")))
    edit.connect(order[source], order[target], merge=merge, operand=draw(st.sampled_from((0, 0, 1))))


@_change
def _disconnect(draw: Any, edit: Edit) -> None:
    target = _node(draw, edit, "add", "mul", "cat")
    source = draw(st.sampled_from(edit.graph[target].operands))
    assume(source.index == 0)
    edit.disconnect(source.node, target)


@_change
def _kernel(draw: Any, edit: Edit) -> None:
    edit.change(_node(draw, edit, "conv1d", "conv2d"), kernel=draw(st.sampled_from((1, 2, 3, 4, 5, (3, 1)))))


@_change
def _stride(draw: Any, edit: Edit) -> None:
    edit.change(_node(draw, edit, "conv2d", "max_pool2d", "avg_pool2d"), stride=draw(st.sampled_from((1, 2))))


@_change
def _undo(draw: Any, edit: Edit) -> None:
    edit.undo()
