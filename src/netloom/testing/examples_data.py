"""Examples of indexing, casts, tensors made from sizes, and random draws."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ..ops import DType, Slice
from .examples import Arguments, example, integer_tensor
from .operators import (
    ALL_DTYPES,
    COMMON_DTYPES,
    broadcastable,
    dtypes,
    one_axis,
    permutations_of,
    shapes,
    sizes,
    some_axes,
    typed,
)

INTEGERS = ("int64", "int32")
FLOATS = ("float32", "float32", "float64", "bfloat16")


# -- indexing ----------------------------------------------------------------------------------------------------------
def bound(draw: Any, size: int) -> int | None:
    return draw(st.one_of(st.none(), st.integers(-size - 1, size + 1)))


def basic(draw: Any, size: int) -> Any:
    """An int or a slice into an axis."""
    if size and draw(st.integers(0, 2)) == 0:
        return draw(st.integers(-size, size - 1))
    return Slice(bound(draw, size), bound(draw, size), draw(st.sampled_from([None, None, None, 1, 2, 3])))


def index_into(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Ints, slices, lists, integer tensors that broadcast together, new axes, and perhaps an Ellipsis."""
    reach = draw(st.integers(0, len(shape)))
    chosen = draw(shapes(0, 2, 1))
    advanced = draw(st.integers(0, 2)) == 0
    index: list[Any] = []
    for size in shape[:reach]:
        if draw(st.integers(0, 5)) == 0:
            index.append(None)
        if advanced and size and draw(st.booleans()):
            rows = draw(broadcastable(chosen))
            index.append(integer_tensor(draw, rows, size, INTEGERS))
        else:
            index.append(basic(draw, size))
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))) if reach == len(shape) else len(index), Ellipsis)
    return tuple(index)


@example("getitem")
def getitem(draw: Any) -> Arguments:
    shape = draw(shapes())
    return {"x": typed(draw(dtypes()), shape), "index": index_into(draw, shape)}


@example("setitem")
def setitem(draw: Any) -> Arguments:
    shape, dtype = draw(shapes()), draw(dtypes(COMMON_DTYPES))
    value = draw(st.sampled_from([0, 1.5, typed(dtype, ()), typed("float64", (1,))]))
    return {"x": typed(dtype, shape), "index": index_into(draw, shape), "value": value}


def positions(draw: Any, x: tuple[int, ...], dim: int, count: int | None = None) -> Any:
    """An index as gather takes it: as many axes as x, no longer than x except along ``dim``."""
    shape = [draw(st.integers(0 if size == 0 else 1, size)) for size in x]
    if shape:
        shape[dim] = draw(st.integers(1, 4)) if count is None else count
    size = x[dim] if x else 1
    return integer_tensor(draw, tuple(shape), size, ("int64",))


@example("gather", "take_along_dim", "scatter", "scatter_add", "scatter_reduce")
def along_dim(draw: Any, name: str) -> Arguments:
    from ..ops import operator

    shape, dtype = draw(shapes(1, 4, 1)), draw(dtypes(FLOATS))
    dim = draw(one_axis(len(shape)))
    index = positions(draw, shape, dim)
    place = "indices" if name == "take_along_dim" else "index"
    args: Arguments = {"x": typed(dtype, shape), "dim": dim, place: index}
    for param in operator(name).params:
        if param.name in ("src", "source", "value"):
            number = param.kind == "operand" and draw(st.booleans())
            args[param.name] = draw(st.sampled_from([0, 1.5])) if number else typed(dtype, index.type.shape)
        elif param.name == "reduce" and param.required:
            args["reduce"] = draw(st.sampled_from(["sum", "prod", "mean", "amax", "amin"]))
    return args


