"""Which chains of layers the generator of random convolutional networks can give."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ..ops import Size, TensorType
from .chain import Layer, signature
from .conv_layers import ALL_ACTIVATIONS, AVG_POOLS, BATCH_NORM, CONVS, DROPOUTS, FLATTEN, GLOBAL_AVG_POOL, LINEARS, MAX_POOLS

#: One letter for each kind of layer; the grammar is a regular expression over them.
_LETTERS = {
    "conv2d": "c", "relu": "a", "leaky_relu": "a", "prelu": "a", "max_pool2d": "m", "batch_norm": "b", "avg_pool2d": "v",
    "adaptive_avg_pool2d": "g", "flatten": "f", "linear": "l", "dropout": "d",
}  # fmt: skip


@lru_cache(maxsize=16)
def signatures(head: Layer) -> dict[tuple[str, frozenset[Any]], Layer]:
    """Every layer of the space, ``head`` included, by how it shows in a graph (see `chain.signature`)."""
    batch = Size.symbol("N")
    # Large enough for every window, so that no layer is refused; the attributes do not depend on it.
    image, flat = TensorType("float32", (batch, 8, 64, 64)), TensorType("float32", (batch, 8))
    spatial = (*CONVS, *MAX_POOLS, *AVG_POOLS, BATCH_NORM, GLOBAL_AVG_POOL, FLATTEN)
    found = {signature(layer, image): layer for layer in spatial}
    # The layers of the list come last: a head with as many outputs as one of them is written in the same way.
    return found | {signature(layer, flat): layer for layer in (head, *ALL_ACTIVATIONS, *LINEARS, *DROPOUTS)}


def parses(layers: list[Layer], head: Layer, conv_num: int, lin_num: int) -> bool:
    """Whether the generator with these settings can give this chain."""
    if not layers or layers[-1] != head or any(layer.op == "linear" and layer not in LINEARS for layer in layers[:-1]):
        return False
    word = "".join(_LETTERS[layer.op] for layer in layers)
    pattern = f"(?:cam?b?v?){{1,{conv_num}}}g?f(?:lad?){{0,{lin_num - 1}}}l"
    return re.fullmatch(pattern, word) is not None
