"""The functional builder: write a network as expressions of values.

Every operator of the inventory is a function: tensors first, attributes after them (by position or keyword), weights as
``bias=False`` where they are optional, ``name=`` for the node. Types are worked out at once, so a mistake is reported at
the line that makes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import AttributeValueError, GraphError, ShapeError
from ..ops import DType, Edge, Operator, Size, TensorType, Weight, operator
from .graph import Argument, Graph, Step, default_scope
from .step import module_path
from .table import TensorEntry
from .tree import leaves, map_leaves, weights

_counter = itertools.count()


class Draft:
    """A call that no graph holds yet: ``args`` refers to other drafts through `Value`."""

    __slots__ = ("op", "args", "types", "outputs", "name", "order", "weights_of")

    def __init__(self, op: str, args: dict[str, Any], types: Any, outputs: tuple[TensorType, ...], name: str | None) -> None:
        self.op, self.args, self.types, self.outputs, self.name = op, args, types, outputs, name
        self.order = next(_counter)
        self.weights_of: Draft = self


class Value:
    """One result of a call in the builder; supports ``+ - * / @ **``, comparison-free, and indexing."""

    __slots__ = ("draft", "index")

    def __init__(self, draft: Draft, index: int = 0) -> None:
        self.draft, self.index = draft, index

    @property
    def type(self) -> TensorType:
        return self.draft.outputs[self.index]

    @property
    def shape(self) -> tuple[Any, ...]:
        """Shape with the batch as a free `Size` at axis 0."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype

    def __add__(self, other: Any) -> Value:
        return call("add", self, other)

    def __radd__(self, other: Any) -> Value:
        return call("add", self, other)

    def __sub__(self, other: Any) -> Value:
        return call("sub", self, other)

    def __rsub__(self, other: Any) -> Value:
        return call("sub", other, self)

    def __mul__(self, other: Any) -> Value:
        return call("mul", self, other)

    def __rmul__(self, other: Any) -> Value:
        return call("mul", self, other)

    def __truediv__(self, other: Any) -> Value:
        return call("div", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return call("rdiv", self, other)

    def __floordiv__(self, other: Any) -> Value:
        return call("floor_divide", self, other)

    def __mod__(self, other: Any) -> Value:
        return call("remainder", self, other)

    def __rpow__(self, other: Any) -> Value:
        return call("pow", other, self)

    def __matmul__(self, other: Any) -> Value:
        return call("matmul", self, other)

    def __pow__(self, other: Any) -> Value:
        return call("pow", self, other)

    def __neg__(self) -> Value:
        return call("neg", self)

    def __getitem__(self, index: Any) -> Value:
        return call("getitem", self, index if isinstance(index, tuple) else (index,))

    def __iter__(self) -> Any:
        raise TypeError("a Value is not iterable; use nl.unbind or nl.split to get its parts")

    def __repr__(self) -> str:
        return f"<Value {self.draft.name or self.draft.op}: {self.type}>"


def input(*shape: int, dtype: str = "float32", name: str | None = None, batch: bool = True) -> Value:
    """An input of the network; ``shape`` is that of one sample, the free batch ``N`` comes before it.

    >>> input(3, 32, 32).shape
    (Size('N'), 3, 32, 32)
    """
    if len(shape) == 1 and isinstance(shape[0], tuple | list):
        shape = tuple(shape[0])
    full = (Size.symbol("N"), *shape) if batch else tuple(shape)
    return call("input", dtype=DType(dtype), shape=full, name=name)


def parameter(*shape: int, dtype: str = "float32", name: str | None = None) -> Value:
    """A learned tensor without batch axis, for use anywhere a value goes.

    >>> parameter(1, 197, 768).shape
    (1, 197, 768)
    """
    return call("parameter", value=True, dtype=DType(dtype), shape=tuple(shape), name=name)


def call(op: str, *positional: Any, name: str | None = None, like: Value | None = None, **keyword: Any) -> Any:
    """Call the operator named ``op`` on values; gives a `Value`, or a tuple of them for several outputs.

    ``like=`` a value made by the same operator shares that call's weights.
    """
    kind = operator(op)
    args = _bind(kind, positional, keyword)
    drafts: dict[Edge, Value] = {}

    def edge_of(value: Any) -> Any:
        if isinstance(value, Value):
            edge = Edge(f"%{value.draft.order}", value.index)
            drafts[edge] = value
            return edge
        if type(value) in (tuple, list):
            return tuple(edge_of(v) for v in value)
        return value

    full = {key: edge_of(value) for key, value in args.items()}
    for param in kind.params:
        if param.kind == "weight":
            given = full.get(param.name, True)
            if given is True:
                full[param.name] = Weight(param.name)
            elif given is False or given is None:
                if param.required:
                    raise AttributeValueError(f"{op}: {param.name} cannot be left out")
                full[param.name] = None
    if kind.weight_list and kind.weight_list not in full:
        checked = kind.check(full | {kind.weight_list: (None,)})
        full[kind.weight_list] = tuple(map(Weight, kind.roles(SimpleNamespace(**checked))))
    try:
        made = kind.evaluate(full, lambda ref: drafts[ref].type if type(ref) is Edge else None)
    except (ShapeError, AttributeValueError) as error:
        what = f"{op} {name!r}" if name else op
        raise type(error)(f"{what}: {str(error).removeprefix(op + ': ')}") from None

    def value_of(value: Any) -> Any:
        if type(value) is Edge:
            return drafts[value]
        if type(value) is tuple:
            return tuple(value_of(v) for v in value)
        return value

    draft = Draft(op, {key: value_of(value) for key, value in made.args.items()}, made.types, made.outputs, name)
    if like is not None:
        if like.draft.op != op or like.draft.weights_of is None:
            raise GraphError(f"like= must be a value made by {op}, not by {like.draft.op}")
        theirs, ours = (operator(op).weights(d.types) for d in (like.draft, draft))
        if theirs != ours:
            raise ShapeError(f"{op}: cannot share weights of shapes {theirs} where {ours} are needed")
        draft.weights_of = like.draft.weights_of
    values = tuple(Value(draft, i) for i in range(len(made.outputs)))
    return values[0] if len(values) == 1 and not kind.unpack else values


def _bind(kind: Operator, positional: tuple[Any, ...], keyword: dict[str, Any]) -> dict[str, Any]:
    """Positional arguments to names: the first list operator argument also takes loose values."""
    order = [param for param in kind.params if param.kind != "weight"]
    if order and order[0].kind == "tensors" and positional and isinstance(positional[0], Value):
        count = sum(1 for _ in itertools.takewhile(lambda v: isinstance(v, Value), positional))
        positional = (tuple(positional[:count]), *positional[count:])
    if len(positional) > len(order):
        raise AttributeValueError(f"{kind.name} takes {len(order)} positional arguments, got {len(positional)}")
    args = {param.name: value for param, value in zip(order, positional)}
    for name, value in keyword.items():
        if name in args:
            raise AttributeValueError(f"{kind.name}: {name} is given twice")
        args[name] = value
    return args


class Layer:
    """An operator with its attributes but without operands, waiting to be put somewhere: ``nl.op.conv2d(16, kernel=3)``."""

    __slots__ = ("op", "positional", "keyword")

    def __init__(self, op: str, positional: tuple[Any, ...], keyword: dict[str, Any]) -> None:
        operator(op)
        self.op, self.positional, self.keyword = op, positional, keyword

    def __call__(self, *values: Value) -> Any:
        """Apply it to values."""
        return call(self.op, *values, *self.positional, **self.keyword)

    def __repr__(self) -> str:
        shown = [*map(repr, self.positional), *(f"{k}={v!r}" for k, v in self.keyword.items())]
        return f"nl.op.{self.op}({', '.join(shown)})"


class LayerFunctions:
    """``nl.op.NAME(attributes)`` for every operator: a `Layer`, to be applied to values or inserted by an edit."""

    def __getattr__(self, name: str) -> Callable[..., Layer]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *positional, **keyword: Layer(name, positional, keyword)


op = LayerFunctions()


def function(name: str) -> Callable[..., Any]:
    """The builder function of the operator called ``name``."""
    kind = operator(name)

    def build(*positional: Any, name: str | None = None, **keyword: Any) -> Any:
        return call(kind.name, *positional, name=name, **keyword)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = _documented(kind)
    return build


def _documented(kind: Operator) -> str:
    shown = []
    for param in kind.params:
        if param.kind == "weight":
            default = "=True" if param.required else "=True | False"
        else:
            default = "" if param.required else f"={param.default!r}"
        shown.append(param.name + default)
    return f"{(kind.__doc__ or '').strip()}\n\n    ``{kind.name}({', '.join(shown)}, name=None)``"


# -- from drafts to a graph ----------------------------------------------------------------------------------------
def assemble(inputs: Any, outputs: Any) -> Graph:
    """The graph from ``inputs`` to ``outputs`` (trees of values)."""
    given = [leaf for _, leaf in leaves(inputs)]
    returned = [leaf for _, leaf in leaves(outputs)]
    for value in given:
        if not isinstance(value, Value) or value.draft.op != "input":
            raise GraphError(f"the inputs of a graph are values made by nl.input, not {value!r}")
    if not any(isinstance(value, Value) for value in returned):
        raise GraphError(f"the outputs of a graph are values made by builder functions, not {outputs!r}")
    drafts = _reachable([v for v in (*given, *returned) if isinstance(v, Value)])
    declared = {id(value.draft) for value in given}
    for draft in drafts:
        if draft.op == "input" and id(draft) not in declared:
            raise GraphError(f"the outputs depend on the input {draft.name or draft.outputs[0]}, which is not among the inputs")
    names = _names(drafts, inputs)
    steps: list[Step] = []
    tensors: dict[str, TensorEntry] = {}
    symbols: dict[str, int] = {}

    def edge_of(value: Any) -> Any:
        if isinstance(value, Value):
            return Edge(names[id(value.draft)], value.index)
        if type(value) is tuple:
            return tuple(edge_of(v) for v in value)
        return value

    for draft in drafts:
        name = names[id(draft)]
        args = {key: edge_of(value) for key, value in draft.args.items()}
        owner = names[id(draft.weights_of)]
        kind = operator(draft.op)
        own = [weight.key for weight in weights(tuple(args.values()))]
        if own:
            args = {key: _placed(value, owner, kind) for key, value in args.items()}
            wanted = kind.weights(draft.types)
            for role in own if owner == name else ():
                tensors[weight_key(owner, role, kind)] = fresh_entry(kind, role, wanted[role], draft.types)
        if draft.op == "input":
            for size in args["shape"]:
                if isinstance(size, Size):
                    symbols.update(dict.fromkeys(size.symbols, 1))
        steps.append(Step(name, draft.op, args, default_scope(name, draft.op, args)))
    types = {names[id(draft)]: draft.outputs for draft in drafts}
    arguments = _arguments(inputs, edge_of)
    result = map_leaves(outputs, edge_of)
    return Graph.make(steps, tensors, arguments, result, symbols=symbols, types=types)


def weight_key(node: str, role: str, kind: Operator) -> str:
    """The key that a node's weight has by default: ``node.role``; a lone parameter is called as the node."""
    path = module_path(node)
    return path if kind.name in ("parameter", "constant") else f"{path}.{role}"


def _placed(value: Any, owner: str, kind: Operator) -> Any:
    """An argument with its weights, which a draft knows by role, under the keys they have as those of ``owner``."""
    if type(value) is Weight:
        return Weight(weight_key(owner, value.key, kind))
    return tuple(_placed(v, owner, kind) for v in value) if type(value) is tuple else value


def fresh_entry(kind: Operator, role: str, type: TensorType, a: Any) -> TensorEntry:
    """The table's entry for a weight as the operator declares it."""
    is_buffer = role in kind.buffers()
    return TensorEntry(type, "buffer" if is_buffer else "parameter", kind.init(role, a), requires_grad=not is_buffer)


def _reachable(values: list[Value]) -> list[Draft]:
    seen: dict[int, Draft] = {}
    stack = [value.draft for value in values]
    while stack:
        draft = stack.pop()
        if id(draft) in seen:
            continue
        seen[id(draft)] = draft
        if draft.weights_of is not draft:
            stack.append(draft.weights_of)
        stack.extend(value.draft for value in _values(tuple(draft.args.values())))
    return sorted(seen.values(), key=lambda draft: draft.order)


def _values(tree: Any) -> list[Value]:
    if isinstance(tree, Value):
        return [tree]
    if type(tree) is tuple:
        return [value for part in tree for value in _values(part)]
    return []


def _names(drafts: list[Draft], inputs: Any) -> dict[int, str]:
    names: dict[int, str] = {}
    taken: set[str] = set()
    for draft in drafts:
        if draft.name is not None:
            if draft.name in taken:
                raise GraphError(f"two nodes are called {draft.name!r}; names must differ")
            check_name(draft.name)
            taken.add(draft.name)
            names[id(draft)] = draft.name
    for path, value in leaves(inputs):
        if id(value.draft) not in names:
            hint = path if path and isinstance(inputs, dict) else "x"
            names[id(value.draft)] = unique(hint, taken)
    for draft in drafts:
        if id(draft) not in names:
            names[id(draft)] = unique(draft.op, taken)
    return names


def unique(stem: str, taken: set[str]) -> str:
    """``stem``, or ``stem_1``, ``stem_2``, … where that is taken; notes what it gives."""
    name, count = stem, 0
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name)
    return name


def check_name(name: str) -> None:
    """Refuse names that no module path can have."""
    if not isinstance(name, str) or not name or not all(name.split(".")) or any(ord(c) < 32 for c in name):
        raise GraphError(f"{name!r} is no name for a node; use a path such as 'layer1.0.conv'")


def _arguments(inputs: Any, edge_of: Callable[[Any], Any]) -> list[Argument]:
    if isinstance(inputs, dict):
        return [Argument(name, map_leaves(tree, edge_of), keyword=True) for name, tree in inputs.items()]
    if isinstance(inputs, tuple):
        trees = [map_leaves(tree, edge_of) for tree in inputs]
    else:
        trees = [map_leaves(inputs, edge_of)]
    taken: set[str] = set()
    found = []
    for i, tree in enumerate(trees):
        name = tree.node if type(tree) is Edge and tree.node.isidentifier() else f"x{i}" if i else "x"
        found.append(Argument(unique(name, taken), tree))
    return found
