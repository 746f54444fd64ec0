"""From a list of layers to the Graph of their straight chain, fast.

Sampling thousands of networks a second leaves no time to check the same layer again and again. A layer is evaluated by its
operator, with every check, once for each type of input it meets; what came out is a `Form`, and graphs are put together
from forms. Windows slide in plain integers: their form for one size of image follows from that for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import AttributeValueError, ShapeError
from ..graph.builder import fresh_entry, weight_key
from ..graph.graph import Argument, Graph, Step
from ..graph.notation import line_name
from ..graph.table import TensorEntry
from ..graph.text import step_line
from ..ops import MODULE, DType, Edge, Operator, Size, TensorType, Weight, operator

#: As the value of an attribute: the number of channels (axis 1) of the layer's input.
CHANNELS = "channels"
#: Operators whose result has the size of `ops.windows.covered` and whose cost is the same at every place of the window.
_WINDOWS = frozenset({"conv2d", "max_pool2d", "avg_pool2d"})
#: A size that no window is too large for.
_LONG = 1 << 20
#: Shapes of input that a layer remembers, and calls of it that are kept for one set of arguments.
_MAX_KEPT, _MAX_STEPS = 20_000, 400

_ONE_OF_EACH = "a layer of a chain is an operator of one tensor with one result"

_N, _FLOAT, _X = Size.symbol("N"), DType("float32"), Edge("x")


class Layer(NamedTuple):
    """An operator of one tensor with its attributes, in a chain; ``("bias", False)`` leaves an optional weight out.

    >>> Layer("conv2d", (("out", 8), ("kernel", 3)))
    Layer(op='conv2d', attrs=(('out', 8), ('kernel', 3)))
    """

    op: str
    attrs: tuple[tuple[str, Any], ...] = ()


class Form(NamedTuple):
    """A layer for one shape of input: all that a graph needs of it.

    ``shape`` is that of one sample of the result; ``num_params`` and ``flops`` (of one sample) are the layer's own.
    ``steps`` keeps the calls made of it, by the node they read and their count in the graph, ``lines`` the text of those, and
    ``tensors`` its entries of the tensor table, by that count.
    """

    shape: tuple[int, ...]
    outputs: tuple[TensorType, ...]
    args: dict[str, Any]
    entries: tuple[TensorEntry, ...]
    num_params: int
    flops: int
    op: str
    layer: Layer
    operand: str
    steps: dict[tuple[str, int], Step]
    lines: dict[tuple[str, int], str]
    tensors: dict[int, dict[str, TensorEntry]] | None


class Lazy(dict[Any, Any]):
    """A dictionary that makes what it does not have, and forgets everything where that becomes too much."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, key: Any) -> Any:
        if len(self) >= _MAX_KEPT:
            self.clear()
        made = self[key] = self.make(key)
        return made


