"""Examples of layers: convolutions, norms, pools, dropout, attention and recurrent cells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from ..ops import Weight, operator
from ..ops.arguments import MODULE
from .examples import Arguments, example, integer_tensor, maybe
from .operators import COMMON_DTYPES, dtypes, shapes, sizes, typed


def dtype_of(draw: Any) -> str:
    """float32 mostly, so that real kernels exist; half precision and float64 sometimes."""
    return draw(dtypes(COMMON_DTYPES))


def image(draw: Any, n: int, channels: int, low: int = 3, high: int = 9, among: tuple[str, ...] = COMMON_DTYPES) -> Any:
    """(N, C, …) with n spatial axes, or (C, …)."""
    spatial = tuple(draw(st.integers(low, high)) for _ in range(n))
    lead = () if draw(st.integers(0, 3)) == 0 else (draw(st.sampled_from([1, 2, 3, 0])),)
    return typed(draw(dtypes(among)), (*lead, channels, *spatial))


def per_axis(draw: Any, n: int, low: int, high: int) -> Any:
    """One int for all axes, or a tuple of n."""
    one = st.integers(low, high)
    return draw(st.one_of(one, st.tuples(*[one] * n)))


@example("conv1d", "conv2d", "conv3d")
def conv(draw: Any, name: str) -> Arguments:
    n = int(name[-2])
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depthwise = draw(st.integers(0, 3)) == 0
    args: Arguments = {
        "x": image(draw, n, groups * (1 if depthwise else draw(st.integers(1, 3)))),
        "out": groups * draw(st.integers(1, 3)),
        "kernel": per_axis(draw, n, 1, 3),
        "dilation": per_axis(draw, n, 1, 2) if draw(st.booleans()) else 1,
        "groups": groups,
        "weight": Weight("weight"),
        "bias": maybe(draw, "bias"),
    }
    way = draw(st.integers(0, 3))
    if way == 0:
        args["padding"] = draw(st.sampled_from(["same", "valid"]))
    else:
        args |= {"padding": per_axis(draw, n, 0, 2), "stride": per_axis(draw, n, 1, 3)}
    return args


@example("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(draw: Any, name: str) -> Arguments:
    n = int(name[-2])
    groups = draw(st.sampled_from([1, 1, 2]))
    stride = draw(st.integers(1, 3))
    return {
        "x": image(draw, n, groups * draw(st.integers(1, 3)), 2, 5),
        "out": groups * draw(st.integers(1, 3)),
        "kernel": per_axis(draw, n, 1, 3),
        "stride": stride,
        "padding": draw(st.integers(0, 1)),
        "output_padding": draw(st.integers(0, stride - 1)),
        "dilation": draw(st.integers(1, 2)),
        "groups": groups,
        "weight": Weight("weight"),
        "bias": maybe(draw, "bias"),
    }


@example("unfold2d")
def unfold2d(draw: Any) -> Arguments:
    return {
        "x": image(draw, 2, draw(sizes(1))), "kernel": per_axis(draw, 2, 1, 3), "stride": per_axis(draw, 2, 1, 2),
        "padding": per_axis(draw, 2, 0, 1), "dilation": draw(st.integers(1, 2)),
    }  # fmt: skip


@example("fold")
def fold(draw: Any) -> Arguments:
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(2))
    stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 1))
    size = tuple(draw(st.integers(3, 6)) for _ in range(2))
    places = 1
    for s, k in zip(size, kernel):
        places *= (s + 2 * padding - k) // stride + 1
    lead = (draw(st.integers(1, 3)),) if draw(st.booleans()) else ()
    x = typed(dtype_of(draw), (*lead, draw(st.integers(1, 3)) * kernel[0] * kernel[1], places))
    return {"x": x, "output_size": size, "kernel": kernel, "stride": stride, "padding": padding}


# -- norms -------------------------------------------------------------------------------------------------------------
def scale_and_shift(draw: Any) -> Arguments:
    return {"weight": maybe(draw, "weight"), "bias": maybe(draw, "bias")}


@example("batch_norm")
def batch_norm(draw: Any) -> Arguments:
    running = draw(st.booleans())
    args: Arguments = {
        "x": typed(dtype_of(draw), (draw(st.integers(2, 4)), draw(sizes(1)), *draw(shapes(0, 3, 1)))),
        "training": draw(st.sampled_from([True, False, MODULE])) if running else True,
        "eps": draw(st.sampled_from([1e-5, 1e-3])),
        **scale_and_shift(draw),
    }
    if running:
        args |= {role: Weight(role) for role in ("running_mean", "running_var")}
        if draw(st.booleans()):
            args |= {"num_batches_tracked": Weight("num_batches_tracked"), "momentum": draw(st.sampled_from([None, 0.1, 0.01]))}
    return args


@example("instance_norm")
def instance_norm(draw: Any) -> Arguments:
    running = draw(st.booleans())
    spatial = (draw(st.integers(2, 4)), *draw(shapes(0, 2, 1)))
    args: Arguments = {
        "x": typed(dtype_of(draw), (draw(sizes(1)), draw(sizes(1)), *spatial)),
        "training": draw(st.sampled_from([True, False, MODULE])) if running else True,
        **scale_and_shift(draw),
    }
    return args | ({role: Weight(role) for role in ("running_mean", "running_var")} if running else {})


@example("group_norm")
def group_norm(draw: Any) -> Arguments:
    groups = draw(st.integers(1, 4))
    x = typed(dtype_of(draw), (draw(sizes(1)), groups * draw(st.integers(1, 3)), *draw(shapes(0, 3, 1))))
    return {"x": x, "groups": groups, "eps": draw(st.sampled_from([1e-5, 1e-6])), **scale_and_shift(draw)}


@example("layer_norm", "rms_norm")
def last_axes_norm(draw: Any, name: str) -> Arguments:
    shape = draw(shapes(1, 4))
    args: Arguments = {"x": typed(dtype_of(draw), shape), "weight": maybe(draw, "weight")}
    if name == "layer_norm":
        args["bias"] = maybe(draw, "bias")
    if draw(st.booleans()):
        args["normalized_shape"] = shape[-draw(st.integers(1, len(shape))) :]
    return args


@example("local_response_norm")
def local_response_norm(draw: Any) -> Arguments:
    x = typed(dtype_of(draw), draw(shapes(3, 5, 1)))
    return {"x": x, "size": draw(st.integers(1, 4)), "k": draw(st.sampled_from([1.0, 2.0]))}


@example("normalize")
def normalize(draw: Any) -> Arguments:
    shape = draw(shapes(2, 4, 1))
    return {"x": typed(dtype_of(draw), shape), "p": draw(st.sampled_from([2.0, 1.0])), "dim": draw(st.sampled_from([1, -1, 0]))}


@example("weight_norm")
def weight_norm(draw: Any) -> Arguments:
    shape, dtype = draw(shapes(1, 4, 1)), dtype_of(draw)
    dim = draw(st.sampled_from([0, len(shape) - 1]))
    lengths = tuple(size if i == dim else 1 for i, size in enumerate(shape))
    return {"v": typed(dtype, shape), "g": typed(dtype, lengths), "dim": dim}


# -- pools -------------------------------------------------------------------------------------------------------------
@example(*(f"{kind}_pool{n}d" for kind in ("max", "avg", "lp") for n in (1, 2, 3)))
def pool(draw: Any, name: str) -> Arguments:
    n = int(name[-2])
    kernel = per_axis(draw, n, 2, 3)
    args: Arguments = {"x": image(draw, n, draw(sizes(1)), 4, 9), "kernel": kernel, "ceil_mode": draw(st.booleans())}
    if draw(st.booleans()):
        args["stride"] = per_axis(draw, n, 1, 3)
    if not name.startswith("lp"):
        args["padding"] = draw(st.integers(0, 1))
    if name.startswith("max"):
        args |= {"dilation": draw(st.integers(1, 2)), "return_indices": draw(st.booleans())}
    elif name.startswith("avg"):
        args["count_include_pad"] = draw(st.booleans())
        if n > 1 and draw(st.booleans()):
            args["divisor_override"] = draw(st.sampled_from([None, 3]))
    else:
        args["norm_type"] = draw(st.sampled_from([1.0, 2.0, 3.0]))
    return args


@example("max_unpool1d", "max_unpool2d", "max_unpool3d")
def max_unpool(draw: Any, name: str) -> Arguments:
    n = int(name[-2])
    x = image(draw, n, draw(sizes(1)), 2, 4, ("float32", "float64"))
    size = tuple(2 * s for s in x.type.shape[-n:])
    area = size[0] * (size[1] if n > 1 else 1)
    args: Arguments = {"x": x, "indices": integer_tensor(draw, x.type.shape, area, ("int64",)), "kernel": 2}
    return args | ({"output_size": size} if draw(st.booleans()) else {})


@example(*(f"adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3)))
def adaptive_pool(draw: Any, name: str) -> Arguments:
    n = int(name[-2])
    target = st.one_of(st.integers(1, 4), st.none())
    size = draw(st.tuples(*[target] * n)) if n > 1 and draw(st.booleans()) else draw(st.integers(1, 5))
    args: Arguments = {"x": image(draw, n, draw(sizes(1)), 1, 6), "output_size": size}
    return args | ({"return_indices": draw(st.booleans())} if "max" in name else {})


# -- dropout -----------------------------------------------------------------------------------------------------------
@example("dropout1d", "dropout2d", "dropout3d", "feature_dropout", "feature_alpha_dropout")
def feature_dropout(draw: Any, name: str) -> Arguments:
    n = int(name[-2]) if name[-1] == "d" else draw(st.integers(0, 3))
    args: Arguments = {"x": typed(dtype_of(draw), draw(shapes(n + 2, n + 2)))}
    return args | {"p": draw(st.sampled_from([0.0, 0.3, 1.0])), "training": draw(st.sampled_from([True, False, MODULE]))}


# -- attention and recurrent cells -------------------------------------------------------------------------------------
@example("scaled_dot_product_attention")
def attention(draw: Any) -> Arguments:
    dtype = draw(dtypes(("float32", "float32", "float64", "bfloat16")))
    lead = draw(shapes(0, 1, 1))
    heads, group = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2])) if draw(st.booleans()) else 1
    queries, keys, width, values = (draw(st.integers(1, 5)) for _ in range(4))
    args: Arguments = {
        "q": typed(dtype, (*lead, heads * group, queries, width)),
        "k": typed(dtype, (*lead, heads, keys, width)),
        "v": typed(dtype, (*lead, heads, keys, values)),
    }
    if group > 1:
        args["enable_gqa"] = True
    masked = draw(st.integers(0, 3))
    if masked == 0:
        args["is_causal"] = True
    elif masked < 3:
        shape = draw(st.sampled_from([(queries, keys), (heads * group, queries, keys), (1, 1, keys)]))
        args["mask"] = typed("bool" if masked == 1 else dtype, shape)
    return args | ({"scale": 0.5} if draw(st.booleans()) else {})


RECURRENT_DTYPES = ("float32", "float32", "float64")


@example("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(draw: Any, name: str) -> Arguments:
    dtype = draw(dtypes(RECURRENT_DTYPES))
    batch, steps, features, hidden = (draw(st.integers(1, 4)) for _ in range(4))
    args: Arguments = {
        "hidden": hidden + 1, "num_layers": draw(st.integers(1, 2)), "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()), "bidirectional": draw(st.booleans()), "training": draw(st.booleans()),
    }  # fmt: skip
    args["x"] = typed(dtype, (batch, steps, features) if args["batch_first"] else (steps, batch, features))
    if args["num_layers"] == 2:
        args["dropout"] = draw(st.sampled_from([0.0, 0.5]))
    if name == "lstm" and draw(st.integers(0, 3)) == 0:
        args["proj_size"] = hidden
    kind = operator(name)
    count = args["num_layers"] * (2 if args["bidirectional"] else 1)
    if draw(st.booleans()):
        args["h0"] = typed(dtype, (count, batch, args.get("proj_size") or args["hidden"]))
        if name == "lstm":
            args["c0"] = typed(dtype, (count, batch, args["hidden"]))
    roles = kind.roles(SimpleNamespace(**({"proj_size": 0} | args)))
    return args | {"weights": tuple(map(Weight, roles))}


@example("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(draw: Any, name: str) -> Arguments:
    dtype = draw(dtypes(RECURRENT_DTYPES))
    batch, features, hidden = (draw(st.integers(1, 4)) for _ in range(3))
    args: Arguments = {"x": typed(dtype, (batch, features)), "hidden": hidden}
    args |= {role: Weight(role) for role in ("weight_ih", "weight_hh")}
    if draw(st.booleans()):
        args |= {role: Weight(role) for role in ("bias_ih", "bias_hh")}
    if draw(st.booleans()):
        args |= {state: typed(dtype, (batch, hidden)) for state in ("h", "c") if state in operator(name).by_name}
    return args
