"""Predicted parameters of every model of the gallery: share of tensors, seconds, and whether outputs are finite.

    OMP_NUM_THREADS=1 python -m benchmarks.ghn_gallery [NAME …] [--file ghn2_imagenet]

Without ``--file`` an untrained GHN-2 for ImageNet is used: what is measured does not depend on its weights.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import torch

import netloom as nl
from benchmarks.gallery_models import models
from netloom.ghn.filling import put, use_batch_statistics


def row(ghn: Any, name: str, make: Any) -> str:
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
        return f"{name:<40} {type(error).__name__}: {str(error)[:60]}"
    tensors = [value for value in _leaves(given) if isinstance(value, torch.Tensor) and value.is_floating_point()]
    finite = all(bool(torch.isfinite(value).all()) for value in tensors)
    total = len(prediction.tensors) + len(prediction.left)
    return f"{name:<40} {len(prediction.tensors):>5}/{total:<5} {seconds:7.2f} s  {'finite' if finite else 'NOT FINITE'}"


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
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    ghn = nl.ghn.load(given.file) if given.file else nl.ghn.GHN2((64, 64, 16, 16), 1000).eval()
    with torch.no_grad():
        for name, make in models().items():
            if not given.names or name in given.names:
                print(row(ghn, name, make), flush=True)


if __name__ == "__main__":
    main()
