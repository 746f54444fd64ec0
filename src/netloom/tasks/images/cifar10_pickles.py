"""The python batches of CIFAR-10, read by an unpickler that makes lists, numbers, text and byte arrays, and nothing else.

A pickle is a program; the usual reader runs whatever the file names. Here every name in the file stands for one of the
few things below, which are netloom's own, so a file that asks for anything else is refused before it gets it.

Source of the format: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import TaskError

#: Kinds of elements that an array may have: signed, unsigned, floating point, boolean.
_KINDS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "b1")


class _DType:
    """Stands for `numpy.dtype`; keeps the name of the elements."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "<"
        if self.code not in _KINDS:
            raise pickle.UnpicklingError(f"an array of {str(self.code)[:40]!r}")

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = ">" if order in (">", b">") else "<"

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _NDArray:
    """Stands for `numpy.ndarray`; becomes one when the file has told shape, elements and bytes."""

    __slots__ = ("array",)

    def __init__(self, *_: Any) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _DType) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("an array that is not one of numbers")
        data = data.encode("latin-1") if isinstance(data, str) else data
        self.array = _array(data, kind, shape, "F" if fortran else "C")


def _array(data: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    return np.frombuffer(bytes(data), kind.dtype).reshape(tuple(int(size) for size in shape), order=order)


def _reconstruct(*_: Any) -> _NDArray:
    """Stands for numpy's function of that name, which makes the empty array that `__setstate__` fills."""
    return _NDArray()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands for ``codecs.encode``, by which old protocols write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text encoded as {encoding[:40]!r}")
    return text.encode("latin-1")


class _Function:
    """A function that a file may call, but not write attributes on."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *given: Any) -> Any:
        return self._call(*given)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("changes to a function")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _Function(_encode),
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _NDArray,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Function(_reconstruct)
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Function(_array)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name}"[:120])
        return _ALLOWED[module, name]


def read_pickle(path: str | Path) -> Any:
    """What the file holds: dicts, lists, numbers, text, bytes and numeric arrays. `TaskError` for anything else."""
    try:
        with open(path, "rb") as file:
            return _plain(_Reader(file, encoding="bytes").load())
    except pickle.UnpicklingError as error:
        raise TaskError(
            f"{str(path)!r} is refused: it asks for {error}, where a CIFAR-10 batch has numbers and arrays only; "
            "nothing of it was run. Fetch the data again with: netloom data fetch cifar10"
        ) from None
    except OSError as error:
        raise TaskError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except Exception as error:  # the errors of damaged pickles are of every kind
        raise TaskError(f"{str(path)!r} is no readable pickle: {type(error).__name__}: {error}") from None


def _plain(value: Any) -> Any:
    """Arrays in the place of what stood for them."""
    if isinstance(value, _NDArray):
        return value.array
    if isinstance(value, dict):
        return {_plain(key): _plain(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(held) for held in value)
    return value


def read_batch(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """One batch: pixels uint8 (N, 3, 32, 32) and labels int64 (N,)."""
    found = read_pickle(path)
    found = found if isinstance(found, dict) else {}
    data, labels = (found.get(key.encode(), found.get(key)) for key in ("data", "labels"))
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3072 or data.dtype != np.uint8:
        has = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else f"{type(data).__name__}"
        raise TaskError(f"{str(path)!r} has {has} as its data; a CIFAR-10 batch has uint8 of shape (N, 3072)")
    try:
        classes = np.asarray(labels, dtype=np.int64)
    except (TypeError, ValueError):
        classes = np.empty(0, np.int64)
    if classes.shape != data.shape[:1] or (len(classes) and not 0 <= classes.min() <= classes.max() < 10):
        raise TaskError(f"{str(path)!r}: its labels are not {len(data)} numbers in [0, 9]")
    return data.reshape(-1, 3, 32, 32), classes


def read_class_names(folder: Path) -> tuple[str, ...] | None:
    """The names in ``batches.meta``; None where it does not say."""
    if not (folder / "batches.meta").is_file():
        return None
    found = read_pickle(folder / "batches.meta")
    names = found.get(b"label_names", found.get("label_names")) if isinstance(found, dict) else None
    if not isinstance(names, list) or len(names) != 10:
        return None
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names)
