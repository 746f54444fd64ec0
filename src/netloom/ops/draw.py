"""Random tensors, drawn from the generator of their device in the order of the graph."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..errors import ShapeError
from .arguments import DType, attr, boolean, dtype_attr, integer, ints, number, operand, optional, tensor
from .create import FLOAT, Filled, Like, without_none
from .dims import Dims, elementwise, names
from .dtypes import is_complex, is_float, is_integer, promote
from .operator import Operator, TensorType, broadcast, pretty


def _check_float(dtype: str) -> None:
    if is_integer(dtype) or dtype.startswith("float8"):
        raise ShapeError(f"these numbers are floating point or complex, not {dtype}; draw them and convert, or use randint")


class FloatFilled(Filled):
    """Base of draws of floating point numbers of ``shape``."""

    effect = "random"

    def infer(self, a: SimpleNamespace) -> TensorType:
        _check_float(a.dtype.name)
        return super().infer(a)


class FloatLike(Like):
    """Base of draws of floating point numbers of the shape of x."""

    effect = "random"

    def infer(self, a: SimpleNamespace) -> TensorType:
        _check_float(a.dtype.name)
        return super().infer(a)


class Rand(FloatFilled):
    """Uniform numbers in [0, 1) of ``shape``."""

    name = "rand"
    code = "torch.rand({shape}, dtype={dtype}, device={device})"
    calls = {"torch.rand": "*shape:size, dtype=None"}


class Randn(FloatFilled):
    """Standard normal numbers of ``shape``."""

    name = "randn"
    code = "torch.randn({shape}, dtype={dtype}, device={device})"
    calls = {"torch.randn": "*shape:size, dtype=None"}


class Randint(Filled):
    """Integers in [low, high) of ``shape``."""

    name = "randint"
    params = (
        attr("low", integer()), attr("high", integer()), attr("shape", ints(low=0)), attr("dtype", dtype_attr, DType("int64")),
    )  # fmt: skip
    code = "torch.randint({low}, {high}, {shape}, dtype={dtype}, device={device})"
    calls = {"torch.randint": "first:low, second:high, third:size=None, dtype=None"}
    effect = "random"

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        first, second, third = call["first"], call["second"], call["third"]
        if third is None:
            first, second, third = 0, first, second
        return super().from_call({"low": first, "high": second, "shape": third, "dtype": call["dtype"]}, type_of)

    def infer(self, a: SimpleNamespace) -> TensorType:
        _check_interval(a.low, a.high)
        return TensorType(a.dtype.name, a.shape)


def _check_interval(low: Any, high: Any) -> None:
    if low >= high:
        raise ShapeError(f"low = {low} must be less than high = {high}")


class Randperm(Operator):
    """The numbers 0 … n-1 in random order."""

    name = "randperm"
    params = (attr("n", integer(0)), attr("dtype", dtype_attr, DType("int64")))
    code = "torch.randperm({n}, dtype={dtype}, device={device})"
    calls = {"torch.randperm": "n, dtype=None"}
    effect = "random"

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return without_none(call)

    def infer(self, a: SimpleNamespace) -> TensorType:
        return TensorType(a.dtype.name, (a.n,))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        return Dims({}, (("n",),), attrs={"n": "n"}, coupled={"n": "other"})


class RandLike(FloatLike):
    """Uniform numbers in [0, 1) of the shape of x."""

    name = "rand_like"
    code = "torch.rand_like({x}, dtype={dtype}, memory_format=torch.{memory_format})"
    calls = {"torch.rand_like": "x:input, dtype=None, memory_format=None"}


class RandnLike(FloatLike):
    """Standard normal numbers of the shape of x."""

    name = "randn_like"
    code = "torch.randn_like({x}, dtype={dtype}, memory_format=torch.{memory_format})"
    calls = {"torch.randn_like": "x:input, dtype=None, memory_format=None"}


class RandintLike(Like):
    """Integers in [low, high) of the shape of x, in its dtype unless another is given."""

    name = "randint_like"
    params = (tensor("x"), attr("low", integer()), attr("high", integer()), *Like.params[1:])
    code = "torch.randint_like({x}, {low}, {high}, dtype={dtype}, memory_format=torch.{memory_format})"
    calls = {"torch.randint_like": "x:input, first:low, second:high=None, dtype=None, memory_format=None"}
    effect = "random"

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        first, second = call.pop("first"), call.pop("second")
        low, high = (0, first) if second is None else (first, second)
        return super().from_call(call | {"low": low, "high": high}, type_of)

    def infer(self, a: SimpleNamespace) -> TensorType:
        _check_interval(a.low, a.high)
        if is_complex(a.dtype.name):
            raise ShapeError(f"integers are drawn in no complex dtype such as {a.dtype.name}; state another dtype")
        return super().infer(a)


# -- drawn in the shape of a tensor --------------------------------------------------------------------------------------
class FillRandom(Operator):
    """Base of operators that draw numbers into memory like that of x, whose own numbers do not count."""

    effect = "random"
    numbers = "float"

    def infer(self, a: SimpleNamespace) -> TensorType:
        if self.numbers == "float" and not (is_float(a.x.dtype) or is_complex(a.x.dtype)):
            raise ShapeError(f"{self.name} draws floating point numbers, not {a.x.dtype}; convert x first")
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        rows = names("d", a.x.rank)
        return Dims({"x": rows}, (rows,))


class UniformLike(FillRandom):
    """Uniform numbers in [low, high) with shape, dtype and strides of x."""

    name = "uniform_like"
    params = (tensor("x"), attr("low", number(), 0.0), attr("high", number(), 1.0))
    code = "torch.empty_like({x}).uniform_({low}, {high})"
    calls = {"Tensor.uniform_": "x, low:from=0.0, high:to=1.0"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.low > a.high:
            raise ShapeError(f"low = {a.low} must not exceed high = {a.high}")
        return super().infer(a)


class NormalLike(FillRandom):
    """Normal numbers with shape, dtype and strides of x."""

    name = "normal_like"
    params = (tensor("x"), attr("mean", number(), 0.0), attr("std", number(0), 1.0))
    code = "torch.empty_like({x}).normal_({mean}, {std})"
    calls = {"Tensor.normal_": "x, mean=0.0, std=1.0"}


class ExponentialLike(FillRandom):
    """Exponentially distributed numbers of rate ``rate`` with shape, dtype and strides of x."""

    name = "exponential_like"
    params = (tensor("x"), attr("rate", number(0), 1.0))
    code = "torch.empty_like({x}).exponential_({rate})"
    calls = {"Tensor.exponential_": "x, rate:lambd=1.0"}

    def infer(self, a: SimpleNamespace) -> TensorType:
        if not a.rate > 0:
            raise ShapeError(f"rate {a.rate}; expected a number > 0")
        if is_complex(a.x.dtype):
            raise ShapeError(f"{self.name} draws real numbers, not {a.x.dtype}; convert x first")
        return super().infer(a)


class BernoulliLike(FillRandom):
    """Ones with probability ``p`` (a number or a tensor that broadcasts), else zeros, with shape, dtype and strides of x."""

    name = "bernoulli_like"
    precedence = 1
    params = (tensor("x"), operand("p", 0.5))
    code = "torch.empty_like({x}).bernoulli_({p})"
    calls = {"Tensor.bernoulli_": "x, p=0.5"}
    numbers = "any"

    def infer(self, a: SimpleNamespace) -> TensorType:
        if isinstance(a.p, TensorType):
            if broadcast(a.p.shape, a.x.shape) != a.x.shape:
                raise ShapeError(f"p {pretty(a.p.shape)} does not broadcast to {pretty(a.x.shape)}")
        elif not 0 <= a.p <= 1:
            raise ShapeError(f"p = {a.p} is no probability; expected a number in [0, 1]")
        return a.x  # type: ignore[no-any-return]

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        shapes = {"x": a.x.shape}
        if isinstance(a.p, TensorType):
            shapes["p"] = a.p.shape
        return elementwise(shapes, a.x.shape)


class Bernoulli(FillRandom):
    """Ones with the probabilities in x, or with probability ``p`` where that is given, else zeros."""

    name = "bernoulli"
    params = (tensor("x"), attr("p", optional(number(0, 1)), None))
    calls = {"torch.bernoulli": "x:input, p=None", "Tensor.bernoulli": "x, p=None"}

    def template(self, a: SimpleNamespace) -> str:
        return "torch.bernoulli({x})" if a.p is None else "torch.bernoulli({x}, {p})"

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.p is None and not is_float(a.x.dtype):
            raise ShapeError(f"probabilities are floating point numbers, not {a.x.dtype}")
        return a.x  # type: ignore[no-any-return]


class Normal(Operator):
    """Normal numbers: ``mean`` and ``std`` tensors or numbers, at least one a tensor; or numbers and a ``shape``."""

    name = "normal"
    params = (
        operand("mean", 0.0),
        operand("std", 1.0),
        attr("shape", optional(ints(low=0)), None),
        attr("dtype", dtype_attr, FLOAT),
    )
    calls = {"torch.normal": "mean=0.0, std=1.0, shape:size=None, dtype=None"}
    effect = "random"

    def from_call(self, call: dict[str, Any], type_of: Callable[[Any], TensorType]) -> dict[str, Any] | None:
        return without_none(call)

    def template(self, a: SimpleNamespace) -> str:
        if a.shape is None:
            return "torch.normal({mean}, {std})"
        return "torch.normal({mean}, {std}, {shape}, dtype={dtype}, device={device})"

    def infer(self, a: SimpleNamespace) -> TensorType:
        given = [t for t in (a.mean, a.std) if isinstance(t, TensorType)]
        if isinstance(a.std, TensorType) and is_complex(a.std.dtype):
            raise ShapeError(f"std is {a.std.dtype}; a standard deviation is real")
        if not isinstance(a.std, TensorType) and not a.std >= 0:
            raise ShapeError(f"std = {a.std}; expected a number ≥ 0")
        if a.shape is not None:
            if given:
                raise ShapeError("shape goes with numbers for mean and std; leave it out")
            return TensorType(a.dtype.name, a.shape)
        if not given:
            raise ShapeError("mean and std are numbers; state the shape")
        if any(is_integer(t.dtype) for t in given):
            raise ShapeError("mean and std must be floating point tensors")
        return TensorType(promote(*given), broadcast(*(t.shape for t in given)))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        if a.shape is not None:
            rows = names("d", len(a.shape))
            return Dims({}, (rows,), attrs={"shape": rows})
        given = {name: t.shape for name in ("mean", "std") if isinstance(t := getattr(a, name), TensorType)}
        return elementwise(given, outputs[0].shape)


class Multinomial(Operator):
    """``num_samples`` indices drawn by the weights in each row of x: (N, categories) → (N, num_samples)."""

    name = "multinomial"
    params = (tensor("x"), attr("num_samples", integer(1)), attr("replacement", boolean, False))
    code = "torch.multinomial({x}, {num_samples}, {replacement})"
    calls = {
        "torch.multinomial": "x:input, num_samples, replacement=False",
        "Tensor.multinomial": "x, num_samples, replacement=False",
    }
    effect = "random"

    def infer(self, a: SimpleNamespace) -> TensorType:
        if a.x.rank not in (1, 2) or not is_float(a.x.dtype):
            raise ShapeError(f"multinomial takes one or two axes of floating point weights, not {a.x}")
        if a.x.shape[-1] == 0:
            raise ShapeError(f"there are no categories to draw from in {pretty(a.x.shape)}")
        if not a.replacement and a.num_samples > a.x.shape[-1]:
            raise ShapeError(f"cannot draw {a.num_samples} of {a.x.shape[-1]} categories without replacement")
        return TensorType("int64", (*a.x.shape[:-1], a.num_samples))

    def dims(self, a: SimpleNamespace, outputs: tuple[TensorType, ...]) -> Dims:
        lead = names("n", a.x.rank - 1)
        return Dims({"x": (*lead, "c")}, ((*lead, "s"),), attrs={"num_samples": "s"}, fixed=frozenset({"c", "s"}))
