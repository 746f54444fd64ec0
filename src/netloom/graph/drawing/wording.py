"""What a picture says of each node: a title and a detail on one row, and the facts that the page shows."""

from __future__ import annotations

from typing import Any

from ...ops import DType, Edge, Size, TensorType, Weight, operator
from ..graph import Graph, Step
from ..step import module_path
from ..tree import edges, leaves
from .lettering import shorten
from .scene import Row
from .theme import kind_of

#: Kinds of rows that are drawn small: they move or cut values, and compute nothing.
_QUIET = {"shape"}
_LOUD_OPS = {"cat", "stack"}
_TITLES = {
    "scaled_dot_product_attention": "attention", "batch_norm": "batch norm", "layer_norm": "layer norm",
    "group_norm": "group norm", "rms_norm": "RMS norm", "instance_norm": "instance norm", "max_pool1d": "max pool",
    "max_pool2d": "max pool", "max_pool3d": "max pool", "avg_pool1d": "avg pool", "avg_pool2d": "avg pool",
    "avg_pool3d": "avg pool", "adaptive_avg_pool1d": "avg pool", "adaptive_avg_pool2d": "avg pool",
    "adaptive_avg_pool3d": "avg pool", "adaptive_max_pool2d": "max pool", "cat": "concat", "lstm": "LSTM", "gru": "GRU",
    "relu": "ReLU", "relu6": "ReLU6", "gelu": "GELU", "silu": "SiLU", "elu": "ELU", "selu": "SELU", "prelu": "PReLU",
    "leaky_relu": "leaky ReLU", "glu": "GLU", "by_mode": "train or eval", "getitem": "index",
}  # fmt: skip
_DETAIL_LIMIT, _TITLE_LIMIT = 30, 30


def row(graph: Graph, step: Step) -> Row:
    """The row of one node."""
    kind = kind_of(step.op)
    if kind == "merge" and len(edges(tuple(step.args.values()))) < 2 and step.op not in _LOUD_OPS:
        kind = "math"
    title, detail = _words(graph, step)
    quiet = kind in _QUIET and step.op not in _LOUD_OPS
    return Row(shorten(title, _TITLE_LIMIT), shorten(detail, _DETAIL_LIMIT), kind, quiet=quiet, nodes=(step.name,))


def _words(graph: Graph, step: Step) -> tuple[str, str]:
    args, op = step.args, step.op
    family = operator(op).family
    if op == "input":
        return step.name, shape_text(graph.types(step.name)[0])
    if op in ("parameter", "constant"):
        return _last(args["value"].key), shape_text(graph.types(step.name)[0])
    if op == "opaque":
        return str(args["target"]).rpartition(".")[2].rpartition(":")[2], ""
    if family == "conv" and "kernel" in args:
        return _convolution(graph, step)
    if op == "linear":
        return _named(step, f"{_size(graph.operands(step).x.shape[-1])} → {_size(args['out'])}")
    if op == "embedding":
        return _named(step, f"{args['num_embeddings']:,} × {_size(args['features'])}")
    return _TITLES.get(op, op.replace("_", " ")), _detail(op, family, args)


def _named(step: Step, sizes: str) -> tuple[str, str]:
    """A layer by the name that its module has, where that is a word: query, key and value look alike otherwise."""
    name = _last(module_path(step.name))
    if name.rstrip("_0123456789") in ("", step.op):
        return step.op, sizes
    return name, f"{step.op} {sizes}"


def _convolution(graph: Graph, step: Step) -> tuple[str, str]:
    args = step.args
    kernel = _by("×", args["kernel"])
    channels = graph.operands(step).x.shape[-1 - len(args["kernel"])]
    depthwise = args["groups"] > 1 and args["groups"] == channels
    name = "depthwise" if depthwise else "transposed conv" if "transpose" in step.op else "conv"
    notes = [_size(args["out"])]
    if set(args["stride"]) != {1}:
        notes.append("/" + _by("×", args["stride"], fold=True))
    if set(args.get("dilation", (1,))) != {1}:
        notes.append("dilation " + _by("×", args["dilation"], fold=True))
    if args["groups"] > 1 and not depthwise:
        notes.append(f"{args['groups']} groups")
    return f"{name} {kernel}", ", ".join(notes)


