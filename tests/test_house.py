"""Rules of the house that no linter knows."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*.py"))
MAX_LINES = 450


@pytest.mark.parametrize("path", SOURCES)
def test_file_is_short_enough_to_know(path: str) -> None:
    count = len((ROOT / path).read_text().splitlines())
    assert count <= MAX_LINES, f"{path} has {count} lines; give part of it a file of its own"


def test_annotations_are_not_evaluated() -> None:
    """Every module with code begins with ``from __future__ import annotations``."""
    missing = []
    for path in SOURCES:
        text = (ROOT / path).read_text()
        if any(word in text for word in ("\ndef ", "\nclass ")) and "from __future__ import annotations" not in text:
            missing.append(path)
    assert missing == []
