"""The pictures of docs/netformer.md.

    python -m benchmarks.netformer_pictures [--model mlp]       writes docs/images/netformer-*.svg

A zoo of 12 tasks with 30 networks each is made for it; a minute or two.
"""

from __future__ import annotations

import argparse
import colorsys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netloom as nl
from netloom.netformer import Netformer

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH, HEIGHT, MARGIN = 360, 260, 34
_INK = "#8a8f98"


class Panel:
    """One plot with axes, on a page beside others."""

    def __init__(self, title: str, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y
        frame = f'<rect x="{MARGIN}" y="24" width="{WIDTH - MARGIN - 8}" height="{HEIGHT - 48}" fill="none" stroke="{_INK}"/>'
        self.parts = [f'<text x="{MARGIN}" y="16" font-weight="600">{title}</text>', frame]
        for place, value, anchor in ((MARGIN, x[0], "start"), (WIDTH - 8, x[1], "end")):
            self.parts.append(f'<text x="{place}" y="{HEIGHT - 8}" text-anchor="{anchor}" fill="{_INK}">{value:.3g}</text>')
        for place, value in ((HEIGHT - 24, y[0]), (34, y[1])):
            self.parts.append(f'<text x="{MARGIN - 4}" y="{place}" text-anchor="end" fill="{_INK}">{value:.3g}</text>')

    def at(self, x: Any, y: Any) -> tuple[Any, Any]:
        a = MARGIN + (np.clip(x, *self.x) - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - MARGIN - 8)
        b = HEIGHT - 24 - (np.clip(y, *self.y) - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - 48)
        return a, b

    def dots(self, x: Any, y: Any, colours: list[str]) -> None:
        a, b = self.at(np.asarray(x), np.asarray(y))
        self.parts += [f'<circle cx="{p:.1f}" cy="{q:.1f}" r="3" fill="{c}"/>' for p, q, c in zip(a, b, colours)]

    def line(self, x: Any, y: Any, colour: str, width: float = 1.6) -> None:
        a, b = self.at(np.asarray(x), np.asarray(y))
        points = " ".join(f"{p:.1f},{q:.1f}" for p, q in zip(a, b))
        self.parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>')


def write(name: str, panels: list[Panel], alternative: str) -> None:
    """Panels side by side as one SVG."""
    body = "".join(f'<g transform="translate({i * WIDTH},0)">{"".join(panel.parts)}</g>' for i, panel in enumerate(panels))
    size = f'width="{WIDTH * len(panels)}" height="{HEIGHT}" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}"'
    style = 'font-family="system-ui,sans-serif" font-size="12" fill="#6b7280"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}><title>{alternative}</title>'
    (IMAGES / f"netformer-{name}.svg").write_text(f"{head}{body}</svg>\n")


def hue(share: float, light: float = 0.5) -> str:
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(share, light, 0.65))
    return f"#{red:02x}{green:02x}{blue:02x}"


def latent_map(former: Netformer, zoo: Any) -> None:
    """Function latents of a zoo in their two main directions, by task and by loss."""
    population = former.population(zoo)
    latents = former.encode(population)[:, : former.core.function_latents]
    _, _, directions = np.linalg.svd(latents - latents.mean(0), full_matrices=False)
    points = (latents - latents.mean(0)) @ directions[:2].T
    bounds = [(float(p.min()) - 0.2, float(p.max()) + 0.2) for p in points.T]
    tasks, scores = population.tasks.numpy(), population.scores.numpy()
    by_task, by_loss = Panel("by task", *bounds), Panel("by validation R²: dark is better", *bounds)
    by_task.dots(*points.T, [hue(task / 12) for task in tasks])
    ranks = np.argsort(np.argsort(scores)) / len(scores)
    by_loss.dots(*points.T, [hue(0.6, 0.85 - 0.6 * rank) for rank in ranks])
    write("map", [by_task, by_loss], "Networks of twelve tasks in the two main directions of their latents")


def interpolation(former: Netformer, zoo: Any) -> None:
    """Functions along one input on the way from one network to another: the input and the networks that show most."""
    networks = [zoo[place].network for place in range(12)]
    line = torch.linspace(-2.5, 2.5, 81)
    ways = torch.zeros(8, 81, 8)
    ways[torch.arange(8), :, torch.arange(8)] = line
    with torch.no_grad():
        values = torch.stack([network(ways.flatten(0, 1)).view(8, 81) for network in networks])
        apart = ((values[:, None] - values[None]) ** 2).mean(3)
        place = int(apart.argmax())
        first, second, way = place // (12 * 8), place // 8 % 12, place % 8
        a, b = networks[first], networks[second]
        shown = values[[first, second], way]
        panel = Panel(f"answers along input {way + 1}", (-2.5, 2.5), (float(shown.min()) - 0.3, float(shown.max()) + 0.3))
        for i, network in enumerate(former.interpolate(a, b, 9, graph=a.graph)):
            panel.line(line, network(ways[way])[:, 0], hue(0.66 * i / 8))
        for network, colour in ((a, hue(0)), (b, hue(0.66))):
            panel.line(line, network(ways[way])[:, 0], colour, 4)
    write("interpolation", [panel], "Nine functions on the line between the latents of two networks, originals thick")


def before_and_after(former: Netformer) -> None:
    """Validation loss of networks for new tasks, at the start and after ten steps of training."""
    from .netformer import graph_of, losses

    graph = graph_of(12, 12)
    tasks = [nl.tasks.load(f"regression:{920_000_000 + i}") for i in range(20)]
    data = [(t.train.x, t.train.y, t.valid.x, t.valid.y) for t in tasks]
    starts = {
        "random": ([nl.build(graph, seed=i) for i in range(20)], hue(0)),
        "samples": (former.sample(20, graph=graph), hue(0.1)),
        "suggest": ([former.suggest(d[0], d[1], graph) for d in data], hue(0.6)),
    }
    panels = []
    curves = {name: losses(networks, data, 10) for name, (networks, _) in starts.items()}
    for step in (0, 10):
        panel = Panel(f"validation loss of 20 new tasks, sorted, after {step} steps", (0, 19), (0, 2))
        for name, (_, colour) in starts.items():
            panel.line(np.arange(20), np.sort(curves[name][:, step]), colour, 2)
            y = 44 + 16 * list(starts).index(name)
            panel.parts.append(f'<text x="{MARGIN + 10}" y="{y}" fill="{colour}">{name}</text>')
        panels.append(panel)
    write("starts", panels, "Random, sampled and suggested networks at the start and after ten steps of training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--only", choices=("map", "interpolation", "starts"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    former = nl.netformer.load(given.model)
    if given.only in (None, "map", "interpolation"):
        count = 12 if given.only == "interpolation" else 360
        zoo = nl.zoo.make(tempfile.mkdtemp() + "/zoo", models=count, tasks=12, seed=77)
    if given.only in (None, "map"):
        latent_map(former, zoo)
    if given.only in (None, "interpolation"):
        interpolation(former, zoo)
    if given.only in (None, "starts"):
        before_and_after(former)


if __name__ == "__main__":
    main()
