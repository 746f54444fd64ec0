"""Chains of layers as rows of 32 bits, and as hex strings of 8 digits a layer; both ways.

The code of the public system sophius (A. Korolyov) for random convolutional networks: one row a layer, 12 bits for the
operator and one for each value of each attribute (see `netloom.encode.layer_codes`). The input's shape and the last linear
layer, which has an output for each class, are not in it: they are given when a code is decoded.

>>> import netloom as nl
>>> graph = nl.encode.layers32.from_hex("008801090804000001000000", input_shape=(3, 32, 32), num_classes=10)
>>> [node.op for node in graph], nl.encode.layers32.to_hex(graph)
(['input', 'conv2d', 'prelu', 'flatten', 'linear'], '008801090804000001000000')

A 1×1 convolution is the same network with padding on and off (half of its kernel is 0). Codes say "on" unless the graph was
decoded from a code that says "off": then a note of the graph keeps that, so that it is encoded as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError, ShapeError, SpaceError
from ..graph.builder import Layer as Unplaced
from ..graph.graph import Graph, Step
from ..graph.node import Node
from ..ops import Edge, Weight
from ..spaces.chain import Form, Layer, of_forms, prepare
from ..spaces.conv_fitting import as_layer
from .inputs import as_graph, as_graphs, plain
from .layer_codes import EITHER, FLAT, PUBLISHED_NAMES, WIDTH, all_codes, attributes_code, same_call, step_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "decode", "decode_many", "encode", "encode_layer", "encode_many", "from_hex", "from_hex_many", "to_hex", "to_hex_many",
]  # fmt: skip

_DIGITS = WIDTH // 4
#: How notes say that a call has another of its codes than the usual one.
_NOTE = "layers32: "
_NOTED = re.compile(r"(?:^|, )([^ ,]+) is ([0-9a-f]{8})")


#: Which samples a layer takes.
_EITHER, _IMAGES, _FLAT, _FLATTEN = range(4)


#: What is known of a step: itself (its identity is the key, so it must live), what it reads, code, kind, number of weights.
_Read = tuple[Step, str, int, int, int]
#: By the identity of the step: networks of one space share the same few thousand.
_KNOWN: dict[int, _Read] = {}
_MOST = 400_000


# -- encoding ----------------------------------------------------------------------------------------------------------
def encode(graph: Graph) -> NDArray[np.uint8]:
    """The code of a chain of layers, uint8 (L, 32): a row for every layer but the last, which must be a linear one.

    `SpaceError` names the node that has no code, its attribute and value, and the nearest that has one.

    >>> import netloom as nl
    >>> x = nl.input(3, 32, 32)
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(x, 8, kernel=5, stride=3)), 10))
    >>> encode(graph).shape, encode(graph).nonzero()[1].tolist()
    ((2, 32), [8, 12, 23, 28, 31, 7])
    """
    return _bits(_codes(as_graph(graph)))


def encode_many(graphs: Iterable[Graph]) -> list[NDArray[np.uint8]]:
    """The codes of many graphs, each uint8 (L, 32); they share one array. `netloom.encode.padded` makes them one batch."""
    rows: list[int] = []
    ends: list[int] = []
    for graph in as_graphs(graphs):
        rows += _codes(graph)
        ends.append(len(rows))
    bits = _bits(rows)
    return [bits[start:end] for start, end in zip([0, *ends], ends)]


def encode_layer(
    layer: Node | Unplaced | Layer | str, attrs: Mapping[str, Any] | None = None, **more: Any
) -> NDArray[np.uint8]:
    """The row of one layer, uint8 (32,): of a node, an ``nl.op`` layer, or the name of an operator with its attributes.

    Attributes are those of the functions of `netloom`; ``padding`` may also be True (half the kernel) or False, and
    ``num_parameters`` of a prelu ``"channels"``. `SpaceError` names what has no code, and the nearest that has one.

    >>> "".join(map(str, encode_layer("conv2d", out=32, kernel=3, stride=1, padding=1)))
    '00000000100000100000010000100010'
    """
    if isinstance(layer, Node):
        if attrs or more:
            raise SpaceError(f"{layer.op} {layer.name!r} has its attributes; give more to the name of an operator alone")
        code = _noted(layer.graph).get(layer.name) or _read(layer.step)[2]
    else:
        if not isinstance(layer, str):
            layer = as_layer(layer, 1)
            attrs, layer = dict(layer.attrs) | dict(attrs or {}), layer.op
        code = attributes_code(layer, dict(attrs or {}) | more)
    row: NDArray[np.uint8] = _bits([code])[0]
    return row


def to_hex(graph: Graph) -> str:
    """The code of a chain of layers as a string, 8 hex digits a layer; errors as `encode`'s."""
    return _hex(_codes(as_graph(graph)))


