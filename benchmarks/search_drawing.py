"""Curves of searches as SVG: the mean of several runs with a band of one standard error, drawn for light and dark pages."""

from __future__ import annotations

from typing import Any

import numpy as np

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 460, 60, 170, 20, 46
#: Colours that are told apart with any kind of colour vision (Okabe and Ito, 2008), then dashed again.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
_STYLE = """<style>text{font:12px system-ui,sans-serif;fill:#222}.grid{stroke:#8884;stroke-width:1}
@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>"""


def curves_svg(curves: dict[str, Any], low: float = 93.0, high: float = 94.4, first: int = 20) -> str:
    """Runs (R, T) by label, over the number of queries on a logarithmic scale from ``first`` on."""
    last = max(values.shape[1] for values in curves.values())

    def x(query: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * float(np.log(query / first) / np.log(last / first))

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(value, low), high)) / (high - low)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">', _STYLE]
    for query in (20, 50, 100, 200, 500):
        parts.append(f'<path class="grid" d="M{x(query):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x(query):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{query}</text>')
    for value in np.arange(low, high + 1e-9, 0.2):
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.1f}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">queries</text>')
    parts.append(f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">test accuracy, %</text>')
    queries = np.unique(np.geomspace(first, last, 90).round().astype(int))
    ranked = sorted(curves, key=lambda label: -float(curves[label][:, 99:].mean()))
    for number, label in enumerate(ranked):
        values = curves[label][:, queries - 1]
        mean = values.mean(0)
        error = values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.zeros_like(mean)
        colour, dash = COLOURS[number % len(COLOURS)], ' stroke-dasharray="5 3"' if number >= len(COLOURS) else ""
        upper = [f"{x(q):.1f} {y(v):.1f}" for q, v in zip(queries, mean + error)]
        lower = [f"{x(q):.1f} {y(v):.1f}" for q, v in zip(queries[::-1], (mean - error)[::-1])]
        line = "L".join(f"{x(q):.1f} {y(v):.1f}" for q, v in zip(queries, mean))
        parts.append(f'<path d="M{"L".join([*upper, *lower])}Z" fill="{colour}" opacity="0.12"/>')
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
        height = TOP + 14 + 20 * number
        parts.append(f'<path d="M{WIDTH - RIGHT + 14} {height - 4}h22" stroke="{colour}" stroke-width="3"{dash}/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 42}" y="{height}">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
