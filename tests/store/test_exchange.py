"""Parquet files and merging: what is in them, what is refused, and that nothing is trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import netloom as nl
from netloom.errors import StoreError, VersionError
from netloom.store import EvaluationKey, EvaluationRecord, Store
from netloom.testing.stores import graph, key, result
from netloom.training import Epoch


@pytest.fixture
def store() -> Store:
    made = Store()
    made.record_many((graph(i), key(i), result(i)) for i in range(6))
    curve = (Epoch(1, 0.9, float("nan"), 0.25, 1.0, 0.3), Epoch(2, 0.8, 0.7, 0.5, 2.0, 0.4))
    made.record(graph(7), replace(key(7), fidelity=2), EvaluationRecord("ok", 0.5, 2.0, curve=curve))
    made.record(graph(8), key(8), EvaluationRecord("failed", None, 0.1, "boom"))
    return made


# -- one file ----------------------------------------------------------------------------------------------------------
def test_one_file_is_for_other_programs(store: Store, tmp_path: Path) -> None:
    store.export_parquet(tmp_path / "ok.parquet", status="ok", min_score=0.02)
    frame = pd.read_parquet(tmp_path / "ok.parquet")
    assert len(frame) == 5 and frame["score"].min() > 0.02
    assert [nl.Graph.from_json(text).hash for text in frame["graph_json"]] == list(frame["graph_hash"])
    assert [len(curve) for curve in frame["curve"]] == [0, 0, 0, 0, 2] and frame["curve"].iloc[-1][1]["score"] == 0.5


def test_one_file_goes_into_another_store(store: Store, tmp_path: Path) -> None:
    store.export_parquet(tmp_path / "all.parquet")
    with Store() as other:
        received = other.import_parquet(tmp_path / "all.parquet")
        assert received.new["evaluations"] == 8 and received.new["graphs"] == 8 and not received.different
        ours, theirs = (s.evaluations(order="seed").drop(columns="id") for s in (store, other))
        assert ours.equals(theirs)
        assert store.curves().drop(columns="evaluation_id").equals(other.curves().drop(columns="evaluation_id"))
        assert other.check() == []


def test_a_file_that_went_through_pandas_is_still_read(store: Store, tmp_path: Path) -> None:
    store.export_parquet(tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    fewer = table.to_pandas().query("score > 0.02")
    schema = pa.Schema.from_pandas(fewer).with_metadata(table.schema.metadata)
    pq.write_table(pa.Table.from_pandas(fewer).replace_schema_metadata({**schema.metadata}), tmp_path / "fewer.parquet")
    with Store() as other:
        assert other.import_parquet(tmp_path / "fewer.parquet").new["evaluations"] == 5


# -- what is refused ---------------------------------------------------------------------------------------------------
def rewritten(file: Path, change: Callable[[list[dict[str, Any]]], None], metadata: dict[bytes, bytes] | None = None) -> None:
    table = pq.read_table(file)
    rows = table.to_pylist()
    change(rows)
    schema = table.schema if metadata is None else table.schema.with_metadata(metadata)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)


def test_graphs_that_are_not_what_their_hash_says_are_refused(store: Store, tmp_path: Path) -> None:
    store.export_parquet(tmp_path / "all")
    rewritten(tmp_path / "all" / "graphs.parquet", lambda rows: rows[0].update(json=rows[1]["json"]))
    with Store() as other:
        with pytest.raises(StoreError, match="is not what its hash says"):
            other.import_parquet(tmp_path / "all")
        assert other.counts()["graphs"] == 0
    rewritten(tmp_path / "all" / "graphs.parquet", lambda rows: rows[0].update(json='{"netloom": 1'))
    with Store() as other, pytest.raises(StoreError, match="cannot be read"):
        other.import_parquet(tmp_path / "all")


def test_weights_that_are_not_what_their_hash_says_are_refused(tmp_path: Path) -> None:
    with Store() as store:
        hash = store.add_artifact(b"weights")
        store.record(graph(0), key(0), replace(result(0), artifacts={"weights": hash}))
        store.export_parquet(tmp_path / "all", artifacts=True)
    (file,) = (tmp_path / "all" / "artifacts").rglob("*.safetensors")
    file.write_bytes(b"others!")
    with Store() as other, pytest.raises(StoreError, match="is damaged"):
        other.import_parquet(tmp_path / "all")
    file.unlink()
    with Store() as other:  # weights that did not come along are not spoken of
        other.import_parquet(tmp_path / "all")
        found = other.find(key(0))
        assert found is not None and found.artifacts == {} and other.check() == []


def test_numbers_are_worked_out_anew_on_import(store: Store, tmp_path: Path) -> None:
    store.export_parquet(tmp_path / "all")
    rewritten(tmp_path / "all" / "graphs.parquet", lambda rows: [row.update(num_params=1, text="lies") for row in rows])
    with Store() as other:
        other.import_parquet(tmp_path / "all")
        assert other.check() == [] and list(other.evaluations()["num_params"]) == list(store.evaluations()["num_params"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[0].update(status=None), "a row has nothing in column 'status'"),
        (lambda rows: rows[0].update(status="ok", score=None), "has the score None; expected a finite number"),
        (lambda rows: rows[0].update(metrics="{"), "is no JSON"),
        (lambda rows: rows[0].update(graph_hash="nl1:unknown"), "no graph 'nl1:unknown' in the store"),
        (lambda rows: rows[0].update(seed=None), "nothing in column 'seed'|seed = 'None'"),
    ],
)
def test_rows_that_make_no_sense_are_refused_as_a_whole(store: Store, tmp_path: Path, change: Any, message: str) -> None:
    store.export_parquet(tmp_path / "all")
    rewritten(tmp_path / "all" / "evaluations.parquet", change)
    with Store() as other:
        with pytest.raises(StoreError, match=message):
            other.import_parquet(tmp_path / "all")
        assert other.counts()["evaluations"] == 0


def test_files_of_other_programs_and_versions_are_refused(store: Store, tmp_path: Path) -> None:
    pd.DataFrame({"score": [1.0]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    store.export_parquet(tmp_path / "newer.parquet")
    rewritten(tmp_path / "newer.parquet", lambda rows: None, {b"netloom": b"99 one file"})
    store.export_parquet(tmp_path / "less.parquet")
    whole = pq.read_table(tmp_path / "less.parquet")
    pq.write_table(whole.drop_columns(["status"]), tmp_path / "less.parquet")
    store.export_parquet(tmp_path / "folder")
    cases = {
        "other.parquet": "not one that a netloom store exported", "text.parquet": "no readable Parquet file of a store",
        "less.parquet": "has no column 'status'", "none.parquet": "there is no file or folder",
        "folder/graphs.parquet": "holds graphs; expected one file", ".": "it has no tasks.parquet",
    }  # fmt: skip
    with Store() as target:
        for name, message in cases.items():
            with pytest.raises(StoreError, match=message):
                target.import_parquet(tmp_path / name)
        with pytest.raises(VersionError, match="version 99 of the format.*pip install --upgrade"):
            target.import_parquet(tmp_path / "newer.parquet")
        assert not any(target.counts().values())


def test_exports_that_cannot_be_made_are_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, options, message in (
        (tmp_path / "file", {}, "it is a file"),
        (tmp_path / "x", {"task": "t"}, r"filters \(task\) go with a path"),
        (tmp_path / "x.parquet", {"artifacts": True}, "one file holds no weights"),
        (tmp_path / "no" / "such" / "x.parquet", {}, "there is no folder .*, make it first"),
        (tmp_path / "x.parquet", {"taks": "t"}, "no filter 'taks'; did you mean 'task'"),
    ):
        with pytest.raises(StoreError, match=message):
            store.export_parquet(path, **options)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_an_empty_store_is_exported_too(tmp_path: Path) -> None:
    with Store() as store, Store() as other:
        for path in (tmp_path / "all", tmp_path / "all.parquet"):
            store.export_parquet(path)
            assert str(other.import_parquet(path)) == "nothing new"


# -- merging -----------------------------------------------------------------------------------------------------------
def test_a_store_is_not_merged_into_itself(url: str) -> None:
    with Store(url) as store:
        for same in (store, url, Store(url)):
            with pytest.raises(StoreError, match="cannot be merged into itself"):
                store.merge(same)


def test_a_run_that_went_on_elsewhere_is_brought_up_to_date(tmp_path: Path) -> None:
    with Store(tmp_path / "here.db") as here, Store(tmp_path / "there.db") as there:
        first = here.record(graph(0), key(0), result(0)).id
        here.add_run("run", {"seed": 1}, {})
        here.add_proposal("run", 0, first, reused=False, elapsed=1.0)
        there.merge(here)
        second = there.record(graph(1), key(1), result(1)).id
        there.add_proposal("run", 1, second, reused=False, elapsed=2.0)
        there.update_run("run", status="finished", seconds=9.0)
        received = here.merge(there)
        assert (received.new["evaluations"], received.new["runs"], received.new["proposals"]) == (1, 0, 1)
        assert list(here.evaluations("run")["ask"]) == [0, 1] and here.run("run")["status"] == "finished"
        there.delete_run("run")
        there.add_run("run", {"seed": 2}, {})
        with pytest.raises(StoreError, match="both stores have a run 'run', of other settings"):
            here.merge(there)


def test_progress_is_told(store: Store, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    store.export_parquet(tmp_path / "all", told=lambda kind, rows: told.append((kind, rows)))
    assert ("evaluations", 8) in told and ("graphs", 8) in told


def test_many_pages_are_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.store import exchange, parquet

    monkeypatch.setattr(exchange, "_PAGE", 7)
    monkeypatch.setattr(parquet, "_PAGE", 5)
    with Store() as store, Store() as by_folder, Store() as by_file, Store() as by_merging:
        keys = [EvaluationKey(graph(i).hash, "t", "r", i, 1) for i in range(50)]
        store.record_many(
            (graph(i), k, EvaluationRecord("ok", i / 50, 1.0, curve=(Epoch(1, 1.0, 1.0, i / 50, 1.0),)))
            for i, k in enumerate(keys)
        )
        store.export_parquet(tmp_path / "all")
        store.export_parquet(tmp_path / "all.parquet")
        assert pq.ParquetFile(tmp_path / "all.parquet").num_row_groups == 8
        for target, take in (
            (by_folder, lambda: by_folder.import_parquet(tmp_path / "all")),
            (by_file, lambda: by_file.import_parquet(tmp_path / "all.parquet")),
            (by_merging, lambda: by_merging.merge(store)),
        ):
            assert take().new["evaluations"] == 50 and target.check() == []
            assert list(target.evaluations(order="seed")["score"]) == [i / 50 for i in range(50)]