def to_hex_many(graphs: Iterable[Graph]) -> list[str]:
    """The hex strings of many graphs."""
    return [_hex(_codes(graph)) for graph in as_graphs(graphs)]


def _hex(codes: list[int]) -> str:
    return np.array(codes, dtype=">u4").tobytes().hex()


def _bits(codes: list[int]) -> NDArray[np.uint8]:
    return np.unpackbits(np.array(codes, dtype=">u4").view(np.uint8)).reshape(-1, WIDTH)


def _codes(graph: Graph) -> list[int]:
    """The codes of all layers but the last."""
    steps, types, known = graph.steps, graph.all_types, _KNOWN.get
    flat = _is_flat(graph)
    last = steps[-1]
    previous = steps[0].name
    codes: list[int] = []
    num_weights = 2
    if last.op != "linear" or graph.result != (last.name, 0):
        raise SpaceError(_no_end(last))
    for step in steps[1:-1]:
        read = known(id(step))
        if read is None or read[0] is not step:
            read = _read(step)
        _, reads, code, kind, weights = read
        if reads != previous:
            raise SpaceError(_no_chain(step, previous))
        previous = step.name
        if kind:
            if kind == _FLATTEN:
                if len(types[previous][0].shape) != 2:
                    raise SpaceError(f"flatten {previous!r} gives {types[previous][0]}; expected one axis of features")
                flat = True
            elif (kind == _FLAT) != flat:
                raise SpaceError(_misplaced(step, flat))
        codes.append(code)
        num_weights += weights
    _check_last(last, previous, flat)
    if num_weights != len(graph.tensors):
        _check_unshared(graph)
    if graph.notes:
        places = {step.name: i for i, step in enumerate(steps[1:-1])}
        for name, code in _noted(graph).items():
            codes[places[name]] = code
    return codes


def _read(step: Step) -> _Read:
    if len(_KNOWN) >= _MOST:
        _KNOWN.clear()
    code = step_code(step)
    values = step.args.values()
    reads = next(value.node for value in values if type(value) is Edge)
    kind = _FLAT if step.op in FLAT else _FLATTEN if step.op == "flatten" else _EITHER if step.op in EITHER else _IMAGES
    made = _KNOWN[id(step)] = (step, reads, code, kind, sum(type(value) is Weight for value in values))
    return made


def _no_chain(step: Step, previous: str) -> str:
    read = ", ".join(repr(value.node) for value in step.args.values() if type(value) is Edge)
    return f"{step.op} {step.name!r} reads {read or 'nothing'} and not {previous!r} before it; 32-bit codes are of chains"


def _misplaced(step: Step, flat: bool) -> str:
    have, expected = ("flat samples", "images") if flat else ("images", "flat samples")
    return f"{step.op} {step.name!r} works on {have}; its 32-bit code is of a layer that works on {expected}"


def _is_flat(graph: Graph) -> bool:
    """Whether the network is for flat samples; `SpaceError` unless it has one input, of those or of images."""
    first = graph.steps[0]
    if first.op != "input" or len(graph.steps) < 2:
        raise SpaceError(f"{graph!r} has no layers after one input; 32-bit codes are of layers in a chain")
    type = graph.all_types[first.name][0]
    if type.dtype != "float32" or len(type.shape) not in (2, 4):
        raise SpaceError(f"input {first.name!r} is {type}; expected float32 images (N, C, H, W) or features (N, F)")
    return len(type.shape) == 2


