"""Putting a graph together from parts that nobody vouches for, step by step.

Operators check what they are given, but an operator written for sound arguments may trip over absurd ones. Whatever
happens to a document's step is a `FormatError` here, and what comes out of one is kept within what torch can hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ..errors import FormatError, NetloomError
from ..ops import Edge, Operator, Size, TensorType, Weight, operator
from ..ops.arguments import Param
from ..ops.dtypes import DTYPES
from ..ops.operator import Evaluated
from .autocast import type_under
from .builder import weight_key
from .graph import Argument, Graph, Step, default_scope
from .table import TensorEntry
from .tree import edges, leaves

#: Limits of torch itself: axes of a tensor, and elements along one.
MAX_AXES = 64
MAX_SIZE = 1 << 63
MAX_OUTPUTS = 100_000
_MAX_MESSAGE = 600


@contextmanager
def guarded(op: str) -> Iterator[None]:
    """Whatever goes wrong inside, a step of the operator ``op`` is not what it should be."""
    try:
        yield
    except FormatError:
        raise
    except NetloomError as error:
        raise FormatError(short(f"{op}: {str(error).removeprefix(op + ': ')}")) from None
    except Exception as error:  # an operator's rule met values it was not written for
        raise FormatError(short(f"{op} cannot take these arguments ({type(error).__name__}: {short(error)})")) from None


class Assembly:
    """The part of a graph that has been read so far; ``declared`` are types of tensors whose entries follow."""

    def __init__(self, tensors: dict[str, TensorEntry]) -> None:
        self.tensors = tensors
        self.declared: Mapping[str, TensorType] = {}
        self.steps: list[Step] = []
        self.types: dict[str, tuple[TensorType, ...]] = {}

    def with_weights(self, name: str, kind: Operator, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a node with its weights by their default keys where nothing is said of them."""
        with guarded(kind.name):
            attributes = kind.check(args | {kind.weight_list: (None,)}) if kind.weight_list else args
            usual = usual_weights(name, kind, attributes)
        given = {role: None if args[role] is False else args[role] for role in usual if args.get(role, True) is not True}
        return args | usual | given

    def evaluate(self, op: str, args: Mapping[str, Any], fresh: Collection[str] = (), autocast: str = "") -> Evaluated:
        """The step worked out; keys in ``fresh`` are weights whose entries are still to be made."""
        kind = operator(op)
        for param in kind.params:
            if param.kind == "weight" and type(args.get(param.name)) not in (Weight, Edge, type(None)):
                raise FormatError(f"{op}: {param.name} is {short(args[param.name], 80)}; expected a weight, a node or none")
        for edge in edges(tuple(args.values())):
            self.type_of(edge)

        def type_of(ref: Any) -> Any:
            return self.type_of(ref) if type(ref) is Edge else self.weight_type(ref.key, fresh)

        with guarded(op):
            made = kind.evaluate(args, type_under(autocast, op, type_of))
            if len(made.outputs) > MAX_OUTPUTS:
                raise FormatError(f"{op} gives {len(made.outputs)} results; expected {MAX_OUTPUTS} at most")
            for index, output in enumerate(made.outputs):
                check_type(output, f"{op}: result {index}")
        return made

    def weight_type(self, key: str, fresh: Collection[str] = ()) -> TensorType | None:
        entry = self.tensors.get(key)
        if entry is not None:
            return entry.type
        if key in self.declared:
            return self.declared[key]
        if key not in fresh:
            raise FormatError(f"the tensor table has no entry {key[:100]!r}")
        return None

    def type_of(self, ref: Edge) -> TensorType:
        produced = self.types.get(ref.node)
        if produced is None:
            raise FormatError(f"no node before this one is called {ref.node[:100]!r}")
        if not 0 <= ref.index < len(produced):
            raise FormatError(f"{ref.node[:100]!r} has {len(produced)} results, not one of index {short(ref.index)}")
        return produced[ref.index]

    def add(
        self, name: str, op: str, made: Evaluated, scope: str | None, mode: str = "", grad: bool | str = True,
        autocast: str = "",
    ) -> None:  # fmt: skip
        """Append the step; ``scope`` None stands for the default."""
        if name in self.types:
            raise FormatError(f"two nodes are called {name[:100]!r}; names must differ")
        owner = default_scope(name, op, made.args) if scope is None else scope
        self.steps.append(Step(name, op, made.args, owner, mode, grad, autocast))
        self.types[name] = made.outputs

    def finish(
        self, arguments: Sequence[Argument], result: Any, train_result: Any, symbols: Mapping[str, int], notes: Sequence[str]
    ) -> Graph:
        """The whole graph; `FormatError` where the parts do not fit together."""
        if not self.steps:
            raise FormatError("the graph is empty; it needs at least one input and one output")
        for entry in self.tensors.values():
            if entry.alias_of is not None and entry.alias_of not in self.tensors:
                raise FormatError(f"an entry is an alias of {entry.alias_of[:100]!r}, which the tensor table does not have")
        for tree in (*(argument.tree for argument in arguments), result, train_result):
            for _, leaf in leaves(tree):
                if type(leaf) is Edge:
                    self.type_of(leaf)
        try:
            return Graph.make(
                self.steps, self.tensors, arguments, result,
                train_result=train_result, symbols=symbols, notes=notes, types=self.types,
            )  # fmt: skip
        except NetloomError as error:
            raise FormatError(short(error)) from None


