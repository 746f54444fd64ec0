"""A script in cells as an executed notebook, without Jupyter.

    python -m benchmarks.notebook [examples/predict_parameters.py] [docs/notebooks/predict_parameters.ipynb]

Cells begin at lines ``# %%``, those of text at ``# %% [markdown]``. They run one after the other in one namespace; what they
print is their output.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "predict_parameters.py"


def cells(script: str) -> list[tuple[str, str]]:
    """(``markdown`` or ``code``, source) of each cell.

    >>> cells("# %% [markdown]\\n# # Title\\n\\n# %%\\nx = 1\\n")
    [('markdown', '# Title'), ('code', 'x = 1')]
    """
    found = []
    for part in script.split("# %%")[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()]
            found.append(("markdown", "\n".join(lines)))
        else:
            found.append(("code", body.strip()))
    return found


def executed(sources: list[tuple[str, str]]) -> dict[str, Any]:
    """The notebook as JSON has it (nbformat 4.5), its code run."""
    space: dict[str, Any] = {"__name__": "__main__"}
    made, count = [], 0
    for number, (kind, source) in enumerate(sources):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        cell["source"] = source.splitlines(keepends=True)
        if kind == "code":
            count += 1
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(source, f"<cell {count}>", "exec"), space)
            text = printed.getvalue().splitlines(keepends=True)
            cell["execution_count"] = count
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}] if text else []
        made.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def main() -> None:
    script = Path(sys.argv[1]) if len(sys.argv) > 1 else SCRIPT
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "notebooks" / f"{script.stem}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = executed(cells(script.read_text(encoding="utf-8")))
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
