"""A learning curve as a picture: loss and score over the epochs, on the training and the validation part."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..errors import FormatError
from ..graph.drawing.theme import style
from .loop import Epoch

_WIDTH, _HEIGHT, _MARGIN = 380.0, 260.0, 56.0
_FONT = "font-family:system-ui,'Segoe UI',Roboto,'Netloom Sans',sans-serif;font-size:12px"
#: Dots on the lines would touch each other beyond so many.
_MOST_DOTS = 60
#: Series → colour of its line, legible on light and dark ground.
_COLOURS = {"training": "#8d99a8", "validation": "#3b82f6"}


def draw_curve(curve: Sequence[Epoch], path: str | os.PathLike[str], *, score_name: str = "score", title: str = "") -> Path:
    """Write the curve as .svg (light or dark as the reader prefers) or .png; gives the path.

    Raises `FormatError` for another suffix, a folder that is not there, or a curve without points.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise FormatError(f"a learning curve is written as .svg or .png, not {target.suffix or target.name!r}")
    if not curve:
        raise FormatError("the learning curve has no epoch; there is nothing to draw")
    if not target.parent.is_dir():
        raise FormatError(f"cannot write {str(target)!r}: there is no directory {str(target.parent)!r}")
    svg = curve_svg(curve, score_name=score_name, title=title, theme="auto" if suffix == ".svg" else "light")
    if suffix == ".png":
        from ..graph.drawing.png import to_png

        target.write_bytes(to_png(svg))
    else:
        target.write_text(svg, encoding="utf-8")
    return target


def curve_svg(curve: Sequence[Epoch], *, score_name: str = "score", title: str = "", theme: str = "auto") -> str:
    """The picture as an SVG document.

    >>> svg = curve_svg([Epoch(1, 2.0, 1.5, 0.5, 1.0), Epoch(2, 1.0, 0.9, 0.75, 2.0)], score_name="accuracy")
    >>> svg.startswith("<svg"), "accuracy" in svg
    (True, True)
    """
    epochs = [point.epoch for point in curve]
    panels = {
        "loss": {"training": [p.train_loss for p in curve], "validation": [p.valid_loss for p in curve]},
        score_name: {"training": [p.train_score for p in curve], "validation": [p.score for p in curve]},
    }
    top = 34.0 if title else 10.0
    width, height = 2 * (_WIDTH + _MARGIN) + 24, _HEIGHT + top + 58
    lefts = (_MARGIN, _WIDTH + 2 * _MARGIN)
    drawn = [_panel(name, epochs, series, left, top + 8) for left, (name, series) in zip(lefts, panels.items())]
    heading = f'<text class="t" x="{_MARGIN:g}" y="22" font-weight="bold" font-size="14">{escape(title)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        f'style="{_FONT}"><style>{style(theme)}</style><rect class="bg" width="{width:g}" height="{height:g}"/>'
        f"{heading if title else ''}{''.join(drawn)}{_legend(top + _HEIGHT + 48)}</svg>\n"
    )


def _panel(name: str, epochs: list[int], series: dict[str, list[float]], left: float, top: float) -> str:
    """One pair of axes with its lines."""
    values = [v for line in series.values() for v in line if math.isfinite(v)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def x(epoch: float) -> float:
        return left + _WIDTH * (epoch - first) / (last - first)

    def y(value: float) -> float:
        return top + _HEIGHT * (1 - (value - low) / (high - low))

    parts = [f'<rect class="g" x="{left:g}" y="{top:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}"/>']
    for tick in ticks:
        parts.append(f'<path class="e" stroke-opacity="0.3" d="M{left:g} {y(tick):.1f}h{_WIDTH:g}"/>')
        parts.append(f'<text class="m" x="{left - 6:g}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in sorted({round(tick) for tick in _ticks(first, last) if first <= round(tick) <= last}):
        parts.append(f'<text class="m" x="{x(tick):.1f}" y="{top + _HEIGHT + 16:g}" text-anchor="middle">{tick}</text>')
    parts.append(f'<text class="t" x="{left + 8:g}" y="{top + 18:g}" font-weight="bold">{escape(name)}</text>')
    for label, line in series.items():
        points = [f"{x(epoch):.1f} {y(value):.1f}" for epoch, value in zip(epochs, line) if math.isfinite(value)]
        if points:
            colour = _COLOURS[label]
            parts.append(f'<path fill="none" stroke="{colour}" stroke-width="2" d="M{" L".join(points)}"/>')
            for place in points if len(points) <= _MOST_DOTS else ():
                across, down = place.split()
                parts.append(f'<circle cx="{across}" cy="{down}" r="2.5" fill="{colour}"/>')
    return "".join(parts)


def _legend(y: float) -> str:
    parts = []
    for i, (label, colour) in enumerate(_COLOURS.items()):
        x = _MARGIN + 100 * i
        parts.append(f'<path stroke="{colour}" stroke-width="3" d="M{x:g} {y - 4:g}h18"/>')
        parts.append(f'<text class="m" x="{x + 24:g}" y="{y:g}">{label}</text>')
    parts.append(f'<text class="m" x="{_MARGIN + 200:g}" y="{y:g}">over epochs</text>')
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose an interval.

    >>> _ticks(0.31, 0.94)
    [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high <= low:
        high = low + (abs(low) or 1.0) * 0.1
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(start, stop + 1)]
