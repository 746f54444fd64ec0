"""Which candidates keep to the constraints of their search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..searching.objectives import Constraint

if TYPE_CHECKING:
    from ..store import Store
    from .summary import Evaluation

#: A measure that needs the graph itself; looked up for so many candidates at most, the best first.
_OF_GRAPH, _MOST = "activations", 200


def violations(
    store: Store, settings: Mapping[str, Any], order: Sequence[Evaluation], every: Sequence[Evaluation]
) -> dict[str, tuple[str, ...]]:
    """Hash → the constraints that a network breaks, of those that break one; ``order`` has one result each, best first.

    Constraints that cannot be read, or on what was not measured of anybody, count as kept.
    """
    constraints = _read(settings)
    if not constraints:
        return {}
    start = _of_start(store, settings, every)
    found: dict[str, tuple[str, ...]] = {}
    for place, evaluation in enumerate(order):
        values = _values(store, evaluation, any(c.name == _OF_GRAPH for c in constraints) and place < _MOST)
        broken = tuple(
            str(c) for c in constraints
            if not (c.name == _OF_GRAPH and c.name not in values) and not c.holds(values.get(c.name), start.get(c.name))
        )  # fmt: skip
        if broken:
            found[evaluation.hash] = broken
    return found


def _read(settings: Mapping[str, Any]) -> list[Constraint]:
    found = []
    for text in settings.get("constraints") or ():
        try:
            found.append(Constraint.of(text))
        except NetloomError:
            continue
    return found


def _values(store: Store, evaluation: Evaluation, with_graph: bool) -> dict[str, float]:
    values: dict[str, float] = {**evaluation.metrics, "params": evaluation.num_params, "flops": evaluation.flops}
    values |= {"macs": evaluation.flops / 2, "seconds": evaluation.seconds}
    if evaluation.score is not None:
        values["score"] = evaluation.score
    if with_graph and _OF_GRAPH not in values:
        values[_OF_GRAPH] = float(store.graph(evaluation.hash).activations)
    return values


def _of_start(store: Store, settings: Mapping[str, Any], every: Sequence[Evaluation]) -> dict[str, float]:
    """The measures of the network that the search started from, as far as they are known."""
    hash = settings.get("start")
    if not hash:
        return {}
    first = next((evaluation for evaluation in every if evaluation.hash == hash), None)
    try:
        graph = store.graph(str(hash))
    except NetloomError:
        return {} if first is None else _values(store, first, False)
    known = {} if first is None else _values(store, first, False)
    static = {"params": graph.num_params, "flops": graph.flops, "macs": graph.flops / 2, _OF_GRAPH: graph.activations}
    return {**known, **{name: float(value) for name, value in static.items()}}
