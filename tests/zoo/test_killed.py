"""A zoo whose maker is killed: nothing that is half written is ever read, and the same call goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import netloom as nl
from netloom.zoo import Zoo, make

SETTINGS = {"models": 240, "tasks": 30, "epochs": 4, "shard_size": 12, "seed": 6}
_CODE = "import torch; torch.set_num_threads(1); import netloom as nl; nl.zoo.make({folder!r}, **{settings!r})"


def begun(folder: Path) -> subprocess.Popen[bytes]:
    code = _CODE.format(folder=str(folder), settings=SETTINGS)
    environment = {**os.environ, "PYTHONPATH": str(Path(nl.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)


def kill_after(folder: Path, seconds: float) -> bool:
    """Let the maker run for so long after its first file, then ``kill -9`` it; whether it was still at it."""
    process = begun(folder)
    try:
        deadline = time.monotonic() + 100
        while not (folder / "zoo.json").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(seconds)
    finally:
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    return process.returncode != 0


def check_after_kills(folder: Path, seconds: list[float]) -> None:
    killed = 0
    for wait in seconds:
        killed += kill_after(folder, wait)
        part = Zoo(folder)
        problems = part.check()
        assert problems == [] or (len(problems) == 1 and "not whole" in problems[0]), problems
        for network in part[:: max(1, len(part) // 5)]:
            assert network.weights and network.curve
    assert killed, "it was never killed at work"
    whole = make(folder, **SETTINGS)  # type: ignore[arg-type]
    assert len(whole) == 240 and whole.check(deep=True) == [] and not list(folder.glob("**/*.partial"))


def test_killed_it_goes_on(tmp_path: Path) -> None:
    check_after_kills(tmp_path / "zoo", [0.05, 0.4, 0.7])


@pytest.mark.slow
def test_killed_at_many_instants(tmp_path: Path) -> None:
    draw = random.Random(0)
    for number in range(8):
        check_after_kills(tmp_path / f"zoo{number}", [draw.uniform(0, 1.2) for _ in range(4)])


def test_a_worker_that_is_killed_is_an_error_to_go_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.errors import ZooError
    from netloom.zoo import making

    monkeypatch.setattr(making, "_start_worker", _die)
    with pytest.raises(ZooError, match="was killed; call again"):
        make(tmp_path / "zoo", models=4, tasks=2, epochs=1, shard_size=1, processes=2)
    monkeypatch.undo()
    assert len(make(tmp_path / "zoo", models=4, tasks=2, epochs=1, shard_size=1)) == 4


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
