"""Which nodes stay: parameters, pools, sums and concatenations of several values, attention, and squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Callable

from .ordering import Place, bypass
from .primitives import INDEX

#: Entries between the softmax and the end of an attention, or a gate and its product, at most.
_REACH = 16
_MOVES = frozenset({"view", "permute", "expand", "unsqueeze", "slice", "other"})


def reduced(
    places: list[Place], is_global: Callable[[Place], bool], is_gate: Callable[[Place], bool], alone: bool
) -> list[Place]:  # fmt: skip
    """The nodes that stay, in order, joined across those that do not.

    ``is_global`` says whether a mean is one over all places; ``is_gate`` whether a product is of channels with their gates.
    ``alone`` leaves out attentions and gates that other nodes are computed beside, as those who trained GHN-1 and GHN-2 did;
    without it, a mean that only gates are made of is left out.
    """
    for place in _products(places, is_gate, alone):
        place.kind = "cse"
        if not alone and (mean := _mean_before(place)) is not None:
            mean.kind = "other"
    places = _without(places, lambda place: place.kind == "mul")
    for place in _attentions(places, alone):
        place.kind = "msa"
    kept = {*INDEX, "add", "cat", "mean", "adaptive", "attention"}
    places = _without(places, lambda place: place.kind not in kept)
    places = _without(places, lambda place: place.kind == "mean" and not is_global(place))
    for kind, name in (("add", "sum"), ("cat", "concat")):
        places = _without(places, lambda place, kind=kind: place.kind == kind and len(place.before) < 2)  # type: ignore[misc]
        for place in places:
            if place.kind == kind:
                place.kind = name
    names = {"mean": "glob_avg", "adaptive": "glob_avg", "attention": "msa"}
    for place in places:
        place.kind = names.get(place.kind, place.kind)
    return places


def _without(places: list[Place], goes: Callable[[Place], bool]) -> list[Place]:
    kept = []
    for place in places:
        if goes(place):
            bypass(place)
        else:
            kept.append(place)
    return kept


def _products(places: list[Place], is_gate: Callable[[Place], bool], alone: bool) -> list[Place]:
    """Products of channels with their gates; with ``alone``, where nothing else is computed between the two."""
    if not alone:
        return [place for place in places if place.kind == "mul" and is_gate(place)]
    found = []
    for i, place in enumerate(places):
        if place.kind == "mul" and is_gate(place):
            length = _steps_back(place, "hardswish")
            if length and (_alone(places, i, length) or places[i - length].kind in ("hardswish", "hard")):
                found.append(place)
    return found


def _mean_before(product: Place) -> Place | None:
    """The nearest mean that a product depends on."""
    layer = [product]
    for _ in range(_REACH):
        layer = [before for place in layer for before in place.before]
        for place in layer:
            if place.kind in ("mean", "adaptive"):
                return place
    return None


def _attentions(places: list[Place], alone: bool) -> list[Place]:
    """Ends of attentions: where values that a softmax has weighted are put back in order."""
    position = {place: i for i, place in enumerate(places)}
    found = []
    for start in places:
        if start.kind != "softmax":
            continue
        end, length = _end(start)
        if end is not None and not alone:
            found.append(end)
        elif end is not None and (_alone(places, position[end], length) or places[position[end] - length].kind == "softmax"):
            found.append(end)
    return found


def _end(start: Place) -> tuple[Place | None, int]:
    """The last entry of the attention that a softmax begins: the copy after its product with the values, or that product."""
    place, product, product_at = start, None, 0
    for length in range(1, _REACH):
        if len(place.after) != 1:
            break
        place = next(iter(place.after))
        if place.leaf is not None:
            break
        if place.kind == "clone" and product is not None:
            return place, length
        if place.kind in ("bmm", "mm"):
            if product is not None:
                break
            product, product_at = place, length
        elif product is not None and place.kind not in _MOVES:
            break
    return product, product_at


def _steps_back(place: Place, kind: str) -> int:
    """Entries from a product back to the entry of a kind, over entries that only move data; 0 where there is none."""
    for start in place.before:
        before, length = start, 1
        while before.kind in _MOVES and len(before.before) == 1 and before.leaf is None:
            before, length = next(iter(before.before)), length + 1
        if before.kind == kind:
            return length
    return 0


def _alone(places: list[Place], end: int, length: int) -> bool:
    """Whether the entries from the beginning of a chain to its end are its own: nothing beside it lies between them."""
    chain = newest = {places[end]}
    for _ in range(length):
        newest = {before for place in newest for before in place.before}
        chain = chain | newest
    begin = end - length
    return begin >= 0 and all(place in chain for place in places[begin:end])


def feature_mean(rank: int, dims: tuple[int, ...]) -> bool:
    """Whether a mean over ``dims`` of a value of ``rank`` axes leaves out the axis of features."""
    return bool(dims) and 0 not in dims and (1 if rank > 3 else rank - 1) not in dims
