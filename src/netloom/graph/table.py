"""The tensor table: every entry of a network's state, without trained values.

Constants (index tables, masks) are stored by value, because a network is not the same without them; parameters and
running statistics only by type and by the rule that makes fresh ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import FormatError
from ..ops import TensorType
from ..ops.dtypes import DTYPES
from .tree import same_fields

#: Constants above this many bytes are written beside a document, by their SHA-256, instead of inside it.
INLINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor by value: little-endian bytes in row-major order; ``data`` is None where only the digest is at hand."""

    type: TensorType
    data: bytes | None
    sha256: str

    @staticmethod
    def of(type: TensorType, data: bytes) -> Constant:
        expected = DTYPES[type.dtype][1] * type.numel
        if len(data) != expected:
            raise FormatError(f"a constant {type} takes {expected} bytes, not {len(data)}")
        return Constant(type, data, hashlib.sha256(data).hexdigest())

    def __repr__(self) -> str:
        return f"Constant({self.type}, sha256={self.sha256[:12]}…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and (self.type, self.sha256) == (other.type, other.sha256)

    def __hash__(self) -> int:
        return hash((self.type, self.sha256))


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One entry: ``kind`` is ``"parameter"`` or ``"buffer"``; ``init`` is the rule for a fresh value (see `Operator.init`).

    ``alias_of`` names the entry whose tensor this key is another name for. ``persistent`` is False for entries that a
    state_dict leaves out.
    """

    type: TensorType
    kind: str = "parameter"
    init: tuple[Any, ...] = ("constant", 0.0)
    requires_grad: bool = True
    persistent: bool = True
    alias_of: str | None = None
    constant: Constant | None = None
    #: Its line in a certificate, noted by `straight`; samples of a space share the same few entries.
    learned: str = field(default="", init=False, repr=False, compare=False)

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


Tensors = Mapping[str, TensorEntry]
