"""Networks as ONNX files, through torch's own exporter; free sizes stay free."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch

from ..errors import BuildError
from ..graph.builder import unique
from ..graph.graph import Graph, Step
from ..graph.tree import edges, leaves, map_leaves
from ..ops import Edge, Size
from .example import example_inputs
from .network import Network, build, with_result

#: Version of the operator set that is written unless another is asked for; onnxruntime reads it since 1.18.
OPSET = 20
#: Sizes that stand for free ones while the network is exported; all different, and none that a layer is likely to have.
_SIZES = (3, 5, 7, 11, 13, 17)
_LINE = re.compile(r'File "<netloom forward [^"]*>", line (\d+)')
_OPERATOR = re.compile(r"op='([\w.]+)'")


def to_onnx(network: Network | Graph, path: str | Path, *, opset: int = OPSET) -> None:
    """Write a network (of a graph: with fresh weights) to the ONNX file ``path``, in evaluation mode.

    Inputs have the names of the graph's arguments, and its free sizes are free: an axis ``N`` takes any batch. Outputs are the
    tensors of the result in order: ``output``, ``output_0`` … of a tuple, the keys of a dict (``aux.0`` of what is nested in
    it). The network is left as it is. `BuildError` names the nodes that ONNX has no operator for; needs
    ``pip install netloom[onnx]``.

    >>> import netloom as nl, tempfile
    >>> x = nl.input(3, 8, 8)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.flatten(x), 10)))
    >>> nl.to_onnx(net, tempfile.mkdtemp() + "/small.onnx")
    """
    if isinstance(network, Graph):
        network = build(network)
    if not isinstance(network, Network):
        raise BuildError(f"to_onnx takes a Network or a Graph, not a {type(network).__name__}; nl.trace and nl.build it first")
    _require_exporter()
    graph = network.graph
    outputs = [(path, leaf) for path, leaf in leaves(graph.result) if type(leaf) is Edge]
    if not outputs:
        raise BuildError("the network gives no tensor, so there is nothing to write to an ONNX file")
    # torch's exporter knows neither literals among the outputs nor the classes of other packages.
    flat = with_result(network, *_apart(graph, [edge for _, edge in outputs]))
    with torch.random.fork_rng(devices=[]):
        program = _exported(network, flat)
        converted = _converted(network, program, [_output_name(path) for path, _ in outputs], opset)
    try:
        converted.save(str(path))
    except OSError as error:
        raise BuildError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def _require_exporter() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BuildError(f"writing ONNX needs the package {error.name!r}; pip install 'netloom[onnx]'") from None


def _apart(graph: Graph, outputs: list[Edge]) -> tuple[tuple[Edge, ...], list[Step]]:
    """Every output as a value of its own, and the copies that this takes: one value has but one name in ONNX (torch 2.6)."""
    found: list[Edge] = []
    copies: list[Step] = []
    names = {node.name for node in graph.nodes}
    for edge in outputs:
        if edge in found or graph[edge.node].op == "input":
            copies.append(Step(unique("copy", names), "clone", {"x": edge}))
            edge = Edge(copies[-1].name)
        found.append(edge)
    return tuple(found), copies


def _exported(network: Network, flat: Network) -> Any:
    """The network as torch's exported program, with the graph's symbols as its free dimensions; ``flat`` gives a tuple."""
    graph = network.graph
    symbols = [name for name in ("N", *graph.symbols) if _is_free(graph, name)]
    sizes = dict(zip(dict.fromkeys(symbols), _SIZES))
    example = example_inputs(graph, **{"batch": sizes.get("N", 2), **{k: v for k, v in sizes.items() if k != "N"}})
    shapes = _dynamic_shapes(graph, {name: torch.export.Dim(_plain(name), min=1) for name in sizes})
    given, named = ((), example) if isinstance(example, dict) else (example, {})
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(
                flat, given, named, dynamic_shapes=shapes if named else tuple(shapes.values()), strict=False
            )
    except Exception as error:
        # torch's exporter raises errors of many kinds; all mean that this network cannot be exported.
        where = _node_at(network, str(error))
        raise BuildError(f"torch.export cannot take the network{where}: {_first_line(error)}") from error


def _is_free(graph: Graph, symbol: str) -> bool:
    shapes = [size for node in graph.inputs for size in node.shape]
    return any(isinstance(size, Size) and symbol in size.symbols for size in shapes)


def _dynamic_shapes(graph: Graph, dims: dict[str, Any]) -> dict[str, Any]:
    """For every argument which of its axes are free, in the form that torch.export takes."""

    def free(leaf: Any) -> Any:
        if type(leaf) is not Edge:
            return None
        found = {}
        for axis, size in enumerate(graph.type_of(leaf).shape):
            if isinstance(size, Size):
                found[axis] = _dim(size, dims)
        return found

    return {argument.name: map_leaves(argument.tree, free) for argument in graph.arguments}


def _dim(size: Size, dims: dict[str, Any]) -> Any:
    """torch's dimension for a multiple of one symbol; others are left to torch to find."""
    symbols = sorted(size.symbols)
    factor = size.at({symbols[0]: 1}) if len(symbols) == 1 else 0
    if len(symbols) == 1 and size == factor * Size.symbol(symbols[0]):
        return dims[symbols[0]] if factor == 1 else factor * dims[symbols[0]]
    return torch.export.Dim.DYNAMIC


