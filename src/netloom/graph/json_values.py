"""JSON for every value that can stand in a step or tree, both ways.

``null``, booleans, integers, finite numbers and strings are themselves, a tuple is an array; everything else is an object
with one key that says what it is: ``{"edge": ["conv1", 0]}``, ``{"size": "4*N"}``, ``{"slice": [0, null, 2]}``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import FormatError
from ..ops import DType, Edge, Size, Slice, TensorType, Weight
from .assembly import check_type, short
from .notation import size_text

MAX_DEPTH = 60


def bad(path: str, message: str) -> FormatError:
    """The error about the part of a document at ``path`` (``$.steps[3].args.kernel``)."""
    return FormatError(f"{short(path, 300)}: {message}")


# -- to JSON -----------------------------------------------------------------------------------------------------------
def encode(value: Any, depth: int = 0) -> Any:
    """What `json` writes for ``value``; `FormatError` where it is not plain data.

    >>> encode((3, Size.parse("4*N"), Edge("conv1"), float("inf")))
    [3, {'size': '4*N'}, {'edge': ['conv1', 0]}, {'float': 'inf'}]
    """
    if depth > MAX_DEPTH - 10:
        raise FormatError(f"a value nested more than {MAX_DEPTH - 10} deep cannot be written")
    kind = type(value)
    if value is None or kind is bool or kind is int or kind is str:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind is tuple:
        return [encode(v, depth + 1) for v in value]
    if kind is list:
        return {"list": [encode(v, depth + 1) for v in value]}
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise FormatError(f"{key!r} is the key of a dict; only strings can be written")
        return {"dict": {key: encode(v, depth + 1) for key, v in value.items()}}
    if kind is Edge:
        return {"edge": [value.node, value.index]}
    if kind is Weight:
        return {"weight": value.key}
    if kind is DType:
        return {"dtype": value.name}
    if kind is Size:
        return {"size": encode_size(value)}
    if kind is Slice:
        return {"slice": [encode(v, depth + 1) for v in value]}
    if kind is complex:
        return {"complex": [encode(value.real), encode(value.imag)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    raise FormatError(f"{str(value)[:80]} is a {kind.__name__}; only plain data can be written")


def encode_size(size: Any) -> Any:
    """A shape's entry: a whole number, or a free size as text."""
    if type(size) is int:
        return size
    text = size_text(size)
    if text is None:
        raise FormatError(f"the free size {str(size)[:80]} cannot be written; its symbols must be short identifiers")
    return text


# -- from JSON ---------------------------------------------------------------------------------------------------------
def decode(value: Any, path: str, depth: int = 0) -> Any:
    """The value that `encode` writes as ``value``; `FormatError` names ``path`` where there is none."""
    if depth > MAX_DEPTH:
        raise bad(path, f"nested more than {MAX_DEPTH} deep")
    kind = type(value)
    if value is None or kind is bool or kind is int or kind is str:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise bad(path, f'a number out of range; expected {{"float": "{value!r}"}} for {value!r}')
        return value
    if kind is list:
        return tuple(decode(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value))
    if kind is not dict:
        raise bad(path, f"a {kind.__name__}, which JSON does not have")
    if len(value) != 1:
        raise bad(path, f"an object with {len(value)} keys; expected one key, of {', '.join(_DECODERS)}")
    ((tag, inside),) = value.items()
    decoder = _DECODERS.get(tag) if type(tag) is str else None
    if decoder is None:
        raise bad(path, f"the key {short(tag, 80)!r}; expected one of {', '.join(_DECODERS)}")
    return decoder(inside, f"{path}.{tag}", depth)


def string(value: Any, path: str) -> str:
    if type(value) is not str:
        raise bad(path, f"{shown(value)}; expected a string")
    return value


def whole(value: Any, path: str, low: int | None = None) -> int:
    if type(value) is not int or (low is not None and value < low):
        raise bad(path, f"{shown(value)}; expected a whole number{'' if low is None else f' of {low} or more'}")
    return value