def _no_end(last: Step) -> str:
    return (
        f"the graph ends with {last.op} {last.name!r}; 32-bit codes are of networks that end with the linear layer of the "
        "classes, which they leave out"
    )


def _check_last(last: Step, previous: str, flat: bool) -> None:
    """`SpaceError` unless the linear layer of the classes reads ``previous``, a flat value, and has a bias."""
    if last.args["x"] != (previous, 0):
        raise SpaceError(_no_chain(last, previous))
    if not flat:
        raise SpaceError(_misplaced(last, False))
    if last.args["bias"].__class__ is not Weight:
        raise SpaceError(f"linear {last.name!r} has no bias; networks with a 32-bit code have one in every layer")


def _check_unshared(graph: Graph) -> None:
    """`SpaceError` where two calls use one tensor."""
    keys = [value.key for step in graph.steps for value in step.args.values() if type(value) is Weight]
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
    if twice is not None:
        raise SpaceError(f"the tensor {twice!r} is used by two layers; 32-bit codes cannot say that")


def _noted(graph: Graph) -> dict[str, int]:
    """The codes that notes give to calls, of which they are codes as well as the usual ones."""
    found: dict[str, int] = {}
    for note in graph.notes:
        if note.startswith(_NOTE):
            for name, digits in _NOTED.findall(note.removeprefix(_NOTE)):
                if name in graph and same_call(int(digits, 16), graph[name].step, graph[name].in_sizes[0]):
                    found[name] = int(digits, 16)
    return found


# -- decoding ----------------------------------------------------------------------------------------------------------
def decode(
    array: NDArray[Any] | Sequence[Sequence[int]], input_shape: Sequence[int] = (3, 32, 32), num_classes: int = 10
) -> Graph:
    """The network of a code (L, 32) of zeros and ones, on images of ``input_shape``, with its last linear layer added.

    `FormatError` names the row that is no code, with the nearest that is; `ShapeError` the row whose layer does not fit.

    >>> import netloom as nl
    >>> x = nl.input(1, 8, 8)
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.relu(x)), 3))
    >>> decode(encode(graph), (1, 8, 8), num_classes=3) == graph
    True
    """
    rows = np.asarray(array)
    if rows.ndim != 2 or rows.shape[1] != WIDTH:
        raise FormatError(f"a 32-bit code is an array (L, {WIDTH}), not {rows.shape}; one row for each layer")
    if rows.dtype.kind not in "buif" or not ((rows == 0) | (rows == 1)).all():
        raise FormatError("a 32-bit code holds zeros and ones alone; give the array that encode gave")
    codes = np.packbits(rows.astype(np.uint8), axis=1).view(">u4")[:, 0].tolist() if len(rows) else []
    return _decoded(codes, input_shape, num_classes)


def decode_many(arrays: Iterable[NDArray[Any]], input_shape: Sequence[int] = (3, 32, 32), num_classes: int = 10) -> list[Graph]:
    """The networks of many codes, as `decode` gives them."""
    return [decode(array, input_shape, num_classes) for array in arrays]


def from_hex(s: str, input_shape: Sequence[int] = (3, 32, 32), num_classes: int = 10) -> Graph:
    """The network of a hex string, 8 digits a layer; spaces and lines between them do not count. Errors as `decode`'s."""
    if not isinstance(s, str):
        raise FormatError(f"{s!r:.80} is no hex string; expected 8 hex digits a layer, such as '0088010901000000'")
    digits = "".join(s.split()).lower().removeprefix("0x")
    wrong = re.search("[^0-9a-f]", digits)
    if wrong:
        raise FormatError(f"{s!r:.80} is no hex string: {wrong[0]!r} at digit {wrong.start() + 1} is not from 0 to f")
    if len(digits) % _DIGITS:
        raise FormatError(f"{s!r:.80} has {len(digits)} hex digits; expected a multiple of {_DIGITS}, one row for each layer")
    return _decoded([int(digits[i : i + _DIGITS], 16) for i in range(0, len(digits), _DIGITS)], input_shape, num_classes)


