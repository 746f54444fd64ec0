"""Tasks: data sets split into train, valid and test, ready for training.

>>> import netloom as nl
>>> task = nl.tasks.load("digits")
>>> task.input_shape, task.num_classes
((1, 8, 8), 10)
"""

from .digits import digits
from .loading import load, names
from .splitting import from_arrays
from .task import Split, Task

__all__ = ["Split", "Task", "digits", "from_arrays", "load", "names"]
