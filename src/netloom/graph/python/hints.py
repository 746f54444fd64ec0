"""What people call values: from the module or the call that makes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...ops import Edge
from ..graph import Step
from ..step import module_path
from .borders import Call, Program

_ROLES = {
    "q": "q", "k": "k", "v": "v", "query": "q", "key": "k", "value": "v", "q_proj": "q", "k_proj": "k", "v_proj": "v",
    "to_q": "q", "to_k": "k", "to_v": "v", "qkv": "qkv", "c_attn": "qkv", "in_proj": "qkv", "gate": "gate",
    "gate_proj": "gate", "up_proj": "up", "q_lin": "q", "k_lin": "k", "v_lin": "v", "query_key_value": "qkv",
    "downsample": "shortcut", "shortcut": "shortcut",
}  # fmt: skip
#: Operators whose results have a name of their own.
_OPERATORS = {
    "scaled_dot_product_attention": "x", "embedding": "x", "cos": "cos", "sin": "sin", "arange": "positions", "var": "var",
    "rsqrt": "scale",
    "zeros": "zeros", "ones": "ones", "full": "full", "empty": "noise", "rand": "noise", "randn": "noise",
    "bernoulli_like": "keep", "topk": "top", "cumsum": "sums", "eq": "mask", "ne": "mask", "lt": "mask", "le": "mask",
    "gt": "mask", "ge": "mask", "tril": "mask", "triu": "mask", "logical_and": "mask", "bitwise_and": "mask",
}  # fmt: skip
#: Names given only where no variable becomes free.
_WEAK = {"softmax": "weights", "mean": "mean", "sigmoid": "gate", "matmul": "scores", "rsqrt": "scale"}
_PARTS = {2: ("a", "b"), 3: ("q", "k", "v"), 4: ("i", "f", "g", "o")}


#: Operators that leave a value what it is.
_SAME = frozenset("""
    unsqueeze squeeze expand to contiguous reshape transpose permute clone dropout flatten repeat masked_fill
""".split())  # fmt: skip


@dataclass(frozen=True)
class Hint:
    """A name; a weak one stands back behind the name of an operand that is not needed any more."""

    text: str
    weak: bool = False


def name_for(made: Program, item: Any, place: int, count: int, depth: int = 8) -> Hint | None:
    """The name of result number ``place`` of ``count``."""
    if type(item) is Step and item.op in _SAME and depth and type(item.args["x"]) is Edge:
        return origin(made, item.args["x"], depth - 1)
    if type(item) is Call:
        last = item.path.rpartition(".")[2]
        if count > 1 and item.layer:
            step = item.items[0]
            assert isinstance(step, Step)
            return Hint({"lstm": "xhc", "lstm_cell": "hc"}.get(step.op, "xh")[place])
        if count == 1 and last in _ROLES:
            return Hint(_ROLES[last])
        step = item.items[0]
        if item.layer and type(step) is Step and step.op in _OPERATORS:
            return Hint(_OPERATORS[step.op])
        return None if count == 1 or place == 0 else Hint("y")
    if count > 1:
        return _part(made, item, place, count)
    if item.op == "getitem":
        return _slice(made, item)
    if item.op in _OPERATORS:
        return Hint(_OPERATORS[item.op])
    return Hint(_WEAK[item.op], weak=True) if item.op in _WEAK else None


def origin(made: Program, edge: Edge, depth: int = 8) -> Hint | None:
    """What an edge is called for what made it, however its shape has changed since."""
    ref = made.ref(edge)
    if type(ref) is not Edge:
        return None
    step = made.graph[ref.node].step
    if step.op == "input":
        return Hint("mask") if "mask" in step.name else None
    path = module_path(step.name)
    if path in made.calls:
        last = path.rpartition(".")[2]
        return Hint(_ROLES[last]) if last in _ROLES and len(made.graph.types(step.name)) == 1 else None
    plain_number = step.op in ("mul", "add", "div") and type(step.args["y"]) in (int, float)
    if (plain_number or step.op in ("getitem",)) and depth and type(step.args["x"]) is Edge:
        found = name_for(made, step, ref.index, len(made.graph.types(step.name)), 0)
        return found or origin(made, step.args["x"], depth - 1)
    return name_for(made, step, ref.index, len(made.graph.types(step.name)), depth)


def _part(made: Program, step: Step, place: int, count: int) -> Hint:
    if step.op in ("max_along", "min_along", "topk", "sort", "median_along", "kthvalue", "mode"):
        return Hint(("values", "indices")[place])
    if step.op in ("var_mean", "std_mean"):
        return Hint((step.op[:3], "mean")[place])
    if step.op in ("split", "unbind") and count == 3 and _attends(step.name):
        return Hint("qkv"[place])
    return Hint(f"x{place + 1}") if count > 2 or step.op != "split" else Hint(_PARTS[2][place])


def _attends(name: str) -> bool:
    return bool(re.search(r"att|qkv|mixer", name.lower()))


def _slice(made: Program, step: Step) -> Hint | None:
    """``q``, ``k`` and ``v`` where a stack of three is taken apart by number."""
    index, edge = step.args["index"], step.args["x"]
    if type(index) is tuple and len(index) == 1:
        index = index[0]
    if type(index) is int and 0 <= index < 3 and _attends(step.name) and type(edge) is Edge:
        shape = made.graph.type_of(edge).shape
        if shape and shape[0] == 3:
            return Hint("qkv"[index])
    return None


def fresh(stem: str, free: Callable[[str], bool]) -> str:
    """``stem``, with a number where it is taken."""
    name, number = stem, 2
    while not free(name):
        name, number = f"{stem}{number}", number + 1
    return name
