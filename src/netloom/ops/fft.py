"""Discrete Fourier transforms along one axis or several, and the short-time transform."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import attr, boolean, choice, integer, ints, optional, tensor
from .dims import Dims, names
from .dtypes import is_complex, is_integer, real_of
from .operator import Operator, TensorType, axes, pretty
from .view import plain_sizes, replaced

_NORMS = choice("backward", "forward", "ortho", None)
_COMPLEX = {"float32": "complex64", "float64": "complex128"}


class Fourier(Operator):
    """Base of transforms. ``kind``: complex (to complex), real (to half the spectrum), inverse_real (back from it)."""

    kind = "complex"

    def spectrum_dtype(self, x: TensorType) -> str:
        """The dtype of the result."""
        dtype = "float32" if is_integer(x.dtype) else x.dtype
        if self.kind == "real" and is_complex(dtype):
            raise ShapeError(f"{self.name} takes real numbers, not {dtype}; use fft")
        if real_of(dtype) not in _COMPLEX:
            raise ShapeError(f"{self.name} takes float32, float64 or their complex forms, not {dtype}; convert x first")
        return real_of(dtype) if self.kind == "inverse_real" else _COMPLEX[real_of(dtype)]

    def length(self, size: Any, given: Any, last: bool) -> Any:
        """The length of the transform along an axis of ``size``."""
        if given is not None and given != -1:
            return given
        return 2 * (size - 1) if last and self.kind == "inverse_real" else size

    def transformed(self, x: TensorType, dims: tuple[int, ...], lengths: tuple[Any, ...]) -> TensorType:
        """The type of the result for transforms of ``lengths`` along ``dims``."""
        shape = x.shape
        for i, (dim, length) in enumerate(zip(dims, lengths)):
            if length < 1 or shape[dim] < 1:
                raise ShapeError(f"a transform of {length} points along axis {dim} of {pretty(x.shape)}; expected at least 1")
            last = i == len(dims) - 1
            shape = replaced(shape, dim, length // 2 + 1 if last and self.kind == "real" else length)
        return TensorType(self.spectrum_dtype(x), shape)

    def tied(self, rank: int, dims: tuple[int, ...]) -> Dims:
        """Transformed axes keep their sizes; the others pass."""
        rows = names("d", rank)
        out = tuple(f"f{i}" if i in dims else row for i, row in enumerate(rows))
        return Dims({"x": rows}, (out,), fixed=frozenset(f"{prefix}{i}" for i in dims for prefix in "df"))


class Along(Fourier):
    """Base of transforms of ``n`` points along ``dim``; x is cut or padded with zeros to that length."""

    params = (
        tensor("x"), attr("n", optional(integer(1)), None), attr("dim", integer(), -1, axis_of="x"),
        attr("norm", _NORMS, "backward"),
    )  # fmt: skip

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        if not a.x.rank:
            raise ShapeError("a tensor without axes has nothing to transform")
        return {"n": self.length(a.x.shape[a.dim], a.n, True), "norm": a.norm or "backward"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return self.transformed(a.x, (a.dim,), (a.n,))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return self.tied(a.x.rank, (a.dim,))


class FFT(Along):
    """Fourier transform along ``dim``."""

    name = "fft"
    zero_terms = ("x",)
    code = "torch.fft.fft({x}, {n}, {dim}, {norm})"
    calls = {"torch.fft.fft": "x:input, n=None, dim=-1, norm=None"}


class IFFT(Along):
    """Inverse Fourier transform along ``dim``."""

    name = "ifft"
    zero_terms = ("x",)
    code = "torch.fft.ifft({x}, {n}, {dim}, {norm})"
    calls = {"torch.fft.ifft": "x:input, n=None, dim=-1, norm=None"}


class RFFT(Along):
    """Fourier transform of real numbers along ``dim``: n // 2 + 1 frequencies."""

    name = "rfft"
    zero_terms = ("x",)
    code = "torch.fft.rfft({x}, {n}, {dim}, {norm})"
    calls = {"torch.fft.rfft": "x:input, n=None, dim=-1, norm=None"}
    kind = "real"


class IRFFT(Along):
    """Real numbers from half a spectrum along ``dim``: n of them."""

    name = "irfft"
    zero_terms = ("x",)
    code = "torch.fft.irfft({x}, {n}, {dim}, {norm})"
    calls = {"torch.fft.irfft": "x:input, n=None, dim=-1, norm=None"}
    kind = "inverse_real"


