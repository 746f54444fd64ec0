"""Models that tracing must capture exactly: how each says what it is, and the register of all of them.

A file ``models_THEME.py`` holds models as users write them, with ``@case(inputs)`` on each; ``inputs`` makes example
inputs for a batch size, in the form that ``nl.trace`` takes: a tensor, a tuple of arguments, or a dict of keywords.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Inputs = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One model: how to make it, what to feed it, and what is not expected of it, each with its reason in the model's text.

    ``sizes``: batch sizes that evaluation is compared at (all but the example's, 2); ``free``: whether the graph must leave
    the batch free (None: it may do either, but must be right); ``train`` / ``compiled`` / ``exported`` / ``flops`` / ``fresh``:
    whether that check applies; ``prepare``: puts submodules into their modes, after ``train()`` or ``eval()`` of the whole.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Inputs
    sizes: tuple[int, ...] = (3, 1)
    free: bool | None = True
    train: bool = True
    compiled: bool = True
    exported: bool = True
    flops: bool = True
    fresh: bool = True
    prepare: Callable[[nn.Module], Any] | None = None

    def model(self) -> nn.Module:
        """The same model every time, to the bit."""
        torch.manual_seed(0)
        return self.make()

    def example(self, batch: int = 2) -> Any:
        """The same inputs every time for a batch size."""
        torch.manual_seed(100 + batch)
        return self.inputs(batch)


CASES: dict[str, Case] = {}


def case(inputs: Inputs, **options: Any) -> Callable[[Any], Any]:
    """Register a model class (or a function that makes a model) that needs no arguments."""

    def register(make: Any) -> Any:
        name = f"{make.__module__.rpartition('models_')[2]}.{make.__name__}"
        CASES[name] = Case(name, make, inputs, **options)
        return make

    return register


def load() -> dict[str, Case]:
    """All cases of all files beside this one."""
    for path in sorted(Path(__file__).parent.glob("models_*.py")):
        importlib.import_module(f"{__name__.rpartition('.')[0]}.{path.stem}")
    return CASES


def floats(*shape: int) -> Inputs:
    """Normal floats (N, *shape)."""
    return lambda n: torch.randn(n, *shape)


def ids(*shape: int, high: int = 11) -> Inputs:
    """Integers in [0, high) of shape (N, *shape)."""
    return lambda n: torch.randint(0, high, (n, *shape))


def together(*parts: Inputs) -> Inputs:
    """Several positional inputs."""
    return lambda n: tuple(part(n) for part in parts)


def conv(channels: int, out: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution that keeps height and width."""
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2)


def head(features: int, classes: int = 4) -> nn.Module:
    """Mean over space, then a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes))


__all__ = ["CASES", "Case", "Tensor", "case", "conv", "floats", "head", "ids", "load", "nn", "together", "torch"]
