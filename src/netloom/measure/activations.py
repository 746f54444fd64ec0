"""`activation_bytes`: what a graph's inner values need, worked out without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graph.tree import edges
from ..ops import Edge, Size, TensorType, operator
from .subject import whole_number

if TYPE_CHECKING:
    from ..graph.graph import Graph, Step

#: Calls whose derivative needs none of their values, and families that only move numbers about.
KEEP_NOTHING = frozenset({"add", "sub", "neg", "positive", "sum", "mean", "to", "lerp", "round", "floor", "ceil", "sign"})
_MOVING = frozenset({"join", "permute", "view", "layout", "expand", "indexing", "padding", "source", "rearrange"})
#: Calls whose derivative is a function of their result, or of operands and result.
KEEP_RESULT = frozenset(
    {"relu", "sigmoid", "tanh", "exp", "sqrt", "rsqrt", "reciprocal", "softmax", "log_softmax", "softmin", "threshold"}
)
KEEP_BOTH = frozenset(
    {"scaled_dot_product_attention", "lstm", "gru", "rnn_tanh", "rnn_relu", "max", "min", "amax", "amin", "logsumexp", "prod"}
)


def activation_bytes(graph: Graph, *, batch: int = 1, train: bool = False) -> int:
    """Bytes that the inner values and the output of a graph need, inputs and parameters apart.

    In evaluation the most that is alive at once when calls are made in order and values go with their last reader; views and
    calls that a network makes in place take no memory of their own. With ``train`` the sum of what the backward pass needs:
    the operands of calls that are not linear in them, the results of those whose derivative is a function of the result; no
    gradients, and no intermediate values inside of a call. Other free sizes are as they were in the trace.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> graph = nl.Graph(x, nl.conv2d(nl.relu(nl.conv2d(x, 16, kernel=1)), 4, kernel=1))
    >>> activation_bytes(graph) == 4 * (16 + 4) * 8 * 8 == activation_bytes(graph, batch=3) // 3
    True
    """
    whole_number("batch", batch)
    sizes = {**graph.symbols, "N": batch}
    steps = [step for step in graph.steps if step.mode != ("eval" if train else "train")]
    owner = _storages(graph, steps)
    needed = {edge: _bytes_of(graph.type_of(edge), sizes) for edge in owner if owner[edge] == edge}
    if train:
        kept = {owner.get(edge) for step in steps for edge in _saved(graph, step)}
        return sum(needed.get(edge, 0) for edge in kept if edge is not None)
    return _most_alive(graph, steps, owner, needed)


def _saved(graph: Graph, step: Step) -> list[Edge]:
    """The values that the backward pass of a call needs."""
    kind = operator(step.op)
    if step.op in KEEP_NOTHING or kind.family in _MOVING or kind.view:
        return []
    made = [Edge(step.name, i) for i in range(len(graph.types(step.name)))]
    if step.op in KEEP_RESULT:
        return made
    return [*step.edges, *(made if step.op in KEEP_BOTH else [])]


def _storages(graph: Graph, steps: list[Step]) -> dict[Edge, Edge]:
    """Value → the value whose memory it has; inputs, parameters and constants have none of interest."""
    readers: dict[Edge, int] = {}
    for edge in [edge for step in steps for edge in step.edges] + list(edges(graph.result)):
        readers[edge] = readers.get(edge, 0) + 1
    owner: dict[Edge, Edge] = {}
    saved = {step.name: operator(step.op).saves_output for step in steps}
    for step in steps:
        kind = operator(step.op)
        if kind.family == "source":
            continue
        first = step.edges[0] if step.edges else None
        for index, made in enumerate(graph.types(step.name)):
            edge = Edge(step.name, index)
            alone = first in owner and readers.get(first, 0) == 1 and not saved.get(first.node, True)
            over = bool(kind.inplace) and alone and first is not None and graph.type_of(first) == made
            owner[edge] = edge
            if first is not None and (kind.view or over):
                # A view of an input or a parameter has no memory of its own either, and none that counts.
                owner[edge] = owner.get(first, first)
    return owner


def _most_alive(graph: Graph, steps: list[Step], owner: dict[Edge, Edge], needed: dict[Edge, int]) -> int:
    last: dict[Edge, int] = {}
    for place, step in enumerate(steps):
        for edge in (*step.edges, *(Edge(step.name, i) for i in range(len(graph.types(step.name))))):
            last[owner.get(edge, edge)] = place
    for edge in edges(graph.result):
        last[owner.get(edge, edge)] = len(steps)
    leaving: dict[int, list[Edge]] = {}
    for edge, place in last.items():
        leaving.setdefault(place, []).append(edge)
    alive = most = 0
    for place, step in enumerate(steps):
        alive += sum(needed.get(Edge(step.name, i), 0) for i in range(len(graph.types(step.name))))
        most = max(most, alive)
        alive -= sum(needed.get(edge, 0) for edge in leaving.get(place, ()))
    return most


def _bytes_of(kind: TensorType, sizes: dict[str, int]) -> int:
    count: Any = kind.numel
    return int(count.at(sizes) if isinstance(count, Size) else count) * itemsize(kind.dtype)


def itemsize(dtype: str) -> int:
    """Bytes of one number of a dtype.

    >>> itemsize("float32"), itemsize("bool"), itemsize("bfloat16"), itemsize("complex64")
    (4, 1, 2, 8)
    """
    bits = "".join(character for character in dtype.partition("_")[0] if character.isdigit())
    if dtype.startswith("float8"):
        return 1
    return max(1, int(bits or 8) // 8)
