"""The 32-bit codes of layers: which bit stands for what, and the layer behind every code.

Bits are counted from the left. Bits 0 to 11 say the operator, one of `OPERATORS`; from bit 12 on every attribute has one bit
for each of its values, in the order of `RANGES`. Source: the public system sophius (A. Korolyov).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from ..errors import NetloomError, SpaceError
from ..graph.step import Step
from ..ops import Edge, Weight, operator
from ..spaces.chain import CHANNELS, Layer, prepare
from ..spaces.conv_templates import HALF, PUBLISHED, Choices

WIDTH = 32
#: In the order of their bits.
OPERATORS = (
    "linear", "batch_norm", "relu", "leaky_relu", "prelu", "dropout", "dropout2d", "flatten", "conv2d", "max_pool2d",
    "avg_pool2d", "adaptive_avg_pool2d",
)  # fmt: skip
#: The names under which the layers were published.
PUBLISHED_NAMES = dict(zip(
    OPERATORS,
    ("Linear", "BatchNorm2d", "ReLU", "LeakyReLU", "PReLU", "Dropout", "Dropout2d", "Flatten", "Conv2d", "MaxPool2d",
     "AvgPool2d", "GlobalAvgPool2d"),
))  # fmt: skip
_TEMPLATES = {op: template for slot in PUBLISHED.values() for op, template in slot.items()}
_TEMPLATES |= {"dropout2d": _TEMPLATES["dropout"], "flatten": {}}
#: Operator → attribute → its values.
RANGES: dict[str, dict[str, list[Any]]] = {
    op: {name: values for name, values in _TEMPLATES[op].items() if isinstance(values, list)} for op in OPERATORS
}
_FIXED = {op: {name: value for name, value in _TEMPLATES[op].items() if not isinstance(value, list)} for op in OPERATORS}
#: Layers that work on flat samples; the others take images.
FLAT = frozenset({"linear"})
EITHER = frozenset({"relu", "leaky_relu", "prelu", "dropout", "flatten"})
_IMAGE, _FEATURES = (64, 64, 64), (64,)


class Coded(NamedTuple):
    """A code with the layer that it stands for."""

    code: int
    layer: Layer


def code_of(op: str, places: Mapping[str, int]) -> int:
    """The code of an operator and the place of each attribute's value in its range.

    >>> f"{code_of('conv2d', {'out': 0, 'kernel': 4, 'stride': 2, 'padding': 1}):08x}"
    '00880109'
    """
    code = 1 << (WIDTH - 1 - OPERATORS.index(op))
    bit = len(OPERATORS)
    for name, values in RANGES[op].items():
        code |= 1 << (WIDTH - 1 - bit - places[name])
        bit += len(values)
    return code


@cache
def all_codes() -> Mapping[int, Coded]:
    """Every code there is, with its layer."""
    found = {}
    for op in OPERATORS:
        choices = Choices(op, RANGES[op] | {name: [value] for name, value in _FIXED[op].items()})
        for i in range(choices.count):
            places, rest = {}, i
            for name, values in reversed(choices.ranges.items()):
                rest, places[name] = divmod(rest, len(values))
            code = code_of(op, places)
            found[code] = Coded(code, choices.layer(i))
    return found


@cache
def _codes_by_key() -> Mapping[tuple[Any, ...], int]:
    """Key of a call → its code; where two codes are one call (a 1×1 convolution, half of whose kernel is 0), the first."""
    found: dict[tuple[Any, ...], int] = {}
    for code, layer in all_codes().values():
        for shape in (_IMAGE, _FEATURES):
            form = None if _misplaced(layer.op, shape) else prepare(layer).forms[shape]
            if form is not None:
                found.setdefault(_key(layer.op, form.args), code)
    return found


def _misplaced(op: str, shape: tuple[int, ...]) -> bool:
    """Whether the family has the operator on images alone, or on flat samples alone, and the shape is of the other kind."""
    return op not in EITHER and (len(shape) == 1) != (op in FLAT)


def _key(op: str, args: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells calls of one operator apart that have different codes."""
    found: list[Any] = [op]
    for name, value in args.items():
        kind = type(value)
        if kind is Edge:
            continue
        if kind is Weight:
            value = Weight
        elif kind is float:
            value = round(value, 9)
        elif name == "num_parameters" and value != 1:
            value = CHANNELS
        elif name == "end_dim" and value == 3:
            value = 1
        found.append(value)
    return tuple(found)


def step_code(step: Step, place: str = "") -> int:
    """The code of a call; `SpaceError` names what of it has none. ``place`` says whose the call is, for the message."""
    known: int | None = None
    if step.op in RANGES:
        known = _codes_by_key().get(_key(step.op, step.args))
    if known is None:
        raise SpaceError(_refusal(place or f"{step.op} {step.name!r}", step.op, step.args))
    if step.mode or step.autocast or not step.grad:
        how = f"in {step.mode} mode alone" if step.mode else f"under {'autocast' if step.autocast else 'no_grad'}"
        raise SpaceError(f"{step.op} {step.name!r} is called {how}, which no 32-bit code can say")
    return known


