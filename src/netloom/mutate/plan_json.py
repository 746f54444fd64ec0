"""Plans as JSON documents: both graphs of every stage, and where every index comes from."""

from __future__ import annotations

import json
from typing import Any

from ..errors import FormatError, NetloomError, VersionError
from ..graph.graph import Graph
from .growing import EDGE, INIT, UNDER, ZERO
from .plan import Move, Plan, Stage

_FORMAT, _VERSION = "netloom-plan", 1


def to_json(plan: Plan) -> str:
    """See `Plan.to_json`."""
    document = {
        "format": _FORMAT, "version": _VERSION, "seed": plan.seed, "before": _graph(plan.before),
        "stages": [_stage(stage) for stage in plan.stages],
    }  # fmt: skip
    return json.dumps(document, allow_nan=False)


def _graph(graph: Graph) -> Any:
    return json.loads(graph.to_json())


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "title": stage.title, "graph": _graph(stage.graph), "reasons": list(stage.reasons),
        "fresh": {key: list(rule) for key, rule in stage.fresh.items()},
        "moves": {key: _move(move) for key, move in stage.moves.items()},
    }  # fmt: skip


def _move(move: Move) -> dict[str, Any]:
    axes = [None if codes is None else _packed(codes.tolist()) for codes in move.axes]
    found = {"axes": axes, "fill": list(move.fill), "shared": list(move.shared), "scale": move.scale}
    if move.blank:
        found["blank"] = [None if places is None else _packed(places.tolist()) for places in move.blank]
    return found


def _packed(codes: list[int]) -> list[int | list[int]]:
    """Runs of neighbours as [first, count]; single codes as they are."""
    found: list[int | list[int]] = []
    for code in codes:
        last = found[-1] if found else None
        if isinstance(last, list) and code == last[0] + last[1]:
            last[1] += 1
        elif isinstance(last, int) and code == last + 1:
            found[-1] = [last, 2]
        else:
            found.append(code)
    return found


def _unpacked(runs: Any, size: int, whole: bool = True) -> Any:
    import numpy as np

    codes: list[int] = []
    for run in runs:
        if isinstance(run, list):
            first, count = run
            if not 0 <= count <= size:
                raise ValueError(f"a run of {count} where the axis has {size}")
            codes += range(first, first + count)
        else:
            codes.append(run)
        if len(codes) > size:
            raise ValueError(f"more than {size} indices")
    if (whole and len(codes) != size) or not all(isinstance(code, int) for code in codes):
        raise ValueError(f"{len(codes)} indices where the axis has {size}")
    return np.asarray(codes, dtype=np.int64)


def from_json(document: str) -> Plan:
    """See `Plan.from_json`."""
    try:
        data = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"a plan is a JSON document; this is none: {str(error)[:200]}") from None
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        found = str(data.get("format"))[:80] if isinstance(data, dict) else type(data).__name__
        raise FormatError(f"this document is no plan: its format is {found!r}")
    if data.get("version") != _VERSION:
        raise VersionError(f"plan version {str(data.get('version'))[:40]!r} is unknown; this netloom reads version {_VERSION}")
    try:
        before = Graph.from_json(data["before"])
        stages: list[Stage] = []
        for entry in data["stages"]:
            stages.append(_stage_of(entry, stages[-1].graph if stages else before))
        return Plan(before, tuple(stages), int(data["seed"]))
    except NetloomError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FormatError(f"the plan is damaged ({type(error).__name__}: {str(error)[:200]})") from None


def _stage_of(entry: Any, before: Graph) -> Stage:
    graph = Graph.from_json(entry["graph"])
    fresh = {str(key): tuple(rule) for key, rule in entry["fresh"].items()}
    moves = {}
    for key, move in entry["moves"].items():
        if key not in graph.tensors or key not in before.tensors:
            continue
        moves[key] = _move_of(move, before.tensors[key].type.shape, graph.tensors[key].type.shape)
    for key, made in graph.tensors.items():
        known = key in fresh or made.alias_of is not None or key in moves
        if not known and (key not in before.tensors or before.tensors[key].type != made.type):
            raise ValueError(f"nothing says where {key!r} comes from")
    return Stage(str(entry["title"]), graph, moves, fresh, tuple(map(str, entry["reasons"])))


def _move_of(move: Any, old: tuple[int, ...], new: tuple[int, ...]) -> Move:
    import numpy as np

    axes, fill, shared = move["axes"], move["fill"], move["shared"]
    if not len(axes) == len(fill) == len(shared) == len(old) == len(new):
        raise ValueError("a move has as many axes as its tensor")
    if any(how not in ("", ZERO, INIT, UNDER, EDGE) for how in fill):
        raise ValueError(f"unknown filling {fill}")
    if any(how not in ("", "even", "uneven") for how in shared):
        raise ValueError(f"unknown sharing {shared}")
    rows: list[np.ndarray[Any, Any] | None] = []
    for runs, before, after in zip(axes, old, new):
        codes = None if runs is None else _unpacked(runs, after)
        if codes is None and before != after:
            raise ValueError(f"an axis of {before} cannot stay where {after} are needed")
        if codes is not None and (codes.max(initial=-1) >= before or codes.min(initial=0) < -(before + 1)):
            raise ValueError(f"an index beyond the {before} of its axis")
        rows.append(codes)
    return Move(tuple(rows), tuple(map(str, fill)), tuple(map(str, shared)), float(move["scale"]), _blanks(move, new))


def _blanks(move: Any, new: tuple[int, ...]) -> tuple[Any, ...]:
    import numpy as np

    found: list[np.ndarray[Any, Any] | None] = []
    for runs, size in zip(move.get("blank", ()), new):
        codes = None if runs is None else _unpacked(runs, size, whole=False)
        if codes is not None and (codes.min(initial=0) < 0 or codes.max(initial=-1) >= size):
            raise ValueError(f"an index beyond the {size} of its axis")
        found.append(codes)
    return tuple(found)
