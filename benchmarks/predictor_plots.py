"""Results of `benchmarks.predictors` and `benchmarks.neural_predictors` as a picture: Kendall's τ by table and labels.

python -m benchmarks.predictor_plots [docs/images/predictors.svg]
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.neural_predictors import RESULTS as NEURAL
from benchmarks.predictors import RESULTS
from netloom.graph.drawing.theme import style

_ROW, _LEFT, _WIDTH, _TOP = 17.0, 250.0, 420.0, 46.0
_COLOURS = {
    "Ensemble": "#3b82f6", "GaussianProcess": "#e0653a", "Trees": "#3f9d63", "NeuralPredictor": "#8b5cf6",
    "TokenTransformer": "#d4a017", "LSTM": "#8d99a8",
}  # fmt: skip
_FONT = "font-family:system-ui,'Segoe UI',Roboto,'Netloom Sans',sans-serif;font-size:12px"


def collected() -> dict[tuple[str, int], dict[str, list[float]]]:
    """Table and size → predictor → τ of each split."""
    found: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in RESULTS.read_text().splitlines():
        row: dict[str, Any] = json.loads(line)
        for predictor, measured in row["results"].items():
            found[row["table"], row["n"]][predictor].append(measured["tau"])
    for line in NEURAL.read_text().splitlines():
        row = json.loads(line)
        if row["inputs"] == "features" and (row["table"], row["n"]) in found:
            found[row["table"], row["n"]][row["predictor"]].append(row["tau"])
    return found


def picture(results: dict[tuple[str, int], dict[str, list[float]]]) -> str:
    """A dot for each mean, a line for its 95 % interval."""
    low, high = 0.45, 0.95
    parts, y = [], _TOP

    def x(tau: float) -> float:
        return _LEFT + _WIDTH * (min(max(tau, low), high) - low) / (high - low)

    for (table, size), of_predictor in results.items():
        parts.append(
            f'<text class="t" x="{_LEFT - 12:g}" y="{y + 14:g}" text-anchor="end">{escape(table)}, {size:,} labels</text>'
        )
        for predictor, values in of_predictor.items():
            colour, mean = _COLOURS.get(predictor, "#8d99a8"), float(np.mean(values))
            half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
            line = f"M{x(mean - half):.1f} {y + 10:g}H{x(mean + half):.1f}"
            parts.append(f'<path stroke="{colour}" stroke-width="2" d="{line}"/>')
            parts.append(f'<circle cx="{x(mean):.1f}" cy="{y + 10:g}" r="4" fill="{colour}"/>')
            parts.append(f'<text class="m" x="{_LEFT + _WIDTH + 10:g}" y="{y + 14:g}">{mean:.3f} {escape(predictor)}</text>')
            y += _ROW
        y += 9
    grid = []
    for tick in np.arange(low, high + 0.01, 0.1):
        grid.append(f'<path class="e" stroke-opacity="0.3" d="M{x(tick):.1f} {_TOP:g}V{y:g}"/>')
        grid.append(f'<text class="m" x="{x(tick):.1f}" y="{_TOP - 8:g}" text-anchor="middle">{tick:.2f}</text>')
    width, height = _LEFT + _WIDTH + 170, y + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        f'style="{_FONT}"><style>{style("auto")}</style><rect class="bg" width="{width:g}" height="{height:g}"/>'
        f'<text class="t" x="16" y="20" font-weight="bold">Kendall τ on networks that were not learned from</text>'
        f"{''.join(grid)}{''.join(parts)}</svg>\n"
    )


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/predictors.svg")
    target.write_text(picture(collected()), encoding="utf-8")
    print(target)
