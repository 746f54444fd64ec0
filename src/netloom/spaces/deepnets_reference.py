"""Networks by a line of text: ``deepnets1m:test/12``, ``resnet50``, ``darts?channels=16&cells=8``."""

from __future__ import annotations

from ..errors import SpaceError
from ..graph.graph import Graph
from .deepnets import DeepNets1M
from .deepnets_architecture import LARGE
from .deepnets_named import NETWORKS, named_network
from .deepnets_operations import Shape
from .numbers_read import whole_number

PREFIX = "deepnets1m:"
_SETTINGS = ("input_shape", "num_classes", "channels", "cells")


def is_reference(text: str) -> bool:
    """Whether the text is one that `graph_of` reads.

    >>> is_reference("resnet50"), is_reference("deepnets1m:val/3"), is_reference("my_models:resnet50")
    (True, True, False)
    """
    return text.startswith(PREFIX) or text.partition("?")[0] in NETWORKS


def graph_of(text: str, input_shape: Shape | None = None, num_classes: int | None = None) -> Graph:
    """The network that the text names, for images of ``input_shape`` and so many classes where it does not say itself.

    ``deepnets1m:SPLIT/INDEX`` is a network of a split, of 32 pixels unless told otherwise; names are those of
    `named_network`, of 224. ``?SETTING=VALUE&…`` sets input_shape, num_classes, channels, and for ``darts`` and ``vit`` cells.
    Raises `SpaceError`.

    >>> graph_of("deepnets1m:predefined/1").num_params, graph_of("darts?channels=16&cells=8&input_shape=3x32x32").num_params
    (1012234, 246106)
    >>> graph_of("deepnets1m:search/7?channels=8").num_params < graph_of("deepnets1m:search/7").num_params
    True
    """
    name, _, rest = text.partition("?")
    given: dict[str, int] = {} if num_classes is None else {"num_classes": num_classes}
    for part in filter(None, rest.split("&")):
        key, equals, value = part.partition("=")
        if key not in _SETTINGS or not equals:
            raise SpaceError(
                f"{text[:120]!r}: cannot read {part[:80]!r}; settings are {', '.join(_SETTINGS)}, as SETTING=VALUE"
            )
        try:
            if key == "input_shape":
                input_shape = _shape(value)
            else:
                given[key] = whole_number(value)
        except ValueError:
            expected = "sizes such as 3x32x32" if key == "input_shape" else "a whole number"
            raise SpaceError(f"{text[:120]!r}: {key} = {value[:80]!r}; expected {expected}") from None
    if not name.startswith(PREFIX):
        return named_network(name, input_shape=input_shape or (3, 224, 224), **given)
    split, slash, index = name.removeprefix(PREFIX).partition("/")
    if not slash or not index.isdecimal():
        raise SpaceError(f"{text[:120]!r}: expected deepnets1m:SPLIT/INDEX, such as deepnets1m:test/12")
    if "cells" in given:
        raise SpaceError(f"{text[:120]!r}: networks of a split have the cells that they have; leave that out")
    shape = input_shape or (3, 32, 32)
    classes = given.get("num_classes") or (1000 if max(shape[1:]) >= LARGE else 10)
    space = DeepNets1M(split, classes, shape, given.get("channels"))
    if int(index) >= len(space):
        raise SpaceError(f"{text[:120]!r}: the split {split} has networks 0 to {len(space) - 1}")
    return space[int(index)]


def _shape(text: str) -> Shape:
    channels, height, width = (int(size) for size in text.split("x"))
    return channels, height, width
