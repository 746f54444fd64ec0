"""``netloom netformer``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import netloom as nl
from netloom.cli.main import main

SETTINGS = {"latents": 16, "structure_latents": 8, "probes": 64, "width": 16, "heads": 2, "trunk": 32, "encoder": "answers"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo, a configuration and a Netformer trained by the command."""
    made = tmp_path_factory.mktemp("netformer")
    nl.zoo.make(made / "mlps", models=40, tasks=20, epochs=5)
    (made / "settings.json").write_text(json.dumps({**SETTINGS, "decoder": "mlp"}))
    arguments = ["--config", str(made / "settings.json"), "--steps", "10", "--plot", str(made / "curve.svg"), "--quiet"]
    assert main(["netformer", "train", str(made / "mlps"), "--out", str(made / "former.safetensors"), *arguments]) == 0
    return made


def test_train(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    former = nl.netformer.load(folder / "former.safetensors")
    assert former.settings.latents == 16 and former.settings.decoder == "mlp" and (folder / "curve.svg").exists()


def test_evaluate_and_encode(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, zoo = str(folder / "former.safetensors"), str(folder / "mlps")
    assert main(["netformer", "evaluate", model, zoo, "--json"]) == 0
    assert {"median", "edge_iou", "edge_accuracy"} <= set(json.loads(capsys.readouterr().out))
    assert main(["netformer", "evaluate", model, zoo]) == 0
    assert "median" in capsys.readouterr().out
    assert main(["netformer", "encode", model, zoo, "--out", str(folder / "z.npy")]) == 0
    assert main(["netformer", "encode", model, zoo, "--out", str(folder / "z.csv")]) == 0
    latents, table = np.load(folder / "z.npy"), pd.read_csv(folder / "z.csv")
    assert np.allclose(table.drop(columns="network").to_numpy(), latents, atol=1e-4)


def test_sample_suggest_evolve(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(folder / "former.safetensors")
    assert main(["netformer", "sample", model, "-n", "2", "--out", str(folder / "drawn")]) == 0
    drawn = nl.load_network(folder / "drawn" / "network-0001.safetensors")
    assert main(["netformer", "sample", model]) == 0
    assert "linear" in capsys.readouterr().out
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=list("abc"))
    frame["y"] = np.sin(frame.a) + frame.b
    frame.to_csv(folder / "table.csv", index=False)
    arguments = [model, str(folder / "table.csv"), "--target", "y"]
    assert main(["netformer", "suggest", *arguments, "--out", str(folder / "start.safetensors")]) == 0
    assert "before any training: R²" in capsys.readouterr().out
    assert nl.load_network(folder / "start.safetensors").graph.inputs[0].shape[1] == 3
    (folder / "net.nl").write_text(drawn.graph.to_text())
    assert main(["netformer", "suggest", model, "regression:1", "--graph", str(folder / "net.nl")]) == 0
    assert main(["netformer", "evolve", model, "regression:1", "--evaluations", "12"]) == 0
    assert main(["netformer", "sample", model, "--data", str(folder / "table.csv"), "--target", "y", "--prior", "zoo"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "missing.safetensors"], "cannot be read as a Netformer"),
        (["train", "/nowhere", "--out", "x.safetensors", "--quiet"], "no zoo"),
        (["train", "/nowhere", "--out", "x.safetensors", "--config", "missing.json"], "cannot be read as JSON"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netformer", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_mistakes_with_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(folder / "former.safetensors")
    for arguments, message in (
        (["suggest", model, "table.csv"], "--target names the column"),
        (["suggest", model, "regression:1", "--graph", "nowhere.nl"], "nowhere.nl"),
        (["suggest", model, "regression:1", "--out", "/nowhere/x.safetensors"], "there is no folder '/nowhere'"),
        (["train", "/nowhere", "--out", "/nowhere/x.safetensors"], "there is no folder '/nowhere'"),
        (["suggest", model, "digits", "--target", "y"], "--target is for tables"),
        (["encode", model, str(folder / "mlps"), "--out", "z.txt"], ".npy or .csv"),
    ):
        assert main(["netformer", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netformer", "show", str(folder / "former.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "40 trained networks of 20 tasks" in said and "10 steps" in said and "What it is not for" in said


@pytest.mark.parametrize("words, said", [
    (["train", "ZOO", "--out", "FOLDER"], "expected a file that ends with .safetensors|it is a folder"),
    (["train", "ZOO", "--out", "f.safetensors", "--plot", "curve.pdf"], "expected a file that ends with .svg or .png"),
    (["train", "ZOO", "--out", "f.safetensors", "--latents", "100000000"], "expected a whole number from 1 to 65536"),
    (["suggest", "MODEL", "regression:3", "--out", "start.txt"], "expected a file that ends with .safetensors"),
    (["sample", "MODEL", "--target", "price"], "--target 'price' names a column of --data, which is not given"),
    (["encode", "MODEL", "MODEL", "--out", "z.csv"], "is a netformer, not a network"),
])
def test_what_makes_no_sense_is_refused_before_any_work(
    words: list[str],
    said: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"ZOO": str(folder / "mlps"), "MODEL": str(folder / "former.safetensors"), "FOLDER": str(tmp_path)}
    assert main(["netformer", *[names.get(word, word) for word in words]]) == 2
    err = capsys.readouterr().err
    assert any(part in err for part in said.split("|")) and not list(tmp_path.iterdir())


def test_options_win_over_the_configuration_which_has_no_seed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["netformer", "train", str(folder / "mlps"), "--steps", "1", "--quiet", "--out", str(tmp_path / "f.safetensors")]
    assert main([*words, "--config", str(folder / "settings.json"), "--latents", "24"]) == 0
    assert nl.netformer.load(tmp_path / "f.safetensors").settings.latents == 24
    (tmp_path / "seed.json").write_text('{"seed": 3}')
    assert main([*words, "--config", str(tmp_path / "seed.json")]) == 2
    assert "give it as --seed 3" in capsys.readouterr().err


def test_a_checkpoint_of_another_zoo_of_as_many_networks_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nl.zoo.make(tmp_path / "others", models=40, tasks=20, epochs=5, seed=9)
    words = ["--config", str(folder / "settings.json"), "--steps", "3", "--quiet", "--checkpoint", str(tmp_path / "kept")]
    assert main(["netformer", "train", str(folder / "mlps"), "--out", str(tmp_path / "a.safetensors"), *words]) == 0
    assert main(["netformer", "train", str(tmp_path / "others"), "--out", str(tmp_path / "b.safetensors"), *words]) == 2
    assert "training population is" in capsys.readouterr().err and not (tmp_path / "b.safetensors").exists()


@pytest.mark.parametrize("change", [
    {"about": {"networks": "many"}}, {"about": [[1]]}, {"settings": {"probes": 10**13}}, {"settings": {"layers": 10**6}},
])
def test_a_file_that_somebody_changed_is_refused(change: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(str(folder / "former.safetensors"), framework="pt") as file:
        tensors, document = {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["netloom"])
    for name, value in change.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    save_file(tensors, str(tmp_path / "f.safetensors"), metadata={"netloom": json.dumps(document)})
    with pytest.raises(nl.errors.NetformerError, match="f.safetensors"):
        nl.netformer.load(tmp_path / "f.safetensors")
