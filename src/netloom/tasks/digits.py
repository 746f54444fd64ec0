"""The handwritten digits that scikit-learn carries.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
(its test part: 1,797 images of 8×8, grey levels 0 … 16).
"""

from __future__ import annotations

from .arrays import from_arrays
from .task import Task


def digits(seed: int = 0) -> Task:
    """1,797 real handwritten digits, (1, 8, 8) each, in 10 classes: 1,077 train, 360 valid, 360 test.

    ``seed`` draws the parts.

    >>> digits().num_classes
    10
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    spec = "digits" if seed == 0 else f"digits?seed={seed}"
    return from_arrays(data.images[:, None], data.target, name="digits", spec=spec, seed=seed)
