"""Training: recipes, the training loop, evaluation.

>>> from netloom.training import recipe
>>> recipe("express").optimizer
'adamw'
"""

from .evaluation import EVALUATOR, Evaluation, evaluate
from .fit import train
from .loop import STATUSES, Epoch, Learner, Limits, LoopResult, run_loop
from .many import train_many
from .ready_made import READY_MADE
from .recipes import Recipe, recipe
from .results import TrainingResult
from .saving import Saving

__all__ = [
    "EVALUATOR", "READY_MADE", "STATUSES", "Epoch", "Evaluation", "Learner", "Limits", "LoopResult", "Recipe", "Saving",
    "TrainingResult", "evaluate", "recipe", "run_loop", "train", "train_many",
]  # fmt: skip
