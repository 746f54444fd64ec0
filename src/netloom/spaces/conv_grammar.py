"""Which graphs the generator of the convolutional space can give."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from typing import TYPE_CHECKING, Any, NamedTuple

from ..ops import Edge, Operator, Weight
from .chain import CHANNELS, Form, Prepared, prepare
from .conv_drawing import Block, Drawing, Element
from .conv_templates import HALF, Choices

if TYPE_CHECKING:
    from ..graph.graph import Graph, Step

#: Layers of one template that are tried for a step whose attributes say too little.
_MAX_TRIED = 256


class _State(NamedTuple):
    """How far a graph has been read: the number of its steps, the shape there, the layers found."""

    read: int
    shape: tuple[int, ...]
    forms: tuple[Form, ...]

    def after(self, form: Form) -> _State:
        return _State(self.read + 1, form.shape, (*self.forms, form))


def parse(graph: Graph, drawing: Drawing) -> tuple[Form, ...] | None:
    """The forms whose graph this one may be, up to names and wiring; None where the generator cannot give them."""
    steps = graph.steps[1:]
    if len(graph.steps) < 3 or graph.steps[0].op != "input" or tuple(graph.steps[0].args["shape"][1:]) != drawing.input_shape:
        return None
    for state in _grown(drawing.conv, drawing.conv_num, _State(0, drawing.input_shape, ()), steps):
        if not state.forms:
            continue
        for pooled, _ in _one_block(drawing.pool.elements, state, steps):
            flat = _fixed(drawing.flatten, pooled, steps)
            if flat is None:
                continue
            for hidden in _grown(drawing.hidden, drawing.lin_num - 1, flat, steps):
                whole = _fixed(drawing.head, hidden, steps)
                if whole is not None and whole.read == len(steps):
                    return whole.forms
    return None


def _grown(kind: Block, count: int, state: _State, steps: tuple[Step, ...]) -> Iterator[_State]:
    """All states after up to ``count`` blocks."""
    yield state
    if count:
        for after, ended in _one_block(kind.elements, state, steps):
            if ended:
                yield after
            else:
                yield from _grown(kind, count - 1, after, steps)


def _one_block(elements: tuple[Element, ...], state: _State, steps: tuple[Step, ...]) -> Iterator[tuple[_State, bool]]:
    """All states after one block, and whether a layer that did not fit may have ended the part there."""
    if not elements:
        yield state, False
        return
    element, *rest = elements
    form = _match(element, state, steps)
    if form is not None:
        yield from _one_block(tuple(rest), state.after(form), steps)
    if element.may_lack:
        yield from _one_block(tuple(rest), state, steps)
    if not element.always_fits(state.shape):
        yield state, True


def _fixed(prepared: Prepared, state: _State, steps: tuple[Step, ...]) -> _State | None:
    form = prepared.forms[state.shape]
    if form is None or state.read >= len(steps) or not _is(form, steps[state.read]):
        return None
    return state.after(form)


def _match(element: Element, state: _State, steps: tuple[Step, ...]) -> Form | None:
    """The form that may stand in the element and is the next step."""
    if state.read >= len(steps):
        return None
    step = steps[state.read]
    for choices in element.choices:
        if choices.op == step.op:
            for prepared in _candidates(choices, step, state.shape):
                form = prepared.forms[state.shape]
                if form is not None and _is(form, step):
                    return form
    return None


def _candidates(choices: Choices, step: Step, shape: tuple[int, ...]) -> Iterator[Prepared]:
    """Layers of the template whose attributes may be those of the step."""
    kind = prepare(choices.layer(0)).kind
    options = []
    for name, values in choices.ranges.items():
        same = [value for value in values if _normal(kind, name, value, step, shape) == step.args.get(name)]
        options.append(same or values)
    for combination in islice(product(*options), _MAX_TRIED):
        yield prepare(choices.of(dict(zip(choices.ranges, combination))))


def _normal(kind: Operator, name: str, value: Any, step: Step, shape: tuple[int, ...]) -> Any:
    """How an attribute that is drawn shows in a graph."""
    if value == CHANNELS:
        value = shape[0]
    elif value == HALF:
        kernel = step.args.get("kernel")
        return tuple(size // 2 for size in kernel) if isinstance(kernel, tuple) else value
    param = kind.by_name[name]
    if param.kind == "weight":
        return step.args.get(name) if value else None
    return param.check(value) if param.check else value


def _is(form: Form, step: Step) -> bool:
    """Whether the step is this layer: operator, attributes, and which weights it has."""
    if form.op != step.op or step.mode or step.autocast or not step.grad or form.args.keys() != step.args.keys():
        return False
    for name, value in form.args.items():
        have = step.args[name]
        if name == form.operand:
            if type(have) is not Edge:
                return False
        elif type(value) is Weight:
            if type(have) is not Weight:
                return False
        elif value != have or type(value) is not type(have):
            return False
    return True
