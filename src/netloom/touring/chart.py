"""The ablation as one chart: best score so far over what was spent, a line for each step, gains and losses beside it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ablation import Ablation

#: Colours that are told apart with any kind of colour vision (Okabe and Ito, 2008), light and dark; dashes say it again.
_LIGHT = ("#7a7f8a", "#0072b2", "#009e73", "#c2560c", "#a3508a")
_DARK = ("#a4a9b4", "#56b4e9", "#3fc79a", "#ff9d52", "#e08fc4")
_DASHES = ("2 3", "7 3", "", "10 3 2 3", "4 2")
_POINTS = 160


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of a chart in pixels: of the whole, and of what is left free around the lines."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


WIDE = Layout(900, 400, 52, 335, 22, 48)
NARROW = Layout(360, 420, 44, 12, 22, 190)


def chart(ablation: Ablation, *, title: str = "", narrow: bool = False, standalone: bool = False) -> str:
    """SVG of an ablation: the mean over seeds, with its 95 % interval where there are several.

    ``narrow`` is for small screens; a ``standalone`` file brings its own colours, light and dark.
    """
    import numpy as np

    layout = NARROW if narrow else WIDE
    steps = ablation.steps
    most = max(run.spent[-1] for run in ablation.runs)
    amounts = np.linspace(most / _POINTS, most, _POINTS)
    curves = {step: np.array([run.at(amounts) for run in ablation.of(step)]) for step in steps}
    low, high = _range(curves)

    def x(amount: float) -> float:
        return layout.left + (layout.width - layout.left - layout.right) * amount / most

    def y(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return layout.height - layout.bottom - (layout.height - layout.top - layout.bottom) * share

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {layout.width} {layout.height}" class="ablation" role="img" '
        f'aria-label="{escape(f"Ablation on {ablation.task}: best score so far by step")}">'
    ]
    if standalone:
        parts.append(f"<style>{style()}</style>")
    parts += _axes(ablation, layout, low, high, most, x, y, title)
    for place, step in enumerate(steps):
        parts += _line(place, curves[step], amounts, x, y)
    parts += _labels(ablation, layout, {step: y(float(np.nanmean(curves[step][:, -1]))) for step in steps})
    return "\n".join([*parts, "</svg>"])


def style(scope: str = "") -> str:
    """The colours of charts; ``scope`` goes before every rule."""
    light = _rules(scope, _LIGHT, "#1d1c1a", "#67645e", "#1f7a43", "#b3261e")
    dark = _rules(scope, _DARK, "#ecebe7", "#a29f97", "#6fd49a", "#ff8a80")
    return (
        f"{scope} .ablation text{{font:13px system-ui,sans-serif}}{scope} .ablation .grid{{stroke:#8884}}"
        f"{scope} .ablation .line{{fill:none;stroke-width:2.2}}{scope} .ablation .band{{opacity:.13;stroke:none}}"
        f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
    )


def _rules(scope: str, colours: Any, ink: str, muted: str, good: str, bad: str) -> str:
    found = [f"{scope} .ablation text{{fill:{ink}}}{scope} .ablation .muted{{fill:{muted}}}"]
    found += [f"{scope} .ablation .good{{fill:{good}}}{scope} .ablation .bad{{fill:{bad}}}"]
    for i, colour in enumerate(colours):
        found.append(f"{scope} .ablation .s{i}{{stroke:{colour}}}{scope} .ablation .f{i}{{fill:{colour}}}")
    return "".join(found)


def _range(curves: dict[str, Any]) -> tuple[float, float]:
    """What the vertical axis shows: from the lowest middle of a search on, for first candidates may be anything."""
    import numpy as np

    tops = [float(np.nanmax(values)) for values in curves.values()]
    known = [values[:, ~np.isnan(values).any(0)].mean(0) for values in curves.values()]
    starts = [float(np.quantile(middle, 0.2)) for middle in known]
    high, low = max(tops), min(starts)
    room = max(high - low, 0.01)
    return low - 0.1 * room, high + 0.08 * room


def _axes(ablation: Ablation, layout: Layout, low: float, high: float, most: float, x: Any, y: Any, title: str) -> list[str]:
    parts = []
    for value in _ticks(low, high):
        parts.append(f'<path class="grid" d="M{layout.left} {y(value):.1f}H{layout.width - layout.right}"/>')
        parts.append(f'<text class="muted" x="{layout.left - 7}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    base = layout.height - layout.bottom
    for amount in _ticks(0, most):
        parts.append(f'<text class="muted" x="{x(amount):.1f}" y="{base + 18}" text-anchor="middle">{amount:.4g}</text>')
    words = f"{ablation.unit}, equal for all"
    parts.append(f'<text class="muted" x="{x(most / 2):.1f}" y="{base + 38}" text-anchor="middle">{escape(words)}</text>')
    head = f"{title + ': ' if title else ''}best validation {ablation.score_name} so far"
    parts.append(f'<text class="muted" x="{layout.left}" y="{layout.top - 8}">{escape(head)}</text>')
    return parts


def _ticks(low: float, high: float) -> list[float]:
    import math

    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [round(i * step, 10) for i in range(first, math.floor(high / step) + 1)]


def _line(place: int, values: Any, amounts: Any, x: Any, y: Any) -> list[str]:
    import numpy as np
    from scipy.stats import t

    colour = place % len(_LIGHT)
    known = ~np.isnan(values).any(0)
    middle = values[:, known].mean(0)
    points = " ".join(f"{x(a):.1f},{y(v):.1f}" for a, v in zip(amounts[known], middle))
    parts = []
    if len(values) > 1:
        half = t.ppf(0.975, len(values) - 1) * values[:, known].std(0, ddof=1) / np.sqrt(len(values))
        there = [f"{x(a):.1f},{y(v):.1f}" for a, v in zip(amounts[known], middle + half)]
        back = [f"{x(a):.1f},{y(v):.1f}" for a, v in zip(amounts[known], middle - half)][::-1]
        parts.append(f'<polygon class="band f{colour}" points="{" ".join(there + back)}"/>')
    dash = f' stroke-dasharray="{_DASHES[colour]}"' if _DASHES[colour] else ""
    return [*parts, f'<polyline class="line s{colour}" points="{points}"{dash}/>']


def _labels(ablation: Ablation, layout: Layout, heights: dict[str, float]) -> list[str]:
    """A line of words for each step: at the ends of the lines, or below all of them where there is no room."""
    steps = list(heights)
    if layout.right > 100:
        left, places = layout.width - layout.right + 14, _apart(heights, 19, layout.top + 8, layout.height - 6)
    else:
        left = layout.left - 20
        places = {step: layout.height - layout.bottom + 64 + 22.0 * i for i, step in enumerate(steps)}
    parts = []
    for i, step in enumerate(steps):
        final = ablation.final(step)
        gain, half = ablation.gain(step) or (None, None)
        words = f"{step} {sum(final) / len(final):.3f}"
        told = "" if gain is None else f" {gain:+.3f}{'' if half is None else f' ± {half:.3f}'}"
        kind = "muted" if not told or abs(gain or 0.0) <= (half or 0.0) else "good" if (gain or 0.0) > 0 else "bad"
        y = places[step]
        dash = f' stroke-dasharray="{_DASHES[i % 5]}"' if _DASHES[i % 5] else ""
        parts.append(f'<path class="line s{i % 5}" d="M{left} {y - 4:.1f}h18"{dash}/>')
        parts.append(f'<text x="{left + 24}" y="{y:.1f}">{escape(words)}<tspan class="{kind}">{escape(told)}</tspan></text>')
    return parts


def _apart(heights: dict[str, float], least: float, top: float, bottom: float) -> dict[str, float]:
    """Heights moved until they are some pixels apart, in the same order."""
    ordered = sorted(heights, key=lambda name: heights[name])
    found: dict[str, float] = {}
    last = top - least
    for name in ordered:
        last = found[name] = max(heights[name] + 4, last + least)
    beyond = max(0.0, last - bottom)
    for name in reversed(ordered):
        found[name] -= beyond
        beyond = max(0.0, beyond - 1e-9)
    return found
