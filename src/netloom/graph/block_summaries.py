"""What blocks compute, in brief, kept once for all equal blocks of all graphs."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ..ops import Edge, Weight
from .builder import unique
from .subgraph import extract
from .tree import map_leaves, weights

if TYPE_CHECKING:
    from .blocks import Block
    from .graph import Graph

#: All summaries in use, by hash (and the example sizes that costs are counted for).
_interned: WeakValueDictionary[Any, Summary] = WeakValueDictionary()


class Summary:
    """A part of a graph as a graph of its own under neutral names, with its costs; one object for all equal parts.

    Its inputs are the values that the part reads from outside, in order of use, its results those read outside.
    """

    def __init__(self, graph: Graph) -> None:
        #: The part as a graph; its nodes are called after their operators.
        self.graph = graph
        #: As `Graph.hash`.
        self.hash: str = graph.hash
        #: Parameters that its nodes use, tied ones once.
        self.num_params: int = graph.num_params
        #: Floating point operations for one sample, as `Graph.flops` counts them.
        self.flops: int = graph.flops
        self.num_nodes: int = sum(step.op != "input" for step in graph.steps)

    @cached_property
    def text(self) -> str:
        """The part in the textual notation, under neutral names."""
        return self.graph.to_text()

    def __repr__(self) -> str:
        return f"<Summary {self.hash}: {self.num_nodes} nodes, {self.num_params:,} parameters, {self.flops:,} FLOPs>"


def summary(block: Block) -> Summary:
    """The summary of a block: worked out once for equal blocks, and one object also for blocks of different graphs."""
    known = block.reading.summaries
    key = block.reading.key(block.start, block.stop)
    if key not in known:
        made = Summary(standalone(block))
        examples = tuple(sorted((name, size) for name, size in made.graph.symbols.items() if name != "N"))
        known[key] = _interned.setdefault((made.hash, examples), made)
    return known[key]


def standalone(block: Block) -> Graph:
    """A block as a graph of its own; nodes are called after their operators, tensors after the first node that uses them."""
    graph, taken = block.graph, set[str]()
    names = {step.name: unique(step.op, taken) for step in block.steps}
    part = extract(graph, {step.name: step for step in block.steps}, block.inputs, set(block.outputs), lambda key: False)
    taken.update(names.values())
    names |= {step.name: unique("input", taken) for step in part.steps if step.name not in names}
    return _renamed(part, names)


def _renamed(graph: Graph, names: dict[str, str]) -> Graph:
    """The graph with other names for its nodes, and for its tensors those of their first uses; ties are one tensor."""
    from .graph import Argument, Graph

    keys: dict[str, str] = {}

    def moved(value: Any) -> Any:
        if type(value) is Edge:
            return Edge(names[value.node], value.index)
        return Weight(keys[value.key]) if type(value) is Weight else value

    steps, tensors, taken = [], {}, set[str]()
    for step in graph.steps:
        for role, value in step.args.items():
            for weight in weights(value):
                head = graph.tensors[weight.key].alias_of or weight.key
                if head not in keys:
                    keys[head] = unique(f"{names[step.name]}.{role}", taken)
                    tensors[keys[head]] = graph.tensors[head]
                keys[weight.key] = keys[head]
        args = {name: map_leaves(value, moved) for name, value in step.args.items()}
        steps.append(replace(step, name=names[step.name], args=args, scope=""))
    arguments = [Argument(names[argument.tree.node], moved(argument.tree)) for argument in graph.arguments]
    types = {new: graph.types(name) for name, new in names.items()}
    result, trained = map_leaves(graph.result, moved), map_leaves(graph.train_result, moved)
    return Graph.make(steps, tensors, arguments, result, train_result=trained, symbols=graph.symbols, types=types)
