"""Results of networks that were stacked: what takes time to make is made when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .loop import Epoch, LoopResult
from .recipes import Recipe
from .results import TrainingResult

if TYPE_CHECKING:
    from torch import Tensor

    from ..graph.graph import Graph
    from .many_learner import StackLearner


class Later:
    """A value that is made once, when it is first asked for."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def _lazy(name: str) -> Any:
    """A field that may hold a `Later`."""
    held = f"_{name}"

    def get(self: Any) -> Any:
        value = self.__dict__[held]
        if isinstance(value, Later):
            import torch

            with torch.inference_mode(False):  # whatever the caller is in
                value = self.__dict__[held] = value.make()
        return value

    def put(self: Any, value: Any) -> None:
        self.__dict__[held] = value

    return property(get, put)


class StackedResult(TrainingResult):
    """A `TrainingResult` whose network, curve and best weights are made when they are first asked for."""

    network = _lazy("network")
    curve = _lazy("curve")
    best_state = _lazy("best_state")

    @property
    def final_state(self) -> dict[str, Tensor]:
        """The tensors of the network by key, as training left them: copies."""
        import torch

        make = self.__dict__.get("state")
        with torch.inference_mode(False):
            return make() if make is not None else {key: tensor.clone() for key, tensor in self.network.state_dict().items()}


def results_of(
    learner: StackLearner, ended: LoopResult, graphs: list[Graph], seeds: list[int], recipe: Recipe
) -> list[StackedResult]:
    """The result of each network of a stack, in its order."""
    archive = _Archive(learner, graphs)
    return [archive.result(place, ended, seed, recipe) for place, seed in enumerate(seeds)]


class _Archive:
    """What is left of a stack that has been trained, for all its results: nothing of its buffers."""

    def __init__(self, learner: StackLearner, graphs: list[Graph]) -> None:
        self.layout, self.graphs = learner.stack.layout, graphs
        self.final = learner.scored().clone()
        self.best, self.course, self.early = learner.best, learner.course, learner.ended
        self.best_score, self.best_epoch = learner.best_score.tolist(), learner.best_epoch.tolist()
        self.last_scores = learner.course.score[-1].tolist() if learner.course.score else []
        self.seconds, self.steps = learner.seconds, learner.steps
        self._columns: list[list[list[float]]] | None = None

    def result(self, place: int, ended: LoopResult, seed: int, recipe: Recipe) -> StackedResult:
        early = self.early.get(place)
        if early is None:
            status, reason, steps, seconds = ended.status, ended.reason, self.steps, self.seconds
            epochs = len(self.course.score)
        else:
            status, reason, steps, seconds, epochs = early.status, early.reason, early.steps, early.seconds, early.epochs
        score = math.nan if status == "diverged" or not epochs else self._score(place, epochs)
        best = self.best_epoch[place]
        result = StackedResult(
            Later(lambda: self.network(place)), score, status, seconds, Later(lambda: self.curve(place, epochs)),  # type: ignore[arg-type]
            reason, "", steps, self.best_score[place] if best else math.nan, best,
            Later(lambda: self.layout.state_of(place, self.best)) if best else None,  # type: ignore[arg-type]
            recipe, seed,
        )  # fmt: skip
        result.__dict__["state"] = lambda: self.state(place)
        return result

    def _score(self, place: int, epochs: int) -> float:
        if epochs == len(self.course.score):
            return self.last_scores[place]
        return self.course.score[epochs - 1][place].item()

    def state(self, place: int) -> dict[str, Tensor]:
        early = self.early.get(place)
        return self.layout.state_of(place, self.final) if early is None else early.weights

    def curve(self, place: int, epochs: int) -> tuple[Epoch, ...]:
        from .many_learner import curve_of

        if self._columns is None:
            self._columns = self.course.columns()
        return curve_of(self._columns, place, self.course.seconds, epochs)

    def network(self, place: int) -> Any:
        from ..building.network import holding

        return holding(self.graphs[place], self.state(place)).eval()
