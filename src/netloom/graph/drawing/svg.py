"""A placed scene as SVG."""

from __future__ import annotations

from html import escape

from .lettering import text_width
from .placing import Course, Placed, PlacedBox, Placer
from .scene import Box, Fold, Row, Scene, boxes
from .sizes import BAR, DETAIL, LABEL, PAD, QUIET, QUIET_ROW, ROW, STACK, TITLE, badge_width, heading_width
from .theme import KINDS, ROLES, style

FONT = "'Netloom Sans','Helvetica Neue',Helvetica,Arial,'Liberation Sans',Roboto,sans-serif"
MARGIN = 16.0
#: Between a title and its detail; ordinary spaces would be run together.
_SPACE = "\u00a0\u00a0"
_LEGEND_ROW, _HEADER = 18.0, 22.0
#: What keeps the rules of a picture to itself where it stands in a page.
_SCOPE = ".netloom "


def shapes(prefix: str = "") -> str:
    """The style rules that no theme changes."""
    lines = {
        "text": f"font-family:{FONT};font-size:{TITLE}px", ".b": "font-weight:700", ".d": f"font-size:{DETAIL}px",
        ".q": f"font-size:{QUIET}px", ".h": f"font-size:{LABEL}px", ".e": "fill:none;stroke-width:1.3",
        ".bd": "stroke-width:1", ".dash": "stroke-dasharray:2.5 2",
    }  # fmt: skip
    return "".join(f"{prefix}{selector}{{{rule}}}" for selector, rule in lines.items())


def render(scene: Scene, fold: Fold, *, direction: str = "down", theme: str = "auto", scale: float = 1.0) -> str:
    """The SVG of a scene with the boxes of ``fold`` open."""
    placed = Placer(fold, direction).place(scene.diagram)
    legend, legend_size = _legend(scene, fold, max(placed.width, 420.0))
    header = _HEADER * (bool(scene.title) + bool(scene.subtitle)) if scene.title or scene.subtitle else 0.0
    notes = [f'<text class="m q" x="{MARGIN:g}" y="{{}}">{escape(note)}</text>' for note in scene.notes]
    words = max([text_width(note, QUIET) for note in (*scene.notes, scene.subtitle)] + [text_width(scene.title, 15, True)])
    width = max(placed.width, legend_size[0], words) + 2 * MARGIN
    top = MARGIN + header
    y = top + placed.height + 18.0
    body = [_title(scene)]
    _draw(body, placed, (width - placed.width) / 2, top, 0)
    body.append(f'<g transform="translate({_n((width - legend_size[0]) / 2)} {_n(y)})">{legend}</g>')
    y += legend_size[1]
    for note in notes:
        y += 14.0
        body.append(note.format(_n(y)))
    height = y + MARGIN
    sheet = shapes(_SCOPE) + style(theme, _SCOPE)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="netloom" width="{_n(width * scale)}" height="{_n(height * scale)}"'
        f' viewBox="0 0 {_n(width)} {_n(height)}"><style>{sheet}</style>'
        f'<rect class="bg" width="{_n(width)}" height="{_n(height)}" rx="6"/>{"".join(body)}</svg>\n'
    )


def _title(scene: Scene) -> str:
    y, found = MARGIN, ""
    if scene.title:
        y += 12.0
        found += f'<text class="t b" style="font-size:15px" x="{MARGIN:g}" y="{_n(y)}">{escape(scene.title)}</text>'
        y += 4.0
    if scene.subtitle:
        found += f'<text class="m q" x="{MARGIN:g}" y="{_n(y + 8)}">{escape(scene.subtitle)}</text>'
    return found


