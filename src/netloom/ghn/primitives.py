"""The fifteen node types of a hypernetwork's view, in the order in which their embeddings are stored."""

from __future__ import annotations

#: Name of a type by index (Knyazev et al., "Parameter Prediction for Unseen Deep Architectures", NeurIPS 2021).
PRIMITIVES = (
    "max_pool", "avg_pool", "sep_conv", "dil_conv", "conv", "msa", "cse", "sum", "concat", "input", "bias", "bn", "ln",
    "pos_enc", "glob_avg",
)  # fmt: skip
INDEX = {name: index for index, name in enumerate(PRIMITIVES)}

#: Operators that own a weight → the type of its node; a linear layer is a 1×1 convolution.
WEIGHT_TYPES = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), "conv"),
    **dict.fromkeys(("linear", "bilinear"), "conv"),
    **dict.fromkeys(("batch_norm",), "bn"),
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "rms_norm"), "ln"),
    "embedding": "pos_enc",
}
#: Operators of which only the last was seen by those who trained hypernetworks: the others are mapped to their likes.
EXACT = frozenset({"conv2d", "linear", "batch_norm", "layer_norm"})

#: Operators without weights → type.
POOL_TYPES = {
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool3d"), "max_pool"),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d"), "avg_pool"),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"), "glob_avg"),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"), "glob_avg"),
}


def conv_type(op: str, groups: int, dilation: tuple[int, ...]) -> str:
    """The type of a convolution's weight.

    >>> conv_type("conv2d", 1, (1, 1)), conv_type("conv2d", 8, (1, 1)), conv_type("conv2d", 8, (2, 2))
    ('conv', 'sep_conv', 'dil_conv')
    """
    if groups > 1:
        return "dil_conv" if dilation and min(dilation) > 1 else "sep_conv"
    return WEIGHT_TYPES[op]
