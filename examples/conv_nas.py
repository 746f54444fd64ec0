"""Architecture search in three steps, after the public system sophius: train random networks, predict, then choose.

    python examples/conv_nas.py                                          digits
    python examples/conv_nas.py --task cifar10:PATH --models 2000        sophius's number; give it a night, or several

1. *Random networks* within a cap on multiply-accumulates are trained into a store. Stopped, the same command goes on where it
   was; with more ``--models`` it adds to those there are.
2. *Predictors*: sophius's LSTM and netloom's default learn scores from architectures. A fifth of the networks is held out:
   how far predictions explain their scores (R²) is drawn against the number of networks learned from.
3. *Choice*: networks that the predictor thinks well of are trained, beside as many that it was not asked about; then evolution
   goes on for a while. The test part of the task is read once, at the end.

Everything lies in ``--directory``: the store, the predictor, and index.html with the pictures.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from netloom.graph.drawing.theme import style
from netloom.training import evaluate

#: The most multiply-accumulates of a network, by the number of values of a sample: what a processor trains in seconds.
MACS_PER_VALUE = 2_000
PREDICTORS = {"LSTM": nl.predict.LSTM, "Ensemble": nl.predict.Ensemble}
BAR = 0.8


@dataclass(frozen=True)
class Learned:
    """How well a predictor does on networks held out, by how many it learned from: number, R², Kendall's τ."""

    curve: list[tuple[int, float, float]]
    predicted: Any

    @property
    def r2(self) -> float:
        return self.curve[-1][1]


@dataclass(frozen=True)
class Outcome:
    """What the walk came to."""

    learned: dict[str, Learned]
    random_mean: float
    filtered_mean: float
    acceptance_rate: float
    test_score: float
    page: Path


