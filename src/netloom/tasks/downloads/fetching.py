"""`fetch`: public data into a folder, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from ...errors import DownloadError
from ..cache import cache_folder
from .catalogue import RemoteFile, find_data
from .transfer import download
from .unpacking import unpack


def data_folder(data_dir: str | Path | None = None) -> Path:
    """Where fetched data are: the given folder, or ``data`` in the user's cache."""
    return Path(data_dir).expanduser().absolute() if data_dir is not None else cache_folder() / "data"


def fetch(
    name: str,
    data_dir: str | Path | None = None,
    *,
    files: tuple[str, ...] = (),
    everything: bool = False,
    mirror: str | None = None,
    show: bool = True,
) -> Path:
    """The folder with the data set ``name`` (see `CATALOGUE`), fetched and unpacked where it is not there yet.

    ``files`` are chosen ones by name, ``everything`` also those that are large and rarely needed. ``mirror`` is an address with
    files of the same names, tried instead of the published ones. A transfer that was interrupted is gone on from. Checksums
    are verified where they are publicly known. Raises `DownloadError`, with what to do where there is no network.
    """
    data = find_data(name)
    folder = data_folder(data_dir) / name
    for file in data.chosen(names=files, everything=everything):
        if file.holds and (folder / file.holds).exists():
            continue
        archive = download(_mirrored(file, mirror), folder, show=show)
        if file.holds:
            unpack(archive, folder, file.holds, show=show)
    return folder


def is_fetched(name: str, data_dir: str | Path | None = None) -> bool:
    """Whether the usual files of a data set are in the folder."""
    folder = data_folder(data_dir) / name
    return all((folder / (file.holds or file.name)).exists() for file in find_data(name).files)


def _mirrored(file: RemoteFile, mirror: str | None) -> RemoteFile:
    if mirror is None:
        return file
    if urlsplit(mirror).scheme not in ("http", "https"):
        raise DownloadError(f"mirror {mirror!r}; expected an address that begins with http:// or https://")
    return replace(file, urls=(f"{mirror.rstrip('/')}/{file.name}",))
