"""``table:FILE?target=COLUMN``: tasks of tables by their specs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import TaskError
from ..settings import Spec, names, one_of, read_settings, size_of_part, whole, yes_or_no
from ..targets import KINDS
from ..task import Task
from .frames import from_frame
from .reading import read_table


def _separator(text: str) -> str:
    found = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}.get(text, text)
    if len(found) != 1:
        raise ValueError("one character, or tab, comma, semicolon, bar or space")
    return found


_READERS: dict[str, Callable[[str], Any]] = {
    "target": str,
    "kind": one_of(*KINDS),
    "valid": size_of_part,
    "test": size_of_part,
    "valid_file": str,
    "test_file": str,
    "train": size_of_part,
    "seed": whole,
    "stratify": yes_or_no,
    "drop": names,
    "numeric": names,
    "categorical": names,
    "dates": names,
    "separator": _separator,
    "encoding": str,
}


def table(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    """The task of a table in a file; ``target=`` names the column to predict, or several with commas between.

    ``valid_file=`` and ``test_file=`` are files of parts of their own, looked for beside the table.
    """
    if not spec.path:
        raise TaskError("table needs a file and the column to predict: table:FILE.csv?target=COLUMN")
    settings = read_settings(spec, _READERS)
    reading = {key: settings.pop(key, None) for key in ("separator", "encoding")}
    frame = read_table(spec.path, **reading)
    for part in ("valid", "test"):
        file = settings.pop(f"{part}_file", None)
        if file is not None:
            if part in settings:
                raise TaskError(f"task {spec.text[:120]!r}: give {part}= or {part}_file=, not both")
            settings[part] = read_table(Path(spec.path).parent / file, **reading)
    if "target" not in settings:
        shown = ", ".join(frame.columns[:20])
        raise TaskError(f"say which column to predict: table:{spec.path}?target=COLUMN; there is: {shown}")
    target = settings.pop("target").strip()
    # A name may hold commas itself.
    targets = target if target in frame.columns or "," not in target else [one.strip() for one in target.split(",")]
    return from_frame(frame, targets, name=Path(spec.path).name.split(".")[0], spec=spec.text, **settings)