def main(
    task: str = "digits",
    models: int = 120,
    filtered: int = 20,
    evolved: int = 40,
    directory: str = "conv-nas",
    epochs: int = 5,
    seed: int = 0,
    executor: str = "local",
) -> Outcome:
    """Walk the three steps."""
    loaded = nl.tasks.load(task)
    shape = tuple(loaded.train.x.shape[1:])
    space = nl.spaces.Conv(shape, loaded.num_classes, max_macs=MACS_PER_VALUE * int(np.prod(shape)))
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    common: dict[str, Any] = {
        "store": f"sqlite:///{folder}/runs.db", "recipe": {"epochs": epochs}, "executor": executor, "seed": seed,
    }  # fmt: skip

    print(f"1. {models} random networks of {space.spec}, {epochs} epochs each on {loaded}\n")
    first = nl.search(space, loaded, "random", models, **common)
    graphs, scores = labels(first)
    print(f"\n   {len(graphs)} have a score: mean {scores.mean():.4f}, best {scores.max():.4f}\n")

    print("2. What their architectures say of their scores, on a fifth of them held out\n")
    held_out = np.random.default_rng(seed).permutation(len(graphs))
    test, train = held_out[: len(graphs) // 5], held_out[len(graphs) // 5 :]
    learned = {name: learn(make, graphs, scores, train, test, seed) for name, make in PREDICTORS.items()}
    print(f"\n   {answer(learned, len(train))}\n")
    file = nl.predict.Ensemble().fit(graphs, scores, seed=seed).save(folder / "predictor.safetensors")

    least = float(np.quantile(scores, 0.8))
    print(f"3. {filtered} networks that are predicted {least:.4f} or better, above four fifths of the random ones\n")
    chosen = nl.search(space, loaded, f"filtered?predictor={file}&min_score={least}", filtered, **{**common, "seed": seed + 1})
    good = labels(chosen)[1]
    rate = chosen.store.proposals(chosen.run_id)["edit"].map(lambda edit: edit["passed"] / edit["drawn"]).mean()
    print(
        f"\n   trained accuracy with the filter {good.mean():.4f} (sd {good.std():.4f}), without it {scores.mean():.4f} "
        f"(sd {scores.std():.4f}); {rate:.1%} of samples passed\n"
    )
    print(f"   Evolution for {evolved} more, with the predictor as its guide\n")
    final = nl.search(space, loaded, f"guided?predictor={file}&initial=10", evolved, **{**common, "seed": seed + 2})
    results = {"random": first, "filtered": chosen, "evolved": final}
    for name, result in results.items():
        print(f"   {name:<9} best {result.best.score:.4f} (validation), {result.best.graph.num_params:>9,} parameters")
    best = max(results.values(), key=lambda result: result.best.score).best
    score = evaluate(best.network, loaded.test).accuracy
    page = folder / "index.html"
    page.write_text(document(learned, scores[test], scores, good, answer(learned, len(train))), encoding="utf-8")
    print(f"\n   the best on the {len(loaded.test)} test images, read once: {score:.4f}\n\npictures: {page.resolve()}")
    return Outcome(learned, float(scores.mean()), float(good.mean()), float(rate), score, page)


def labels(result: Any) -> tuple[list[nl.Graph], Any]:
    """The different networks of a search that have a score, and the scores (N,)."""
    rows = result.evaluations
    rows = rows[rows["score"].notna()].drop_duplicates("graph_hash")
    return [result.store.graph(hash) for hash in rows["graph_hash"]], rows["score"].to_numpy(dtype=np.float64)


def learn(make: Any, graphs: list[nl.Graph], scores: Any, train: Any, test: Any, seed: int) -> Learned:
    """A predictor fitted on more and more networks, and asked about those held out."""
    curve, predicted = [], np.zeros(0)
    sizes = sorted({*[size for size in (20, 50, 100, 200, 400, 800, 1600) if size < len(train)], len(train)})
    for size in sizes:
        rows = train[:size]
        fitted = make().fit([graphs[i] for i in rows], scores[rows], seed=seed)
        predicted = fitted.predict([graphs[i] for i in test])
        r2, tau = nl.predict.r2(predicted, scores[test]), nl.predict.kendall_tau(predicted, scores[test])
        curve.append((size, r2, tau))
        print(f"   {make.__name__:<9} {size:>5} networks: R² {r2:6.3f}, Kendall τ {tau:.3f}", flush=True)
    return Learned(curve, predicted)


def answer(learned: dict[str, Learned], most: int) -> str:
    """At which number of networks R² passes the bar, or how far it stays from it."""
    parts = []
    for name, of_predictor in learned.items():
        passed = next((size for size, r2, _ in of_predictor.curve if r2 >= BAR), None)
        said = f"passes {BAR} at {passed} networks" if passed else f"comes to {of_predictor.r2:.2f} with {most}, below {BAR}"
        parts.append(f"R² of {name} {said}")
    return "; ".join(parts) + "."


# -- pictures ------------------------------------------------------------------------------------------------------------
COLOURS = {"LSTM": "#e0653a", "Ensemble": "#3b82f6", "random": "#8d99a8", "filtered": "#3f9d63"}
WIDTH, HEIGHT, MARGIN = 380.0, 260.0, 60.0


def document(learned: dict[str, Learned], truth: Any, without: Any, with_filter: Any, said: str) -> str:
    """The page: predicted against true, R² against the number learned from, accuracy with and without the filter."""
    low, high = float(min(truth.min(), *[p.predicted.min() for p in learned.values()])), float(without.max())
    points = {name: list(zip(truth, of.predicted)) for name, of in learned.items()}
    curves = {name: [(size, max(r2, -0.2)) for size, r2, _ in of.curve] for name, of in learned.items()}
    most = max(size for curve in curves.values() for size, _ in curve)
    shares = {
        name: [(value, (i + 1) / len(values)) for i, value in enumerate(sorted(values))]
        for name, values in {"random": without, "filtered": with_filter}.items()
    }
    bottom = float(np.quantile(without, 0.02))
    scatter = axes(points, (low, high), (low, high), "true", "predicted", dots=True)
    explained = axes(curves, (0.0, float(most)), (-0.2, 1.0), "networks learned from", "R²")
    panels = {
        "Predicted against true scores of networks held out": scatter,
        "How far predictions explain true scores": explained,
        "Share of networks below a score, trained with and without the filter": axes(
            shares, (bottom, high), (0.0, 1.0), "score", "share"
        ),
    }
    body = "".join(f"<h2>{escape(title)}</h2>{svg}" for title, svg in panels.items())
    css = "body{font:15px system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Predicting networks</title><style>{css}</style>'
    return f"{head}<p>{escape(said)}</p>{body}</html>\n"


def axes(
    series: dict[str, list[tuple[float, float]]], across: tuple[float, float], up: tuple[float, float], name: str, other: str,
    dots: bool = False,
) -> str:  # fmt: skip
    """One pair of axes with dots or lines, as SVG; light or dark as the reader prefers."""
    span = max(across[1] - across[0], 1e-9), max(up[1] - up[0], 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        inside = (min(max((x - across[0]) / span[0], 0.0), 1.0), min(max((y - up[0]) / span[1], 0.0), 1.0))
        return MARGIN + WIDTH * inside[0], 12 + HEIGHT * (1 - inside[1])

    parts = [f'<rect class="g" x="{MARGIN:g}" y="12" width="{WIDTH:g}" height="{HEIGHT:g}"/>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(across[0] + share * span[0], up[0] + share * span[1])
        parts.append(
            f'<text class="m" x="{x:.0f}" y="{HEIGHT + 28:g}" text-anchor="middle">{across[0] + share * span[0]:.3g}</text>'
        )
        parts.append(
            f'<text class="m" x="{MARGIN - 6:g}" y="{y + 4:.0f}" text-anchor="end">{up[0] + share * span[1]:.3g}</text>'
        )
    for i, (label, values) in enumerate(series.items()):
        colour, found = COLOURS[label], [place(*point) for point in values]
        if dots:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}" fill-opacity="0.7"/>' for x, y in found]
        else:
            line = " L".join(f"{x:.1f} {y:.1f}" for x, y in found)
            parts.append(f'<path fill="none" stroke="{colour}" stroke-width="2" d="M{line}"/>')
        parts.append(f'<text x="{MARGIN + WIDTH + 12:g}" y="{30 + 20 * i}" fill="{colour}">{label}</text>')
    parts.append(f'<text class="t" x="{MARGIN + WIDTH / 2:g}" y="{HEIGHT + 48:g}" text-anchor="middle">{escape(name)}</text>')
    parts.append(
        f'<text class="t" transform="translate(14 {12 + HEIGHT / 2:g}) rotate(-90)" text-anchor="middle">{escape(other)}</text>'
    )
    size = f'viewBox="0 0 {MARGIN + WIDTH + 110:g} {HEIGHT + 60:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} style="font:12px system-ui,sans-serif">'
        f"<style>{style('auto')}</style>{''.join(parts)}</svg>"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="digits", help="digits, cifar10:PATH, images:FOLDER … (default: digits)")
    parser.add_argument("--models", type=int, default=120, help="random networks to train (default: 120)")
    parser.add_argument("--filtered", type=int, default=20, help="networks to train behind the filter (default: 20)")
    parser.add_argument("--evolved", type=int, default=40, help="candidates of the evolution (default: 40)")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each training (default: 5)")
    parser.add_argument("--directory", default="conv-nas", help="where everything goes (default: conv-nas)")
    parser.add_argument("--executor", default="local", help="local (processes), inprocess or ray (default: local)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    main(**vars(parser.parse_args()))
