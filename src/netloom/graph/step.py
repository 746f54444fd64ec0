"""What a graph is made of: calls in order, and the arguments of the network."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import NetloomError
from ..ops import MODULE, Edge, Weight
from .tree import edges, same_fields, weights

#: ``Step.grad`` of calls under ``enable_grad``.
ENABLED = "enabled"


@dataclass(frozen=True, slots=True)
class Step:
    """One call in a graph: an operator with its arguments in normal form.

    ``args`` holds every argument by name: `Edge` or a tuple of edges, `Weight`, or plain data. ``scope`` is the path of the
    module that owns the call (its ``training`` flag counts). ``mode`` is ``"train"`` or ``"eval"`` for a call that is made in
    one mode only. ``grad`` is False under ``no_grad``, `ENABLED` where the model turns gradients on whatever the caller does,
    else True; ``autocast`` is ``"cpu:bfloat16"`` and the like, or "".
    """

    name: str
    op: str
    args: Mapping[str, Any]
    scope: str = ""
    mode: str = ""
    grad: bool | str = True
    autocast: str = ""
    #: What `straight` learned of the step when it was first hashed; samples of a space share the same few steps.
    learned: Any = field(default=None, init=False, repr=False, compare=False)
    _refs: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The edges among its arguments, in order."""
        return self._read()[0]

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The weights among its arguments, in order."""
        return self._read()[1]

    def _read(self) -> tuple[tuple[Edge, ...], tuple[Weight, ...]]:
        found: tuple[tuple[Edge, ...], tuple[Weight, ...]] | None = self._refs
        if found is None:
            values = tuple(self.args.values())
            found = tuple(edges(values)), tuple(weights(values))
            object.__setattr__(self, "_refs", found)
        return found

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of the network: its name, the tree of its tensors, and whether it is given by keyword."""

    name: str
    tree: Any
    keyword: bool = False

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


def default_scope(name: str, op: str, args: Mapping[str, Any]) -> str:
    """The owner of a call, judged by its name: itself where it owns weights or has a training flag, else its parent."""
    return owner_of(name, bool(weights(tuple(args.values()))) or args.get("training") == MODULE)


def owner_of(name: str, is_module: bool) -> str:
    """The module path that a node's name gives: its own, or that of the module around it."""
    path = module_path(name)
    return path if is_module else path.rpartition(".")[0]


def module_path(name: str) -> str:
    """A node's name without the number of its call: ``"conv@2"`` is the second call of ``"conv"``.

    A module may itself be called ``"@2"`` or ``"a@b"``.

    >>> module_path("body.conv@2"), module_path("body.@2"), module_path("body.a@b")
    ('body.conv', 'body.@2', 'body.a@b')
    """
    if "@" not in name:
        return name
    path, _, call = name.rpartition("@")
    return path if call.isdigit() and path and not path.endswith(".") else name


def located(error: NetloomError, step: Step) -> NetloomError:
    """The error with the step's name in it."""
    message = str(error)
    prefix = f"{step.op}: "
    return type(error)(f"{step.op} {step.name!r}: {message.removeprefix(prefix)}")


def dangling(step: Step, ref: Edge, steps: Sequence[Step], types: Mapping[str, Any]) -> str:
    """What is wrong with an operand that no earlier step gives."""
    if any(other.name == ref.node for other in steps):
        return f"{step.op} {step.name!r} uses {ref.node!r}, which comes after it: a cycle, or nodes out of order"
    near = difflib.get_close_matches(ref.node, types, 1)
    return f"{step.op} {step.name!r} uses {ref.node!r}, which does not exist" + (f"; did you mean {near[0]!r}?" if near else "")
