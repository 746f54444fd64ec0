"""The operators of a notation with the values of their attributes, and the tokens that stand for them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import AttributeValueError, SpaceError, UnknownOperatorError
from ...ops import Operator, operator
from ...spaces.chain import CHANNELS
from ...spaces.conv_templates import HALF

#: Values that depend on what a layer is put on: its number of channels, half of its kernel.
RELATIVE = (CHANNELS, HALF)
SEPARATOR = "="


class Template(NamedTuple):
    """An operator of one value with the values that its attributes may have, the usual one first."""

    op: str
    ranges: Mapping[str, tuple[Any, ...]]


def default_operators(
    channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int], linear: Sequence[int], axes: int = 2
) -> dict[str, dict[str, Sequence[Any]]]:
    """The operators of networks on samples with so many axes in space: those of images, or the same for other numbers.

    >>> list(default_operators([8], [3], [1], [32], axes=1))[:2]
    ['conv1d', 'batch_norm']
    """
    images = _image_operators(channels, kernels, strides, linear)
    return images if axes in (0, 2) else {name.replace("2d", f"{axes}d"): ranges for name, ranges in images.items()}


def _image_operators(
    channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int], linear: Sequence[int]
) -> dict[str, dict[str, Sequence[Any]]]:
    pool_kernels = [kernel for kernel in kernels if 2 <= kernel <= 4] or [2]
    pool_strides = sorted(strides, key=lambda stride: (stride != 2, stride))
    return {
        "conv2d": {
            "out": [CHANNELS, *channels], "kernel": kernels, "stride": strides, "padding": [HALF, 0], "groups": [1, CHANNELS],
            "bias": [True, False],
        },
        "batch_norm": {}, "relu": {}, "gelu": {}, "silu": {}, "tanh": {}, "sigmoid": {},
        "leaky_relu": {"negative_slope": [0.01, 0.1, 0.001]},
        "prelu": {"num_parameters": [CHANNELS, 1]},
        "max_pool2d": {"kernel": pool_kernels, "stride": pool_strides, "padding": [0, HALF]},
        "avg_pool2d": {
            "kernel": pool_kernels, "stride": pool_strides, "padding": [0, HALF], "count_include_pad": [True, False],
        },
        "adaptive_avg_pool2d": {"output_size": [1, 2, 4]},
        "flatten": {},
        "linear": {"out": linear, "bias": [True, False]},
        "dropout": {"p": [0.5, *(round(0.05 * i, 2) for i in range(1, 20) if i != 10)]},
        "mul": {"y": [0.0]},
    }  # fmt: skip


def read_operators(given: Mapping[str, Any] | Iterable[str], usual: Mapping[str, Any]) -> dict[str, Template]:
    """The operators in normal form: names alone take their ranges from ``usual``. `SpaceError` names what cannot be.

    >>> read_operators({"conv2d": {"out": [8, 16], "kernel": 3}}, {})["conv2d"].ranges
    {'out': (8, 16), 'kernel': (3,)}
    """
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        given = dict.fromkeys(given)
    found = {}
    for op, ranges in given.items():
        try:
            kind = operator(op)
            _check_unary(kind)
            ranges = usual.get(op, {}) if ranges is None else ranges
            if not isinstance(ranges, Mapping):
                raise AttributeValueError(f"its attributes are {ranges!r:.60}; expected such as {{'kernel': [3, 5]}}")
            found[op] = Template(op, {name: _values(kind, name, values) for name, values in ranges.items()})
            _check_complete(kind, found[op])
        except (AttributeValueError, UnknownOperatorError) as error:
            raise SpaceError(f"operator {str(op)[:60]!r} of a notation: {error}") from None
    return found


def _check_unary(kind: Operator) -> None:
    needed = [param.name for param in kind.params if param.required and param.kind in ("tensor", "tensors")]
    operands = [param.name for param in kind.params if param.kind == "operand"]
    if kind.weight_list or kind.unpack or len(needed) + bool(operands) != 1 or "tensors" in [p.kind for p in kind.params]:
        raise AttributeValueError("expected an operator of one tensor with one result; joins are given as joins=")


def _check_complete(kind: Operator, template: Template) -> None:
    first = True
    for param in kind.params:
        if param.kind == "operand" and not first and param.required and param.name not in template.ranges:
            raise AttributeValueError(f"it needs {param.name!r}; give it a value, or several")
        if param.kind == "attr" and param.required and param.name not in template.ranges:
            raise AttributeValueError(f"it needs {param.name!r}; give it a value, or several")
        first = first and param.kind not in ("tensor", "operand")


def _values(kind: Operator, name: str, given: Any) -> tuple[Any, ...]:
    param = kind.by_name.get(name)
    if param is None or param.kind not in ("attr", "operand", "weight"):
        near = difflib.get_close_matches(name, kind.by_name, 1)
        raise AttributeValueError(f"it has no attribute {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    values = list(given) if isinstance(given, list | tuple | range) else [given]
    values = list(dict.fromkeys(tuple(value) if isinstance(value, list) else value for value in values))
    if not values:
        raise AttributeValueError(f"{name} has no values; give one at least")
    for value in values:
        if value == CHANNELS or (value == HALF and "kernel" in kind.by_name):
            continue
        if param.kind == "weight" and type(value) is not bool:
            raise AttributeValueError(f"{name} = {value!r}; expected True or False")
        if param.check is not None:
            try:
                param.check(value)
            except (ValueError, TypeError) as error:
                raise AttributeValueError(f"{name} = {value!r}; expected {error}") from None
    return tuple(values)


def token_of(name: str, value: Any) -> str:
    """The token of an attribute's value.

    >>> token_of("kernel", 3), token_of("kernel", (3, 1)), token_of("bias", False)
    ('kernel=3', 'kernel=3x1', 'bias=False')
    """
    shown = "x".join(map(str, value)) if type(value) is tuple else str(value)
    return f"{name}{SEPARATOR}{shown}".replace(" ", "")


def normal(kind: Operator, name: str, value: Any) -> Any:
    """A value as a step has it; weights as True and None."""
    param = kind.by_name[name]
    if param.kind == "weight":
        return True if value else None
    return param.check(value) if param.check is not None else value


def resolved(ranges: Mapping[str, Any], channels: int) -> tuple[tuple[str, Any], ...]:
    """Attributes with the relative ones worked out, on an input of so many channels."""
    found = []
    for name, value in ranges.items():
        if value == CHANNELS:
            value = channels
        elif value == HALF:
            kernel = ranges["kernel"]
            value = tuple(size // 2 for size in kernel) if isinstance(kernel, tuple) else kernel // 2
        found.append((name, value))
    return tuple(found)
