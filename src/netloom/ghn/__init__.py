"""Graph hypernetworks: which weights a network would have that nobody trained.

`hyper_graph` is a network as a hypernetwork sees it. `GHN1`, `GHN2`, `MLP` and `GHN3` predict the parameters of networks;
`load` reads one from a file, the one that comes with netloom, or a published one by name. `train` makes one, `evaluate` says
how good the networks are that it fills, `rank` which of many would do best, `embed` gives embeddings of networks.
`adapt_to_small_images` makes ImageNet models fit 32 × 32 images.
"""

from __future__ import annotations

from typing import Any

from .primitives import PRIMITIVES
from .viewing import HyperGraph, HyperNode, hyper_graph

#: Public name → module that holds it: those that need torch are loaded when first asked for.
_LATER = {
    **dict.fromkeys(("GHN1", "GHN2", "GHN3", "MLP", "Hypernetwork"), "hypernetwork"),
    **dict.fromkeys(("load", "names"), "loading"),
    "Prediction": "prediction",
    "adapt_to_small_images": "small_images",
    **dict.fromkeys(("Accuracies", "embed", "evaluate"), "evaluating"),
    **dict.fromkeys(("MetaResult", "train"), "meta_training"),
    "Candidates": "candidates",
    "initialise": "initialising",
    "prepare": "postprocessing",
    **dict.fromkeys(("Ranked", "rank"), "ranking"),
    **dict.fromkeys(("MetaRecipe", "PRESETS", "preset"), "presets"),
}

__all__ = ["HyperGraph", "HyperNode", "PRIMITIVES", "hyper_graph", *sorted(_LATER)]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _LATER:
        raise AttributeError(f"module 'netloom.ghn' has no attribute {name!r}")
    value = getattr(import_module(f"netloom.ghn.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
