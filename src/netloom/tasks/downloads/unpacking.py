"""Archives unpacked without trust: nothing lands outside of the folder, nothing but plain files and folders is made."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from ...errors import DownloadError
from ..progress import progress

#: An archive that would unpack to more than so many times its size is refused.
MOST_TIMES = 200


def unpack(archive: Path, folder: Path, holds: str, *, show: bool = True) -> Path:
    """The file or folder ``holds`` of an archive (.zip, .tar, .tar.gz, …), with all beside it, in ``folder``.

    It appears when everything is unpacked. Raises `DownloadError` for damaged archives and for entries that lead out of the
    folder, are links or devices, or come twice.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as made:
            _unpack_into(archive, Path(made), show)
            entries = sorted(Path(made).iterdir(), key=lambda entry: entry.name == holds)
            if not entries or entries[-1].name != holds:
                raise DownloadError(f"{str(archive)!r} holds no {holds!r}; it is another archive than the one expected")
            for entry in entries:  # what is looked for later comes last
                _move(entry, folder / entry.name)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"{str(archive)!r} is no readable archive: {error}") from None
    except OSError as error:
        raise DownloadError(f"cannot unpack {str(archive)!r}: {error.strerror or error}") from None
    return folder / holds


def _move(entry: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(entry, target)


def _unpack_into(archive: Path, folder: Path, show: bool) -> None:
    most = MOST_TIMES * archive.stat().st_size
    done = 0
    with progress(f"unpacking {archive.name}", None, unit="B", show=show) as tell:
        for name, file in _files(archive):
            target = folder / _safe(archive, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as out:
                while block := file.read(1 << 20):
                    done += len(block)
                    if done > most:
                        raise DownloadError(f"{str(archive)!r} is refused: it unpacks to more than {MOST_TIMES} times its size")
                    out.write(block)
                    tell(len(block))


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and contents of every plain file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                kind = entry.external_attr >> 16 & 0o170000
                if kind not in (0, 0o100000, 0o040000):
                    raise DownloadError(f"{str(archive)!r} is refused: {entry.filename[:80]!r} is no plain file")
                if not entry.is_dir():
                    with opened.open(entry) as file:
                        yield entry.filename, file
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if not (member.isfile() or member.isdir()):
                raise DownloadError(f"{str(archive)!r} is refused: {member.name[:80]!r} is no plain file but a link or device")
            contents = tar.extractfile(member) if member.isfile() else None
            if contents is not None:
                yield member.name, contents


def _safe(archive: Path, name: str) -> Path:
    """The path within the folder; `DownloadError` where it leads out of it."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or ".." in parts or not parts or ":" in parts[0]:
        raise DownloadError(f"{str(archive)!r} is refused: the entry {name[:80]!r} leads out of the folder")
    return Path(*parts)