@example("index_select", "index_add", "index_copy", "index_fill")
def by_list(draw: Any, name: str) -> Arguments:
    from ..ops import operator

    shape, dtype = draw(shapes(1, 4, 1)), draw(dtypes(FLOATS))
    dim = draw(one_axis(len(shape)))
    at = dim % len(shape)
    count = draw(st.integers(1, shape[at]))
    args: Arguments = {"x": typed(dtype, shape), "dim": dim, "index": integer_tensor(draw, (count,), shape[at], ("int64",))}
    for param in operator(name).params:
        if param.name in ("source", "src"):
            args[param.name] = typed(dtype, (*shape[:at], count, *shape[at + 1 :]))
        elif param.name == "value":
            args["value"] = draw(st.sampled_from([0, 1.5]))
    return args


@example("masked_scatter")
def masked_scatter(draw: Any) -> Arguments:
    shape, dtype = draw(shapes()), draw(dtypes(FLOATS))
    return {"x": typed(dtype, shape), "mask": typed("bool", draw(broadcastable(shape))), "source": typed(dtype, shape)}


@example("one_hot")
def one_hot(draw: Any) -> Arguments:
    classes = draw(sizes(1))
    return {"x": integer_tensor(draw, draw(shapes(0, 3)), classes, ("int64",)), "num_classes": classes}


@example("topk", "kthvalue")
def largest(draw: Any, name: str) -> Arguments:
    shape = draw(shapes(0, 4, 1))
    dim = draw(one_axis(len(shape)))
    k = draw(st.integers(1, shape[dim] if shape else 1))
    return {"x": typed(draw(dtypes(FLOATS)), shape), "k": k, "dim": dim}


@example("searchsorted", "bucketize")
def sorted_lookup(draw: Any, name: str) -> Arguments:
    from ..ops import operator

    edges = typed("float32", (draw(sizes(1)),))
    names = [p.name for p in operator(name).params if p.kind in ("tensor", "operand") and p.required]
    x = typed("float32", draw(shapes(0, 3)))
    order = (edges, x) if name == "searchsorted" else (x, edges)
    return dict(zip(names, order))


# -- casts and layouts -------------------------------------------------------------------------------------------------
def memory_format(draw: Any, rank: int, usual: str) -> str:
    special = {4: "channels_last", 5: "channels_last_3d"}.get(rank, usual)
    return draw(st.sampled_from([usual, usual, "contiguous_format", special]))


@example("to")
def cast(draw: Any) -> Arguments:
    return {"x": typed(draw(dtypes()), draw(shapes())), "dtype": DType(draw(dtypes()))}


@example("contiguous", "clone")
def layout(draw: Any, name: str) -> Arguments:
    x = typed(draw(dtypes()), draw(shapes()))
    usual = "contiguous_format" if name == "contiguous" else "preserve_format"
    return {"x": x, "memory_format": memory_format(draw, x.type.rank, usual)}


@example(*(f"{stem}_like" for stem in ("zeros", "ones", "empty", "full", "rand", "randn", "randint")))
def like(draw: Any, name: str) -> Arguments:
    floats = name in ("rand_like", "randn_like")
    x = typed(draw(dtypes(COMMON_DTYPES if floats else ALL_DTYPES)), draw(shapes()))
    args: Arguments = {"x": x}
    if draw(st.booleans()):
        args["dtype"] = DType(draw(dtypes(COMMON_DTYPES if floats else ("float32", "int64", "float64"))))
    if draw(st.booleans()):
        args["memory_format"] = memory_format(draw, x.type.rank, "preserve_format")
    if name == "full_like":
        args["value"] = draw(st.sampled_from([0, 1, 2]))
    if name == "randint_like":
        args |= {"x": typed("int64", x.type.shape), "dtype": None, "low": 0, "high": draw(st.integers(1, 9))}
    return args


@example("uniform_like", "normal_like", "exponential_like", "bernoulli_like")
def drawn_like(draw: Any, name: str) -> Arguments:
    args: Arguments = {"x": typed(draw(dtypes(COMMON_DTYPES)), draw(shapes()))}
    if name == "uniform_like":
        args |= {"low": -1.0, "high": draw(st.sampled_from([0.0, 2.5]))}
    elif name == "normal_like":
        args |= {"mean": draw(st.sampled_from([0.0, 1.5])), "std": draw(st.sampled_from([0.02, 1.0]))}
    elif name == "bernoulli_like":
        args["p"] = draw(st.sampled_from([0.0, 0.3]))
    return args


