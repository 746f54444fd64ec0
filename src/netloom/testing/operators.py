"""Generated calls of operators: valid ones by operator, and altered ones that may be wrong.

`operator_calls` draws a `Call` of any registered operator: from its entry in `EXAMPLES` where it has one, else from what
its arguments declare. `altered` changes one thing about a call (a size, a rank, a dtype, an attribute): the rules must
still agree with torch on whether that is a call at all.

>>> from netloom.testing import operator_calls
>>> operator_calls("relu").example()  # doctest: +SKIP
Call(relu: x=float32[3, 1])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from ..ops import DType, Operator, TensorType, Weight, operator
from ..ops.arguments import MODULE, REQUIRED, Param
from ..ops.dtypes import DTYPES

#: dtypes that generated tensors have, most of them what networks use.
COMMON_DTYPES = ("float32", "float32", "float32", "float32", "float16", "bfloat16", "float64")
ALL_DTYPES = (*COMMON_DTYPES, "int64", "int32", "uint8", "bool", "complex64")


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor of a generated call: its type, and the half-open range its values are drawn from (None: normal)."""

    type: TensorType
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return str(self.type) + (f" in [{self.low}, {self.high})" if self.low is not None else "")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the operator named ``op``: ``args`` hold an `Operand` for each tensor, `Weight` for own weights, plain data."""

    op: str
    args: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Call({self.op}: {', '.join(f'{k}={_shown(v)}' for k, v in self.args.items())})"

    def with_args(self, **changes: Any) -> Call:
        """The same call with some arguments changed."""
        return replace(self, args={**self.args, **changes})


def _shown(value: Any) -> str:
    if isinstance(value, Operand):
        return str(value)
    if type(value) is tuple:
        return f"({', '.join(map(_shown, value))})"
    if isinstance(value, DType):
        return value.name
    return repr(value)


#: Operator → strategy of its arguments, for those whose arguments must fit together in ways that they do not declare.
EXAMPLES: dict[str, st.SearchStrategy[dict[str, Any]]] = {}


def operator_calls(name: str) -> st.SearchStrategy[Call]:
    """Calls of the operator called ``name``, most of them valid; `UnknownOperatorError` where there is none."""
    from . import examples, examples_data, examples_layers, examples_tensors  # noqa: F401  (importing fills EXAMPLES)

    kind = operator(name)
    strategy = EXAMPLES.get(name)
    return (strategy if strategy is not None else declared(kind)).map(lambda args: Call(name, args))


# -- tensors -----------------------------------------------------------------------------------------------------------
def sizes(low: int = 0) -> st.SearchStrategy[int]:
    """The size of one axis: small, sometimes 1, seldom 0."""
    usual = st.integers(max(low, 1), max(low, 1) + 4)
    return usual if low else st.integers(0, 9).flatmap(lambda i: st.integers(0, 1) if i == 9 else usual)


def shapes(min_rank: int = 0, max_rank: int = 5, low: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(sizes(low), min_size=min_rank, max_size=max_rank).map(tuple)


def dtypes(among: tuple[str, ...] = ALL_DTYPES) -> st.SearchStrategy[str]:
    return st.sampled_from(among)


def typed(
    dtype: str, shape: tuple[int, ...], low: float | None = None, high: float | None = None
) -> Operand:
    return Operand(TensorType(dtype, tuple(shape)), low, high)


@st.composite
def broadcastable(draw: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to ``shape``: axes left out in front, others of size 1."""
    start = draw(st.integers(0, len(shape))) if draw(st.booleans()) else 0
    return tuple(1 if size != 0 and draw(st.integers(0, 4)) == 0 else size for size in shape[start:])


@st.composite
def permutations_of(draw: Any, n: int) -> tuple[int, ...]:
    order = tuple(draw(st.permutations(range(n))))
    return tuple(i - n if draw(st.booleans()) else i for i in order)


