"""Tasks: data sets split into train, valid and test, ready for training.

>>> import netloom as nl
>>> task = nl.tasks.load("digits")
>>> task.input_shape, task.num_classes
((1, 8, 8), 10)
"""

from .arrays import from_arrays
from .augmentation import cutout, flip, pad_crop
from .cache import cache_folder
from .datasets import from_dataset
from .digits import digits
from .downloads import fetch
from .loading import load, names
from .parts import Part, Split
from .tables import from_frame
from .targets import decide_kind
from .task import Task

__all__ = [
    "Part", "Split", "Task", "cache_folder", "cutout", "decide_kind", "digits", "fetch", "flip", "from_arrays", "from_dataset",
    "from_frame", "load", "names", "pad_crop",
]  # fmt: skip
