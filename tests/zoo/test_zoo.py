"""Zoos: made, read, filtered, split, checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

import netloom as nl
from netloom.errors import VersionError, ZooError
from netloom.tasks.parts import Split
from netloom.zoo import COLUMNS, Zoo, ZooConfig, make
from netloom.zoo.files import table_path, tensors_path

#: Four shards, the last of which is not full.
SETTINGS: dict[str, Any] = {"models": 35, "tasks": 6, "epochs": (3, 5), "shard_size": 10, "seed": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoos") / "zoo"
    make(folder, **SETTINGS)
    return folder


@pytest.fixture
def zoo(made: Path) -> Zoo:
    return Zoo(made)


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


# -- reading -------------------------------------------------------------------------------------------------------
def test_every_network_is_there(zoo: Zoo) -> None:
    assert len(zoo) == 35 and len(zoo.tasks) == 6 and zoo.is_whole and zoo.check(deep=True) == []
    assert [network.number for network in zoo] == list(range(35)) == zoo.numbers.tolist()
    assert {network.record["task"] for network in zoo} == set(range(6))


def test_a_network_is_what_the_index_says(zoo: Zoo) -> None:
    for network in (zoo[0], zoo[13], zoo[-1]):
        record = network.record
        assert network.graph.hash == record["graph_hash"] == network.network.graph.hash
        assert record["num_params"] == sum(weight.numel() for weight in network.weights.values())
        assert record["depth"] == len(record["widths"]) and record["widths"][-1] == 1
        assert network.task.hash == record["task_hash"] and network.task is zoo.tasks[record["task"]]
        assert len(network.curve) == record["epochs"] in (3, 5) and record["steps"] == 4 * record["epochs"]
        assert network.curve[-1].score == pytest.approx(network.score, rel=1e-6)
        measured = nl.training.evaluate(network.network, network.task.valid)
        assert measured.loss == pytest.approx(record["valid_loss"], rel=1e-4)
        assert network.status == "ok" and not network.network.training
        graph, module, task, curve = network
        assert graph == network.graph == module.graph and task is network.task and curve == network.curve


def test_networks_are_as_if_trained_alone(zoo: Zoo) -> None:
    network = zoo[7]
    space = zoo.config.space_for((8,), 1)
    graph = space.sample(np.random.default_rng([2, 0, 7]))
    recipe = nl.training.recipe(zoo.config.recipe, epochs=network.record["epochs"])
    alone = nl.train(graph, zoo.tasks[1], recipe, seed=network.record["seed"])
    for key, tensor in alone.network.state_dict().items():
        torch.testing.assert_close(network.weights[key], tensor, rtol=1e-3, atol=1e-4)


def test_tasks_are_stored_with_their_parts(zoo: Zoo) -> None:
    task = zoo.tasks[4]
    assert task.spec == f"regression:{2 * 1_000_003 + 4}" and nl.tasks.load(task.spec).hash == task.hash
    assert len(task.read_test()) == 64 and len(zoo.tasks[1:3]) == 2
    assert list(zoo.tasks.frame()["num_train"]) == [256] * 6


def test_the_frame_has_a_row_for_each(zoo: Zoo) -> None:
    frame = zoo.frame()
    assert len(frame) == 35 and list(frame["network"]) == list(range(35)) and "graph" not in frame
    assert set(frame.columns) == {name for name in COLUMNS if name != "graph" and not name.startswith("curve_")}
    assert zoo.frame(["score"]).shape == (35, 1)
    curves = zoo.curves()
    assert len(curves) == frame["epochs"].sum() and list(curves.columns[:2]) == ["network", "epoch"]
    assert len(zoo.median_curve()) == 5
    with pytest.raises(ZooError, match="no column 'scores'"):
        zoo.frame(["scores"])


def test_filters_are_worked_out_in_the_files(zoo: Zoo) -> None:
    frame = zoo.frame()
    good = zoo.filter(("score", ">", float(frame["score"].median())), status="ok")
    assert good.numbers.tolist() == frame.loc[frame["score"] > frame["score"].median(), "network"].tolist()
    deep = frame["task"].isin([0, 3]) & (frame["depth"] >= 3)
    assert len(zoo.filter(("task", "in", [0, 3]), ("depth", ">=", 3))) == deep.sum()
    assert len(zoo.filter(("task", "not in", [0]))) == (frame["task"] != 0).sum()
    assert len(zoo.filter(pc.field("num_params") < 100)) == (frame["num_params"] < 100).sum()
    assert len(good.filter(task=1)) == ((frame["score"] > frame["score"].median()) & (frame["task"] == 1)).sum()
    assert len(zoo.filter(status="diverged")) == 0 and list(zoo.filter(status="diverged")) == []
    assert good[0].number == good.numbers[0] and len(good.frame()) == len(good) and len(zoo.filter()) == 35


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (("scor", ">", 1), "no column 'scor'; did you mean 'score'"),
        (("score", "~", 1), "operator '~'; expected one of"),
        ("score > 1", "expected .column, operator, value."),
    ],
)
def test_conditions_that_make_no_sense(zoo: Zoo, condition: Any, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        zoo.filter(condition)


def test_parts_of_a_zoo(zoo: Zoo) -> None:
    assert zoo[5:9].numbers.tolist() == [5, 6, 7, 8] and zoo[5:9][1].number == 6
    assert zoo[[3, 30, 3]].numbers.tolist() == [3, 30, 3] and list(zoo[[30, 3]].frame()["network"]) == [30, 3]
    with pytest.raises(IndexError):
        zoo[35]
    assert len(zoo[:0]) == 0 and zoo[:0].frame().empty and zoo[:0].curves().empty


def test_split_by_task(zoo: Zoo) -> None:
    seen, unseen = zoo.split(0.3, by="task", seed=1)
    assert len(seen) + len(unseen) == 35 and len(set(unseen.frame()["task"])) == 2
    assert not set(seen.frame()["task"]) & set(unseen.frame()["task"])
    assert zoo.split(0.3, seed=1)[1].numbers.tolist() == unseen.numbers.tolist()
    with pytest.raises(ZooError, match="the same family|no column"):
        zoo.split(by="family")
    with pytest.raises(ZooError, match="the same status"):
        zoo.split(by="status")
    with pytest.raises(ZooError, match="share = 1"):
        zoo.split(1)


def test_other_programs_can_read_it(made: Path) -> None:
    import pandas as pd
    from safetensors.torch import load_file

    frame = pd.read_parquet(made / "index")
    assert len(frame) == 35
    tensors = load_file(tensors_path(made, "weights", 0))
    assert {name.split("/")[0] for name in tensors} == {str(number) for number in range(10)}


def test_datasheet(zoo: Zoo, made: Path) -> None:
    sheet = json.loads((made / "datasheet.json").read_text())
    assert sheet["networks"] == 35 and sheet["config_hash"] == zoo.config.hash and sheet["statuses"] == {"ok": 35}
    assert sheet["summary"]["score"]["median"] == pytest.approx(zoo.frame()["score"].median())
    assert sum(sheet["scores"]["counts"]) == 35 and set(sheet["columns"]) == set(COLUMNS)
    page = (made / "README.md").read_text()
    for said in ("35 trained networks", "mlp?layers=1..3", "adamw, learning rate 0.01", "| score |", "`curve_score`"):
        assert said in page


# -- making --------------------------------------------------------------------------------------------------------
def test_the_same_call_makes_the_same_zoo(zoo: Zoo, tmp_path: Path) -> None:
    other = make(tmp_path / "other", processes=2, **SETTINGS)
    seconds = [name for name in COLUMNS if "seconds" in name]
    one, two = (z.frame().drop(columns=seconds, errors="ignore") for z in (zoo, other))
    assert one.drop(columns=["widths", "ops"]).equals(two.drop(columns=["widths", "ops"]))
    for a, b in zip(zoo, other):
        assert all(torch.equal(tensor, b.weights[key]) for key, tensor in a.weights.items())


def test_another_seed_makes_another(zoo: Zoo, tmp_path: Path) -> None:
    other = make(tmp_path / "other", models=10, tasks=6, epochs=1, seed=3)
    assert not set(other.frame()["task_hash"]) & set(zoo.frame()["task_hash"])
    assert list(other.frame()["graph_hash"]) != list(zoo.frame()["graph_hash"][:10])


def test_making_again_reads_what_is_there(copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.glob("weights/*")}
    assert len(make(copied, **SETTINGS)) == 35
    assert {path: path.stat().st_mtime_ns for path in copied.glob("weights/*")} == before


def test_what_is_missing_is_made_again(zoo: Zoo, copied: Path) -> None:
    table_path(copied, "weights", 1).unlink()
    (copied / "weights" / ".weights-00001.safetensors.1.partial").write_bytes(b"half")
    part = Zoo(copied)
    assert not part.is_whole and len(part) == 25 and part[10].number == 20 and "35 when it is whole" in repr(part)
    assert "3 of 4 files of networks are there" in part.check()[0]
    again = make(copied, **SETTINGS)
    assert len(again) == 35 and again.check() == [] and not list(copied.glob("**/*.partial"))
    assert torch.equal(again[12].weights["head.weight"], zoo[12].weights["head.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, "holds a zoo of seed 2, not 4"),
        ({"models": 36}, "holds a zoo of models 35, not 36"),
        ({"epochs": 3}, r"holds a zoo of epochs \(3, 5\), not \(3,\)"),
        ({"space": "mlp?layers=1"}, "holds a zoo of space"),
    ],
)
def test_a_folder_of_another_zoo_is_refused(made: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ZooError, match=message):
        make(made, **(SETTINGS | change))


def test_folders_of_other_things_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ZooError, match="holds other things"):
        make(tmp_path, models=1)
    with pytest.raises(ZooError, match="is a file"):
        make(tmp_path / "thesis.txt", models=1)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_two_makers_do_not_share_a_folder(tmp_path: Path) -> None:
    from netloom.zoo.files import locked

    with locked(tmp_path / "zoo"), pytest.raises(ZooError, match="being made by another process"):
        make(tmp_path / "zoo", models=1)


def test_every_model_on_every_task(tmp_path: Path) -> None:
    zoo = make(tmp_path / "zoo", models=4, tasks=3, pairing="all", epochs=1, duplicates=0.0)
    frame = zoo.frame()
    assert len(zoo) == 12 and frame.groupby("model")["graph_hash"].nunique().tolist() == [1] * 4
    assert sorted(zip(frame["model"], frame["task"])) == [(model, task) for model in range(4) for task in range(3)]
    assert frame.groupby("model")["seed"].nunique().tolist() == [1] * 4, "equal initial weights"


def test_duplicates_begin_as_earlier_models(tmp_path: Path) -> None:
    recipe = {"learning_rate": 0.0}
    zoo = make(tmp_path / "zoo", models=60, tasks=60, duplicates=0.5, epochs=1, recipe=recipe)
    frame = zoo.frame()
    copies = frame[frame["source"] != frame["model"]]
    assert 15 < len(copies) < 45 and (copies["source"] < copies["model"]).all()
    for _, row in copies.iterrows():
        original = zoo[int(row["source"])]
        assert original.record["graph_hash"] == row["graph_hash"] and original.record["task"] != row["task"]
        for key, tensor in zoo[int(row["model"])].weights.items():
            assert torch.equal(tensor, original.weights[key]), "nothing was learned from the same weights"


def test_best_weights_are_kept_where_asked_for(tmp_path: Path) -> None:
    zoo = make(tmp_path / "zoo", models=12, tasks=3, kept="best", recipe={"learning_rate": 0.3}, epochs=8)
    assert (zoo.frame()["best_epoch"] < 8).any() and zoo.check(deep=True) == []
    for network in zoo:
        score = nl.training.evaluate(network.network, network.task.valid).score
        assert score == pytest.approx(network.record["best_score"], abs=1e-4)


def test_networks_that_diverge_are_kept_as_such(tmp_path: Path) -> None:
    recipe = {"optimizer": "sgd", "learning_rate": 100.0, "momentum": 0.0}
    zoo = make(tmp_path / "zoo", models=8, tasks=2, epochs=2, space="mlp?layers=2&widths=8&activations=relu", recipe=recipe)
    assert set(zoo.frame()["status"]) == {"diverged"} and zoo.check(deep=True) == []
    assert zoo[0].curve == () and np.isnan(zoo[0].score) and zoo[0].weights
    assert "8 diverged" in (tmp_path / "zoo" / "README.md").read_text()


# -- other families ------------------------------------------------------------------------------------------------
def test_convolutional_networks_on_digits(tmp_path: Path) -> None:
    zoo = make(tmp_path / "zoo", models=6, family="conv", epochs=2, shard_size=3)
    assert zoo.check(deep=True) == [] and [task.name for task in zoo.tasks] == ["digits"]
    assert all("conv2d" in ops for ops in zoo.frame()["ops"]) and (zoo.frame()["num_params"] <= 20_000).all()
    assert zoo.frame()["score"].max() > 0.5
    x, _ = next(zoo.tasks[0].valid.batches(5))
    assert zoo[0].network(x).shape == (5, 10)


def test_several_splits_of_digits(tmp_path: Path) -> None:
    zoo = make(tmp_path / "zoo", models=4, tasks=2, family="conv", epochs=1)
    assert [task.spec for task in zoo.tasks] == ["digits", "digits?seed=1"]
    assert zoo[0].task.hash != zoo[1].task.hash == nl.tasks.load("digits?seed=1").hash


def test_perceptrons_on_named_tasks_of_several_shapes(tmp_path: Path) -> None:
    specs = ["digits", "regression:5?in_features=3&num_targets=2"]
    zoo = make(tmp_path / "zoo", models=6, tasks=specs, epochs=1, space="mlp?layers=1&widths=4..9&norm=none,layer")
    outputs = [network.graph.outputs[0].shape[1] for network in zoo]
    assert outputs == [10, 2] * 3 and zoo.check(deep=True) == []
    assert [task.hash for task in zoo.tasks] == [nl.tasks.load(spec).hash for spec in specs]


def test_images_that_are_held_as_bytes(tmp_path: Path) -> None:
    """Stored as they are held, so that their hash stays."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(tmp_path / "images" / label / f"{number}.png")
    spec = f"images:{tmp_path / 'images'}?size=6"
    zoo = make(tmp_path / "zoo", models=3, tasks=spec, family="conv", epochs=1)
    part = zoo.tasks[0].train
    assert isinstance(part, Split) and part.held.dtype == torch.uint8
    assert zoo.tasks[0].hash == nl.tasks.load(spec).hash and zoo.check(deep=True) == []
    shutil.rmtree(tmp_path / "images")
    assert len(Zoo(tmp_path / "zoo").tasks[0].train) == part.held.shape[0], "the zoo needs the images no longer"