def some_axes(rank: int, min_size: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    """Different axes of a tensor, some counted from the end."""
    if rank == 0:
        return st.just(())
    return st.lists(st.integers(0, rank - 1), min_size=min_size, max_size=rank, unique=True).flatmap(
        lambda axes: st.lists(st.booleans(), min_size=len(axes), max_size=len(axes)).map(
            lambda flips: tuple(a - rank if f else a for a, f in zip(axes, flips))
        )
    )


def one_axis(rank: int) -> st.SearchStrategy[int]:
    limit = max(rank, 1)
    return st.integers(-limit, limit - 1)


# -- from what an operator declares ------------------------------------------------------------------------------------
@st.composite
def declared(draw: Any, kind: Operator, dtype: str = "", shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """Arguments by the kinds, names and checks of an operator's parameters: tensors of shapes that broadcast together."""
    shape = draw(shapes()) if shape is None else shape
    dtype = dtype or draw(dtypes())
    args: dict[str, Any] = {}
    for position, param in enumerate(kind.params):
        if param.kind == "tensor":
            if param.default is None and draw(st.booleans()):
                continue
            other = draw(broadcastable(shape)) if args else shape
            args[param.name] = typed(dtype if draw(st.integers(0, 3)) else draw(dtypes()), other)
        elif param.kind == "operand":
            if param.default is None and draw(st.booleans()):
                continue
            if draw(st.integers(0, 3)) == 0:
                args[param.name] = draw(st.sampled_from([2, -1, 0.5, 3.0, True]))
            else:
                other = draw(broadcastable(shape)) if position else shape
                args[param.name] = typed(dtype if draw(st.integers(0, 3)) else draw(dtypes()), other)
        elif param.kind == "tensors":
            count = draw(st.integers(1, 4))
            args[param.name] = tuple(typed(dtype, shape) for _ in range(count))
        elif param.kind == "weight":
            if param.required or draw(st.booleans()):
                args[param.name] = Weight(param.name)
        elif param.required or draw(st.booleans()):
            args[param.name] = draw(attribute(param, len(shape)))
    if not any(isinstance(leaf, Operand) for leaf in args.values()):
        # Functions of plain numbers alone are Python's business.
        args |= {param.name: typed(dtype, shape) for param in kind.params[:1] if param.kind == "operand"}
    return args


_BY_NAME: dict[str, Callable[[int], st.SearchStrategy[Any]]] = {
    "dim": lambda rank: one_axis(rank),
    "dtype": lambda rank: dtypes().map(DType),
    "training": lambda rank: st.sampled_from([True, False, MODULE]),
    "p": lambda rank: st.sampled_from([0.0, 0.1, 0.5]),
    "eps": lambda rank: st.sampled_from([1e-5, 1e-3, 0.0]),
}


def attribute(param: Param, rank: int) -> st.SearchStrategy[Any]:
    """Values of an attribute: by its check, by its name, its default among them."""
    found: list[st.SearchStrategy[Any]] = []
    if param.name in _BY_NAME:
        found.append(_BY_NAME[param.name](rank))
    else:
        found.append(by_check(param.check, rank))
    if param.default is not REQUIRED:
        found.append(st.just(param.default))
    return st.one_of(found)


def by_check(check: Any, rank: int) -> st.SearchStrategy[Any]:
    """Values that a check made by `netloom.ops.arguments` accepts: its range is read from its closure."""
    maker = getattr(check, "__qualname__", "").partition(".")[0]
    bounds = inspect.getclosurevars(check).nonlocals if inspect.isfunction(check) else {}
    low, high = bounds.get("low"), bounds.get("high")
    if maker == "integer":
        return st.integers(-2 if low is None else low, min(4 if low is None else low + 4, 10**6 if high is None else high))
    if maker == "ints":
        limits = inspect.getclosurevars(bounds["one"]).nonlocals if "one" in bounds else {}
        one = st.integers(limits.get("low") or 0, (limits.get("low") or 0) + 3)
        n = bounds.get("n")
        return st.lists(one, min_size=n or 0, max_size=n or 4).map(tuple)
    if maker in ("number", "real"):
        bounds = bounds if maker == "number" else inspect.getclosurevars(bounds["checked"]).nonlocals
        low, high = bounds.get("low"), bounds.get("high")
        options = [v for v in (0.5, 0.0, 1.0, -1.0, 2.5, 0.1) if (low is None or v >= low) and (high is None or v <= high)]
        return st.sampled_from(options)
    if maker == "choice":
        return st.sampled_from(list(bounds["options"]))
    if maker == "optional":
        return st.one_of(st.none(), by_check(bounds["check"], rank))
    if maker == "either":
        return st.one_of([by_check(option, rank) for option in bounds["checks"]])
    if maker == "boolean":
        return st.booleans()
    if maker == "flag":
        return st.sampled_from([True, False, MODULE])
    if maker == "dtype_attr":
        return dtypes().map(DType)
    if maker == "scalar":
        return st.sampled_from([0, 1, -1.5, True])
    return st.sampled_from([0, 1, 2])


# -- calls that may be wrong -------------------------------------------------------------------------------------------
@st.composite
def altered(draw: Any, call: Call, attributes: bool = True) -> Call:
    """``call`` with one thing changed: a size, the rank or dtype of an operand, its absence, or an attribute."""
    kind = operator(call.op)
    names = [name for name in call.args if attributes or kind.by_name[name].kind != "attr"]
    places = [name for name in names if _alterable(call.args[name])]
    if not places:
        return call
    name = draw(st.sampled_from(places))
    value = call.args[name]
    if isinstance(value, Operand):
        if kind.by_name[name].default is None and draw(st.integers(0, 5)) == 0:
            return call.with_args(**{name: None})
        return call.with_args(**{name: draw(altered_operand(value))})
    inside = [i for i, part in enumerate(value) if isinstance(part, Operand)] if type(value) is tuple else []
    if inside:
        position = draw(st.sampled_from(inside))
        changed = draw(altered_operand(value[position]))
        return call.with_args(**{name: (*value[:position], changed, *value[position + 1 :])})
    return call.with_args(**{name: draw(altered_data(value))})


def _alterable(value: Any) -> bool:
    return not isinstance(value, Weight | str | type(None)) and value != ()


@st.composite
def altered_operand(draw: Any, operand: Operand) -> Operand:
    dtype, shape = operand.type
    way = draw(st.integers(0, 5))
    if way == 0:
        others = [d for d in dict.fromkeys((*ALL_DTYPES, "int16")) if d != dtype]
        return replace(operand, type=TensorType(draw(st.sampled_from(others)), shape))
    axis = draw(st.integers(0, max(len(shape) - 1, 0)))
    if way == 1 or not shape:
        changed = (*shape[:axis], draw(st.integers(1, 3)), *shape[axis:])
    elif way == 2:
        changed = shape[:axis] + shape[axis + 1 :]
    else:
        size = draw(st.sampled_from([0, 1, shape[axis] + 1, max(shape[axis] - 1, 0), shape[axis] * 2]))
        changed = (*shape[:axis], size, *shape[axis + 1 :])
    return replace(operand, type=TensorType(dtype, changed))


#: What people and documents put where something else belongs: sizes out of range, other kinds, the ends of the number line.
STRANGE: tuple[Any, ...] = (
    0, 1, -1, 2, -2, 3, 7, 64, 300, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63), 2**63, 2**64, 10**400,
    0.0, -0.0, 0.5, 1.0, -1.0, 1.5, 1e-30, 1e30, -1e30, float("inf"), float("-inf"), float("nan"), True, False, None,
    "", "same", "mean", "module", "none", "x", (), (0,), (1,), (1, 2), (-1,), (1, 2, 3), (2, 2), (0, 0), ((1, 2), (3, 4)),
    (None,), (None, 2), 1j, DType("int64"), DType("float32"), DType("bool"), DType("complex64"), DType("nope"), Ellipsis,
)  # fmt: skip
_STRANGE_SHAPES = (
    (), (0,), (1,), (2,), (0, 0), (1, 0), (0, 3), (2, 3), (1, 1, 1), (2, 0, 3), (2, 3, 4), (1, 2, 0, 3), (1, 1, 1, 1, 1),
)  # fmt: skip


@st.composite
def strange(draw: Any, call: Call) -> Call:
    """``call`` with one or two arguments replaced by `STRANGE` ones, or operands by others of any dtype and shape."""
    kind = operator(call.op)
    for _ in range(draw(st.integers(1, 2))):
        places = [p.name for p in kind.params if p.kind in ("attr", "operand")] + ["*"] * 2
        name = draw(st.sampled_from(places))
        if name == "*":
            call = draw(_strange_operand(call))
            continue
        value, old = draw(st.sampled_from(STRANGE)), call.args.get(name)
        if type(old) is tuple and old and not isinstance(old[0], Operand) and draw(st.booleans()):
            position = draw(st.integers(0, len(old) - 1))
            value = (*old[:position], value, *old[position + 1 :])
        if kind.by_name[name].kind == "attr" or isinstance(value, int | float | complex):
            call = call.with_args(**{name: value})
    return call


@st.composite
def _strange_operand(draw: Any, call: Call) -> Call:
    """Another dtype or shape for one operand, or another dtype for all that share one."""
    found = {name: value for name, value in call.args.items() if isinstance(value, Operand)}
    if not found:
        return call
    name = draw(st.sampled_from(sorted(found)))
    dtype, shape = found[name].type
    way = draw(st.integers(0, 3))
    if way == 0:
        return call.with_args(**{name: draw(altered_operand(found[name]))})
    if way == 1:
        return call.with_args(**{name: replace(found[name], type=TensorType(dtype, draw(st.sampled_from(_STRANGE_SHAPES))))})
    other = draw(st.sampled_from(sorted(DTYPES)))
    alike = [name] if way == 2 else [each for each, value in found.items() if value.type.dtype == dtype]
    return call.with_args(**{each: replace(found[each], type=TensorType(other, found[each].type.shape)) for each in alike})


def altered_data(value: Any) -> st.SearchStrategy[Any]:
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, DType):
        return st.sampled_from([DType(name) for name in DTYPES if name in ALL_DTYPES])
    if isinstance(value, int):
        return st.sampled_from([value + 1, value - 1, 0, 1, -1, -value, value * 2, value + 7])
    if isinstance(value, float):
        return st.sampled_from([-value, 0.0, value + 1, -1.0, 2.0])
    if type(value) is tuple and value and all(isinstance(v, int) for v in value):
        position = st.integers(0, len(value) - 1)
        changed = position.flatmap(
            lambda i: altered_data(value[i]).map(lambda v: (*value[:i], v, *value[i + 1 :]))
        )
        return st.one_of(changed, changed, st.just(value[:-1]), st.just((*value, 1)))
    return st.just(value)
