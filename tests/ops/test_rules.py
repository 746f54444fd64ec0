"""Every registered operator, held to torch by the conformance suite of `netloom.testing`."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

import netloom.testing as conformance
from netloom.ops import REGISTRY
from netloom.testing import altered, strange, with_computed_weights
from netloom.testing.capturing import resolve_path
from tests.ops.generated import each_operator, over_calls


@each_operator(*sorted(REGISTRY))
def test_rule_agrees_with_torch(name: str, times: int) -> None:
    """Types and refusals of valid calls, of calls with one thing changed, and with arguments of any kind."""
    valid = []

    def body(data: Any, call: Any) -> None:
        valid.append(conformance.check_rule(call))
        conformance.check_rule(data.draw(altered(call)))
        if data.draw(st.integers(0, 2)) == 0:
            conformance.check_strange(data.draw(strange(call)))
        computed = with_computed_weights(call)
        if computed != call and REGISTRY[name].family != "source":
            # Attributes that state a weight's size are netloom's own: only operands can be compared with torch's verdict.
            conformance.check_rule(data.draw(altered(computed, attributes=False)))

    over_calls(name, 6 * times, body)
    assert sum(valid) * 3 >= len(valid), f"only {sum(valid)} of {len(valid)} examples of {name} are valid: give it better ones"


@each_operator(*sorted(REGISTRY))
def test_dimension_rule(name: str, times: int) -> None:
    tested = []

    def body(data: Any, call: Any) -> None:
        def choose(label: str, factor: int) -> int:
            return factor * data.draw(st.integers(2, 6), label=label)

        tested.append(conformance.check_dims(call, choose))
        if data.draw(st.integers(0, 4)) == 0:
            # Labels one by one take their time.
            conformance.check_ties(call)
            conformance.check_ties(with_computed_weights(call))

    over_calls(name, 5 * times, body)
    assert any(tested), f"no example of {name} has axes to resize"


@each_operator(*sorted(REGISTRY))
def test_free_sizes(name: str, times: int) -> None:
    over_calls(name, 3 * times, lambda data, call: conformance.check_free_sizes(call))


@each_operator(*sorted(REGISTRY))
def test_cost_and_template(name: str, times: int) -> None:
    def body(data: Any, call: Any) -> None:
        conformance.check_cost(call)
        conformance.check_template(call)

    over_calls(name, 3 * times, body)


@pytest.mark.parametrize("source", conformance.written_calls())
def test_written_call(source: str) -> None:
    conformance.check_written(source)


@cache
def written() -> frozenset[tuple[str, Any]]:
    """(operator, torch callable) of all written expressions; those that fail have a test of their own."""
    found: set[tuple[str, Any]] = set()
    for source in conformance.written_calls():
        with suppress(Exception):
            found |= conformance.check_written(source)
    return frozenset(found)


@each_operator(*(name for name in sorted(REGISTRY) if REGISTRY[name].calls))
def test_calls(name: str, times: int) -> None:
    """Recorded torch calls bind to nodes that compute the same bits, and every callable that is claimed was tried."""
    paths = REGISTRY[name].calls
    absent = [path for path in paths if resolve_path(path) is None]
    assert not absent, f"{name} claims {absent}, which torch {torch.__version__} does not have"
    exercised = {path for path in paths if (name, resolve_path(path)) in written()}
    over_calls(name, 4 * times, lambda data, call: exercised.update(conformance.check_calls(call)))
    missing = sorted(set(paths) - exercised)
    assert not missing, f"{name} claims {missing}, which no example and no written call binds to it"
