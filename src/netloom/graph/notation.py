r"""The words of the textual notation, shared by its writer (`text`) and its reader (`text_reader`).

A text is a header and one statement per line; ``#`` starts a comment::

    netloom 1
    symbols N, T=16                           example sizes of free symbols, where one is not 1
    note "the number of frames is frozen"
    takes x, *, mask=mask                     arguments of the network, where they are not just its inputs
    x = input float32[N, 3, 32, 32]
    stem = conv2d(16, kernel=3, bias=false)   # (N, 16, 30, 30)
    relu = relu                               # reads the line above
    add = add(stem, relu) in head eval no_grad autocast "cpu:bfloat16"
    return {"logits": add, "all": [stem, relu[0]]}
    train_return add
    @stem.weight = parameter float32[16, 3, 3, 3] (init=normal(0.0, 0.02), requires_grad=false)
    @mask = buffer bool[4, 4] (persistent=false, value="<sha256>")
    order @mask, @stem.weight .. @stem.bias
    data <sha256>
      eJxjYGBgAAAABAAB

A call omits its first operand where that is the first result of the line above, attributes that equal their defaults, and
weights that go by their default keys with the operator's own initialisation. ``(a, b)`` is a tuple, ``[a, b]`` a list,
``{a: b}`` a dict, ``x[1]`` the second result of ``x``, ``@key`` an entry of the tensor table, ``4*N+1`` a free size, ``1:3``
a slice, ``float32`` a dtype. A name that is not a plain word stands in backquotes, a string in double quotes.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import FormatError
from ..ops import DType, Edge, Size, TensorType, Weight
from ..ops.dtypes import DTYPES

VERSION = 1
MAX_TEXT = 64 << 20
MAX_LINES = 2_000_000
MAX_DEPTH = 50
MAX_DIGITS = 4300
#: Constants above this many bytes are written in text by their SHA-256 alone.
MAX_CONSTANT = 16 << 20

#: A name as an operand; at the start of a line and after ``@`` it may begin with a digit.
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+(?:\.[A-Za-z0-9_]++)*+(?:@[0-9]++)?")
LINE_NAME = re.compile(r"[A-Za-z0-9_]++(?:\.[A-Za-z0-9_]++)*+(?:@[0-9]++)?")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")

LITERALS: dict[str, Any] = {"true": True, "false": False, "none": None, "inf": float("inf")}
#: Written as a call, where the short form of a value would be read as something else.
CALLS = frozenset({"size", "dtype", "slice", "complex"})
RESERVED = frozenset({*LITERALS, "nan", *DTYPES})

_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str, mark: str = '"') -> str:
    """``text`` between quotation marks, with everything escaped that does not print.

    >>> quoted('a "b"')
    '"a \\\\"b\\\\""'
    """
    if text.isprintable() and mark not in text and "\\" not in text:
        return f"{mark}{text}{mark}"
    shown = []
    for char in text:
        if char == mark or char == "\\":
            shown.append("\\" + char)
        elif char.isprintable():
            shown.append(char)
        else:
            code = ord(char)
            shown.append(_SHORT.get(char) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"))
    return f"{mark}{''.join(shown)}{mark}"


def operand_name(name: str, symbols: Any = ()) -> str:
    """A node's name where a value is expected: bare unless it could be read as something else.

    >>> operand_name("layer1.0.relu@2"), operand_name("0"), operand_name("inf"), operand_name("N", {"N"})
    ('layer1.0.relu@2', '`0`', '`inf`', '`N`')
    """
    if WORD.fullmatch(name) and name not in RESERVED and name not in symbols:
        return name
    return quoted(name, "`")


def line_name(name: str) -> str:
    """A name where only a name can stand: at the start of a line, or a key after ``@``."""
    return name if LINE_NAME.fullmatch(name) else quoted(name, "`")


def identifier(name: str) -> str:
    """The name of an argument or symbol."""
    return name if IDENTIFIER.fullmatch(name) else quoted(name, "`")


def type_text(type: TensorType) -> str | None:
    """``float32[N, 3]``, or None for a type that has no such form."""
    if type.dtype not in DTYPES or any(size_text(size) is None for size in type.shape):
        return None
    return f"{type.dtype}[{', '.join(map(str, type.shape))}]"


def size_text(size: Any) -> str | None:
    """A shape's entry as `Size.parse` reads it, or None where it does not."""
    if size.__class__ is int:
        return str(size) if 0 <= size < 1 << 59 else None
    if size.__class__ is not Size:
        return None
    text = str(size)
    try:
        return text if Size.parse(text) == size else None
    except FormatError:
        return None


def refers(value: Any) -> bool:
    """Whether there is a node or weight anywhere in a value."""
    if isinstance(value, Edge | Weight):
        return True
    if isinstance(value, dict):
        return any(map(refers, value.values()))
    return isinstance(value, tuple | list) and any(map(refers, value))


def dtype_text(dtype: DType) -> str:
    return dtype.name if dtype.name in DTYPES else f"dtype({quoted(dtype.name)})"
