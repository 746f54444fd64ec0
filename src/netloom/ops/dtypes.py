"""Names of dtypes and how they promote, without torch.

A dtype is written as torch prints it without the prefix: ``"float32"``, ``"int64"``, ``"bool"``.
"""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError

#: dtype → (category, bytes per element). Categories promote upwards: bool < integer < float < complex.
DTYPES: dict[str, tuple[int, int]] = {
    "bool": (0, 1),
    "uint8": (1, 1), "int8": (1, 1), "int16": (1, 2), "int32": (1, 4), "int64": (1, 8),
    "uint16": (1, 2), "uint32": (1, 4), "uint64": (1, 8),
    "float8_e4m3fn": (2, 1), "float8_e5m2": (2, 1),
    "float16": (2, 2), "bfloat16": (2, 2), "float32": (2, 4), "float64": (2, 8),
    "complex32": (3, 4), "complex64": (3, 8), "complex128": (3, 16),
}  # fmt: skip

_FLOAT_RANK = {"float16": 1, "bfloat16": 1, "float32": 2, "float64": 3}
#: What torch promotes with nothing else, and what it promotes with floats alone.
_ALONE = frozenset({"float8_e5m2", "float8_e4m3fn"})
_UNSIGNED = frozenset({"uint16", "uint32", "uint64"})
_COMPLEX_OF = {"float16": "complex32", "bfloat16": "complex64", "float32": "complex64", "float64": "complex128"}
_REAL_OF = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}


def is_float(dtype: str) -> bool:
    return DTYPES[dtype][0] == 2


def is_complex(dtype: str) -> bool:
    return DTYPES[dtype][0] == 3


def is_integer(dtype: str) -> bool:
    """True for integer dtypes and bool."""
    return DTYPES[dtype][0] <= 1


def real_of(dtype: str) -> str:
    """The dtype of the real part: itself unless complex."""
    return _REAL_OF.get(dtype, dtype)


def complex_of(dtype: str) -> str:
    """The complex dtype whose parts hold a float dtype; `ShapeError` where there is none.

    >>> complex_of("bfloat16")
    'complex64'
    """
    if dtype not in _COMPLEX_OF:
        raise ShapeError(f"there are no complex numbers of {dtype}; convert to float32 first")
    return _COMPLEX_OF[dtype]


def promote_pair(a: str, b: str) -> str:
    """The dtype that torch promotes two tensors of equal standing to.

    >>> promote_pair("float16", "bfloat16"), promote_pair("int64", "float16"), promote_pair("uint8", "int8")
    ('float32', 'float16', 'int16')
    """
    if a == b:
        return a
    (kind_a, bytes_a), (kind_b, bytes_b) = DTYPES[a], DTYPES[b]
    if kind_a < kind_b:
        a, b, kind_a, kind_b, bytes_a, bytes_b = b, a, kind_b, kind_a, bytes_b, bytes_a
    if a in _ALONE or b in _ALONE or (b in _UNSIGNED and kind_a != 2) or a in _UNSIGNED:
        raise ShapeError(f"torch does not promote {a} with {b}; convert one of them first")
    if kind_a == 3 and kind_b in (2, 3):
        return complex_of(promote_pair(_REAL_OF[a], _REAL_OF.get(b, b)))
    if kind_a != kind_b:
        return a
    if kind_a == 2:
        if _FLOAT_RANK[a] == _FLOAT_RANK[b]:
            return "float32"
        return max(a, b, key=lambda d: _FLOAT_RANK[d])
    if "uint8" in (a, b):
        other = b if a == "uint8" else a
        return "int16" if other == "int8" else other
    return a if bytes_a >= bytes_b else b


def promote(*operands: Any) -> str:
    """The result dtype of an elementwise operation over tensors (`TensorType`) and plain numbers, as torch has it.

    Tensors with axes outrank tensors without, which outrank numbers, unless their category is higher.
    """
    ranks: list[str | None] = [None, None, None]  # with axes, without axes, numbers
    for operand in operands:
        if operand is None:
            continue
        if hasattr(operand, "dtype"):
            level, dtype = (0 if operand.shape else 1), operand.dtype
        else:
            level, dtype = 2, number_dtype(operand)
        current = ranks[level]
        ranks[level] = dtype if current is None else promote_pair(current, dtype)
    result = _outranking(ranks[0], _outranking(ranks[1], ranks[2]))
    if result is None:
        raise ShapeError("an operation needs at least one operand")
    return result


def _outranking(higher: str | None, lower: str | None) -> str | None:
    """The dtype of operands of which the first outrank the second unless their category is lower."""
    if higher is None or lower is None:
        return lower if higher is None else higher
    kind, other = DTYPES[higher][0], DTYPES[lower][0]
    if other == 3 and kind < 3:
        return complex_of(higher) if kind == 2 else lower
    return promote_pair(higher, lower) if kind == 0 or other > max(kind, 1) else higher


def number_dtype(value: Any) -> str:
    """The dtype a plain number takes part with: bool, int64, float32 or complex64."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return "float32"
    if isinstance(value, complex):
        return "complex64"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ShapeError(f"the number {str(value)[:40] if value.bit_length() < 9999 else 'given'} takes more than 64 bits")
    return "int64"


def to_float(dtype: str) -> str:
    """What ``sin`` or ``mean`` over integers gives: float32; floats and complex numbers stay."""
    return "float32" if is_integer(dtype) else dtype
