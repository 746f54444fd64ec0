"""Netformers as files: tensors and JSON in one safetensors file. Reading one never runs code."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NetformerError, VersionError
from ..graph.tensor_files import write_whole
from .config import Family, Settings, read

if TYPE_CHECKING:
    from .model import Netformer

VERSION = 1
#: Where the Netformers that come with netloom are.
SHIPPED = Path(__file__).with_name("trained")


def save(former: Netformer, path: str | os.PathLike[str], *, half: bool = False) -> Path:
    """See `Netformer.save`; ``half`` writes 16-bit numbers, in half the space."""
    from safetensors.torch import save_file

    document = {
        "netformer": VERSION, "family": asdict(former.family), "settings": asdict(former.settings), "seed": former.seed,
        "about": former.about, "curve": [asdict(point) for point in former.curve],
    }  # fmt: skip
    # The probes are drawn again by whoever reads the file.
    tensors = {key: tensor.contiguous() for key, tensor in former.core.state_dict().items() if key != "decoder.probes"}
    if half:
        tensors = {key: tensor.half() if tensor.numel() > 4096 else tensor for key, tensor in tensors.items()}
    header = {"netloom": json.dumps(document)}
    return write_whole(path, lambda partial: save_file(tensors, partial, metadata=header), "the Netformer", NetformerError)


def load(path: str | os.PathLike[str]) -> Netformer:
    """The Netformer of a file, or one that comes with netloom by its name: ``"mlp"``.

    Raises `NetformerError` for a file that is none, `VersionError` for one of a later version.

    >>> load("mlp").family.max_layers
    3
    """
    from safetensors import SafetensorError, safe_open

    if not isinstance(path, str | os.PathLike):
        raise NetformerError(f"a {type(path).__name__} is neither a file nor a name; give the path of a Netformer, or 'mlp'")
    if Path(path).is_dir():
        raise NetformerError(f"{str(path)!r} is a folder; give the file of a Netformer, or 'mlp'")
    shipped = SHIPPED / f"{path}.safetensors"
    file = shipped if str(path).isidentifier() and shipped.exists() and not Path(path).exists() else Path(path)
    try:
        with safe_open(str(file), framework="pt") as opened:
            document = (opened.metadata() or {}).get("netloom", "")
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    except (OSError, SafetensorError, ValueError) as error:
        names = ", ".join(sorted(found.stem for found in SHIPPED.glob("*.safetensors"))) or "none"
        raise NetformerError(f"{str(path)!r} cannot be read as a Netformer: {error}; netloom comes with: {names}") from None
    try:
        said = json.loads(document)
        version = said["netformer"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NetformerError(f"{str(path)!r} is no Netformer that netloom wrote") from None
    if version != VERSION:
        raise VersionError(f"{str(path)!r} is a Netformer of version {version!r}; this netloom reads {VERSION}; use a newer")
    return _made(said, tensors, str(path))


def _made(said: dict[str, Any], tensors: dict[str, Any], where: str) -> Netformer:
    from ..training.loop import Epoch
    from .datasheet import datasheet
    from .model import Netformer

    try:
        former = Netformer(read(Family, said["family"]), read(Settings, said["settings"]), seed=said["seed"])
        probes = former.core.state_dict()["decoder.probes"]
        state = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
        former.core.load_state_dict({**state, "decoder.probes": probes})
        former.curve = tuple(Epoch(**point) for point in said["curve"])
        former.about = dict(said["about"])
        datasheet(former)  # which reads all that is told of the training
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, MemoryError, OverflowError) as error:
        raise NetformerError(f"{where!r} is damaged: {str(error).splitlines()[0] if str(error) else error!r}") from None
    if not all(tensor.isfinite().all() for tensor in former.core.state_dict().values()):
        raise NetformerError(f"{where!r} is damaged: it has numbers that are not finite")
    former.core.eval()
    former.is_fitted = True
    return former
