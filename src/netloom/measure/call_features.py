"""What a call costs in numbers that its graph tells: how often, how many operations, how many bytes; by kind of operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..ops import Edge, Size, Weight, operator
from .activations import itemsize

if TYPE_CHECKING:
    from ..graph.graph import Graph, Step

#: What is added up for each kind of call, in units that keep sums near one: calls, 10⁶ FLOPs, 10⁶ bytes read and written.
NUMBERS = ("calls", "megaflops", "megabytes")
#: Stands for all calls together; what a kind that was never measured costs comes from it.
ANY = "any"


def call_features(graph: Graph, batch: int = 1) -> dict[str, tuple[float, float, float]]:
    """Kind of call → its calls, megaflops and megabytes in one evaluation of ``batch`` samples.

    Kinds are operators; convolutions are told apart by kernel and groups, as their kernels are different programs.

    >>> import netloom as nl
    >>> x = nl.input(8, 16, 16)
    >>> found = call_features(nl.Graph(x, nl.relu(nl.conv2d(x, 8, kernel=3, padding=1))), batch=2)
    >>> list(found)
    ['any', 'conv2d k×k', 'relu']
    >>> found["conv2d k×k"]
    (1.0, 0.589824, 0.035104)
    """
    sizes = {**graph.symbols, "N": batch}
    found: dict[str, list[float]] = {ANY: [0.0, 0.0, 0.0]}
    for step in graph.steps:
        kind = operator(step.op)
        if kind.family == "source" or step.mode == "train":
            continue
        outputs = graph.types(step.name)
        flops = _number(kind.flops(graph.operands(step), outputs), sizes) / 1e6
        moved = 0.0 if kind.view else _megabytes(graph, step, sizes)
        for name in (ANY, kind_of(graph, step)):
            row = found.setdefault(name, [0.0, 0.0, 0.0])
            row[0], row[1], row[2] = row[0] + 1, row[1] + flops, row[2] + moved
    return {name: (row[0], row[1], row[2]) for name, row in found.items()}


def kind_of(graph: Graph, step: Step) -> str:
    """The kind of a call: its operator, of a convolution also whether it is pointwise, grouped or depthwise."""
    if operator(step.op).family != "conv" or "kernel" not in step.args:
        return step.op
    groups = step.args.get("groups", 1)
    if groups > 1:
        channels = graph.type_of(step.edges[0]).shape[1]
        return f"{step.op} {'depthwise' if groups == channels else 'grouped'}"
    kernel = step.args["kernel"]
    flat = kernel if isinstance(kernel, tuple) else (kernel,)
    return f"{step.op} {'1×1' if set(flat) == {1} else 'k×k'}"


def _megabytes(graph: Graph, step: Step, sizes: dict[str, int]) -> float:
    read: list[Edge | Weight] = [*step.edges, *step.weights]
    kinds = [*map(graph.type_of, read), *graph.types(step.name)]
    return sum(_number(kind.numel, sizes) * itemsize(kind.dtype) for kind in kinds) / 1e6


def _number(size: Any, sizes: dict[str, int]) -> float:
    return float(size.at(sizes) if isinstance(size, Size) else size)
