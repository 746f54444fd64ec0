"""Which boxes of a scene are open at first."""

from __future__ import annotations

from .scene import Box, Diagram

#: Boxes that a picture shows at most where its reader asked for nothing else.
BUDGET = 50
#: Nodes above which a picture without folds is refused and folded instead.
MAX_FLAT = 1500


def unfolded(diagram: Diagram, depth: int | None = None, *, flat: bool = False) -> dict[str, int]:
    """The boxes that are open: all (``flat``), those of fewer than ``depth`` levels, or as many as stay legible.

    Without a depth, boxes are opened level by level while the picture has at most `BUDGET` of them; of a level that does
    not fit, one of each structure. Of a repeat one instance is shown.
    """
    fold: dict[str, int] = {}
    if flat or depth is not None:
        _open_all(diagram, fold, depth, flat)
        return fold
    shown = len(diagram.boxes)
    level = _openable(diagram)
    while level:
        fits = shown + sum(len(box.views[0].boxes) for box in level) <= BUDGET
        following: list[Box] = []
        seen = set()
        for box in level:
            inside = box.views[0].boxes
            kind = _structure(box)
            if fits or (kind not in seen and shown + len(inside) <= BUDGET):
                seen.add(kind)
                fold[box.key] = 0
                shown += len(inside)
                following += _openable(box.views[0])
        level = following
    return fold


def _openable(diagram: Diagram) -> list[Box]:
    """Boxes worth opening: those that hold layers."""
    return [box for box in diagram.boxes if box.views and not box.plain]


def _structure(box: Box) -> tuple[object, ...]:
    """What a box holds, sizes aside."""
    if box.views:
        return tuple(_structure(inner) for inner in box.views[0].boxes)
    return tuple(row.title for row in box.rows)


def _open_all(diagram: Diagram, fold: dict[str, int], depth: int | None, flat: bool) -> None:
    if depth is not None and depth <= 0:
        return
    for box in diagram.boxes:
        if box.views:
            fold[box.key] = len(box.views) - 1 if flat else 0
            _open_all(box.views[fold[box.key]], fold, None if depth is None else depth - 1, flat)
