"""`rank`: which networks of many would do best, by the accuracy that they have with predicted parameters."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import HypernetworkError
from .candidates import Candidates
from .evaluating import accuracy, check_is_one, check_task

if TYPE_CHECKING:
    from .hypernetwork import Hypernetwork


@dataclass(frozen=True, slots=True)
class Ranked:
    """A network with the accuracy that it has without training; nan where it failed, and ``error`` says how."""

    number: int
    name: str
    accuracy: float
    num_params: int
    flops: int
    hash: str
    error: str = ""


def rank(
    ghn: Hypernetwork,
    candidates: Candidates,
    numbers: Sequence[int],
    *,
    part: str = "valid",
    max_samples: int | None = None,
    file: str | Path | None = None,
    on_network: Callable[[int, Ranked], object] | None = None,
) -> list[Ranked]:
    """The networks of these numbers, those first that are most accurate with parameters that ``ghn`` predicts.

    ``file`` (.jsonl) keeps a line for every network: killed and called again, the ranking goes on with the others. A file of
    another hypernetwork, other data or networks is refused. ``on_network`` is told how many are done, and of the last.
    Source: Knyazev et al., NeurIPS 2021, section 5.1 (the best of 100,000 for DARTS' recipe).

    >>> import netloom as nl
    >>> ghn, task = nl.ghn.GHN2((8, 8, 3, 3), 10, hid=8).eval(), nl.tasks.load("digits?valid=64")
    >>> found = rank(ghn, Candidates(task, "search", channels=8), range(2), max_samples=64)
    >>> len(found), found[0].accuracy >= found[1].accuracy, found[0].name.startswith("deepnets1m:search/")
    (2, True, True)
    """
    check_is_one(ghn)
    check_task(ghn, candidates.task)
    if part not in ("train", "valid", "test"):
        raise HypernetworkError(f"part {part!r}; expected train, valid or test")
    head = {
        "ranking": 1, "hypernetwork": digest(ghn), "task": candidates.task.hash, "part": part, "samples": max_samples,
        "networks": candidates.name(0).replace("/0", ""),
    }  # fmt: skip
    known = _known(file, head) if file is not None else {}
    if max_samples is not None and (type(max_samples) is not int or max_samples < 2):
        raise HypernetworkError(f"max_samples = {max_samples!r}; expected a whole number from 2")
    data = candidates.task.read_test() if part == "test" else getattr(candidates.task, part)
    for done, number in enumerate(numbers, 1):
        if number not in known:
            known[number] = _ranked(ghn, candidates, number, data, max_samples)
            if file is not None:
                with open(file, "a", encoding="utf-8") as opened:
                    opened.write(json.dumps(_plain(asdict(known[number]))) + "\n")
        if on_network is not None:
            on_network(done, known[number])
    return sorted((known[number] for number in numbers), key=_order)


def _order(row: Ranked) -> tuple[float, int]:
    return (math.inf if math.isnan(row.accuracy) else -row.accuracy, row.number)


def _ranked(ghn: Hypernetwork, candidates: Candidates, number: int, data: Any, max_samples: int | None) -> Ranked:
    graph, name = candidates[number], candidates.name(number)
    try:
        found, error = accuracy(ghn, graph, data, max_samples=max_samples)[0], ""
    except Exception as failure:  # whatever a network does: its failure is a result
        found, error = math.nan, f"{type(failure).__name__}: {failure}"
    return Ranked(number, name, found, graph.num_params, graph.flops, graph.hash, error)


def _known(file: str | Path, head: dict[str, Any]) -> dict[int, Ranked]:
    """What a file holds already; a new one is begun. A last line that was cut off is left out."""
    path = Path(file)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise HypernetworkError(f"{str(path)!r} cannot be read as a ranking: {error}; give another file") from None
    if not lines:
        try:
            path.write_text(json.dumps(head) + "\n", encoding="utf-8")
        except OSError as error:
            raise HypernetworkError(f"the ranking cannot be written to {str(path)!r}: {error.strerror or error}") from None
        return {}
    if _read(lines[0]) != head:
        raise HypernetworkError(f"{str(path)!r} ranks other networks, by another hypernetwork or other data; give another file")
    rows = [row for row in map(_read, lines[1:]) if isinstance(row, dict) and row.keys() == Ranked.__dataclass_fields__.keys()]
    if len(rows) < len(lines) - 1:
        path.write_text("\n".join([lines[0], *map(json.dumps, rows)]) + "\n", encoding="utf-8")
    return {row["number"]: Ranked(**{**row, "accuracy": _number(row["accuracy"])}) for row in rows}


def _read(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"accuracy": None if math.isnan(row["accuracy"]) else row["accuracy"]}


def digest(ghn: Hypernetwork) -> str:
    """SHA-256 of the weights: what another hypernetwork said is of no use."""
    import hashlib

    found = hashlib.sha256()
    for name, tensor in sorted(ghn.state_dict().items()):
        found.update(name.encode() + tensor.cpu().numpy().tobytes())
    return found.hexdigest()
