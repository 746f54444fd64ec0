"""Making a network that costs too much smaller, one step at a time; and the smallest networks that there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from .caps import Caps, shrunk
from .chain import Form, Layer, prepare
from .conv_drawing import Block, Drawing, Drawn, Element
from .conv_templates import Choices

#: Convolutions that are tried one by one; of longer lists those at the ends of their ranges.
_MAX_LISTED = 2000


@dataclass(frozen=True)
class Parts:
    """A network by its parts: layers of every convolutional block, of what follows them, and of every hidden block."""

    blocks: tuple[tuple[Layer, ...], ...]
    pool: tuple[Layer, ...]
    hidden: tuple[tuple[Layer, ...], ...]

    @staticmethod
    def of(drawn: Drawn) -> Parts:
        layers = drawn.layers
        flat = next(i for i in range(drawn.pool, len(layers)) if layers[i].op == "flatten")
        conv = [*drawn.blocks, drawn.pool]
        hidden = [*drawn.hidden, len(layers) - 1]
        return Parts(
            tuple(tuple(layers[a:b]) for a, b in zip(conv, conv[1:])),
            tuple(layers[drawn.pool : flat]),
            tuple(tuple(layers[a:b]) for a, b in zip(hidden, hidden[1:])),
        )

    def forms(self, drawing: Drawing) -> list[Form] | None:
        """The forms of the whole network; None where a layer does not fit."""
        shape, forms = drawing.input_shape, []
        body = [prepare(layer) for part in (*self.blocks, self.pool) for layer in part]
        after = [prepare(layer) for part in self.hidden for layer in part]
        for prepared in (*body, drawing.flatten, *after, drawing.head):
            form = prepared.forms[shape]
            if form is None:
                return None
            forms.append(form)
            shape = form.shape
        return forms


def cost(forms: list[Form]) -> tuple[int, int]:
    """Parameters, and multiply–accumulates of one sample.

    >>> from netloom.spaces.chain import Layer, prepare
    >>> cost([prepare(Layer("linear", (("out", 2),))).forms[4,]])
    (10, 8)
    """
    return sum(form.num_params for form in forms), sum(form.flops for form in forms) // 2


def repaired(drawn: Drawn, fallback: list[Form], drawing: Drawing, caps: Caps) -> list[Form]:
    """A network like ``drawn`` but within ``caps``; ``fallback`` where no change leads there.

    Changes are a narrower layer, a pool before flatten, one block less.
    """

    def excess(parts: Parts | None) -> float:
        forms = parts.forms(drawing) if parts else None
        return inf if forms is None else caps.excess(*cost(forms))

    found = shrunk(Parts.of(drawn), lambda parts: _changes(parts, drawing), excess, None)
    forms = found.forms(drawing) if found else None
    return fallback if forms is None else forms


def _changes(parts: Parts | None, drawing: Drawing) -> Iterator[Parts | None]:
    if parts is None:
        return
    for b, layers in enumerate(parts.blocks):
        for changed in _narrower(layers, drawing.conv):
            yield replace(parts, blocks=(*parts.blocks[:b], changed, *parts.blocks[b + 1 :]))
    for b, layers in enumerate(parts.hidden):
        for changed in _narrower(layers, drawing.hidden):
            yield replace(parts, hidden=(*parts.hidden[:b], changed, *parts.hidden[b + 1 :]))
    if drawing.pool.elements and not parts.pool:
        yield replace(parts, pool=(drawing.pool.elements[0].choices[0].layer(0),))
    if len(parts.blocks) > 1:
        yield replace(parts, blocks=parts.blocks[:-1])
    if parts.hidden:
        yield replace(parts, hidden=parts.hidden[:-1])


def _narrower(layers: tuple[Layer, ...], kind: Block) -> Iterator[tuple[Layer, ...]]:
    for i, layer in enumerate(layers):
        for choices in _templates_of(layer.op, kind):
            smaller = choices.narrower(layer)
            if smaller is not None:
                yield (*layers[:i], smaller, *layers[i + 1 :])
                break


def _templates_of(op: str, kind: Block) -> list[Choices]:
    return [choices for element in kind.elements for choices in element.choices if choices.op == op]


# -- the smallest networks ---------------------------------------------------------------------------------------------
def smallest(drawing: Drawing) -> list[list[Form]]:
    """Networks of one convolutional block with the fewest channels, the least of all else, and no hidden block.

    With the published templates the cheapest of all networks are among them: the 1×1 convolution of the largest stride
    with the fewest channels, and a global pool, has both the fewest parameters and the fewest FLOPs.
    """
    found = []
    convs, *others = drawing.conv.elements
    rest = [element for element in others if not element.may_lack]
    for conv in _narrowest(convs):
        layers = _least([conv], rest, drawing.input_shape)
        if layers is None:
            continue
        pools: list[tuple[Layer, ...]] = [(choices.layer(0),) for e in drawing.pool.elements for choices in e.choices[:1]]
        for pool in [pools[0]] if pools else [()]:
            forms = Parts((tuple(layers),), pool, ()).forms(drawing)
            if forms is not None:
                found.append(forms)
    return found


def _narrowest(element: Element) -> Iterator[Layer]:
    for choices in element.choices:
        if choices.count > _MAX_LISTED:
            yield from [prepared.layer for prepared in choices.corners()]
            continue
        layers = [choices.layer(i) for i in range(choices.count)]
        least = min((dict(layer.attrs).get("out", 0) for layer in layers), default=0)
        yield from [layer for layer in layers if dict(layer.attrs).get("out", 0) == least]


def _least(layers: list[Layer], elements: list[Element], shape: tuple[int, ...]) -> list[Layer] | None:
    """``layers`` and, of every element, the layer of the fewest parameters that fits after them."""
    for layer in layers:
        form = prepare(layer).forms[shape]
        if form is None:
            return None
        shape = form.shape
    for element in elements:
        fitting: list[Any] = []
        for choices in element.choices:
            fitting += [form for prepared in choices.corners() if (form := prepared.forms[shape]) is not None]
        if not fitting:
            return layers  # what does not fit is left out, and the block ends
        best = min(fitting, key=lambda form: (form.num_params, form.flops))
        layers, shape = [*layers, best.layer], best.shape
    return layers
