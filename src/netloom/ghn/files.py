"""Hypernetworks as files: netloom's own are safetensors with the configuration in their header."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import HypernetworkError
from ..graph.tensor_files import write_whole

if TYPE_CHECKING:
    import os

    from .hypernetwork import Hypernetwork

VERSION = 1


@dataclass(slots=True)
class Stored:
    """What a file holds: the tensors, the configuration where it says one, and what it says besides."""

    tensors: dict[str, Tensor]
    config: dict[str, Any] | None = None
    about: dict[str, Any] = field(default_factory=dict)


def save(ghn: Hypernetwork, path: str | os.PathLike[str]) -> Path:
    """See `Hypernetwork.save`."""
    from safetensors.torch import save_file

    header = {"hypernetwork": VERSION, "config": ghn.config.to_dict(), "about": ghn.about}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in ghn.state_dict().items()}
    about = {"netloom": json.dumps(header)}
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HypernetworkError(f"the hypernetwork cannot be written to {str(path)!r}: {error.strerror or error}") from None
    return write_whole(path, lambda partial: save_file(tensors, partial, metadata=about), "the hypernetwork", HypernetworkError)


def read(path: str | os.PathLike[str]) -> Stored:
    """The contents of a checkpoint in any of the known formats; nothing in it is run.

    Safetensors (with netloom's header, or a plain state_dict), what ``torch.save`` writes, and joblib pickles of a state_dict.
    """
    source = Path(path)
    if source.is_dir():
        raise HypernetworkError(f"{str(source)!r} is a folder; give the file of a hypernetwork")
    try:
        with open(source, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise HypernetworkError(f"{str(source)!r} cannot be read: {error.strerror or error}") from None
    if head[8:9] == b"{":
        return _read_safetensors(source)
    if zipfile.is_zipfile(source):
        return _of_document(_read_torch(source), source)
    if not head:
        raise HypernetworkError(f"{str(source)!r} is empty")
    if head.startswith(b"PK\x03\x04"):
        raise HypernetworkError(f"{str(source)!r} begins as what torch.save writes, but is cut off or damaged; get it anew")
    from .restricted import read_pickle

    return _of_document(read_pickle(source), source)


def _read_safetensors(path: Path) -> Stored:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            document = (file.metadata() or {}).get("netloom")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise HypernetworkError(f"{str(path)!r} cannot be read as safetensors: {error}") from None
    if document is None:
        return Stored(tensors)
    try:
        data = json.loads(document)
        version = data["hypernetwork"]
        if version == VERSION:
            return Stored(tensors, dict(data["config"]), dict(data["about"]))
    except (ValueError, LookupError, TypeError) as error:
        raise HypernetworkError(f"{str(path)!r} is of netloom, but no hypernetwork ({error!r})") from None
    raise HypernetworkError(f"{str(path)!r} is a hypernetwork of version {version!r}; this netloom reads {VERSION}")


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickles that are then refused
            return torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        reason = str(error).partition("\n")[0].partition(". In PyTorch")[0]
        raise HypernetworkError(
            f"{str(path)!r} holds more than tensors and numbers: it may run code and is not read ({reason}). If you trust "
            "where it is from, load it yourself and save {'config', 'state_dict'} anew"
        ) from None
    except Exception as error:  # a damaged archive can raise anything
        raise HypernetworkError(f"{str(path)!r} cannot be read as a checkpoint ({type(error).__name__}: {error})") from None


def _of_document(document: Any, path: Path) -> Stored:
    """A checkpoint ``{'config', 'state_dict', …}`` or a bare state_dict."""
    if not isinstance(document, Mapping):
        raise HypernetworkError(
            f"{str(path)!r} holds a {type(document).__name__}; expected a dict with 'config' and 'state_dict'"
        )
    state, config = document.get("state_dict", document), document.get("config")
    named = isinstance(state, Mapping) and state and all(isinstance(name, str) for name in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        keys = ", ".join(map(str, list(document)[:5]))
        raise HypernetworkError(
            f"{str(path)!r} is no hypernetwork: expected 'config' and 'state_dict', found {keys or 'nothing'}"
        )
    if config is not None and not isinstance(config, Mapping):
        raise HypernetworkError(f"{str(path)!r}: its configuration is a {type(config).__name__}; expected a dict")
    about = {"epoch": document["epoch"]} if isinstance(document.get("epoch"), int) else {}
    return Stored(dict(state), dict(config) if config is not None else None, about)
