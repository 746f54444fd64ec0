"""CONTRIBUTING.md is true: following it adds an operator that keeps its contract, and a space."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom import testing
from netloom.ops import REGISTRY
from tests.test_docs import blocks, execute

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
PYTHON = [block for block in blocks(PAGE.read_text()) if block.language == "python"]


@pytest.fixture
def followed() -> Iterator[dict[str, Any]]:
    """The namespace after the code of the page ran; the operators it registered are gone again afterwards."""
    before = set(REGISTRY)
    nl.trace(torch.nn.ReLU(), torch.zeros(2, 3))  # operators may also come after the first trace
    # A module of its own, in which dataclasses find the names of their annotations.
    module = ModuleType("contribution")
    sys.modules[module.__name__] = module
    namespace = vars(module)
    try:
        for block in PYTHON:
            execute("CONTRIBUTING.md", block, namespace)
        yield namespace
    finally:
        del sys.modules[module.__name__]
        for name in set(REGISTRY) - before:
            del REGISTRY[name]
            testing.EXAMPLES.pop(name, None)
            vars(nl).pop(name, None)
        nl.predict.KINDS.pop("ridge", None)


def test_operator_is_registered_and_keeps_its_contract(followed: dict[str, Any]) -> None:
    """The same checks as every operator of netloom passes, on calls generated from what the page declares."""
    name = followed["Renorm"].name
    valid, resized, seen, zeroes, bound = [], [], [], [], set()

    @settings(max_examples=40)
    @given(st.data())
    def holds(data: Any) -> None:
        call = data.draw(testing.operator_calls(name))
        valid.append(testing.check_rule(call))
        testing.check_rule(data.draw(testing.altered(call)))
        resized.append(testing.check_dims(call, lambda label, factor: factor * data.draw(st.integers(2, 6), label=label)))
        testing.check_free_sizes(call)
        seen.extend(testing.check_couplings(call))
        zeroes.append(testing.check_zeroes(call))
        testing.check_template(call)
        testing.check_cost(call)
        bound.update(testing.check_calls(call))

    holds()
    assert sum(valid) * 3 >= len(valid), f"{sum(valid)} of {len(valid)} generated calls are valid"
    assert any(resized) and any(zeroes) and any(one.coupled for one in seen)
    assert bound == set(REGISTRY[name].calls)


def test_operator_refuses_what_the_page_says(followed: dict[str, Any]) -> None:
    with pytest.raises(nl.errors.ShapeError, match="two or more"):
        nl.renorm(nl.input(3, batch=False), 2, 0, 1.0)


def test_space_keeps_its_contract(followed: dict[str, Any]) -> None:
    """The same checks as every space of netloom passes; a spoiled one does not."""
    page = followed["Perceptrons"]
    assert len(testing.check_space(page(5), count=20, distinct=3, pickles=False)) == 20
    x = nl.input(1, 8, 8)
    assert not page().contains(nl.Graph(x, nl.linear(nl.flatten(x), 10)))
    with pytest.raises(AssertionError, match="does not contain its sample"):
        testing.check_space(type("Spoiled", (page,), {"contains": lambda self, graph: False})(), pickles=False)


def test_predictor_learns(followed: dict[str, Any]) -> None:
    """The suite ran on the page; one that leaves something out when saved does not pass it."""
    page = followed["Ridge"]

    def forgetful(self: Any, arrays: Any, data: Any) -> None:
        page._restore(self, arrays, {"error": 0.0})

    spoiled = type("Spoiled", (page,), {"_restore": forgetful})
    nl.predict.KINDS["ridge"] = spoiled
    with pytest.raises(AssertionError, match="standard deviations change"):
        testing.check_predictor(spoiled)


@pytest.mark.parametrize(
    ("title", "following"), [("an operator", "a space"), ("a space", "a predictor"), ("a predictor", "a strategy")]
)
def test_section_takes_under_a_page(title: str, following: str) -> None:
    section = PAGE.read_text().split(f"## Add {title}")[1].split(f"## Add {following}")[0]
    assert len(section.splitlines()) <= 90
