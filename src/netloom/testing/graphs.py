"""Generated graphs: random networks of the functional builder, and one-call graphs of any operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from ..errors import AttributeValueError, NetloomError, ShapeError
from ..graph import builder
from ..graph.builder import Value
from ..graph.graph import Argument, Graph, Step, default_scope
from ..graph.tree import weights
from ..ops import REGISTRY, DType, Edge, Size, Weight, operator
from ..ops.arguments import MODULE
from .operators import Call, Operand, operator_calls

Move = Callable[[Any, list[Value]], Any]
#: What a random network may do next; each makes a value or a tuple of them from the values there are.
MOVES: list[Move] = []

_ELEMENTWISE = ("relu", "gelu", "silu", "tanh", "sigmoid", "hardswish", "leaky_relu", "elu", "softplus", "abs", "neg", "exp")


def _move(function: Move) -> Move:
    MOVES.append(function)
    return function


def _draw_value(draw: Any, values: list[Value], *ranks: int) -> Value:
    """One of the values with one of these ranks, later ones more often; every rank where none is given."""
    fitting = [v for v in values if v.dtype == "float32" and (not ranks or v.type.rank in ranks)]
    assume(fitting)
    return fitting[-1 - min(draw(st.integers(0, 5)), len(fitting) - 1)]


# -- moves -------------------------------------------------------------------------------------------------------------
@_move
def _elementwise(draw: Any, values: list[Value]) -> Any:
    return builder.call(draw(st.sampled_from(_ELEMENTWISE)), _draw_value(draw, values))


@_move
def _linear(draw: Any, values: list[Value]) -> Any:
    return builder.call("linear", _draw_value(draw, values), draw(st.integers(1, 4)), bias=draw(st.booleans()))


@_move
def _shared(draw: Any, values: list[Value]) -> Any:
    """Another call of a layer that there is, with its weights."""
    layers = [v for v in values if v.index == 0 and v.draft.op in ("linear", "conv2d")]
    assume(layers)
    layer = draw(st.sampled_from(layers))
    given = {key: value for key, value in layer.draft.args.items() if key not in ("x", "weight", "bias")}
    given["bias"] = layer.draft.args["bias"] is not None
    return builder.call(layer.draft.op, _draw_value(draw, values), **given, like=layer)


@_move
def _convolution(draw: Any, values: list[Value]) -> Any:
    x = _draw_value(draw, values, 4)
    groups = x.shape[1] if draw(st.integers(0, 3)) == 0 else 1
    kernel = draw(st.sampled_from((1, 2, 3, (1, 2), (3, 1))))
    out = groups * draw(st.integers(1, 3))
    padding = draw(st.sampled_from((0, 1, (1, 0))))
    return builder.call("conv2d", x, out, kernel=kernel, padding=padding, groups=groups, bias=draw(st.booleans()))


@_move
def _norm(draw: Any, values: list[Value]) -> Any:
    op = draw(st.sampled_from(("batch_norm", "layer_norm", "group_norm", "rms_norm")))
    if op in ("layer_norm", "rms_norm"):
        x = _draw_value(draw, values)
        return builder.call(op, x, (x.shape[-1],), eps=draw(st.sampled_from((1e-5, 1e-6))))
    x = _draw_value(draw, values, 3, 4)
    if op == "group_norm":
        return builder.call(op, x, draw(st.sampled_from((1, x.shape[1]))))
    return builder.call(op, x, momentum=draw(st.sampled_from((0.1, 0.01, None))), running_mean=True, running_var=True)


@_move
def _pool(draw: Any, values: list[Value]) -> Any:
    x = _draw_value(draw, values, 4)
    kind = draw(st.sampled_from(("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d")))
    return builder.call(kind, x, draw(st.integers(1, 2)))


@_move
def _arithmetic(draw: Any, values: list[Value]) -> Any:
    x = _draw_value(draw, values)
    op = draw(st.sampled_from(("add", "sub", "mul")))
    alike = [v for v in values if v.type == x.type]
    other: Any = draw(st.sampled_from(alike)) if draw(st.booleans()) else draw(st.sampled_from((2, 0.5, -1.5)))
    return builder.call(op, other, x) if draw(st.booleans()) else builder.call(op, x, other)


@_move
def _product(draw: Any, values: list[Value]) -> Any:
    x = _draw_value(draw, values)
    return builder.call("matmul", x, builder.call("transpose", x, -1, -2)) if x.type.rank > 2 else builder.call("mul", x, x)


@_move
def _joined(draw: Any, values: list[Value]) -> Any:
    x = _draw_value(draw, values)
    alike = draw(st.lists(st.sampled_from([v for v in values if v.type == x.type]), min_size=1, max_size=3))
    return builder.call(draw(st.sampled_from(("cat", "stack"))), x, *alike, dim=draw(st.sampled_from((-1, 1))))


@_move
def _parts(draw: Any, values: list[Value]) -> Any:
    """Several results, of which some may stay unused."""
    x = _draw_value(draw, values)
    size = x.shape[-1]
    if draw(st.booleans()) and size > 1:
        return builder.call("split", x, (1, size - 1), dim=-1)
    assume(x.type.rank > 1)
    return builder.call("unbind", x, dim=-1)


@_move
def _view(draw: Any, values: list[Value]) -> Any:
    x = _draw_value(draw, values)
    kind = draw(st.sampled_from(("flatten", "permute", "reshape", "unsqueeze", "getitem")))
    if kind == "flatten":
        return builder.call(kind, x, 1)
    if kind == "permute":
        return builder.call(kind, x, (0, *range(x.type.rank - 1, 0, -1)))
    if kind == "reshape":
        flat = (x.shape[0], x.type.numel // x.shape[0])
        return builder.call(kind, x, flat if draw(st.booleans()) else (*x.shape[:-1], 1, x.shape[-1]))
    if kind == "unsqueeze":
        return builder.call(kind, x, draw(st.sampled_from((1, -1))))
    indices = ((slice(None), 0), (..., slice(0, 1)), (..., None), (slice(None), slice(None, None, 2)), (slice(None), -1))
    return x[draw(st.sampled_from(indices))]


@_move
def _free_size(draw: Any, values: list[Value]) -> Any:
    """Arithmetic with the batch: the size of a free axis as a number."""
    x = _draw_value(draw, values)
    assume(isinstance(x.shape[0], Size))
    return builder.call("mul", x, x.shape[0] * draw(st.integers(1, 3)))


@_move
def _parameter(draw: Any, values: list[Value]) -> Any:
    x = _draw_value(draw, values)
    assume(all(isinstance(size, int) for size in x.shape[1:]))
    return builder.call("add", x, builder.parameter(*x.shape[1:]))


@_move
def _random(draw: Any, values: list[Value]) -> Any:
    training = draw(st.sampled_from((MODULE, True, False)))
    return builder.call("dropout", _draw_value(draw, values), draw(st.sampled_from((0.0, 0.1, 0.5))), training=training)


@_move
def _softmax(draw: Any, values: list[Value]) -> Any:
    return builder.call("softmax", _draw_value(draw, values), -1)


# -- graphs ------------------------------------------------------------------------------------------------------------
@st.composite
def graphs(draw: Any, min_size: int = 1, max_size: int = 12, names: st.SearchStrategy[str] | None = None) -> Graph:
    """Random networks: several inputs, branches, shared weights, several results of a node, outputs in containers.

    ``min_size`` and ``max_size`` bound the number of moves (see `MOVES`); ``names`` draws names for some of the inputs.

    >>> from netloom.testing.graphs import graphs
    >>> graphs().example()  # doctest: +SKIP
    <Graph: 7 nodes, 46 parameters, (N, 3, 4)>
    """
    shapes = draw(st.lists(st.sampled_from(((3, 4), (4,), (2, 4, 4), (1, 3, 5), (2, 6))), min_size=1, max_size=3))
    given = draw(st.lists(names, min_size=len(shapes), max_size=len(shapes), unique=True)) if names is not None else None
    inputs = [builder.input(*shape, name=given[i] if given else None) for i, shape in enumerate(shapes)]
    values = list(inputs)
    for move in draw(st.lists(st.sampled_from(MOVES), min_size=min_size, max_size=max_size)):
        try:
            made = move(draw, values)
        except (ShapeError, AttributeValueError):
            # A move that does not fit the value that was drawn for it.
            continue
        values.extend(made if isinstance(made, tuple) else (made,))
    last = values[len(inputs) :] or values
    return Graph(_contained(draw, inputs, top=True), _contained(draw, last[-draw(st.integers(1, 3)) :]))


def _contained(draw: Any, values: list[Value], top: bool = False) -> Any:
    """Values in a container; ``top`` for the arguments of a network, which hold no literals."""
    kind = draw(st.sampled_from(("tuple", "dict", "plain")))
    if kind == "plain" and len(values) == 1:
        return values[0]
    if kind == "dict":
        return {f"k{i}": v for i, v in enumerate(values)} | ({} if top else {"none": None, "level": 2})
    return tuple(values) if top or draw(st.booleans()) else [values[0], tuple(values[1:])]


@st.composite
def call_graphs(draw: Any, name: str) -> Graph:
    """Graphs of one call of the operator called ``name``, its tensors as inputs; what is no valid call is not drawn."""
    call: Call = draw(operator_calls(name))
    inputs: list[Step] = []

    def operand(value: Any) -> Any:
        if isinstance(value, Operand):
            args = {"dtype": DType(value.type.dtype), "shape": value.type.shape}
            inputs.append(Step(f"x{len(inputs)}", "input", args))
            return Edge(inputs[-1].name)
        if type(value) is Weight:
            return Weight(builder.weight_key("call", value.key, kind))
        return tuple(map(operand, value)) if type(value) in (tuple, list) else value

    kind = operator(name)
    args = {key: operand(value) for key, value in call.args.items()}
    types = {step.name: operator("input").evaluate(step.args, lambda ref: None).outputs for step in inputs}
    try:
        made = kind.evaluate(args, lambda ref: types[ref.node][0] if type(ref) is Edge else None)
        tensors = {
            builder.weight_key("call", role, kind): builder.fresh_entry(kind, role, type, made.types)
            for role, type in kind.weights(made.types).items()
        }
        used = {weight.key for weight in weights(tuple(made.args.values()))}
        step = Step("call", name, made.args, default_scope("call", name, made.args))
        arguments = [Argument(step.name, Edge(step.name)) for step in inputs]
        return Graph.make([*inputs, step], {k: e for k, e in tensors.items() if k in used}, arguments, Edge("call"))
    except NetloomError:
        assume(False)
        raise


def all_operators() -> tuple[str, ...]:
    """Names of the registered operators that can be called on inputs."""
    return tuple(name for name in REGISTRY if name not in ("input", "opaque"))