def boolean(value: Any, path: str) -> bool:
    if type(value) is not bool:
        raise bad(path, f"{shown(value)}; expected true or false")
    return value


def array(value: Any, path: str, length: int | None = None) -> list[Any]:
    if type(value) is not list or (length is not None and len(value) != length):
        raise bad(path, f"{shown(value)}; expected an array{'' if length is None else f' of {length}'}")
    return value


def record(value: Any, path: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with these keys and no others."""
    if type(value) is not dict:
        raise bad(path, f"{shown(value)}; expected an object")
    for key in needed:
        if key not in value:
            raise bad(path, f"the key {key!r} is missing")
    for key in value:
        if key not in needed and key not in optional:
            raise bad(path, f"the key {short(key, 80)!r}; expected {', '.join((*needed, *optional))}")
    return value


def size(value: Any, path: str) -> Any:
    """A shape's entry."""
    return whole(value, path) if type(value) is int else _free_size(value, path)


def tensor_type(dtype: Any, shape: Any, path: str) -> TensorType:
    """dtype and shape as torch can hold them."""
    entries = array(shape, f"{path}.shape")
    found = TensorType(string(dtype, f"{path}.dtype"), tuple(size(v, f"{path}.shape[{i}]") for i, v in enumerate(entries)))
    try:
        check_type(found, "the type")
    except FormatError as error:
        raise bad(path, str(error)) from None
    return found


def shown(value: Any) -> str:
    """A value in a message, briefly."""
    if type(value) in (dict, list):
        return f"an {'object' if type(value) is dict else 'array'} of {len(value)}"
    if type(value) is str:
        return repr(value[:80])
    return "null" if value is None else short(value, 80)


def _free_size(value: Any, path: str) -> Any:
    try:
        return Size.parse(string(value, path))
    except FormatError as error:
        message = str(error).removeprefix(f"{path}: ")
    except (ArithmeticError, ValueError) as error:
        message = str(error)
    raise bad(path, message)


def _float(value: Any, path: str, depth: int) -> float:
    if value not in ("inf", "-inf", "nan"):
        raise bad(path, f'{shown(value)}; expected "inf", "-inf" or "nan"')
    return math.nan if value == "nan" else float(value)


def _dict(value: Any, path: str, depth: int) -> dict[str, Any]:
    if type(value) is not dict:
        raise bad(path, f"{shown(value)}; expected an object")
    return {string(key, path): decode(v, f"{path}.{short(key, 80)}", depth + 1) for key, v in value.items()}


def _edge(value: Any, path: str, depth: int) -> Edge:
    node, index = array(value, path, 2)
    return Edge(string(node, f"{path}[0]"), whole(index, f"{path}[1]", 0))


def _slice(value: Any, path: str, depth: int) -> Slice:
    return Slice(*(decode(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(array(value, path, 3))))


def _complex(value: Any, path: str, depth: int) -> complex:
    parts = [decode(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(array(value, path, 2))]
    if not all(type(part) is float for part in parts):
        raise bad(path, "expected two numbers, each with a fraction such as 1.0")
    return complex(*parts)


def _ellipsis(value: Any, path: str, depth: int) -> Any:
    if value is not True:
        raise bad(path, f"{shown(value)}; expected true")
    return Ellipsis


_DECODERS: dict[str, Callable[[Any, str, int], Any]] = {
    "edge": _edge,
    "weight": lambda value, path, depth: Weight(string(value, path)),
    "dtype": lambda value, path, depth: DType(string(value, path)),
    "size": lambda value, path, depth: _free_size(value, path),
    "slice": _slice,
    "list": lambda value, path, depth: list(decode(array(value, path), path, depth)),
    "dict": _dict,
    "float": _float,
    "complex": _complex,
    "ellipsis": _ellipsis,
}
