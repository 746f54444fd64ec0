"""ARFF, the files of Weka and OpenML: a header of typed attributes, then rows, dense or sparse.

Source of the format: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import TaskError

if TYPE_CHECKING:
    import pandas

_NUMBERS = ("numeric", "real", "integer")
_ATTRIBUTE = re.compile(r"@attribute\s+('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^\s{]+)\s*(.+)", re.IGNORECASE)
#: A field: in single or double quotes with backslashes, or bare up to the next comma.
_FIELD = re.compile(r"\s*(?:'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"|([^,]*?))\s*(?:,|$)")
_SPARSE = re.compile(r"\s*(\d+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column: ``number``, ``text``, ``date``, or ``nominal`` with the values it may have."""

    name: str
    kind: str
    values: tuple[str, ...] = ()


def read_arff(path: str | Path) -> pandas.DataFrame:
    """The table: numbers as float64, nominal attributes as categories, dates as datetimes, ``?`` as missing.

    Raises `TaskError` with the line where the file is not ARFF.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = Path(path).read_text(encoding="cp1252", errors="replace")
    attributes: list[Attribute] = []
    rows: list[list[str | None]] = []
    in_data = False
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("%"):
            continue
        try:
            if in_data:
                rows.append(_row(line, attributes))
            elif line.lower().startswith("@attribute"):
                attributes.append(_attribute(line))
            elif line.lower().startswith("@data"):
                if not attributes:
                    raise ValueError("data before any @attribute")
                in_data = True
            elif not line.lower().startswith("@relation"):
                raise ValueError("expected @relation, @attribute or @data")
        except ValueError as error:
            raise TaskError(f"{str(path)!r}, line {number}: {error} (it reads {line[:60]!r})") from None
    if not in_data:
        raise TaskError(f"{str(path)!r} has no @data line; it is no ARFF file, or not all of it")
    return _frame(path, attributes, rows)


def _attribute(line: str) -> Attribute:
    found = _ATTRIBUTE.fullmatch(line)
    if found is None:
        raise ValueError("expected @attribute NAME TYPE")
    name, kind = _unquoted(found[1]), found[2].strip()
    if kind.startswith("{") and kind.endswith("}"):
        return Attribute(name, "nominal", tuple(value or "" for value in _fields(kind[1:-1])))
    word = kind.split()[0].lower()
    if word in _NUMBERS:
        return Attribute(name, "number")
    if word in ("string", "date"):
        return Attribute(name, "text" if word == "string" else "date")
    raise ValueError(f"an attribute of type {word[:40]!r}; known are numeric, real, integer, string, date and {{…}}")


def _row(line: str, attributes: list[Attribute]) -> list[str | None]:
    if line.startswith("{"):
        return _sparse_row(line, attributes)
    fields = _fields(line)
    if len(fields) != len(attributes):
        raise ValueError(f"{len(fields)} values for {len(attributes)} attributes")
    return fields


def _sparse_row(line: str, attributes: list[Attribute]) -> list[str | None]:
    """``{1 X, 3 Y}``: what is not named is 0, or the first of the nominal values."""
    row: list[str | None] = [one.values[0] if one.kind == "nominal" else "0" for one in attributes]
    if not line.endswith("}"):
        raise ValueError("a sparse row ends with }")
    for field in re.findall(r"(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^,])+", line[1:-1]):
        found = _SPARSE.fullmatch(field)
        if found is None or int(found[1]) >= len(attributes):
            raise ValueError(f"cannot read {field.strip()[:40]!r}; expected INDEX VALUE")
        row[int(found[1])] = _fields(found[2])[0]
    return row


def _fields(line: str) -> list[str | None]:
    """The values between commas; a bare ``?`` is missing."""
    fields: list[str | None] = []
    place = 0
    while True:
        found = _FIELD.match(line, place)
        if found is None:
            raise ValueError(f"cannot read from {line[place : place + 40]!r} on")
        quoted = found[1] if found[1] is not None else found[2]
        bare = found[3]
        fields.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else None if bare == "?" else bare)
        place = found.end()
        if not found[0].endswith(","):
            return fields


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name[0] in "'\"" else name


def _frame(path: str | Path, attributes: list[Attribute], rows: list[list[str | None]]) -> pandas.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {}
    for place, attribute in enumerate(attributes):
        if attribute.name in columns:
            raise TaskError(f"{str(path)!r} has the attribute {attribute.name!r} twice; rename one of them")
        values = [row[place] for row in rows]
        try:
            columns[attribute.name] = _column(attribute, values)
        except ValueError as error:
            raise TaskError(f"{str(path)!r}: attribute {attribute.name!r}: {error}") from None
    return pd.DataFrame(columns)


def _column(attribute: Attribute, values: list[str | None]) -> Any:
    import pandas as pd

    if attribute.kind == "number":
        return pd.Series([float("nan") if value is None else float(value) for value in values], dtype="float64")
    if attribute.kind == "date":
        return pd.to_datetime(pd.Series(values, dtype=object), errors="coerce")
    if attribute.kind == "nominal":
        foreign = next((value for value in values if value is not None and value not in attribute.values), None)
        if foreign is not None:
            raise ValueError(f"{foreign!r} is none of its values {', '.join(attribute.values[:8])}")
        return pd.Series(pd.Categorical(values, categories=list(dict.fromkeys(attribute.values))))
    return pd.Series(values, dtype=object)