@example("bernoulli")
def bernoulli(draw: Any) -> Arguments:
    x = typed(draw(dtypes(("float32", "float64"))), draw(shapes()), 0.0, 1.0)
    return {"x": x} | ({"p": 0.3} if draw(st.booleans()) else {})


@example("multinomial")
def multinomial(draw: Any) -> Arguments:
    shape = draw(shapes(1, 2, 1))
    x = typed(draw(dtypes(("float32", "float64"))), shape, 0.1, 1.0)
    replacement = draw(st.booleans())
    count = draw(st.integers(1, 6 if replacement else shape[-1]))
    return {"x": x, "num_samples": count, "replacement": replacement}


@example("normal")
def normal(draw: Any) -> Arguments:
    way = draw(st.integers(0, 3))
    shape = draw(shapes())
    mean, std = typed("float32", shape), typed("float32", shape, 0.1, 1.0)
    if way == 3:
        return {"mean": 0.5, "std": 2.0, "shape": shape}
    return {"mean": mean if way != 1 else 0.5, "std": std if way != 0 else 2.0}


# -- from sizes --------------------------------------------------------------------------------------------------------
@example("randint")
def randint(draw: Any) -> Arguments:
    low = draw(st.integers(-3, 3))
    return {"low": low, "high": low + draw(st.integers(1, 5)), "shape": draw(shapes())}


@example("full")
def full(draw: Any) -> Arguments:
    args: Arguments = {"shape": draw(shapes()), "value": draw(st.sampled_from([0, 1, 2.5, True]))}
    return args | ({"dtype": DType(draw(dtypes()))} if draw(st.booleans()) else {})


@example("size_value")
def size_value(draw: Any) -> Arguments:
    return {"size": draw(st.integers(0, 9)), "dtype": DType(draw(dtypes(("int64", "float32", "int32"))))}


@example("arange")
def arange(draw: Any) -> Arguments:
    step = draw(st.sampled_from([1, 2, -1, 0.5, 3]))
    start = draw(st.sampled_from([0, 1, -2, 0.5]))
    end = start + step * draw(st.integers(0, 5)) + draw(st.sampled_from([0, 0, 0.25]))
    args: Arguments = {"start": start, "end": end, "step": step}
    return args | ({"dtype": DType(draw(dtypes(("float32", "int64", "float64"))))} if draw(st.booleans()) else {})


@example("linspace")
def linspace(draw: Any) -> Arguments:
    args: Arguments = {"start": draw(st.sampled_from([0, -1.0])), "end": draw(st.sampled_from([1, 2.5]))}
    return args | {"steps": draw(st.integers(0, 6)), "dtype": DType(draw(dtypes(("float32", "float64"))))}


@example("meshgrid", "cartesian_prod")
def grids(draw: Any, name: str) -> Arguments:
    dtype = draw(dtypes())
    tensors = tuple(typed(dtype, (draw(sizes()),)) for _ in range(draw(st.integers(1, 3))))
    return {"tensors": tensors} | ({"indexing": draw(st.sampled_from(["ij", "xy"]))} if name == "meshgrid" else {})


# -- frequencies and resampling ----------------------------------------------------------------------------------------
@example("fft", "ifft", "rfft", "irfft")
def fft(draw: Any, name: str) -> Arguments:
    shape = draw(shapes(1, 4, 2))
    args: Arguments = {"x": typed(draw(dtypes(("float32", "float64"))), shape), "dim": draw(one_axis(len(shape)))}
    args["norm"] = draw(st.sampled_from(["backward", "ortho", "forward"]))
    return args | ({"n": draw(st.integers(2, 6))} if draw(st.booleans()) else {})


