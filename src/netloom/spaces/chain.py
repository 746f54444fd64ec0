"""From a list of layers to the Graph of their straight chain, fast.

Sampling thousands of networks a second leaves no time to check what cannot be wrong: a space that works out shapes as it
draws, and draws attributes from a fixed list, has them checked once for each attribute instead of once for each node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from ..graph.builder import fresh_entry
from ..graph.graph import Argument, Graph, Step
from ..graph.table import TensorEntry
from ..ops import MODULE, DType, Edge, Size, TensorType, Weight, operator

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


_N, _FLOAT, _X = Size.symbol("N"), DType("float32"), Edge("x")
#: A size that no window is too large for.
_LONG = 1 << 20


@lru_cache(maxsize=4096)
def _arguments(layer: Layer, rank: int, dtype: str) -> dict[str, Any]:
    """The layer's arguments in normal form, checked once: they do not depend on the sizes of its input."""
    kind = operator(layer.op)
    type = TensorType(dtype, (_N, *(_LONG,) * (rank - 1)))
    args: dict[str, Any] = {name: _LONG if value is CHANNELS else value for name, value in layer.attrs}
    args["x"] = _X
    args |= {param.name: Weight(param.name) for param in kind.params if param.kind == "weight"}
    return kind.evaluate(args, lambda ref: type if ref is _X else None).args


@lru_cache(maxsize=100_000)
def _form(layer: Layer, type: TensorType) -> _Form:
    kind = operator(layer.op)
    args = _arguments(layer, len(type.shape), type.dtype).copy()
    for name, value in layer.attrs:
        if value is CHANNELS:
            args[name] = type.shape[1]
    a = SimpleNamespace(**args)
    a.x = type
    roles = [name for name, value in args.items() if value.__class__ is Weight]
    if roles:
        own = kind.weights(a)
        for role in roles:
            setattr(a, role, own[role])
    result = kind.infer(a)
    outputs = (result,) if isinstance(result, TensorType) else tuple(result)
    entries = tuple((role, fresh_entry(kind, role, own[role], a)) for role in roles)
    return _Form(args, outputs, entries, args.get("training") == MODULE)


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


def layers_of(graph: Graph, known: dict[tuple[str, frozenset[Any]], Layer]) -> list[Layer] | None:
    """The layers whose chain the graph may be, or None; ``known`` maps `signature` to layer.

    Attributes alone are looked at: make the chain again and compare hashes to be sure.
    """
    found = []
    for step in graph.steps[1:]:
        attrs = _attrs(step.args)
        source = step.args.get("x")
        if type(source) is not Edge or graph.type_of(source).rank < 2:
            return None
        channels = graph.type_of(source).shape[1]
        relative = {name: CHANNELS if value == channels and name != "out" else value for name, value in attrs.items()}
        try:
            layer = known.get((step.op, frozenset(attrs.items()))) or known.get((step.op, frozenset(relative.items())))
        except TypeError:  # an attribute that cannot be hashed is none of ours
            return None
        if layer is None:
            return None
        found.append(layer)
    return found


def signature(layer: Layer, type: TensorType) -> tuple[str, frozenset[Any]]:
    """How a layer shows in a graph: its operator and attributes in normal form, for an input of this type."""
    relative = {name: value for name, value in layer.attrs if value is CHANNELS}
    return layer.op, frozenset((_attrs(_form(layer, type).args) | relative).items())


def _attrs(args: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in args.items() if not isinstance(value, Edge | Weight)}
