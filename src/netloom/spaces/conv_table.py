"""Convolutional networks as the table in which the public system sophius prints them.

    Conv2d       (16, 8, 8)     (1, 1)   (4, 4)
    LeakyReLU    (16, 8, 8)     (0.001)
    BatchNorm2d  (16, 8, 8)
    Flatten      1024
    Linear       10

Layer, shape of one sample of its result, then kernel and stride of a window, slope, or probability of dropout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..errors import SpaceError
from ..graph.graph import Graph
from .chain import CHANNELS, Form, Layer, of_forms, prepare
from .conv_templates import HALF, Choices

if TYPE_CHECKING:
    from ..graph.node import Node

#: Operator → its name in tables, and the attributes that its line shows.
_COLUMNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "conv2d": ("Conv2d", ("kernel", "stride")),
    "max_pool2d": ("MaxPool2d", ("kernel", "stride")),
    "avg_pool2d": ("AvgPool2d", ("kernel", "stride")),
    "adaptive_avg_pool2d": ("GlobalAvgPool2d", ()),
    "batch_norm": ("BatchNorm2d", ()),
    "relu": ("ReLU", ()),
    "leaky_relu": ("LeakyReLU", ("negative_slope",)),
    "prelu": ("PReLU", ()),
    "dropout": ("Dropout", ("p",)),
    "dropout2d": ("Dropout2d", ("p",)),
    "flatten": ("Flatten", ()),
    "linear": ("Linear", ()),
}
_OPERATORS = {shown: op for op, (shown, _) in _COLUMNS.items()}
_LINE = re.compile(r"\s*(\w+)\s+(\(\d+(?:, \d+)*\)|\d+)\s*((?:\([^()]*\)\s*)*)")


def write_table(graph: Graph) -> str:
    """See `netloom.spaces.Conv.table`."""
    lines = []
    previous = graph.nodes[0]
    for node in graph.nodes[1:]:
        if node.op not in _COLUMNS or node.inputs != (previous,):
            raise SpaceError(
                f"{node.op} {node.name!r} has no place in the table of a convolutional network; print(graph) shows any graph"
            )
        lines.append(_line(node))
        previous = node
    return "\n".join(lines)


def _line(node: Node) -> str:
    name, attrs = _COLUMNS[node.op]
    shape = node.shape[1:]
    values = [node.attrs[attr] for attr in attrs]
    shown = [f"{value if isinstance(value, tuple) else f'({value})'!s:8}" for value in values]
    return " ".join([f"{name:12}", f"{_shape_text(shape):14}", *shown]).rstrip()


def _shape_text(shape: tuple[Any, ...]) -> str:
    return str(shape[0]) if len(shape) == 1 else f"({', '.join(map(str, shape))})"


def read_table(text: str, input_shape: tuple[int, ...], num_classes: int) -> Graph:
    """See `netloom.spaces.Conv.from_table`."""
    shape, forms, notes = tuple(input_shape), list[Form](), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None or match[1] not in _OPERATORS:
            raise SpaceError(
                f"line {number}, {line.strip()[:80]!r}, is no layer; expected one such as 'Conv2d  (16, 8, 8)  (3, 3)  (1, 1)'"
            )
        given = tuple(int(size) for size in re.findall(r"\d+", match[2]))
        fitting = _fitting(_layers(match[1], given, match[3], number), shape, given)
        if not fitting:
            made = prepare(_layers(match[1], given, match[3], number)[0]).forms[shape]
            have = "it does not fit there" if made is None else f"it gives {_shape_text(made.shape)}"
            raise SpaceError(f"line {number}, {line.strip()[:80]!r}: after {_shape_text(shape)} {have}")
        if len({(form.num_params, str(form.args)) for form in fitting}) > 1:
            notes.append(f"line {number}: {' or '.join(map(_difference, fitting))} gives this line; taken: the first")
        forms.append(fitting[0])
        shape = fitting[0].shape
    if shape != (num_classes,) or not forms or forms[-1].op != "linear":
        raise SpaceError(f"the table does not end with a line for {num_classes} classes; expected 'Linear  {num_classes}'")
    return of_forms(tuple(input_shape), forms, tuple(notes))


def _layers(name: str, shape: tuple[int, ...], rest: str, number: int) -> list[Layer]:
    """The layers that a line may stand for, the likeliest first."""
    op = _OPERATORS[name]
    groups = [part.split(",") for part in re.findall(r"\(([^()]*)\)", rest)]
    attrs = _COLUMNS[op][1]
    try:
        values: list[Any] = [tuple(map(int, group)) if len(attrs) == 2 else float(*group) for group in groups]
    except (ValueError, TypeError):
        values = []
    if len(values) != len(attrs):
        expected = " ".join(f"({attr})" for attr in attrs) or "no more"
        raise SpaceError(f"line {number}: {name} has {rest.strip() or 'nothing'!r} after its shape; expected {expected}")
    ranges: dict[str, list[Any]] = {}
    if op in ("conv2d", "linear"):
        ranges["out"] = [shape[0]]
    ranges |= {attr: [value] for attr, value in zip(attrs, values)}
    if "kernel" in attrs:
        ranges["padding"] = [0, HALF]
    if op == "avg_pool2d":
        ranges["count_include_pad"] = [True, False]
    if op == "prelu":
        ranges["num_parameters"] = [CHANNELS, 1]
    if op == "adaptive_avg_pool2d":
        ranges["output_size"] = [1]
    choices = Choices(op, ranges)
    return [choices.layer(i) for i in range(choices.count)]


def _fitting(layers: list[Layer], shape: tuple[int, ...], given: tuple[int, ...]) -> list[Form]:
    forms = [prepare(layer).forms[shape] for layer in layers]
    return [form for form in forms if form is not None and form.shape == given]


def _difference(form: Form) -> str:
    """What a line leaves open of a layer."""
    left_open = {name: value for name, value in form.layer.attrs if name in ("padding", "count_include_pad", "num_parameters")}
    return ", ".join(f"{name}={value}" for name, value in left_open.items())
