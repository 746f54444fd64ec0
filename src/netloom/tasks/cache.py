"""Decoded data on disk: safetensors files in the user's cache folder, by the hash of what they were decoded from."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NetloomWarning

if TYPE_CHECKING:
    import numpy

#: Version of the way in which netloom decodes; part of every key.
DECODER = 1


def cache_folder() -> Path:
    """Where netloom keeps what it can make or fetch again: ``$NETLOOM_CACHE``, else the platform's place for caches."""
    given = os.environ.get("NETLOOM_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "netloom" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "netloom"
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given and os.path.isabs(given) else Path.home() / ".cache") / "netloom"


def key_of(*facts: Any) -> str:
    """A key for what is decoded from sources of these hashes with these settings (JSON values).

    >>> key_of("digest of a file", {"size": 32}) == key_of("digest of a file", {"size": 32})
    True
    """
    text = json.dumps(["netloom decoder", DECODER, *facts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def cached(key: str, make: Callable[[], Mapping[str, numpy.ndarray]]) -> dict[str, numpy.ndarray]:
    """The arrays of ``key``: read (mapped, not copied) where they are in the cache, else made and written.

    A cache that cannot be written costs a `NetloomWarning`, never the data.
    """
    path = cache_folder() / "decoded" / f"{key}.safetensors"
    found = _read(path)
    if found is not None:
        return found
    made = dict(make())
    if _write(path, made):
        # The copy on disk can be dropped from memory and is shared with other processes.
        return _read(path) or made
    return made


def decoded_bytes() -> int:
    """How much the decoded data in the cache take."""
    return sum(path.stat().st_size for path in (cache_folder() / "decoded").glob("*.safetensors"))


def clear_decoded() -> int:
    """Remove all decoded data, and what is remembered of their sources; how many bytes that were."""
    freed = 0
    for name in ("decoded", "sources", "scalings", "frames"):
        for path in (cache_folder() / name).glob("*"):
            freed += path.stat().st_size
            path.unlink(missing_ok=True)
    return freed


def _read(path: Path) -> dict[str, numpy.ndarray] | None:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name).numpy() for name in file.keys()}
    except (SafetensorError, OSError, ValueError):
        return None  # damaged, as by a full disk: made again and written over


def _write(path: Path, arrays: Mapping[str, numpy.ndarray]) -> bool:
    from safetensors.numpy import save_file

    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(arrays), str(partial))
        os.replace(partial, path)
    except Exception as error:  # safetensors has errors of its own for a full disk
        _unlink(partial)
        note_unwritable(path.parent, error)
        return False
    return True


def note_unwritable(folder: Path, error: Exception) -> None:
    """Say that the cache is not there to be used."""
    warnings.warn(
        f"the cache folder {str(folder)!r} cannot be written ({error}); data will be decoded again the next time. "
        "Set NETLOOM_CACHE to a folder with space",
        NetloomWarning,
        stacklevel=2,
    )


def remembered(name: str, signature: str, make: Callable[[], str]) -> str:
    """A short text, such as a digest, that holds as long as ``signature`` does (path, sizes and times of files)."""
    path = cache_folder() / name / f"{hashlib.sha256(signature.encode(errors='surrogateescape')).hexdigest()}.txt"
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        pass
    text = make()
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text)
        os.replace(partial, path)
    except OSError:
        _unlink(partial)  # the next time it is worked out again
    return text


def _partial(path: Path) -> Path:
    """Where a file is written before it gets its name: one for each process and thread."""
    return path.with_name(f".{path.stem}.{os.getpid()}.{threading.get_ident()}.partial")


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass
