"""Examples of operators of tensors: elementwise functions with narrow dtypes, views, joins, matrix products."""

from __future__ import annotations

from math import prod
from typing import Any

from hypothesis import strategies as st

from ..ops import DType, operator
from .examples import Arguments, example
from .operators import (
    COMMON_DTYPES,
    broadcastable,
    by_check,
    declared,
    dtypes,
    one_axis,
    permutations_of,
    shapes,
    sizes,
    some_axes,
    typed,
)

INTEGERS = ("int64", "int32", "uint8")
MATMUL_DTYPES = ("float32", "float32", "float64", "bfloat16")


# -- elementwise, where few dtypes are taken ---------------------------------------------------------------------------
@example("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm")
def bits(draw: Any, name: str) -> Arguments:
    shape = draw(shapes())
    among = INTEGERS if "shift" in name or name in ("gcd", "lcm") else (*INTEGERS, "bool")
    args: Arguments = {"x": typed(draw(dtypes(among)), shape)}
    if "y" in operator(name).by_name:
        number = operator(name).by_name["y"].kind == "operand" and draw(st.integers(0, 3)) == 0
        args["y"] = draw(st.integers(0, 3)) if number else typed(draw(dtypes(among)), draw(broadcastable(shape)), 0, 4)
    return args


@example("imag", "view_as_real")
def of_complex(draw: Any) -> Arguments:
    return {"x": typed(draw(dtypes(("complex64", "complex128"))), draw(shapes()))}


@example("view_as_complex")
def view_as_complex(draw: Any) -> Arguments:
    return {"x": typed(draw(dtypes(("float32", "float64"))), (*draw(shapes(0, 4)), 2))}


@example("complex", "polar")
def to_complex(draw: Any) -> Arguments:
    shape, dtype = draw(shapes()), draw(dtypes(("float32", "float64")))
    return {"x": typed(dtype, shape), "y": typed(dtype, draw(broadcastable(shape)))}


@example("hypot", "logaddexp", "heaviside", "atan2", "copysign", "cosine_similarity", "pairwise_distance", "cross", "lerp")
def of_one_dtype(draw: Any, name: str) -> Arguments:
    shape = draw(shapes(1, 4, 1))
    shape = (*shape[:-1], 3) if name == "cross" else shape
    args = draw(declared(operator(name), draw(dtypes(COMMON_DTYPES)), shape))
    dtype = args[operator(name).params[0].name].type.dtype
    args = {k: typed(dtype, v.type.shape) if hasattr(v, "type") else v for k, v in args.items()}
    return {k: v for k, v in args.items() if k not in ("dim", "p", "eps")}


@example("where")
def where(draw: Any) -> Arguments:
    shape = draw(shapes())
    args = draw(declared(operator("where"), shape=shape))
    return args | {"condition": typed("bool", draw(broadcastable(shape)))}


@example("masked_fill")
def masked_fill(draw: Any) -> Arguments:
    shape, dtype = draw(shapes()), draw(dtypes())
    value = draw(st.sampled_from([0, 1, True] if not dtype.startswith(("float", "bfloat", "complex")) else [0.0, 2, -1.5]))
    if draw(st.integers(0, 3)) == 0:
        value = typed(dtype, ())
    return {"x": typed(dtype, shape), "mask": typed("bool", draw(broadcastable(shape))), "value": value}


@example("clamp")
def clamp(draw: Any) -> Arguments:
    shape, dtype = draw(shapes()), draw(dtypes((*COMMON_DTYPES, "int64", "uint8")))
    if draw(st.booleans()):
        bounds: list[Any] = [draw(st.sampled_from([None, 0, 0.5, -1.0])), draw(st.sampled_from([1, 2.5, 6]))]
    else:
        bounds = [typed(dtype, draw(broadcastable(shape))), typed(dtype, draw(broadcastable(shape)))]
    if draw(st.integers(0, 2)) == 0:
        bounds = [bounds[1], None]
    return {"x": typed(dtype, shape), "min": bounds[0], "max": bounds[1]}


