"""Executors: what a candidate does to its process costs that candidate alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import SearchError
from netloom.measure.kept_memory import resident_bytes
from netloom.searching import local_processes
from netloom.searching.candidate import Job
from netloom.searching.local_processes import LocalProcesses
from netloom.searching.settings import Settings

QUICK = {"epochs": 1, "batch_size": 256}


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    torch.set_num_threads(1)
    return nl.tasks.load("digits")


def net(width: int, depth: int = 1) -> nl.Graph:
    x = nl.input(1, 8, 8)
    value = nl.flatten(x)
    for _ in range(depth):
        value = nl.relu(nl.linear(value, width))
    return nl.Graph(x, nl.linear(value, 10))


class Widths:
    """A space of networks of one hidden layer."""

    spec = ""

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        return net(int(rng.integers(4, 4000)))

    def contains(self, graph: nl.Graph) -> bool:
        return True


@pytest.fixture(scope="module")
def settings(digits: nl.tasks.Task) -> Settings:
    result: Settings = nl.search(Widths(), digits, budget=1, recipe=QUICK, progress=False).settings
    return result


@pytest.fixture
def pool(digits: nl.tasks.Task, settings: Settings, request: pytest.FixtureRequest) -> Iterator[LocalProcesses]:
    from dataclasses import replace

    made = LocalProcesses(digits.without_test(), replace(settings, workers=1, **getattr(request, "param", {})))
    yield made
    made.close()


def job(graph: nl.Graph, settings: Settings, ticket: int = 0, epochs: int = 1) -> Job:
    return Job(ticket, graph, settings.training, epochs, seed=0)


def busy_process(pool: LocalProcesses) -> int:
    (worker,) = pool._busy.values()
    return worker.process.pid


def test_a_worker_that_dies_costs_one_candidate_and_leaves_a_trace(pool: LocalProcesses, settings: Settings) -> None:
    pool.submit(job(net(8), settings, 0, epochs=100_000))
    os.kill(busy_process(pool), signal.SIGKILL)
    lost = pool.next_outcome()
    assert lost.ticket == 0 and lost.record.status == "killed" and "signal SIGKILL" in lost.record.error
    pool.submit(job(net(8), settings, 1))
    whole = pool.next_outcome()
    assert whole.ticket == 1 and whole.record.status == "ok" and whole.weights is not None
    pool.submit(job(net(8), settings, 2, epochs=100_000))
    time.sleep(0.5)
    os.kill(busy_process(pool), signal.SIGSEGV)
    error = pool.next_outcome().record.error
    assert "signal SIGSEGV" in error and "Segmentation fault" in error and "score_candidate" in error


@pytest.mark.parametrize("pool", [{"candidate_seconds": 0.5}], indirect=True)
def test_a_worker_that_hangs_is_ended(pool: LocalProcesses, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_processes, "_GRACE_SECONDS", 1.0)
    pool.submit(job(net(8), settings))
    process = busy_process(pool)
    os.kill(process, signal.SIGSTOP)  # as good as hanging: it never answers
    lost = pool.next_outcome()
    assert lost.record.status == "time_limit" and "0.5 s were allowed" in lost.record.error
    assert not Path(f"/proc/{process}").exists()


@pytest.mark.parametrize("pool", [{"memory_bytes": 900_000_000}], indirect=True)
def test_a_candidate_that_takes_too_much_memory_is_ended(pool: LocalProcesses, settings: Settings) -> None:
    pool.submit(job(net(20_000, depth=2), settings))  # 1.6 GB of weights
    lost = pool.next_outcome()
    assert lost.record.status == "out_of_memory" and "900,000,000 were allowed" in lost.record.error
    pool.submit(job(net(8), settings, 1))
    assert pool.next_outcome().record.status == "ok"


def test_a_candidate_that_raises_says_where(pool: LocalProcesses, settings: Settings) -> None:
    weights = {"not there": np.zeros(3)}
    pool.submit(Job(0, net(8), settings.training, 1, seed=0, weights=weights))
    record = pool.next_outcome().record
    assert record.status == "failed" and "Traceback" in record.error and "not there" in record.error


def test_workers_that_cannot_start_end_the_search_with_what_they_said(
    digits: nl.tasks.Task, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch today')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(SearchError, match=r"(?s)3 worker processes in a row .* no torch today"):
        nl.search(Widths(), digits, budget=9, recipe=QUICK, executor="local", workers=1, progress=False)


def test_a_search_goes_on_whatever_happens_to_its_workers(digits: nl.tasks.Task, tmp_path: Path) -> None:
    """Workers are killed, crashed and stopped at random while a search runs; it still comes to its end."""
    before, stop, rng = children(), threading.Event(), np.random.default_rng(0)

    def vandal() -> None:
        while not stop.wait(2.5):
            for process in sorted(children() - before)[:1]:
                with_signal = [signal.SIGKILL, signal.SIGSEGV][int(rng.integers(2))]
                try:
                    os.kill(process, with_signal)
                except ProcessLookupError:
                    pass

    thread = threading.Thread(target=vandal)
    thread.start()
    try:
        store = f"sqlite:///{tmp_path}/runs.db"
        result = nl.search(
            Widths(), digits, budget=12, recipe={"epochs": 60}, executor="local", workers=2, store=store, progress=False
        )
    finally:
        stop.set()
        thread.join()
    frame = result.evaluations
    assert len(frame) == 12 and result.status == "finished" and "killed" in set(frame["status"])
    assert frame[frame["status"] == "ok"]["score"].notna().all() and result.store.check() == []
    assert children() <= before


def children() -> set[int]:
    """The processes that this one began."""
    told = subprocess.run(["ps", "-ww", "-o", "pid=,ppid=,args=", "-A"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return {int(pid) for pid, parent, args in rows if int(parent) == os.getpid() and "netloom.searching.worker" in args}


def test_workers_end_with_the_search_that_began_them(tmp_path: Path) -> None:
    script = (
        "import netloom as nl\n"
        "nl.search('conv?max_macs=20000', 'digits', budget=50, recipe={'epochs': 500}, executor='local', workers=1,\n"
        f"          store='sqlite:///{tmp_path}/runs.db', progress=False)\n"
    )
    search = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"})
    worker = None
    for _ in range(900):
        command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(search.pid)]
        told = subprocess.run(command, capture_output=True, text=True).stdout
        found = [int(line.split()[0]) for line in told.splitlines() if "netloom.searching.worker" in line]
        if found:
            worker = found[0]
            break
        time.sleep(0.1)
    assert worker is not None
    search.kill()
    search.wait()
    for _ in range(900):  # it may still be importing
        if not Path(f"/proc/{worker}").exists():
            break
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


def test_the_memory_of_a_process_is_what_it_is() -> None:
    before = resident_bytes(os.getpid())
    held = np.ones(25_000_000)
    assert 100_000_000 < before + held.nbytes // 2 < resident_bytes(os.getpid())


def test_threads_of_the_process_itself_are_given_back(digits: nl.tasks.Task) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    class Looking(Widths):
        def sample(self, rng: np.random.Generator) -> nl.Graph:
            seen.append(torch.get_num_threads())
            return super().sample(rng)

    nl.search(Looking(), digits, budget=1, recipe=QUICK, threads=before + 1, progress=False)
    assert seen[-1] == before + 1 and torch.get_num_threads() == before


@pytest.mark.parametrize("executor", ["ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_refused_before_any_work(
    digits: nl.tasks.Task, executor: Any, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    store = nl.Store(f"sqlite:///{tmp_path}/runs.db")
    with pytest.raises(SearchError, match="there is no Ray cluster at address"):
        nl.search(Widths(), digits, budget=1, executor=executor, store=store, progress=False)
    assert store.run_ids() == ()
