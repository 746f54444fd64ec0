"""Searches that are killed with SIGKILL at random instants: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import netloom as nl

BUDGET = 14
SEARCH = f"""
import sys
import netloom as nl
from netloom.searching import resume
url = sys.argv[1]
if len(nl.Store(url).run_ids()) == 0:
    nl.search("conv?max_macs=20000&conv_num=2", "digits", "evolution?population=6&sample=3&initial=4", {BUDGET},
              recipe={{"epochs": 2, "batch_size": 128}}, store=url, seed=3)
else:
    resume(nl.Store(url).run_ids()[0], url)
"""


def told(store: nl.Store) -> list[tuple[object, ...]]:
    frame = store.evaluations(store.run_ids()[0])
    return list(zip(frame["ask"], frame["graph_hash"], frame["init"], frame["score"]))


def killed_and_resumed(url: str, kills: int, seed: int) -> list[tuple[object, ...]]:
    """The evaluations of a search that is killed so many times; what was acknowledged is checked after each."""
    rng = np.random.default_rng(seed)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = Path(url.removeprefix("sqlite:///")).with_suffix(".log")
    before: list[tuple[object, ...]] = []
    for _ in range(kills):
        with open(said, "w") as log:
            process = subprocess.Popen([sys.executable, "-c", SEARCH, url], stderr=log, env=environment)
            lines, wanted = 0, int(rng.integers(0, 4))
            while lines < wanted and process.poll() is None:  # some candidates further, and then at any instant
                time.sleep(0.02)
                lines = said.read_text().count("best ")
            try:
                process.wait(timeout=float(rng.random()) * (0.3 if wanted else 3.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not Path(url.removeprefix("sqlite:///")).exists():
            continue
        store = nl.Store(url)
        assert store.check() == []
        if store.run_ids():
            now = told(store)
            assert now[: len(before)] == before and len(now) >= len(before)
            acknowledged = said.read_text().count("  best ")
            assert len(now) >= min(acknowledged, BUDGET)
            before = now
        if len(before) == BUDGET:
            break
    done = subprocess.run([sys.executable, "-c", SEARCH, url], stderr=subprocess.PIPE, env=environment, text=True)
    assert done.returncode == 0, done.stderr
    return told(nl.Store(url))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('whole')}/runs.db"
    done = subprocess.run(
        [sys.executable, "-c", SEARCH, url], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stderr
    return told(nl.Store(url))


def test_a_search_killed_again_and_again_comes_to_the_same_end(tmp_path: Path, undisturbed: list[tuple[object, ...]]) -> None:
    found = killed_and_resumed(f"sqlite:///{tmp_path}/runs.db", kills=4, seed=0)
    assert found == undisturbed and len({(ask, hash) for ask, hash, *_ in found}) == BUDGET


@pytest.mark.slow
def test_a_search_killed_at_a_hundred_instants(tmp_path: Path, undisturbed: list[tuple[object, ...]]) -> None:
    kills = 0
    for round in range(40):
        url = f"sqlite:///{tmp_path}/runs-{round}.db"
        assert killed_and_resumed(url, kills=5, seed=round + 1) == undisturbed
        kills += 5
        if kills >= 100:
            break
