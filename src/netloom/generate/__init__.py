"""Generative models of architectures: new networks, conditioned on what they are to score and to cost.

`TokenGenerator` writes sequences of the robust notation of a space (`netloom.encode.robust`), every one of which is a network
of it; `load` reads back what it saved. `filtered` keeps of a space's samples those that a predictor thinks well of.
"""

from .drawing import Draws
from .evaluating import evaluated
from .filtering import Filtered, filtered
from .saving import load
from .token_generator import TokenGenerator

__all__ = ["Draws", "Filtered", "TokenGenerator", "evaluated", "filtered", "load"]
