"""What an exception of something that learns is called, and where in its code it came from."""

from __future__ import annotations

import linecache
from traceback import extract_tb

#: A message is cut after so many characters: some quote whole tensors.
_LONGEST = 4000


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out; torch says so in several ways.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    (True, True)
    """
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def told(error: BaseException) -> str:
    """The exception in a line or a few, with the last line of code that is neither torch's nor this library's own.

    >>> try:
    ...     {}["key"]
    ... except KeyError as error:
    ...     print(told(error))
    KeyError: 'key' at <doctest netloom.training.failures.told[0]>:2: {}["key"]
    """
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    place = _place(error)
    return text[: _LONGEST - len(place)] + place


def _place(error: BaseException) -> str:
    theirs = [frame for frame in extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    if not theirs:
        return ""
    frame = theirs[-1]
    line = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
    return f" at {frame.filename}:{frame.lineno}: {line}"[:500]


def _is_ours(filename: str) -> bool:
    """Files of torch and netloom; the generated forward of a network is called ``<netloom …>`` and says most."""
    parts = filename.replace("\\", "/").split("/")
    return "torch" in parts or "netloom" in parts
