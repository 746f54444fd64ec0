"""Checksums of files: what they should be, and what they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ...errors import DownloadError
from ..cache import remembered
from ..progress import progress
from .catalogue import RemoteFile


def check(file: RemoteFile, path: Path) -> None:
    """`DownloadError` unless a file that is there already is the one that was published. Remembered while it stays as it is."""
    if not file.checksum:
        return
    stat = path.stat()
    signature = f"{path} {stat.st_size} {stat.st_mtime_ns} {file.checksum}"
    found = remembered("checksums", signature, lambda: mismatch(file, path) or "as published")
    if found != "as published":
        raise DownloadError(f"{str(path)!r} is not the file that was published: {found}. Remove it, and fetch again")


def mismatch(file: RemoteFile, path: Path) -> str | None:
    """How the checksum of ``path`` differs from the published one; None where it does not."""
    kind, _, expected = file.checksum.partition(":")
    if not kind:
        return None
    found = checksum(kind, path)
    if found == expected:
        return None
    name = {"sha256": "SHA-256", "md5": "MD5", "git": "git's SHA-1"}[kind]
    return f"its {name} is {found}, expected {expected}"


def checksum(kind: str, path: Path) -> str:
    """The ``sha256``, ``md5`` or ``git`` checksum of a file, in hexadecimal."""
    size = path.stat().st_size
    digest: Any = hashlib.new("sha1" if kind == "git" else kind, usedforsecurity=False)
    if kind == "git":
        digest.update(f"blob {size}\0".encode())
    with open(path, "rb") as file, progress(f"checking {path.name.removesuffix('.part')}", size, unit="B") as done:
        while block := file.read(1 << 22):
            digest.update(block)
            done(len(block))
    return str(digest.hexdigest())
