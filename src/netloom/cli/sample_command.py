"""``netloom sample``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..errors import SpaceError
from ..spaces.loading import whole_number
from ..spaces.samples import Samples
from ..spaces.sampling import sample_many


def run(given: argparse.Namespace) -> int:
    """Draw networks: print them, or write them to a file and say so."""
    if _number(given, "n") == 0:
        raise SpaceError(f"-n {given.n}: expected at least one network")
    numbers: dict[str, Any] = {name: _number(given, name) for name in ("n", "seed", "processes", "max_params", "max_flops")}
    if given.generator is not None or given.predictor is not None:
        from . import chosen_samples

        if given.generator is None:
            given.space = _space(given)
        elif given.split is not None:
            raise SpaceError(f"--split {given.split} does not go with --from: a generator knows its space")
        return chosen_samples.run(given, {**numbers, **{name: _number(given, name) for name in ("screen", "most_draws")}})
    _check_alone(given)
    try:
        given.space = _space(given)
        samples = sample_many(given.space, **numbers, out=given.out, form=given.format, progress=not given.quiet)
    except KeyboardInterrupt:
        if given.out is not None:
            print(f"netloom sample: stopped; the same command goes on from {given.out}.parts", file=sys.stderr)
            return 130
        raise
    if given.out is None:
        _print(samples)
    else:
        print(f"{given.out}: {len(samples):,} networks of {samples.settings['draws']:,} draws")
    if samples.is_short:
        print(
            f"netloom sample: {given.space} has no more than {len(samples):,} different networks that "
            f"{samples.settings['draws']:,} draws could find",
            file=sys.stderr,
        )
    return int(samples.is_short)


def _check_alone(given: argparse.Namespace) -> None:
    """`SpaceError` for settings of a predictor's choice, or of a generator, without one."""
    for name, needed in (
        ("min_score", "--predictor"), ("min_quantile", "--predictor"), ("most_draws", "--predictor or --from"),
        ("score", "--from"), ("temperature", "--from"), ("screen", "--from"),
    ):  # fmt: skip
        if getattr(given, name) is not None:
            raise SpaceError(f"--{name.replace('_', '-')} needs {needed} FILE")
    if given.json:
        raise SpaceError("--json tells what came of --predictor or --from; networks as JSON come with --format json")


def _space(given: argparse.Namespace) -> str:
    """The space with the split in its spec."""
    space: str = given.space or "conv"
    if given.split is None:
        return space
    if space.partition("?")[0] != "deepnets1m" or "split=" in space:
        raise SpaceError(f"--split {given.split}: {space} has no split left to choose; deepnets1m has")
    return f"{space}{'&' if '?' in space else '?'}split={given.split}"


def _number(given: argparse.Namespace, name: str) -> int | None:
    """A whole number, as people write it: 250000, 250K, 0.25M."""
    text = getattr(given, name)
    if text is None:
        return None
    try:
        return whole_number(text)
    except ValueError as error:
        flag = "-n" if name == "n" else f"--{name.replace('_', '-')}"
        raise SpaceError(f"{flag} {text}: {error}") from None


def _print(samples: Samples) -> None:
    columns = (samples.records[name] for name in ("index", "hash", "num_params", "flops", samples.form))
    for index, hash, num_params, flops, written in zip(*columns):
        if samples.form == "text":
            print(f"# {index}: {hash}, {num_params:,} parameters, {flops:,} FLOPs")
        print(written)
