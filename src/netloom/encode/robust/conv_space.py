"""The networks of `netloom.spaces.Conv` as sequences of tokens, every one of which is a network of the space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import SpaceError
from ...spaces.caps import Caps
from ...spaces.chain import Form, of_forms
from ...spaces.conv_drawing import Block, Drawing, Drawn, Element
from ...spaces.conv_grammar import parse
from ...spaces.conv_repair import cost, repaired
from ...spaces.conv_templates import Choices
from .sequences import Sequences, grouped
from .table import token_of

if TYPE_CHECKING:
    from ...graph.graph import Graph
    from ...spaces.conv import Conv

#: Ends the part of the network that it stands in, where a layer that must come next does not fit.
STOP = "stop"


class Wanted(NamedTuple):
    """A layer as a sequence asks for it: the operator, and the tokens of its attributes."""

    op: str
    tokens: tuple[str, ...]


class _Growing:
    """The forms of a network so far, and where its parts begin."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.forms: list[Form] = []
        self.blocks: list[int] = []
        self.hidden: list[int] = []
        self.pool = 0

    def add(self, form: Form) -> None:
        self.forms.append(form)
        self.shape = form.shape


class ConvSequences(Sequences):
    """Sequences for a `netloom.spaces.Conv`: operators, each with its attributes after it.

    A convolution begins a block, a linear layer a hidden block; the layers after it fill the places that the block has for
    them, in the order of the space, whatever their own. What a block must have and the sequence does not say is the first of
    its template; what does not fit is made smaller, or ends the part of the network as in the space. Networks beyond the caps
    of the space are repaired as its samples are.

    >>> import netloom as nl, numpy as np
    >>> space = nl.spaces.Conv(input_shape=(1, 8, 8))
    >>> sequences = ConvSequences(space)
    >>> [node.op for node in sequences.decode("linear conv2d out=16 batch_norm relu")]
    ['input', 'conv2d', 'relu', 'batch_norm', 'flatten', 'linear', 'relu', 'linear']
    >>> graph = space.sample(np.random.default_rng(0))
    >>> sequences.decode(sequences.encode(graph)) == graph
    True
    """

    def __init__(self, space: Conv) -> None:
        self.space = space
        drawing = self._drawing = Drawing(
            space.all_templates, space.input_shape, space.num_classes, space.conv_num, space.lin_num
        )
        self._caps = Caps.of("conv", space.max_params, space.max_macs, space.max_flops)
        elements = [*drawing.conv.elements, *drawing.pool.elements, *drawing.hidden.elements]
        choices = [choices for element in elements for choices in element.choices]
        stop = [STOP] if any(map(_may_be_missed, (drawing.conv, drawing.hidden))) else []
        values = [
            token_of(name, value) for c in choices for name, values in c.ranges.items() if len(values) > 1 for value in values
        ]  # fmt: skip
        verbs = [*dict.fromkeys(c.op for c in choices), *stop]
        self._num_verbs = len(verbs)
        self._vocabulary = tuple(dict.fromkeys([*verbs, *values]))
        self._fallback = parse(space.smallest[0], drawing)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self._vocabulary

    # -- decoding ------------------------------------------------------------------------------------------------------
    def decode(self, tokens: Iterable[str] | Iterable[int] | str) -> Graph:
        """The network of any sequence of tokens, a member of the space; `FormatError` for what is no token."""
        verbs = self._vocabulary[: self._num_verbs]
        wanted = [Wanted(*group) for group in grouped(self.tokens(self.numbers(tokens)), verbs)]
        drawing = self._drawing
        blocks, hidden, pool = self._parted(wanted)
        growing = _Growing(drawing.input_shape)
        self._grow(drawing.conv, blocks[: drawing.conv_num] or [[]], growing, growing.blocks)
        growing.pool = len(growing.forms)
        self._grow(drawing.pool, [pool], growing, [])
        self._must(growing, drawing.flatten.forms[growing.shape])
        self._grow(drawing.hidden, hidden[: drawing.lin_num - 1], growing, growing.hidden)
        self._must(growing, drawing.head.forms[growing.shape])
        return of_forms(drawing.input_shape, self._within_caps(growing))

    def _parted(self, wanted: Sequence[Wanted]) -> tuple[list[list[Wanted]], list[list[Wanted]], list[Wanted]]:
        """The layers of each convolutional block, of each hidden block, and of what stands between them."""
        drawing = self._drawing
        begins_block, begins_hidden = (_ops(kind.elements[:1]) for kind in (drawing.conv, drawing.hidden))
        pools = _ops(drawing.pool.elements)
        blocks: list[list[Wanted]] = []
        hidden: list[list[Wanted]] = []
        pool: list[Wanted] = []
        here: list[Wanted] = []
        kind = drawing.conv
        for layer in wanted:
            if layer.op in begins_block or layer.op in begins_hidden:
                here = [layer]
                kind, parts = (drawing.conv, blocks) if layer.op in begins_block else (drawing.hidden, hidden)
                parts.append(here)
            elif layer.op == STOP or layer.op in _ops(kind.elements):
                here.append(layer)
            elif layer.op in pools:
                pool.append(layer)
        return blocks, hidden, pool

    def _grow(self, kind: Block, parts: Sequence[Sequence[Wanted]], growing: _Growing, starts: list[int]) -> None:
        """Append blocks until one does not fit."""
        for part in parts:
            start = len(growing.forms)
            ended = not self._fill(kind.elements, part, growing)
            if len(growing.forms) > start:
                starts.append(start)
            if ended:
                return

    def _fill(self, elements: Sequence[Element], part: Sequence[Wanted], growing: _Growing) -> bool:
        """Append the layers of one block; False where one that must stand does not fit, or `STOP` stands for that."""
        given = _placed(elements, part)
        stopped = any(layer.op == STOP for layer in part)
        for place, element in enumerate(elements):
            layer = given.get(place)
            if layer is None and element.may_lack:
                continue
            if layer is None and stopped and not element.always_fits(growing.shape):
                return False
            form = _fitting(element, layer, growing.shape)
            if form is None:
                if not element.always_fits(growing.shape) and not element.may_lack:
                    return False
                continue
            growing.add(form)
        return True

    def _must(self, growing: _Growing, form: Form | None) -> None:
        if form is None:  # flatten and linear fit whatever comes
            raise SpaceError(f"{self.space.spec}: {growing.shape} cannot be classified")
        growing.add(form)

    def _within_caps(self, growing: _Growing) -> list[Form]:
        forms = growing.forms
        num_params, macs = cost(forms)
        if growing.blocks and self._caps.excess(num_params, macs) <= 1:
            return forms
        fallback = list(self._fallback or ())
        if not growing.blocks:
            return fallback
        drawn = Drawn(forms, growing.blocks, growing.pool, growing.hidden, num_params, 2 * macs)
        return repaired(drawn, fallback, self._drawing, self._caps)

    # -- encoding ------------------------------------------------------------------------------------------------------
    def encode(self, graph: Graph) -> list[str]:
        """The tokens of a member of the space; `SpaceError` for any other graph."""
        forms = parse(graph, self._drawing)
        if forms is None or not self.space.contains(graph):
            raise SpaceError(f"{graph!r} is no network of {self.space.spec!r}; Notation writes networks of other kinds")
        found: list[str] = []
        for form in forms[:-1]:
            if form.op != "flatten" or form.layer.attrs:
                found += self._written(form)
        if self.decode(found).hash == graph.hash:
            return found
        for place in range(len(found), -1, -1):
            stopped = [*found[:place], STOP, *found[place:]]
            if STOP in self._vocabulary and self.decode(stopped).hash == graph.hash:
                return stopped
        raise SpaceError(f"{graph!r} has no sequence: layers of {self.space.spec!r} cannot be told apart by operator and place")

    def _written(self, form: Form) -> list[str]:
        """The operator of a layer, and its values that are not the first of their ranges."""
        drawing = self._drawing
        elements = [*drawing.conv.elements, *drawing.pool.elements, *drawing.hidden.elements]
        for choices in [choices for element in elements for choices in element.choices if choices.op == form.op]:
            for values in _combinations(choices.ranges, dict(form.layer.attrs)):
                if choices.of(values) == form.layer:
                    usual = {name: options[0] for name, options in choices.ranges.items()}
                    return [form.op, *[token_of(name, value) for name, value in values.items() if value != usual[name]]]
        return [form.op]


