"""An explanation as a picture: a bar for each feature that moves predictions most."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import FormatError
from ..graph.drawing.theme import style

if TYPE_CHECKING:
    from .explaining import Explanation

_NAME, _BAR, _ROW, _MARGIN = 190.0, 340.0, 24.0, 16.0
_FONT = "font-family:system-ui,'Segoe UI',Roboto,'Netloom Sans',sans-serif;font-size:12px"
#: Legible on light and dark ground.
_UP, _DOWN, _EITHER = "#3b82f6", "#e0653a", "#8d99a8"


def draw_explanation(
    explanation: Explanation, path: str | os.PathLike[str], graph: int | None, *, count: int, title: str
) -> Path:
    """See `Explanation.draw`."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise FormatError(f"an explanation is written as .svg or .png, not {target.suffix or target.name!r}")
    if not target.parent.is_dir():
        raise FormatError(f"cannot write {str(target)!r}: there is no directory {str(target.parent)!r}")
    if graph is not None and not 0 <= graph < len(explanation):
        raise FormatError(f"graph {graph} of an explanation of {len(explanation)}; count from 0")
    svg = explanation_svg(explanation, graph, count=count, title=title, theme="auto" if suffix == ".svg" else "light")
    if suffix == ".png":
        from ..graph.drawing.png import to_png

        target.write_bytes(to_png(svg))
    else:
        target.write_text(svg, encoding="utf-8")
    return target


def explanation_svg(
    explanation: Explanation, graph: int | None = None, *, count: int = 12, title: str = "", theme: str = "auto"
) -> str:
    """The picture as an SVG document: contributions of one graph, or mean absolute ones with the spread over all."""
    if graph is None:
        rows = [(name, "", share, _EITHER) for name, share in list(explanation.importance.items())[:count]]
        heading = title or f"What moves predictions of {len(explanation)} graphs (mean absolute contribution)"
    else:
        rows = [
            (name, f"{value:.3g}", share, _UP if share > 0 else _DOWN) for name, value, share in explanation.top(graph, count)
        ]
        rest = float(explanation.rest[graph])
        rows.append(("what features do not say", "", rest, _EITHER))
        heading = title or f"{explanation.base:.4g} on average, {explanation.predictions[graph]:.4g} predicted"
    largest = max((abs(share) for *_, share, _ in rows), default=0.0) or 1.0
    signed = graph is not None
    zero = _MARGIN + _NAME + (_BAR / 2 if signed else 0)
    scale = (_BAR / 2 if signed else _BAR) / largest * 0.86
    width, height = 2 * _MARGIN + _NAME + _BAR + 70, 2 * _MARGIN + 24 + _ROW * max(len(rows), 1)
    parts = [f'<text class="t" x="{_MARGIN:g}" y="{_MARGIN + 6:g}" font-weight="bold">{escape(heading)}</text>']
    for i, (name, value, share, colour) in enumerate(rows):
        y = _MARGIN + 24 + _ROW * i
        label = f"{name} = {value}" if value else name
        parts.append(f'<text class="m" x="{_MARGIN + _NAME - 8:g}" y="{y + 15:g}" text-anchor="end">{escape(label)}</text>')
        length = abs(share) * scale if np.isfinite(share) else 0.0
        left = zero if share >= 0 else zero - length
        box = f'x="{left:.1f}" y="{y + 4:g}" width="{max(length, 0.5):.1f}" height="{_ROW - 9:g}"'
        parts.append(f'<rect {box} fill="{colour}"/>')
        end, anchor = (zero + length + 5, "start") if share >= 0 or not signed else (zero - length - 5, "end")
        number = f"{share:+.3g}" if signed else f"{share:.3g}"
        parts.append(f'<text class="t" x="{end:.1f}" y="{y + 15:g}" text-anchor="{anchor}">{number}</text>')
    parts.append(f'<path class="e" d="M{zero:g} {_MARGIN + 24:g}v{_ROW * len(rows):g}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        f'style="{_FONT}"><style>{style(theme)}</style><rect class="bg" width="{width:g}" height="{height:g}"/>'
        f"{''.join(parts)}</svg>\n"
    )
