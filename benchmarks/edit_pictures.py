"""The pictures of the pages on edits, before and after: ``python -m benchmarks.edit_pictures`` writes docs/images/edit_*.svg.

The networks are those of the pages in docs/editing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import netloom as nl

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"


def residual() -> nl.Graph:
    x = nl.input(3, 16, 16)
    stem = nl.relu(nl.batch_norm(nl.conv2d(x, 16, kernel=3, padding=1, name="stem"), name="norm"))
    wide = nl.relu(nl.conv2d(stem, 24, kernel=3, padding=1, name="wide"))
    body = nl.relu(nl.add(stem, nl.conv2d(wide, 16, kernel=3, padding=1, name="narrow"), name="sum"))
    both = nl.cat([body, nl.relu(nl.conv2d(body, 12, kernel=1, name="side"))], 1, name="both")
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(both, 1)), 10, name="head"))


def chain(*widths: int) -> nl.Graph:
    x = y = nl.input(3, 16, 16)
    for name, width in zip(("stem", "wide", "last"), widths):
        y = nl.relu(nl.conv2d(y, width, kernel=3, padding=1, name=name), name=f"{name}_act")
    return nl.Graph(x, nl.linear(nl.flatten(nl.adaptive_avg_pool2d(y, 1, name="pool")), 10, name="head"))


def resize(edit: nl.mutate.Edit) -> None:
    edit["stem"].resize(out=-4)
    edit["wide"].resize(out_to=32)


def insert(edit: nl.mutate.Edit) -> None:
    edit.insert_after(
        "stem_act", lambda v: nl.relu(v + nl.conv2d(nl.relu(nl.conv2d(v, 24, kernel=3, padding=1)), 16, kernel=1))
    )


EDITS: dict[str, tuple[nl.Graph, Callable[[nl.mutate.Edit], object]]] = {
    "resize": (residual(), resize),
    "insert": (chain(16), insert),
    "remove": (chain(12, 24), lambda edit: edit.remove("wide")),
    "connect": (chain(12, 24, 24), lambda edit: edit.connect("stem_act", "pool", merge="cat")),
    "change": (chain(12), lambda edit: edit["stem"].change(kernel=5)),
    "prune": (chain(32, 64), lambda edit: edit.resize(out={"stem": -10, "wide": -20})),
    "grow": (chain(32, 64), lambda edit: edit.resize(out_to={"stem": 40, "wide": 80})),
}


def main() -> None:
    nl.edit(residual()).dims().draw(FOLDER / "edit_dims.svg")
    for name, (graph, change) in EDITS.items():
        graph.draw(FOLDER / f"edit_{name}_before.svg", collapse=False)
        with nl.edit(graph) as edit:
            change(edit)
        nl.diff(graph, edit.graph).draw(FOLDER / f"edit_{name}_after.svg")


if __name__ == "__main__":
    main()
