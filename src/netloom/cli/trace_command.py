"""``netloom trace``."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from ..errors import TraceError
from .output import writer


def run(given: argparse.Namespace) -> int:
    """Trace what the function returns and print its graph."""
    from ..tracing.trace import trace

    model, inputs = _model(given.model, given.input)
    graph = trace(model, inputs)
    with writer(given.out) as write:
        write(graph.to_json() if given.format == "json" else graph.to_text())
    return 0


def _model(name: str, sizes: str | None) -> tuple[Any, Any]:
    import torch

    module_name, colon, function_name = name.partition(":")
    if not colon or not module_name or not function_name:
        raise TraceError(f"{name!r}: expected MODULE:FUNCTION, such as torchvision.models:resnet18")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        made: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            made = getattr(made, part)
        made = made if isinstance(made, torch.nn.Module) else made()
    except (ImportError, AttributeError, TypeError) as error:
        raise TraceError(f"{name!r} gives no model: {error}") from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, torch.nn.Module):
        raise TraceError(f"{name!r} gives a {type(model).__name__}; expected an nn.Module, or a pair of one and its inputs")
    if sizes is not None or inputs is None:
        inputs = torch.rand(2, *_sizes(sizes or "3x224x224"))
    return model, inputs


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.replace(",", "x").split("x"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise TraceError(f"--input {text!r}: expected the sizes of one sample, such as 3x224x224")
    return sizes