class Prepared:
    """A layer ready to be put into graphs; ask `prepare` for it, so that equal layers share what they learned.

    ``forms[shape]`` is the layer on samples of that shape; None where it does not fit. Raises `AttributeValueError` where
    the operator takes no such attributes, or is none of one tensor with one result.

    >>> prepare(Layer("linear", (("out", 2),))).forms[4,].num_params
    10
    """

    __slots__ = ("layer", "kind", "operand", "forms", "_long", "_alike")

    def __init__(self, layer: Layer) -> None:
        self.layer, self.kind = layer, operator(layer.op)
        self.operand = _operand(self.kind)
        self.forms: Mapping[tuple[int, ...], Form | None] = Lazy(self._form)
        self._long: Mapping[int, Form | None] = Lazy(lambda channels: self._tried((channels, _LONG, _LONG)))
        self._alike: dict[Any, list[Form]] = {}

    def _form(self, shape: tuple[int, ...]) -> Form | None:
        return self._windowed(shape) if self.layer.op in _WINDOWS and len(shape) == 3 else self._tried(shape)

    def _tried(self, shape: tuple[int, ...]) -> Form | None:
        try:
            return self._evaluated(shape)
        except ShapeError:
            return None

    def problem(self, shape: tuple[int, ...]) -> str:
        """Why the layer does not fit samples of ``shape``, as its operator says it."""
        try:
            self._evaluated(shape)
        except ShapeError as error:
            return str(error)
        return ""

    def _evaluated(self, shape: tuple[int, ...]) -> Form:
        """The form as the operator's own rules give it."""
        kind, type = self.kind, TensorType("float32", (_N, *shape))
        args: dict[str, Any] = {param.name: Weight(param.name) for param in kind.params if param.kind == "weight"}
        for name, value in self.layer.attrs:
            if value == CHANNELS:
                value = shape[0]
            elif name in args:
                value = Weight(name) if value else None
            args[name] = value
        args[self.operand] = _X
        made = kind.evaluate(args, lambda ref: type if ref is _X else None)
        if len(made.outputs) != 1:
            raise AttributeValueError(f"{kind.name} gives {len(made.outputs)} results; {_ONE_OF_EACH}")
        (output,) = made.outputs
        if output.dtype != "float32" or len(output.shape) < 2 or output.shape[0] != _N or _not_plain(output.shape[1:]):
            raise ShapeError(f"{kind.name} gives {output}; expected a float32 result with the batch first")
        roles = [role for role, value in made.args.items() if value.__class__ is Weight]
        own = kind.weights(made.types) if roles else {}
        entries = tuple(fresh_entry(kind, role, own[role], made.types) for role in roles)
        num_params = sum(entry.type.numel for entry in entries if entry.kind == "parameter")
        flops = _one(kind.flops(made.types, made.outputs))
        form = Form(
            output.shape[1:], made.outputs, made.args, entries, num_params, flops, kind.name, self.layer, self.operand,
            {}, {}, {} if entries else None,
        )  # fmt: skip
        return self._sharing(form)

    def _windowed(self, shape: tuple[int, ...]) -> Form | None:
        """The form of a sliding window, from that on a very large image of as many channels."""
        channels, height, width = shape
        long = self._long[channels]
        if long is None:
            return None
        args = long.args
        if args["padding"].__class__ is str or args.get("ceil_mode"):
            return self._tried(shape)
        windows = zip(args["kernel"], args["stride"], args["padding"], args.get("dilation", (1, 1)))
        (k, s, p, d), (k2, s2, p2, d2) = windows
        height = (height + 2 * p - d * (k - 1) - 1) // s + 1
        width = (width + 2 * p2 - d2 * (k2 - 1) - 1) // s2 + 1
        if height < 1 or width < 1:
            return None
        out, tall, wide = long.shape
        flops = long.flops // (tall * wide) * (height * width)
        outputs = (TensorType("float32", (_N, out, height, width)),)
        return long._replace(shape=(out, height, width), outputs=outputs, flops=flops)

    def _sharing(self, form: Form) -> Form:
        """The form with the stores of steps and tensors that it has in common with forms for other shapes."""
        alike = self._alike.setdefault(form.entries, [])
        for other in [*alike, *(forms[0] for forms in self._alike.values() if forms)]:
            if other.args == form.args:
                form = form._replace(args=other.args, steps=other.steps, lines=other.lines)
                break
        if alike:
            form = form._replace(tensors=alike[0].tensors)
        elif len(self._alike) < _MAX_KEPT:
            alike.append(form)
        return form


@lru_cache(maxsize=100_000)
def prepare(layer: Layer) -> Prepared:
    """The layer, ready to be put into graphs."""
    return Prepared(layer)


def _operand(kind: Operator) -> str:
    needed = [param.name for param in kind.params if param.kind in ("tensor", "tensors", "operand") and param.required]
    if len(needed) != 1 or kind.by_name[needed[0]].kind == "tensors" or kind.weight_list or kind.unpack:
        takes = ", ".join(needed) or "no tensor"
        raise AttributeValueError(f"{kind.name} takes {takes}; {_ONE_OF_EACH}")
    return needed[0]


def _not_plain(shape: tuple[Any, ...]) -> bool:
    return any(size.__class__ is not int or size < 1 for size in shape)


def _one(size: Any) -> int:
    return size.at({"N": 1}) if isinstance(size, Size) else int(size)


