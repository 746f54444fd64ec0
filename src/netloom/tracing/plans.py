"""What is known of a call after its first occurrence: networks repeat their blocks, so most calls have been seen before.

The key of a call is its function with everything that its record and the layout of its results can depend on: dtypes, shapes
and strides of tensors, and all plain arguments with their Python types. Calls with equal keys share one `Plan`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..graph.tree import edges, weights
from ..ops import REGISTRY, Edge, Operator, TensorType, Weight
from ..ops.operator import Evaluated
from .aliasing import Aliases, Handle, looks
from .state import type_of_tensor

_META = torch.device("meta")

#: Stands for batch norm's counter of batches, which is no argument of the torch call.
COUNT = Weight("")


class Place:
    """A tensor among the arguments of one call, by its position."""

    __slots__ = ("handle", "number")

    def __init__(self, handle: Handle, number: int) -> None:
        self.handle, self.number = handle, number


class Layout:
    """Results that share no memory with any argument: enough to make the same ones again."""

    __slots__ = ("looks", "container")

    def __init__(self, results: list[Any], container: Callable[[Any], Any] | None) -> None:
        self.looks = [(t.dtype, looks(type_of_tensor(t), t.stride())) for t in results]
        self.container = container

    @classmethod
    def of(cls, actual: Any, results: list[Any]) -> Layout | None:
        """The layout of what a call gave; None where its containers are nested."""
        if isinstance(actual, torch.Tensor):
            return cls(results, None)
        if isinstance(actual, tuple | list) and len(actual) == len(results):
            return cls(results, type(actual))
        return None

    def make(self, aliases: Aliases, number: int) -> Any:
        """Fresh meta tensors of this layout in their container, known as the results of a record."""
        made = []
        for index, (dtype, look) in enumerate(self.looks):
            tensor = torch.empty_strided(look.type.shape, look.strides, dtype=dtype, device=_META)
            aliases.fresh(tensor, Edge(number, index), look)  # type: ignore[arg-type]
            made.append(tensor)
        return made[0] if self.container is None else self.container(made)


class Plan:
    """How calls with one key become records.

    ``args`` are the arguments of the record with placeholders: `Edge` and `Weight` whose first field is ``-1 - number`` of
    the place; ``references`` names those that hold any. ``layout`` is set where the call need not be made again, ``viewed``
    where all results are views of the first tensor; ``constant`` is the record's level but for its edges.
    """

    __slots__ = (
        "kind", "args", "types", "inplace", "direct", "nested", "references", "constant", "layout", "viewed", "freed", "inits",
    )  # fmt: skip

    def __init__(self, kind: Operator, made: Evaluated, inplace: bool, constant: int) -> None:
        self.kind, self.args, self.types, self.inplace = kind, made.args, made.outputs, inplace
        placed = [(name, value[0]) for name, value in made.args.items() if type(value) is Edge or type(value) is Weight]
        self.direct: list[tuple[str, int]] = [(name, -1 - int(number)) for name, number in placed]
        self.nested = [
            name
            for name, value in made.args.items()
            if isinstance(value, tuple) and type(value) not in (Edge, Weight) and (edges(value) or weights(value))
        ]
        self.references = [name for name, _ in self.direct] + self.nested
        if kind.name == "batch_norm":
            self.references.append("num_batches_tracked")
        self.layout: Layout | None = None
        self.viewed = False
        self.constant = constant
        self.freed: tuple[dict[str, Any], tuple[TensorType, ...]] | None = None
        self.inits: dict[str, Any] = {}

    def filled(self, handles: list[Handle], reference: Callable[[Any, Handle], Any]) -> dict[str, Any]:
        """The arguments of one call's record: ``reference(placeholder, handle)`` in place of every placeholder."""
        args = self.args.copy()
        for name, number in self.direct:
            handle = handles[number]
            # The usual case of `reference`, at hand: a value that nothing has written to since it was read last.
            if handle.edge is not None and handle.version == handle.root.version:
                args[name] = handle.edge
            else:
                args[name] = reference(args[name], handle)
        for name in self.nested:
            args[name] = _filled(args[name], handles, reference)
        return args


#: Plans of earlier traces on the meta device, by what else they depend on: prime, default dtype, number of operators.
_KNOWN: dict[tuple[Any, ...], dict[tuple[Any, ...], Plan]] = {}
_MAX_KNOWN = 20_000


def known_plans(prime: int, meta: bool) -> dict[tuple[Any, ...], Plan]:
    """The plans to look calls up in: one table for all traces on the meta device, so that a model finds those of others."""
    if not (prime and meta):
        return {}
    plans = _KNOWN.setdefault((prime, torch.get_default_dtype(), len(REGISTRY)), {})
    if len(plans) > _MAX_KNOWN:
        plans.clear()
    return plans


def forget() -> None:
    """Forget all plans of earlier traces, as in a fresh process."""
    _KNOWN.clear()


def _filled(value: Any, handles: list[Handle], reference: Callable[[Any, Handle], Any]) -> Any:
    kind = type(value)
    if kind is Edge or kind is Weight:
        return reference(value, handles[-1 - value[0]])
    if isinstance(value, tuple):
        parts = [_filled(v, handles, reference) for v in value]
        return tuple(parts) if kind is tuple else kind(*parts)
    return value


def placed_type(handles: list[Handle]) -> Callable[[Any], TensorType | None]:
    """Types of placeholders."""

    def type_of(ref: Any) -> TensorType | None:
        return TensorType("int64", ()) if ref is COUNT else handles[-1 - ref[0]].type

    return type_of
