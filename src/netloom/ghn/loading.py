"""`load`: a hypernetwork from a file, or a published one by its name."""

from __future__ import annotations

import difflib
import os
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import DownloadError, HypernetworkError
from .config import CONV, DENSE, GATED, PERCEPTRON, TRANSFORMER, Config
from .files import Stored, read
from .hypernetwork import Hypernetwork, made

if TYPE_CHECKING:
    from torch import Tensor

#: Hypernetworks that come with netloom, trained by it (see the documentation for what they are good for).
SHIPPED = Path(__file__).parent / "trained"
#: What published ones were trained on.
_TASKS = {"cifar10": "cifar10", "imagenet": "imagenet", "ghn3": "imagenet"}


def names() -> tuple[str, ...]:
    """Names that `load` knows: those that come with netloom, and published ones that it fetches."""
    from ..tasks.downloads.catalogue import CATALOGUE

    entry = CATALOGUE["ghn"]
    shipped = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
    return (*shipped, *(file.name.removesuffix(".pt") for file in (*entry.files, *entry.more)))


def load(path_or_name: str | os.PathLike[str], *, data_dir: str | Path | None = None, device: Any = "cpu") -> Hypernetwork:
    """A hypernetwork in evaluation mode: from a file, or by the name of a published one (see `names`), fetched once and kept.

    Reads netloom's safetensors, plain safetensors of a state_dict, checkpoints of ``torch.save`` (``{'config', 'state_dict'}``)
    and the joblib pickles of GHN-3; none of them can run code. Where a file says no configuration, it follows from the tensors.

    Raises `HypernetworkError` for a file that is no hypernetwork, `DownloadError` where a published one cannot be fetched; that
    names the address, and the folder to put the file into.
    """
    path = _located(path_or_name, data_dir)
    stored = read(path)
    try:
        ghn = of_tensors(stored)
    except HypernetworkError as error:
        raise HypernetworkError(f"{str(path)!r}: {error}") from None
    if not stored.about.get("task"):
        ghn.about |= next(({"task": task} for part, task in _TASKS.items() if part in path.stem), {})
    return placed(ghn, device).eval()


def placed(ghn: Hypernetwork, device: Any) -> Hypernetwork:
    """A hypernetwork on a device; `HypernetworkError` where there is none such."""
    try:
        return ghn.to(device)
    except (RuntimeError, AssertionError, TypeError) as error:  # torch without CUDA asserts
        raise HypernetworkError(f"device = {device!r}: {str(error).splitlines()[0]}; leave it out for the CPU") from None


def _located(path_or_name: str | os.PathLike[str], data_dir: str | Path | None) -> Path:
    given = os.fspath(path_or_name) if isinstance(path_or_name, os.PathLike) else path_or_name
    if not isinstance(given, str) or not given:
        what = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
        raise HypernetworkError(f"{what} is neither a file nor a name; there is: {', '.join(names())}")
    path = Path(given).expanduser()
    if path.exists():
        return path
    name = str(path_or_name)
    known = names()
    if name.removesuffix(".pt") in known:
        plain = name.removesuffix(".pt")
        shipped = SHIPPED / f"{plain}.safetensors"
        if shipped.exists():
            return shipped
        from ..tasks.downloads.fetching import fetch

        return fetch("ghn", data_dir, files=(f"{plain}.pt",)) / f"{plain}.pt"
    if path.suffix or path.parent != Path("."):
        raise HypernetworkError(f"there is no file {name!r}")
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DownloadError(
        f"no hypernetwork is called {name[:80]!r}; {hint}there is: {', '.join(known)}; or give the path of a file"
    )


def of_tensors(stored: Stored) -> Hypernetwork:
    """The hypernetwork of what a file holds."""
    tensors = _by_our_names(stored.tensors)
    config = Config.from_dict(stored.config) if stored.config is not None else inferred(tensors)
    if config.hypernet != TRANSFORMER and "gnn.0.ln1.weight" in tensors:
        config = inferred(tensors)
    if config.hypernet == GATED and config.decoder == CONV:
        for name, tensor in tensors.items():
            if name.startswith(("decoder.conv.", "decoder.class_layer_predictor.")) and tensor.dim() == 2:
                tensors[name] = tensor[:, :, None, None]  # as GHN-3's authors hold those of GHN-2
    try:
        with torch.device("meta"):  # sizes are compared before any memory is taken
            own = made(config).state_dict()
    except (RuntimeError, OverflowError, MemoryError) as error:
        raise HypernetworkError(f"no hypernetwork can have this configuration: {str(error).splitlines()[0]}") from None
    for what, keys in (("lacks", own.keys() - tensors.keys()), ("has", tensors.keys() - own.keys())):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            expected = "" if what == "lacks" else ", which no such hypernetwork has"
            raise HypernetworkError(
                f"the state_dict {what} {min(keys)!r}{more}{expected}; the file is of another configuration"
            )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise HypernetworkError(
                f"{name} is {tuple(tensor.shape)} where the configuration makes it {tuple(own[name].shape)}; the file is of "
                "another one"
            )
        if not tensor.is_floating_point() or tensor.layout != torch.strided or not tensor.isfinite().all():
            what = "values that are not finite" if tensor.is_floating_point() else f"values of {tensor.dtype}"
            what = "a sparse layout" if tensor.layout != torch.strided else what
            raise HypernetworkError(f"{name} has {what}; a hypernetwork that was trained has finite numbers")
    ghn = made(config)
    ghn.load_state_dict(tensors)
    ghn.about = dict(stored.about)
    return ghn


def _by_our_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Published GHN-3 files hold the embeddings of degrees and distances outside of the first layer; others may have a
    prefix."""
    found = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    for name in ("centrality_embed_in.weight", "centrality_embed_out.weight", "input_dist_embed.weight"):
        if name in found:
            found[f"gnn.0.{name}"] = found.pop(name)
    return found


def inferred(tensors: dict[str, Tensor]) -> Config:
    """The configuration that makes tensors of these names and shapes. Scaling of predictions goes with layer norm, as
    published."""
    try:
        hid = tensors["embed.weight"].shape[1]
        classes = tensors["bias_class.1.weight"].shape[0]
        most = tensors["bias_class.1.weight"].shape[1]
        normed = "ln.weight" in tensors
        conv = "decoder.fc.0.weight" in tensors
        rows = tensors["decoder.fc.0.weight"].shape[0] // (4 * hid) if conv else (
            tensors["decoder.mlp.fc.2.weight"].shape[0] // most**2
        )  # fmt: skip
        shape = (most, most, isqrt(rows), isqrt(rows))
        if "gnn.0.ln1.weight" in tensors:
            layers = sum(name.startswith("gnn.") and name.endswith(".ln1.weight") for name in tensors)
            heads = tensors["gnn.0.attn.proj_e.2.weight"].shape[0]
            return Config(shape, classes, TRANSFORMER, CONV, True, True, normed, hid, layers, heads)
        kind = PERCEPTRON if "gnn.fc.0.weight" in tensors else GATED
        ve = "gnn.mlp_ve.fc.0.weight" in tensors or (kind == PERCEPTRON and normed)
        return Config(shape, classes, kind, CONV if conv else DENSE, normed, ve, normed, hid)
    except KeyError as error:
        raise HypernetworkError(f"it is no hypernetwork: there is no tensor {error}") from None
    except (IndexError, ZeroDivisionError):
        raise HypernetworkError("it is no hypernetwork: its tensors have the names of one, but not the shapes") from None
