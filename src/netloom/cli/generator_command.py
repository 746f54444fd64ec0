"""``netloom generator``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

import numpy as np

from .. import generate
from ..errors import GeneratorError
from ..predict.labels import read_labels
from ..spaces.loading import whole_number
from . import sample_command
from .output import refuse_unwritable
from .store_showing import table


def run(given: argparse.Namespace) -> int:
    """Do what the action says."""
    return _ACTIONS[given.action](given)


def _fit(given: argparse.Namespace) -> int:
    filters = {name: getattr(given, name) for name in ("task", "recipe") if getattr(given, name) is not None}
    found = read_labels(given.source, score=given.score, **filters)
    if np.isnan(found.scores).all():
        raise GeneratorError(f"{given.source!r} has no scores; expected numbers in the column {given.score!r} (--score)")
    refuse_unwritable(given.out)
    graphs, scores = found.graphs, found.scores
    if found.fidelity is not None:
        # Scores after fewer epochs are of another kind: those of the longest trainings count.
        longest = found.fidelity == found.fidelity.max()
        graphs, scores = [graph for graph, keep in zip(graphs, longest) if keep], scores[longest]
    progress = sys.stderr.isatty() and not given.quiet
    if given.before is not None:
        generator = generate.load(given.before, space=given.space)
        generator.refit(graphs, scores, seed=given.seed, progress=progress, strict=given.strict)
    else:
        generator = generate.TokenGenerator(
            given.space, predictor=None if given.predictor.lower() == "none" else given.predictor,
            unlabelled=1000 if given.unlabelled is None else _count(given.unlabelled),
        ).fit(graphs, scores, seed=given.seed, progress=progress, strict=given.strict)  # fmt: skip
    generator.save(given.out)
    dropped = f", {generator.dropped:,} left out" if generator.dropped else ""
    print(f"{given.out}: {generator!r}{dropped}, {generator.surprise:.3f} nats a token at what was left out")
    return 0


def _count(text: str) -> int:
    try:
        return whole_number(text)
    except ValueError as error:
        raise GeneratorError(f"--unlabelled {text}: {error}") from None


def _evaluate(given: argparse.Namespace) -> int:
    if given.n < 1:
        raise GeneratorError(f"-n {given.n}: expected at least one sequence")
    found = generate.load(given.file, space=given.space).evaluate(given.n, seed=given.seed)
    if given.json:
        print(json.dumps(found))
        return 0
    print(
        f"{given.file}: {found['scores']:,} scores, {found['vocabulary']} tokens, {found['space']}\n"
        f"nats a token at what was learned: {found['surprise']:.3f} asked for, {found['surprise_unasked']:.3f} unasked"
    )
    rows = [
        [
            f"{wish['quantile']:.0%}", f"{wish['score']:.4g}", "" if wish["predicted"] is None else f"{wish['predicted']:.4g}",
            f"{wish['different']:.0%}", f"{wish['new']:.0%}",
        ]
        for wish in found["wishes"]
    ]  # fmt: skip
    print(table(["quantile", "asked for", "predicted", "different", "new"], rows))
    return 0


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "fit": _fit, "evaluate": _evaluate, "sample": sample_command.run,
}  # fmt: skip