def _may_be_missed(kind: Block) -> bool:
    """Whether a block has a layer that must stand, after its first, and that may not fit."""
    return any(not e.may_lack and not (e.always_fits((8, 1, 1)) or e.always_fits((8,))) for e in kind.elements[1:])


def _ops(elements: Iterable[Element]) -> set[str]:
    return {choices.op for element in elements for choices in element.choices}


def _placed(elements: Sequence[Element], part: Sequence[Wanted]) -> dict[int, Wanted]:
    """Which layer stands in which place: the next that takes its operator, else the first that is free."""
    found: dict[int, Wanted] = {}
    last = -1
    for layer in part:
        fitting = [i for i, element in enumerate(elements) if i not in found and layer.op in _ops([element])]
        if fitting:
            place = next((i for i in fitting if i > last), fitting[0])
            found[place] = layer
            last = place
    return found


def _fitting(element: Element, layer: Wanted | None, shape: tuple[int, ...]) -> Form | None:
    """The form of the layer that is wanted, else one with a smaller kernel, else the first of the element that fits."""
    chosen = [choices for choices in element.choices if layer is not None and choices.op == layer.op] or list(element.choices)
    for choices in chosen:
        for values in _wanted_values(choices.ranges, layer.tokens if layer is not None else ()):
            form = choices.prepared[_number(choices, values)].forms[shape]
            if form is not None:
                return form
    if not element.may_lack:
        for choices in element.choices:
            for number in range(choices.count):
                form = choices.prepared[number].forms[shape]
                if form is not None:
                    return form
    return None


def _wanted_values(ranges: Mapping[str, Sequence[Any]], tokens: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The values that tokens ask for, the first of each range where none does; then with ever smaller kernels."""
    asked = set(tokens)
    values = {
        name: next((value for value in reversed(options) if token_of(name, value) in asked), options[0])
        for name, options in ranges.items()
    }  # fmt: skip
    yield values
    kernel = values.get("kernel")
    if kernel is not None:
        smaller = [value for value in ranges["kernel"] if type(value) is type(kernel) and value < kernel]
        for value in sorted(smaller, reverse=True):
            yield {**values, "kernel": value}


def _number(choices: Choices, values: Mapping[str, Any]) -> int:
    """The number of a combination of values among the choices, the last attribute fastest."""
    number = 0
    for name, options in choices.ranges.items():
        number = number * len(options) + options.index(values[name])
    return number


def _combinations(ranges: Mapping[str, Sequence[Any]], attrs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Values of the ranges that may be the attributes of a layer: those of paddings may be relative."""
    found: list[dict[str, Any]] = [{}]
    for name, options in ranges.items():
        fitting = [value for value in options if value == attrs.get(name)] if name != "padding" else list(options)
        found = [{**values, name: value} for values in found for value in fitting]
    yield from found
