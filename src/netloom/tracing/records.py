"""What one run of a model gives: its calls as records, and the signals by which a run ends early."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import TraceError
from ..ops import Edge, TensorType
from .state import dtype_name


@dataclass(slots=True, eq=False)
class Record:
    """One pure call. ``args`` hold `Edge`\\ s whose ``node`` is a record's number.

    ``constant``: 2 where the result depends on no input, parameter, mutable buffer or free size; 1 where it depends on a
    free size alone; else 0. ``plan`` is what it shares with other calls of its kind.
    """

    number: int
    op: str
    args: dict[str, Any]
    types: tuple[TensorType, ...]
    scope: str
    grad: bool | str
    autocast: str
    constant: int
    name: str = ""
    mode: str = ""
    where: Any = None
    plan: Any = None

    def references(self) -> Iterable[str]:
        """Names of the arguments that may hold edges or weights."""
        return self.args if self.plan is None else self.plan.references


@dataclass(slots=True)
class Recording:
    """All that one run of a model gave."""

    records: list[Record]
    result: Any
    written: dict[str, tuple[Edge, bool]]
    guards: list[str]


class DataDependence(TraceError):
    """The model asks for numbers inside a tensor that only running it on data can tell."""


class NeedsRealTensors(Exception):
    """The model does something that meta tensors do not support; trace it on small real tensors."""


class BufferNumber(float):
    """A Python float read from a buffer: batch norm's count of batches, for its cumulative average."""

    key: str = ""

    def __rtruediv__(self, other: Any) -> float:
        factor = CumulativeFactor(1.0)
        factor.key = self.key
        return factor if other == 1.0 else NotImplemented


class CumulativeFactor(float):
    """``1 / count``: the averaging factor of batch norm with ``momentum=None``."""

    key: str = ""


#: Arguments of torch calls that say where and how, not what.
DROPPED = ("device", "layout", "pin_memory", "requires_grad", "non_blocking", "generator", "_stacklevel")


class Foreign:
    """An argument that no graph can hold."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Retry(Exception):
    """A tensor from outside has just got its stand-in: make the call again with it."""


def autocast_now() -> str:
    if torch.is_autocast_enabled("cpu"):
        return f"cpu:{dtype_name(torch.get_autocast_dtype('cpu'))}"
    return ""


def flat(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in flat(part)]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in flat(part)]
    if isinstance(value, slice):
        return [value.start, value.stop, value.step]
    return [value]


def where_in_model() -> str:
    """File, line and source of the innermost frame that belongs to neither torch nor netloom."""
    import linecache

    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not (name.startswith(("netloom.", "torch.")) or name == "torch"):
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            return f"{frame.f_code.co_filename}:{frame.f_lineno}: {line}"
        frame = frame.f_back  # type: ignore[assignment]
    return "in torch's own code"