def attributes_code(op: str, attrs: Mapping[str, Any]) -> int:
    """The code of an operator with attributes as `nl` functions take them; paddings may also be True, False or "half"."""
    given = dict(attrs)
    if op not in RANGES:
        raise SpaceError(_refusal(op, op, {}))
    padding = given.get("padding")
    if isinstance(padding, bool):
        given["padding"] = HALF if padding else 0
    try:
        layer = Choices(op, {}).of(given | {name: given.get(name, value) for name, value in _FIXED[op].items()})
        shape = _FEATURES if op in FLAT else _channels_fitting(given)
        form = prepare(layer).forms[shape]
        if form is None:
            raise SpaceError(f"{op}: {prepare(layer).problem(shape)}")
    except SpaceError:
        raise
    except (NetloomError, LookupError, TypeError) as error:
        raise SpaceError(f"no layer has these attributes: {error}") from None
    code = _codes_by_key().get(_key(op, form.args))
    if code is None:
        raise SpaceError(_refusal(op, op, form.args))
    if padding is False and given.get("kernel") in (1, (1, 1)):
        return _padding_off(code)
    return code


def _channels_fitting(attrs: Mapping[str, Any]) -> tuple[int, ...]:
    """An image with as many channels as the slopes of a prelu want."""
    channels = attrs.get("num_parameters")
    return (channels, *_IMAGE[1:]) if type(channels) is int and channels > 1 else _IMAGE


def _padding_off(code: int) -> int:
    op = all_codes()[code].layer.op
    if op != "conv2d":
        return code
    return code - 2 + 1


def same_call(code: int, step: Step, channels: Any) -> bool:
    """Whether a code that is not the usual one stands for the call all the same, on an input of so many channels."""
    coded = all_codes().get(code)
    if coded is None or coded.layer.op != step.op:
        return False
    form = prepare(coded.layer).forms[(channels, *_IMAGE[1:])]
    return form is not None and _key(step.op, form.args) == _key(step.op, step.args)


# -- messages ----------------------------------------------------------------------------------------------------------
def _refusal(what: str, op: str, args: Mapping[str, Any]) -> str:
    """Why a call has no code: its operator, or the first attribute out of range with the nearest value that is in it."""
    if op == "input":
        return f"{what} is a second one; 32-bit codes are of networks with one input"
    if op not in RANGES:
        near = difflib.get_close_matches(op, OPERATORS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{what} has no 32-bit code{hint}; operators with one are {', '.join(OPERATORS)}"
    usual = next(form.args for form in _forms(op))
    for name, value in args.items():
        if type(value) is Edge or name not in usual:
            continue
        if name in RANGES[op]:
            allowed = list(dict.fromkeys(form.args[name] for form in _forms(op, args.get("kernel"))))
            if name == "num_parameters" or _found(value, allowed):
                continue
            refused = f"{what}: {name} = {_shown(value)} has no 32-bit code"
            return f"{refused}; the nearest that has one is {_nearest(value, allowed)}"
        have, expected = (type(v) is Weight if type(v) is Weight or name in _weights(op) else v for v in (value, usual[name]))
        if have != expected and not (name == "end_dim" and value in (1, 3)):
            mend = f"only {name} = {_shown(expected)} has" if name not in _weights(op) else f"only with {name}"
            return f"{what}: {name} = {_shown(have)} has no 32-bit code; {mend}"
    return f"{what} has no 32-bit code with {', '.join(f'{name} = {_shown(value)}' for name, value in args.items())}"


def _forms(op: str, kernel: Any = None) -> list[Any]:
    """The forms of an operator's codes; those of one kernel where there are some, because half paddings hang on it."""
    shape = _FEATURES if op in FLAT else _IMAGE
    forms = [prepare(coded.layer).forms[shape] for coded in all_codes().values() if coded.layer.op == op]
    found = [form for form in forms if form is not None]
    return [form for form in found if form.args.get("kernel") == kernel] or found


def _weights(op: str) -> list[str]:
    return [param.name for param in operator(op).params if param.kind == "weight"]


def _found(value: Any, allowed: list[Any]) -> bool:
    return any(abs(value - other) < 1e-9 if isinstance(value, float) else value == other for other in allowed)


def _nearest(value: Any, allowed: list[Any]) -> str:
    def distance(other: Any) -> float:
        pairs = zip(value, other) if isinstance(value, tuple) and isinstance(other, tuple) else [(value, other)]
        return sum(abs(float(a) - float(b)) for a, b in pairs)

    return _shown(min(allowed, key=distance))


def _shown(value: Any) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        return str(value[0])
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)
