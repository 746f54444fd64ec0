"""Writing a graph in the textual notation; `notation` describes it, `text_reader` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import FormatError, NetloomError
from ..ops import DType, Edge, Operator, Size, Slice, TensorType, Weight, operator
from ..ops.arguments import Param
from .assembly import is_weight, own_weights, plain_arguments, usual_weights
from .builder import fresh_entry
from .graph import Argument, Graph, Step, default_scope
from .node import Node
from .notation import (
    CALLS,
    IDENTIFIER,
    MAX_CONSTANT,
    MAX_DEPTH,
    MAX_DIGITS,
    RESERVED,
    VERSION,
    dtype_text,
    identifier,
    line_name,
    operand_name,
    quoted,
    refers,
    size_text,
    type_text,
)  # fmt: skip
from .packing import pack
from .table import TensorEntry
from .tree import same

_WIDTH = 110


def to_text(graph: Graph) -> str:
    """The graph in the readable notation; ``Graph.from_text`` gives an equal graph.

    Constants of more than 16 MiB are written by their SHA-256 alone. `FormatError` where the graph holds something that
    is not plain data.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> print(nl.Graph(x, nl.relu(nl.linear(x, 4, name="head"))).to_text())
    netloom 1
    x = input float32[N, 8]
    head = linear(4)  # (N, 4)
    relu = relu  # (N, 4)
    return relu
    <BLANKLINE>
    """
    head, calls, tail = sections(graph)
    body = [f"{line}  # {shapes}" if shapes else line for line, shapes in calls]
    return "\n".join([*head, *body, *tail]) + "\n"


def sections(graph: Graph) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """The lines before the steps, the line of every step with the shapes for its comment ("" for none), the lines after."""
    values = Values(graph)
    lines = [f"netloom {VERSION}"]
    if dict(graph.symbols) != dict.fromkeys(input_symbols(graph.steps), 1):
        values.declared.update(graph.symbols)
        lines.append("symbols " + ", ".join(_symbol(name, size, values) for name, size in graph.symbols.items()))
    lines += [f"note {quoted(note)}" for note in graph.notes]
    if graph.arguments != plain_arguments(graph.steps):
        lines.append(f"takes {_arguments(graph.arguments, values)}".rstrip())
    previous: Step | None = None
    calls: list[tuple[str, str]] = []
    for step in graph.steps:
        line = _line(step, previous, values)
        values.declared.update(input_symbols((step,)))
        calls.append((line, "" if _source_type(step) else _shapes(graph.types(step.name))))
        previous = step
    tail = [f"return {values.text(graph.result)}"]
    if graph.train_result is not None:
        tail.append(f"train_return {values.text(graph.train_result)}")
    return lines, calls, [*tail, *_table(graph)]


def _shapes(types: Sequence[TensorType]) -> str:
    """The shapes of a node's results; of many, the first few."""
    shown = [f"({', '.join(map(str, type.shape))})" for type in types[:4]]
    return ", ".join(shown) + (f", … {len(types)} results" if len(types) > 4 else "")


def step_line(graph: Graph, step: Step, previous: Step) -> str:
    """A step as its line in the notation after that of ``previous``, without the comment."""
    values = Values(graph)
    values.declared.update(graph.symbols)
    return _line(step, previous, values)


def node_line(node: Node) -> str:
    """A node as its line in the notation, with every operand named.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> node_line(nl.Graph(x, nl.linear(x, 4, name="head"))["head"])
    'head = linear(x, 4)'
    """
    values = Values(node.graph)
    values.declared.update(node.graph.symbols)
    return _line(node.step, None, values)


def input_symbols(steps: Sequence[Step]) -> list[str]:
    """The free symbols that the types of inputs declare, in order."""
    found: dict[str, None] = {}
    for step in steps:
        if step.op == "input" and _source_type(step):
            for size in step.args["shape"]:
                if isinstance(size, Size):
                    found.update(dict.fromkeys(sorted(size.symbols)))
    return list(found)


