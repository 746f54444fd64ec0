"""Reading pickles of tensors without running what is in them.

The files of GHN-3 are joblib pickles, which may hold any code. This reader makes tensors, dicts, lists, numbers and strings;
a pickle that asks for anything else is refused before it is called.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..errors import HypernetworkError

#: First bytes of compressed files → what opens them.
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ": "lzma",
    b"\x78\x01": "zlib",
    b"\x78\x5e": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
}
#: Bytes that a compressed file may unpack to.
MAX_BYTES = 8 << 30


def read_pickle(path: Path) -> Any:
    """What a pickle (also one of joblib, also compressed) holds; `HypernetworkError` where it is more than data."""
    data = _unpacked(path.read_bytes(), path)
    try:
        return _Reader(io.BytesIO(data)).load()
    except HypernetworkError as error:
        raise HypernetworkError(f"{str(path)!r}: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise HypernetworkError(
            f"{str(path)!r} cannot be read as a hypernetwork: it is neither safetensors, nor what torch.save writes, nor a "
            f"pickle of tensors, or it is damaged ({str(error) or type(error).__name__})"
        ) from None


def _unpacked(data: bytes, path: Path) -> bytes:
    kind = next((kind for magic, kind in _COMPRESSED.items() if data.startswith(magic)), None)
    if kind is None:
        return data
    import bz2
    import lzma
    import zlib

    try:
        if kind in ("gzip", "zlib"):
            reader: Any = zlib.decompressobj(wbits=47)
        else:
            reader = bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor()
        made: bytes = reader.decompress(data, MAX_BYTES)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise HypernetworkError(f"{str(path)!r} is damaged: {error}") from None
    if len(made) >= MAX_BYTES:
        raise HypernetworkError(f"{str(path)!r} unpacks to {MAX_BYTES:,} bytes or more, which no hypernetwork has")
    return made


def _storage(data: bytes) -> Any:
    """A storage from the bytes of another file, which are read in the same way."""
    if not isinstance(data, bytes):
        raise HypernetworkError("a tensor's numbers are not bytes")
    return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")


def _parameter(data: Any, requires_grad: Any = False, hooks: Any = None) -> torch.Tensor:
    if not isinstance(data, torch.Tensor):
        raise HypernetworkError("a parameter that is no tensor")
    return data


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> torch.Tensor:
    from torch._utils import _rebuild_tensor

    numbers = (offset, *size, *stride)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise HypernetworkError("a tensor with sizes that are no whole numbers")
    made: torch.Tensor = _rebuild_tensor(storage, offset, tuple(size), tuple(stride))
    return made


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch", "Size"): torch.Size,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise HypernetworkError(
                f"it asks for {module}.{name}, which is more than tensors and numbers: it may run code and is not read. If you "
                "trust where it is from, load it yourself and save its state_dict as safetensors"
            )
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise HypernetworkError("it refers to another file")
