"""``netloom sample`` where a predictor chooses, or a generator writes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import numpy as np

from .. import generate
from ..errors import GeneratorError
from ..graph.graph import Graph
from ..spaces import load as load_space
from ..spaces.described import described_graph
from ..spaces.samples import Samples, ending, write_samples


def run(given: argparse.Namespace, numbers: dict[str, Any]) -> int:
    """Filter or write networks: print them, or write them to a file and say so; 1 where there are too few."""
    if given.out is not None and (given.format == "json" and ending(given.out) == ".txt"):
        raise GeneratorError(f"--format json does not go into {given.out!r}; use a name that ends in .jsonl or .parquet")
    if given.generator is not None:
        graphs, predicted, facts, shortage = _written(given, numbers)
    else:
        graphs, predicted, facts, shortage = _filtered(given, numbers)
    samples = _samples(graphs, predicted, given, {**numbers, **facts})
    if given.out is not None:
        write_samples(given.out, samples.settings, [samples.records], given.out + ".part")
    if given.json:
        print(json.dumps({**facts, "n": numbers["n"], "found": len(samples), **_listed(samples, given)}, default=_plain))
    elif given.out is None:
        _print(samples)
    if not given.json:
        print(_said(facts, len(samples), given), file=sys.stderr if given.out is None else sys.stdout)
    if shortage:
        print(f"netloom sample: {shortage}", file=sys.stderr)
    return int(bool(shortage))


def _written(given: argparse.Namespace, numbers: dict[str, Any]) -> tuple[list[Graph], Any, dict[str, Any], str]:
    for flag, value in (
        ("--predictor", given.predictor),
        ("--min-score", given.min_score),
        ("--min-quantile", given.min_quantile),
    ):
        if value is not None:
            raise GeneratorError(f"{flag} does not go with --from: a generator chooses by --score and --screen")
    generator = generate.load(given.generator, space=given.space)
    wishes = {} if given.temperature is None else {"temperature": given.temperature}
    found = generator.draw(
        numbers["n"], score=given.score, seed=numbers["seed"], max_params=numbers["max_params"],
        max_flops=numbers["max_flops"], screen=numbers["screen"], most_attempts=numbers["most_draws"], **wishes,
    )  # fmt: skip
    facts = {
        "from": os.fspath(given.generator), "space": _space_of(generator), "score": given.score, "tried": found.tried,
        "repeated": found.repeated, "too_large": found.too_large, "outside": found.outside,
        "acceptance_rate": found.acceptance_rate,
    }  # fmt: skip
    return found.graphs, found.predicted, facts, found.shortage() if found.is_short else ""


def _space_of(generator: generate.TokenGenerator) -> str:
    family = generator.learned.family
    return getattr(family.space, "spec", "") or repr(family.notation)


def _filtered(given: argparse.Namespace, numbers: dict[str, Any]) -> tuple[list[Graph], Any, dict[str, Any], str]:
    for flag, value in (("--score", given.score), ("--temperature", given.temperature), ("--screen", given.screen)):
        if value is not None:
            raise GeneratorError(f"{flag} is for --from; what a predictor is to keep, --min-score or --min-quantile say")
    if given.processes != "1" or given.format == "description":
        raise GeneratorError("--predictor draws in one process, and writes text or json")
    space = load_space(given.space, max_params=numbers["max_params"], max_flops=numbers["max_flops"])
    shows = sys.stderr.isatty() and not given.quiet

    def told(found: int, drawn: int) -> None:
        print(f"\r{found:,} of {numbers['n']:,} networks, {drawn:,} draws", end="", file=sys.stderr, flush=True)

    found = generate.filtered(
        space, given.predictor, numbers["n"], min_score=given.min_score, min_quantile=given.min_quantile,
        seed=numbers["seed"], max_params=numbers["max_params"], max_flops=numbers["max_flops"],
        most_draws=numbers["most_draws"], told=told if shows else None,
    )  # fmt: skip
    if shows:
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    facts = {
        "space": space.spec or given.space, "predictor": os.fspath(given.predictor), "min_score": found.least,
        "min_quantile": given.min_quantile, "drawn": found.drawn, "repeated": found.repeated, "too_large": found.too_large,
        "passed": found.passed, "highest": found.highest, "acceptance_rate": found.acceptance_rate,
    }  # fmt: skip
    return found.graphs, found.predicted, facts, found.shortage() if found.is_short else ""


def _samples(graphs: list[Graph], predicted: Any, given: argparse.Namespace, settings: dict[str, Any]) -> Samples:
    form = given.format or ("json" if given.out is not None and ending(given.out) == ".jsonl" else "text")
    has = bool(len(predicted)) and not bool(np.isnan(predicted).any())
    rows = [described_graph(graph, graph.to_json() if form == "json" else graph.to_text()) for graph in graphs]
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows] for name in ("hash", "num_params", "flops", "num_nodes", "depth")
    }
    columns |= {"index": list(range(len(rows))), form: [row.text for row in rows]}
    if has:
        columns["predicted"] = [float(value) for value in predicted]
    plain = {name: _plain(value) if isinstance(value, np.generic | float) else value for name, value in settings.items()}
    return Samples({**plain, "form": form, "predicted": has}, columns)


def _plain(value: Any) -> Any:
    """A number as JSON has it: None for what is none."""
    number = float(value)
    return number if np.isfinite(number) else None


def _listed(samples: Samples, given: argparse.Namespace) -> dict[str, Any]:
    if given.out is not None:
        return {"out": given.out}
    names = [name for name in ("hash", "num_params", "flops", "predicted", samples.form) if name in samples.records]
    return {"networks": [{name: samples.records[name][i] for name in names} for i in range(len(samples))]}


def _print(samples: Samples) -> None:
    for i in range(len(samples)):
        if samples.form == "text":
            row = {name: values[i] for name, values in samples.records.items()}
            predicted = f", {row['predicted']:.4g} predicted" if "predicted" in row else ""
            print(f"# {i}: {row['hash']}, {row['num_params']:,} parameters, {row['flops']:,} FLOPs{predicted}")
        print(samples.records[samples.form][i])


def _said(facts: dict[str, Any], count: int, given: argparse.Namespace) -> str:
    where = "" if given.out is None else f"{given.out}: "
    if "tried" in facts:
        return (
            f"{where}{count:,} networks of {facts['tried']:,} sequences, {facts['acceptance_rate']:.1%} of which could be used"
        )
    return (
        f"{where}{count:,} networks of {facts['drawn']:,} draws; {facts['acceptance_rate']:.1%} are predicted "
        f"{facts['min_score']:.4g} or better"
    )
