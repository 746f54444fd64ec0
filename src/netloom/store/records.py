"""The values that go into a store and come out of it."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..errors import StoreError

if TYPE_CHECKING:
    from ..training import Epoch, TrainingResult

#: Ways to end that depend on the machine or its load: such a result is kept, but a later one may take its place.
INEXACT = ("time_limit", "out_of_memory", "killed")

_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class EvaluationKey:
    """What was measured: two results with one key would be the same result.

    ``init`` is ``"random"`` or the hash of the starting weights; ``fidelity`` the number of epochs; ``evaluator`` the
    version of the training and scoring code. Raises `StoreError` for parts of another type.
    """

    graph_hash: str
    task_hash: str
    recipe_hash: str
    seed: int
    fidelity: int
    init: str = "random"
    evaluator: int = 1

    def __post_init__(self) -> None:
        for name in ("graph_hash", "task_hash", "recipe_hash", "init"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value or "\0" in value:
                raise StoreError(f"evaluation key: {name} = {str(value)[:80]!r}; expected a word that is not empty")
        for name in ("seed", "fidelity", "evaluator"):
            object.__setattr__(self, name, _integer(f"evaluation key: {name}", getattr(self, name)))

    @classmethod
    def of(
        cls, graph: Any, task: Any, recipe: Any, *, seed: int, init: str = "random", evaluator: int | None = None
    ) -> EvaluationKey:
        """The key of a graph trained on a task by a recipe, for as many epochs as the recipe says, by this netloom.

        >>> import netloom as nl
        >>> x = nl.input(64)
        >>> graph, recipe = nl.Graph(x, nl.linear(x, 10)), nl.training.recipe("express", epochs=3)
        >>> EvaluationKey.of(graph, nl.tasks.load("digits"), recipe, seed=0).fidelity
        3
        """
        for what, value in (("graph", graph), ("task", task), ("recipe", recipe)):
            if not isinstance(getattr(value, "hash", None), str):
                raise StoreError(f"evaluation key: the {what} has no hash; expected a {what.capitalize()}, not {value!r:.80}")
        if evaluator is None:
            from ..training import EVALUATOR  # which may load torch

            evaluator = EVALUATOR
        return cls(graph.hash, task.hash, recipe.hash, seed, recipe.epochs, init, evaluator)


def _integer(name: str, value: Any) -> int:
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool) or whole not in _INT64:
        raise StoreError(f"{name} = {str(value)[:80]!r}; expected an integer of at most 64 bits")
    return whole


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """What came out: ``score`` is None where there is none, ``error`` says why; ``id`` is 0 before it is stored.

    ``metrics`` are further numbers by name. ``artifacts`` are hashes of files that were added to the store, by their
    role: ``{"weights": store.save_weights(network)}``.
    """

    status: str
    score: float | None
    seconds: float
    error: str = ""
    curve: tuple[Epoch, ...] = ()
    id: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, training: TrainingResult, *, artifacts: Mapping[str, str] | None = None) -> EvaluationRecord:
        """What `nl.train` came to, ready to be stored: status, validation score, seconds, error, learning curve."""
        score = finite(training.score)
        status = "failed" if training.status == "ok" and score is None else training.status
        error = training.error or ("" if status == "ok" else f"ended by {training.reason}")
        metrics = {"best_score": training.best_score, "best_epoch": training.best_epoch, "steps": training.steps}
        metrics = {name: value for name, value in metrics.items() if finite(value) is not None}
        return cls(status, score, training.seconds, error, training.curve, metrics=metrics, artifacts=artifacts or {})


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a candidate came from.

    ``parents`` are hashes of graphs in the store, ``edit`` what made the child of them, as JSON values. ``proposed_by``,
    ``scored_by`` and ``initialised_by`` name the parts that chose it, that predicted ``predicted_score`` before it was
    trained, and that gave it its first weights.

    >>> Lineage(proposed_by="random").initialised_by
    'random'
    """

    parents: tuple[str, ...] = ()
    edit: Any = None
    proposed_by: str = ""
    scored_by: str = ""
    predicted_score: float | None = None
    initialised_by: str = "random"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a key until its heartbeats stop for ``grace_seconds``. ``token`` is higher than any before it."""

    key: EvaluationKey
    token: int
    holder: str
    grace_seconds: float


#: Parts of a key that are hashes of rows elsewhere, and those that stand in the row itself.
HASHES = ("graph_hash", "task_hash", "recipe_hash")
REST = ("init", "seed", "fidelity", "evaluator")


def key_values(key: EvaluationKey) -> dict[str, Any]:
    """The parts of a key by name."""
    return {name: getattr(key, name) for name in (*HASHES, *REST)}


def result_values(result: EvaluationRecord) -> dict[str, Any]:
    """The columns of a result; `StoreError` for one that says it is whole and has no score."""
    score, seconds = finite(result.score, "score"), finite(result.seconds, "seconds")
    if result.status == "ok" and score is None:
        raise StoreError(
            f"an evaluation with status 'ok' has the score {result.score!r}; expected a finite number, or another status"
        )
    if not isinstance(result.status, str) or not result.status or seconds is None:
        raise StoreError(f"evaluation: status {result.status!r}, seconds {result.seconds!r}; expected a word and a number")
    metrics = {str(name): finite(value, f"metrics[{name!r}]") for name, value in result.metrics.items()}
    metrics = {name: value for name, value in metrics.items() if value is not None}
    return {
        "status": result.status,
        "score": score,
        "seconds": seconds,
        "error": _storable(str(result.error)),
        "metrics": metrics or None,
    }


def _storable(text: str) -> str:
    """Text that every database takes: messages may hold zero bytes, and halves of characters from undecoded names."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def finite(value: Any, name: str = "a number") -> float | None:
    """``value`` as a float, None where it is not finite; `StoreError` where it is no number."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise StoreError(f"evaluation: {name} = {str(value)[:80]!r}; expected a number") from None
    return number if math.isfinite(number) else None


#: What a curve's rows have in columns of their own.
CURVE_COLUMNS = ("epoch", "train_loss", "train_score", "valid_loss", "score", "seconds")


def curve_rows(evaluation_id: int, curve: tuple[Epoch, ...]) -> list[dict[str, Any]]:
    """The rows of a learning curve."""
    rows = []
    for point in curve:
        noted = {f.name: getattr(point, f.name) for f in fields(point)}
        row: dict[str, Any] = {name: finite(noted.pop(name, None)) for name in CURVE_COLUMNS}
        more = {name: value for name, value in noted.items() if isinstance(value, int | float | str) and value == value}
        rows.append({"evaluation_id": evaluation_id, **row, "epoch": int(point.epoch), "more": more or None})
    return rows


def curve_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Epoch, ...]:
    """The learning curve in rows, which are in order."""
    rows = list(rows)
    if not rows:
        return ()
    from ..training import Epoch  # which may load torch

    names = [f.name for f in fields(Epoch)]
    points = []
    for row in rows:
        noted: dict[str, Any] = {**(row["more"] or {}), **{name: row[name] for name in CURVE_COLUMNS}}
        values: dict[str, Any] = {name: math.nan if noted.get(name) is None else noted[name] for name in names}
        points.append(Epoch(**values))
    return tuple(points)
