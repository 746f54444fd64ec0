"""``netloom predictor``."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import predict as room
from ..errors import PredictorError
from ..predict.comparing import compare
from ..predict.labels import Labelled, read_labels
from .output import refuse_unwritable, writer
from .store_showing import table


def run(given: argparse.Namespace) -> int:
    """Do what the action says."""
    return _ACTIONS[given.action](given)


def _labelled(given: argparse.Namespace, scored: bool) -> Labelled:
    filters = {name: getattr(given, name) for name in ("task", "recipe") if getattr(given, name) is not None}
    found = read_labels(given.source, score=given.score, **filters)
    if scored and np.isnan(found.scores).all():
        raise PredictorError(f"{given.source!r} has no scores; expected numbers in the column {given.score!r} (--score)")
    return found


def _kind(name: str) -> Callable[[], room.Predictor]:
    kinds = {kind.__name__: kind for kind in room.KINDS.values()}
    if name not in kinds:
        near = difflib.get_close_matches(name, kinds, 1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise PredictorError(f"no predictor {name!r}; {hint}there are {', '.join(sorted(kinds))}")
    return kinds[name]


def _refuse_fewer_than_one(given: argparse.Namespace) -> None:
    if given.n is not None and given.n < 1:
        raise PredictorError(f"-n {given.n}; expected a whole number ≥ 1")


def _fit(given: argparse.Namespace) -> int:
    make = _kind(given.predictor)
    refuse_unwritable(given.out, ".safetensors")
    found = _labelled(given, scored=True)
    more = {} if found.fidelity is None else {"fidelity": found.fidelity}
    fitted = make().fit(found.graphs, found.scores, seed=given.seed, **more)
    fitted.save(given.out)
    dropped = f", {fitted.dropped:,} without a score left out" if fitted.dropped else ""
    print(f"{given.out}: {given.predictor}, learned from {len(found) - fitted.dropped:,} graphs{dropped}")
    return 0


def _predict(given: argparse.Namespace) -> int:
    refuse_unwritable(given.out, ".csv")
    _refuse_fewer_than_one(given)
    predictor, found = room.load(given.file), _labelled(given, scored=False)
    mean, deviation = predictor.predict(found.graphs, std=True)
    order = np.argsort(-mean, kind="stable")[: given.n]
    names = ["graph", "predicted", *(["std"] if given.std else []), *(["score"] if not np.isnan(found.scores).all() else [])]
    columns: dict[str, Any] = {"graph": found.names, "predicted": mean, "std": deviation, "score": found.scores}
    rows = [[columns[name][i] for name in names] for i in order]
    if given.out is None:
        print(table(names, [[cell if isinstance(cell, str) else f"{cell:.6g}" for cell in row] for row in rows]))
        return 0
    with writer(given.out) as write:
        write("\n".join([",".join(names), *(",".join(str(cell) for cell in row) for row in rows)]))
    print(f"{given.out}: {len(rows):,} predictions")
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    makes = {name: _kind(name) for name in given.predictors.replace(" ", "").split(",") if name}
    found = _labelled(given, scored=True)
    told = None
    if sys.stderr.isatty() and not given.quiet:

        def told(name: str, seed: int) -> None:
            print(f"\rsplit {seed + 1} of {given.seeds}: {name:<20}", end="", file=sys.stderr, flush=True)

    try:
        train = float(given.train) if "." in given.train else int(given.train)
    except ValueError:
        raise PredictorError(f"--train {given.train}: expected a number of graphs, or a share such as 0.8") from None
    result = compare(makes, found.graphs, found.scores, train=train, seeds=given.seeds, fidelity=found.fidelity, told=told)
    if told is not None:
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    summary, pairs = result.frame(), result.paired()
    if given.json:
        facts = {"train": result.num_train, "test": result.num_test, "seeds": given.seeds}
        print(json.dumps({**facts, "predictors": summary.to_dict("records"), "pairs": pairs.to_dict("records")}))
        return 0
    print(f"{result.num_train:,} graphs learned from, {result.num_test:,} predicted, {given.seeds} splits")
    lines = [
        [
            row.predictor,
            f"{row.kendall_tau:.4f} ± {row.kendall_tau_sd:.4f}",
            f"{row.r2:.3f} ± {row.r2_sd:.3f}",
            f"{row.seconds:.1f}",
        ]
        for row in summary.itertuples()
    ]
    print(table(["predictor", "Kendall τ", "R²", "seconds"], lines))
    for row in pairs.itertuples():
        print(
            f"{row.first} − {row.second}: {row.difference:+.4f} (95 % interval {row.low:+.4f} … {row.high:+.4f}, "
            f"p = {row.p:.2g}), better on {row.wins} of {given.seeds}"
        )
    return 0


def _explain(given: argparse.Namespace) -> int:
    refuse_unwritable(given.plot, ".svg", ".png")
    _refuse_fewer_than_one(given)
    predictor, found = room.load(given.file), _labelled(given, scored=False)
    place = None
    if given.graph is not None:
        matching = [i for i, name in enumerate(found.names) if name == given.graph or name.startswith(given.graph)]
        if not matching:
            raise PredictorError(f"{given.source!r} has no graph {given.graph!r}; 'netloom predictor predict' lists them")
        place = matching[0]
    explanation = predictor.explain(found.graphs)
    if given.plot is not None:
        explanation.draw(given.plot, place, count=given.n)
    rows: list[tuple[str, float | None, float]]
    if place is None:
        rows = [(name, None, share) for name, share in list(explanation.importance.items())[: given.n]]
    else:
        rows = list(explanation.top(place, given.n))
    if given.json:
        named = [{"feature": name, "value": value, "contribution": share} for name, value, share in rows]
        print(json.dumps({"base": explanation.base, "fidelity": explanation.fidelity, "features": named}))
        return 0
    print(f"features explain {explanation.fidelity:.0%} of what is predicted; {explanation.base:.4g} on average")
    if place is not None:
        print(f"{found.names[place]}: {explanation.predictions[place]:.4g} predicted")
    shown = [[name, "" if value is None else f"{value:.4g}", f"{share:+.4g}" if place is not None else f"{share:.4g}"]
             for name, value, share in rows]  # fmt: skip
    print(table(["feature", "value", "moves by"], shown))
    if given.plot is not None:
        print(given.plot)
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "fit": _fit, "predict": _predict, "evaluate": _evaluate, "explain": _explain,
}  # fmt: skip
