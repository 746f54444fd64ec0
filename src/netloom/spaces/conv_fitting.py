"""`fit_shapes`: a list of layers, written by hand, made into a network that fits together."""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from typing import Any

from ..errors import AttributeValueError, SpaceError
from ..graph.builder import Layer as Unplaced
from ..graph.graph import Graph
from ..ops import operator
from .chain import CHANNELS, Form, Layer, Prepared, of_forms, prepare

FLATTEN = Layer("flatten")


def fit_shapes(layers: Iterable[Any], input_shape: tuple[int, ...], num_classes: int) -> Graph:
    """See `netloom.spaces.Conv.fit_shapes`."""
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        raise SpaceError(f"fit_shapes takes a list of layers such as [nl.op.conv2d(16, kernel=3), 'relu'], not {layers!r}")
    fitting = _Fitting(tuple(input_shape))
    for number, given in enumerate(layers, 1):
        layer = as_layer(given, number)
        fitting.add(layer, f"layer {number}, {shown(layer)}")
    fitting.finish(num_classes)
    return of_forms(tuple(input_shape), fitting.forms, tuple(fitting.notes))


class _Fitting:
    """The network so far."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.shape = input_shape
        self.forms: list[Form] = []
        self.notes: list[str] = []

    def add(self, layer: Layer, what: str) -> None:
        """Append a layer as it is, repaired, or not at all; the notes say which."""
        is_image = len(self.shape) > 1
        if layer.op == "flatten" and not is_image:
            self.notes.append(f"{what}: dropped, as {self.shape[0]} features are flat already")
            return
        if layer.op == "linear" and is_image:
            self.place(prepare(FLATTEN))
            self.notes.append(f"{what}: flatten put before it")
        prepared = prepare(layer)
        if not self.place(prepared) and not self.repair(layer, what):
            self.notes.append(f"{what}: dropped: {prepared.problem(self.shape)}")

    def place(self, prepared: Prepared) -> bool:
        """Append the layer if it fits."""
        form = prepared.forms[self.shape]
        if form is None:
            return False
        self.forms.append(form)
        self.shape = form.shape
        return True

    def repair(self, layer: Layer, what: str) -> bool:
        """Append the layer with the one attribute changed that keeps it from fitting, if that helps."""
        attrs = dict(layer.attrs)
        for name, value in _repairs(attrs, self.shape[0]):
            if self.place(prepare(Layer(layer.op, tuple((attrs | {name: value}).items())))):
                new = self.shape[0] if value == CHANNELS else value
                self.notes.append(f"{what}: {name} changed from {attrs[name]} to {new}")
                return True
        return False

    def finish(self, num_classes: int) -> None:
        """Make the end of the network: flat features, and a linear layer to the classes."""
        if len(self.shape) > 1:
            self.place(prepare(FLATTEN))
            self.notes.append("flatten put before the last layer")
        if not self.forms or self.forms[-1].op != "linear" or self.shape != (num_classes,):
            self.place(prepare(Layer("linear", (("out", num_classes),))))
            self.notes.append(f"linear({num_classes}) put at the end")


def _repairs(attrs: dict[str, Any], channels: int) -> list[tuple[str, Any]]:
    """Changes of one attribute that may make a layer fit an input of so many channels."""
    found: list[tuple[str, Any]] = []
    groups = attrs.get("groups")
    if type(groups) is int and type(attrs.get("out")) is int:
        found.append(("groups", gcd(gcd(groups, channels), attrs["out"])))
    if "num_parameters" in attrs:
        found.append(("num_parameters", CHANNELS))
    kernel, padding = attrs.get("kernel"), attrs.get("padding")
    if type(kernel) is int and type(padding) is int and padding > kernel // 2:
        found.append(("padding", kernel // 2))
    return [(name, value) for name, value in found if value != attrs[name]]


def as_layer(given: Any, number: int) -> Layer:
    """An entry of a list of layers: ``nl.op.conv2d(16, kernel=3)``, a `Layer`, or the name of an operator.

    >>> import netloom as nl
    >>> as_layer(nl.op.conv2d(16, kernel=3), 1)
    Layer(op='conv2d', attrs=(('out', 16), ('kernel', 3)))
    """
    try:
        if isinstance(given, str):
            given = Layer(given)
        elif isinstance(given, Unplaced):
            given = _of_unplaced(given)
        if not isinstance(given, Layer):
            raise AttributeValueError(f"{given!r} is no layer; expected one such as nl.op.conv2d(16, kernel=3)")
        attrs = {name: 1 if value == CHANNELS else value for name, value in given.attrs}
        operator(given.op).check(attrs | {prepare(given).operand: None})
    except (AttributeValueError, LookupError, TypeError) as error:
        raise SpaceError(f"layer {number}: {error}") from None
    return given


def _of_unplaced(given: Unplaced) -> Layer:
    kind = operator(given.op)
    order = [param.name for param in kind.params if param.kind not in ("tensor", "tensors", "operand", "weight")]
    if len(given.positional) > len(order):
        raise AttributeValueError(f"{given.op} takes {len(order)} attributes, got {len(given.positional)}")
    attrs = dict(zip(order, given.positional))
    twice = attrs.keys() & given.keyword.keys()
    if twice:
        raise AttributeValueError(f"{given.op}: {min(twice)} is given twice")
    attrs |= {name: value for name, value in given.keyword.items() if name != "name"}
    return Layer(given.op, tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in attrs.items()))


def shown(layer: Layer) -> str:
    """The layer as a person writes it.

    >>> shown(Layer("conv2d", (("out", 8), ("kernel", 3))))
    'conv2d(out=8, kernel=3)'
    """
    return f"{layer.op}({', '.join(f'{name}={value}' for name, value in layer.attrs)})" if layer.attrs else layer.op
