"""``netloom trace``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ..errors import FormatError
from ..graph.graph import Graph
from .networks import load_graph, load_model
from .output import writer

#: Format → the document.
_DOCUMENTS: dict[str, Callable[[Graph], str]] = {
    "text": Graph.to_text,
    "json": Graph.to_json,
    "python": Graph.to_python,
    "outline": lambda graph: str(graph.blocks()),
}
#: Formats that are files, not text for the screen.
_PICTURES = ("svg", "html", "png")
FORMATS = (*_DOCUMENTS, *_PICTURES, "onnx")
_SUFFIXES = {
    ".txt": "text", ".nl": "text", ".json": "json", ".py": "python", ".svg": "svg", ".html": "html", ".png": "png",
    ".onnx": "onnx",
}  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Write a network in the format that is asked for."""
    kind = _format(given.to, given.out)
    if kind == "onnx":
        _write_onnx(given.model, given.input, given.out)
        return 0
    graph = load_graph(given.model, given.input)
    if kind in _PICTURES:
        _write_picture(graph, kind, given.out)
        return 0
    document = _DOCUMENTS[kind](graph)
    with writer(given.out) as write:
        write(document.removesuffix("\n"))
    return 0


def _format(named: str | None, out: str | None) -> str:
    """The format asked for: by name, else by the file's suffix, else text."""
    suffix = Path(out).suffix.lower() if out is not None else ""
    kind = named or _SUFFIXES.get(suffix, "text" if not suffix else "")
    if kind not in FORMATS:
        told = f"--to {named}" if named else f"the suffix {suffix!r} of {out!r}"
        raise FormatError(f"{told} is no format; there are {', '.join(FORMATS)}")
    if out is None and kind in (*_PICTURES, "onnx"):
        raise FormatError(f"--to {kind} is written to a file; say which with -o, such as -o network.{kind}")
    return kind


def _write_picture(graph: Graph, kind: str, out: str) -> None:
    """Draw to the file, whatever its suffix."""
    path = Path(out)
    if path.suffix.lower() == f".{kind}":
        graph.draw(path)
        return
    if not path.parent.is_dir():
        raise FormatError(f"cannot write {out!r}: there is no directory {str(path.parent)!r}")
    drawn = path.with_name(f"{path.name}.{kind}")
    graph.draw(drawn)
    drawn.replace(path)


def _write_onnx(model: str, sizes: str | None, out: str) -> None:
    """Write the network with its own weights."""
    from ..building.network import Network, build
    from ..building.onnx import to_onnx
    from ..tracing.trace import trace

    module, inputs = load_model(model, sizes)
    to_onnx(module if isinstance(module, Network) else build(trace(module, inputs), weights=module), out)
