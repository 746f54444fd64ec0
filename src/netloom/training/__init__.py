"""Training: recipes, the training loop, evaluation.

>>> from netloom.training import recipe
>>> recipe("express").optimizer
'adamw'
"""

from .evaluation import Evaluation, evaluate
from .fit import TrainingResult, train
from .loop import Epoch, LoopResult, run_epochs
from .recipes import Recipe, recipe

__all__ = ["Epoch", "Evaluation", "LoopResult", "Recipe", "TrainingResult", "evaluate", "recipe", "run_epochs", "train"]
