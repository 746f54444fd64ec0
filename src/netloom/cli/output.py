"""Where a command writes its documents: the screen, or a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import FormatError


@contextmanager
def writer(path: str | None) -> Iterator[Callable[[str], None]]:
    """A function that writes one document and ends its line, to ``path`` or to the screen."""
    if path is None:
        yield print
        return
    try:
        # Files are buffered: a full disk may be noticed as late as when they are closed.
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            yield lambda document: print(document, file=file)
    except OSError as error:
        raise FormatError(f"cannot write {path!r}: {error.strerror or error}{_mend(path)}") from None


def refuse_unwritable(path: str | None, *suffixes: str) -> None:
    """`FormatError` for a file that cannot be written, before the work whose result it is to hold.

    ``suffixes`` are those that the file may have, where whoever reads it goes by them.
    """
    if path is None:
        return
    if mend := _mend(path):
        raise FormatError(f"cannot write {path!r}{mend}")
    if Path(path).is_dir():
        raise FormatError(f"cannot write {path!r}: it is a folder; give the name of a file")
    if suffixes and Path(path).suffix.lower() not in suffixes:
        raise FormatError(f"cannot write {path!r}: expected a file that ends with {' or '.join(suffixes)}")


def _mend(path: str) -> str:
    folder = Path(path).parent
    return "" if folder.is_dir() else f"; there is no folder {str(folder)!r}, make it first"
