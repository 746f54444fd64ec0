"""The derivation of a network: instructions carried out one after the other, each of them made to fit or passed over.

There is a current value and a list of all values so far. An operator is put on the current value; ``from`` goes back to an
earlier one, so that a branch begins; ``add``, ``cat`` and ``gate`` join the current value with earlier ones that fit it. At
every moment the network can be closed (joined ends, flatten, the linear layer of the classes) within the caps: what would
break that is not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import SpaceError
from ...graph.builder import weight_key
from ...graph.graph import Argument, Graph, Step
from ...ops import MODULE, DType, Edge, Weight, operator
from ...spaces.caps import Caps
from .calls import FLOAT, MOST_STEPS, Calls, Closing, Made, narrower
from .instructions import FROM, JOINS, KEEP, Instruction, Vocabulary

if TYPE_CHECKING:
    from ...graph.table import TensorEntry
    from ...ops import TensorType


#: Features that a concatenation of flat values may have.
MOST_FEATURES = 1 << 20


class Limits(NamedTuple):
    """What no network of a notation exceeds. ``max_back`` is how many values that fit a reference may look back over."""

    caps: Caps
    max_calls: int
    max_channels: int
    max_back: int | None


class Derivation:
    """A network in the making, from an input of the type numbered ``start``."""

    __slots__ = (
        "vocabulary", "calls", "limits", "made", "operands", "types", "of_type", "current", "is_read", "kept", "num_params",
        "macs", "num_calls",
    )  # fmt: skip

    def __init__(self, vocabulary: Vocabulary, calls: Calls, limits: Limits, start: int) -> None:
        self.vocabulary, self.calls, self.limits = vocabulary, calls, limits
        self.made: list[Made | None] = [None]
        self.operands: list[tuple[int, ...]] = [()]
        self.types = [start]
        self.of_type: dict[int, list[int]] = {start: [0]}
        self.current = 0
        self.is_read = [False]
        self.kept: set[int] = set()
        self.num_params = self.macs = self.num_calls = 0

    def affordable(self, made: Made) -> bool:
        """Whether the call leaves what has been made so far within the caps; closing it is seen to at the end."""
        limits = self.limits
        num_params, macs = self.num_params + made.num_params, self.macs + made.macs
        return self.num_calls < limits.max_calls and num_params <= limits.caps.num_params and macs <= limits.caps.macs

    def push(self, made: Made, operands: tuple[int, ...]) -> None:
        """Make the call; its result is the current value."""
        current = len(self.made)
        self.made.append(made)
        self.operands.append(operands)
        self.types.append(made.out)
        self.of_type.setdefault(made.out, []).append(current)
        for operand in operands:
            self.is_read[operand] = True
        self.is_read.append(False)
        self.num_params += made.num_params
        self.macs += made.macs
        self.num_calls += 1
        self.current = current

    # -- instructions --------------------------------------------------------------------------------------------------
    def run(self, instructions: Iterable[Instruction]) -> None:
        """Carry out what can be."""
        for instruction in instructions:
            verb = instruction.verb
            if instruction.template is not None:
                self.apply(instruction)
            elif verb == FROM:
                self.go_back(instruction.refs[0] if instruction.refs else 1)
            elif verb == KEEP:
                self.kept.add(self.current)
            elif verb == "cat":
                self.concatenate(instruction.refs)
            else:
                for ref in instruction.refs or (1,):
                    self.join(verb, ref)

    def apply(self, instruction: Instruction) -> None:
        """Put an operator on the current value, as it is or made to fit."""
        template = instruction.template
        if template is None:
            return
        here = self.types[self.current]
        flat = len(self.calls.shapes[here]) == 1
        if template.op == "flatten":
            made = None if flat else self.calls.flatten(here)
            if made is not None and self.affordable(made):
                self.push(made, (self.current,))
        elif template.op == "linear" and not flat:
            self.apply_flat(instruction, here)
        else:
            made = self.calls.fitting(instruction, here)
            if made is not None and not self.affordable(made):
                made = self.narrower(instruction, here, made)
            if made is not None:
                self.push(made, (self.current,))

    def narrower(self, instruction: Instruction, here: int, made: Made) -> Made | None:
        """The widest form of a layer that the caps allow."""
        template = instruction.template
        if template is None:
            return None
        for attrs in narrower(instruction.attrs, template, self.calls.shapes[made.out][0]):
            other = self.calls.fitting(self.vocabulary.instruction(instruction.verb, attrs), here)
            if other is not None and self.affordable(other):
                return other
        return None

    def apply_flat(self, instruction: Instruction, here: int) -> None:
        """Put a linear layer on images: flat as they are; of their global average, or narrower, where the caps want it."""
        ways = []
        for way in (closing.calls[:-1] for closing in self.calls.closings(here)):
            made = self.calls.fitting(instruction, way[-1].out)
            if made is not None and self.num_calls + len(way) < self.limits.max_calls:
                if self.affordable(made):
                    ways = [(way, made)]
                    break
                fewer = self.narrower(instruction, way[-1].out, made)
                ways += [(way, fewer)] if fewer is not None else []
        for way, made in ways[:1]:
            for call in (*way, made):
                self.push(call, (self.current,))

    def go_back(self, ref: int) -> None:
        """Make an earlier value the current one, the ``ref``-th of the others from the last on."""
        count = len(self.made) - 1
        if self.limits.max_back is not None:
            count = min(count, self.limits.max_back)
        if count < 1:
            return
        place = len(self.made) - 1 - (ref - 1) % count
        self.current = place if place > self.current else place - 1

    def fitting(self, verb: str) -> list[int]:
        """The other values that the current one can be joined with, the last first."""
        current, here = self.current, self.types[self.current]
        if verb == "add":
            found = [value for value in reversed(self.of_type[here]) if value != current]
        else:
            fit = _can_cat if verb == "cat" else _can_gate
            shape, shapes = self.calls.shapes[here], self.calls.shapes
            kinds = [values for type, values in self.of_type.items() if fit(shape, shapes[type])]
            found = sorted([value for values in kinds for value in values if value != current], reverse=True)
        return found if self.limits.max_back is None else found[: self.limits.max_back]

    def join(self, verb: str, ref: int) -> None:
        """Add or multiply the current value and the ``ref``-th that fits it, or itself (0)."""
        other = self.current
        if ref:
            fitting = self.fitting(verb)
            if not fitting:
                return
            other = fitting[(ref - 1) % len(fitting)]
        made = self.calls.plain(JOINS[verb], (), (self.types[self.current], self.types[other]))
        if made is not None and self.affordable(made):
            self.push(made, (self.current, other))

    def concatenate(self, refs: tuple[int, ...]) -> None:
        """Concatenate values that fit the current one, which is the last of them unless a reference says where (0)."""
        refs = refs or (1,)
        fitting = self.fitting("cat")
        others = [self.current if not ref else fitting[(ref - 1) % len(fitting)] for ref in refs if fitting or not ref]
        operands = tuple(others) if 0 in refs else (*others, self.current)
        channels = 0
        most = self.limits.max_channels if len(self.calls.shapes[self.types[self.current]]) > 1 else MOST_FEATURES
        for place, operand in enumerate(operands):
            channels += self.calls.shapes[self.types[operand]][0]
            if channels > most:
                operands = operands[:place]
                break
        if len(operands) > 1 or refs == (0,):
            made = self.calls.joined([self.types[operand] for operand in operands])
            if made is not None and self.affordable(made):
                self.push(made, operands)

    # -- the end -------------------------------------------------------------------------------------------------------
    def finish(self) -> Graph:
        """Close the network: add ends that nothing reads to the current value where they fit it, then flatten and classify."""
        here = self.types[self.current]
        joining = self.calls.plain("add", (), (here, here)) if "add" in self.vocabulary.joins else None
        for value in range(1, len(self.made)):
            if self.is_read[value] or value in self.kept or value == self.current or self.types[value] != here:
                continue
            if joining is not None and self.affordable(joining) and value in self.fitting("add"):
                self.push(joining, (self.current, value))
        closing, live = self.closing()
        for made in closing.calls:
            self.push(made, (self.current,))
        return _written(self, live + [True] * len(closing.calls))

    def closing(self) -> tuple[Closing, list[bool]]:
        """How to close within the caps, and what is live then; goes back as far as it must, which may be to the input."""
        limits = self.limits
        for back in range(-1, self.current + 1):
            # Once as it is, then from ever earlier values, without what is kept after them.
            current = self.current - max(back, 0)
            live = self.live(current, self.kept if back < 0 else [value for value in self.kept if value < current])
            made = [call for call, alive in zip(self.made, live) if alive and call is not None]
            num_params, macs = sum(call.num_params for call in made), sum(call.macs for call in made)
            for closing in self.calls.closings(self.types[current]):
                params_left, macs_left = limits.caps.num_params - num_params, limits.caps.macs - macs
                calls_left = limits.max_calls - len(made)
                if closing.num_params <= params_left and closing.macs <= macs_left and len(closing.calls) <= calls_left:
                    self.current = current
                    return closing, live
        raise SpaceError("the caps admit no network")  # refused before: the input itself can be closed

    def live(self, current: int, kept: Iterable[int]) -> list[bool]:
        """Which values a network that ends in ``current`` computes: what it reads, and what is kept for its effect."""
        live = [False] * len(self.made)
        for value in (current, *kept):
            live[value] = value == current or self.writes(value)
        for value in range(len(live) - 1, 0, -1):
            if live[value]:
                for operand in self.operands[value]:
                    live[operand] = True
        return live

    def writes(self, value: int) -> bool:
        """Whether the call does more than give its result: only that is a reason to make it where nothing reads it."""
        made = self.made[value]
        return made is not None and made.form.flagged and operator(made.op).effect == "write"


def _can_cat(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return shape[1:] == other[1:] and len(shape) == len(other)


def _can_gate(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether one is the other, or has a single number for each of its channels."""
    if shape == other:
        return True
    return len(shape) == len(other) > 1 and shape[0] == other[0] and (set(shape[1:]) == {1} or set(other[1:]) == {1})