def from_hex_many(strings: Iterable[str], input_shape: Sequence[int] = (3, 32, 32), num_classes: int = 10) -> list[Graph]:
    """The networks of many hex strings, as `from_hex` gives them."""
    return [from_hex(s, input_shape, num_classes) for s in strings]


def _decoded(codes: Sequence[int], input_shape: Sequence[int], num_classes: int) -> Graph:
    num_classes = plain(num_classes)
    shape = _checked_shape(input_shape, num_classes)
    if not codes:
        raise FormatError("the code has no rows; the smallest network is a flatten, '01000000'")
    forms: list[Form] = []
    unusual: list[str] = []
    counts: dict[str, int] = {}
    known = all_codes()
    start = shape
    for number, code in enumerate(codes, 1):
        coded = known.get(code)
        if coded is None:
            raise FormatError(f"row {number}, {code:08x}, is no code of a layer; {_mend(code)}")
        form = _placed(coded.layer, shape, number, code)
        counts[form.op] = count = counts.get(form.op, -1) + 1
        if code in _AMBIGUOUS or form.op == "prelu":
            _note_unusual(form, code, f"{form.op}_{count}" if count else form.op, shape, unusual)
        forms.append(form)
        shape = form.shape
    if len(shape) != 1:
        raise FormatError(f"the code ends with images of {shape}; the linear layer of the classes needs a flatten, '01000000'")
    forms.append(_placed(Layer("linear", (("out", num_classes),)), shape, len(codes) + 1, 0))
    return of_forms(start, forms, (_NOTE + ", ".join(unusual),) if unusual else ())


def _checked_shape(input_shape: Sequence[int], num_classes: int) -> tuple[int, ...]:
    shape = tuple(map(plain, input_shape)) if isinstance(input_shape, Iterable) else ()
    if len(shape) not in (1, 3) or not all(type(size) is int and size >= 1 for size in shape):
        raise FormatError(f"input_shape = {input_shape!r}; expected (channels, height, width), each ≥ 1")
    if type(num_classes) is not int or num_classes < 1:
        raise FormatError(f"num_classes = {num_classes!r}; expected an integer ≥ 1")
    return shape


def _placed(layer: Layer, shape: tuple[int, ...], number: int, code: int) -> Form:
    """The layer of a row on samples of ``shape``; `ShapeError` says why it does not fit."""
    where = f"row {number}, {code:08x}, is {PUBLISHED_NAMES[layer.op]} on {'×'.join(map(str, shape))}"
    if layer.op in FLAT and len(shape) != 1:
        raise ShapeError(f"{where}: it takes flat samples; put a flatten, '01000000', before it")
    if layer.op not in FLAT and layer.op not in EITHER and len(shape) != 3:
        raise ShapeError(f"{where}: it takes images; put it before the flatten")
    form = prepare(layer).forms[shape]
    if form is None:
        raise ShapeError(f"{where}: {prepare(layer).problem(shape)}")
    return form


#: Codes of 1×1 convolutions with padding off: the same layers as those with padding on.
_AMBIGUOUS = frozenset(code for code in all_codes() if code >> 23 & 1 and code >> 12 & 1 and code & 1)


def _note_unusual(form: Form, code: int, name: str, shape: tuple[int, ...], unusual: list[str]) -> None:
    """Note the code of a call that has another as its usual one."""
    if code in _AMBIGUOUS or (dict(form.layer.attrs)["num_parameters"] != 1 and shape[0] == 1):
        unusual.append(f"{name} is {code:08x}")


def _mend(code: int) -> str:
    """What to make of 32 bits that are no code: the code that differs from them in the fewest bits."""
    near = min(all_codes(), key=lambda other: ((other ^ code).bit_count(), other))
    layer = all_codes()[near].layer
    attrs = ", ".join(f"{name} {value}" for name, value in layer.attrs)
    return f"the nearest is {near:08x}, {PUBLISHED_NAMES[layer.op]}" + (f" of {attrs}" if attrs else "")
