"""Examples of operators of linear maps, activations and sources: arguments that fit together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ..ops import DType, Weight
from .operators import COMMON_DTYPES, EXAMPLES, broadcastable, dtypes, one_axis, shapes, sizes, typed

Arguments = dict[str, Any]


def example(*names: str) -> Callable[[Callable[..., Arguments]], Callable[..., Arguments]]:
    """Register a function ``draw → arguments`` (with the operator's name, where it takes one) for operators."""

    def register(function: Callable[..., Arguments]) -> Callable[..., Arguments]:
        strategy = st.composite(function)
        for name in names:
            EXAMPLES[name] = strategy(name) if function.__code__.co_argcount == 2 else strategy()
        return function

    return register


def maybe(draw: Any, role: str) -> Any:
    """The weight called ``role``, or None."""
    return Weight(role) if draw(st.booleans()) else None


def integer_tensor(draw: Any, shape: tuple[int, ...], high: int, among: tuple[str, ...] = ("int64", "int32")) -> Any:
    """Indices below ``high``; no elements where there is nothing to index."""
    return typed(draw(dtypes(among)), shape if high else tuple(0 for _ in shape), 0, max(high, 1))


@example("linear")
def linear(draw: Any) -> Arguments:
    x = typed(draw(dtypes(COMMON_DTYPES)), draw(shapes(1, 4)))
    return {"x": x, "out": draw(sizes()), "weight": Weight("weight"), "bias": maybe(draw, "bias")}


@example("embedding")
def embedding(draw: Any) -> Arguments:
    count = draw(sizes(1))
    x = integer_tensor(draw, draw(shapes(0, 3)), count)
    args = {"x": x, "num_embeddings": count, "features": draw(sizes(1)), "weight": Weight("weight")}
    if draw(st.booleans()):
        args["padding_idx"] = draw(st.integers(-count, count - 1))
    return args


@example("bilinear")
def bilinear(draw: Any) -> Arguments:
    lead, dtype = draw(shapes(0, 2, 1)), draw(dtypes(COMMON_DTYPES))
    x1, x2 = typed(dtype, (*lead, draw(sizes(1)))), typed(dtype, (*lead, draw(sizes(1))))
    return {"x1": x1, "x2": x2, "out": draw(sizes(1)), "weight": Weight("weight"), "bias": maybe(draw, "bias")}


@example("input")
def source_input(draw: Any) -> Arguments:
    return {"dtype": DType(draw(dtypes())), "shape": draw(shapes())}


@example("by_mode")
def by_mode(draw: Any) -> Arguments:
    both = typed(draw(dtypes()), draw(shapes()))
    return {"train": both, "eval": both, "training": draw(st.sampled_from([True, False, "module"]))}


@example("assign")
def assign(draw: Any) -> Arguments:
    shape = draw(shapes())
    value = typed(draw(dtypes(COMMON_DTYPES)), draw(broadcastable(shape)))
    return {"target": Weight("target"), "value": value, "dtype": DType(draw(dtypes(COMMON_DTYPES))), "shape": shape}


@example("parameter", "constant")
def source_parameter(draw: Any) -> Arguments:
    return {"value": Weight("value"), "dtype": DType(draw(dtypes())), "shape": draw(shapes())}


@example("opaque")
def opaque(draw: Any) -> Arguments:
    count = draw(st.integers(1, 3))
    return {"target": "torch.nn.functional.ctc_loss", "types": tuple((draw(dtypes()), draw(shapes())) for _ in range(count))}


@example("glu")
def glu(draw: Any) -> Arguments:
    shape = list(draw(shapes(1, 4)))
    dim = draw(one_axis(len(shape)))
    shape[dim] *= 2
    return {"x": typed(draw(dtypes(COMMON_DTYPES)), tuple(shape)), "dim": dim}


@example("hardtanh")
def hardtanh(draw: Any) -> Arguments:
    low = draw(st.sampled_from([-1.0, 0.0, 0.5]))
    dtype = draw(dtypes((*COMMON_DTYPES, "int64")))
    return {"x": typed(dtype, draw(shapes())), "min_val": low, "max_val": low + draw(st.sampled_from([0.0, 1.0, 6.0]))}


@example("prelu")
def prelu(draw: Any) -> Arguments:
    x = typed(draw(dtypes(COMMON_DTYPES)), draw(shapes(2, 4, 1)))
    return {"x": x, "num_parameters": draw(st.sampled_from([1, x.type.shape[1]])), "weight": Weight("weight")}


@example("softmax", "log_softmax", "softmin", "gumbel_softmax")
def along_an_axis(draw: Any, name: str) -> Arguments:
    shape = draw(shapes())
    args: Arguments = {"x": typed(draw(dtypes(COMMON_DTYPES)), shape), "dim": draw(one_axis(len(shape)))}
    if name == "gumbel_softmax":
        args |= {"tau": draw(st.sampled_from([1.0, 0.5])), "hard": draw(st.booleans())}
    elif draw(st.booleans()):
        args["dtype"] = DType(draw(dtypes(COMMON_DTYPES)))
    return args
