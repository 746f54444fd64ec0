"""The files of a zoo: where they are, and writing each whole or not at all.

    zoo.json                          what the zoo is: see `Plan`
    tasks/tasks-00000.safetensors     data of tasks; tasks-00000.parquet says what they are, and is written after it
    weights/weights-00000.safetensors tensors of networks, each under NETWORK/KEY
    index/networks-00000.parquet      a row for each of these networks, with its curve; written after them
    datasheet.json, README.md         what is in it, when it is whole
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ZooError

if TYPE_CHECKING:
    import pyarrow

PLAN, DATASHEET, README, LOCK = "zoo.json", "datasheet.json", "README.md", ".lock"
#: Key of what netloom says about a file, in the metadata of Parquet and safetensors.
KEY = "netloom zoo"


def tensors_path(folder: Path, kind: str, number: int) -> Path:
    """The safetensors file of a part; ``kind`` is ``tasks`` or ``weights``."""
    return folder / kind / f"{kind}-{number:05d}.safetensors"


def table_path(folder: Path, kind: str, number: int) -> Path:
    """The Parquet file that says what such a part holds; the part is there exactly when this file is."""
    within, name = ("index", "networks") if kind == "weights" else (kind, kind)
    return folder / within / f"{name}-{number:05d}.parquet"


def write_part(folder: Path, kind: str, number: int, tensors: Mapping[str, Any], table: pyarrow.Table) -> None:
    """Write tensors, then the table that vouches for them; killed in between, there is no part."""
    import pyarrow.parquet as pq
    from safetensors.torch import save

    path = tensors_path(folder, kind, number)
    held = save(dict(tensors), metadata={KEY: json.dumps({"part": number})})
    replace_file(path, lambda partial: partial.write_bytes(held))
    about = {"part": number, "sha256": hashlib.sha256(held).hexdigest(), "bytes": len(held)}
    described = table.replace_schema_metadata({KEY: json.dumps(about)})
    replace_file(table_path(folder, kind, number), lambda partial: pq.write_table(described, partial, compression="zstd"))


def about_part(folder: Path, kind: str, number: int) -> dict[str, Any]:
    """What the table of a part says about its tensors: ``sha256`` and ``bytes``; `ZooError` where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = table_path(folder, kind, number)
    try:
        about: dict[str, Any] = json.loads(pq.read_schema(path).metadata[KEY.encode()])
        return {"sha256": about["sha256"], "bytes": about["bytes"]}
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise ZooError(f"{str(path)!r} is no table of a zoo: {type(error).__name__}: {error}") from None


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file that then takes the place of ``path`` in one step; `ZooError` where that cannot be."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ZooError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sha256_of(path: Path) -> str:
    """Of a file's contents; `ZooError` where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ZooError(f"cannot read {str(path)!r}: {error.strerror or error}") from None


def remove_partial(folder: Path) -> None:
    """Remove what processes that were killed had begun to write."""
    for path in folder.glob("**/.*.partial"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, no other process makes this zoo; `ZooError` where one does. The lock goes with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = open(folder / LOCK, "w")
    except OSError as error:
        raise ZooError(f"a zoo cannot be made in {str(folder)!r}: {error.strerror or error}; give another folder") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ZooError(f"{str(folder)!r} is being made by another process; wait for it, or give another folder") from None
        yield
