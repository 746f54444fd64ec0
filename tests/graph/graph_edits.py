"""Single random edits of graphs, each with what a diff must say of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from netloom.errors import NetloomError
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.table import TensorEntry
from netloom.graph.tree import edges
from netloom.graph.wiring import live_nodes
from netloom.ops import Edge, Weight


class Edited(NamedTuple):
    """The graph after an edit; ``kind`` is the list of the diff that holds it, ``what`` its keys or its operator."""

    graph: Graph | None
    kind: str
    what: Any


Edit = Callable[[Graph, random.Random], Edited | None]
EDITS: dict[str, Edit] = {}

_ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid")
#: Attribute → another value, where the shape of the result does not depend on it.
_VALUES = {"eps": 0.25, "p": 0.875, "alpha": 3, "momentum": 0.375, "negative_slope": 0.625, "beta": 2.5}


def _edit(function: Edit) -> Edit:
    EDITS[function.__name__] = function
    return function


def remade(graph: Graph, steps: list[Step], **parts: Any) -> Graph | None:
    """The graph with other steps or parts; None where that is no graph."""
    fields = {name: getattr(graph, name) for name in ("tensors", "arguments", "result", "train_result", "symbols")} | parts
    try:
        return Graph.make(steps, **fields)
    except NetloomError:
        return None


def random_edit(graph: Graph, rng: random.Random, name: str) -> Edited | None:
    """The edit called ``name`` somewhere in the graph, None where it finds no place or makes other nodes dead or alive."""
    for _ in range(8):
        edited = EDITS[name](graph, rng)
        if edited is None or edited.graph is None:
            continue
        before, after = live_nodes(graph), live_nodes(edited.graph)
        if len(after - before) == (edited.kind == "added") and len(before - after) == (edited.kind == "removed"):
            return edited
    return None


def _pick(graph: Graph, rng: random.Random, fits: Callable[[Step], bool]) -> int | None:
    live = live_nodes(graph)
    places = [i for i, step in enumerate(graph.steps) if step.name in live and fits(step)]
    return rng.choice(places) if places else None


def _operand(step: Step, rng: random.Random) -> str | None:
    names = [name for name, value in step.args.items() if type(value) is Edge]
    return rng.choice(names) if names else None


def _with(graph: Graph, place: int, step: Step) -> list[Step]:
    return [*graph.steps[:place], step, *graph.steps[place + 1 :]]


@_edit
def add_node(graph: Graph, rng: random.Random) -> Edited | None:
    """An activation on one operand, or between a value and all that read it."""
    place = _pick(graph, rng, lambda s: bool(_operand(s, rng)))
    if place is None:
        return None
    step = graph.steps[place]
    slot = _operand(step, rng)
    assert slot is not None
    edge = step.args[slot]
    if graph.type_of(edge).dtype != "float32":
        return None
    op = rng.choice(_ACTIVATIONS)
    args = {"gelu": {"approximate": "none"}}.get(op, {})
    fresh = Step("fresh", op, {"x": edge, **args})
    if rng.random() < 0.5:
        steps = _with(graph, place, replace(step, args={**step.args, slot: Edge("fresh")}))
        return Edited(remade(graph, [*steps[:place], fresh, *steps[place:]]), "added", op)
    made = next(i for i, s in enumerate(graph.steps) if s.name == edge.node) + 1
    later = [replace(s, args={k: Edge("fresh") if v == edge else v for k, v in s.args.items()}) for s in graph.steps[made:]]
    return Edited(remade(graph, [*graph.steps[:made], fresh, *later]), "added", op)


@_edit
def remove_node(graph: Graph, rng: random.Random) -> Edited | None:
    """A node that keeps type and shape, its readers now reading what it read."""
    place = _pick(
        graph, rng,
        lambda s: type(s.args.get("x")) is Edge and len(edges(tuple(s.args.values()))) == 1
        and len(graph.types(s.name)) == 1 and graph.type_of(s.args["x"]) == graph.types(s.name)[0],
    )  # fmt: skip
    if place is None:
        return None
    step = graph.steps[place]
    source = step.args["x"]

    def moved(value: Any) -> Any:
        if type(value) is Edge:
            return source if value.node == step.name else value
        if type(value) in (tuple, list):
            return type(value)(map(moved, value))
        return {k: moved(v) for k, v in value.items()} if type(value) is dict else value

    steps = [replace(s, args={k: moved(v) for k, v in s.args.items()}) for s in graph.steps if s.name != step.name]
    result, trained = moved(graph.result), moved(graph.train_result)
    return Edited(remade(graph, steps, result=result, train_result=trained), "removed", step.op)


@_edit
def change_attribute(graph: Graph, rng: random.Random) -> Edited | None:
    place = _pick(graph, rng, lambda s: any(type(s.args.get(name)) in (int, float) for name in _VALUES))
    if place is None:
        return None
    step = graph.steps[place]
    name = rng.choice([name for name in _VALUES if type(step.args.get(name)) in (int, float)])
    changed = replace(step, args={**step.args, name: _VALUES[name]})
    return Edited(remade(graph, _with(graph, place, changed)), "changed", {name})


@_edit
def change_mode(graph: Graph, rng: random.Random) -> Edited | None:
    place = _pick(graph, rng, lambda s: s.op != "input")
    if place is None:
        return None
    step = graph.steps[place]
    flag = rng.choice(("mode", "grad"))
    changed = replace(step, mode="train") if flag == "mode" else replace(step, grad=False)
    return Edited(remade(graph, _with(graph, place, changed)), "changed", {flag})


@_edit
def swap_operator(graph: Graph, rng: random.Random) -> Edited | None:
    place = _pick(graph, rng, lambda s: s.op in _ACTIVATIONS)
    if place is None:
        return None
    step = graph.steps[place]
    op = rng.choice([op for op in _ACTIVATIONS if op != step.op])
    args = {"gelu": {"approximate": "none"}}.get(op, {})
    changed = replace(step, op=op, args={"x": step.args["x"], **args})
    return Edited(remade(graph, _with(graph, place, changed)), "changed", {"op"})


@_edit
def rewire(graph: Graph, rng: random.Random) -> Edited | None:
    """One operand reads another value of its type."""
    place = _pick(graph, rng, lambda s: bool(_operand(s, rng)))
    if place is None:
        return None
    step = graph.steps[place]
    slot = _operand(step, rng)
    assert slot is not None
    old = step.args[slot]
    earlier = [Edge(s.name, i) for s in graph.steps[:place] for i in range(len(graph.types(s.name)))]
    choices = [edge for edge in earlier if edge != old and graph.type_of(edge) == graph.type_of(old)]
    if not choices:
        return None
    changed = replace(step, args={**step.args, slot: rng.choice(choices)})
    return Edited(remade(graph, _with(graph, place, changed)), "rewired", None)


@_edit
def share_weight(graph: Graph, rng: random.Random) -> Edited | None:
    """One call takes the weight of another layer; its own stays in the table, unused."""
    keys = [key for key, entry in graph.tensors.items() if entry.alias_of is None]
    place = _pick(graph, rng, lambda s: type(s.args.get("weight")) is Weight)
    if place is None:
        return None
    step = graph.steps[place]
    old = step.args["weight"].key
    choices = [key for key in keys if key != old and graph.tensors[key] == graph.tensors[old]]
    if not choices:
        return None
    changed = replace(step, args={**step.args, "weight": Weight(rng.choice(choices))})
    return Edited(remade(graph, _with(graph, place, changed)), "rewired", {"weight"})


@_edit
def change_tensor(graph: Graph, rng: random.Random) -> Edited | None:
    """A parameter becomes a buffer; every node that uses it shows it."""
    place = _pick(graph, rng, lambda s: type(s.args.get("weight")) is Weight)
    if place is None:
        return None
    key = graph.steps[place].args["weight"].key
    if sum(Weight(key) in s.args.values() for s in graph.steps) > 1:
        return None
    entry: TensorEntry = graph.tensors[key]
    return Edited(
        remade(graph, list(graph.steps), tensors={**graph.tensors, key: replace(entry, kind="buffer")}), "changed", {"weight"}
    )


@_edit
def add_output(graph: Graph, rng: random.Random) -> Edited | None:
    live = sorted(live_nodes(graph) - {edge.node for edge in edges(graph.result)})
    if not live:
        return None
    more = (graph.result, Edge(rng.choice(live)))
    return Edited(remade(graph, list(graph.steps), result=more), "outputs", None)


@_edit
def remove_output(graph: Graph, rng: random.Random) -> Edited | None:
    if type(graph.result) is not tuple or len(graph.result) < 2:
        return None
    kept = list(graph.result)
    kept.pop(rng.randrange(len(kept)))
    if not edges(kept):
        return None
    return Edited(remade(graph, list(graph.steps), result=tuple(kept)), "outputs", None)


@_edit
def reorder_inputs(graph: Graph, rng: random.Random) -> Edited | None:
    if len(graph.arguments) < 2 or any(argument.keyword for argument in graph.arguments):
        return None
    order: list[Argument] = list(graph.arguments)
    i, j = rng.sample(range(len(order)), 2)
    order[i], order[j] = order[j], order[i]
    return Edited(remade(graph, list(graph.steps), arguments=order), "inputs", None)