# -- values ----------------------------------------------------------------------------------------------------------
class Values:
    """Writes values; free sizes are bare where all their symbols are declared by what stands above."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.symbols = frozenset(graph.symbols) | frozenset(input_symbols(graph.steps))
        self.declared: set[str] = set()

    def name(self, name: str) -> str:
        return operand_name(name, self.symbols | self.declared)

    def text(self, value: Any, depth: int = 0) -> str:
        """The notation of any value that can stand in a step or tree."""
        if depth >= MAX_DEPTH:
            raise FormatError(f"a value nested more than {MAX_DEPTH} deep cannot be written")
        kind = type(value)
        if value is None or kind is bool:
            return {None: "none", True: "true", False: "false"}[value]
        if kind is int:
            return _int(value)
        if kind is float:
            return repr(value)
        if kind is str:
            return quoted(value)
        if kind is Edge:
            return self.name(value.node) + (f"[{value.index}]" if value.index else "")
        if kind is Weight:
            return "@" + line_name(value.key)
        if kind is DType:
            return dtype_text(value)
        if kind is Size:
            return self.size(value)
        if kind is Slice:
            return self.slice(value, depth)
        if kind is tuple:
            return f"({self.row(value, depth)}{',' if len(value) == 1 else ''})"
        if kind is list:
            return f"[{self.row(value, depth)}]"
        if kind is dict:
            return f"{{{', '.join(self.item(key, child, depth) for key, child in value.items())}}}"
        if value is Ellipsis:
            return "..."
        if kind is complex:
            return f"complex({value.real!r}, {value.imag!r})"
        raise FormatError(f"{str(value)[:80]} is a {kind.__name__}; only plain data can be written")

    def row(self, values: Sequence[Any], depth: int) -> str:
        return ", ".join(self.text(value, depth + 1) for value in values)

    def item(self, key: Any, value: Any, depth: int) -> str:
        if type(key) is not str:
            raise FormatError(f"{key!r} is the key of a dict; only strings can be written")
        return f"{key if IDENTIFIER.fullmatch(key) else quoted(key)}: {self.text(value, depth + 1)}"

    def size(self, size: Size) -> str:
        text = size_text(size)
        if text is None:
            raise FormatError(f"the free size {str(size)[:80]} cannot be written; its symbols must be short identifiers")
        return text if size.symbols <= self.declared and not size.symbols & RESERVED else f"size({quoted(text)})"

    def slice(self, value: Slice, depth: int) -> str:
        if any(type(part) is Slice for part in value):
            return f"slice({self.row(value, depth)})"
        start, stop, step = ("" if part is None else self.text(part, depth + 1) for part in value)
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def _int(value: int) -> str:
    try:
        text = str(value)
    except ValueError:
        text = "0" * (MAX_DIGITS + 1)
    if len(text) > MAX_DIGITS:
        raise FormatError(f"an integer of more than {MAX_DIGITS} digits cannot be written")
    return text


# -- nodes -----------------------------------------------------------------------------------------------------------
def _line(step: Step, previous: Step | None, values: Values) -> str:
    """``name = op(operands, attributes) flags``; operands are left out where ``previous`` provides them."""
    try:
        call = _call(step, previous, values)
        flags = _flags(step)
    except FormatError as error:
        raise FormatError(f"{step.op} {step.name!r}: {error}") from None
    return f"{line_name(step.name)} = {call}{flags}"


def _call(step: Step, previous: Step | None, values: Values) -> str:
    kind, source = operator(step.op), _source_type(step)
    unknown = [name for name in step.args if name not in kind.by_name]
    if unknown:
        raise FormatError(f"{unknown[0]!r} is no argument of the operator")
    operands, args = _operands(step, kind, previous, values)
    done = {*operands, *(("dtype", "shape") if source else ())}
    usual = usual_weights(step.name, kind, step.args)
    rest = [param for param in kind.params if param.name in step.args and param.name not in done]
    leading = next((p for p in kind.params if not is_weight(p, kind) and p.name not in operands), None)
    implied = leading if not operands and leading is not None and leading.kind != "attr" else None
    for param in rest:
        value = step.args[param.name]
        if is_weight(param, kind):
            if not same(value, usual[param.name]):
                args.append(f"{param.name}={'false' if value is None else values.text(value)}")
        elif param.required or param is implied or not _is_default(param, value, step, values.graph):
            shown = values.text(_compact(param, value))
            # The one attribute that a reader knows by its place: the first, where the operator cannot do without it.
            by_place = param is leading and param.kind == "attr" and param.required and type(value) is not Edge
            args.append(shown if by_place else f"{param.name}={shown}")
    head = f"{step.op} {source}" if source else step.op
    if not args:
        return head
    return f"{head}{' ' if source else ''}({', '.join(args)})"


def _is_default(param: Param, value: Any, step: Step, graph: Graph) -> bool:
    """Whether the operator gives an argument this value by itself."""
    of = step.args.get(param.axis_of)
    first = of[0] if type(of) is tuple and of else of
    if type(param.default) is int and param.default < 0 and type(first) is Edge:
        # An axis counted from the end, in its normal form.
        return same(value, param.default + max(graph.type_of(first).rank, 1))
    return same(value, param.default)


def _operands(step: Step, kind: Operator, previous: Step | None, values: Values) -> tuple[list[str], list[str]]:
    """Names of the leading operands that go by their places, and how they are written."""
    names: list[str] = []
    for param in kind.params:
        if is_weight(param, kind):
            continue
        value = step.args.get(param.name)
        if param.kind == "tensors" and not names and type(value) is tuple and value and all(type(v) is Edge for v in value):
            return [param.name], [values.text(edge) for edge in value]
        number = param.kind == "operand" and bool(names) and type(value) in (int, float)
        if not number and (param.kind not in ("tensor", "operand") or type(value) is not Edge):
            break
        names.append(param.name)
    given = [step.args[name] for name in names]
    if previous is not None and given and given[0] == Edge(previous.name) and not any(type(v) is Edge for v in given[1:]):
        # The reader takes the line above for the first operand where the first thing written is no node.
        given = given[1:]
    return names, [values.text(value) for value in given]


def _compact(param: Param, value: Any) -> Any:
    """One number for a tuple of equal ones, where the operator reads it as that tuple."""
    equal = type(value) is tuple and bool(value) and type(value[0]) is int and all(same(v, value[0]) for v in value)
    # Where an attribute names axes, one axis and a tuple of one axis can differ.
    if equal and param.check is not None and not param.axis_of:
        try:
            if same(param.check(value[0]), value):
                return value[0]
        except (NetloomError, ValueError, TypeError):
            pass
    return value


def _source_type(step: Step) -> str | None:
    """``float32[N, 3]`` for a node whose attributes are a dtype and a shape of its own."""
    if operator(step.op).family != "source":
        return None
    dtype, shape = step.args.get("dtype"), step.args.get("shape")
    return type_text(TensorType(dtype.name, shape)) if type(dtype) is DType and type(shape) is tuple else None


def _flags(step: Step) -> str:
    """What of a call is not as usual: its owner, its mode, gradients, autocast."""
    shown = []
    if step.scope != default_scope(step.name, step.op, step.args):
        shown.append(f" in {line_name(step.scope)}")
    if step.mode:
        shown.append(f" {step.mode}" if step.mode in ("train", "eval") else f" mode {quoted(step.mode)}")
    if step.grad is not True:
        shown.append(" enable_grad" if step.grad else " no_grad")
    if step.autocast:
        shown.append(f" autocast {quoted(step.autocast)}")
    return "".join(shown)


def _arguments(arguments: Sequence[Argument], values: Values) -> str:
    shown = []
    keyword = False
    for argument in arguments:
        if argument.keyword != keyword:
            shown.append("*")
            keyword = argument.keyword
        plain = same(argument.tree, Edge(argument.name))
        shown.append(identifier(argument.name) + ("" if plain else f"={values.text(argument.tree)}"))
    return ", ".join(shown)


def _symbol(name: str, size: int, values: Values) -> str:
    return identifier(name) if size == 1 else f"{identifier(name)}={values.text(size)}"


# -- the tensor table ----------------------------------------------------------------------------------------------
def _table(graph: Graph) -> Iterator[str]:
    """Lines for the entries that differ from what their operators declare, their order, and the constants' data."""
    fresh = fresh_entries(graph)
    # The reader sorts these lines before it knows any input, so free sizes here cannot be bare.
    values = Values(graph)
    blocks: dict[str, bytes] = {}
    for key, entry in graph.tensors.items():
        if key in fresh and fresh[key] == entry:
            continue
        yield f"@{line_name(key)} = {_entry(key, entry, fresh.get(key), values)}"
        if entry.constant is not None and entry.constant.data is not None and len(entry.constant.data) <= MAX_CONSTANT:
            blocks[entry.constant.sha256] = entry.constant.data
    order, usual = list(graph.tensors), usual_order(graph.steps, graph.tensors)
    if order != usual:
        yield f"order {_runs(order, usual)}"
    for sha256, data in blocks.items():
        yield f"data {sha256}"
        packed = pack(data)
        for start in range(0, len(packed), _WIDTH):
            yield f"  {packed[start : start + _WIDTH]}"


