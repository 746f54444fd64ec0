"""From a list of layers to the Graph of their straight chain, fast.

Sampling thousands of networks a second leaves no time to check what cannot be wrong: a space that works out shapes as it
draws, and draws attributes from a fixed list, has them checked once for each attribute instead of once for each node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..graph.builder import fresh_entry, weight_key
from ..graph.graph import Argument, Graph, Step, default_scope
from ..graph.table import TensorEntry
from ..ops import DType, Edge, Operator, Size, TensorType, Weight, operator

#: As the value of an attribute: the number of channels (axis 1) of the layer's input.
CHANNELS = "channels"


class Layer(NamedTuple):
    """An operator of one tensor with its attributes, in a chain.

    >>> Layer("conv2d", (("out", 8), ("kernel", 3)))
    Layer(op='conv2d', attrs=(('out', 8), ('kernel', 3)))
    """

    op: str
    attrs: tuple[tuple[str, Any], ...] = ()


class _Form(NamedTuple):
    """A layer for one type of input, ready to be copied into a graph."""

    args: dict[str, Any]
    outputs: tuple[TensorType, ...]
    weights: tuple[tuple[str, TensorEntry], ...]
    flagged: bool


@lru_cache(maxsize=100_000)
def _form(layer: Layer, type: TensorType) -> _Form:
    kind = operator(layer.op)
    args: dict[str, Any] = {name: type.shape[1] if value is CHANNELS else value for name, value in layer.attrs}
    args["x"] = _X
    args |= {param.name: Weight(param.name) for param in kind.params if param.kind == "weight"}
    made = kind.evaluate(args, lambda ref: type if ref is _X else None)
    own = kind.weights(made.types)
    entries = [(role, _entry(kind, role, own[role], made.types)) for role, v in made.args.items() if isinstance(v, Weight)]
    return _Form(made.args, made.outputs, tuple(entries), made.args.get("training") == "module")


_X = Edge("x")


def _entry(kind: Operator, role: str, type: TensorType, a: SimpleNamespace) -> TensorEntry:
    return fresh_entry(kind, role, type, a)


def chain(input_shape: Sequence[int], layers: Iterable[Layer]) -> Graph:
    """The graph of ``layers`` one after the other, on samples of ``input_shape``, named as the builder names them.

    >>> chain((4,), [Layer("linear", (("out", 2),)), Layer("relu")]).num_params
    10
    """
    type = TensorType("float32", (_N, *input_shape))
    steps = [Step("x", "input", {"dtype": _FLOAT, "shape": type.shape})]
    types: dict[str, tuple[TensorType, ...]] = {"x": (type,)}
    tensors: dict[str, TensorEntry] = {}
    counts: dict[str, int] = {}
    previous = _X
    for layer in layers:
        form = _form(layer, type)
        count = counts[layer.op] = counts.get(layer.op, -1) + 1
        name = f"{layer.op}_{count}" if count else layer.op
        args = form.args.copy()
        args["x"] = previous
        for role, entry in form.weights:
            key = f"{name}.{role}"
            args[role] = Weight(key)
            tensors[key] = entry
        steps.append(Step(name, layer.op, args, name if form.weights or form.flagged else ""))
        types[name] = form.outputs
        type, previous = form.outputs[0], Edge(name)
    return Graph.make(steps, tensors, [Argument("x", _X)], previous, symbols={"N": 1}, types=types)


_N = Size.symbol("N")
_FLOAT = DType("float32")


def layers_of(graph: Graph, known: dict[tuple[str, frozenset[Any]], Layer]) -> list[Layer] | None:
    """The layers whose chain the graph may be, or None; ``known`` maps `signature` to layer.

    Attributes alone are looked at: make the chain again and compare hashes to be sure.
    """
    found = []
    for step in graph.steps[1:]:
        attrs = {k: v for k, v in step.args.items() if not isinstance(v, Edge | Weight)}
        try:
            layer = known.get((step.op, frozenset(attrs.items())))
        except TypeError:  # an attribute that cannot be hashed is none of ours
            return None
        if layer is None:
            return None
        found.append(layer)
    return found


def signature(layer: Layer, type: TensorType) -> tuple[str, frozenset[Any]]:
    """How a layer shows in a graph: its operator and attributes in normal form, for an input of this type."""
    form = _form(layer, type)
    return layer.op, frozenset((k, v) for k, v in form.args.items() if not isinstance(v, Edge | Weight))
