"""``NAME:PATH?key=value&…``: the parts of a spec, and its settings as values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from ..errors import TaskError

#: Settings begin at the first question mark that a name and an equals sign follow: paths and columns may hold others.
_SETTINGS = re.compile(r"\?(?=[A-Za-z_]+=)")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Spec(NamedTuple):
    """A spec in its parts; ``settings`` as they are written, escapes (``%26`` for ``&``) undone."""

    text: str
    name: str
    path: str
    settings: dict[str, str]


def split_spec(text: str) -> Spec:
    """The parts of a spec. Raises `TaskError` where a setting is not ``key=value``.

    >>> split_spec("table:a.csv?target=sold&valid=0.1")
    Spec(text='table:a.csv?target=sold&valid=0.1', name='table', path='a.csv', settings={'target': 'sold', 'valid': '0.1'})
    """
    begin = _SETTINGS.search(text)
    source, rest = (text[: begin.start()], text[begin.end() :]) if begin else (text, "")
    name, _, path = source.partition(":")
    settings: dict[str, str] = {}
    for part in filter(None, rest.split("&")):
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise TaskError(f"task {text[:120]!r}: cannot read {part[:80]!r}; settings are written key=value, with & between")
        if key in settings:
            raise TaskError(f"task {text[:120]!r}: the setting {key!r} is given twice")
        settings[key] = unquote(value)
    return Spec(text, name, path, settings)


def read_settings(spec: Spec, readers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The settings as values. A reader raises `ValueError` with what it expected; `TaskError` says so, or what exists."""
    values = {}
    for key, text in spec.settings.items():
        if key not in readers:
            near = difflib.get_close_matches(key, readers, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(readers) or 'none'}"
            raise TaskError(f"task {spec.text[:120]!r}: unknown setting {key[:40]!r}; {hint}")
        try:
            values[key] = readers[key](text)
        except (ValueError, OverflowError) as error:
            raise TaskError(f"task {spec.text[:120]!r}: {key} = {text[:80]!r}; expected {error}") from None
    return values


# -- readers -------------------------------------------------------------------------------------------------------
def whole(text: str) -> int:
    """A seed, or another whole number of at least 0."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError("a whole number")
    return int(text)


def size_of_part(text: str) -> float | int:
    """``1024`` or ``5k`` samples; or ``0.2`` or ``20%`` of them."""
    expected = "a number of samples such as 1024, or a share of them such as 0.2 or 20%"
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(%|[km]?)", text.strip().lower())
    if match is None:
        raise ValueError(expected)
    number = float(match[1])
    if match[2] == "%":
        return number / 100
    if match[2]:
        number *= _UNITS[match[2]]
    elif "." in match[1]:
        return number
    if number != int(number):
        raise ValueError(expected)
    return int(number)


def size_in_bytes(text: str) -> int:
    """``500M``, ``8G``, or a number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise ValueError("a size such as 500M or 8G")
    return int(float(match[1]) * _UNITS[match[2]])


def yes_or_no(text: str) -> bool:
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise ValueError("yes or no")


def one_of(*choices: str) -> Callable[[str], str]:
    """A reader of one of some words."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(" or ".join(choices))
        return text

    return read


def names(text: str) -> tuple[str, ...]:
    """Names with commas between."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise ValueError("names with commas between")
    return found


def image_size(text: str) -> tuple[int, int]:
    """``64`` (square) or ``48x64`` (height × width)."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
        raise ValueError("a size in pixels such as 64, or height and width such as 48x64")
    return int(match[1]), int(match[2] or match[1])
