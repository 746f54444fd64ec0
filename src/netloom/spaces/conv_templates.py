"""Templates of the convolutional space: which operators stand in which slot, with what attributes and how often.

`PUBLISHED` restates those of the public system sophius (A. Korolyov); ``Conv(templates=…)`` replaces slot by slot.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from math import isclose
from typing import Any

from ..errors import AttributeValueError, SpaceError, UnknownOperatorError
from ..ops import REGISTRY, Operator, operator
from .chain import CHANNELS, Layer, Lazy, Prepared, prepare

#: As the value of ``padding``: half of the layer's kernel, rounded down.
HALF = "half"

_ACTIVATIONS: dict[str, dict[str, Any]] = {
    "relu": {},
    "leaky_relu": {"negative_slope": [0.1, 0.01, 0.001]},
    "prelu": {"num_parameters": [CHANNELS, 1]},
}
#: Slot → operator → attribute → what it is drawn from; with ``probability``, where that is not what it is by default.
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "conv": {
        "conv2d": {
            "out": [8, 16, 32, 64, 96, 128, 192], "kernel": [1, 2, 3, 4, 5, 6, 7], "stride": [1, 2, 3, 4], "padding": [HALF, 0],
        },
    },
    "activation": _ACTIVATIONS,
    "conv_extras": {
        "max_pool2d": {"kernel": [2, 3, 4], "stride": [1, 2, 3], "padding": [HALF, 0]},
        "batch_norm": {},
        "avg_pool2d": {"kernel": [2, 3, 4], "stride": [1, 2], "padding": [HALF, 0], "count_include_pad": [True, False]},
    },
    "pool": {"adaptive_avg_pool2d": {"output_size": 1}},
    "linear": {"linear": {"out": [32, 64, 128, 256, 512, 1024, 2048, 4096]}},
    "linear_activation": _ACTIVATIONS,
    "linear_extras": {"dropout": {"p": [round(0.05 * i, 2) for i in range(1, 20)]}},
}  # fmt: skip
#: Slots that hold exactly one of their operators; in the others each stands or not, by itself, in the order given.
ONE_OF = frozenset({"conv", "activation", "linear", "linear_activation"})
#: Where a newcomer would look for the operators of a family.
_FAMILY_SLOTS = {"conv": "conv", "activation": "activation", "linear": "linear", "dropout": "linear_extras"}
#: How often an operator stands in a slot of the other kind, unless its template says.
HALF_OF_ALL = 0.5
_ANY_IMAGE = (8, 16, 16)

Templates = Mapping[str, Mapping[str, Mapping[str, Any]]]


class Choices:
    """The layers that one template stands for, by number: every combination of its values, the last attribute fastest."""

    def __init__(self, op: str, ranges: Mapping[str, list[Any]]) -> None:
        self.op, self.ranges = op, dict(ranges)
        self.count = 1
        for values in self.ranges.values():
            self.count *= len(values)
        #: The layers, ready for graphs, by number.
        self.prepared: Mapping[int, Prepared] = Lazy(lambda index: prepare(self.layer(index)))

    def layer(self, index: int) -> Layer:
        attrs: list[tuple[str, Any]] = []
        for name, values in reversed(self.ranges.items()):
            index, place = divmod(index, len(values))
            attrs.append((name, values[place]))
        return self.of(dict(reversed(attrs)))

    def of(self, attrs: Mapping[str, Any]) -> Layer:
        """The layer with these attributes, half paddings worked out."""
        made = dict(attrs)
        if made.get("padding") == HALF:
            kernel = made["kernel"]
            made["padding"] = tuple(size // 2 for size in kernel) if isinstance(kernel, tuple) else kernel // 2
        return Layer(self.op, tuple(made.items()))

    def corners(self) -> list[Any]:
        """The layers, prepared, whose attributes are all at an end of their ranges: the cheapest is among them."""
        found: list[dict[str, Any]] = [{}]
        for name, values in self.ranges.items():
            numbers = all(isinstance(value, int | float) for value in values)
            ends = (min(values), max(values)) if numbers else values
            found = [{**attrs, name: value} for attrs in found for value in dict.fromkeys(ends)]
        return [prepare(self.of(attrs)) for attrs in found]

    def narrower(self, layer: Layer) -> Layer | None:
        """The layer with the next smaller ``out``; None where there is none."""
        attrs = dict(layer.attrs)
        below = [out for out in self.ranges.get("out", ()) if layer.op == self.op and out < attrs["out"]]
        return Layer(layer.op, tuple((attrs | {"out": max(below)}).items())) if below else None


def read_templates(given: Mapping[str, Any] | None) -> dict[str, dict[str, dict[str, Any]]]:
    """All slots in normal form: ranges as lists, probabilities filled in. `SpaceError` names what cannot be.

    >>> read_templates({"activation": ["gelu", "relu"]})["linear_activation"]
    {'gelu': {'probability': 0.5}, 'relu': {'probability': 0.5}}
    """
    if given is not None and not isinstance(given, Mapping):
        raise SpaceError(f"templates = {given!r}; expected slots such as {{'activation': ['relu', 'gelu']}}")
    given = dict(given or {})
    for slot in given:
        if slot not in PUBLISHED:
            near = difflib.get_close_matches(str(slot), PUBLISHED, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            if slot in REGISTRY:
                home = _FAMILY_SLOTS.get(operator(slot).family, "conv_extras")
                hint = f"it is an operator, write {{{home!r}: {{{slot!r}: {{…}}}}}}; "
            raise SpaceError(f"templates: there is no slot {slot!r}; {hint}slots are {', '.join(PUBLISHED)}")
    if "activation" in given:
        given.setdefault("linear_activation", given["activation"])
    found = {}
    for slot, published in PUBLISHED.items():
        found[slot] = _read_slot(slot, given.get(slot, published))
    if not found["conv"]:
        raise SpaceError("templates['conv'] is empty; give it an operator such as {'conv2d': {'out': [16, 32], 'kernel': 3}}")
    return found


def _read_slot(slot: str, given: Any) -> dict[str, dict[str, Any]]:
    if isinstance(given, str):
        given = [given]
    if isinstance(given, list | tuple):
        given = {name: {} for name in given}
    if not isinstance(given, Mapping):
        raise SpaceError(f"templates[{slot!r}] = {given!r}; expected operators such as {{'gelu': {{}}}}, or a list of names")
    read = {}
    for name, template in given.items():
        if isinstance(template, int | float) and not isinstance(template, bool):
            template = {"probability": template}
        if not isinstance(template, Mapping):
            raise SpaceError(f"{_where(slot, name)} = {template!r}; expected attributes such as {{'kernel': [3, 5]}}")
        read[name] = _read_template(slot, name, template)
    _fill_probabilities(slot, read)
    return {name: template for name, template in read.items() if template["probability"] > 0}


def _where(slot: str, name: Any) -> str:
    return f"templates[{slot!r}][{name!r}]"


def _read_template(slot: str, name: str, template: Mapping[str, Any]) -> dict[str, Any]:
    try:
        kind = operator(name)
        read = {attr: _values(kind, attr, value) for attr, value in template.items() if attr != "probability"}
        first = {attr: values[0] for attr, values in read.items()}
        prepared = prepare(Choices(name, {}).of(first))  # is it an operator of one tensor?
        for param in kind.params:
            if param.kind == "attr" and param.required and param.name not in read:
                raise AttributeValueError(f"{name} needs {param.name!r}; give it a value, or a list to draw from")
        prepared.problem(_ANY_IMAGE)  # with one result?
    except (AttributeValueError, UnknownOperatorError) as error:
        raise SpaceError(f"{_where(slot, name)}: {error}") from None
    probability = template.get("probability")
    if probability is not None:
        number = isinstance(probability, int | float) and not isinstance(probability, bool)
        if not number or not 0 <= probability <= 1:
            raise SpaceError(f"{_where(slot, name)}: probability = {probability!r}; expected a number from 0 to 1")
    return {**read, "probability": probability}


def _values(kind: Operator, attr: str, given: Any) -> list[Any]:
    """What an attribute is drawn from: the entries of a list or range, or the one value that anything else is."""
    param = kind.by_name.get(attr)
    if param is None or param.kind not in ("attr", "operand", "weight"):
        known = [p.name for p in kind.params if p.kind in ("attr", "weight")]
        near = difflib.get_close_matches(attr, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
        raise AttributeValueError(f"{kind.name} has no attribute {attr!r}; {hint}")
    if hasattr(given, "tolist"):
        given = given.tolist()
    values = list(given) if isinstance(given, list | range) else [given]
    values = [tuple(value) if isinstance(value, list) else value for value in values]
    if not values:
        raise AttributeValueError(f"{attr} is an empty range; give it a value at least")
    for value in values:
        if value == CHANNELS or (value == HALF and attr == "padding" and "kernel" in kind.by_name):
            continue
        if param.kind == "weight":
            if value is not True and (value is not False or param.required):
                raise AttributeValueError(f"{attr} = {value!r}; expected {'true' if param.required else 'true or false'}")
        elif param.check is not None:
            try:
                param.check(value)
            except (ValueError, TypeError) as error:
                raise AttributeValueError(f"{attr} = {value!r}; expected {error}") from None
    return values


def _fill_probabilities(slot: str, read: dict[str, dict[str, Any]]) -> None:
    """Where none is given: an even share of what is left in a slot of one operator, else a half."""
    open_ones = [template for template in read.values() if template["probability"] is None]
    if slot not in ONE_OF:
        for template in open_ones:
            template["probability"] = HALF_OF_ALL
        return
    total = sum(template["probability"] or 0 for template in read.values())
    if total > 1 + 1e-9 or (read and not open_ones and not isclose(total, 1, abs_tol=1e-9)):
        raise SpaceError(
            f"templates[{slot!r}]: exactly one of {', '.join(read)} is drawn, but their probabilities add up to {total:g}; "
            "make that 1, or leave some out to share the rest"
        )
    for template in open_ones:
        template["probability"] = max(0.0, 1 - total) / len(open_ones)
