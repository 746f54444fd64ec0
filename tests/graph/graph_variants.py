"""Random graphs full of near-symmetries, their disguises, their near misses, and an independent test of equality."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import networkx

import netloom as nl
from netloom.graph.graph import Argument, Graph, Step
from netloom.graph.tree import edges, map_leaves, weights
from netloom.ops import Edge, Weight, operator

WIDTH = 4


def random_graph(rng: random.Random, size: int) -> Graph:
    """A small graph of few kinds of nodes, so that many of its parts look alike."""
    x = nl.input(WIDTH, name="x")
    values = [x, nl.input(WIDTH, name="z")] if rng.random() < 0.3 else [x]
    inputs = tuple(values)
    layers: list[Any] = []
    for _ in range(size):
        a, b = rng.choice(values[-6:]), rng.choice(values[-6:])
        kind = rng.choice(("add", "add", "add", "relu", "linear", "linear", "shared", "sub", "cat"))
        if kind == "add":
            values.append(nl.add(a, b))
        elif kind == "sub":
            values.append(nl.sub(a, b))
        elif kind == "relu":
            values.append(nl.relu(a))
        elif kind == "cat":
            values.extend(nl.split(nl.cat(a, b, dim=1), WIDTH, dim=1))
        elif kind == "linear" or not layers:
            layers.append(nl.linear(a, WIDTH, bias=False))
            values.append(layers[-1])
        else:
            values.append(nl.graph.builder.call("linear", a, WIDTH, bias=False, like=rng.choice(layers)))
    outputs = values[-1] if rng.random() < 0.5 else (values[-1], values[-2])
    return nl.Graph(inputs, outputs)


# -- disguises: the same computation ---------------------------------------------------------------------------------
def disguised(graph: Graph, rng: random.Random) -> Graph:
    """The same computation under other names and keys, in another order, with commutative operands swapped at random."""
    names = {step.name: f"n{i}" for i, step in enumerate(rng.sample(graph.steps, len(graph.steps)))}
    keys = {key: f"t{i}" for i, key in enumerate(rng.sample(sorted(graph.tensors), len(graph.tensors)))}

    def renamed(value: Any) -> Any:
        if type(value) is Edge:
            return Edge(names[value.node], value.index)
        if type(value) is Weight:
            return Weight(keys[value.key])
        return tuple(map(renamed, value)) if type(value) is tuple else value

    steps = []
    for step in reordered(graph.steps, rng):
        args = {key: renamed(value) for key, value in step.args.items()}
        pair = operator(step.op).commutative
        if pair and operator(step.op).commutes(args) and rng.random() < 0.5:
            args |= {pair[0]: args[pair[1]], pair[1]: args[pair[0]]}
        steps.append(replace(step, name=names[step.name], args=args, scope=rng.choice(("", "a.b"))))
    tensors = {keys[key]: replace(entry, init=("constant", 1.0)) for key, entry in graph.tensors.items()}
    arguments = [Argument(f"arg{i}", map_leaves(a.tree, renamed), a.keyword) for i, a in enumerate(graph.arguments)]
    return Graph.make(
        steps, tensors, arguments, map_leaves(graph.result, renamed), train_result=map_leaves(graph.train_result, renamed),
        symbols={"N": rng.randint(1, 9)}, notes=("disguised",),
    )  # fmt: skip


def reordered(steps: tuple[Step, ...], rng: random.Random) -> list[Step]:
    """A random order in which every node still comes after those it reads."""
    waiting = {step.name: {edge.node for edge in edges(tuple(step.args.values()))} for step in steps}
    by_name = {step.name: step for step in steps}
    order: list[Step] = []
    while waiting:
        ready = sorted(name for name, reads in waiting.items() if not reads & waiting.keys())
        name = rng.choice(ready)
        del waiting[name]
        order.append(by_name[name])
    return order


# -- near misses: mostly another computation ---------------------------------------------------------------------------
def rewired(graph: Graph, rng: random.Random) -> Graph:
    """The graph with one operand or one weight replaced by another of the same type."""
    steps = list(graph.steps)
    for _ in range(20):
        place = rng.randrange(len(steps))
        step = steps[place]
        slots = [key for key, value in step.args.items() if type(value) in (Edge, Weight)]
        if not slots:
            continue
        slot = rng.choice(slots)
        old = step.args[slot]
        if type(old) is Weight:
            choices = [Weight(k) for k, e in graph.tensors.items() if k != old.key and e.type == graph.tensors[old.key].type]
        else:
            earlier = [Edge(s.name, i) for s in steps[:place] for i in range(len(graph.types(s.name)))]
            choices = [e for e in earlier if e != old and graph.type_of(e) == graph.type_of(old)]
        if choices:
            steps[place] = replace(step, args={**step.args, slot: rng.choice(choices)})
            return Graph.make(steps, graph.tensors, graph.arguments, graph.result, train_result=graph.train_result)
    return graph


# -- the oracle ------------------------------------------------------------------------------------------------------------
def same_computation(a: Graph, b: Graph) -> bool:
    """Whether labelled digraphs of the two, every operand a vertex of its own, are isomorphic."""
    first, second = digraph(a), digraph(b)
    if Counter(dict(first.nodes(data="label")).values()) != Counter(dict(second.nodes(data="label")).values()):
        return False
    same = networkx.isomorphism.categorical_node_match("label", None)
    return networkx.is_isomorphic(first, second, node_match=same)


def digraph(graph: Graph) -> networkx.DiGraph:
    """Node → operand vertex labelled (argument, place, output) → producer; weights and the root are vertices too."""
    view = networkx.DiGraph()
    places = {e.node: (a.name if a.keyword else i) for i, a in enumerate(graph.arguments) for e in edges(a.tree)}

    def connect(reader: Any, label: Any, target: Any) -> None:
        operand = ("operand", view.number_of_nodes())
        view.add_node(operand, label=repr(("operand", label)))
        view.add_edge(reader, operand)
        view.add_edge(operand, target)

    for key, entry in graph.tensors.items():
        if entry.alias_of is None:
            constant = entry.constant.sha256 if entry.constant else ""
            view.add_node(("tensor", key), label=repr(("tensor", entry.kind, entry.type, constant)))
    for step in graph.steps:
        plain = {k: v for k, v in step.args.items() if not edges(v) and not weights(v)}
        content = (step.op, sorted(plain.items()), step.mode, step.grad, step.autocast, places.get(step.name))
        view.add_node(step.name, label=repr(content))
        kind = operator(step.op)
        pair = kind.commutative if kind.commutative and kind.commutes(step.args) else ()
        for name, value in step.args.items():
            for place, edge in enumerate(edges(value)):
                connect(step.name, ("either" if name in pair else name, place, edge.index), edge.node)
            for weight in weights(value):
                key = weight.key
                while graph.tensors[key].alias_of is not None:
                    key = graph.tensors[key].alias_of
                connect(step.name, name, ("tensor", key))
    view.add_node("return", label="return")
    for place, edge in enumerate(edges([graph.result])):
        connect("return", (place, edge.index), edge.node)
    for place, edge in enumerate(edges([graph.train_result])):
        connect("return", ("training", place, edge.index), edge.node)
    writers = [step.name for step in graph.steps if operator(step.op).effect == "write"]
    live = {"return", *writers}.union(*(networkx.descendants(view, root) for root in ("return", *writers)))
    return view.subgraph(live).copy()
