"""Artifacts: files named by the SHA-256 of their contents, in a folder or at any URL that fsspec reaches.

A file is written beside its place, forced to disk and moved there before the store notes it, so that what the store notes is
always whole; every reading compares the hash.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import StoreError
from .clock import timestamp
from .subjects import insert_one
from .tables import artifacts

if TYPE_CHECKING:
    from torch import Tensor

    from .database import Database

_SUFFIX = ".safetensors"
_PARTIAL = ".partial"
#: Files that no row names are left alone for so long: another process may be about to note them.
YOUNG_SECONDS = 3600.0


class Folder(Protocol):
    """Where artifacts lie."""

    def put(self, hash: str, data: bytes) -> None: ...

    def get(self, hash: str) -> bytes: ...

    def num_bytes(self, hash: str) -> int | None: ...

    def old_hashes(self) -> Iterator[str]: ...

    def remove(self, hash: str) -> None: ...


def folder_at(place: str) -> Folder:
    """The folder at a path or URL; `StoreError` where fsspec does not know it or lacks a package for it."""
    if "://" not in place or place.startswith("file://"):
        return LocalFolder(Path(place.removeprefix("file://")))
    return RemoteFolder(place)


class LocalFolder:
    """A folder of this machine: ``ab/abcd….safetensors``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return str(self.root)

    def path(self, hash: str) -> Path:
        """Where the file is, or would be."""
        return self.root / hash[:2] / f"{hash}{_SUFFIX}"

    def put(self, hash: str, data: bytes) -> None:
        target = self.path(hash)
        partial = target.with_name(f".{hash}.{os.getpid()}.{secrets.token_hex(4)}{_PARTIAL}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == hash:
                return
            with open(partial, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
            for folder in (target.parent, self.root):
                _sync(folder)
        except OSError as error:
            raise StoreError(
                f"an artifact of {len(data):,} bytes cannot be written to {target.parent}: {error.strerror or error}; "
                "nothing of it was stored. Make room, or ask for the right to write there"
            ) from error
        finally:
            try:
                partial.unlink(missing_ok=True)
            except OSError:
                pass  # the folder itself cannot be reached: the first error says so

    def get(self, hash: str) -> bytes:
        try:
            return self.path(hash).read_bytes()
        except OSError as error:
            raise StoreError(
                f"artifact {hash[:16]}… is missing: {self.path(hash)}: {error.strerror or error}; if the store was moved, move "
                "the folder with it, or give its new place as Store(…, artifacts=FOLDER)"
            ) from None

    def num_bytes(self, hash: str) -> int | None:
        try:
            return self.path(hash).stat().st_size
        except OSError:
            return None

    def old_hashes(self) -> Iterator[str]:
        for path in sorted(self.root.glob("*/*")):
            if path.suffix in (_SUFFIX, _PARTIAL) and time.time() - path.stat().st_mtime > YOUNG_SECONDS:
                if path.suffix == _PARTIAL:
                    path.unlink(missing_ok=True)
                else:
                    yield path.stem

    def remove(self, hash: str) -> None:
        self.path(hash).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class RemoteFolder:
    """A place that fsspec reaches: ``s3://bucket/netloom``, ``gs://…``, ``memory://…``."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            import fsspec  # type: ignore[import-untyped]

            self.files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise StoreError(f"artifacts at {url} need a package that is not there: {error}") from None
        except ValueError as error:
            raise StoreError(f"artifacts cannot be kept at {url}: {error}; give a folder, or a URL that fsspec knows") from None
        self.root = str(root).rstrip("/")

    def __repr__(self) -> str:
        return self.url

    def _path(self, hash: str) -> str:
        return f"{self.root}/{hash[:2]}/{hash}{_SUFFIX}"

    def put(self, hash: str, data: bytes) -> None:
        if self.num_bytes(hash) == len(data):
            return
        try:
            self.files.makedirs(f"{self.root}/{hash[:2]}", exist_ok=True)
            self.files.pipe_file(self._path(hash), data)
        except Exception as error:  # every file system of fsspec has errors of its own
            raise StoreError(f"an artifact of {len(data):,} bytes cannot be written to {self.url}: {error}") from error

    def get(self, hash: str) -> bytes:
        try:
            return bytes(self.files.cat_file(self._path(hash)))
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise StoreError(f"artifact {hash[:16]}… cannot be read from {self.url}: {told}") from error

    def num_bytes(self, hash: str) -> int | None:
        try:
            return int(self.files.size(self._path(hash)))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise StoreError(f"artifacts at {self.url} cannot be looked at: {type(error).__name__}: {error}") from error

    def old_hashes(self) -> Iterator[str]:
        """None: not every file system says when a file was written, and a young one must not be taken for a leftover."""
        return iter(())

    def remove(self, hash: str) -> None:
        try:
            self.files.rm_file(self._path(hash))
        except FileNotFoundError:
            pass


def read(folder: Folder, hash: str) -> bytes:
    """The contents of an artifact; `StoreError` where they are missing or not what the hash says."""
    data = folder.get(hash)
    found = hashlib.sha256(data).hexdigest()
    if found != hash:
        raise StoreError(
            f"artifact {hash[:16]}… in {folder!r} is damaged: its {len(data):,} bytes have the hash {found[:16]}…; restore the "
            "file from a copy, or train again and store.save_weights what comes out"
        )
    return data


def add(database: Database, folder: Folder, data: bytes) -> str:
    """Write a file and then let the store know of it; gives its hash."""
    if database.read_only:
        database.write(lambda connection: None)  # says why it cannot be
    hash = hashlib.sha256(data).hexdigest()
    folder.put(hash, data)
    values = {"hash": hash, "num_bytes": len(data), "created": timestamp()}
    database.write(lambda connection: insert_one(connection, artifacts, values, "hash"))
    return hash


def packed(weights: Any) -> bytes:
    """Weights as safetensors: of a network, any module, or a dict of tensors. The same weights give the same bytes."""
    from safetensors.torch import save

    return bytes(save({key: tensor.detach().cpu().contiguous().clone() for key, tensor in _state(weights).items()}))


def _state(weights: Any) -> Mapping[str, Any]:
    import torch

    from ..building.network import Network, full_state

    if isinstance(weights, Network):
        own = {key for key, entry in weights.graph.tensors.items() if entry.alias_of is None}
        return {key: tensor for key, tensor in full_state(weights).items() if key in own}
    state = weights.state_dict() if isinstance(weights, torch.nn.Module) else weights
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in state.items()
    ):
        raise StoreError(f"weights are a network, an nn.Module or a dict of tensors by name, not a {type(weights).__name__}")
    return state


def unpacked(data: bytes, hash: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(data))
    except SafetensorError as error:
        raise StoreError(f"artifact {hash[:16]}… holds no weights: {error}") from None