def plain_arguments(steps: Sequence[Step]) -> tuple[Argument, ...]:
    """The arguments of a network that takes its inputs one by one, in order and by position."""
    taken: set[str] = set()
    found: list[Argument] = []
    for step in steps:
        if step.op == "input":
            stem = step.name if step.name.isidentifier() else f"x{len(found)}" if found else "x"
            name, count = stem, 0
            while name in taken:
                count += 1
                name = f"{stem}_{count}"
            taken.add(name)
            found.append(Argument(name, Edge(step.name)))
    return tuple(found)


def own_weights(step: Step) -> dict[str, str]:
    """Role → key of the weights that belong to a step."""
    kind = operator(step.op)
    found = {p.name: step.args[p.name].key for p in kind.params if p.kind == "weight" and type(step.args.get(p.name)) is Weight}
    if kind.weight_list:
        listed = zip(kind.roles(SimpleNamespace(**step.args)), step.args[kind.weight_list])
        found |= {role: value.key for role, value in listed if type(value) is Weight}
    return found


def is_weight(param: Param, kind: Operator) -> bool:
    """Whether an argument holds weights of the node's own, and so is left out where they go by their default keys."""
    return param.kind == "weight" or param.name == kind.weight_list


def usual_weights(name: str, kind: Operator, args: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a node by their default keys, as arguments; ``args`` are its attributes in normal form."""
    usual: dict[str, Any] = {p.name: Weight(weight_key(name, p.name, kind)) for p in kind.params if p.kind == "weight"}
    if kind.weight_list:
        roles = kind.roles(SimpleNamespace(**args))
        usual[kind.weight_list] = tuple(Weight(weight_key(name, role, kind)) for role in roles)
    return usual


def check_type(type: TensorType, what: str) -> None:
    """`FormatError` unless torch could hold a tensor of this type."""
    if type.dtype not in DTYPES:
        raise FormatError(f"{what} has the unknown dtype {str(type.dtype)[:80]!r}; expected one such as float32")
    if len(type.shape) > MAX_AXES:
        raise FormatError(f"{what} has {len(type.shape)} axes; torch holds at most {MAX_AXES}")
    for size in type.shape:
        if isinstance(size, Size):
            continue
        if size.__class__ is not int or not 0 <= size < MAX_SIZE:
            raise FormatError(f"{what} has an axis of {short(size)}; expected a whole number from 0 to 2**63 - 1")


def short(value: Any, limit: int = _MAX_MESSAGE) -> str:
    """``str(value)``, cut where a hostile document makes it long."""
    try:
        text = str(value)
    except ValueError:  # an int of more digits than Python prints
        return "a number too long to print"
    return text if len(text) <= limit else text[:limit] + "…"
