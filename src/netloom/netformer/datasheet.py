"""The datasheet of a Netformer: what it learned, how well it does, and what it is not for."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from .measures import Report

if TYPE_CHECKING:
    from .model import Netformer

_WORDS = {
    "median": "functional R², median", "pooled": "functional R², pooled", "p10": "functional R², tenth percentile",
    "share": "share of networks with R² ≥ 0.9", "edge_iou": "edges in both over edges in either", "depth": "depth right",
    "width": "widths right", "activation": "activations right", "recovery": "architecture recovered exactly",
    "edge_accuracy": "edge accuracy (same sign, neurons matched)", "weights": "cosine of weights, neurons matched",
    "activations": "cosine of the last hidden layer's values", "activations_matched": "the same, neurons matched",
}  # fmt: skip


def datasheet(former: Netformer, report: Report | None = None) -> str:
    """Markdown: family, settings, training data, training, measures (``report``, else those it was saved with), limits.

    >>> import netloom as nl
    >>> print(datasheet(nl.netformer.load("mlp")).splitlines()[0])
    # A Netformer of perceptrons
    """
    family, about = former.family, former.about
    measures = report.as_dict() if report is not None else about.get("measures", {})
    networks, tasks, held = (about.get(key, 0) for key in ("networks", "tasks", "held_out_networks"))
    steps, batch, rate = (about.get(key, 0) for key in ("steps", "batch_size", "learning_rate"))
    lines = [
        "# A Netformer of perceptrons", "",
        f"Reads and writes networks with up to {family.max_inputs} inputs, {family.max_outputs} outputs, 1 to "
        f"{family.max_layers} hidden layers of up to {family.max_width} neurons, activations {', '.join(family.activations)}.",
        "", "## What it learned", "",
        f"{networks:,} trained networks of {tasks:,} tasks ({about.get('zoo', 'a zoo of the user')}); {held:,}, with "
        f"tasks of their own, were kept back to choose the best parameters. Left out: {about.get('left_out') or 'none'}.",
        "", "## How", "",
        f"{steps:,} steps of {batch} networks, AdamW at {rate:g}, seed {former.seed}, {about.get('seconds', 0):,.0f} s. With:",
        "", *(f"- {name}: {value}" for name, value in asdict(former.settings).items()), "",
    ]  # fmt: skip
    if measures:
        lines += ["## How well", "", about.get("measured_on", "On networks of unseen tasks, fresh standard normal inputs:"), ""]
        rows = [f"| {_WORDS[name]} | {value:.3f} |" for name, value in measures.items()]
        lines += ["| measure | value |", "|---|---|", *rows, ""]
    return "\n".join([*lines, *_LIMITS])


_LIMITS = (
    "## What it is not for", "",
    "- Functions unlike those it learned come back as the nearest it knows: measure on networks of your own (`evaluate`).",
    "- Weights of a decoded network are other weights with nearly the same function.",
    "- A network drawn from the prior solves no task; `suggest` gives a start for training on data, not a trained network.",
    "- Nothing in the file is code; it is read as tensors and JSON.", "",
)  # fmt: skip
