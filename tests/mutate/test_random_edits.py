"""Ten random changes in a row of random networks: what results is sound, and the plan says all of it.

The long form, where NETLOOM_SLOW is 1, takes 10,000 sequences.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

import netloom as nl
from netloom.errors import NetloomError
from netloom.mutate import Edit
from tests.mutate.edit_checks import check_plan, check_survivors, check_undo, distance, flat, outputs, same_state, state
from tests.mutate.random_edits import CHANGES, edits

SLOW = os.environ.get("NETLOOM_SLOW") == "1"
#: Parts in which sequences are drawn, and how many there are of each.
PARTS, SEQUENCES = (40, 250) if SLOW else (1, 30)
LENGTH = 10


def change(draw: Any, edit: Edit, done: Counter[str]) -> None:
    """Make ten changes; a change that is refused leaves everything as it was."""
    for _ in range(LENGTH):
        name = draw(st.sampled_from(sorted(CHANGES)))
        before, stages = edit.graph, edit.plan.stages
        try:
            CHANGES[name](draw, edit)
            edit.plan
        except UnsatisfiedAssumption:
            continue  # Nothing there that could be changed so.
        except NetloomError as error:
            assert str(error)
            assert edit.graph is before and edit.plan.stages == stages, name
            done["refused"] += 1
            continue
        edit.graph.check()
        done[name] += 1


def draws_at_random(graph: nl.Graph) -> bool:
    return any(node.op == "dropout" and node.attrs["training"] is True for node in graph.nodes)


def check_sequence(draw: Any, done: Counter[str]) -> None:
    edit, inputs = draw(edits())
    net = edit.subject.model
    old, expected = state(net), outputs(net, inputs)
    change(draw, edit, done)
    plan, result = edit.plan, edit.result.eval()
    new = state(result)
    assert {key for key, entry in plan.graph.tensors.items() if entry.alias_of is None} <= new.keys()
    found = outputs(result, inputs)
    done["finite"] += all(bool(each.isfinite().all()) for each in found)
    check_survivors(plan, old, new)
    check_plan(edit, old)
    check_undo(edit, old)
    if plan.preserving and not draws_at_random(plan.before) and all(bool(each.isfinite().all()) for each in expected):
        done["preserving"] += 1
        assert distance(found, expected) < 1e-7, plan
    for earlier in (*reversed([stage.graph for stage in plan.stages[:-1]]), plan.before)[: len(plan.stages)]:
        edit.undo()
        assert edit.graph is earlier
    assert edit.plan.stages == () and same_state(state(edit.result), old) and same_state(state(net), old)
    result.train()
    assert len(flat(result(**inputs) if isinstance(inputs, dict) else result(*inputs))) == len(found)


@pytest.mark.parametrize("part", range(PARTS))
def test_ten_changes_in_a_row(part: int) -> None:
    done: Counter[str] = Counter()

    @seed(part)
    @settings(
        max_examples=SEQUENCES, derandomize=False, database=None, deadline=None, phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    @given(st.data())
    def holds(data: Any) -> None:
        check_sequence(data.draw, done)

    holds()
    unmade = set(CHANGES) - done.keys()
    assert not unmade if SLOW else len(unmade) <= 2, unmade
    assert done["preserving"] and sum(done[name] for name in CHANGES) > 2 * SEQUENCES, done
