"""Stores under processes that race and are killed: parts of the suite of `netloom.testing.stores`, and what they start."""

from __future__ import annotations

import inspect
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO, Any

import netloom as nl
from netloom.store import EvaluationKey, EvaluationRecord, Store

# -- what is stored: functions of a number, of which other processes get the source ------------------------------------


def graph(number: int) -> nl.Graph:
    """One of 16 small networks."""
    x = nl.input(number % 16 + 1)
    return nl.Graph(x, nl.linear(x, 2))


def key(number: int) -> EvaluationKey:
    """A key of its own for every number."""
    return EvaluationKey(graph(number).hash, "task", "recipe", seed=number, fidelity=1)


def result(number: int) -> EvaluationRecord:
    """What the evaluation of that key comes to."""
    return EvaluationRecord("ok", number % 97 / 97, seconds=0.5, metrics={"number": number})


_PRELUDE = """
import itertools, random, sys
from dataclasses import replace
import netloom as nl
from netloom.store import EvaluationKey, EvaluationRecord, Store

""" + "\n".join(inspect.getsource(function) for function in (graph, key, result))

#: Records results as fast as it can, by claims, singly, in batches and with files, and says so after each.
_WRITER = """
with Store(sys.argv[1], must_exist=True) as store:
    for number in itertools.count(int(sys.argv[2])):
        if number % 4 == 1:
            claim = store.claim(key(number), grace_seconds=0.01)
            store.record(graph(number), key(number), result(number), claim=claim)
        elif number % 4 == 2:
            several = range(-20 * number - 20, -20 * number)
            store.record_many((graph(i), key(i), result(i)) for i in several)
            store.record(graph(number), key(number), result(number))
        elif number % 4 == 3 and store.url.startswith("sqlite"):
            weights = store.add_artifact(str(number).encode() * 1000)
            store.record(graph(number), key(number), replace(result(number), artifacts={"weights": weights}))
        else:
            store.record(graph(number), key(number), result(number))
        print(number, flush=True)
"""

#: Works, as one of several, on the keys 0, 1, … until all have a result; prints the number of each that it committed.
_WORKER = """
count, seed = int(sys.argv[2]), int(sys.argv[3])
numbers = list(range(count))
random.Random(seed).shuffle(numbers)
with Store(sys.argv[1], must_exist=True) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    while store.missing(map(key, numbers)):
        for number in numbers:
            claim = store.claim(key(number), grace_seconds=300)  # nobody dies here, but a restart may take long
            if claim is not None:
                store.record(graph(number), key(number), result(number), claim=claim)
                print(number, flush=True)
"""


def writer(url: str, start: int, acknowledged: IO[str]) -> subprocess.Popen[str]:
    """A process that records result after result, from ``start`` on, and writes the number of each that is acknowledged."""
    return _process(_WRITER, url, str(start), output=acknowledged)


def worker(url: str, count: int, seed: int) -> subprocess.Popen[str]:
    """A process that is ready to claim keys until none of ``count`` is left; it begins when it is sent a line."""
    return _process(_WORKER, url, str(count), str(seed))


def _process(code: str, *words: str, output: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": output, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", path + _PRELUDE + code, *words], text=True, **pipes)


# -- promise 1: nothing acknowledged is lost ---------------------------------------------------------------------------
def check_kills(url: str, kills: int = 1, seed: int = 0) -> int:
    """A process that writes is killed at random instants; whatever it had been told was stored is there, and work goes on.

    Gives the number of acknowledged results.
    """
    Store(url).close()
    instants, acknowledged = random.Random(seed), 0
    for i in range(kills):
        with tempfile.TemporaryFile("w+") as output:
            process = writer(url, acknowledged, output)
            try:
                _await_line(process, output)
                time.sleep(instants.random() / 4)
            finally:
                process.kill()
                process.communicate()
            lines = _text(output).splitlines(keepends=True)
        # A line that the kill cut off was not an acknowledgement.
        acknowledged = max(int(line) + 1 for line in lines if line.endswith("\n"))
        with Store(url, must_exist=True) as store:
            lost = store.missing(map(key, range(acknowledged)))
            assert not lost, f"kill {i}: of {acknowledged} acknowledged results {len(lost)} are gone, such as {lost[0]}"
            is_whole(store, quick=i < kills - 1)
    return acknowledged


def _await_line(process: subprocess.Popen[str], output: IO[str]) -> None:
    end = time.monotonic() + 120
    while "\n" not in _text(output):
        ended = process.poll() is not None
        assert not ended and time.monotonic() < end, (
            f"the writer says nothing: {process.communicate()[1][-2000:] if ended else ''}"
        )
        time.sleep(0.005)


def _text(file: IO[str]) -> str:
    # The writer shares the position of the file: it must stay where it is.
    return os.pread(file.fileno(), 2**24, 0).decode()


# -- promises 2, 3 and 6: one result for one key, whoever works on it, whatever happens meanwhile -----------------------
def check_workers(url: str, processes: int = 3, keys: int = 24, during: Callable[[], None] | None = None) -> None:
    """Processes share keys: each key is committed by exactly one of them, and none is left out. ``during`` runs meanwhile."""
    Store(url).close()
    working = [worker(url, keys, seed) for seed in range(processes)]
    try:
        for process in working:
            assert process.stdout is not None and process.stdin is not None
            line = process.stdout.readline()
            assert line == "ready\n", f"a worker did not start: {line}{(process.stderr or sys.stdin).read()[-2000:]}"
        for process in working:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        if during is not None:
            during()
        committed = [_committed(process) for process in working]
    finally:
        for process in working:
            process.kill()
            process.communicate()
    numbers = sorted(number for those in committed for number in those)
    assert numbers == list(range(keys)), f"of {keys} keys {len(numbers)} were committed, {len(set(numbers))} of them different"
    with Store(url, must_exist=True) as store:
        assert store.counts()["evaluations"] == keys and store.counts()["claims"] == 0, f"the store has {store.counts()}"
        is_whole(store)


def _committed(process: subprocess.Popen[str]) -> list[int]:
    output, errors = process.communicate(timeout=1800)
    assert process.returncode == 0, f"a worker was told: {errors[-3000:]}"
    return [int(line) for line in output.split()]


def is_whole(store: Store, quick: bool = False) -> None:
    """Its own check finds nothing."""
    found = store.check(quick=quick)
    assert found == [], f"check finds {found}"
