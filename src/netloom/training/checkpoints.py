"""Checkpoints: the whole state of a training as safetensors and JSON, whole on disk at every instant.

A folder holds ``checkpoint.json`` and the tensor files that it names. Tensors are written first, under a new name; then the
JSON takes the place of the old one in a single rename; then what it no longer names goes. Whenever the process is killed,
the folder holds the checkpoint before or the one after, never a part of one.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

_NAME = "checkpoint.json"
_SUFFIX = ".safetensors"
_KEY = "netloom checkpoint"
#: Version of the folder's format.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a state with a file of its own, which is written only where ``version`` is new."""

    version: int
    state: Any


def write_checkpoint(folder: str | Path, about: Mapping[str, Any], pieces: Mapping[str, Piece]) -> None:
    """Make ``folder`` hold this state in place of what it holds; ``about`` is JSON that says of what.

    States are trees of dicts, lists, tuples, numbers, strings, None and tensors. Raises `TrainingError` where they hold
    anything else or the folder cannot be written.

    >>> import tempfile, torch
    >>> folder = tempfile.mkdtemp()
    >>> write_checkpoint(folder, {"seed": 1}, {"state": Piece(7, {"step": 7, "weights": [torch.ones(2)]})})
    >>> about, states = read_checkpoint(folder)
    >>> about, states["state"]
    ({'seed': 1}, {'step': 7, 'weights': [tensor([1., 1.])]})
    """
    folder = Path(folder)
    document: dict[str, Any] = {_KEY: FORMAT, "about": dict(about), "pieces": {}}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, piece in pieces.items():
            tensors: dict[str, Tensor] = {}
            file = f"{name}-{piece.version:08d}{_SUFFIX}"
            document["pieces"][name] = {"file": file, "state": _packed(piece.state, name, tensors)}
            if name == "state" or not (folder / file).exists():
                _replace(folder / file, lambda path, held=tensors: _write_tensors(path, held))  # type: ignore[misc]
        text = json.dumps(document, allow_nan=False)
        _replace(folder / _NAME, lambda path: path.write_text(text, encoding="utf-8"))
        named = {piece["file"] for piece in document["pieces"].values()}
        for path in folder.glob(f"*{_SUFFIX}"):
            if path.name not in named and path.name.rpartition("-")[0] in pieces:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(f"the checkpoint {str(folder)!r} cannot be written: {error.strerror or error}") from error


def read_checkpoint(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What `write_checkpoint` wrote: about, and the states by name; None where the folder holds no checkpoint.

    Reading executes nothing. Raises `TrainingError` for a checkpoint that is broken or of another version.
    """
    path = Path(folder) / _NAME
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document[_KEY]
        if version == FORMAT:
            states = {name: _unpacked(p["state"], _tensors(path.parent / p["file"])) for name, p in document["pieces"].items()}
            return document["about"], states
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"the checkpoint {str(folder)!r} cannot be read ({type(error).__name__}: {error}){_MEND}") from None
    raise TrainingError(f"the checkpoint {str(folder)!r} has format {version!r}; this netloom reads format {FORMAT}{_MEND}")


_MEND = "; give another folder, or begin anew with resume=False"


def remove_checkpoint(folder: str | Path) -> None:
    """Remove the checkpoint that is in the folder, if there is one; other files stay."""
    folder = Path(folder)
    try:
        (folder / _NAME).unlink(missing_ok=True)
        for path in folder.glob(f"*-[0-9]*{_SUFFIX}"):
            path.unlink()
    except OSError as error:
        raise TrainingError(f"the checkpoint {str(folder)!r} cannot be removed: {error.strerror or error}") from error


# -- files ---------------------------------------------------------------------------------------------------------
def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path)
    except SafetensorError as error:  # a full disk, too
        raise OSError(str(error)) from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside, let the disk have it, move into place."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with open(partial, "rb+") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name}: {error}") from None


# -- trees ---------------------------------------------------------------------------------------------------------
def _packed(value: Any, path: str, tensors: dict[str, Any]) -> Any:
    """JSON for a tree, its tensors put aside under their paths."""
    import torch

    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, torch.Tensor):
        # A copy: views and ties share memory, which the format has no way to say.
        flat = torch.view_as_real(value) if value.is_complex() else value
        while path in tensors:  # "a/b" is a key, and also b in a
            path += "'"
        tensors[path] = flat.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"$complex" if value.is_complex() else "$tensor": path}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _packed(item, f"{path}/{key}", tensors) for key, item in value.items()}
        return {"$items": [[_packed(k, path, tensors), _packed(v, f"{path}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        items = [_packed(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise TrainingError(f"{path} is a {type(value).__name__}; a checkpoint holds numbers, strings, tensors and trees of them")


def _unpacked(value: Any, tensors: Mapping[str, Any]) -> Any:
    import torch

    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        kind, inside = next(iter(value.items()))
        if kind == "$tensor":
            return tensors[inside]
        if kind == "$complex":
            return torch.view_as_complex(tensors[inside])
        if kind == "$float":
            return float(inside)
        if kind == "$tuple":
            return tuple(_unpacked(item, tensors) for item in inside)
        if kind == "$items":
            return {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in inside}
    return {key: _unpacked(item, tensors) for key, item in value.items()}
