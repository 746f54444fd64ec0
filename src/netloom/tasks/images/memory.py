"""All images of a source decoded at once, in parallel, and kept in the cache."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ...errors import NetloomWarning, TaskError
from ..cache import cached, key_of
from ..normalization import row_moments
from ..parts import row_digests
from ..progress import processors, progress
from .decoding import Frame
from .source import ImageSource

#: Images that a thread decodes at a time.
_CHUNK = 256
#: Images that an error names.
_NAMED = 5
#: What is done with files that do not decode.
BROKEN = ("refuse", "skip")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Images as bytes uint8 (N, C, H, W), with what is worked out once for each: digest (N, 16) and moments (N, C, 2)."""

    pixels: np.ndarray
    labels: np.ndarray
    digests: np.ndarray
    moments: np.ndarray


def decoded(source: ImageSource, frame: Frame, broken: str = "refuse", *, show: bool = True) -> Decoded:
    """Every image of ``source`` in ``frame``. Files that do not decode are refused, or with ``skip`` left out and counted."""
    settings = [*frame.shape, frame.inner]
    arrays = cached(key_of(source.digest(show=show), settings), lambda: _decode_all(source, frame, show))
    failures = json.loads(arrays["failures"].tobytes())
    kept = arrays["kept"]
    if failures:
        report_broken([(source.name(int(row)), reason) for row, reason in failures], len(source), broken)
    if not len(kept):
        raise TaskError(f"none of the {len(source)} images can be decoded")
    return Decoded(arrays["pixels"], source.labels[kept], arrays["digests"], arrays["moments"])


def report_broken(failures: list[tuple[str, str]], count: int, broken: str) -> None:
    """Refuse with the names, or warn with them."""
    named = "; ".join(f"{name} ({reason})" for name, reason in failures[:_NAMED])
    more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
    said = f"{len(failures)} of {count} images cannot be decoded: {named}{more}"
    if broken != "skip":
        raise TaskError(f"{said}. Mend or remove them, or leave them out with the setting broken=skip")
    warnings.warn(f"{said}. They are left out", NetloomWarning, stacklevel=2)


def _decode_all(source: ImageSource, frame: Frame, show: bool) -> dict[str, np.ndarray]:
    count = len(source)
    pixels = np.empty((count, *frame.shape), np.uint8)
    digests = np.empty((count, 16), np.uint8)
    moments = np.empty((count, frame.channels, 2), np.int64)

    def work(rows: range) -> list[tuple[int, str]]:
        failures = []
        for row in rows:
            try:
                pixels[row] = source.decode(row, frame)
            except Exception as error:  # Pillow raises many kinds for what is no image
                failures.append((row, reason_of(error)))
        part = slice(rows.start, rows.stop)
        digests[part] = row_digests(pixels[part])
        moments[part] = row_moments(pixels[part])
        return failures

    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    failures = []
    with ThreadPoolExecutor(processors()) as threads, progress("decoding images", count, show=show) as done:
        for chunk, found in zip(chunks, threads.map(work, chunks)):
            failures += found
            done(len(chunk))
    kept = np.setdiff1d(np.arange(count), np.array([row for row, _ in failures], dtype=np.int64))
    if failures:
        pixels, digests, moments = pixels[kept], digests[kept], moments[kept]
    told = np.frombuffer(json.dumps(failures).encode(), np.uint8)
    return {"pixels": pixels, "digests": digests, "moments": moments, "kept": kept, "failures": told}


def reason_of(error: Exception) -> str:
    """Why an image does not decode, in a few words."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "no image that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:120] or type(error).__name__
