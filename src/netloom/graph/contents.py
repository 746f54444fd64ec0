"""What single parts of a graph are, as text: plain data, types of tensors, attributes of operators; names left out.

The texts enter the canonical hash: different data have different texts, on every Python and every machine.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ..errors import GraphError
from ..ops import REGISTRY, DType, Edge, Operator, Size, Slice, TensorType, Weight, operator

PLAIN = frozenset({int, float, bool, str, complex, bytes, type(None), type(Ellipsis)})
#: Texts of attributes that are kept per operator.
MAX_KNOWN = 4096

Ref = Edge | Weight
#: Symbol → its canonical name.
Naming = Mapping[str, str]


def text(value: Any, refs: list[Ref], naming: Naming) -> str:
    """Plain data as text, different for different data on every Python; edges and weights go to ``refs``."""
    kind = type(value)
    if kind in PLAIN:
        return ascii(value)
    if kind is Edge or kind is Weight:
        refs.append(value)
        return "@" if kind is Edge else "#"
    if kind is Size:
        return _size_text(value, tuple(naming.items()))
    if kind is DType:
        return f"<{value.name!a}>"
    if kind is Slice:
        return f"slice({text(value.start, refs, naming)}, {text(value.stop, refs, naming)}, {text(value.step, refs, naming)})"
    if isinstance(value, tuple | list):
        shown = ", ".join([text(entry, refs, naming) for entry in value])
        if isinstance(value, list):
            return f"[{shown}]"
        return f"({shown},)" if len(value) == 1 else f"({shown})"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return "{" + ", ".join([f"{key!a}: {text(value[key], refs, naming)}" for key in sorted(value)]) + "}"
    bases: tuple[Any, ...] = (bool, int, float, complex, str)
    for plain in bases:
        if isinstance(value, plain):
            return ascii(plain(value))
    raise GraphError(f"{value!r} ({kind.__name__}) is no plain data: numbers, strings, None; tuples, lists, dicts of them")


@lru_cache(4096)
def _size_text(size: Size, naming: tuple[tuple[str, str], ...]) -> str:
    names = dict(naming)
    return f"<{size.substitute({symbol: Size.symbol(names.get(symbol, f'?{symbol!a}')) for symbol in size.symbols})}>"


@lru_cache(1 << 16)
def type_text(kind: str, type: TensorType) -> str:
    # Not the sizes' own text: equal types must have one text, whichever of 1 and True comes first.
    sizes = ", ".join(str(int(size)) if isinstance(size, int) else f"<{size}>" for size in type.shape)
    return f"{kind!a} {type.dtype!a} ({sizes})"


class Plan:
    """How to read the arguments of an operator: which hold tensors (interchangeable ones first), weights, plain data."""

    __slots__ = ("kind", "pair", "tensors", "weights", "attrs", "values", "defaults", "writes", "known", "only", "only_mark")

    def __init__(self, kind: Operator) -> None:
        self.kind, self.pair = kind, kind.commutative
        rest = [param for param in kind.params if param.name not in self.pair]
        self.tensors = (*self.pair, *(p.name for p in rest if p.kind in ("tensor", "tensors", "operand")))
        #: The argument of an operator that reads one value, and how its text shows it.
        self.only = self.tensors[0] if len(self.tensors) == 1 else ""
        self.only_mark = f" {self.only}"
        #: Roles, and how the text shows that the node owns a tensor in each.
        self.weights = tuple((p.name, f" {p.name}=#") for p in rest if p.kind == "weight")
        self.attrs = tuple(p.name for p in rest if p.kind not in ("tensor", "tensors", "operand", "weight"))
        self.values: Callable[[Mapping[str, Any]], Any] = itemgetter(*self.attrs) if self.attrs else _nothing
        self.defaults = {p.name: "" if p.required else text(p.default, [], {}) for p in kind.params}
        #: The arguments that may hold tensors it writes.
        self.writes = tuple(sorted(kind.buffers()) or kind.by_name) if kind.effect == "write" else ()
        #: Texts of plain attributes by their bytes, because samples of a space repeat the same few.
        self.known: dict[bytes, str] = {}

    def packed(self, args: Mapping[str, Any]) -> bytes:
        """The attributes as bytes, different for 1, 1.0 and True; empty where they hold more than plain data."""
        try:
            return marshal.dumps(self.values(args), 2)
        except ValueError:
            return b""

    def remember(self, packed: bytes, shown: str) -> None:
        if len(self.known) > MAX_KNOWN:
            self.known.clear()
        self.known[packed] = shown


#: Plans by the name of the operator; ask `plan_of`, which makes them.
plans: dict[str, Plan] = {}


def _nothing(args: Mapping[str, Any]) -> None:
    """The values of no attributes."""


def plan_of(op: str) -> Plan:
    plan = plans.get(op)
    if plan is None or plan.kind is not REGISTRY.get(op):
        plan = plans[op] = Plan(operator(op))
    return plan
