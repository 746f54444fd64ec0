"""Changes of a node's attributes: kernels with the padding that goes with them, strides, dilations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import EditError, NetloomError
from ..graph.builder import unique
from ..graph.graph import Graph, Step, default_scope
from ..ops import Edge, TensorType, Weight, operator
from .atoms import NEW
from .growing import ZERO
from .plan import Move, Stage
from .rewiring import remade

if TYPE_CHECKING:
    import numpy as np


def changed(graph: Graph, name: str, attributes: Mapping[str, Any], state: Mapping[str, Any] | None) -> Stage:
    """The stage in which a node has other attributes; `EditError` where the network would not fit together."""
    step = graph[name].step
    kind = operator(step.op)
    sizes = [word for word in attributes if word in kind.by_name and word in ("out", "groups", "normalized_shape")]
    if sizes:
        raise EditError(f"{sizes[0]} of {step.op} {name!r} is a size; use edit[{name!r}].resize(…)")
    title = f"change {name}: {', '.join(f'{word} = {value}' for word, value in attributes.items())}"
    rest = dict(attributes)
    moves: dict[str, Move] = {}
    extra: dict[str, list[Step]] = {}
    reasons: list[str] = []
    table = dict(graph.tensors)
    steps = {name: step}
    if isinstance(step.args.get("weight"), Weight) and {"kernel", "dilation"} & kind.by_name.keys() & rest.keys():
        kernel, dilation = rest.pop("kernel", step.args["kernel"]), rest.pop("dilation", step.args["dilation"])
        resized = _Kernel(graph, step, kernel, dilation, rest.pop("padding", None), state)
        steps, extra = resized.steps, resized.extra
        table[resized.key] = replace(table[resized.key], type=resized.type)
        moves, reasons = resized.moves, resized.reasons
    args = {**steps[name].args, **rest}
    if rest:
        reasons.append(f"{', '.join(rest)} of {name!r} changes")
    try:
        kind.check(args)
        steps[name] = replace(step, args=args)
        found: list[Step] = []
        for other in graph.steps:
            found += [*extra.get(other.name, ()), steps.get(other.name, other)]
        made = remade(graph, found, table)
    except NetloomError as error:
        raise EditError(f"{step.op} {name!r} cannot change so: {error}") from error
    return Stage(title, made, moves, {}, tuple(reasons))


class _Kernel:
    """A convolution with a kernel of another size or dilation, and the padding that keeps the size of its result.

    ``steps`` are all calls with its weight, ``extra`` what comes before them.
    """

    def __init__(
        self, graph: Graph, step: Step, kernel: Any, dilation: Any, padding: Any, state: Mapping[str, Any] | None
    ) -> None:
        self.graph, self.old = graph, step
        weight = step.args["weight"]
        self.key = graph.tensors[weight.key].alias_of or weight.key
        type_ = graph.tensors[self.key].type
        rank = type_.rank - 2
        sizes, self.dilation = _numbers(step, "kernel", kernel, rank), _numbers(step, "dilation", dilation, rank)
        if step.op.startswith("conv_transpose"):
            raise EditError(f"the kernel of {step.op} {step.name!r} cannot change; only that of convolutions can")
        before = type_.shape[2:]
        self.type = TensorType(type_.dtype, (*type_.shape[:2], *sizes))
        codes = tuple(None if a == b else self._codes(i + 2, a, b, state) for i, (a, b) in enumerate(zip(before, sizes)))
        fill = tuple(ZERO if c is not None and (c == NEW).any() else "" for c in codes)
        self.moves = {} if all(c is None for c in codes) else {
            self.key: Move((None, None, *codes), ("", "", *fill), ("",) * (rank + 2))
        }  # fmt: skip
        self.reasons = [f"the kernel of {step.name!r} loses cells"] if any(b < a for a, b in zip(before, sizes)) else []
        if self.dilation != step.args["dilation"]:
            self.reasons.append(f"dilation of {step.name!r} changes")
        self.extra: dict[str, list[Step]] = {}
        calls = [s for s in graph.steps if any((graph.tensors[w.key].alias_of or w.key) == self.key for w in s.weights)]
        self.steps = {
            call.name: self._padded(call, before, sizes, padding if call.name == step.name else None)
            for call in calls
            if call.op == step.op
        }

    def _codes(self, axis: int, old: int, new: int, state: Mapping[str, Any] | None) -> np.ndarray[Any, Any]:
        import numpy as np

        if new > old:
            front = (new - old) // 2
            return np.array([NEW] * front + list(range(old)) + [NEW] * (new - old - front))
        weight = np.ones(old)
        if state is not None:
            other = [i for i in range(self.type.rank) if i != axis]
            weight = state[self.key].detach().abs().double().mean(dim=other).cpu().numpy()
        distance = np.abs(np.arange(old) - (old - 1) / 2) / (1 + weight)
        # Cells that stay are neighbours: a kernel with a hole would be another convolution.
        start = min(range(old - new + 1), key=lambda i: (distance[i : i + new].sum(), abs(i - (old - new) / 2)))
        return np.arange(start, start + new)

    def _padded(self, step: Step, before: tuple[int, ...], sizes: tuple[int, ...], padding: Any) -> Step:
        rank, old = len(sizes), step.args["dilation"]
        dilation = self.dilation if step.name == self.old.name else old
        args = {**step.args, "kernel": sizes, "dilation": dilation}
        if padding is not None:
            args["padding"] = padding
            self.reasons.append(f"padding of {step.name!r} changes")
            return replace(step, args=args)
        if isinstance(args["padding"], str):
            return replace(step, args=args)
        more = [d * (b - 1) - c * (a - 1) for a, b, c, d in zip(before, sizes, old, dilation)]
        if all(m % 2 == 0 for m in more):
            args["padding"] = tuple(p + m // 2 for p, m in zip(args["padding"], more))
        if any(m % 2 for m in more) or min(args["padding"]) < 0:
            args["padding"] = (0,) * rank
            args["x"] = self._pad(step, [(p + m // 2, p + m - m // 2) for p, m in zip(step.args["padding"], more)])
        return replace(step, args=args)

    def _pad(self, step: Step, sides: list[tuple[int, int]]) -> Edge:
        """Padding that differs from side to side, by a node of its own; less than nothing crops."""
        name = unique(f"{step.name}.pad".lstrip("."), set(self.graph.all_types))
        flat = tuple(n for pair in reversed(sides) for n in pair)
        args = operator("pad").check({"x": step.args["x"], "padding": flat})
        self.extra[step.name] = [Step(name, "pad", args, default_scope(name, "pad", args))]
        return Edge(name)


def _numbers(step: Step, word: str, value: Any, rank: int) -> tuple[int, ...]:
    found = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(found) != rank or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in found):
        raise EditError(f"{word} = {value!r} for {step.op} {step.name!r}; expected {rank} whole numbers of at least 1")
    return found
