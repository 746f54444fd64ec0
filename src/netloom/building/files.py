"""Networks on disk: graph and weights in one safetensors file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..graph.graph import Graph
from ..graph.tensor_files import write_whole
from .network import Network, build, full_state

_KEY = "netloom"


def save_network(network: Network, path: str | Path) -> None:
    """Write the graph (as JSON, in the header) and every tensor; written beside and moved into place, so never half a file."""
    import torch
    from safetensors.torch import save_file

    state = full_state(network)
    refused = next((key for key, tensor in state.items() if tensor.dtype is torch.complex128), None)
    if refused is not None:
        raise FormatError(f"{refused!r} is complex128, which safetensors cannot hold; cast it to complex64 first")
    canonical = {key for key, entry in network.graph.tensors.items() if entry.alias_of is None}
    tensors = {key: t.detach().cpu().contiguous().clone() for key, t in state.items() if key in canonical}
    header = {_KEY: network.graph.to_json()}
    write_whole(path, lambda partial: save_file(tensors, str(partial), metadata=header), "the network", FormatError)


def load_state(path: str | Path) -> dict[str, Any]:
    """The tensors of a safetensors file, by key; `FormatError` where the file is no such thing."""
    return _opened(Path(path))[1]


def load_network(path: str | Path) -> Network:
    """The network written by ``net.save``; `FormatError` where the file is no such thing.

    >>> import netloom as nl, tempfile, pathlib
    >>> x = nl.input(4)
    >>> net = nl.build(nl.Graph(x, nl.linear(x, 2)))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "net.safetensors"
    >>> net.save(path)
    >>> nl.load_network(path).graph == net.graph
    True
    """
    source = Path(path)
    metadata, state = _opened(source)
    if _KEY not in metadata:
        raise FormatError(f"{str(source)!r} holds tensors but no netloom graph; write networks with net.save")
    other = re.match(r'\s*{\s*"(netformer|predictor|generator|hypernetwork)"\s*:', metadata[_KEY])
    if other:
        raise FormatError(f"{str(source)!r} is a {other[1]}, not a network; write networks with net.save")
    return build(Graph.from_json(metadata[_KEY]), weights=state)


def _opened(source: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not source.is_file():
        raise FormatError(f"there is no file {str(source)!r}")
    try:
        with safe_open(str(source), framework="pt") as file:  # type: ignore[no-untyped-call]
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(f"{str(source)!r} is no readable safetensors file: {error}") from None
