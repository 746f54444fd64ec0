"""Where a command writes its documents: the screen, or a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import FormatError


@contextmanager
def writer(path: str | None) -> Iterator[Callable[[str], None]]:
    """A function that writes one document and ends its line, to ``path`` or to the screen."""
    if path is None:
        yield print
        return
    try:
        file = open(path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115  (closed below, opened where its error is ours)
    except OSError as error:
        raise FormatError(f"cannot write {path!r}: {error.strerror or error}") from None
    with file:
        yield lambda document: print(document, file=file)