# -- graphs ------------------------------------------------------------------------------------------------------------
def chain(input_shape: Sequence[int], layers: Iterable[Layer]) -> Graph:
    """The graph of ``layers`` one after the other, on samples of ``input_shape``, named as the builder names them.

    Raises `ShapeError` where a layer does not fit the one before it.

    >>> chain((4,), [Layer("linear", (("out", 2),)), Layer("relu")]).num_params
    10
    """
    shape = tuple(input_shape)
    forms = []
    for layer in layers:
        prepared = prepare(layer)
        form = prepared.forms[shape]
        if form is None:
            raise ShapeError(f"{layer.op}: {prepared.problem(shape)}")
        forms.append(form)
        shape = form.shape
    return of_forms(tuple(input_shape), forms)


def of_forms(input_shape: tuple[int, ...], forms: Sequence[Form], notes: tuple[str, ...] = ()) -> Graph:
    """The graph of forms that follow one another, the first of which is for ``input_shape``."""
    first, outputs, arguments = _input(input_shape)
    steps, types = [first], {"x": outputs}
    tensors: dict[str, TensorEntry] = {}
    counts: dict[str, int] = {}
    previous = "x"
    num_params = flops = 0
    for form in forms:
        _, outputs, _, _, own_params, own_flops, op, _, _, known, _, entries = form
        counts[op] = count = counts.get(op, -1) + 1
        step = known.get((previous, count)) or _step(form, previous, count)
        steps.append(step)
        previous = step.name
        types[previous] = outputs
        if entries is not None:
            tensors.update(entries.get(count) or _entries(form, step, count))
            num_params += own_params
        flops += own_flops
    return Graph.trusted(
        steps, tensors, arguments, Edge(previous), types, {"N": 1}, notes=notes,
        num_params=num_params, flops=flops, _forms=forms,
    )  # fmt: skip


def text_of(graph: Graph) -> str:
    """``graph.to_text()``; many times faster for graphs that this module made, out of the lines of their steps.

    >>> graph = chain((4,), [Layer("linear", (("out", 2),)), Layer("relu")])
    >>> text_of(graph) == graph.to_text()
    True
    """
    forms: Sequence[Form] | None = graph.__dict__.get("_forms")
    if forms is None or graph.notes:
        return graph.to_text()
    previous, *steps = graph.steps
    lines = _first_lines(previous.args["shape"][1:])
    counts: dict[str, int] = {}
    for step, form in zip(steps, forms):
        counts[form.op] = count = counts.get(form.op, -1) + 1
        place = (previous.name, count)
        line = form.lines.get(place)
        if line is None:
            line = step_line(graph, step, previous)
            if len(form.lines) < _MAX_STEPS:
                form.lines[place] = line
        lines += f"{line}  # (N, {', '.join(map(str, form.shape))})\n"
        previous = step
    return f"{lines}return {line_name(previous.name)}\n"


@lru_cache(maxsize=256)
def _first_lines(shape: tuple[int, ...]) -> str:
    """The lines up to the input."""
    return "".join(chain(shape, [Layer("relu")]).to_text().splitlines(keepends=True)[:2])


@lru_cache(maxsize=256)
def _input(shape: tuple[int, ...]) -> tuple[Step, tuple[TensorType, ...], tuple[Argument, ...]]:
    type = TensorType("float32", (_N, *shape))
    return Step("x", "input", {"dtype": _FLOAT, "shape": type.shape}), (type,), (Argument("x", _X),)


def _step(form: Form, previous: str, count: int) -> Step:
    """The call that is its operator's number ``count`` in a graph, reading ``previous``."""
    name = f"{form.op}_{count}" if count else form.op
    kind = operator(form.op)
    args = form.args.copy()
    args[form.operand] = Edge(previous)
    for role, value in form.args.items():
        if value.__class__ is Weight:
            args[role] = Weight(weight_key(name, role, kind))
    made = Step(name, form.op, args, name if form.entries or args.get("training") == MODULE else "")
    if len(form.steps) < _MAX_STEPS:
        form.steps[previous, count] = made
    return made


def _entries(form: Form, step: Step, count: int) -> dict[str, TensorEntry]:
    """The entries of the tensor table that belong to the call."""
    keys = [value[0] for value in step.args.values() if value.__class__ is Weight]
    made = dict(zip(keys, form.entries))
    if form.tensors is not None:
        form.tensors[count] = made
    return made
