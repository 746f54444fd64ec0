"""Tensors by value in source: a pattern where there is one, a short list, else compressed bytes."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from math import prod
from typing import Any

from ...errors import BuildError
from ..table import Constant, TensorEntry
from .literals import constant as literal
from .naming import is_identifier, unique

#: Elements up to which a tensor is written as a list.
_LISTED = 16
#: Characters of a line of compressed bytes.
_COLUMNS = 90
_FORMATS = {
    "float32": "f", "float64": "d", "float16": "e", "int64": "q", "int32": "i", "int16": "h", "int8": "b", "uint8": "B",
    "bool": "?",
}  # fmt: skip
#: Defines the function that reads compressed tensors, in modules that need it.
READER = '''\
def packed(data: str, dtype: torch.dtype, *shape: int) -> Tensor:
    """The tensor whose compressed bytes are ``data``."""
    raw = bytearray(zlib.decompress(base64.b85decode(data)))
    return torch.frombuffer(raw, dtype=torch.uint8).view(dtype).reshape(shape)
'''


def tensor_source(key: str, constant: Constant, data: dict[str, str]) -> str:
    """An expression that makes the tensor on the CPU; compressed bytes go to ``data``, with the name that stands for them."""
    if constant.data is None:
        raise BuildError(
            f"the value of constant {key!r} ({constant.type}) is not at hand; read the graph with the folder of its artifacts"
        )
    dtype, shape = constant.type.dtype, tuple(int(size) for size in constant.type.shape)
    code = _FORMATS.get(dtype)
    count = prod(shape)
    if code is None or not count:
        if not count:
            return f"torch.zeros({literal(shape)}, dtype=torch.{dtype})"
        return _packed(key, constant.data, dtype, shape, data)
    values = struct.unpack(f"<{count}{code}", constant.data)
    return _pattern(values, constant.data, dtype, shape) or _packed(key, constant.data, dtype, shape, data)


def _pattern(values: tuple[Any, ...], data: bytes, dtype: str, shape: tuple[int, ...]) -> str:
    kind = "" if dtype == "float32" else f", dtype=torch.{dtype}"
    size = len(data) // len(values)
    default = "" if dtype in ("int64", "bool", "float32") else f", dtype=torch.{dtype}"
    if data == data[:size] * len(values):
        first = values[0]
        if first == 0 and str(first)[0] != "-" and shape:
            return f"torch.zeros({literal(shape)}{kind})"
        if first == 1 and shape:
            return f"torch.ones({literal(shape)}{kind})"
        head = f"torch.full({literal(shape)}, " if shape else "torch.tensor("
        return f"{head}{literal(first)}{default})"
    if dtype == "int64" and values == tuple(range(len(values))):
        text = f"torch.arange({len(values)})"
        return text if len(shape) == 1 else f"{text}.reshape({', '.join(map(str, shape))})"
    if len(values) <= _LISTED:
        return f"torch.tensor({_nest(list(values), shape)}{default})"
    return ""


def _nest(values: list[Any], shape: tuple[int, ...]) -> str:
    if not shape:
        return literal(values[0])
    if len(shape) == 1:
        return f"[{', '.join(map(literal, values))}]"
    step = len(values) // shape[0]
    return f"[{', '.join(_nest(values[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0]))}]"


def _packed(key: str, raw: bytes, dtype: str, shape: tuple[int, ...], data: dict[str, str]) -> str:
    text = base64.b85encode(zlib.compress(raw, 9)).decode("ascii")
    sizes = "".join(f", {size}" for size in shape)
    if text not in data:
        name = re.sub(r"\W", "_", key.rpartition(".")[2], flags=re.ASCII).upper()
        data[text] = unique(name if is_identifier(name) else "VALUES", set(data.values()))
    return f"packed({data[text]}, torch.{dtype}{sizes})"


def definitions(data: dict[str, str]) -> list[str]:
    """Statements that define the compressed constants, for the end of the file."""
    found = []
    for text, name in data.items():
        parts = [text[i : i + _COLUMNS] for i in range(0, len(text), _COLUMNS)]
        if len(parts) == 1:
            found.append(f'{name} = "{text}"\n')
        else:
            found.append(f"{name} = (\n" + "".join(f'    "{part}"\n' for part in parts) + ")\n")
    return found


def fresh_source(entry: TensorEntry, shape: str) -> str:
    """An expression for a fresh tensor by the entry's rule; ``shape`` is the source of its sizes."""
    kind = "" if entry.type.dtype == "float32" else f", dtype=torch.{entry.type.dtype}"
    rule, *numbers = entry.init
    if rule == "constant":
        whole = shape if shape.startswith("(") else f"({shape},)"
        if entry.type.dtype == "bool":
            return f"torch.full({whole}, {bool(numbers[0])})"
        if numbers[0] in (0, 1):
            return f"torch.{'ones' if numbers[0] else 'zeros'}({shape}{kind})"
        return f"torch.full({whole}, {literal(_rounded(numbers[0]))}{kind})"
    if rule == "normal":
        mean, std = map(_rounded, numbers)
        return f"torch.empty({shape}{kind}).normal_({literal(mean)}, {literal(std)})"
    if rule in ("uniform", "kaiming_uniform", "xavier_uniform"):
        low, high = _bounds(rule, numbers)
        return f"torch.empty({shape}{kind}).uniform_({literal(_rounded(low))}, {literal(_rounded(high))})"
    raise BuildError(f"unknown rule {rule!r} for fresh values")


def _bounds(rule: str, numbers: list[Any]) -> tuple[float, float]:
    if rule == "uniform":
        return numbers[0], numbers[1]
    bound = (6 / sum(numbers)) ** 0.5 if rule == "xavier_uniform" else (numbers[0] ** -0.5 if numbers[0] else 0.0)
    return -bound, bound


def _rounded(number: Any) -> Any:
    """Statistics of an initialisation: three digits say all there is to know."""
    if isinstance(number, complex):
        return complex(_rounded(number.real), _rounded(number.imag))
    return float(f"{float(number):.3g}")
