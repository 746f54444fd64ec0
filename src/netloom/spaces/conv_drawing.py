"""Drawing a network of the convolutional space from random numbers.

Which number decides what is fixed: a block takes as many as it has decisions, whether or not its layers fit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import Any, NamedTuple

from .chain import Form, Layer, prepare
from .conv_templates import ONE_OF, Choices

FLATTEN = Layer("flatten")


class Element(NamedTuple):
    """A place for a layer. ``has``, ``kind`` and ``which`` are the places, within the block's numbers, of those that
    decide whether it stands, its operator and its attributes; −1 where there is nothing to decide."""

    choices: tuple[Choices, ...]
    probability: float
    thresholds: tuple[float, ...]
    has: int
    kind: int
    which: int

    @property
    def may_lack(self) -> bool:
        return self.has >= 0

    def always_fits(self, shape: tuple[int, ...]) -> bool:
        """Whether every layer that may stand here fits samples of ``shape``."""
        return all(choices.prepared[i].forms[shape] is not None for choices in self.choices for i in range(choices.count))


class Block(NamedTuple):
    """Elements in order, and how many random numbers they take."""

    elements: tuple[Element, ...]
    size: int


def block(templates: Mapping[str, Mapping[str, Mapping[str, Any]]], *slots: str) -> Block:
    """The block of these slots, one after the other."""
    elements: list[Element] = []
    count = 0
    for slot in slots:
        read = {
            Choices(op, {name: values for name, values in template.items() if name != "probability"}): template["probability"]
            for op, template in templates[slot].items()
        }
        groups = [read] if slot in ONE_OF else [{choices: probability} for choices, probability in read.items()]
        for group in filter(None, groups):
            made = _element(group, slot in ONE_OF, count)
            count = max(count, made.has + 1, made.kind + 1, made.which + 1)
            elements.append(made)
    return Block(tuple(elements), count)


def _element(group: dict[Choices, float], one_of: bool, count: int) -> Element:
    has = kind = which = -1
    thresholds: tuple[float, ...] = ()
    if not one_of and min(group.values()) < 1:
        has, count = count, count + 1
    if len(group) > 1:
        kind, count = count, count + 1
        if max(group.values()) - min(group.values()) > 1e-12:
            thresholds = tuple(accumulate(group.values()))[:-1]
    if any(choices.count > 1 for choices in group):
        which = count
    return Element(tuple(group), 1.0 if one_of else min(group.values()), thresholds, has, kind, which)


class Drawn(NamedTuple):
    """A network as it was drawn: all its forms in order, and where its parts begin among them.

    ``blocks`` are the places of the convolutional blocks, ``pool`` of what follows them, ``hidden`` of the hidden linear
    blocks.
    """

    forms: list[Form]
    blocks: list[int]
    pool: int
    hidden: list[int]
    num_params: int
    flops: int

    @property
    def layers(self) -> list[Layer]:
        return [form.layer for form in self.forms]


class Drawing:
    """The generator for one input, head and set of templates."""

    def __init__(
        self, templates: Mapping[str, Any], input_shape: tuple[int, ...], num_classes: int, conv_num: int, lin_num: int
    ) -> None:
        self.input_shape, self.conv_num, self.lin_num = input_shape, conv_num, lin_num
        self.conv = block(templates, "conv", "activation", "conv_extras")
        self.pool = block(templates, "pool")
        self.hidden = block(templates, "linear", "linear_activation", "linear_extras")
        self.flatten = prepare(FLATTEN)
        self.head = prepare(Layer("linear", (("out", num_classes),)))
        #: Random numbers that one network takes.
        self.count = 2 + conv_num * self.conv.size + self.pool.size + self.hidden.size * (lin_num - 1)

    def draw(self, numbers: Sequence[float], max_params: float = inf, max_flops: float = inf) -> Drawn | None:
        """The network that ``numbers`` decide for; None where it has no convolution, or exceeds a cap.

        A layer that does not fit is left out, and the part it belongs to (convolutional, pool, hidden) ends there.
        """
        forms: list[Form] = []
        starts: list[int] = []
        count = 1 + int(numbers[0] * self.conv_num)
        shape, num_params, flops = self._grow(
            self.conv, count, numbers, 1, forms, starts, (self.input_shape, 0, 0), max_params, max_flops
        )
        if not forms or num_params > max_params or flops > max_flops:
            return None
        pool, base = len(forms), 1 + count * self.conv.size
        shape, num_params, flops = self._grow(
            self.pool, 1, numbers, base, forms, [], (shape, num_params, flops), max_params, max_flops
        )
        base += self.pool.size
        flat = self.flatten.forms[shape]
        assert flat is not None  # an image can always be flattened
        forms.append(flat)
        hidden: list[int] = []
        if self.lin_num > 1:
            deep = int(numbers[base] * self.lin_num)
            shape, num_params, flops = self._grow(
                self.hidden, deep, numbers, base + 1, forms, hidden, (flat.shape, num_params, flops), max_params, max_flops
            )
        else:
            shape = flat.shape
        head = self.head.forms[shape]
        assert head is not None  # features can always be mapped to classes
        num_params, flops = num_params + head.num_params, flops + head.flops
        if num_params > max_params or flops > max_flops:
            return None
        forms.append(head)
        return Drawn(forms, starts, pool, hidden, num_params, flops)

    def _grow(
        self, kind: Block, count: int, numbers: Sequence[float], base: int, forms: list[Form], starts: list[int],
        so_far: tuple[tuple[int, ...], int, int], max_params: float, max_flops: float,
    ) -> tuple[tuple[int, ...], int, int]:  # fmt: skip
        """Append ``count`` blocks, as far as they fit and keep the caps; gives shape, parameters and FLOPs then."""
        shape, num_params, flops = so_far
        for _ in range(count):
            start = len(forms)
            for choices, probability, thresholds, has, pick, which in kind.elements:
                if has >= 0 and numbers[base + has] >= probability:
                    continue
                chosen = choices[0]
                if pick >= 0:
                    number = numbers[base + pick]
                    chosen = choices[bisect_right(thresholds, number) if thresholds else int(number * len(choices))]
                prepared = chosen.prepared[int(numbers[base + which] * chosen.count) if which >= 0 else 0]
                form = prepared.forms[shape]
                if form is None:
                    if len(forms) > start:
                        starts.append(start)
                    return shape, num_params, flops
                forms.append(form)
                shape = form.shape
                num_params += form.num_params
                flops += form.flops
            starts.append(start)
            if num_params > max_params or flops > max_flops:
                break
            base += kind.size
        return shape, num_params, flops
