"""Predicted parameters of every model of the gallery: share of tensors, seconds, and whether outputs are finite.

    OMP_NUM_THREADS=1 python -m benchmarks.ghn_gallery [NAME …] [--file ghn2_imagenet] [--page docs/ghn-gallery.md]

Without ``--file`` an untrained GHN-2 for ImageNet is used: what is measured does not depend on its weights.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch

import netloom as nl
from benchmarks.gallery_models import models
from netloom.ghn.filling import put, use_batch_statistics


class Row(NamedTuple):
    """What became of one model; ``left`` says of which operators the parameters are that were left as they were."""

    name: str
    predicted: int
    total: int
    seconds: float
    outcome: str
    left: str = ""

    def __str__(self) -> str:
        return f"{self.name:<40} {self.predicted:>5}/{self.total:<5} {self.seconds:7.2f} s  {self.outcome}  {self.left}"


def row(ghn: Any, name: str, make: Any) -> Row:
    """One line of the table."""
    model, example = make()
    start = time.process_time()
    try:
        graph = nl.trace(model.eval(), example, mode="eval")
        prediction = ghn.predict(graph)
        put(model, prediction, keep_grads=False)
        use_batch_statistics(model, graph)
        seconds = time.process_time() - start
        with torch.no_grad():
            given = (
                model(**example)
                if isinstance(example, dict)
                else model(*example)
                if isinstance(example, tuple)
                else model(example)
            )
    except Exception as error:  # a row for whatever a model does
        return Row(name, 0, 0, time.process_time() - start, f"{type(error).__name__}: {str(error)[:60]}")
    tensors = [value for value in _leaves(given) if isinstance(value, torch.Tensor) and value.is_floating_point()]
    finite = all(bool(torch.isfinite(value).all()) for value in tensors)
    reasons = Counter(prediction.left.values())
    return Row(
        name, len(prediction.tensors), len(prediction.tensors) + len(prediction.left), seconds,
        "finite" if finite else "**not finite**", ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
    )  # fmt: skip


def page(rows: list[Row]) -> str:
    """The table as Markdown."""
    predicted, total = sum(r.predicted for r in rows), sum(r.total for r in rows)
    head = f"""# Predicted parameters of the gallery

<!-- Written by benchmarks/ghn_gallery.py; edits are lost. -->

Every model of the [gallery](gallery.md) with the parameters that a GHN-2 for ImageNet predicts: how many of its tensors, in how many
CPU seconds of one thread (the trace included), whether outputs are finite, and of what the tensors are that keep their values.
{sum(r.outcome == "finite" for r in rows)} of {len(rows)} models have finite outputs; {predicted:,} of {total:,} tensors are predicted, all of {sum(r.predicted == r.total for r in rows)} models.

| model | tensors | seconds | outputs | left as they were |
|---|--:|--:|---|---|
"""  # noqa: E501
    return head + "".join(f"| {r.name} | {r.predicted}/{r.total} | {r.seconds:.2f} | {r.outcome} | {r.left} |\n" for r in rows)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--file")
    parser.add_argument("--page", help="write the table as Markdown to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    ghn = nl.ghn.load(given.file) if given.file else nl.ghn.GHN2((64, 64, 16, 16), 1000).eval()
    rows: list[Row] = []
    with torch.no_grad():
        for name, make in models().items():
            if not given.names or name in given.names:
                rows.append(row(ghn, name, make))
                print(rows[-1], flush=True)
    if given.page:
        Path(given.page).write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
