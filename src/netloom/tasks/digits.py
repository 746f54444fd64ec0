"""The handwritten digits that scikit-learn carries.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
(its test part: 1,797 images of 8×8, grey levels 0 … 16).
"""

from __future__ import annotations

from typing import Any

from .arrays import from_arrays
from .task import Task


def digits(seed: int = 0, *, spec: str | None = None, **sizes: Any) -> Task:
    """1,797 real handwritten digits, (1, 8, 8) each, in 10 classes: 1,077 train, 360 valid, 360 test.

    ``seed`` draws the parts; ``valid``, ``test`` and ``train`` are their sizes, as in `from_arrays`.

    >>> digits().num_classes
    10
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    if spec is None:
        written = [f"{key}={value}" for key, value in {"seed": seed or None, **sizes}.items() if value is not None]
        spec = "digits" + ("?" + "&".join(written) if written else "")
    return from_arrays(data.images[:, None], data.target, name="digits", spec=spec, seed=seed, **sizes)