def _n(value: float) -> str:
    """A coordinate in at most one decimal."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


# -- a diagram -----------------------------------------------------------------------------------------------------------
def _draw(out: list[str], placed: Placed, x: float, y: float, depth: int) -> None:
    out.append(f'<g transform="translate({_n(x)} {_n(y)})">')
    _draw_lines(out, placed)
    for box in placed.boxes:
        _draw_box(out, box, depth)
    for left, base, label in placed.labels:
        out.append(f'<text class="h" x="{_n(left)}" y="{_n(base)}">{escape(label)}</text>')
    out.append("</g>")


def _draw_lines(out: list[str], placed: Placed) -> None:
    by_line: dict[tuple[int, str], list[Course]] = {}
    for course in placed.courses:
        by_line.setdefault((course.line, course.role), []).append(course)
    for (_, role), courses in by_line.items():
        extra = f" r-{role}" if role else ""
        out.append(f'<path class="e{extra}" d="{"".join(path(course) for course in courses)}"/>')
        heads = "".join(_arrow(course) for course in courses if course.arrow)
        if heads:
            out.append(f'<path class="a{extra}" d="{heads}"/>')


def path(course: Course) -> str:
    """The path of one stretch: straight inside its layers, an S-curve in the gap between them."""
    points = course.points
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    if len(points) == 2:
        return parts[0] + _to(points[0], points[1])
    _, bend, unbend, end = points
    down = course.down
    if abs(bend[0] - unbend[0]) < 0.05 if down else abs(bend[1] - unbend[1]) < 0.05:
        return parts[0] + _to(points[0], end)
    if bend != points[0]:
        parts.append(_to(points[0], bend))
    if down:
        half = (bend[1] + unbend[1]) / 2
        controls = ((bend[0], half), (unbend[0], half))
    else:
        half = (bend[0] + unbend[0]) / 2
        controls = ((half, bend[1]), (half, unbend[1]))
    parts.append("C" + " ".join(f"{_n(a)} {_n(b)}" for a, b in (*controls, unbend)))
    if end != unbend:
        parts.append(_to(unbend, end))
    return "".join(parts)


def _to(a: tuple[float, float], b: tuple[float, float]) -> str:
    if abs(a[0] - b[0]) < 0.05:
        return f"V{_n(b[1])}"
    if abs(a[1] - b[1]) < 0.05:
        return f"H{_n(b[0])}"
    return f"L{_n(b[0])} {_n(b[1])}"


def _arrow(course: Course) -> str:
    x, y = course.points[-1] if course.arrow > 0 else course.points[0]
    sign = course.arrow
    if course.down:
        return f"M{_n(x)} {_n(y)}l-3.2 {_n(-6.0 * sign)}h6.4z"
    return f"M{_n(x)} {_n(y)}l{_n(-6.0 * sign)} -3.2v6.4z"


# -- boxes ----------------------------------------------------------------------------------------------------------------
def _draw_box(out: list[str], placed: PlacedBox, depth: int) -> None:
    box, width, height = placed.box, placed.width, placed.height
    out.append(f'<g transform="translate({_n(placed.x)} {_n(placed.y)})">')
    if box.rows:
        _draw_rows(out, box.rows, width, height)
    elif placed.inside is None:
        _draw_card(out, box, width, height)
    else:
        _draw_open(out, placed, depth)
    out.append("</g>")


def _draw_rows(out: list[str], rows: tuple[Row, ...], width: float, height: float) -> None:
    y = 0.0
    for i, row in enumerate(rows):
        size = QUIET_ROW if row.quiet else ROW
        corners = (i == 0, i == len(rows) - 1)
        radius = 10.0 if row.kind == "input" else 5.0
        out.append(f'<path class="bd {_colour(row)}" d="{_rounded(0, y, width, size, radius, corners)}"/>')
        base = y + size / 2
        if row.quiet:
            words = f"{row.title} {row.detail}".strip()
            out.append(_middle("m q", width / 2, base + 3.2, escape(words)))
        elif row.detail:
            words = f'<tspan class="b">{escape(row.title)}</tspan><tspan class="d">{_SPACE}{escape(row.detail)}</tspan>'
            out.append(_middle("t", width / 2, base + 4, words))
        else:
            out.append(_middle("t b", width / 2, base + 4, escape(row.title)))
        y += size


def _middle(classes: str, x: float, y: float, markup: str) -> str:
    return f'<text class="{classes}" text-anchor="middle" x="{_n(x)}" y="{_n(y)}">{markup}</text>'


def _colour(row: Row) -> str:
    return f"r-{row.role}" if row.role else f"k-{row.kind}"


def _rounded(x: float, y: float, width: float, height: float, radius: float, corners: tuple[bool, bool]) -> str:
    """A rectangle whose upper and lower corners are round where ``corners`` says so."""
    up, low = (min(radius, height / 2) if corner else 0.0 for corner in corners)
    right, bottom = x + width, y + height
    return (
        f"M{_n(x)} {_n(y + up)}" + (f"a{_n(up)} {_n(up)} 0 0 1 {_n(up)} {_n(-up)}" if up else "") + f"H{_n(right - up)}"
        + (f"a{_n(up)} {_n(up)} 0 0 1 {_n(up)} {_n(up)}" if up else "") + f"V{_n(bottom - low)}"
        + (f"a{_n(low)} {_n(low)} 0 0 1 {_n(-low)} {_n(low)}" if low else "") + f"H{_n(x + low)}"
        + (f"a{_n(low)} {_n(low)} 0 0 1 {_n(-low)} {_n(-low)}" if low else "") + "z"
    )  # fmt: skip


def _draw_plates(out: list[str], box: Box, width: float, height: float, colour: str) -> None:
    """The ground of a box; a repeat has two more behind it."""
    for shift in (STACK, STACK / 2, 0.0) if box.count > 1 else (0.0,):
        place = f' x="{_n(shift)}" y="{_n(shift)}"' if shift else ""
        out.append(f'<rect class="bd {colour}"{place} width="{_n(width)}" height="{_n(height)}" rx="7"/>')


def _draw_card(out: list[str], box: Box, width: float, height: float) -> None:
    colour = f"r-{box.role}" if box.role else "bar"
    _draw_plates(out, box, width, height, colour)
    base = 16.0 if box.summary else height / 2 + 4
    left = (width - heading_width(box)) / 2
    out.append(f'<text class="t b" x="{_n(left)}" y="{_n(base)}">{escape(box.title)}</text>')
    _draw_badge(out, box, left + heading_width(box), base - 4)
    if box.summary:
        out.append(_middle("m q", width / 2, base + 14, escape(box.summary)))


def _draw_badge(out: list[str], box: Box, right: float, middle: float) -> None:
    if box.count < 2:
        return
    width = badge_width(box)
    word = f"{box.count} instances{', not all equal' if box.differ else ''}"
    dash = " dash" if box.differ else ""
    x = right - width
    out.append(
        f'<g><title>{word}</title><rect class="pill{dash}" x="{_n(x)}" y="{_n(middle - 7.5)}" width="{_n(width)}"'
        f' height="15" rx="7.5"/><text class="bt b d" text-anchor="middle" x="{_n(x + width / 2)}" y="{_n(middle + 3.7)}">'
        f"×{box.count}</text></g>"
    )


def _draw_open(out: list[str], placed: PlacedBox, depth: int) -> None:
    box, width, height = placed.box, placed.width, placed.height
    assert placed.inside is not None
    panel = f"r-{box.role}" if box.role else "g" if depth % 2 == 0 else "g2"
    _draw_plates(out, box, width, height, panel)
    out.append(f'<path class="bd bar" d="{_rounded(0, 0, width, BAR, 7.0, (True, False))}"/>')
    out.append(f'<text class="t b" x="{PAD:g}" y="14.5">{escape(box.title)}</text>')
    _draw_badge(out, box, width - 5, BAR / 2)
    room = width - text_width(box.title, TITLE, True) - 2 * PAD - badge_width(box) - 14
    if box.summary and text_width(box.summary, QUIET) < room:
        out.append(
            f'<text class="m q" text-anchor="end" x="{_n(width - 10 - (badge_width(box) + 4 if box.count > 1 else 0))}"'
            f' y="14">{escape(box.summary)}</text>'
        )
    _draw(out, placed.inside, *placed.shift, depth + 1)


# -- legend ---------------------------------------------------------------------------------------------------------------
def legend_entries(scene: Scene, fold: Fold) -> list[tuple[str, str]]:
    """(class, words) of every colour that is visible."""
    shown = [row for box in boxes(scene.diagram, fold) for row in box.rows]
    kinds = {row.kind for row in shown if not row.role}
    roles = {row.role for row in shown if row.role} | {box.role for box in boxes(scene.diagram, fold) if box.role}
    found = [(f"r-{role}", words) for role, words in {**ROLES, **(scene.legend or {})}.items() if role in roles]
    return found + [(f"k-{kind}", words) for kind, words in KINDS.items() if kind in kinds]


def _legend(scene: Scene, fold: Fold, max_width: float) -> tuple[str, tuple[float, float]]:
    x = y = widest = 0.0
    found = []
    for colour, words in legend_entries(scene, fold):
        width = 16.0 + text_width(words, QUIET) + 14.0
        if x and x + width > max_width:
            x, y = 0.0, y + _LEGEND_ROW
        found.append(
            f'<rect class="bd {colour}" x="{_n(x)}" y="{_n(y + 2)}" width="11" height="11" rx="3"/>'
            f'<text class="m q" x="{_n(x + 16)}" y="{_n(y + 11)}">{escape(words)}</text>'
        )
        x += width
        widest = max(widest, x - 14.0)
    return "".join(found), (widest, y + _LEGEND_ROW if found else 0.0)
