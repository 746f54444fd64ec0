"""Making a network that costs too much smaller, one step at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .chain import Layer
from .conv_layers import CONVS, FEATURES, FLATTEN, GLOBAL_AVG_POOL, LINEARS, Extent, through

_NARROWER: dict[Layer, Layer] = {}
for _layers in (CONVS, LINEARS):
    _by_attrs = {layer.attrs: layer for layer in _layers}
    _sizes = sorted({FEATURES[layer] for layer in _layers})
    for _layer in _layers:
        _place = _sizes.index(FEATURES[_layer])
        if _place:
            _NARROWER[_layer] = _by_attrs[tuple((k, _sizes[_place - 1] if k == "out" else v) for k, v in _layer.attrs)]


def repaired(
    layers: Sequence[Layer], fallback: Sequence[Layer], start: Extent, caps: tuple[float, float]
) -> list[Layer]:
    """A network like ``layers`` but within ``caps`` (parameters, multiply–accumulates).

    Takes, as long as it is too large, the smallest change that brings it furthest: a narrower layer, a global pool before
    flatten, one block less. Gives ``fallback`` where nothing helps any more.
    """
    current = list(layers)
    excess = _excess(current, start, caps)
    while excess > 1:
        changes = [(_excess(changed, start, caps), i, changed) for i, changed in enumerate(_changes(current))]
        best = min(changes, default=None, key=lambda change: change[:2])
        if best is None or best[0] >= excess:
            return list(fallback)
        excess, _, current = best
    return current


def _excess(layers: list[Layer], start: Extent, caps: tuple[float, float]) -> float:
    """By how many times the cap that is broken most is exceeded."""
    extent = through(start, layers)
    if extent is None or layers[0].op != "conv2d":
        return float("inf")
    return max(extent.num_params / max(caps[0], 1e-9), extent.macs / max(caps[1], 1e-9))


def _changes(layers: list[Layer]) -> Iterator[list[Layer]]:
    flat = layers.index(FLATTEN)
    for i, layer in enumerate(layers[:-1]):
        if layer in _NARROWER:
            yield [*layers[:i], _NARROWER[layer], *layers[i + 1 :]]
    if layers[flat - 1] is not GLOBAL_AVG_POOL:
        yield [*layers[:flat], GLOBAL_AVG_POOL, *layers[flat:]]
    convs = [i for i, layer in enumerate(layers) if layer.op == "conv2d"]
    if len(convs) > 1:
        image_end = flat - (layers[flat - 1] is GLOBAL_AVG_POOL)
        yield [*layers[: convs[-1]], *layers[image_end:]]
    hidden = [i for i, layer in enumerate(layers) if i > flat and layer.op == "linear"]
    if len(hidden) > 1:
        yield [*layers[: hidden[-2]], *layers[hidden[-1] :]]
