"""A graph in the making, fast: every kind of call is checked once for each type of its operands, then copied.

Spaces whose networks branch sample through this; straight chains have a shorter way still, in `chain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..graph.builder import fresh_entry
from ..graph.graph import Argument, Graph, Step
from ..graph.table import TensorEntry
from ..ops import MODULE, DType, Edge, Size, TensorType, Weight, operator

_N, _FLOAT = Size.symbol("N"), DType("float32")


class Form(NamedTuple):
    """A call for operands of given types: what is the same wherever it is made."""

    args: dict[str, Any]
    slots: tuple[str, ...]
    outputs: tuple[TensorType, ...]
    weights: tuple[tuple[str, TensorEntry], ...]
    flagged: bool
    flops: int


class _Made(NamedTuple):
    """A call as it stands in a graph."""

    step: Step
    outputs: tuple[TensorType, ...]
    tensors: dict[str, TensorEntry]
    flops: int
    edge: Edge


#: Calls by all that they are made of.
Memo = dict[Any, _Made]


@lru_cache(maxsize=100_000)
def call_of(op: str, attrs: tuple[tuple[str, Any], ...], types: tuple[TensorType, ...]) -> Form:
    """The call worked out, all its checks made; `NetloomError` where it is none. Weights are there unless given as False."""
    kind = operator(op)
    places = tuple(Edge("", i) for i in range(len(types)))
    slots = tuple(param.name for param in kind.params if param.kind in ("tensor", "operand"))[: len(types)]
    args: dict[str, Any] = {param.name: Weight(param.name) for param in kind.params if param.kind == "weight"}
    args |= {name: None if value is False and name in args else value for name, value in attrs if name not in args or not value}
    args |= dict(zip(slots, places))
    made = kind.evaluate(args, lambda ref: types[ref.index] if type(ref) is Edge else None)
    roles = [name for name, value in made.args.items() if type(value) is Weight]
    own = kind.weights(made.types) if roles else {}
    entries = tuple((role, fresh_entry(kind, role, own[role], made.types)) for role in roles)
    flops = kind.flops(made.types, made.outputs)
    flops = flops.at({"N": 1}) if isinstance(flops, Size) else flops
    return Form(made.args, slots, made.outputs, entries, made.args.get("training") == MODULE, flops)


class Sketch:
    """Calls in the order in which they are added, on one input of ``input_shape`` (one sample), then a `Graph` of them.

    >>> sketch = Sketch((4,))
    >>> hidden = sketch.call("linear", "hidden", sketch.x, out=8)
    >>> sketch.graph(sketch.call("relu", "relu", hidden))
    <Graph: 2 nodes, 40 parameters, (N, 4)>

    Where ``memo`` is given, calls are taken from it and added to it. It must belong to sketches in which the name of a call and
    those of its operands tell all types, as in a skeleton of fixed widths: then making a graph is copying references.
    """

    __slots__ = ("x", "steps", "types", "tensors", "flops", "memo")

    def __init__(self, input_shape: Sequence[int], memo: Memo | None = None) -> None:
        type = TensorType("float32", (_N, *input_shape))
        self.x = Edge("x")
        self.steps = [Step("x", "input", {"dtype": _FLOAT, "shape": type.shape})]
        self.types: dict[str, tuple[TensorType, ...]] = {"x": (type,)}
        self.tensors: dict[str, TensorEntry] = {}
        self.flops = 0
        self.memo = memo

    def call(self, op: str, name: str, *operands: Edge, **attrs: Any) -> Edge:
        """Add a call of an operator with one result; its weights are there unless an attribute says ``False``."""
        if self.memo is None:
            made = self._made(op, name, operands, attrs)
        else:
            key = (op, name, operands, *attrs.items())
            found = self.memo.get(key)
            made = self.memo[key] = self._made(op, name, operands, attrs) if found is None else found
        self.steps.append(made.step)
        self.types[name] = made.outputs
        self.tensors.update(made.tensors)
        self.flops += made.flops
        return made.edge

    def _made(self, op: str, name: str, operands: tuple[Edge, ...], attrs: dict[str, Any]) -> _Made:
        form = call_of(op, tuple(attrs.items()), tuple([self.types[edge.node][0] for edge in operands]))
        args = form.args.copy()
        args.update(zip(form.slots, operands))
        tensors = {}
        for role, entry in form.weights:
            key = f"{name}.{role}"
            args[role] = Weight(key)
            tensors[key] = entry
        scope = name if form.weights or form.flagged else name.rpartition(".")[0]
        return _Made(Step(name, op, args, scope), form.outputs, tensors, form.flops, Edge(name))

    def graph(self, result: Edge) -> Graph:
        """The graph that returns ``result``."""
        arguments = [Argument("x", self.x)]
        graph = Graph.make(self.steps, self.tensors, arguments, result, symbols={"N": 1}, types=self.types)
        # The cached property, filled in: working it out again takes longer than making the graph.
        graph.__dict__["flops"] = self.flops
        return graph