def fresh_entries(graph: Graph) -> dict[str, TensorEntry]:
    """The table's entries as the operators that first use them would make them."""
    found: dict[str, TensorEntry] = {}
    for step in graph.steps:
        own = {role: key for role, key in own_weights(step).items() if key not in found}
        if own:
            kind, types = operator(step.op), graph.operands(step)
            declared = kind.weights(types)
            for role, key in own.items():
                if role in declared:
                    found[key] = fresh_entry(kind, role, declared[role], types)
    return found


def usual_order(steps: Sequence[Step], tensors: Mapping[str, TensorEntry]) -> list[str]:
    """Keys in the order in which the reader meets them: by first use as a node's own weight, then as they are listed."""
    found: dict[str, None] = {}
    for step in steps:
        found.update(dict.fromkeys(own_weights(step).values()))
    found.update(dict.fromkeys(tensors))
    return list(found)


def usual_entry(type: TensorType, kind: str, fresh: TensorEntry | None) -> TensorEntry:
    """The entry that a line of the table stands for when it says no more than type and kind."""
    if fresh is not None and fresh.kind == kind:
        return replace(fresh, type=type)
    return TensorEntry(type, kind, requires_grad=kind != "buffer")


def _entry(key: str, entry: TensorEntry, fresh: TensorEntry | None, values: Values) -> str:
    type, usual = type_text(entry.type), usual_entry(entry.type, entry.kind, fresh)
    if type is None:
        raise FormatError(f"tensor {key!r}: the type {entry.type} cannot be written")
    fields = []
    if not same(entry.init, usual.init):
        fields.append(f"init={_init(entry.init, values)}")
    for name in ("requires_grad", "persistent"):
        if getattr(entry, name) != getattr(usual, name):
            fields.append(f"{name}={values.text(getattr(entry, name))}")
    if entry.alias_of is not None:
        fields.append(f"alias=@{line_name(entry.alias_of)}")
    if entry.constant is not None:
        if entry.constant.type != entry.type:
            raise FormatError(f"tensor {key!r} is {entry.type}, its constant {entry.constant.type}; they must agree")
        fields.append(f"value={quoted(entry.constant.sha256)}")
    return f"{identifier(entry.kind)} {type}" + (f" ({', '.join(fields)})" if fields else "")


def _init(rule: Any, values: Values) -> str:
    """``normal(0.0, 0.02)`` for the rule ``("normal", 0.0, 0.02)``."""
    if refers(rule):
        raise FormatError(f"the init rule {str(rule)[:80]} refers to a node; it must be plain data")
    if type(rule) is tuple and rule and type(rule[0]) is str and IDENTIFIER.fullmatch(rule[0]) and rule[0] not in CALLS:
        return f"{rule[0]}({values.row(rule[1:], 0)})"
    return values.text(rule)


def _runs(order: list[str], usual: list[str]) -> str:
    """``order`` as runs of ``usual``: ``@a .. @c, @x``."""
    place = {key: i for i, key in enumerate(usual)}
    runs: list[list[str]] = []
    for key in order:
        if runs and place[key] == place[runs[-1][-1]] + 1:
            runs[-1] = [runs[-1][0], key]
        else:
            runs.append([key])
    return ", ".join(" .. ".join(f"@{line_name(key)}" for key in run) for run in runs)