def _detail(op: str, family: str, args: Any) -> str:
    if family == "pool" and "kernel" in args:
        stride = args.get("stride")
        return _by("×", args["kernel"]) + (", /" + _by("×", stride, fold=True) if stride and set(stride) != {1} else "")
    if "output_size" in args and args["output_size"]:
        return "→ " + _by("×", args["output_size"])
    if family == "recurrent" and "hidden" in args:
        layers = f", {args['num_layers']} layers" if args.get("num_layers", 1) > 1 else ""
        return f"{args['hidden']}{layers}" + (", both ways" if args.get("bidirectional") else "")
    if op == "group_norm":
        return f"{args['groups']} groups"
    if op in ("cat", "stack", "softmax", "mean", "sum") and isinstance(args.get("dim"), int | tuple):
        return "axis " + _by(", ", args["dim"])
    if family == "arithmetic" and sum(type(value) is Edge for value in args.values()) < 2:
        numbers = [value for value in args.values() if isinstance(value, int | float) and not isinstance(value, bool)]
        return f"{numbers[0]:.4g}" if numbers else ""
    return ""


def _by(sign: str, values: Any, fold: bool = False) -> str:
    values = values if isinstance(values, tuple | list) else (values,)
    if fold and len(set(values)) == 1:
        return _size(values[0])
    return sign.join(map(_size, values))


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _size(size: Any) -> str:
    return str(size).replace("*", "") if isinstance(size, Size) else str(size)


def shape_text(type_: TensorType) -> str:
    """A shape as edges are labelled with it.

    >>> from netloom.ops import Size
    >>> shape_text(TensorType("float32", (4 * Size.symbol("N"), 64, 7))), shape_text(TensorType("float32", ()))
    ('4N×64×7', 'scalar')
    """
    return "×".join(map(_size, type_.shape)) if type_.shape else "scalar"


def count_text(count: int) -> str:
    """A large number in three digits.

    >>> count_text(25_557_032), count_text(999), count_text(4_089_184_256)
    ('25.6M', '999', '4.09G')
    """
    if count < 1000:
        return str(count)
    units = "KMGTPE"
    size, unit = count / 1000, 0
    while size >= 999.5 and unit + 1 < len(units):
        size, unit = size / 1000, unit + 1
    return f"{size:.3g}{units[unit]}"


def summary_text(num_params: int, flops: int) -> str:
    """What a closed box says of its inside."""
    parts = [f"{count_text(num_params)} params"] if num_params else []
    parts += [f"{count_text(flops)} FLOPs"] if flops else []
    return " · ".join(parts)


def facts(graph: Graph, step: Step) -> dict[str, Any]:
    """What the page shows of a node: operator, attributes, weights, shapes, cost."""
    node = graph[step.name]
    found: dict[str, Any] = {"op": step.op}
    attrs = {name: _plain(value) for name, value in node.attrs.items() if value is not None}
    if attrs:
        found["attrs"] = attrs
    weights = {role: f"{key}  {shape_text(graph.tensors[key].type)}" for role, key in node.weights.items()}
    if weights:
        found["weights"] = weights
    read = [f"{edge}  {_typed(graph.type_of(edge))}" for edge in node.operands]
    if read:
        found["in"] = read
    found["out"] = [_typed(type_) for type_ in node.types]
    if node.num_params:
        found["params"] = node.num_params
    if node.flops:
        found["flops"] = node.flops
    if step.mode:
        found["mode"] = f"{step.mode} only"
    if step.scope:
        found["module"] = step.scope
    return found


def _typed(type_: TensorType) -> str:
    return f"{type_.dtype} {shape_text(type_)}"


def _plain(value: Any) -> str:
    """An attribute's value as text, in brief."""
    if isinstance(value, DType):
        return value.name
    if isinstance(value, tuple | list):
        inner = ", ".join(_plain(v) for v in value[:16]) + (", …" if len(value) > 16 else "")
        return f"({inner})"
    if isinstance(value, Edge | Weight):
        return str(value)
    text = _size(value)
    return text if len(text) <= 80 else text[:79] + "…"


def output_names(graph: Graph) -> list[tuple[str, Edge]]:
    """The values that the network returns, named by their place in what it returns."""
    found = [(path, leaf) for path, leaf in leaves(graph.result) if type(leaf) is Edge]
    return [(f"output {path}" if path and path[0].isdigit() else path or "output", edge) for path, edge in found]