def _plain(symbol: str) -> str:
    return symbol if symbol.isidentifier() else "D" + "".join(c if c.isalnum() else "_" for c in symbol)


def _converted(network: Network, program: Any, outputs: list[str], opset: int) -> Any:
    graph = network.graph
    names = [_input_name(argument.name, tree, i) for argument in graph.arguments for i, tree in enumerate(edges(argument.tree))]
    unique = _unique([*names, *outputs])
    given, found = unique[: len(names)], unique[len(names) :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = torch.onnx.export(
                program, dynamo=True, opset_version=opset, input_names=given, output_names=found, verbose=False
            )
            _name_axes(converted.model, graph)
            return converted
    except Exception as error:
        raise BuildError(_refusal(network, program, error)) from error


def _name_axes(model: Any, graph: Graph) -> None:
    """Give free axes the names that they have in the graph, in place of those that torch made up."""
    import onnx_ir

    renamed: dict[str, str] = {}
    for value, node in zip(model.graph.inputs, graph.inputs):
        for given, size in zip(value.shape, node.shape):
            if isinstance(size, Size) and size == Size.symbol(str(size)) and not isinstance(given, int):
                renamed[str(given.value)] = str(size)
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    for value in values:
        if not any(isinstance(getattr(size, "value", None), str) for size in value.shape or ()):
            continue
        if value.shape.frozen:  # shared between values
            value.shape = value.shape.copy()
        for axis, given in enumerate(value.shape):
            text = getattr(given, "value", None)
            if isinstance(text, str):
                shown = re.sub(r"[A-Za-z_]\w*", lambda match: renamed.get(match[0], match[0]), text)
                value.shape[axis] = onnx_ir.SymbolicDim(shown)


def _input_name(name: str, edge: Edge, place: int) -> str:
    return name if place == 0 else edge.node


def _output_name(path: str) -> str:
    if not path:
        return "output"
    return f"output_{path}" if path[0].isdigit() else path


def _unique(names: list[str]) -> list[str]:
    taken: dict[str, int] = {}
    found = []
    for name in names:
        taken[name] = taken.get(name, 0) + 1
        found.append(name if taken[name] == 1 else f"{name}_{taken[name]}")
    return found


# -- what cannot be written ----------------------------------------------------------------------------------------------
def _refusal(network: Network, program: Any, error: BaseException) -> str:
    """Names the nodes whose operators ONNX does not have."""
    said = []
    cause: BaseException | None = error
    while cause is not None:
        said.append(str(cause))
        cause = cause.__cause__
    targets = {match[1] for text in said for match in _OPERATOR.finditer(text)}
    found: dict[str, str] = {}
    for node in program.graph.nodes:
        target = str(getattr(node, "target", ""))
        if node.op == "call_function" and any(target == t or target.startswith(f"{t}.") for t in targets):
            line = _LINE.search(node.meta.get("stack_trace") or "")
            name = network.origins.get(int(line[1]), ("",))[0] if line else ""
            if name:
                found[name] = network.graph[name].op
    if found:
        shown = ", ".join(f"{op} {name!r}" for name, op in list(found.items())[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return f"ONNX has no operator for {shown}{more}; replace them, or run the network with torch"
    return f"torch.onnx cannot write the network{_node_at(network, said[-1])}: {_first_line(error)}"


def _node_at(network: Network, text: str) -> str:
    """The node whose line of the forward an error points at, as a phrase."""
    lines = _LINE.findall(text)
    name = network.origins.get(int(lines[-1]), ("",))[0] if lines else ""
    return f" at {network.graph[name].op} {name!r}" if name else ""


def _first_line(error: BaseException) -> str:
    """What went wrong at the bottom of it; the exporter's own frame says only which step it was in."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("Constraints violated") and len(lines) > 1:
        lines[0] = lines[1].removeprefix("- ")
    return re.sub("\x1b\\[[0-9;]*m", "", lines[0])[:300]
