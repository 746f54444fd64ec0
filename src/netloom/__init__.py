"""netloom: neural networks as data."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

#: Public name → module that holds it; loaded when first asked for, so that ``import netloom`` stays quick.
_PUBLIC = {
    "Graph": "graph.graph",
    "Node": "graph.node",
    "Value": "graph.builder",
    "input": "graph.builder",
    "parameter": "graph.builder",
    "op": "graph.builder",
    "diff": "graph.difference",
    "NetloomError": "errors",
    "trace": "tracing.trace",
    "build": "building.network",
    "Network": "building.network",
    "load_network": "building.files",
    "to_onnx": "building.onnx",
    "edit": "mutate.editing",
    "prune": "mutate.pruning",
    "grow": "mutate.pruning",
    "Size": "ops.size",
    "Store": "store.store",
    "get_meta_features": "tasks.metafeatures",
    "train": "training.fit",
    "train_many": "training.many",
    "search": "searching.run",
    "Classifier": "searching.estimators",
    "Regressor": "searching.estimators",
    "report": "reporting.page",
}
_ROOMS = (
    "ops", "graph", "spaces", "tracing", "building", "mutate", "measure", "tasks", "training", "store", "zoo", "encode",
    "predict", "generate", "ghn", "netformer", "searching", "reporting", "touring", "errors",
)  # fmt: skip

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _PUBLIC:
        value = getattr(import_module(f"netloom.{_PUBLIC[name]}"), name)
    elif name in _ROOMS:
        return import_module(f"netloom.{name}")
    else:
        from .ops import REGISTRY

        if name not in REGISTRY:
            raise AttributeError(f"module 'netloom' has no attribute {name!r}")
        from .graph.builder import function

        value = function(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from .ops import REGISTRY

    return sorted({*_PUBLIC, *_ROOMS, *REGISTRY, "__version__"})
