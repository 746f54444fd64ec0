"""What an operator's arguments are: the values they take, and the words that declare them with their ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .size import Size


class Edge(NamedTuple):
    """An operand: output ``index`` of the node called ``node``."""

    node: str
    # A tuple has a method of this name, which nobody needs of an edge.
    index: int = 0  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.node if self.index == 0 else f"{self.node}:{self.index}"


class Weight(NamedTuple):
    """An operand that is an entry of the graph's tensor table, by key."""

    key: str


class DType(NamedTuple):
    """A dtype as an attribute's value."""

    name: str


class Slice(NamedTuple):
    """A slice inside an index, as plain data; Ellipsis and None stand for themselves."""

    start: Any = None
    stop: Any = None
    step: Any = None


#: The value of a ``training`` attribute that follows the flag of the module that owns the call.
MODULE = "module"


class Missing:
    """Marks a parameter without default."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Missing()


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of an operator.

    ``kind``: ``tensor`` (an edge), ``tensors`` (a tuple of edges), ``operand`` (an edge or a number), ``weight`` (an
    entry of the tensor table, or an edge where the model computes it), ``attr`` (plain data). ``check`` takes the
    attribute's value and returns its normal form or raises `ValueError` saying what is expected. ``axis_of`` names the tensor
    whose rank turns a negative axis into its normal form.
    """

    name: str
    kind: str
    default: Any = REQUIRED
    check: Callable[[Any], Any] | None = None
    axis_of: str = ""
    help: str = ""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


# -- declaring arguments ---------------------------------------------------------------------------------------------
def tensor(name: str, default: Any = REQUIRED) -> Param:
    """A tensor operand; ``default=None`` makes it optional."""
    return Param(name, "tensor", default)


def tensors(name: str) -> Param:
    """An operand that is a non-empty tuple of tensors."""
    return Param(name, "tensors")


def operand(name: str, default: Any = REQUIRED) -> Param:
    """A tensor or a plain number (also a free size)."""
    return Param(name, "operand", default)


def weight(name: str, optional: bool = False) -> Param:
    """A parameter or buffer that belongs to the node."""
    return Param(name, "weight", None if optional else REQUIRED)


def attr(name: str, check: Callable[[Any], Any], default: Any = REQUIRED, axis_of: str = "", help: str = "") -> Param:
    """Plain data, checked and normalised by ``check``."""
    return Param(name, "attr", default, check, axis_of, help)


# -- checks of attributes --------------------------------------------------------------------------------------------
#: torch holds sizes and whole numbers in 64 bits with a sign.
_WHOLE = range(-(2**63), 2**63)


def integer(low: int | None = None, high: int | None = None) -> Callable[[Any], Any]:
    """An int (or free size) within [low, high]."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | Size):
            raise ValueError(f"an integer{_range(low, high)}")
        _check_bits(value)
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"an integer{_range(low, high)}")
        return value

    return check


def ints(n: int | None = None, low: int | None = None) -> Callable[[Any], Any]:
    """A tuple of n ints (one int stands for n equal ones); any length where n is None."""
    one = integer(low)

    def check(value: Any) -> Any:
        if isinstance(value, int | Size) and not isinstance(value, bool):
            value = (value,) * (n or 1)
        if not isinstance(value, tuple | list) or (n is not None and len(value) not in (1, n)):
            raise ValueError(f"{n or 'some'} integers{_range(low, None)}")
        value = tuple(value) * n if n is not None and len(value) == 1 else tuple(value)
        for entry in value:
            one(entry)
        return value

    return check


def number(low: float | None = None, high: float | None = None) -> Callable[[Any], Any]:
    """A float or int within [low, high], kept as given."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | Size):
            raise ValueError(f"a number{_range(low, high)}")
        _check_bits(value)
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise ValueError(f"a number{_range(low, high)}")
        return value

    return check


def boolean(value: Any) -> Any:
    if value not in (True, False) or not isinstance(value, bool | int):
        raise ValueError("true or false")
    return bool(value)


def flag(value: Any) -> Any:
    """True, False, or ``"module"``: the training flag of the module that owns the call."""
    if value == MODULE or isinstance(value, bool):
        return value
    raise ValueError('true, false or "module"')


def choice(*options: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, str | int | float | type(None)) or value not in options:
            raise ValueError("one of " + ", ".join(map(repr, options)))
        return value

    return check


def dtype_attr(value: Any) -> Any:
    """A `DType`; a plain string is taken for its name."""
    from .dtypes import DTYPES

    if isinstance(value, str):
        value = DType(value)
    if not isinstance(value, DType) or value.name not in DTYPES:
        raise ValueError("a dtype such as float32")
    return value


def optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """None, or what ``check`` accepts."""

    def checked(value: Any) -> Any:
        return None if value is None else check(value)

    checked.optional = check  # type: ignore[attr-defined]
    return checked


def either(*checks: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What the first of ``checks`` that does not refuse makes of it."""

    def checked(value: Any) -> Any:
        expected = []
        for check in checks:
            try:
                return check(value)
            except ValueError as error:
                expected.append(str(error))
        raise ValueError(" or ".join(expected))

    return checked


def scalar(value: Any) -> Any:
    """A plain number or bool."""
    if not isinstance(value, bool | int | float | complex | Size):
        raise ValueError("a number")
    _check_bits(value)
    return value


def anything(value: Any) -> Any:
    """Any plain data."""
    return value


def _check_bits(value: Any) -> None:
    if type(value) is int and value not in _WHOLE:
        raise ValueError("a number that 64 bits hold")


def _range(low: Any, high: Any) -> str:
    if low is not None and high is not None:
        return f" in [{low}, {high}]"
    return f" ≥ {low}" if low is not None else f" ≤ {high}" if high is not None else ""
