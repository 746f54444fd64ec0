"""Generated calls for tests of every operator: each gets a few, always the same ones; slow tests try many more.

Tests marked slow, and all tests where NETLOOM_SLOW is 1, get twenty times as many.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from netloom.testing import operator_calls

torch.set_num_threads(1)

USUAL = 20 if os.environ.get("NETLOOM_SLOW") == "1" else 1


def each_operator(*names: str) -> Any:
    """Parametrise by operator, and by how many times more examples than usual it gets."""
    usual = [pytest.param(name, USUAL, id=name) for name in names]
    slow = [pytest.param(name, 20, id=f"{name}-slow", marks=pytest.mark.slow) for name in names]
    return pytest.mark.parametrize(("name", "times"), usual + slow)


def over_calls(name: str, examples: int, body: Callable[[Any, Any], None]) -> None:
    """Run ``body(data, call)`` over generated calls of an operator: the same ones in every run."""

    @seed(0)
    @settings(
        max_examples=examples,
        derandomize=False,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.data())
    def holds(data: Any) -> None:
        body(data, data.draw(operator_calls(name)))

    holds()
