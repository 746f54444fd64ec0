"""Every invariant of a graph, verified from scratch: what `Graph.check` does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import AttributeValueError, GraphError, NetloomError, ShapeError
from ..ops import DType, Edge, Size, Slice, TensorType, Weight, operator
from ..ops.dtypes import DTYPES
from .autocast import type_under
from .step import ENABLED
from .tree import edges, leaves, same, weights

if TYPE_CHECKING:
    from .graph import Graph, Step
    from .table import Constant, TensorEntry

_MODES = {"": {"train", "eval"}, "train": {"train"}, "eval": {"eval"}}
_PLAIN = (int, float, bool, str, complex, bytes, type(None), type(Ellipsis), Edge, Weight, DType, Size)


def check(graph: Graph) -> None:
    """Verify the graph from scratch, trusting nothing that was worked out before; says which invariant fails and where.

    - Names are unique and legal; every node reads values of nodes before it.
    - Arguments are plain data in normal form; types worked out anew are the types stored.
    - Every weight is in the tensor table with the shape its operator needs; aliases name an entry that is no alias, of the
      same type and kind; constants have the bytes that their digest says.
    - Arguments hold every input once, and nothing else; the result exists, in either mode.
    - A node of one mode is read only where that mode runs. Every free symbol has an axis of an input, and an example size.

    `GraphError` in all these cases; `ShapeError` or `AttributeValueError` where a node breaks the rules of its operator.

    >>> import netloom as nl
    >>> x = nl.input(8)
    >>> check(nl.Graph(x, nl.relu(x)))
    """
    if not graph.steps:
        raise GraphError("the graph is empty; it needs at least one input and one output")
    _check_table(graph)
    types: dict[str, tuple[TensorType, ...]] = {}
    modes: dict[str, set[str]] = {}
    for step in graph.steps:
        _check_labels(step, types)
        _check_operands(graph, step, types, modes)
        types[step.name] = _check_step(graph, step, types)
        modes[step.name] = _MODES[step.mode]
    _check_arguments(graph)
    _check_results(graph, types, modes)
    _check_symbols(graph, types)
    if not all(isinstance(note, str) for note in graph.notes):
        raise GraphError(f"notes must be strings, not {graph.notes!r}")


def _where(step: Step) -> str:
    return f"{step.op} {step.name!r}"


# -- the tensor table --------------------------------------------------------------------------------------------------
def _check_table(graph: Graph) -> None:
    for key, entry in graph.tensors.items():
        if not isinstance(key, str) or not key or any(ord(c) < 32 for c in key):
            raise GraphError(f"{key!r} is no key for a tensor; use a path such as 'layer1.0.weight'")
        if entry.kind not in ("parameter", "buffer"):
            raise GraphError(f"tensor {key!r} is of kind {entry.kind!r}; expected 'parameter' or 'buffer'")
        if entry.type.dtype not in DTYPES or not all(type(size) is int and size >= 0 for size in entry.type.shape):
            raise GraphError(f"tensor {key!r} has type {entry.type}; expected a known dtype and sizes that are integers ≥ 0")
        if entry.alias_of is not None:
            _check_alias(graph, key, entry)
        if entry.constant is not None:
            _check_constant(key, entry, entry.constant)


def _check_alias(graph: Graph, key: str, entry: TensorEntry) -> None:
    other = graph.tensors.get(entry.alias_of or "")
    if other is None:
        raise GraphError(f"tensor {key!r} is an alias of {entry.alias_of!r}, which the table does not have")
    if other.alias_of is not None:
        raise GraphError(f"tensor {key!r} is an alias of {entry.alias_of!r}, itself an alias; name {other.alias_of!r} instead")
    if (other.type, other.kind) != (entry.type, entry.kind):
        raise GraphError(
            f"tensor {key!r}, a {entry.kind} of type {entry.type}, is an alias of {entry.alias_of!r}, "
            f"a {other.kind} of type {other.type}; they must agree"
        )


def _check_constant(key: str, entry: TensorEntry, constant: Constant) -> None:
    if constant.type != entry.type:
        raise GraphError(f"tensor {key!r} is {entry.type}, but its value is {constant.type}")
    if constant.data is not None:
        expected = DTYPES[entry.type.dtype][1] * entry.type.numel
        if len(constant.data) != expected:
            raise GraphError(f"the value of tensor {key!r} has {len(constant.data)} bytes; {entry.type} takes {expected}")
        if hashlib.sha256(constant.data).hexdigest() != constant.sha256:
            raise GraphError(
                f"the value of tensor {key!r} does not have the SHA-256 {constant.sha256}; make it with Constant.of"
            )


# -- one step --------------------------------------------------------------------------------------------------------
def _check_labels(step: Step, types: dict[str, Any]) -> None:
    from .builder import check_name

    check_name(step.name)
    if step.name in types:
        raise GraphError(f"two nodes are called {step.name!r}; names must differ")
    if step.scope:
        check_name(step.scope)
    if step.mode not in _MODES:
        raise GraphError(f"{_where(step)} has mode {step.mode!r}; expected 'train', 'eval' or '' for both")
    if type(step.grad) is not bool and step.grad != ENABLED:
        raise GraphError(f"{_where(step)} has grad = {step.grad!r}; expected true or false, or {ENABLED!r}")
    device, colon, dtype = step.autocast.partition(":")
    if step.autocast and not (device and colon and dtype in DTYPES):
        raise GraphError(f"{_where(step)} has autocast {step.autocast!r}; expected a device and a dtype such as 'cpu:bfloat16'")


def _check_operands(graph: Graph, step: Step, types: dict[str, tuple[TensorType, ...]], modes: dict[str, set[str]]) -> None:
    for name, value in step.args.items():
        for part in _parts(value):
            if type(part) not in _PLAIN:
                raise GraphError(f"{_where(step)}: {name} holds {part!r} ({type(part).__name__}); expected plain data")
        for edge in edges(value):
            _check_edge(graph, step, edge, types)
            needed = {name} if step.op == "by_mode" and name in ("train", "eval") else _MODES[step.mode]
            if not needed <= modes[edge.node]:
                (only,) = modes[edge.node]
                raise GraphError(f"{_where(step)} reads {edge.node!r}, which runs in {only} mode only; give it that mode")
        for weight in weights(value):
            if weight.key not in graph.tensors:
                raise GraphError(f"{_where(step)} uses the tensor {weight.key!r}, which the table does not have")


def _parts(value: Any) -> Iterator[Any]:
    """All the plain data in an argument."""
    if type(value) in (tuple, list, Slice):
        for entry in value:
            yield from _parts(entry)
    elif type(value) is dict:
        for key, entry in value.items():
            yield key
            yield from _parts(entry)
    else:
        yield value


def _check_edge(graph: Graph, step: Step, edge: Edge, types: dict[str, tuple[TensorType, ...]]) -> None:
    produced = types.get(edge.node)
    if produced is None:
        if edge.node == step.name or any(other.name == edge.node for other in graph.steps):
            raise GraphError(
                f"{_where(step)} uses {edge.node!r}, which does not come before it: a cycle, or nodes out of order"
            )
        raise GraphError(f"{_where(step)} uses {edge.node!r}, which does not exist")
    if type(edge.index) is not int or not 0 <= edge.index < len(produced):
        raise GraphError(f"{_where(step)} uses output {edge.index} of {edge.node!r}, which has {len(produced)}")


def _check_step(graph: Graph, step: Step, types: dict[str, tuple[TensorType, ...]]) -> tuple[TensorType, ...]:
    """Types worked out anew; the arguments and types that are stored must be what comes out."""

    def type_of(ref: Any) -> TensorType:
        return graph.tensors[ref.key].type if type(ref) is Weight else types[ref.node][ref.index]

    try:
        made = operator(step.op).evaluate(step.args, type_under(step.autocast, step.op, type_of))
    except (ShapeError, AttributeValueError) as error:
        raise type(error)(f"{_where(step)}: {str(error).removeprefix(step.op + ': ')}") from None
    except NetloomError:
        raise
    except Exception as error:
        raise GraphError(f"{_where(step)}: its rule fails on these arguments ({type(error).__name__}: {error})") from error
    missing = [name for name in made.args if name not in step.args]
    if missing:
        raise GraphError(f"{_where(step)} lacks the argument {missing[0]!r}; a step holds all, defaults too")
    for name, value in made.args.items():
        if not same(value, step.args[name]):
            raise GraphError(f"{_where(step)}: {name} = {step.args[name]!r} is not in normal form; expected {value!r}")
    if made.outputs != graph.types(step.name):
        stored, found = (", ".join(map(str, outputs)) for outputs in (graph.types(step.name), made.outputs))
        raise GraphError(f"{_where(step)} is stored as giving {stored}; it gives {found}")
    for weight in step.weights:
        if step.op == "constant" and graph.tensors[graph.tensors[weight.key].alias_of or weight.key].constant is None:
            raise GraphError(f"{_where(step)} is a constant, but tensor {weight.key!r} has no value; make one with Constant.of")
    return made.outputs


# -- the whole ---------------------------------------------------------------------------------------------------------
def _check_arguments(graph: Graph) -> None:
    inputs = {step.name for step in graph.steps if step.op == "input"}
    names: set[str] = set()
    given: set[str] = set()
    for argument in graph.arguments:
        if not isinstance(argument.name, str) or not argument.name.isidentifier():
            raise GraphError(f"{argument.name!r} is no name for an argument; use an identifier such as 'input_ids'")
        if argument.name in names:
            raise GraphError(f"two arguments are called {argument.name!r}; names must differ")
        names.add(argument.name)
        for edge in edges(argument.tree):
            if edge.node not in inputs or edge.index:
                raise GraphError(f"argument {argument.name!r} holds {edge}, which is no input")
            if edge.node in given:
                raise GraphError(
                    f"the input {edge.node!r} stands twice among the arguments; give each place an input of its own"
                )
            given.add(edge.node)
    for name in inputs - given:
        raise GraphError(f"the input {name!r} stands in no argument; add it, or remove the node")


def _check_results(graph: Graph, types: dict[str, tuple[TensorType, ...]], modes: dict[str, set[str]]) -> None:
    if not edges(graph.result):
        raise GraphError("the graph returns no tensor; give it at least one output")
    both = graph.train_result is None
    for tree, needed in ((graph.result, {"train", "eval"} if both else {"eval"}), (graph.train_result, {"train"})):
        for _, leaf in leaves(tree):
            if type(leaf) not in _PLAIN or type(leaf) is Weight:
                raise GraphError(f"the graph returns {leaf!r} ({type(leaf).__name__}); expected values and plain data")
        for edge in edges(tree):
            if edge.node not in types or not 0 <= edge.index < len(types[edge.node]):
                raise GraphError(f"the graph returns {edge}, which no node produces")
            if not needed <= modes[edge.node]:
                (only,) = modes[edge.node]
                raise GraphError(f"the graph returns {edge}, which is made in {only} mode only; give a train_result")


def _check_symbols(graph: Graph, types: dict[str, tuple[TensorType, ...]]) -> None:
    for symbol, example in graph.symbols.items():
        if type(example) is not int or example < 1:
            raise GraphError(f"the free symbol {symbol!r} has the example size {example!r}; expected an integer ≥ 1")
    given = {symbol for step in graph.steps if step.op == "input" for symbol in _symbols(types[step.name])}
    for step in graph.steps:
        for symbol in _symbols(types[step.name]):
            if symbol not in given:
                raise GraphError(f"{_where(step)} has an axis of the free size {symbol!r}, which no input has")
            if symbol not in graph.symbols:
                raise GraphError(f"{_where(step)} has an axis of the free size {symbol!r}, which has no example in symbols")


def _symbols(outputs: tuple[TensorType, ...]) -> set[str]:
    sizes = [size for type in outputs for size in type.shape if isinstance(size, Size)]
    return {symbol for size in sizes for symbol in size.symbols}
