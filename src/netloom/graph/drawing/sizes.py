"""Sizes of boxes and of the text in them, in pixels at natural size."""

from __future__ import annotations

from .lettering import text_width
from .scene import Box, Row

#: Font sizes: titles, details beside them, small rows, labels of lines.
TITLE, DETAIL, QUIET, LABEL = 11.5, 10.5, 9.5, 9.5
#: Heights of a row, a small row, a closed box with a summary, the bar of an open one.
ROW, QUIET_ROW, CARD, BAR = 21.0, 15.0, 38.0, 21.0
#: Room left and right of text, and around what is inside an open box.
PAD, INSET = 10.0, 12.0
#: How far the plates behind a repeat stick out.
STACK = 4.0


def row_width(row: Row) -> float:
    """Width of a row's text."""
    if row.quiet:
        return text_width(f"{row.title} {row.detail}".strip(), QUIET)
    detail = 6.0 + text_width(row.detail, DETAIL) if row.detail else 0.0
    return text_width(row.title, TITLE, bold=True) + detail


def closed_size(box: Box) -> tuple[float, float]:
    """Width and height of a box that is not open."""
    if box.rows:
        width = max(row_width(row) for row in box.rows) + 2 * PAD
        return max(width, 30.0), sum(QUIET_ROW if row.quiet else ROW for row in box.rows)
    width = max(bar_width(box), text_width(box.summary, QUIET) + 2 * PAD)
    return max(width, 64.0), CARD if box.summary else BAR + 2.0


def bar_width(box: Box) -> float:
    """Least width of a box that can be opened."""
    return heading_width(box) + 2 * PAD


def heading_width(box: Box) -> float:
    """Width of the title with its badge."""
    badge = badge_width(box)
    return text_width(box.title, TITLE, bold=True) + (badge + 8.0 if badge else 0.0)


def badge_width(box: Box) -> float:
    return text_width(f"×{box.count}", DETAIL, bold=True) + 10.0 if box.count > 1 else 0.0