@example("fftn", "ifftn", "rfftn", "irfftn", "fftshift", "ifftshift")
def fftn(draw: Any, name: str) -> Arguments:
    shape = draw(shapes(1, 4, 2))
    args: Arguments = {"x": typed(draw(dtypes(("float32", "float64"))), shape)}
    if draw(st.booleans()):
        args["dim"] = draw(some_axes(len(shape)))
        if "shift" not in name and draw(st.booleans()):
            args["s"] = tuple(draw(st.integers(2, 5)) for _ in args["dim"])
    return args


@example("stft")
def stft(draw: Any) -> Arguments:
    n_fft = draw(st.integers(4, 8))
    x = typed(draw(dtypes(("float32", "float64"))), (*draw(shapes(0, 1, 1)), draw(st.integers(10, 20))))
    args: Arguments = {"x": x, "n_fft": n_fft, "center": draw(st.booleans()), "normalized": draw(st.booleans())}
    if draw(st.booleans()):
        args["window"] = typed(x.type.dtype, (n_fft,))
    return args | ({"hop_length": draw(st.integers(1, 4))} if draw(st.booleans()) else {})


@example("interpolate")
def interpolate(draw: Any) -> Arguments:
    n = draw(st.integers(1, 3))
    modes = ["nearest", "area", "nearest-exact", ("linear", "bilinear", "trilinear")[n - 1]] + (["bicubic"] if n == 2 else [])
    mode = draw(st.sampled_from(modes))
    spatial = tuple(draw(st.integers(2, 5)) for _ in range(n))
    shape = (draw(sizes(1)), draw(sizes(1)), *spatial)
    args: Arguments = {"x": typed(draw(dtypes(("float32", "float64"))), shape), "mode": mode}
    if draw(st.booleans()):
        args["size"] = tuple(draw(st.integers(1, 7)) for _ in range(n))
    else:
        args["scale_factor"] = tuple(draw(st.sampled_from([2.0, 0.5, 1.5])) for _ in range(n))
    if mode.endswith(("linear", "cubic")):
        args["align_corners"] = draw(st.sampled_from([None, True, False]))
    return args


@example("grid_sample")
def grid_sample(draw: Any) -> Arguments:
    n, dtype = draw(st.integers(2, 3)), draw(dtypes(("float32", "float64")))
    batch, spatial = draw(sizes(1)), [tuple(draw(st.integers(1, 4)) for _ in range(n)) for _ in range(2)]
    return {
        "x": typed(dtype, (batch, draw(sizes(1)), *spatial[0])), "grid": typed(dtype, (batch, *spatial[1], n)),
        "mode": draw(st.sampled_from(["bilinear", "nearest"])), "align_corners": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(["zeros", "border", "reflection"])),
    }  # fmt: skip


@example("affine_grid")
def affine_grid(draw: Any) -> Arguments:
    n, batch = draw(st.integers(2, 3)), draw(sizes(1))
    theta = typed(draw(dtypes(("float32", "float64"))), (batch, n, n + 1))
    size = (batch, draw(sizes(1)), *(draw(st.integers(1, 4)) for _ in range(n)))
    return {"theta": theta, "size": size, "align_corners": draw(st.booleans())}


@example("vector_norm", "norm", "matrix_norm")
def norm(draw: Any, name: str) -> Arguments:
    """Norms computed in the dtype of x, or in a wider one of the same kind."""
    shape = draw(shapes(2 if name == "matrix_norm" else 1, 4, 1))
    dtype = draw(dtypes((*COMMON_DTYPES, "complex64")))
    args: Arguments = {"x": typed(dtype, shape), "keepdim": draw(st.booleans())}
    if draw(st.booleans()):
        args["dim"] = draw(permutations_of(len(shape)))[: 2 if name == "matrix_norm" else draw(st.integers(1, 2))]
    if draw(st.integers(0, 2)) == 0:
        args["dtype"] = DType("complex128" if dtype == "complex64" else "float64")
    if name == "vector_norm":
        args["ord"] = draw(st.sampled_from([2.0, 1.0, 0.0, float("inf"), 3.5]))
    return args
