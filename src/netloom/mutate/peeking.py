"""Values that a module makes by calling torch's functions with parameters of its own, seen by a mode while it runs.

The projections of `nn.MultiheadAttention` are of that kind: no module is called that a hook could hang on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..graph.graph import Graph
from ..graph.tree import weights
from ..ops import Edge
from ..tracing.calls import entered, resolve

#: An operator and the parameters that it reads, by their keys.
Read = tuple[str, frozenset[str]]


def read_of(graph: Graph, edge: Edge) -> Read:
    """By what the call that makes a value is known again."""
    step = graph[edge.node].step
    keys = frozenset(w.key for w in weights(tuple(step.args.values())) if graph.tensors[w.key].kind == "parameter")
    return step.op, keys


class Peek(TorchFunctionMode):  # type: ignore[misc]
    """Shows results of the calls that read parameters of ``module``; the k-th of a kind goes to the k-th of ``wanted[kind]``.

    It is entered with every call of the module; calls are counted until they are forgotten.
    """

    def __init__(
        self, module: torch.nn.Module, prefix: str, wanted: Mapping[Read, Sequence[Any]], show: Callable[[Any, Any], None]
    ) -> None:
        super().__init__()
        self.module, self.prefix, self.wanted, self.show = module, prefix, wanted, show
        self.keys: dict[int, str] = {}
        self.calls: Counter[Read] = Counter()

    def begin(self) -> None:
        named = self.module.named_parameters(prefix=self.prefix, remove_duplicate=False)
        self.keys = {id(parameter): key for key, parameter in named}
        self.__enter__()

    def __torch_function__(self, func: Any, kinds: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        known = resolve(func)
        if known.kind == "python" and isinstance(func, FunctionType) and func.__module__ == "torch.nn.functional":
            with self:
                return entered(func)(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        if known.kind == "call" and isinstance(result, torch.Tensor):
            read = frozenset(self.keys[id(a)] for a in (*args, *(kwargs or {}).values()) if id(a) in self.keys)
            for candidate in known.candidates if read else ():
                self._show((candidate.operator.name, read), result)
        return result

    def _show(self, read: Read, value: torch.Tensor) -> None:
        number = self.calls[read]
        self.calls[read] += 1
        wanted = self.wanted.get(read, ())
        if number < len(wanted) and wanted[number] is not None:
            self.show(wanted[number], value)
