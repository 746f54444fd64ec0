"""Values of constants inside a trace: what depends on no input, parameter, mutable buffer or free size can be computed."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from ..graph.trusted import function_named
from ..ops import Edge, Size, operator
from ..ops.code import argument_sources, expression
from ..ops.functions import setitem
from ..ops.operator import resolve_types
from .sizing import from_prime

if TYPE_CHECKING:
    from .recorder import Recorder

#: Batch sizes at which a value that depends on the batch alone is computed: all must agree.
_SIZES = (2, 5, 7)


class Values:
    """Real tensors for edges of constant records, computed on the CPU when asked for."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.cache: dict[tuple[int, int, int], Any] = {}

    def of(self, edge: Edge) -> Any:
        """The real tensor of an edge, or None where it is no constant."""
        record = self.recorder.records[edge.node]  # type: ignore[call-overload]
        if record.constant < 2:
            return self._buffer(record)
        return self._value(edge, 0)

    def over_sizes(self, edge: Edge) -> list[Any]:
        """The real tensors of an edge at several batch sizes, where it depends on no data; else nothing."""
        record = self.recorder.records[edge.node]  # type: ignore[call-overload]
        if record.constant == 2:
            return [self._value(edge, 0)] * len(_SIZES)
        if record.constant == 0:
            found = self._buffer(record)
            return [] if found is None else [found] * len(_SIZES)
        return [self._value(edge, size) for size in _SIZES]

    def _buffer(self, record: Any) -> Any:
        """A buffer that nothing has written is as good as a constant."""
        if record.op != "parameter":
            return None
        key = record.args["value"].key
        root = self.recorder.aliases.root_of_key(key)
        return None if root is not None and root.version else self.recorder.buffers.get(key)

    def _value(self, edge: Edge, batch: int) -> Any:
        self._compute(edge.node, batch)  # type: ignore[arg-type]
        return self.cache[(edge.node, edge.index, self._size(edge, batch))]  # type: ignore[index]

    def _size(self, edge: Edge, batch: int) -> int:
        """The batch size that an edge's value is kept under: 0 where it follows from none."""
        return batch if self.recorder.records[edge.node].constant == 1 else 0  # type: ignore[call-overload]

    def _compute(self, number: int, batch: int) -> None:
        pending = [number]
        while pending:
            record = self.recorder.records[pending[-1]]
            size = batch if record.constant == 1 else 0
            if (record.number, 0, size) not in self.cache:
                missing = self._computed(record, size)
                if missing:
                    pending += missing
                    continue
            pending.pop()

    def _computed(self, record: Any, batch: int) -> list[int]:
        """Compute one record whose operands are at hand; else the numbers of those that are missing."""
        if record.number in self.recorder.real:
            self.cache[(record.number, 0, batch)] = self.recorder.real[record.number]
            return []
        scope: dict[str, Any] = {"torch": torch, "F": F, "_setitem": setitem, "device": "cpu"}
        missing: list[int] = []
        blank = operator(record.op).family == "create"

        def name_of(ref: Any) -> str:
            name = f"v{ref.node}_{ref.index}"
            if blank:
                kind = self.recorder.type_of(ref)
                shape = self._sized(kind.shape, batch)  # type: ignore[union-attr]
                scope[name] = torch.empty(shape, dtype=getattr(torch, kind.dtype))  # type: ignore[union-attr]
            elif (ref.node, 0, size := self._size(ref, batch)) in self.cache:
                scope[name] = self.cache[(ref.node, ref.index, size)]
            else:
                missing.append(ref.node)
            return name

        kind = operator(record.op)
        args = {key: self._sized(value, batch) for key, value in record.args.items()}
        sources = argument_sources(args, kind, name_of, "False")
        sources["device"] = "device"
        if missing:
            return missing
        if record.op == "opaque":
            scope["_function"] = function_named(args["target"])
            source = f"_function(*{sources['args']}, **dict({sources['kwargs']}))"
        else:
            types = {k: resolve_types(v, self.recorder.type_of) for k, v in args.items()}
            source = expression(kind, SimpleNamespace(**types), sources)[1]
        with torch._C.DisableTorchFunction(), torch.no_grad():
            result = eval(_compiled(source), scope)  # netloom's own template of an operator, over plain values
        for index, value in enumerate([result] if isinstance(result, torch.Tensor) else _flat(result)):
            self.cache[(record.number, index, batch)] = value
        return []

    def _sized(self, value: Any, batch: int) -> Any:
        """Arguments with the trace's large batch replaced by a small one."""
        kind = type(value)
        if kind is int:
            if not batch or not self.recorder.is_free(value):
                return value
            size = from_prime(value, self.recorder.prime, Size.symbol("N"))
            return size.at({"N": batch}) if isinstance(size, Size) else size
        if kind is Edge or not isinstance(value, tuple):
            return value
        parts = [self._sized(v, batch) for v in value]
        return tuple(parts) if kind is tuple else kind(*parts)


@lru_cache(maxsize=4096)
def _compiled(source: str) -> Any:
    return compile(source, "<constant>", "eval")


def _flat(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _flat(part)]
    return [value]