def test_large_tasks_are_kept_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.zoo import stored_tasks

    monkeypatch.setattr(stored_tasks, "LARGEST_BYTES", 1000)
    zoo = make(tmp_path / "zoo", models=2, tasks=1, epochs=1)
    assert zoo.tasks[0].hash == nl.tasks.load("regression:0").hash and zoo.check(deep=True) == []
    assert tensors_path(tmp_path / "zoo", "tasks", 0).stat().st_size < 1000
    monkeypatch.setattr(stored_tasks, "load", lambda spec: nl.tasks.load("regression:1"))
    with pytest.raises(ZooError, match="its data have changed"):
        Zoo(tmp_path / "zoo").tasks[0]


# -- configuration -------------------------------------------------------------------------------------------------
def test_configurations_go_to_json_and_back(tmp_path: Path) -> None:
    config = ZooConfig(epochs=(1, 2), regression={"noise": 0.2}, recipe={"learning_rate": 0.5}, duplicates=0.1)  # type: ignore[arg-type]
    assert ZooConfig.from_json(config.to_json()) == config and config.hash != ZooConfig().hash
    assert config.recipe.batch_size == 64 and config.recipe.learning_rate == 0.5 and config.regression.noise == 0.2
    (tmp_path / "zoo.json").write_text(config.to_json())
    assert make(tmp_path / "a", models=2, config=tmp_path / "zoo.json").config == config
    assert make(tmp_path / "b", models=2, config=config, kept="best").config.kept == "best"
    assert make(tmp_path / "c", models=2, config={"epochs": [2]}).config.epochs == (2,)
    space = nl.spaces.MLP(8, 1, layers=2, widths=5)
    assert make(tmp_path / "e", models=2, space=space)[0].record["config_hash"] == ZooConfig(space=space.spec).hash
    assert make(tmp_path / "d", models=2, config=config, recipe="express").config.epochs == (10,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "rnn"}, "family = 'rnn'; expected one of mlp, conv"),
        ({"epochs": 0}, "epochs = .0,.; expected whole numbers"),
        ({"pairing": "some"}, "expected one of spread, all"),
        ({"duplicates": 1}, "duplicates = 1; expected a share"),
        ({"kept": "first"}, "expected one of last, best"),
        ({"shard_size": 0}, "shard_size = 0"),
        ({"models": 0}, "models = 0; expected a whole number ≥ 1"),
        ({"tasks": 0}, "tasks = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"processes": 0}, "processes = 0"),
        ({"epoch": 3}, "no setting 'epoch'; did you mean 'epochs'"),
        ({"recipe": {"rate": 3}}, "recipe has no setting 'rate'"),
        ({"config": "there/is/none.json"}, "cannot be read"),
        ({"config": {"regression": {"noises": 1}}}, "did you mean 'noise'"),
        ({"space": "mlp?layer=3"}, "did you mean 'layers'"),
        ({"space": 7}, "space = 7"),
        ({"tasks": ["digitz"]}, "did you mean 'digits'"),
        ({"tasks": 3, "task_specs": ("digits",)}, "1 tasks are named"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(nl.NetloomError, match=message):
        make(tmp_path / "zoo", **({"models": 1} | settings))


# -- damage --------------------------------------------------------------------------------------------------------
def test_no_zoo(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="is no zoo"):
        Zoo(tmp_path)
    (tmp_path / "zoo.json").write_text("{}")
    with pytest.raises(ZooError, match="does not describe a zoo"):
        Zoo(tmp_path)


def test_a_later_version_is_refused(copied: Path) -> None:
    plan = json.loads((copied / "zoo.json").read_text())
    (copied / "zoo.json").write_text(json.dumps(plan | {"netloom zoo": 2}))
    with pytest.raises(VersionError, match="version 2; this netloom reads version 1"):
        Zoo(copied)
    with pytest.raises(VersionError):
        make(copied, **SETTINGS)


def test_a_flipped_bit_is_found(copied: Path) -> None:
    path = tensors_path(copied, "weights", 2)
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)
    (problem,) = Zoo(copied).check()
    assert "weights-00002" in problem and "SHA-256" in problem


@pytest.mark.parametrize("kind", ["weights", "tasks"])
def test_missing_and_cut_files_are_found(copied: Path, kind: str) -> None:
    path = tensors_path(copied, kind, 0)
    path.write_bytes(path.read_bytes()[:100])
    assert "SHA-256" in Zoo(copied).check()[0]
    with pytest.raises(ZooError, match="no readable safetensors file"):
        _ = Zoo(copied)[0].weights if kind == "weights" else Zoo(copied).tasks[0]
    path.unlink()
    assert "is missing" in Zoo(copied).check()[0]


def test_a_damaged_index_is_found(copied: Path) -> None:
    table_path(copied, "weights", 0).write_bytes(b"PAR1 not at all")
    assert "no table of a zoo" in Zoo(copied).check()[0]
    with pytest.raises(ZooError, match="cannot read"):
        Zoo(copied)[0]


def test_rows_that_do_not_fit_are_found(copied: Path) -> None:
    """Written anew with other contents, as somebody might who tidies up."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = table_path(copied, "weights", 0)
    table = pq.read_table(path)
    hashes = table["graph_hash"].to_pylist()
    losses = table["valid_loss"].to_pylist()
    hashes[3], losses[5] = "nl1:0", losses[5] * 2
    for name, values in (("graph_hash", hashes), ("valid_loss", losses)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(table, path)
    found = Zoo(copied).check(deep=True)
    assert len(found) == 2 and "network 3: its architecture has the hash" in found[0]
    assert "network 5: its validation loss is" in found[1]
    pq.write_table(table.slice(1), path)
    assert "other rows than networks 0 to 9" in Zoo(copied).check()[0]


def test_weights_of_another_architecture_are_found(copied: Path) -> None:
    from safetensors.torch import load_file

    from netloom.zoo.files import write_part

    tensors = load_file(tensors_path(copied, "weights", 0))
    tensors["4/head.weight"] = torch.zeros(1, 99)
    table = Zoo(copied)._tables[0]
    write_part(copied, "weights", 0, tensors, table)
    assert Zoo(copied).check() == ["network 4: its tensors are not those of its architecture"]


def test_a_full_disk_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ZooError, match="cannot write .*: No space left on device"):
        make(tmp_path / "zoo", models=2, epochs=1)
    assert not list(tmp_path.glob("**/*.partial"))
