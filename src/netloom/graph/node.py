"""`Node`: one call of a graph, as a person asks about it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..ops import DType, Edge, TensorType, Weight, operator
from ..ops.dims import labels
from .tree import edges

if TYPE_CHECKING:
    from .graph import Graph, Step

#: Families whose values carry features at axis 1 (N, C, …), and those that carry them last (…, C).
_CHANNELS_FIRST = {"conv", "pool"}
_CHANNELS_LAST = {"linear", "attention", "recurrent"}


class Node:
    """A node in its graph; made by ``graph.nodes`` and ``graph[name]``.

    ``in_sizes`` and ``out_size`` are numbers of features (channels, neurons): what an edit resizes.
    """

    def __init__(self, graph: Graph, step: Step) -> None:
        self.graph, self.step = graph, step

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def op(self) -> str:
        """Name of the operator."""
        return self.step.op

    @property
    def attrs(self) -> dict[str, Any]:
        """The arguments that are plain data."""
        params = operator(self.op).by_name
        return {
            name: value.name if type(value) is DType else value
            for name, value in self.step.args.items()
            if params[name].kind in ("attr", "operand") and not edges(value) and type(value) is not Weight
        }

    @property
    def weights(self) -> Mapping[str, str]:
        """Role → key in the tensor table, for the weights the node owns."""
        args = self.step.args
        found = {role: value.key for role, value in args.items() if type(value) is Weight}
        kind = operator(self.op)
        if kind.weight_list:
            listed = zip(kind.roles(self.graph.operands(self.step)), args[kind.weight_list])
            found |= {role: value.key for role, value in listed if type(value) is Weight}
        return found

    @property
    def operands(self) -> tuple[Edge, ...]:
        """The edges it reads, in order."""
        return self.step.edges

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes it reads from, in order of its operands."""
        return tuple(self.graph[edge.node] for edge in self.operands)

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The nodes that read from it."""
        return tuple(self.graph[name] for name in self.graph.consumers[self.name])

    @property
    def types(self) -> tuple[TensorType, ...]:
        """dtype and shape of each of its results."""
        return self.graph.types(self.name)

    @property
    def shape(self) -> tuple[Any, ...]:
        """Shape of its (first) result; free sizes as `Size`."""
        return self.types[0].shape

    @property
    def dtype(self) -> str:
        return self.types[0].dtype

    @property
    def in_sizes(self) -> tuple[int, ...]:
        """Number of features of each operand."""
        return tuple(self.graph[edge.node].feature_size(edge.index) for edge in self.operands)

    @property
    def out_size(self) -> int:
        """Number of features of its (first) result."""
        return self.feature_size(0)

    def feature_size(self, index: int) -> int:
        shape = self.types[index].shape
        axis = self.feature_axis if index == 0 else _guess(len(shape))
        return shape[axis] if axis is not None else 1

    @cached_property
    def feature_axis(self) -> int | None:
        """The axis of its first result that carries features; None for a value without axes."""
        rank = len(self.shape)
        family = operator(self.op).family
        if rank < 2 or family in _CHANNELS_FIRST:
            return None if rank == 0 else min(1, rank - 1)
        if family in _CHANNELS_LAST:
            return rank - 1
        for name, value in self.step.args.items():
            if type(value) is Edge:
                source = self.graph[value.node]
                if value.index == 0 and source.feature_axis is not None:
                    return self._follow(name, source.feature_axis)
                break
        return _guess(rank)

    def _follow(self, argument: str, axis: int) -> int | None:
        """Where the feature axis of an operand goes, by the operator's dimension rule."""
        dims = operator(self.op).dims(self.graph.operands(self.step), self.types)
        followed = set(labels(dims.operands[argument][axis]))
        for i, expression in enumerate(dims.outputs[0]):
            if followed & set(labels(expression)):
                return i
        return _guess(len(self.shape))

    @property
    def num_params(self) -> int:
        """Parameters of its own (a tied one counts at every node that uses it)."""
        entries = (self.graph.tensors[key] for key in self.weights.values())
        return sum(entry.type.numel for entry in entries if entry.kind == "parameter")

    @property
    def flops(self) -> int:
        """Floating point operations for one sample."""
        return self.graph.at_one_sample(operator(self.op).flops(self.graph.operands(self.step), self.types))

    def __str__(self) -> str:
        from .text import node_line

        shown = " ".join(f"({', '.join(map(str, t.shape))})" for t in self.types)
        sizes = f"{', '.join(map(str, self.in_sizes)) or '-'} → {self.out_size}"
        return f"{node_line(self)}  {shown}  features {sizes}"

    def __repr__(self) -> str:
        return f"<Node {self.name}: {self.op} {tuple(map(str, self.shape))}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.name == other.name and self.graph == other.graph

    def __hash__(self) -> int:
        return hash((self.name, self.op))


def _guess(rank: int) -> int | None:
    if rank == 0:
        return None
    return 1 if rank in (2, 4, 5) else rank - 1
