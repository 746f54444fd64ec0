"""Checkpoints on disk: what goes in comes out, and nothing but data does."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.errors import TrainingError
from netloom.training import Saving
from netloom.training.checkpoints import Piece, read_checkpoint, remove_checkpoint, write_checkpoint

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that begin as copies, as Unix has them")


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


STATE: dict[Any, Any] = {
    "nothing": None, "truth": True, "count": 2**70, "text": "ünï\n", "number": 0.1 + 0.2, "none": math.nan, "big": -math.inf,
    "list": [1, [2.5, "x"], {}], "tuple": (1, (2,)), "numbers": {0: "a", (1, 2): torch.ones(1)}, "$tensor": "a string",
    "weights": torch.randn(3, 4), "transposed": torch.randn(3, 4).t(), "scalar": torch.tensor(3.0), "empty": torch.zeros(0, 3),
    "half": torch.randn(3).to(torch.bfloat16), "bytes": torch.get_rng_state(), "flags": torch.tensor([True, False]),
    "complex": torch.randn(2, dtype=torch.complex64),
    "channels_last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "a/b": torch.ones(1), "a": {"b": torch.zeros(1)},
}  # fmt: skip


def test_every_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    tied = torch.randn(5)
    state = {**STATE, "tied": [tied, tied, tied[1:]], "needs_grad": torch.nn.Parameter(torch.ones(2))}
    write_checkpoint(tmp_path / "new" / "folder", {"seed": 3}, {"state": Piece(1, state)})
    about, states = read_checkpoint(tmp_path / "new" / "folder")  # type: ignore[misc]
    state["needs_grad"] = torch.ones(2)
    assert about == {"seed": 3} and same(states["state"], state)


def test_a_folder_without_one_holds_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None and read_checkpoint(tmp_path / "nowhere") is None


def test_only_what_is_named_stays_and_what_is_old_is_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"a file of the user")
    for step in range(4):
        best = Piece(step // 2, {"w": torch.full((2,), step // 2)})
        write_checkpoint(tmp_path, {}, {"state": Piece(step, {"step": step, "w": torch.ones(2)}), "best": best})
        if step == 2:
            inode = (tmp_path / "best-00000001.safetensors").stat().st_ino
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mine.safetensors", "checkpoint.json", "state-00000003.safetensors", "best-00000001.safetensors"}
    assert (tmp_path / "best-00000001.safetensors").stat().st_ino == inode
    remove_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_what_is_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="state/inside/0 is a object"):
        write_checkpoint(tmp_path, {}, {"state": Piece(0, {"inside": [object()]})})


def test_broken_checkpoints_say_so(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {}, {"state": Piece(0, {"w": torch.ones(100)})})
    path = tmp_path / "state-00000000.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(TrainingError, match="cannot be read.*begin anew with resume=False"):
        read_checkpoint(tmp_path)
    path.unlink()
    with pytest.raises(TrainingError, match="state-00000000.safetensors is missing"):
        read_checkpoint(tmp_path)
    path.write_bytes(whole)
    text = (tmp_path / "checkpoint.json").read_text()
    for broken in ("{", "[]", "{}", text.replace('"pieces"', '"parts"'), text.replace("state/w", "state/v")):
        (tmp_path / "checkpoint.json").write_text(broken)
        with pytest.raises(TrainingError, match="cannot be read"):
            read_checkpoint(tmp_path)
    (tmp_path / "checkpoint.json").write_text(json.dumps({**json.loads(text), "netloom checkpoint": 99}))
    with pytest.raises(TrainingError, match="has format 99; this netloom reads format 1"):
        read_checkpoint(tmp_path)


def fill_the_disk(folder: Path, told: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write_checkpoint(folder, {}, {"state": Piece(2, {"w": torch.ones(100_000)})})
        told.send("written")
    except TrainingError as error:
        told.send(str(error))


@needs_fork
def test_a_full_disk_leaves_the_checkpoint_from_before(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {}, {"state": Piece(1, {"w": torch.ones(10)})})
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    process = context.Process(target=fill_the_disk, args=(tmp_path, theirs))
    process.start()
    assert "cannot be written" in mine.recv()
    process.join()
    found = read_checkpoint(tmp_path)
    assert found is not None and found[1]["state"]["w"].sum() == 10
    assert not list(tmp_path.glob(".*"))


def write_for_ever(folder: Path, steps: Any) -> None:
    torch.set_num_threads(1)
    step = 0
    while True:
        step += 1
        state = Piece(step, {"step": step, "w": torch.full((300_000,), step)})
        write_checkpoint(folder, {}, {"state": state, "best": Piece(step // 3, {"s": step // 3})})
        steps.value = step


@needs_fork
def test_killed_while_writing_a_whole_checkpoint_is_there(tmp_path: Path) -> None:
    """A process that does nothing but write is killed at many instants; what it leaves is always of one step, none older."""
    context = multiprocessing.get_context("fork")
    for i in range(25):
        steps = context.Value("q", 0)
        process = context.Process(target=write_for_ever, args=(tmp_path, steps))
        process.start()
        while steps.value < 2:
            time.sleep(0.0005)
        time.sleep(0.0007 * i)
        process.kill()
        process.join()
        found = read_checkpoint(tmp_path)
        assert found is not None
        state, best = found[1]["state"], found[1]["best"]
        assert state["w"].eq(state["step"]).all() and best["s"] == state["step"] // 3
        assert state["step"] in (steps.value, steps.value + 1)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    about = {"seed": 1, "recipe": {"batch_size": 64, "flip": True}}
    write_checkpoint(tmp_path, about, {"state": Piece(0, {})})
    assert Saving(tmp_path, about).read() == ({}, None)
    for other, message in (
        ({**about, "seed": 2}, "its seed is 1, not 2"),
        ({**about, "recipe": {"batch_size": 32, "flip": True}}, "its recipe batch_size is 64, not 32"),
    ):
        with pytest.raises(TrainingError, match=message):
            Saving(tmp_path, other).read()
    assert Saving(tmp_path, {"seed": 2}, resume=False).read() is None
    for bad in (0, 2.5, True):
        with pytest.raises(TrainingError, match="every_steps"):
            Saving(tmp_path, {}, every_steps=bad)  # type: ignore[arg-type]


@needs_fork
def test_one_training_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    saving = Saving(tmp_path, {})
    with pytest.raises(TrainingError, match="another training is writing to"):
        Saving(tmp_path, {})
    saving.close()
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()

    def hold() -> None:
        held = Saving(tmp_path, {})
        theirs.send("held")
        time.sleep(600)
        held.close()

    process = context.Process(target=hold)
    process.start()
    assert mine.recv() == "held"
    with pytest.raises(TrainingError, match="another training"):
        Saving(tmp_path, {})
    process.kill()
    process.join()
    assert Saving(tmp_path, {}).read() is None