# -- views -------------------------------------------------------------------------------------------------------------
@st.composite
def regrouped(draw: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Another shape of as many elements: neighbours joined, axes of size 1 added, or something else entirely."""
    if draw(st.integers(0, 4)) == 0 and prod(shape) % 2 == 0:
        return (2, prod(shape) // 2)
    result: list[int] = []
    for size in shape:
        way = draw(st.integers(0, 3))
        if way == 0 and result:
            result[-1] *= size
        elif way == 1 and size and size % 2 == 0:
            result += [2, size // 2]
        else:
            result += [1, size] if draw(st.integers(0, 5)) == 0 else [size]
    return tuple(result)


@example("reshape")
def reshape(draw: Any) -> Arguments:
    shape = draw(shapes())
    target = draw(regrouped(shape))
    if target and prod(target) and draw(st.booleans()):
        at = draw(st.integers(0, len(target) - 1))
        target = (*target[:at], -1, *target[at + 1 :])
    return {"x": typed(draw(dtypes()), shape), "shape": target}


@example("flatten")
def flatten(draw: Any) -> Arguments:
    shape = draw(shapes())
    first, last = sorted(draw(st.integers(0, max(len(shape) - 1, 0))) for _ in range(2))
    args: Arguments = {"x": typed(draw(dtypes()), shape), "start_dim": first}
    return args | {"end_dim": draw(st.sampled_from([last, last - max(len(shape), 1)]))}


@example("unflatten")
def unflatten(draw: Any) -> Arguments:
    shape = draw(shapes(1))
    dim = draw(one_axis(len(shape)))
    parts = tuple(draw(st.lists(sizes(1), min_size=1, max_size=3)))
    at = dim % len(shape)
    shape = (*shape[:at], prod(parts), *shape[at + 1 :])
    if draw(st.booleans()):
        parts = (-1, *parts[1:])
    return {"x": typed(draw(dtypes()), shape), "dim": dim, "sizes": parts}


@example("bitcast")
def bitcast(draw: Any) -> Arguments:
    x = typed(draw(dtypes(("float32", "int32"))), (*draw(shapes(0, 3)), 4))
    return {"x": x, "dtype": DType(draw(dtypes(("float32", "int32", "int16"))))}


@example("permute")
def permute(draw: Any) -> Arguments:
    shape = draw(shapes())
    return {"x": typed(draw(dtypes()), shape), "dims": draw(permutations_of(len(shape)))}


@example("transpose")
def transpose(draw: Any) -> Arguments:
    shape = draw(shapes())
    axes = one_axis(len(shape))
    return {"x": typed(draw(dtypes()), shape), "dim0": draw(axes), "dim1": draw(axes)}


@example("squeeze")
def squeeze(draw: Any) -> Arguments:
    shape = tuple(draw(st.lists(st.sampled_from([1, 1, 2, 3]), max_size=5)))
    args: Arguments = {"x": typed(draw(dtypes()), shape)}
    return args | {"dim": draw(st.one_of(st.none(), one_axis(len(shape)), some_axes(len(shape), 0)))}


@example("unsqueeze")
def unsqueeze(draw: Any) -> Arguments:
    shape = draw(shapes(0, 4))
    return {"x": typed(draw(dtypes()), shape), "dim": draw(st.integers(-len(shape) - 1, len(shape)))}


@example("expand")
def expand(draw: Any) -> Arguments:
    target = draw(shapes())
    source = draw(broadcastable(target))
    offset = len(target) - len(source)
    kept = st.booleans()
    shape = tuple(-1 if i >= offset and source[i - offset] == size and draw(kept) else size for i, size in enumerate(target))
    return {"x": typed(draw(dtypes()), source), "shape": shape}


@example("repeat")
def repeat(draw: Any) -> Arguments:
    shape = draw(shapes(0, 4))
    extra = draw(st.integers(0, 2))
    return {"x": typed(draw(dtypes()), shape), "repeats": tuple(draw(st.integers(0, 3)) for _ in range(len(shape) + extra))}


@example("repeat_interleave")
def repeat_interleave(draw: Any) -> Arguments:
    shape = draw(shapes())
    args: Arguments = {"x": typed(draw(dtypes()), shape), "repeats": draw(st.integers(0, 3))}
    return args | {"dim": draw(st.one_of(st.none(), one_axis(len(shape))))}


@example("diagonal")
def diagonal(draw: Any) -> Arguments:
    shape = draw(shapes(2, 4))
    first, second = draw(st.permutations(range(len(shape))))[:2]
    return {"x": typed(draw(dtypes()), shape), "offset": draw(st.integers(-2, 2)), "dim1": first, "dim2": second - len(shape)}


@example("diagonal_scatter")
def diagonal_scatter(draw: Any) -> Arguments:
    shape, dtype = draw(shapes(2, 2, 1)), draw(dtypes(COMMON_DTYPES))
    offset = draw(st.integers(-shape[0] + 1, shape[1] - 1))
    length = min(shape[0], shape[1] - offset) if offset >= 0 else min(shape[0] + offset, shape[1])
    return {"x": typed(dtype, shape), "value": typed(dtype, (length,)), "offset": offset}


@example("diag")
def diag(draw: Any) -> Arguments:
    return {"x": typed(draw(dtypes()), draw(shapes(1, 2))), "diagonal": draw(st.integers(-1, 1))}


@example("diag_embed")
def diag_embed(draw: Any) -> Arguments:
    return {"x": typed(draw(dtypes()), draw(shapes(1, 3))), "offset": draw(st.integers(-1, 1))}


@example("tril", "triu")
def triangle(draw: Any) -> Arguments:
    return {"x": typed(draw(dtypes()), draw(shapes(2, 4))), "diagonal": draw(st.integers(-2, 2))}


# -- joins and parts ---------------------------------------------------------------------------------------------------
@example("cat")
def cat(draw: Any) -> Arguments:
    shape = draw(shapes(1, 4))
    dim = draw(one_axis(len(shape)))
    at = dim % len(shape)
    dtype = draw(dtypes())
    several = draw(st.integers(0, 3)) == 0
    count = draw(st.integers(1, 4))
    tensors = tuple(
        typed(draw(dtypes()) if several else dtype, (*shape[:at], draw(sizes()), *shape[at + 1 :])) for _ in range(count)
    )
    if draw(st.integers(0, 5)) == 0:
        tensors = (*tensors, typed(dtype, (0,)))
    return {"tensors": tensors, "dim": dim}


@example("stack", "broadcast_tensors")
def stack(draw: Any, name: str) -> Arguments:
    shape, dtype = draw(shapes(0, 4)), draw(dtypes())
    count = draw(st.integers(1, 4))
    tensors = tuple(typed(dtype, shape if name == "stack" else draw(broadcastable(shape))) for _ in range(count))
    return {"tensors": tensors} | ({"dim": draw(st.integers(-len(shape) - 1, len(shape)))} if name == "stack" else {})


@example("split")
def split(draw: Any) -> Arguments:
    shape = draw(shapes(1))
    dim = draw(one_axis(len(shape)))
    at = dim % len(shape)
    if draw(st.booleans()):
        return {"x": typed(draw(dtypes()), shape), "sizes": draw(st.integers(1, 4)), "dim": dim}
    parts = tuple(draw(st.lists(sizes(), min_size=1, max_size=4)))
    return {"x": typed(draw(dtypes()), (*shape[:at], sum(parts), *shape[at + 1 :])), "sizes": parts, "dim": dim}


@example("unbind", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
def along_an_axis(draw: Any, name: str) -> Arguments:
    shape = draw(shapes(1, 4, 1 if name.startswith("cumm") else 0))
    return {"x": typed(draw(dtypes(COMMON_DTYPES)), shape), "dim": draw(one_axis(len(shape)))}


@example("pad")
def pad(draw: Any) -> Arguments:
    mode = draw(st.sampled_from(["constant", "constant", "reflect", "replicate", "circular"]))
    if mode == "constant":
        shape = draw(shapes(1, 5))
        count = draw(st.integers(1, len(shape)))
        amounts = tuple(draw(st.integers(-1 if size > 2 else 0, 2)) for size in reversed(shape[-count:]) for _ in "ab")
        return {"x": typed(draw(dtypes()), shape), "padding": amounts, "value": draw(st.sampled_from([0.0, 1.0]))}
    count = draw(st.integers(1, 3))
    shape = (*draw(shapes(1, 1, 1)), draw(sizes(1)), *(draw(st.integers(3, 5)) for _ in range(count)))
    amounts = tuple(draw(st.integers(0, 2)) for _ in range(2 * count))
    return {"x": typed(draw(dtypes(("float32", "float64"))), shape), "padding": amounts, "mode": mode}


@example("roll")
def roll(draw: Any) -> Arguments:
    shape = draw(shapes())
    dims = draw(some_axes(len(shape), 0))
    shifts = tuple(draw(st.integers(-3, 3)) for _ in dims) or (draw(st.integers(-3, 3)),)
    return {"x": typed(draw(dtypes()), shape), "shifts": shifts, "dims": dims}


@example("flip")
def flip(draw: Any) -> Arguments:
    shape = draw(shapes())
    return {"x": typed(draw(dtypes()), shape), "dims": draw(some_axes(len(shape), 0))}


@example("rot90")
def rot90(draw: Any) -> Arguments:
    shape = draw(shapes(2, 4))
    first, second = draw(st.permutations(range(len(shape))))[:2]
    return {"x": typed(draw(dtypes()), shape), "k": draw(st.integers(-3, 4)), "dims": (first, second)}


@example("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def pixels(draw: Any, name: str) -> Arguments:
    factor = draw(st.integers(1, 3))
    lead, channels, height, width = draw(shapes(1, 2, 1)), draw(sizes(1)), draw(sizes(1)), draw(sizes(1))
    if name == "pixel_shuffle":
        channels *= factor**2
    elif name == "pixel_unshuffle":
        height, width = height * factor, width * factor
    else:
        lead, channels = lead[:1], channels * factor
    args: Arguments = {"x": typed(draw(dtypes(COMMON_DTYPES)), (*lead, channels, height, width))}
    return args | ({"groups": factor} if name == "channel_shuffle" else {"factor": factor})


@example("sliding_windows")
def sliding_windows(draw: Any) -> Arguments:
    shape = draw(shapes(1, 4, 2))
    dim = draw(one_axis(len(shape)))
    size, step = draw(st.integers(1, shape[dim])), draw(st.integers(1, 3))
    return {"x": typed(draw(dtypes()), shape), "dim": dim, "size": size, "step": step}


# -- reductions --------------------------------------------------------------------------------------------------------
REDUCTIONS = (
    "sum", "nansum", "mean", "nanmean", "logsumexp", "amax", "amin", "all", "any", "count_nonzero", "var", "std", "var_mean",
    "std_mean", "vector_norm", "norm", "prod", "quantile", "nanquantile", "argmax", "argmin", "aminmax",
)  # fmt: skip
ONE_AXIS = ("prod", "quantile", "nanquantile", "argmax", "argmin", "aminmax")


@example(*REDUCTIONS)
def reduction(draw: Any, name: str) -> Arguments:
    kind = operator(name)
    shape = draw(shapes(low=1 if name in ("amax", "amin", "norm", "vector_norm", *ONE_AXIS) else 0))
    floats = name in ("logsumexp", "vector_norm", "norm") or kind.family == "statistics"
    among: tuple[str, ...] = (*COMMON_DTYPES, "int64", "bool")
    if "quantile" in name:
        among = ("float32", "float64")
    elif floats or name in ("mean", "nanmean"):
        among = COMMON_DTYPES
    elif name in ("argmax", "argmin", "aminmax"):
        among = (*COMMON_DTYPES, "int64")
    args: Arguments = {"x": typed(draw(dtypes(among)), shape)}
    if kind.by_name["dim"].required or draw(st.integers(0, 2)):
        args["dim"] = draw(one_axis(len(shape)) if name in ONE_AXIS else st.one_of(one_axis(len(shape)), some_axes(len(shape))))
        if "keepdim" in kind.by_name:
            args["keepdim"] = draw(st.booleans())
    if "correction" in kind.by_name and draw(st.booleans()):
        args["correction"] = draw(st.sampled_from([0, 1]))
    if "dtype" in kind.by_name and draw(st.integers(0, 3)) == 0:
        args["dtype"] = DType("float64")
    if "q" in kind.by_name:
        dtype = args["x"].type.dtype
        args["q"] = draw(st.sampled_from([0.5, 0.1, typed(dtype, (), 0.0, 1.0), typed(dtype, (2,), 0.0, 1.0)]))
    if name == "vector_norm":
        args["ord"] = draw(st.sampled_from([2.0, 1.0, 3.0]))
    return args


@example("max", "min", "median", "max_along", "min_along", "median_along", "mode", "sort", "argsort")
def order(draw: Any, name: str) -> Arguments:
    shape = draw(shapes(low=1))
    args: Arguments = {"x": typed(draw(dtypes((*COMMON_DTYPES, "int64"))), shape)}
    kind = operator(name)
    if "dim" in kind.by_name:
        args["dim"] = draw(one_axis(len(shape)))
    return args | {flag: draw(st.booleans()) for flag in ("keepdim", "descending", "stable") if flag in kind.by_name}


# -- matrix products ---------------------------------------------------------------------------------------------------
@example("matmul")
def matmul(draw: Any) -> Arguments:
    dtype = draw(dtypes(MATMUL_DTYPES))
    lead = draw(shapes(0, 2))
    n, k, m = (draw(sizes()) for _ in range(3))
    left = (k,) if draw(st.integers(0, 4)) == 0 else (*draw(broadcastable(lead)), n, k)
    right = (k,) if draw(st.integers(0, 4)) == 0 else (*draw(broadcastable(lead)), k, m)
    return {"x": typed(dtype, left), "y": typed(dtype, right)}


_PRODUCTS: dict[str, tuple[str, ...]] = {
    "mm": ("nk", "km"), "bmm": ("bnk", "bkm"), "mv": ("nk", "k"), "dot": ("k", "k"), "vdot": ("k", "k"), "inner": ("nk", "mk"),
    "outer": ("n", "m"), "kron": ("nk", "mb"), "addmm": ("nm", "nk", "km"), "addmv": ("n", "nk", "k"), "addr": ("nm", "n", "m"),
    "baddbmm": ("bnm", "bnk", "bkm"), "addbmm": ("nm", "bnk", "bkm"), "cdist": ("bnk", "bmk"), "tensordot": ("nbk", "bkm"),
    "chain_matmul": ("nk", "km"), "grouped_mm": ("bnk", "bkm"),
}  # fmt: skip


@example(*_PRODUCTS)
def product(draw: Any, name: str) -> Arguments:
    dtype = "bfloat16" if name == "grouped_mm" else draw(dtypes(MATMUL_DTYPES if name != "cdist" else ("float32", "float64")))
    letters = {letter: draw(sizes(1 if name == "cdist" else 0)) for letter in "bnkm"}
    if name == "grouped_mm":
        letters = {"b": draw(sizes(1)), "n": draw(sizes(1)), "k": 16, "m": 8}
    tensors = [p for p in operator(name).params if p.kind == "tensor" and p.required]
    args: Arguments = {p.name: typed(dtype, tuple(letters[c] for c in axes)) for p, axes in zip(tensors, _PRODUCTS[name])}
    for param in operator(name).params:
        if param.name in ("alpha", "beta", "p") and draw(st.booleans()):
            args[param.name] = draw(by_check(param.check, 0))
    return args


_EQUATIONS = (
    "ij,jk->ik", "bij,bjk->bik", "bhid,bhjd->bhij", "ij->ji", "ii->i", "ij->", "i,j->ij", "...ij,...jk->...ik", "bn,anm,bm->ba",
    "ij,jk", "...d->d...", "bij->bj", "ij,ij->ij", "bchw,c->bchw", "ab,ab,ab->a", "i,i",
)  # fmt: skip


@example("einsum")
def einsum(draw: Any) -> Arguments:
    equation = draw(st.sampled_from(_EQUATIONS))
    letters = {letter: draw(sizes()) for letter in "abcdhijkmnw"}
    rest = draw(shapes(0, 2))
    dtype = draw(dtypes(MATMUL_DTYPES))
    shapes_of = [
        (*(rest if "..." in term else ()), *(letters[c] for c in term.replace("...", "")))
        for term in equation.partition("->")[0].split(",")
    ]
    return {"operands": tuple(typed(dtype, shape) for shape in shapes_of), "equation": equation}


@example("multi_dot")
def multi_dot(draw: Any) -> Arguments:
    sizes_ = draw(st.lists(sizes(), min_size=3, max_size=6))
    dtype = draw(dtypes((*COMMON_DTYPES, "int64", "complex64")))
    rows = [(a, b) for a, b in zip(sizes_, sizes_[1:])]
    shapes_ = [rows[0][1:] if draw(st.booleans()) else rows[0], *rows[1:-1]]
    shapes_.append(rows[-1][:1] if draw(st.booleans()) else rows[-1])
    return {"tensors": tuple(typed(dtype, shape) for shape in shapes_)}
