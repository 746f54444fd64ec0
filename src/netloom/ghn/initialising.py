"""`initialise`: the weights a training starts from: random ones, predicted ones, or those of a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import FormatError, HypernetworkError
from .postprocessing import prepare

PREFIX = "ghn:"


def initialise(
    model: nn.Module,
    how: str | os.PathLike[str] = "random",
    example: Any = None,
    *,
    beta: float = 0.0,
    orthogonal: bool = False,
    from_layer: int = 1,
    seed: int = 0,
) -> list[str]:
    """Give a network the weights to start from, in place, and say what a reader should know.

    ``how`` is ``"random"`` (its own are kept), ``"ghn:FILE"`` (what a hypernetwork predicts, by file or name), or a file of
    tensors (.safetensors, .pt). Class layers of another number of classes keep their own. ``beta``, ``orthogonal`` and
    ``from_layer`` are those of `netloom.ghn.prepare`. Raises `HypernetworkError` or `FormatError`.

    >>> import netloom as nl
    >>> x = nl.input(1, 8, 8)
    >>> net = nl.build(nl.Graph(x, nl.linear(nl.flatten(nl.conv2d(x, 8, kernel=3)), 10)), seed=0)
    >>> initialise(net, "random", orthogonal=True)
    ['1 weights made orthogonal']
    """
    told: list[str] = []
    how = os.fspath(how) if isinstance(how, os.PathLike) else how
    if not isinstance(how, str) or not how.removeprefix(PREFIX):
        raise HypernetworkError(f"init = {how!r}; expected random, ghn:FILE, or a file of tensors")
    if how.startswith(PREFIX):
        told += _predicted(model, how.removeprefix(PREFIX), example)
    elif how != "random":
        told += _from_file(model, how)
    changed = prepare(model, beta=beta, orthogonal=orthogonal, from_layer=from_layer, seed=seed)
    if changed:
        done = (["given noise"] if beta else []) + (["made orthogonal"] if orthogonal else [])
        told.append(f"{changed} weights {' and '.join(done)}")
    return told


def _predicted(model: nn.Module, file: str, example: Any) -> list[str]:
    from .filling import put
    from .loading import load
    from .prediction import predict

    ghn = load(file)
    with torch.no_grad():
        first = predict(ghn, [model], [example], warn=False)[0]
        if first.other_classes:
            first = predict(ghn, [model], [example], warn=False, class_layers=False)[0]
    put(model, first, keep_grads=False)
    left = [name for name, why in first.left.items() if why.startswith("a class layer")]
    told = [f"{file}: {first.summary()}"]
    if left:
        told.append(f"the hypernetwork knows {ghn.config.num_classes} classes: {', '.join(left)} start at random")
    return told


def _from_file(model: nn.Module, path: str) -> list[str]:
    found = _tensors(Path(path))
    own = model.state_dict()
    fitting = {key: value for key, value in found.items() if key in own and own[key].shape == value.shape}
    if not any(key in dict(model.named_parameters()) for key in fitting):
        raise HypernetworkError(
            f"{path!r} has no tensor that fits the network; it has {', '.join(sorted(found)[:3])} …, expected "
            f"{', '.join(sorted(own)[:3])} …"
        )
    model.load_state_dict(fitting, strict=False)
    other = sorted(key for key in found.keys() & own.keys() if key not in fitting)
    missing = sorted(own.keys() - found.keys())
    told = [f"{len(fitting)} of {len(own)} tensors from {path}"]
    if other or missing:
        names = [*other, *missing]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        told.append(f"at random, of another shape or not in the file: {', '.join(names[:3])}{more}")
    return told


def _tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name; nothing in the file is run."""
    if not path.exists():
        raise FormatError(f"--init {str(path)!r}: there is no such file; expected random, ghn:FILE, or a file of tensors")
    if path.suffix == ".safetensors":
        from ..building.files import load_state

        return load_state(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickles that are then refused
            document = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error).partition("\n")[0].partition(". In PyTorch")[0]) or type(error).__name__
        raise FormatError(f"{str(path)!r} cannot be read as tensors alone, and nothing else is read ({reason})") from None
    state = document.get("state_dict", document) if isinstance(document, Mapping) else document
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FormatError(f"{str(path)!r} holds no tensors by name; expected a state_dict")
    return {str(key).removeprefix("module."): value for key, value in state.items()}
