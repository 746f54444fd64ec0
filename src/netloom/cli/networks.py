"""Where a command asks for a network: what people may write, and the model or graph that it means."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from ..errors import FormatError, TraceError
from ..graph.graph import Graph
from ..spaces.deepnets_reference import graph_of, is_reference

if TYPE_CHECKING:
    import torch

    from ..tasks.task import Task

#: Suffix → what reads a graph from the text of such a file.
_GRAPH_FILES: dict[str, Callable[[str], Graph]] = {
    ".json": Graph.from_json,
    ".txt": Graph.from_text,
    ".nl": Graph.from_text,
}
_NETWORK_FILE = ".safetensors"
#: What a command's help says of an argument that names a network.
ACCEPTED = (
    "MODULE:FUNCTION that returns a model, a graph file (.json, .txt, .nl), a network saved as .safetensors, "
    "deepnets1m:SPLIT/INDEX, or resnet50, vit, darts, convnext_base"
)


def is_graph_file(name: str) -> bool:
    """Whether ``name`` is that of a graph alone, without weights: of a file, or one that netloom knows."""
    return _suffix(name) in _GRAPH_FILES or is_reference(name)


def load_graph(name: str, input: str | None = None) -> Graph:
    """The graph that ``name`` means; models are traced.

    ``input`` is the shape of one sample, such as ``"3x224x224"``, for models that need one. `TraceError` or `FormatError`
    where the name means nothing or the model cannot be traced.
    """
    if is_reference(name):
        return graph_of(name, None if input is None else _sizes(input))  # type: ignore[arg-type]
    read = _GRAPH_FILES.get(_suffix(name))
    if read is not None:
        _refuse_sizes(name, input)
        return read(_text(name))
    if _suffix(name) == _NETWORK_FILE:
        from ..building.files import load_network

        _refuse_sizes(name, input)
        return load_network(name).graph
    from ..tracing.trace import trace

    return trace(*load_model(name, input))


def load_for(name: str, task: Task) -> Graph:
    """The graph that ``name`` means; one that has a name gets the inputs and classes of the task, unless it says others."""
    if is_reference(name):
        return graph_of(name, task.input_shape, task.num_outputs)  # type: ignore[arg-type]
    return load_graph(name)


def load_model(name: str, input: str | None = None) -> tuple[torch.nn.Module, Any]:
    """The module that ``name`` means and inputs to call it with (one tensor, a tuple of arguments, or a dict of keywords).

    A graph file gives a network with fresh weights. Errors as `load_graph`'s.
    """
    if is_graph_file(name):
        from ..building.example import example_inputs
        from ..building.network import build

        graph = load_graph(name, input)
        return build(graph), example_inputs(graph)
    if _suffix(name) == _NETWORK_FILE:
        from ..building.example import example_inputs
        from ..building.files import load_network

        _refuse_sizes(name, input)
        network = load_network(name)
        return network, example_inputs(network.graph)
    return _called(name, input)


def load_edited(name: str, input: str | None = None, graph: str | None = None) -> tuple[torch.nn.Module, Any]:
    """The module that ``name`` means, in evaluation mode, and inputs; with ``graph``, ``name`` is a checkpoint of its weights.

    A checkpoint is a .safetensors file of tensors by their keys in the graph. Errors as `load_graph`'s.
    """
    if graph is None:
        model, inputs = load_model(name, input)
        return model.eval(), inputs
    from ..building.example import example_inputs
    from ..building.files import load_state
    from ..building.network import build

    known = load_graph(graph, input)
    return build(known, weights=load_state(name)).eval(), example_inputs(known)


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _text(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise FormatError(f"cannot read {name!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise FormatError(f"{name!r} is no text file; expected a graph as JSON or in netloom's notation") from None


def _refuse_sizes(name: str, input: str | None) -> None:
    if input is not None:
        raise TraceError(f"--input {input!r}: {name!r} says itself what its inputs are; leave --input out")


def _called(name: str, sizes: str | None) -> tuple[torch.nn.Module, Any]:
    import torch

    module_name, colon, function_name = name.partition(":")
    if not colon or not module_name or not function_name:
        raise TraceError(f"{name!r} is no network; expected {ACCEPTED}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        made: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            made = getattr(made, part)
        made = made if isinstance(made, torch.nn.Module) else made()
    except Exception as error:
        # Importing and calling people's own code may raise anything.
        raise TraceError(f"{name!r} gives no model: {_told(error)}") from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, torch.nn.Module):
        raise TraceError(f"{name!r} gives a {type(model).__name__}; expected an nn.Module, or a pair of one and its inputs")
    if sizes is not None or inputs is None:
        inputs = torch.rand(2, *_sizes(sizes or "3x224x224"))
    return model, inputs


def _told(error: Exception) -> str:
    """What went wrong in somebody's own code, and at which line of it."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error}"
    theirs = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith((__file__, "<frozen "))]
    theirs = [frame for frame in theirs if frame.filename != importlib.__file__]
    if isinstance(error, TypeError) and not theirs:
        return f"{error}; it is called without arguments, so give a function or an nn.Module that needs none"
    if not theirs:
        return str(error)
    return f"{type(error).__name__}: {error} at {theirs[-1].filename}:{theirs[-1].lineno}: {theirs[-1].line}"


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.replace(",", "x").split("x"))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise TraceError(f"--input {text!r}: expected the sizes of one sample, such as 3x224x224")
    return sizes
