"""From a graph to the instructions whose derivation it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import SpaceError
from ...graph.graph import Graph, Step
from ...graph.tree import edges
from ...graph.wiring import live_nodes
from ...ops import Edge, Weight, operator
from .calls import FLOAT, Made
from .derivation import Derivation
from .instructions import FROM, JOINS, KEEP, Instruction
from .table import CHANNELS, HALF, Template, normal

if TYPE_CHECKING:
    from .calls import Calls

_JOINED = {op: verb for verb, op in JOINS.items()}


class Writer:
    """Writes one graph, carrying out what it writes: so that what comes out is what a derivation makes of it."""

    def __init__(self, graph: Graph, derivation: Derivation, num_classes: int) -> None:
        self.graph, self.derivation, self.num_classes = graph, derivation, num_classes
        self.instructions: list[Instruction] = []
        self.place: dict[str, int] = {}
        self.unsaid: Step | None = None

    def write(self) -> list[Instruction]:
        """The instructions; `SpaceError` names what a notation cannot say."""
        graph = self.graph
        check_input(graph, self.derivation.calls.shapes[self.derivation.types[0]])
        live = live_nodes(graph)
        steps = [step for step in graph.steps if step.name in live]
        head, body, last = _parts(graph, steps, self.num_classes)
        readers = _readers(steps)
        _check_tensors(graph, steps)
        self.place[graph.steps[0].name] = 0
        following = [*body[1:], None]
        for step, after in zip(body, following):
            if after is not None and self.goes_without_saying(step, after):
                self.unsaid = step
                continue
            self.call(step)
            if not readers[step.name] and step.name != last:
                self.keep(step)
        self.go_to(self.place[last], head)
        check_caps(self.derivation, self.graph, head)
        return self.instructions

    def goes_without_saying(self, step: Step, after: Step) -> bool:
        """Whether the call is the flatten that a linear layer right after it brings with it."""
        follows = after.op == "linear" and after.args["x"] == Edge(step.name)
        return step.op == "flatten" and follows and _closes(self.graph, step)

    def say(self, verb: str, attrs: Mapping[str, Any] | None = None, refs: tuple[int, ...] = ()) -> None:
        instruction = self.derivation.vocabulary.instruction(verb, attrs, () if refs == (1,) else refs)
        self.instructions.append(instruction)
        self.derivation.run([instruction])

    def call(self, step: Step) -> None:
        """Write one call."""
        if step.mode or step.autocast or not step.grad:
            raise SpaceError(f"{_named(step)} is called in one mode, under no_grad or autocast; a notation cannot say that")
        reads = [edge.node for edge in step.edges]
        before = len(self.derivation.made)
        if self.unsaid is not None:
            # Flattening what the linear layer reads is not said: it comes with the linear layer.
            flat, self.unsaid = self.unsaid, None
            self.go_to(self.place[flat.args["x"].node], flat)
            self.place[flat.name] = before
            before += 1
            operands = [self.derivation.current]
        else:
            operands = [self.place[name] for name in reads]
        verb = _JOINED.get(step.op, "") if len(operands) > 1 or step.op == "cat" else ""
        if verb:
            self.write_join(step, verb, operands)
        else:
            self.write_operator(step, operands)
        if len(self.derivation.made) != before + 1:
            raise SpaceError(f"{_named(step)} exceeds {_limit(self.derivation)} of the notation; raise it")
        self.place[step.name] = before

    def keep(self, step: Step) -> None:
        """Say that a call is made though nothing reads it."""
        if KEEP not in self.derivation.vocabulary.number:
            raise SpaceError(f"nothing reads {_named(step)}; a notation that can say so has keep=True")
        self.say(KEEP)

    def write_operator(self, step: Step, operands: Sequence[int]) -> None:
        derivation = self.derivation
        template = derivation.vocabulary.templates.get(step.op)
        if template is None or len(operands) != 1:
            names = ", ".join([*derivation.vocabulary.templates, *derivation.vocabulary.joins])
            raise SpaceError(f"{_named(step)} is not in the notation; it has {names} (Notation.covering gives others)")
        self.go_to(operands[0], step)
        here = derivation.types[derivation.current]
        if step.op == "linear" and self.graph.all_types[step.args["x"].node][0].shape[1:] != derivation.calls.shapes[here]:
            flat = derivation.calls.flatten(here)
            here = flat.out if flat is not None else here
        if step.op in ("linear", "flatten") and (len(derivation.calls.shapes[here]) == 1) != (step.op == "linear"):
            raise SpaceError(f"{_named(step)} works on {derivation.calls.shapes[here]}; a notation puts flatten before linear")
        known = derivation.calls.said.get((id(step), here))
        if known is None or known[0] is not step:
            instruction = instruction_of(step, template, derivation, here)
            made = derivation.calls.exactly(instruction, here)
            if made is None or not _is(made, step):
                raise SpaceError(_refusal(step, template, derivation.calls, here, made))
            known = derivation.calls.remember(step, here, instruction)
        self.instructions.append(known[1])
        derivation.run([known[1]])

    def write_join(self, step: Step, verb: str, operands: Sequence[int]) -> None:
        derivation = self.derivation
        if verb not in derivation.vocabulary.joins:
            raise SpaceError(f"{_named(step)} joins values, which the notation cannot; give it joins={verb!r} too")
        if step.op == "cat" and step.args["dim"] != 1:
            raise SpaceError(f"{_named(step)} has dim = {step.args['dim']}; a notation concatenates channels, dim = 1")
        if derivation.current not in operands:
            self.go_to(max(operands), step)
        current = derivation.current
        if verb == "cat":
            fitting = {value: i for i, value in enumerate(derivation.fitting(verb), 1)}
            refs = tuple([0 if value == current else fitting.get(value, -1) for value in operands])
            if operands[-1] == current and refs.count(0) == 1 < len(refs):
                refs = refs[:-1]
        else:
            other = operands[1] if operands[0] == current else operands[0]
            fitting = {value: i for i, value in enumerate(derivation.fitting(verb), 1)}
            refs = (0 if other == current else fitting.get(other, -1),)
        if -1 in refs:
            raise SpaceError(f"{_named(step)} joins values that the notation cannot join{_back(derivation)}")
        made = derivation.calls.joined([derivation.types[value] for value in operands]) if verb == "cat" else (
            derivation.calls.plain(step.op, (), tuple(derivation.types[value] for value in operands))
        )  # fmt: skip
        if made is None or not _is(made, step):
            raise SpaceError(f"{_named(step)} is not the plain join of a notation")
        self.say(verb, refs=refs)

    def go_to(self, value: int, step: Step) -> None:
        """Make a value the current one."""
        derivation = self.derivation
        if derivation.current == value:
            return
        ref = sum(1 for other in range(value, len(derivation.made)) if other != derivation.current)
        if derivation.limits.max_back is not None and ref > derivation.limits.max_back:
            raise SpaceError(f"{_named(step)} reads a value {ref} calls before it{_back(derivation)}")
        self.say(FROM, refs=(ref,))
        if derivation.current != value:
            raise SpaceError(f"{_named(step)} exceeds {_limit(derivation)} of the notation; raise it")


# -- parts of a graph --------------------------------------------------------------------------------------------------
def check_input(graph: Graph, shape: tuple[int, ...]) -> None:
    """`SpaceError` unless the graph has one input, of this shape."""
    inputs = [step for step in graph.steps if step.op == "input"]
    type = graph.all_types[inputs[0].name][0] if inputs else None
    if len(inputs) != 1 or graph.steps[0] is not inputs[0] or type is None:
        raise SpaceError(f"the graph has {len(inputs)} inputs; a notation is for networks of one")
    if type.dtype != FLOAT or type.shape[1:] != shape:
        sizes = "×".join(map(str, shape))
        raise SpaceError(f"input {inputs[0].name!r} is {type}; the notation is for {FLOAT} {sizes}: give input_shape=")


def _parts(graph: Graph, steps: Sequence[Step], num_classes: int) -> tuple[Step, list[Step], str]:
    """The linear layer of the classes, the calls before it and its flatten, and the name of the value these end in."""
    by_name = {step.name: step for step in steps}
    result = graph.result
    head = by_name.get(result.node) if type(result) is Edge and result.index == 0 else None
    if head is None or graph.train_result is not None:
        raise SpaceError("the graph returns several values, or others in training; a notation is for networks of one")
    bias = head.args.get("bias")
    if head.op != "linear" or head.args["out"] != num_classes or type(bias) is not Weight:
        attrs = ", ".join(f"{name}={value}" for name, value in graph[head.name].attrs.items())
        raise SpaceError(
            f"the graph ends with {head.op} {head.name!r} ({attrs}); networks of the notation end with linear({num_classes}) "
            "with a bias, which it adds"
        )
    last = head.args["x"].node
    if any(head.name == edge.node for step in steps for edge in step.edges):
        raise SpaceError(f"linear {head.name!r} is the result and read as well; a notation ends with it")
    flat = by_name[last]
    left_out = {head.name}
    readers = [step.name for step in steps for edge in step.edges if edge.node == last]
    if flat.op == "flatten" and len(readers) == 1 and _closes(graph, flat):
        left_out.add(last)
        last = flat.args["x"].node
    return head, [step for step in steps[1:] if step.name not in left_out], last


def _closes(graph: Graph, flat: Step) -> bool:
    """Whether it is the flatten that closing a network adds."""
    before = graph.all_types[flat.args["x"].node][0].shape
    return flat.args["start_dim"] == 1 and flat.args["end_dim"] == len(before) - 1 > 1 and not (flat.mode or flat.autocast)


def _readers(steps: Sequence[Step]) -> dict[str, int]:
    counts = {step.name: 0 for step in steps}
    for step in steps:
        for edge in step.edges:
            counts[edge.node] += 1
    return counts


def _check_tensors(graph: Graph, steps: Sequence[Step]) -> None:
    """`SpaceError` where two calls use one tensor."""
    seen: dict[str, str] = {}
    for step in steps:
        for value in step.args.values():
            if type(value) is Weight:
                if value.key in seen or graph.tensors[value.key].alias_of is not None:
                    raise SpaceError(f"{_named(step)} shares the tensor {value.key!r}; a notation gives every call its own")
                seen[value.key] = step.name


# -- which instruction a step is ---------------------------------------------------------------------------------------
def instruction_of(step: Step, template: Template, derivation: Derivation, operand: int) -> Instruction:
    """The instruction of a step, the first value of the template for each of its attributes."""
    kind = operator(step.op)
    channels = derivation.calls.shapes[operand][0]
    attrs = {}
    for name, values in template.ranges.items():
        have = step.args[name]
        have = True if type(have) is Weight else have
        attrs[name] = next((value for value in values if _matches(kind, name, value, have, step, channels)), values[0])
    return derivation.vocabulary.instruction(template.op, attrs)


def _matches(kind: Any, name: str, value: Any, have: Any, step: Step, channels: int) -> bool:
    if value == CHANNELS:
        value = channels
    elif value == HALF:
        value = tuple(size // 2 for size in step.args["kernel"])
    found = normal(kind, name, value)
    return type(found) is type(have) and bool(found == have)


def _is(made: Made, step: Step) -> bool:
    """Whether the step is this call, up to names."""
    args = made.form.args
    if args.keys() != step.args.keys():
        return False
    for name, value in args.items():
        have = step.args[name]
        if edges(value) and edges(have):
            continue
        if type(value) is Weight:
            if type(have) is not Weight:
                return False
        elif type(value) is not type(have) or value != have:
            return False
    return True


# -- messages ----------------------------------------------------------------------------------------------------------
def _named(step: Step) -> str:
    return f"{step.op} {step.name!r}"


def _refusal(step: Step, template: Template, calls: Calls, operand: int, nearest: Made | None) -> str:
    """Which attribute of a step the notation does not have."""
    kind = operator(step.op)
    for name, values in template.ranges.items():
        have = step.args[name]
        have = True if type(have) is Weight else have
        if not any(_matches(kind, name, value, have, step, calls.shapes[operand][0]) for value in values):
            return f"{_named(step)}: {name} = {_shown(have)} is not in the notation; it has {', '.join(map(str, values))}"
    for name, have in step.args.items():
        expected = nearest.form.args.get(name) if nearest is not None else have
        if not edges(have) and (type(have), have) != (type(expected), expected) and not type(have) is type(expected) is Weight:
            return f"{_named(step)}: {name} = {_shown(have)} is not in the notation; it has {_shown(expected)}"
    attrs = ", ".join(f"{name} = {_shown(value)}" for name, value in step.args.items() if not edges(value))
    return f"{_named(step)} is not in the notation with {attrs}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        return str(value[0])
    return value.key if type(value) is Weight else str(value)


def _back(derivation: Derivation) -> str:
    most = derivation.limits.max_back
    return "" if most is None else f"; it looks back over max_back = {most} values"


def _limit(derivation: Derivation) -> str:
    limits, caps = derivation.limits, derivation.limits.caps
    parts = {"max_calls": limits.max_calls, "max_params": caps.num_params, "max_macs": caps.macs}
    shown = [f"{name} = {cap:,}" for name, cap in parts.items() if cap < float("inf")]
    return " or ".join([*shown, f"max_channels = {limits.max_channels}"])


def check_caps(derivation: Derivation, graph: Graph, head: Step) -> None:
    """`SpaceError` where closing the network as it is exceeds a cap."""
    caps = derivation.limits.caps
    if graph.num_params > caps.num_params or graph.flops // 2 > caps.macs:
        raise SpaceError(
            f"the graph has {graph.num_params:,} parameters and {graph.flops // 2:,} multiply–accumulates, more than "
            f"{_limit(derivation)} of the notation; raise it"
        )
