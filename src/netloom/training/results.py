"""`TrainingResult`: what a training came to."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TrainingError
from .loop import DIVERGED, FAILED, OUT_OF_MEMORY, Epoch, LoopResult
from .recipes import Recipe

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training came to.

    ``score`` is the validation score (accuracy, R²) after the last epoch; nan where there was none, or where the network
    diverged or failed. ``status`` is how it ended: ``ok``, ``diverged``, ``out_of_memory``, ``time_limit`` or ``failed``;
    ``reason`` which limit ended it (``epochs``, ``steps``, ``seconds``, ``patience``, ``callback``) or what went wrong,
    ``error`` the exception. ``network`` is the trained module (None where it could not be built), ``curve`` has one `Epoch`
    for each epoch. ``best_state`` is the state_dict of the epoch ``best_epoch`` with the highest score, ``best_score``.
    ``recipe`` is what was done, ``remarks`` what a reader of the result should know.
    """

    network: Any
    score: float
    status: str
    seconds: float
    curve: tuple[Epoch, ...]
    reason: str = ""
    error: str = ""
    steps: int = 0
    best_score: float = math.nan
    best_epoch: int = 0
    best_state: dict[str, Any] | None = None
    recipe: Recipe | None = None
    seed: int = 0
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, network: Any, ended: LoopResult, recipe: Recipe, seed: int, remarks: tuple[str, ...]) -> TrainingResult:
        """The result of a loop's."""
        wrong = ended.status in (DIVERGED, FAILED, OUT_OF_MEMORY)
        score = ended.curve[-1].score if ended.curve and not wrong else math.nan
        made = cls(
            network, score, ended.status, ended.seconds, ended.curve, ended.reason, ended.error, ended.steps,
            recipe=recipe, seed=seed, remarks=remarks,
        )  # fmt: skip
        if ended.best is not None:
            for name, value in (("score", ended.best.score), ("epoch", ended.best.epoch), ("state", ended.best.state)):
                object.__setattr__(made, f"best_{name}", value)
        return made

    @classmethod
    def failed_to_build(cls, recipe: Recipe, seed: int, status: str, error: str, network: Any = None) -> TrainingResult:
        """The result where network or optimiser cannot be made."""
        return cls(network, math.nan, status, 0.0, (), "error", error, recipe=recipe, seed=seed)

    def restore_best(self) -> Any:
        """Put the weights of the best epoch into the network, and give it; `TrainingError` where no epoch has a score."""
        if self.best_state is None or self.network is None:
            raise TrainingError(f"no epoch of this training has a score ({self.status}); there are no best weights")
        self.network.load_state_dict(self.best_state)
        return self.network

    def curve_frame(self) -> pandas.DataFrame:
        """The curve as a DataFrame: the fields of `Epoch`, and ``epoch_seconds``, those of each epoch alone."""
        import pandas as pd

        names = list(Epoch.__dataclass_fields__)
        frame = pd.DataFrame([[getattr(point, name) for name in names] for point in self.curve], columns=names)
        frame["epoch_seconds"] = frame["seconds"].diff().fillna(frame["seconds"])
        return frame

    def draw(self, path: str | os.PathLike[str], *, score_name: str = "score", title: str = "") -> Path:
        """Write the curve as a picture, .svg or .png; gives the path. Errors as those of `draw_curve`."""
        from .curve_drawing import draw_curve

        return draw_curve(self.curve, path, score_name=score_name, title=title)

    def __repr__(self) -> str:
        best = f", best {self.best_score:.4f} in epoch {self.best_epoch}" if self.best_epoch else ""
        return (
            f"<TrainingResult: {self.status}, score {self.score:.4f} after {len(self.curve)} epochs{best}, "
            f"{self.seconds:.1f} s{': ' + self.error if self.error else ''}>"
        )


def remarks_on(recipe: Recipe, horizon: int, earlier: int | None, per_epoch: int) -> tuple[str, ...]:
    """What is to be said of a training that was picked up: ``earlier`` is the horizon in steps it had before."""
    if earlier is None or earlier == horizon or recipe.is_extendable:
        return ()
    return (
        f"continued from a schedule over {earlier / per_epoch:g} epochs to one over {horizon / per_epoch:g}: not the same as "
        "training for all of them at once; for that, give the recipe horizon_epochs",
    )
