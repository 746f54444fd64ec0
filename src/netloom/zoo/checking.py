"""Whether the files of a zoo are whole and fit each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError
from ..graph.graph import Graph
from .files import about_part, sha256_of, table_path, tensors_path
from .stored_tasks import PER_FILE

if TYPE_CHECKING:
    from .population import Zoo

#: A network that is measured again may differ by so much, relative: another machine adds in another order.
_TOLERANCE = 1e-3


def problems(zoo: Zoo, *, deep: bool = False, tell: Callable[[str], object] = lambda part: None) -> list[str]:
    """One sentence for each thing that is wrong; none where all is well.

    Every part is there, the tensors are those that were written (SHA-256), the rows are those of the plan, architectures have
    their hashes, and each network has the tensors that its architecture asks for. ``deep``: data of tasks have their hashes,
    and every network, computed again, has the validation loss that is recorded. ``tell`` is told of each part.
    """
    found: list[str] = []
    parts = range(-(-zoo.plan.tasks // PER_FILE))
    there = [number for number in parts if table_path(zoo.folder, "tasks", number).exists()]
    if not zoo.is_whole:
        tasks = "" if len(there) == len(parts) else f" and {len(there)} of {len(parts)} files of tasks"
        count = sum(table_path(zoo.folder, "weights", shard).exists() for shard in range(zoo.plan.shards))
        networks = f"{count:,} of {zoo.plan.shards:,} files of networks"
        found.append(f"it is not whole: {networks}{tasks} are there; make it again to go on")
    for number in there:
        found += _part(zoo, "tasks", number)
        if deep:
            found += _tasks(zoo, number)
        tell(f"tasks {number}")
    for shard in range(zoo.plan.shards):
        if table_path(zoo.folder, "weights", shard).exists():
            damaged = _part(zoo, "weights", shard)
            found += damaged or list(_networks(zoo, shard, deep))
            tell(f"networks {shard}")
    return found


def _part(zoo: Zoo, kind: str, number: int) -> list[str]:
    """What is wrong with the files of a part."""
    path = tensors_path(zoo.folder, kind, number)
    try:
        about = about_part(zoo.folder, kind, number)
        if not path.exists():
            return [f"{path} is missing"]
        if sha256_of(path) != about["sha256"]:
            return [f"{path} is not what was written: its SHA-256 differs"]
    except NetloomError as error:
        return [str(error)]
    return []


def _tasks(zoo: Zoo, number: int) -> Iterator[str]:
    """What is wrong with the data of tasks."""
    for place in range(number * PER_FILE, min((number + 1) * PER_FILE, zoo.plan.tasks)):
        try:
            _ = zoo.tasks[place]
        except NetloomError as error:
            yield str(error)


def _networks(zoo: Zoo, shard: int, deep: bool) -> Iterator[str]:
    expected = list(zoo.plan.shard(shard))
    try:
        rows = zoo._tables[shard].to_pylist()
    except NetloomError as error:
        yield str(error)
        return
    if [row["network"] for row in rows] != expected:
        yield f"{table_path(zoo.folder, 'weights', shard)} has other rows than networks {expected[0]} to {expected[-1]}"
        return
    for row in rows:
        try:
            wrong = _network(zoo, row, deep)
        except NetloomError as error:
            wrong = str(error)
        if wrong:
            yield f"network {row['network']}: {wrong}"


def _network(zoo: Zoo, row: dict[str, Any], deep: bool) -> str:
    graph = Graph.from_json(row["graph"])
    if graph.hash != row["graph_hash"]:
        return f"its architecture has the hash {graph.hash}, not {row['graph_hash']}"
    if not row["has_weights"]:
        return ""
    weights = zoo.weights(row["network"])
    expected = {
        key: tuple(entry.type.shape) for key, entry in graph.tensors.items() if entry.alias_of is None and entry.persistent
    }  # fmt: skip
    if {key: tuple(tensor.shape) for key, tensor in weights.items()} != expected:
        return "its tensors are not those of its architecture"
    return _measured(zoo, row, graph, weights) if deep else ""


def _measured(zoo: Zoo, row: dict[str, Any], graph: Graph, weights: dict[str, Any]) -> str:
    """What differs where the network is computed again; the loss of the best epoch is in its curve."""
    from ..building.network import build
    from ..training.evaluation import evaluate

    if row["status"] == "diverged" or not row["curve_valid_loss"]:
        return ""
    best = zoo.plan.config.kept == "best" and row["best_epoch"]
    recorded = row["curve_valid_loss"][row["best_epoch"] - 1] if best else row["valid_loss"]
    loss = evaluate(build(graph, weights=weights), zoo.tasks[row["task"]].valid).loss
    if not math.isclose(loss, recorded, rel_tol=_TOLERANCE, abs_tol=1e-6):
        return f"its validation loss is {loss:.6g}, recorded as {recorded:.6g}"
    return ""
