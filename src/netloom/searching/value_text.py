"""Values as text: ``"elite(2)+tournament(size=3)"``, as settings of strategies have them."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from typing import Any

from ..errors import SearchError
from ..spaces.loading import whole_number

_PART = re.compile(r"\s*([\w-]+)\s*(?:\(([^()]*)\))?\s*")


def read_values(text: str, kinds: Mapping[str, type], what: str) -> list[Any]:
    """The dataclasses that names between plus signs mean, each with its fields in brackets; `SearchError` says what does not.

    >>> @dataclasses.dataclass
    ... class Dot:
    ...     size: int = 1
    >>> read_values("dot + dot(3) + dot(size=2)", {"dot": Dot}, "shape")
    [Dot(size=1), Dot(size=3), Dot(size=2)]
    """
    found = []
    for part in re.split(r"\+(?![^(]*\))", text):
        read = _PART.fullmatch(part)
        if read is None:
            raise SearchError(
                f"{what} {text[:80]!r}: cannot read {part.strip()[:40]!r}; write names such as {_example(kinds)!r}"
            )
        name, given = read[1], read[2] or ""
        if name not in kinds:
            near = difflib.get_close_matches(name, kinds, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SearchError(f"unknown {what} {name[:40]!r}; {hint}there is: {', '.join(kinds)}")
        found.append(_made(kinds[name], name, given, what))
    return found


def _made(kind: type, name: str, given: str, what: str) -> Any:
    settings = [field for field in dataclasses.fields(kind) if field.init]
    known = {field.name: field for field in settings}
    values: dict[str, Any] = {}
    for place, word in enumerate(filter(None, (part.strip() for part in given.split(",")))):
        key, equals, value = word.partition("=")
        if not equals:
            key, value = (settings[place].name if place < len(settings) else ""), word
        if key.strip() not in known:
            raise SearchError(f"{what} {name}: cannot read {word[:40]!r}; settings are: {', '.join(known) or 'none'}")
        values[key.strip()] = _value(f"{what} {name}", key.strip(), value.strip(), str(known[key.strip()].type))
    return kind(**values)


def _value(what: str, key: str, text: str, kind: str) -> Any:
    if text in ("None", "none") and "None" in kind:
        return None
    try:
        if kind.startswith("int"):
            return whole_number(text)
        if kind.startswith("float"):
            return float(text)
        if kind.startswith("tuple"):
            words = [word for word in text.split("|") if word]
            return tuple(whole_number(word) for word in words) if "int" in kind else tuple(words)
        if kind.startswith("str"):
            return text
    except ValueError:
        pass
    raise SearchError(f"{what}: {key} = {text[:40]!r}; expected a value of type {kind}")


def write_value(value: Any, name: str) -> str:
    """The text that `read_values` reads back: the name, and the fields that are not as by default; empty where text cannot say.

    >>> @dataclasses.dataclass
    ... class Dot:
    ...     size: int = 1
    >>> write_value(Dot(), "dot"), write_value(Dot(3), "dot")
    ('dot', 'dot(size=3)')
    """
    parts = []
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if not field.init or held == field.default:
            continue
        if isinstance(held, tuple):
            held = "|".join(map(str, held))
        if not isinstance(held, bool | int | float | str | None):
            return ""
        parts.append(f"{field.name}={held}")
    return f"{name}({','.join(parts)})" if parts else name


def _example(kinds: Mapping[str, type]) -> str:
    return "+".join(list(kinds)[:2])
