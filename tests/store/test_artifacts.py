"""Weights and other files: where they lie, what is told when they cannot be had, and what a vacuum takes away."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import netloom as nl
from netloom.errors import StoreError
from netloom.store import EvaluationKey, EvaluationRecord, Store
from netloom.testing.stores import graph, key, result
from tests.store.postgres_server import PostgresServer


def age(folder: Path) -> None:
    """Make every file look as if it had been written long ago."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 9000,) * 2)


def test_files_lie_beside_the_database_under_their_hash(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db") as store:
        hash = store.add_artifact(b"some bytes")
        assert store.add_artifact(b"some bytes") == hash
    (file,) = (tmp_path / "runs.db.artifacts").rglob("*.*")
    assert file.name == f"{hash}.safetensors" and file.parent.name == hash[:2] and file.read_bytes() == b"some bytes"
    with Store(tmp_path / "runs.db") as store:
        assert store.artifact(hash) == b"some bytes" and store.check() == []


def test_where_files_lie_is_remembered_and_may_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store("runs.db", artifacts="weights") as store:
        hash = store.add_artifact(b"some bytes")
    monkeypatch.chdir("/")
    with Store(tmp_path / "runs.db") as store:
        assert store.artifact(hash) == b"some bytes"
    shutil.move(tmp_path / "weights", tmp_path / "moved")
    with Store(tmp_path / "runs.db") as store, pytest.raises(StoreError, match="is missing: .*Store.*artifacts=FOLDER"):
        store.artifact(hash)
    with Store(tmp_path / "runs.db", artifacts=tmp_path / "moved") as store:
        assert store.artifact(hash) == b"some bytes"
    with Store(tmp_path / "runs.db", read_only=True) as store:
        assert store.artifact(hash) == b"some bytes"


def test_a_server_is_asked_where_to_keep_files(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database()
    with Store(url) as store:
        with pytest.raises(StoreError, match="does not know where to keep weights; open it once with artifacts=FOLDER"):
            store.add_artifact(b"x")
        assert store.check() == [] and store.vacuum().files == 0  # neither needs a place while there is nothing to keep
    with Store(url, artifacts=tmp_path) as store:
        hash = store.add_artifact(b"x")
    with Store(url) as store:
        assert store.artifact(hash) == b"x"


def test_files_at_a_url(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db", artifacts="memory://netloom-test/weights") as store:
        hash = store.save_weights({"a": torch.arange(4.0)})
        assert store.save_weights({"a": torch.arange(4.0)}) == hash
        assert torch.equal(store.load_weights(hash)["a"], torch.arange(4.0)) and store.check() == []
        import fsspec

        files = fsspec.filesystem("memory")
        files.pipe_file(f"/netloom-test/weights/{hash[:2]}/{hash}.safetensors", b"others")
        assert "has 6 bytes where" in store.check()[0]
        with pytest.raises(StoreError, match="is damaged: its 6 bytes"):
            store.load_weights(hash)
        files.rm("/netloom-test", recursive=True)
        assert "is missing from memory://netloom-test/weights" in store.check()[0]
        with pytest.raises(StoreError, match="cannot be read from memory://netloom-test/weights"):
            store.load_weights(hash)


@pytest.mark.parametrize("place", ["nosuch://bucket/x", "s3://bucket/x"])
def test_a_url_that_cannot_be_reached_from_here_says_what_is_missing(tmp_path: Path, place: str) -> None:
    if place.startswith("s3") and find_spec("s3fs"):
        pytest.skip("s3fs is installed here: it would ask the network")
    with Store(tmp_path / "runs.db", artifacts=place) as store, pytest.raises(StoreError, match="s3fs|nosuch|give a folder"):
        store.add_artifact(b"x")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Store(tmp_path / "runs.db", artifacts=tmp_path / "file") as store:
        with pytest.raises(StoreError, match="artifact of 1 bytes cannot be written to .*Not a directory"):
            store.add_artifact(b"x")
        assert store.counts()["artifacts"] == 0


# -- weights -----------------------------------------------------------------------------------------------------------
def test_the_same_weights_have_the_same_hash_in_whatever_order_they_come() -> None:
    with Store() as store:
        a, b = torch.randn(3, 4), torch.randn(2)
        assert store.save_weights({"a": a, "b": b}) == store.save_weights({"b": b, "a": a.t().contiguous().t()})
        assert store.save_weights({"a": a}) != store.save_weights({"b": a})


def test_weights_of_ties_views_and_every_dtype_come_back() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 3))
    module[2].weight = module[0].weight
    with Store() as store:
        loaded = store.load_weights(store.save_weights(module))
        assert {name: tensor.tolist() for name, tensor in loaded.items()} == {
            name: tensor.tolist() for name, tensor in module.state_dict().items()
        }
        others = {"bf16": torch.ones(2, dtype=torch.bfloat16), "bool": torch.tensor([True]), "empty": torch.zeros(0, 3)}
        back = store.load_weights(store.save_weights(others))
        assert all(torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype for name, tensor in others.items())


@pytest.mark.parametrize("weights", [3, None, {"a": 1}, {1: torch.ones(1)}, "weights.pt"])
def test_what_is_no_weights_is_refused(weights: object) -> None:
    with Store() as store, pytest.raises(StoreError, match="weights are a network, an nn.Module or a dict of tensors by name"):
        store.save_weights(weights)


def test_bytes_that_are_no_safetensors_are_no_weights() -> None:
    with Store() as store:
        hash = store.add_artifact(b"\x80\x04pickle?")
        with pytest.raises(StoreError, match="holds no weights"):
            store.load_weights(hash)


def test_an_evaluation_begins_where_another_ended() -> None:
    with Store() as store:
        parent = store.save_weights(nl.build(graph(3), seed=0))
        of = EvaluationKey(graph(3).hash, "t", "r", 0, 2, init=parent)
        child = store.record(graph(3), of, EvaluationRecord("ok", 0.5, 1.0))
        assert store.load_weights(store.evaluation(child.id)[0].init).keys() == nl.build(graph(3)).state_dict().keys()
        with pytest.raises(StoreError, match=f"weights of evaluation {child.id} were not kept"):
            store.network(child.id)
        with pytest.raises(StoreError, match="no evaluation number 99"):
            store.network(99)


# -- vacuum ------------------------------------------------------------------------------------------------------------
def test_a_vacuum_takes_what_nothing_needs_and_is_old(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    with Store(tmp_path / "runs.db", artifacts=folder) as store:
        linked, begun, unused = (store.add_artifact(name) for name in (b"linked", b"begun", b"unused"))
        store.record(graph(0), key(0), replace(result(0), artifacts={"weights": linked}))
        store.record(graph(1), replace(key(1), init=begun), result(1))
        (folder / "ab").mkdir(exist_ok=True)
        for name in ("abandoned.safetensors", ".cut.1.ff.partial"):
            (folder / "ab" / name).write_bytes(b"left by a kill")
        assert store.vacuum(unused=True).files == 0, "what is young may be on its way into the store"
        age(folder)
        with store._database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE artifacts SET created = '2020-01-01T00:00:00.000000+00:00'")
        assert store.vacuum().files == 1 and store.artifact(unused) == b"unused"
        cleaned = store.vacuum(unused=True)
        assert (cleaned.files, cleaned.rows) == (1, 1)
        assert store.artifact(linked) == b"linked" and store.artifact(begun) == b"begun"
        with pytest.raises(StoreError, match="is missing"):
            store.artifact(unused)
        assert store.check() == [] and not list(folder.rglob("*.partial"))


def test_a_vacuum_gives_room_back(tmp_path: Path) -> None:
    with Store(tmp_path / "runs.db") as store:
        store.add_run("run", {}, {})
        for number in range(40):
            kept = store.record(graph(number), key(number), EvaluationRecord("failed", None, 1.0, "x" * 50_000))
            store.add_proposal("run", number, kept.id, reused=False, elapsed=1.0)
        assert store.delete_run("run", keep_evaluations=False) == 40
        cleaned = store.vacuum(unused=True)
        assert cleaned.bytes_after < 0.2 * cleaned.bytes_before and "MiB before" in str(cleaned) and cleaned.rows == 18
        assert not any(store.counts().values())


def test_files_of_a_store_in_memory_are_gone_with_it() -> None:
    store = Store()
    hash = store.add_artifact(b"x")
    folder = Path(store._temporary.name)  # type: ignore[union-attr]
    assert store.artifact(hash) == b"x" and folder.is_dir()
    store.close()
    assert not folder.exists()
