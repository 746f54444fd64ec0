"""One file over HTTP: resumed where it stopped, tried again where it fails, checked before it gets its name."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import DownloadError
from ..progress import progress
from .catalogue import RemoteFile
from .checksums import check, mismatch

#: Seconds that a server may be silent, and that are waited before the next tries.
TIMEOUT_SECONDS = 30.0
PAUSES_SECONDS = (0.5, 2.0, 5.0)
_BLOCK = 1 << 18
#: Answers after which the same address may be tried again.
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class _Broken(Exception):
    """A transfer that stopped; worth another try where ``passing``."""

    def __init__(self, reason: str, *, passing: bool = True) -> None:
        super().__init__(reason)
        self.passing = passing


class _Complete(Exception):
    """All of the file is here already."""


class _Stale(Exception):
    """What is here is longer than the file."""


def download(file: RemoteFile, folder: Path, *, show: bool = True) -> Path:
    """The file in ``folder``, fetched unless it is there, its checksum verified.

    What arrived of an interrupted transfer stays in ``NAME.part`` and is gone on from. Raises `DownloadError` that names the
    address and where to put the file by hand.
    """
    target = folder / file.name
    with _alone(folder):
        if target.is_file():
            check(file, target)
            return target
        partial = folder / f"{file.name}.part"
        reasons = []
        for url in file.urls:
            reason = _try(file, url, partial, show)
            if reason is None:
                _tag_file(partial).unlink(missing_ok=True)
                os.replace(partial, target)
                return target
            reasons.append(f"{url} ({reason})")
    raise DownloadError(
        f"cannot fetch {file.name} from {'; '.join(reasons)}. With a browser or another machine, get {file.urls[0]} "
        f"and put it into {str(folder)!r} as {file.name!r}; then call again"
    )


def _try(file: RemoteFile, url: str, partial: Path, show: bool) -> str | None:
    """Fetch from one address and verify; why it did not work, or None."""
    while True:
        resumed = _size(partial) > 0
        try:
            _fetch_whole(url, partial, bool(file.checksum), show)
        except _Broken as error:
            return str(error)
        reason = mismatch(file, partial)
        if reason is None:
            return None
        _drop(partial)
        if not resumed:
            return f"what it sent is not the file that was published: {reason}"
        # The beginning may have been of another time or address: once more, from the start.


def _fetch_whole(url: str, partial: Path, checked: bool, show: bool) -> None:
    """Try, and go on from what there is, until all of it is here. The pauses begin again after every step forward."""
    pauses = list(PAUSES_SECONDS)
    while True:
        before = _size(partial)
        try:
            return _fetch(url, partial, checked, show)
        except _Broken as error:
            if not error.passing:
                raise
            if _size(partial) > before:
                pauses = list(PAUSES_SECONDS)
            if not pauses:
                raise
            time.sleep(pauses.pop(0))


def _fetch(url: str, partial: Path, checked: bool, show: bool) -> None:
    """One request for what is missing, appended to ``partial``."""
    request = urllib.request.Request(url, headers={"User-Agent": "netloom", "Accept-Encoding": "identity"})
    start, tag = _size(partial), _tag(partial, url)
    # Without a tag or a checksum nobody could say whether the rest belongs to the beginning.
    if start and (tag or checked):
        request.add_header("Range", f"bytes={start}-")
        if tag:
            request.add_header("If-Range", tag)
    else:
        start = 0
    try:
        answer = _opened(request)
    except _Complete:
        return
    except _Stale:
        _drop(partial)
        raise _Broken("it has another file now") from None
    with answer:
        start, total = _place(answer, start)
        _check_space(partial, start, total)
        _remember_tag(partial, url, answer)
        with (
            _written(partial, "ab" if start else "wb") as file,
            progress(f"fetching {partial.name.removesuffix('.part')}", total, unit="B", show=show) as done,
        ):
            done(start)
            while block := _read(answer):
                file.write(block)
                done(len(block))
    if total is not None and _size(partial) != total:
        raise _Broken(f"the connection ended after {_size(partial):,} of {total:,} bytes")


def _opened(request: urllib.request.Request) -> Any:
    """The answer; `_Complete` or `_Stale` where the server has nothing after the bytes that are here."""
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        asked = request.get_header("Range")
        if error.code == 416 and asked is not None:
            whole = error.headers.get("Content-Range") == f"bytes */{asked[6:-1]}"
            raise (_Complete if whole else _Stale) from None
        raise _Broken(f"it answers {error.code} {error.reason}", passing=error.code in _PASSING) from None
    except urllib.error.URLError as error:
        # No network, or nobody there: waiting a few seconds would not change it.
        unreachable = isinstance(error.reason, (socket.gaierror, ConnectionRefusedError))
        raise _Broken(_why(error.reason), passing=not unreachable) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Broken(_why(error)) from None


def _place(answer: Any, start: int) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how long the whole file is."""
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start:
            raise _Broken("it sent another range of bytes than the one asked for", passing=False)
        return start, None if found[2] == "*" else int(found[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _read(answer: Any) -> bytes:
    try:
        block: bytes = answer.read(_BLOCK)
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"the connection broke: {_why(error)}") from None
    return block


def _why(reason: Any) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer in {TIMEOUT_SECONDS:g} s"
    return str(getattr(reason, "strerror", None) or reason) or type(reason).__name__


# -- on disk -------------------------------------------------------------------------------------------------------
@contextmanager
def _written(path: Path, mode: str) -> Iterator[Any]:
    try:
        with open(path, mode) as file:
            yield file
    except OSError as error:
        raise DownloadError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def _check_space(partial: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(partial.parent).free
    if total is not None and total - start > free:
        raise DownloadError(f"{str(partial.parent)!r} has {free:,} bytes free; {total - start:,} are needed")


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.is_file() else 0


def _tag_file(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.tag")


def _tag(partial: Path, url: str) -> str:
    """What the server called this version of the file, for ``If-Range``."""
    try:
        known, _, tag = _tag_file(partial).read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return ""
    return tag if known == url else ""


def _remember_tag(partial: Path, url: str, answer: Any) -> None:
    tag = answer.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # weak tags may not be used to go on
        tag = answer.headers.get("Last-Modified", "")
    with _written(_tag_file(partial), "w") as file:
        file.write(f"{url}\n{tag}")


def _drop(partial: Path) -> None:
    for path in (partial, _tag_file(partial)):
        path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time writes into ``folder``; the others wait."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "w")
    except OSError as error:
        raise DownloadError(f"cannot write into {str(folder)!r}: {error.strerror or error}") from None
    with lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass  # no such locks here: two downloads at once may disturb each other, and the checksum will tell
        yield
