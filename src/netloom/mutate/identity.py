"""New layers that change nothing: which fresh weights make an inserted piece give what it takes."""

from __future__ import annotations

from typing import Any

from ..graph.graph import Graph, Step
from ..ops import Edge, Weight, operator
from ..ops.dims import labels
from ..ops.operator import pretty

#: Rules for fresh weights by key; see `transfer`.
Rules = dict[str, tuple[Any, ...]]
#: Operators whose results are never negative, and those that keep a value from becoming so.
_NON_NEGATIVE = frozenset({"relu", "relu6", "sigmoid", "hardsigmoid", "softplus", "exp", "abs", "square", "softmax"})
_KEEP_SIGN = frozenset({
    "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool2d",
    "adaptive_max_pool2d", "flatten", "reshape", "permute", "transpose", "dropout", "dropout2d", "contiguous",
})  # fmt: skip
#: Operators that give what they take where it is never negative, or always in evaluation mode.
_RECTIFIERS = frozenset({"relu", "leaky_relu", "prelu", "abs", "rrelu", "celu", "elu"})
#: Operators that a rectifier behind them does not notice: they change negative values alone, and leave them negative or zero.
_UNNOTICED = frozenset({"relu", "celu", "elu"})
_PASS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "identity"})


class Identity:
    """Works out rules of initialisation under which the value ``exit`` equals the value ``entry``.

    ``new`` are the nodes that may be initialised. Where only rectifiers read ``exit`` (``rectified``), negative values may
    differ. `rules` is None where there are no such rules; `reason` then says why.
    """

    def __init__(self, graph: Graph, new: frozenset[str], entry: Edge, exit: Edge, rectified: bool = False) -> None:
        self.graph, self.new, self.entry = graph, new, entry
        self.reason = ""
        while rectified and exit.node in new and graph[exit.node].op in _UNNOTICED:
            exit = _first(graph[exit.node].step)
        self.rules = self._same(exit)

    def _same(self, edge: Edge) -> Rules | None:
        """Rules under which a value equals the entry."""
        if edge == self.entry:
            return {}
        if edge.node not in self.new:
            return self._fail(f"{edge.node!r} is not new")
        step = self.graph[edge.node].step
        if step.op in _PASS:
            return self._same(_first(step))
        if step.op in ("linear", "conv1d", "conv2d", "conv3d"):
            own = self._identity_layer(step)
            return self._joined(own, self._same(_first(step))) if own is not None else None
        if step.op == "batch_norm":
            return self._joined(self._neutral_norm(step), self._same(_first(step)))
        if step.op in _RECTIFIERS:
            inner = self._same(_first(step))
            if inner is not None and not self._non_negative(self.entry):
                return self._fail(f"{step.op} {step.name!r} changes negative values")
            return inner
        if step.op == "add" and step.args.get("alpha", 1) == 1:
            return self._same_sum(step)
        return self._fail(f"{step.op} {step.name!r} gives something else whatever its weights")

    def _same_sum(self, step: Step) -> Rules | None:
        operands = [value for value in (step.args["x"], step.args["y"]) if isinstance(value, Edge)]
        if len(operands) == 2:
            for one, other in (operands, operands[::-1]):
                found = self._joined(self._same(one), self._zero(other))
                if found is not None:
                    return found
        return self._fail(f"add {step.name!r} has no operand that can be zero")

    def _zero(self, edge: Edge) -> Rules | None:
        """Rules under which a value is zero: those of the last layer that can be, so that all before it learns."""
        if edge.node not in self.new:
            return self._fail(f"{edge.node!r} is not new")
        step = self.graph[edge.node].step
        own = {role: ref.key for role, ref in step.args.items() if isinstance(ref, Weight)}
        kind = operator(step.op)
        if step.op == "batch_norm" and "weight" in own:
            return {key: ("constant", 0.0) for role, key in own.items() if role in ("weight", "bias")}
        if own and self._zeroes(step, frozenset(own)):
            return {key: ("constant", 0.0) for role, key in own.items() if role not in kind.buffers()}
        if not own and step.args.get("x") is not None and self._zeroes(step, frozenset({"x"})):
            return self._zero(_first(step))
        return self._fail(f"{step.op} {step.name!r} cannot be made zero")

    def _zeroes(self, step: Step, names: frozenset[str]) -> bool:
        kind, types = operator(step.op), self.graph.operands(step)
        rule = kind.dims(types, self.graph.types(step.name))
        row = rule.outputs[0]
        return any(kind.zeroes(types, label, names) for axis in row[1:2] or row for label in labels(axis))

    def _identity_layer(self, step: Step) -> Rules | None:
        """Rules under which a layer gives what it takes; what it gives beyond the features of the entry comes behind them."""
        a = self.graph.operands(step)
        shapes = [self.graph.type_of(_first(step)).shape, self.graph.types(step.name)[0].shape]
        axis = a.x.rank + 1 - a.weight.rank if step.op != "linear" else a.x.rank - 1
        size = self.graph.type_of(self.entry).shape[axis]
        rest = [[length for i, length in enumerate(shape) if i != axis] for shape in shapes]
        wider = shapes[0] != shapes[1] or shapes[0][axis] != size
        features = self.graph[self.entry.node].feature_axis if self.entry.index == 0 else None
        fits = rest[0] == rest[1] and min(shape[axis] for shape in shapes) >= size
        if not fits or (wider and (getattr(a, "groups", 1) != 1 or axis != features)):
            return self._fail(f"{step.op} {step.name!r} gives {pretty(shapes[1])} for {pretty(shapes[0])}")
        if any(size % 2 == 0 for size in a.weight.shape[2:]):
            return self._fail(f"{step.op} {step.name!r} has a kernel without a middle")
        if not isinstance(step.args["weight"], Weight):
            return self._fail(f"{step.op} {step.name!r} has a computed weight")
        key = step.args["weight"].key
        more = (size, *self.graph.tensors[key].init) if wider else ()
        found: Rules = {key: ("identity", getattr(a, "groups", 1), *more)}
        if isinstance(step.args["bias"], Weight):
            found[step.args["bias"].key] = ("constant", 0.0)
        return found

    def _neutral_norm(self, step: Step) -> Rules | None:
        """A batch norm by running statistics is neutral where scale² = variance + eps: not by default, eps is in the way."""
        args = step.args
        if not isinstance(args["running_var"], Weight) or step.args["training"] is True:
            return self._fail(f"batch_norm {step.name!r} has no running statistics")
        return {args["running_var"].key: ("constant", 1.0 - args["eps"])}

    def _non_negative(self, edge: Edge) -> bool:
        step = self.graph[edge.node].step
        while step.op in _KEEP_SIGN:
            step = self.graph[_first(step).node].step
        return step.op in _NON_NEGATIVE

    def _joined(self, one: Rules | None, other: Rules | None) -> Rules | None:
        return None if one is None or other is None else {**one, **other}

    def _fail(self, reason: str) -> Rules | None:
        self.reason = self.reason or reason
        return None


def _first(step: Step) -> Edge:
    edge = step.args["x"]
    return edge if isinstance(edge, Edge) else Edge("")
