"""Nothing in a search can reach the test part of its task."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import netloom as nl
from netloom.errors import TaskError
from netloom.searching import executors, loop

SPACE = "conv?conv_num=1&lin_num=1&max_macs=20k"


@pytest.mark.parametrize("executor", ["inprocess", "local"])
def test_loop_workers_and_result_hold_a_task_without_it(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = nl.tasks.load("digits")
    held: list[Any] = []
    make = executors.EXECUTORS[executor]

    def watched(given: Any, settings: Any) -> Any:
        held.append(given)
        return make(given, settings)

    monkeypatch.setitem(executors.EXECUTORS, executor, watched)
    made = loop.Loop.__init__

    def noted(self: Any, *arguments: Any) -> None:
        made(self, *arguments)
        held.append(self.task)

    monkeypatch.setattr(loop.Loop, "__init__", noted)
    result = nl.search(SPACE, task, budget=1, recipe={"epochs": 1}, executor=executor, progress=False)
    held.append(result._task)
    row = task.read_test().x[0].numpy().tobytes()  # type: ignore[union-attr]
    assert len(held) == 3 and task.test_reads == 1
    for one in held:
        assert one.hash == task.hash
        with pytest.raises(TaskError, match="searches and their workers never get"):
            one.read_test()
        assert row not in pickle.dumps(one)
    assert row in pickle.dumps(task)
    # The honest look at the end, by a call that says so.
    assert result.best.network(task.read_test().x[:5]).shape == (5, 10) and task.test_reads == 2  # type: ignore[union-attr]
