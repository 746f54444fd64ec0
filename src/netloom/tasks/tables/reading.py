"""A file of a table → DataFrame: CSV, Parquet, ARFF."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import TaskError
from .arff import read_arff

if TYPE_CHECKING:
    import pandas

FORMATS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".parquet", ".pq", ".arff")
_SEPARATORS = (",", ";", "\t", "|")
#: What stands for a missing value in CSV files beside pandas' own list.
_MISSING = ["?"]
_COMMA_NUMBER = r"\s*[+-]?\d+(?:,\d+)?\s*"


def read_table(path: str | Path, *, separator: str | None = None, encoding: str | None = None) -> pandas.DataFrame:
    """The table in ``path``, by its suffix; columns have text names. `TaskError` for what cannot be read.

    CSV: separator (comma, semicolon, tab, bar) and encoding (UTF-8 with or without byte-order mark, UTF-16, else Windows-1252)
    are found out, so is a decimal comma where semicolons separate; ``?`` is a missing value, as pandas' own marks are.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise TaskError(f"there is no file {str(file)!r}")
    if file.is_dir():
        raise TaskError(f"{str(file)!r} is a folder; give a file: {', '.join(FORMATS)}")
    name = file.name.lower()
    if not name.endswith(FORMATS):
        raise TaskError(f"cannot tell what {str(file)!r} is; tables are files of these kinds: {', '.join(FORMATS)}")
    try:
        if name.endswith((".parquet", ".pq")):
            frame = _read_parquet(file)
        elif name.endswith(".arff"):
            frame = read_arff(file)
        else:
            frame = _read_csv(file, separator, encoding)
    except OSError as error:
        raise TaskError(f"cannot read {str(file)!r}: {error.strerror or error}") from None
    frame.columns = [str(column).strip() for column in frame.columns]
    twice = frame.columns[frame.columns.duplicated()].tolist()
    if twice:
        raise TaskError(f"{str(file)!r} has the column {twice[0]!r} twice; rename one of them")
    if frame.empty:
        raise TaskError(f"{str(file)!r} has no rows")
    return frame


def _read_parquet(file: Path) -> pandas.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file).read().to_pandas()
    except pa.ArrowException as error:
        raise TaskError(f"{str(file)!r} is no readable Parquet file: {error}") from None


def _read_csv(file: Path, separator: str | None, encoding: str | None) -> pandas.DataFrame:
    import pandas as pd

    encoding = encoding or _encoding(file)
    lines = _first_lines(file, encoding)
    if not lines:
        raise TaskError(f"{str(file)!r} has no header; the first line of a CSV file names the columns")
    # Text in quotes may hold any separator.
    separator = separator or max(_SEPARATORS, key=re.sub(r'"[^"]*"', '""', lines[0]).count)
    settings: dict[str, Any] = {
        "sep": separator, "encoding": encoding, "na_values": _MISSING, "skipinitialspace": True, "low_memory": False,
    }  # fmt: skip
    header, row = (next(csv.reader([line], delimiter=separator), [""]) for line in (lines[0], lines[-1]))
    if len(row) == len(header) + 1 and not row[-1].strip():
        # Lines that end with a separator: pandas would take the first column for names of rows.
        settings |= {"index_col": False, "usecols": range(len(header))}
    try:
        frame = pd.read_csv(file, **settings)
        if separator == ";" and _has_decimal_commas(frame):
            settings["decimal"] = ","
            frame = pd.read_csv(file, **settings)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError, LookupError, EOFError) as error:
        raise TaskError(f"{str(file)!r} is no readable CSV file: {error}") from None
    return frame


def _opened(file: Path) -> Any:
    import gzip

    return gzip.open(file, "rb") if file.name.lower().endswith(".gz") else open(file, "rb")


def _encoding(file: Path) -> str:
    with _opened(file) as opened:
        if opened.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        opened.seek(0)
        left = b""
        while block := opened.read(1 << 20):
            try:
                (left + block).decode("utf-8")
                left = b""
            except UnicodeDecodeError as error:
                # A character may be cut at the end of a block.
                if error.end - error.start > 3 or error.start < len(left + block) - 3:
                    return "cp1252"
                left = (left + block)[error.start :]
    return "cp1252" if left else "utf-8-sig"


def _first_lines(file: Path, encoding: str) -> list[str]:
    """The header and the first row, where there are such lines."""
    with _opened(file) as opened:
        start: str = opened.read(1 << 16).decode(encoding, errors="replace")
    return [line for line in start.splitlines() if line.strip()][:2]


def _has_decimal_commas(frame: pandas.DataFrame) -> bool:
    for column in frame.columns:
        if frame[column].dtype.kind not in "iufbM":
            values = frame[column].dropna().astype(str).head(200)
            if len(values) and values.str.contains(",").any() and values.str.fullmatch(_COMMA_NUMBER).all():
                return True
    return False
