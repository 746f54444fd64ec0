"""``netloom zoo``: make, show, check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.zoo import Zoo

MAKE = ["--models", "30", "--tasks", "5", "--epochs", "3,4", "--seed", "1", "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("zoos") / "mlps"
    assert main(["zoo", "make", "--out", str(path), *MAKE]) == 0
    return str(path)


def test_make_says_what_it_made_and_makes_it_once(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "make", "--out", folder, *MAKE]) == 0
    said = capsys.readouterr()
    assert said.out == f"{folder}: 30 networks, 5 tasks; see {folder}/README.md\n" and said.err == ""


def test_make_shows_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "make", "--out", str(tmp_path / "z"), "--models", "4", "--epochs", "1"]) == 0
    assert capsys.readouterr().err.startswith("4 of 4 networks trained, ")


def test_make_with_every_setting(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"regression": {"noise": 0.5}, "recipe": {"batch_size": 128}, "shard_size": 4}))
    flags = ["--space", "mlp?layers=2&widths=6", "--duplicates", "0.3", "--kept", "best", "--pairing", "all", "--tasks", "2"]
    flags += ["--config", str(config), "--models", "5", "--epochs", "2"]
    assert main(["zoo", "make", "--out", str(tmp_path / "z"), *flags]) == 0
    made = Zoo(tmp_path / "z")
    assert len(made) == 10 and made.plan.shards == 3 and made.config.regression.noise == 0.5
    assert made.config.recipe.batch_size == 128 and made.config.kept == "best" and made.config.duplicates == 0.3
    assert {network.graph.num_params for network in made} == {8 * 6 + 6 + 6 * 6 + 6 + 6 + 1}


def test_make_convolutional_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--family", "conv", "--models", "2", "--epochs", "1", "--quiet"]
    assert main(["zoo", "make", "--out", str(tmp_path / "z"), *flags]) == 0
    assert main(["zoo", "show", str(tmp_path / "z"), "1"]) == 0
    said = capsys.readouterr().out
    assert "accuracy" in said and "conv2d(" in said and "digits" in said


def test_make_on_named_tasks(tmp_path: Path) -> None:
    flags = ["--task", "digits", "--task", "digits?seed=1", "--models", "2", "--epochs", "1", "--recipe", "express", "--quiet"]
    assert main(["zoo", "make", "--out", str(tmp_path / "z"), *flags]) == 0
    assert [task.spec for task in Zoo(tmp_path / "z").tasks] == ["digits", "digits?seed=1"]


def test_show(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "show", folder, "-n", "3"]) == 0
    said = capsys.readouterr().out
    zoo = nl.zoo.Zoo(folder)
    assert "30 networks (30 ok)" in said and "5 regression tasks" in said and "median" in said
    best = zoo.frame().sort_values("score", ascending=False).head(3)
    for row in best.itertuples():
        assert f"{row.score:.4f}" in said and f"task {row.task}" in said


def test_show_where(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    frame = nl.zoo.Zoo(folder).frame()
    assert main(["zoo", "show", folder, "--where", "depth >= 3", "--where", "status = ok", "--json", "-n", "100"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["networks"] == (frame["depth"] >= 3).sum() == len(document["best"])
    assert main(["zoo", "show", folder, "--where", "score > 1"]) == 0
    assert capsys.readouterr().out == "no network is like that\n"


def test_show_one(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "show", folder, "7"]) == 0
    said = capsys.readouterr().out
    network = nl.zoo.Zoo(folder)[7]
    assert "network 7: ok after" in said and f"r2 {network.score:.4g}" in said and "regression:1000005" in said
    assert network.graph.to_text().splitlines()[-1] in said
    assert main(["zoo", "show", folder, "7", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert nl.Graph.from_json(document["graph"]) == network.graph and document["network"] == 7


def test_show_draws_curves(folder: str, tmp_path: Path) -> None:
    for number, network in enumerate(([], ["3"])):
        path = tmp_path / f"{number}.svg"
        assert main(["zoo", "show", folder, *network, "--plot", str(path)]) == 0
        assert path.read_text().startswith("<svg")


def test_check(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    assert main(["zoo", "check", folder]) == 0
    assert capsys.readouterr().out == f"{folder}: whole; 30 networks, 5 tasks\n"
    assert main(["zoo", "check", folder, "--deep"]) == 0
    assert "each computed again" in capsys.readouterr().out
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    next(copy.glob("weights/*")).write_bytes(b"?")
    assert main(["zoo", "check", str(copy)]) == 1
    assert "SHA-256 differs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make", "--out", "z", "--models", "few"], "--models few: expected a whole number"),
        (["make", "--out", "z", "--epochs", "3,x"], "--epochs x"),
        (["make", "--out", "z", "--task", "digits", "--tasks", "3"], "give one of them"),
        (["make", "--out", "z", "--space", "mpl"], "did you mean 'mlp'"),
        (["make", "--out", "z", "--recipe", "expres"], "did you mean 'express'"),
        (["make", "--out", "z", "--config", "none.json"], "cannot be read"),
        (["show", "nowhere"], "is no zoo"),
        (["check", "nowhere"], "is no zoo"),
    ],
)
def test_mistakes_are_said(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["99"], "has no network 99; it has 30"),
        (["first"], "NETWORK first"),
        (["--where", "score"], "expected a column"),
        (["--where", "scor > 1"], "did you mean 'score'"),
        (["-n", "x"], "-n x"),
        (["--plot", "curve.gif"], "written as .svg or .png"),
    ],
)
def test_mistakes_in_what_to_show(
    folder: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["zoo", "show", folder, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_interrupted_it_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netloom.zoo import making

    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(making, "make_shard", interrupted)
        assert main(["zoo", "make", "--out", str(tmp_path / "z"), *MAKE]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert main(["zoo", "make", "--out", str(tmp_path / "z"), *MAKE]) == 0


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["make"], ["show"], ["check"]):
        with pytest.raises(SystemExit) as left:
            main(["zoo", *arguments, "--help"])
        assert left.value.code == 0 and "example" in capsys.readouterr().out


def test_a_zoo_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in ((["--space", "nope"], "unknown space 'nope'"), (["--task", "nope"], "nope")):
        assert main(["zoo", "make", "--models", "3", *words, "--out", str(tmp_path / "zoo")]) == 2
        assert said in capsys.readouterr().err and not (tmp_path / "zoo").exists()
    (tmp_path / "file").write_text("")
    assert main(["zoo", "make", "--models", "3", "--out", str(tmp_path / "file" / "zoo")]) == 2
    assert "a zoo cannot be made in" in capsys.readouterr().err


def test_conditions_that_cannot_hold_are_refused(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "show", folder, "--where", "score > x"]) == 2
    assert "a value is of another type than its column" in capsys.readouterr().err
    assert main(["zoo", "show", folder, "3", "--where", "score > 0"]) == 2
    assert "--where chooses among networks" in capsys.readouterr().err


def test_a_zoo_that_is_cut_off_is_said_to_be(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = next((copy / "index").glob("networks-*.parquet"))
    file.write_bytes(file.read_bytes()[:50])
    assert main(["zoo", "show", str(copy)]) == 2
    assert "'netloom zoo check' says which file" in capsys.readouterr().err
