"""The search: what it finds, records, repeats, survives."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import SearchError, SpaceError, StoreError, TaskError, TrainingError
from netloom.searching import Budget, RandomSearch, Result, Settings, Strategy, executors, loop, resume
from netloom.training import evaluate

QUICK = {"epochs": 1, "batch_size": 256}
SPEC = "conv?max_macs=20000&conv_num=2&lin_num=2"


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


def run(task: nl.tasks.Task, budget: Any = 4, **options: Any) -> Any:
    fixed = {"space": SPEC, "task": task, "strategy": "random", "budget": budget, "recipe": QUICK, "progress": False}
    return nl.search(**{**fixed, **options})


def told(result: Any) -> list[tuple[int, str, float]]:
    frame = result.evaluations
    return [(int(a), h, float(s)) for a, h, s in zip(frame["ask"], frame["graph_hash"], frame["score"])]


# -- budgets -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "seconds", "evaluations", "text"),
    [
        ("60s", 60, None, "1m"), ("20m", 1200, None, "20m"), ("1h30m", 5400, None, "1h30m"), ("1.5s", 1.5, None, "1.5s"),
        ("500ms", 0.5, None, "0.5s"), (25, None, 25, "25"), ("25", None, 25, "25"), ("2d", 172800, None, "48h"),
    ],
)  # fmt: skip
def test_budgets_are_read_and_written(value: Any, seconds: Any, evaluations: Any, text: str) -> None:
    assert Budget.of(value) == Budget(seconds, evaluations)
    assert str(Budget.of(value)) == text and Budget.of(text) == Budget.of(value)


@pytest.mark.parametrize("value", ["", "0", "0s", "fast", "-5s", "5 sheep", 0, -1, True, 2.5, None, "s", "1e9s"])
def test_bad_budgets_are_refused(value: Any) -> None:
    with pytest.raises(SearchError, match="'60s', '20m'"):
        Budget.of(value)


# -- what a search gives -------------------------------------------------------------------------------------------
def test_search_scores_every_candidate_and_never_reads_the_test_part(digits: nl.tasks.Task) -> None:
    task = nl.tasks.load("digits")
    result = run(task, budget=5)
    frame = result.evaluations
    assert result.status == "finished" and len(frame) == 5 and list(frame["ask"]) == [0, 1, 2, 3, 4]
    assert result.best.score == frame["score"].max() and result.best.graph.hash in set(frame["graph_hash"])
    assert evaluate(result.best.network, task.valid).accuracy == result.best.score
    assert task.test_reads == 0 and result.store.check() == []


def test_candidates_are_what_the_strategy_asks_for_by_seed_and_index(digits: nl.tasks.Task) -> None:
    result = run(digits, budget=3, seed=5)
    space = nl.spaces.load(SPEC, input_shape=(1, 8, 8), num_classes=10)
    assert [h for _, h, _ in told(result)] == [space.sample(np.random.default_rng([5, i])).hash for i in range(3)]


def test_same_seed_same_search_other_seed_other_search(digits: nl.tasks.Task) -> None:
    assert told(run(digits)) == told(run(digits)) != told(run(digits, seed=1))


def test_what_the_store_knows_is_not_trained_again(digits: nl.tasks.Task, monkeypatch: pytest.MonkeyPatch) -> None:
    store = nl.Store()
    first = run(digits, store=store)
    monkeypatch.setattr(executors, "score_candidate", lambda *_: pytest.fail("trained again"))
    second = run(digits, store=store)
    assert told(first) == told(second) and second.evaluations["reused"].all() and first.run_id != second.run_id
    assert store.counts()["evaluations"] == 4 and store.check() == []


def test_best_of_equals_is_the_smallest(digits: nl.tasks.Task) -> None:
    frame = run(digits).evaluations.assign(score=0.5)
    from netloom.searching.result import rank

    assert rank(frame).iloc[0]["num_params"] == frame["num_params"].min()


# -- repeats and failures ------------------------------------------------------------------------------------------
def linear_net(width: int) -> nl.Graph:
    x = nl.input(1, 8, 8)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(nl.flatten(x), width)), 10))


class Few:
    """A space of three networks."""

    spec = ""

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return linear_net(int(rng.integers(1, 4)))

    def contains(self, graph: nl.Graph) -> bool:
        return graph.hash in {linear_net(n).hash for n in (1, 2, 3)}


def test_repeats_are_free_and_an_exhausted_space_ends_the_search(
    digits: nl.tasks.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "MOST_REPEATS", 20)
    result = run(digits, space=Few(), budget=50)
    assert result.status == "exhausted" and result.evaluations["graph_hash"].nunique() == 3
    assert len(result.evaluations) > 20 and result.store.counts()["evaluations"] == 3
    assert list(result.evaluations["ask"]) == list(range(len(result.evaluations)))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("boom <b>"), "failed"), (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA out of memory."), "out_of_memory"),
    ],
)  # fmt: skip
def test_a_candidate_that_fails_is_a_result(
    digits: nl.tasks.Task, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    from netloom.searching import candidate

    whole = candidate.train
    calls = iter(range(100))

    def sometimes(*args: Any, **options: Any) -> Any:
        if next(calls) == 1:
            raise error
        return whole(*args, **options)

    monkeypatch.setattr(candidate, "train", sometimes)
    result = run(digits, budget=3)
    frame = result.evaluations
    assert list(frame["status"]) == ["ok", status, "ok"] and frame["score"].isna().tolist() == [False, True, False]
    assert type(error).__name__ in frame["error"][1]
    assert result.best.score == frame["score"].max()


def test_no_best_where_all_fail(digits: nl.tasks.Task) -> None:
    diverging = {**QUICK, "learning_rate": 1000.0, "optimizer": "sgd", "clip_norm": None, "warmup": 0.0, "batch_size": 16}
    result = run(digits, space=Few(), budget=1, recipe=diverging)
    assert list(result.evaluations["status"]) == ["diverged"]
    with pytest.raises(SearchError, match="none of the 1 candidates"):
        _ = result.best


# -- stopping and going on -----------------------------------------------------------------------------------------
class Remembering(RandomSearch):
    """Asks for what it was told last, and a little more: only a faithful replay brings it back to where it was."""

    name = ""

    def __init__(self) -> None:
        self.heard: list[tuple[int, float | None]] = []

    def ask(self, index: int, rng: np.random.Generator) -> nl.Graph:
        return linear_net(1 + index + sum(int(1000 * (score or 0)) for _, score in self.heard) % 7 * 20)

    def tell(self, index: int, result: Result) -> None:
        self.heard.append((index, result.score))


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_search_that_dies_resumes_to_where_it_would_have_come(
    digits: nl.tasks.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    assert isinstance(Remembering(), Strategy)
    whole = run(digits, budget=5, strategy=Remembering())
    url = f"sqlite:///{tmp_path}/runs.db"
    scored = executors.score_candidate
    calls = iter(range(100))

    def dying(*args: Any) -> Any:
        if next(calls) == stop_after:
            raise SystemExit("killed")
        return scored(*args)

    with monkeypatch.context() as patch:
        patch.setattr(executors, "score_candidate", dying)
        with pytest.raises(SystemExit):
            run(digits, budget=5, strategy=Remembering(), store=url)
    store = nl.Store(url)
    (run_id,) = store.run_ids()
    assert store.run(run_id)["status"] == "stopped" and len(store.evaluations(run_id)) == stop_after
    with pytest.raises(SearchError, match="strategy of its own"):
        resume(run_id, url)
    resumed = resume(run_id, url, strategy=Remembering(), progress=False)
    assert told(resumed) == told(whole) and resumed.status == "finished" and resumed.run_id == run_id
    assert evaluate(resumed.best.network, digits.valid).accuracy == resumed.best.score
    assert store.check() == []


def test_interrupt_finishes_the_candidate_in_training(
    digits: nl.tasks.Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = executors.score_candidate
    calls = iter(range(100))

    def interrupted(*args: Any) -> Any:
        if next(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return scored(*args)

    monkeypatch.setattr(executors, "score_candidate", interrupted)
    before = signal.getsignal(signal.SIGINT)
    result = run(digits, budget=9, progress=True)
    assert result.status == "interrupted" and len(result.evaluations) == 2
    assert signal.getsignal(signal.SIGINT) is before
    assert f"netloom search --resume {result.run_id} --store sqlite://" in capsys.readouterr().err
    assert len(resume(result.run_id, result.store, budget=3, progress=False).evaluations) == 3


def test_search_runs_in_a_thread_of_its_own(digits: nl.tasks.Task) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(run(digits, budget=1)))
    thread.start()
    thread.join()
    assert found[0].status == "finished"


def test_a_budget_in_time_is_kept(digits: nl.tasks.Task) -> None:
    result = run(digits, budget="1s", space=Few())
    assert result.settings.candidate_seconds == 5.0 and len(result.evaluations) >= 1


def test_resume_refuses_what_is_not_the_run(digits: nl.tasks.Task) -> None:
    result = run(digits, budget=1)
    with pytest.raises(SearchError, match="data of task"):
        resume(result.run_id, result.store, task=nl.tasks.load("digits?seed=1"))
    with pytest.raises(SearchError, match="used the space"):
        resume(result.run_id, result.store, space=nl.spaces.Conv((1, 8, 8)))
    with pytest.raises(StoreError, match="has no run"):
        resume("nothing", result.store)
    own = run(digits, budget=1, space=Few())
    with pytest.raises(SearchError, match="a space of its own"):
        resume(own.run_id, own.store)


def images(choose: Any) -> nl.Graph:
    x = nl.input(1, 8, 8)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(nl.flatten(x), choose.integer("width", 1, 64))), 10))


def test_code_that_a_store_names_is_run_only_when_asked_for(digits: nl.tasks.Task) -> None:
    space = nl.spaces.from_function(images)
    result = run(digits, budget=1, space=space)
    assert result.settings.space == space.spec != ""
    with pytest.raises(SearchError, match="code of its own; give it again as space=.*--space"):
        resume(result.run_id, result.store)
    assert len(resume(result.run_id, result.store, space=space, budget=2, progress=False).evaluations) == 2


# -- executors -----------------------------------------------------------------------------------------------------
def test_local_processes_find_the_same(digits: nl.tasks.Task) -> None:
    alone, together = run(digits, budget=4), run(digits, budget=4, executor="local")
    assert sorted(told(together)) == sorted(told(alone))
    assert evaluate(together.best.network, digits.valid).accuracy == together.best.score == alone.best.score


# -- settings ------------------------------------------------------------------------------------------------------
def test_settings_go_to_data_and_back_and_to_a_command(digits: nl.tasks.Task) -> None:
    settings = run(digits, budget=1).settings
    assert Settings.from_data(settings.to_data()) == settings
    assert settings.command() is None  # its recipe has no name
    named = Settings.from_data({**settings.to_data(), "recipe_name": "express"})
    assert named.command("sqlite:///x y.db") == (
        "netloom search --space 'conv?input_shape=1x8x8&num_classes=10&conv_num=2&lin_num=2&max_macs=20000' --task digits "
        "--strategy random --budget 1 --recipe express --seed 0 --executor inprocess --store 'sqlite:///x y.db'"
    )
    with pytest.raises(SearchError, match="another version"):
        Settings.from_data({"seed": 3})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strategy": "rondom"}, SearchError, "did you mean 'random'"),
        ({"executor": "rey"}, SearchError, "there is: inprocess, local, ray"),
        ({"budget": "soon"}, SearchError, "cannot be read"),
        ({"seed": -1}, SearchError, "seed = -1"),
        ({"candidate_seconds": 0}, SearchError, "candidate_seconds = 0"),
        ({"space": "cave"}, SpaceError, "unknown space"),
        ({"space": 3}, SearchError, "a search needs a space"),
        ({"space": nl.spaces.Conv()}, SearchError, "does not fit task 'digits'"),
        ({"task": "digit"}, TaskError, "did you mean"),
        ({"task": 3}, SearchError, "a search needs a task"),
        ({"recipe": "slow"}, TrainingError, "unknown recipe"),
        ({"store": "nowhere"}, StoreError, "expected a URL"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_any_work(
    digits: nl.tasks.Task, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    monkeypatch.setattr(executors, "score_candidate", lambda *_: pytest.fail("worked"))
    with pytest.raises(error, match=message):
        run(**{"task": digits, **options})