class Several(Fourier):
    """Base of transforms along several axes ``dim`` (all where None) of ``s`` points each."""

    params = (
        tensor("x"), attr("s", optional(ints(low=-1)), None), attr("dim", optional(ints()), None),
        attr("norm", _NORMS, "backward"),
    )  # fmt: skip

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return None if call["s"] is not None and plain_sizes(call["s"]) is None else call

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        rank = a.x.rank
        if a.dim is not None:
            dims = axes(a.dim, rank, "dim")
        else:
            count = rank if a.s is None else len(a.s)
            if count > rank:
                raise ShapeError(f"s = {a.s} has more entries than {pretty(a.x.shape)} has axes")
            dims = tuple(range(rank - count, rank))
        given = a.s or (None,) * len(dims)
        if len(given) != len(dims) or (not dims and self.kind != "complex"):
            least = "" if self.kind == "complex" else ", at least one"
            raise ShapeError(f"s = {a.s} and dim = {a.dim} must have one entry for each axis to transform{least}")
        if dims and not rank:
            raise ShapeError(f"dim = {a.dim} of a tensor without axes; leave it out")
        last = len(dims) - 1
        sizes = tuple(self.length(a.x.shape[d], n, i == last) for i, (d, n) in enumerate(zip(dims, given)))
        return {"s": sizes, "dim": dims, "norm": a.norm or "backward"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        return self.transformed(a.x, a.dim, a.s)

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return self.tied(a.x.rank, a.dim)


def _several(name: str) -> dict[str, str]:
    return {
        f"torch.fft.{name}n": "x:input, s=None, dim=None, norm=None",
        f"torch.fft.{name}2": "x:input, s=None, dim=(-2, -1), norm=None",
    }


class FFTN(Several):
    """Fourier transform along several axes."""

    name = "fftn"
    zero_terms = ("x",)
    code = "torch.fft.fftn({x}, {s}, {dim}, {norm})"
    calls = _several("fft")


class IFFTN(Several):
    """Inverse Fourier transform along several axes."""

    name = "ifftn"
    zero_terms = ("x",)
    code = "torch.fft.ifftn({x}, {s}, {dim}, {norm})"
    calls = _several("ifft")


class RFFTN(Several):
    """Fourier transform of real numbers along several axes; the last one keeps half the spectrum."""

    name = "rfftn"
    zero_terms = ("x",)
    code = "torch.fft.rfftn({x}, {s}, {dim}, {norm})"
    calls = _several("rfft")
    kind = "real"


class IRFFTN(Several):
    """Real numbers from a spectrum of which the last axis holds half."""

    name = "irfftn"
    zero_terms = ("x",)
    code = "torch.fft.irfftn({x}, {s}, {dim}, {norm})"
    calls = _several("irfft")
    kind = "inverse_real"


class FFTShift(Operator):
    """The zero frequency moved to the middle of ``dim`` (of every axis where None)."""

    name = "fftshift"
    zero_terms = ("x",)
    params = (tensor("x"), attr("dim", optional(ints()), None, axis_of="x"))
    code = "torch.fft.fftshift({x}, {dim})"
    calls = {"torch.fft.fftshift": "x:input, dim=None"}

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {"dim": tuple(range(a.x.rank)) if a.dim is None else a.dim}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if not a.dim or not a.x.rank:
            raise ShapeError(f"dim {a.dim} of {pretty(a.x.shape)} names no axis to shift along; name at least one")
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (rows,), fixed=frozenset(rows[i] for i in a.dim if rows))


class IFFTShift(FFTShift):
    """The inverse of `FFTShift`."""

    name = "ifftshift"
    zero_terms = ("x",)
    code = "torch.fft.ifftshift({x}, {dim})"
    calls = {"torch.fft.ifftshift": "x:input, dim=None"}


class STFT(Operator):
    """Short-time Fourier transform of signals (L) or (N, L): → (N, frequencies, frames), complex."""

    name = "stft"
    zero_terms = ("x",)
    params = (
        tensor("x"), attr("n_fft", integer(1)), attr("hop_length", optional(integer(1)), None),
        attr("win_length", optional(integer(1)), None), tensor("window", None), attr("center", boolean, True),
        attr("pad_mode", choice("reflect", "constant", "replicate", "circular"), "reflect"), attr("normalized", boolean, False),
        attr("onesided", optional(boolean), None),
    )  # fmt: skip
    code = (
        "torch.stft({x}, {n_fft}, {hop_length}, {win_length}, {window}, {center}, {pad_mode}, {normalized}, {onesided}, "
        "return_complex=True)"
    )
    calls = {
        f"{owner}.stft": f"{first}, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode='reflect', "
        "normalized=False, onesided=None, return_complex=None, align_to_window=None"
        for owner, first in (("torch", "x:input"), ("Tensor", "x"))
    }

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        complex_result = call.pop("return_complex") or is_complex(type_of(call["x"]).dtype)
        return call if complex_result and call.pop("align_to_window") is None else None

    def normalize(self, a: SimpleNamespace) -> dict[str, Any]:
        return {
            "hop_length": a.n_fft // 4 if a.hop_length is None else a.hop_length,
            "win_length": a.n_fft if a.win_length is None else a.win_length,
            "onesided": not is_complex(a.x.dtype) if a.onesided is None else a.onesided,
            "pad_mode": a.pad_mode if a.center else "reflect",
        }

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank not in (1, 2) or real_of(a.x.dtype) not in _COMPLEX:
            raise ShapeError(f"signals are float32 or float64 of (L) or (N, L), not {a.x}")
        if a.hop_length < 1 or a.win_length > a.n_fft:
            raise ShapeError(f"hop_length {a.hop_length} must be ≥ 1 and win_length {a.win_length} ≤ n_fft {a.n_fft}")
        if a.window is not None and a.window.shape != (a.win_length,):
            raise ShapeError(f"the window {pretty(a.window.shape)} must have win_length = {a.win_length} elements")
        if a.onesided and is_complex(a.x.dtype):
            raise ShapeError("complex signals have two sides; leave onesided out")
        half = a.n_fft // 2
        if a.center and a.pad_mode == "reflect" and half >= a.x.shape[-1]:
            raise ShapeError(f"{a.x.shape[-1]} samples are too few to reflect {half} at each end; use a smaller n_fft")
        length = a.x.shape[-1] + (2 * half if a.center else 0)
        if length < a.n_fft:
            raise ShapeError(f"{length} samples are fewer than n_fft = {a.n_fft}; use a smaller one")
        frames = (length - a.n_fft) // a.hop_length + 1
        return TensorType(_COMPLEX[real_of(a.x.dtype)], (*a.x.shape[:-1], half + 1 if a.onesided else a.n_fft, frames))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x.rank - 1)
        operands: dict[str, Any] = {"x": (*lead, "l")}
        fixed = {"l", "f", "t"}
        if a.window is not None:
            operands["window"] = ("w",)
            fixed.add("w")
        return Dims(operands, ((*lead, "f", "t"),), fixed=frozenset(fixed))
