"""Operators put on values of known types, made to fit: what a derivation is built from, each worked out once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import NetloomError
from ...graph.step import Step
from ...ops import Edge, Size, TensorType, operator
from ...spaces.sketch import Form, call_of
from .instructions import Instruction
from .table import CHANNELS, Template, resolved

FLOAT, BATCH = "float32", Size.symbol("N")
#: Operators by the number of axes that they pool over.
GLOBAL_POOLS = {1: "adaptive_avg_pool1d", 2: "adaptive_avg_pool2d", 3: "adaptive_avg_pool3d"}
#: The number of axes in space in the name of an operator.
_SPACE = re.compile(r"([123])d$")
#: Steps that a call remembers, by what they read.
MOST_STEPS = 400
#: Calls that are remembered before all is forgotten.
_MOST_CALLS = 50_000


class Made(NamedTuple):
    """A call for operands of given types: its form, the number of its result's type, and its cost for one sample.

    ``steps`` are those made of it so far, with their tensors, by their count and operands.
    """

    op: str
    form: Form
    out: int
    num_params: int
    macs: int
    steps: dict[Any, Any]


class Closing(NamedTuple):
    """The calls that lead from a value to the classes, and their cost."""

    calls: list[Made]
    num_params: int
    macs: int


class Calls:
    """All calls that a notation has met. Types go by numbers; ``shapes`` has the shape of a sample of each."""

    def __init__(self, templates: Mapping[str, Template], num_classes: int) -> None:
        self.templates = templates
        self.types: list[TensorType] = []
        self.shapes: list[tuple[int, ...]] = []
        self._numbers: dict[TensorType, int] = {}
        self._unary: dict[tuple[int, int], Made | None] = {}
        self._plain: dict[Any, Made | None] = {}
        self._closings: dict[int, list[Closing]] = {}
        #: By the identity of a step, which is kept alive, and the number of its operand's type: the instruction that it is.
        self.said: dict[tuple[int, int], tuple[Step, Instruction]] = {}
        self._head = (("out", num_classes),)

    def number(self, shape: Sequence[int]) -> int:
        """The number of the type of samples of ``shape``."""
        return self._number_of(TensorType(FLOAT, (BATCH, *shape)))

    @property
    def is_full(self) -> bool:
        """Whether so much is remembered that one had better begin anew."""
        return len(self._plain) > _MOST_CALLS

    def _number_of(self, type: TensorType) -> int:
        number = self._numbers.get(type)
        if number is None:
            number = self._numbers[type] = len(self.types)
            self.types.append(type)
            self.shapes.append(type.shape[1:])
        return number

    # -- calls as they are ---------------------------------------------------------------------------------------------
    def plain(self, op: str, attrs: tuple[tuple[str, Any], ...], operands: tuple[int, ...]) -> Made | None:
        """The call of exactly these attributes; None where it is none, or gives no images or features."""
        key = (op, attrs, operands)
        if key not in self._plain:
            self._plain[key] = self._evaluated(op, attrs, operands)
        return self._plain[key]

    def _evaluated(self, op: str, attrs: tuple[tuple[str, Any], ...], operands: tuple[int, ...]) -> Made | None:
        space = _SPACE.search(op)
        if space is not None and any(len(self.shapes[number]) != int(space[1]) + 1 for number in operands):
            return None
        try:
            form = call_of(op, attrs, tuple(self.types[number] for number in operands))
        except NetloomError:
            return None
        (output, *others) = form.outputs
        shape = output.shape
        if others or output.dtype != FLOAT or len(shape) < 2 or shape[0] != BATCH:
            return None
        if not all(type(size) is int and size >= 1 for size in shape[1:]):
            return None
        num_params = sum(entry.type.numel for _, entry in form.weights if entry.kind == "parameter")
        return Made(op, form, self._number_of(output), num_params, form.flops // 2, {})

    def head(self, operand: int) -> Made | None:
        """The linear layer of the classes."""
        return self.plain("linear", self._head, (operand,))

    def flatten(self, operand: int) -> Made | None:
        return self.plain("flatten", (), (operand,))

    def global_pool(self, operand: int) -> Made | None:
        """The global average of images; None where the notation does not have it."""
        op = GLOBAL_POOLS.get(len(self.shapes[operand]) - 1, "")
        template = self.templates.get(op)
        if template is None or 1 not in template.ranges.get("output_size", ()):
            return None
        return self.plain(op, (("output_size", 1),), (operand,))

    def joined(self, operands: Sequence[int]) -> Made | None:
        """The concatenation of values along their channels."""
        key = ("cat", tuple(operands))
        if key not in self._plain:
            kind, types = operator("cat"), [self.types[number] for number in operands]
            places = tuple(Edge("", i) for i in range(len(types)))
            try:
                made = kind.evaluate({"tensors": places, "dim": 1}, lambda ref: types[ref.index])
            except NetloomError:
                self._plain[key] = None
            else:
                form = Form(made.args, ("tensors",), made.outputs, (), False, 0)
                self._plain[key] = Made("cat", form, self._number_of(made.outputs[0]), 0, 0, {})
        return self._plain[key]

    def closings(self, type: int) -> list[Closing]:
        """Ways to the classes from a value: flatten and the linear layer; the same after a global average."""
        found = self._closings.get(type)
        if found is None:
            ways = (self._closing(type, False), self._closing(type, True))
            found = self._closings[type] = [closing for closing in ways if closing]
        return found

    def _closing(self, type: int, pooled: bool) -> Closing | None:
        calls: list[Made] = []
        if len(self.shapes[type]) == 1:
            steps = [self.head] if not pooled else []
        else:
            steps = [*([self.global_pool] if pooled else []), self.flatten, self.head]
        for step in steps:
            made = step(type)
            if made is None:
                return None
            calls.append(made)
            type = made.out
        return Closing(calls, sum(made.num_params for made in calls), sum(made.macs for made in calls)) if calls else None

    # -- calls made to fit ---------------------------------------------------------------------------------------------
    def fitting(self, instruction: Instruction, operand: int) -> Made | None:
        """The call of an instruction, or one like it that fits: with a smaller kernel, then with fewer groups."""
        key = (instruction.number, operand)
        if key not in self._unary:
            self._unary[key] = self._fitted(instruction, operand)
        return self._unary[key]

    def _fitted(self, instruction: Instruction, operand: int) -> Made | None:
        template = instruction.template
        if template is None:
            return None
        channels = self.shapes[operand][0]
        for attrs in _variants(instruction.attrs, template):
            made = self.plain(template.op, resolved(attrs, channels), (operand,))
            if made is not None:
                return made
        return None

    def remember(self, step: Step, operand: int, instruction: Instruction) -> tuple[Step, Instruction]:
        """Note which instruction a step is: networks of one space share their steps."""
        if len(self.said) > _MOST_CALLS:
            self.said.clear()
        made = self.said[id(step), operand] = (step, instruction)
        return made

    def exactly(self, instruction: Instruction, operand: int) -> Made | None:
        """The call of an instruction as it is."""
        template = instruction.template
        if template is None:
            return None
        return self.plain(template.op, resolved(instruction.attrs, self.shapes[operand][0]), (operand,))


def _variants(attrs: Mapping[str, Any], template: Template) -> Iterator[Mapping[str, Any]]:
    """The attributes, then with smaller kernels, then with fewer groups, all out of the template."""
    yield attrs
    kernel: Any = attrs.get("kernel")
    smaller = [value for value in template.ranges.get("kernel", ()) if type(value) is type(kernel) and value < kernel]
    smaller.sort(reverse=True)
    for value in smaller:
        yield {**attrs, "kernel": value}
    if attrs.get("groups", 1) != 1:
        numbers = sorted([value for value in template.ranges["groups"] if value != CHANNELS], reverse=True)
        for groups in numbers:
            for value in [kernel, *smaller]:
                yield {**attrs, "groups": groups} | ({"kernel": value} if "kernel" in attrs else {})


def narrower(attrs: Mapping[str, Any], template: Template, out: int) -> Iterator[Mapping[str, Any]]:
    """The attributes with every smaller ``out`` of the template than the one that came out, the largest first."""
    numbers = [value for value in template.ranges.get("out", ()) if type(value) is int and value < out]
    for value in sorted(numbers, reverse=True):
        yield {**attrs, "out": value}