def _written(derivation: Derivation, live: list[bool]) -> Graph:
    """The live calls as a graph, named by their operators as the builder names them."""
    calls = derivation.calls
    type = calls.types[derivation.types[0]]
    steps = [Step("x", "input", {"dtype": DType(FLOAT), "shape": type.shape})]
    types: dict[str, tuple[TensorType, ...]] = {"x": (type,)}
    tensors: dict[str, TensorEntry] = {}
    counts: dict[str, int] = {}
    names = ["x"] * len(live)
    num_params = flops = 0
    made: Any
    for value, (made, operands) in enumerate(zip(derivation.made, derivation.operands)):
        if not live[value] or made is None:
            continue
        counts[made.op] = count = counts.get(made.op, -1) + 1
        reads = [names[operand] for operand in operands]
        key = (count, *reads)
        known = made.steps.get(key)
        if known is None:
            known = step_of(made, count, reads)
            if len(made.steps) < MOST_STEPS:
                made.steps[key] = known
        step, entries = known
        steps.append(step)
        names[value] = step.name
        types[step.name] = made.form.outputs
        tensors.update(entries)
        num_params += made.num_params
        flops += made.form.flops
    return Graph.trusted(
        steps, tensors, (Argument("x", Edge("x")),), Edge(names[derivation.current]), types, {"N": 1},
        num_params=num_params, flops=flops,
    )  # fmt: skip


def step_of(made: Made, count: int, operands: Sequence[str]) -> tuple[Step, dict[str, TensorEntry]]:
    """The call that is its operator's number ``count`` in a graph, and its entries of the tensor table."""
    form, kind = made.form, operator(made.op)
    name = f"{made.op}_{count}" if count else made.op
    edges = [Edge(operand) for operand in operands]
    args = dict(form.args)
    if made.op == "cat":
        args[form.slots[0]] = tuple(edges)
    else:
        args.update(zip(form.slots, edges))
    entries = {}
    for role, entry in form.weights:
        key = weight_key(name, role, kind)
        args[role] = Weight(key)
        entries[key] = entry
    return Step(name, made.op, args, name if form.weights or form.args.get("training") == MODULE else ""), entries
