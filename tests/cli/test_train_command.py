"""``netloom train``: what it prints and writes, its exit codes, and that every field of a recipe has a flag."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.cli.main import main
from netloom.cli.train_arguments import RECIPE_FLAGS
from netloom.training import Recipe, evaluate

EPOCH = r"epoch {}/{}  loss \d\.\d{{4}}  accuracy: training [01]\.\d{{4}}, validation [01]\.\d{{4}}  \d+\.\d s"
LAST = r"digits: \d+\.\d s, training [01]\.\d{4}, validation ([01]\.\d{4})"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    x = nl.input(1, 8, 8)
    graph = nl.Graph(x, nl.linear(nl.dropout(nl.relu(nl.linear(nl.flatten(x), 32)), p=0.1), 10))
    Path("small.json").write_text(graph.to_json())
    Path("small.nl").write_text(graph.to_text())
    Path("own_models.py").write_text(
        "import torch\n"
        "def net():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("own_models", None)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_line_for_every_epoch_and_a_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.json", "--task", "digits", "--recipe", "express", "--epochs", "3", "--test"]) == 0
    lines = said(capsys)
    assert len(lines) == 4
    assert all(re.fullmatch(EPOCH.format(i + 1, 3), line) for i, line in enumerate(lines[:3]))
    assert re.fullmatch(LAST + r", test [01]\.\d{4}", lines[3])
    assert main(["train", "small.nl", "--epochs", "3", "--quiet"]) == 0
    assert re.fullmatch(LAST, *said(capsys)).group(1) == re.fullmatch(LAST + ", test.*", lines[3]).group(1)  # type: ignore[union-attr]


def test_every_field_of_a_recipe_has_a_flag_that_replaces_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"epochs", *RECIPE_FLAGS} == {field.name for field in fields(Recipe)}
    flags = (
        "--epochs 1 --batch-size 128 --optimizer sgd --learning-rate 0.05 --weight-decay 1e-3 --momentum 0.8 --nesterov "
        "--betas 0.8,0.9 --no-decay-biases --schedule multi-step --warmup 0 --warmup-epochs 0.5 --final-rate 0.1 --gamma 0.2 "
        "--milestones 1,2.5 --horizon-epochs 9 --label-smoothing 0.1 --clip-norm none --crop 1 --flip --cutout 2 "
        "--drop-path 0.1 --drop-path-growth linear --auxiliary-weight 0.3 --precision bfloat16 --channels-last "
        "--ema-decay 0.9 --patience 3 --max-steps 5 --max-multiply-adds 1e12 --max-seconds 60"
    )
    assert main(["train", "small.json", *flags.split(), "--json"]) == 0
    document = json.loads("\n".join(said(capsys)))
    expected = Recipe(
        epochs=1, batch_size=128, optimizer="sgd", learning_rate=0.05, weight_decay=1e-3, momentum=0.8, nesterov=True,
        betas=(0.8, 0.9), decay_biases=False, schedule="multi-step", warmup=0, warmup_epochs=0.5, final_rate=0.1, gamma=0.2,
        milestones=(1, 2.5), horizon_epochs=9, label_smoothing=0.1, clip_norm=None, crop=1, flip=True, cutout=2, drop_path=0.1,
        drop_path_growth="linear", auxiliary_weight=0.3, precision="bfloat16", channels_last=True, ema_decay=0.9, patience=3,
        max_steps=5, max_multiply_adds=1e12, max_seconds=60,
    )  # fmt: skip
    assert Recipe.from_json(document["recipe"]) == expected
    plain = Recipe()
    assert all(getattr(expected, name) != getattr(plain, name) for name in RECIPE_FLAGS)
    assert document["steps"] == 5 and document["status"] == "ok" and len(document["curve"]) == 1


def test_json_is_one_object_and_strict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.json", "--epochs", "2", "--test", "--json", "--seed", "5"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out, parse_constant=lambda name: pytest.fail(name))
    assert document["seed"] == 5 and document["test"]["samples"] == 360 and document["test"]["top5"] is None
    assert document["score"] == document["curve"][1]["score"] and len(captured.err.splitlines()) == 2


def test_network_curve_and_best(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "small.json", "--epochs", "8", "--best", "-o", "net.safetensors", "--plot", "curve.svg"]
    assert main([*command, "--schedule", "constant", "--learning-rate", "0.05", "--quiet"]) == 0
    lines = said(capsys)
    assert lines[1:] == ["curve: curve.svg", "network: net.safetensors"]
    network, digits = nl.load_network("net.safetensors"), nl.tasks.load("digits")
    score = re.fullmatch(LAST, lines[0]).group(1)  # type: ignore[union-attr]
    assert f"{evaluate(network, digits.valid).score:.4f}" == score
    picture = Path("curve.svg").read_text()
    assert picture.startswith("<svg") and "small.json on digits" in picture and "accuracy" in picture
    assert main(["train", "net.safetensors", "--epochs", "1", "--learning-rate", "0", "--quiet"]) == 0
    assert re.fullmatch(LAST, *said(capsys)).group(1) == score  # type: ignore[union-attr]


def test_a_model_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "own_models:net", "--epochs", "8", "--learning-rate", "0.02", "-o", "own.safetensors"]) == 0
    score = re.fullmatch(LAST, said(capsys)[-2]).group(1)  # type: ignore[union-attr]
    network = nl.load_network("own.safetensors")
    assert f"{evaluate(network, nl.tasks.load('digits').valid).score:.4f}" == score
    assert set(network.state_dict()) == {"1.weight", "1.bias"}


def test_results_are_filed_as_a_search_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.json", "--epochs", "2", "--store", "sqlite:///runs.db", "--quiet"]) == 0
    with nl.Store("sqlite:///runs.db") as store:
        (row,) = store.evaluations().itertuples()
        graph = nl.Graph.from_json(Path("small.json").read_text())
        assert (row.graph_hash, row.fidelity, row.status, row.seed) == (graph.hash, 2, "ok", 0)
        assert row.recipe_hash == Recipe().hash and row.task_hash == nl.tasks.load("digits").hash
        assert len(store.curve(row.id)) == 2 and not store.check()
    assert main(["train", "own_models:net", "--store", "sqlite:///runs.db"]) == 2


def test_more_epochs_go_on_and_say_where_that_matters(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "small.json", "--checkpoint", "state"]
    assert main([*command, "--epochs", "2", "--horizon-epochs", "6"]) == 0
    first = said(capsys)
    assert main([*command, "--epochs", "4", "--horizon-epochs", "6"]) == 0
    second = said(capsys)
    assert len(first) == 3 and len(second) == 3 and second[0].startswith("epoch 3/4")
    assert main([*command, "--epochs", "2", "--anew"]) == 0 and main([*command, "--epochs", "3"]) == 0
    assert any(line.startswith("remark: continued from a schedule over 2 epochs") for line in said(capsys))
    assert main([*command, "--epochs", "4", "--store", "sqlite:///runs.db"]) == 2


def test_what_goes_wrong_in_the_network_is_exit_code_one(capsys: pytest.CaptureFixture[str]) -> None:
    wild = ["--optimizer", "sgd", "--learning-rate", "1000", "--clip-norm", "none", "--epochs", "3", "--warmup", "0"]
    assert main(["train", "small.json", *wild, "--test", "-o", "net.safetensors"]) == 1
    assert re.fullmatch(r"digits: diverged in epoch \d after \d+\.\d s", said(capsys)[-1])
    assert not Path("net.safetensors").exists()
    x = nl.input(1, 8, 8)
    normed = nl.Graph(x, nl.linear(nl.batch_norm(nl.linear(nl.flatten(x), 4)), 10))
    Path("normed.json").write_text(normed.to_json())
    assert main(["train", "normed.json", "--batch-size", "1", "--epochs", "1"]) == 1
    lines = said(capsys)
    assert lines[-2].startswith("error: ValueError: Expected more than 1 value per channel") and "failed" in lines[-1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nothing.json"], "cannot read 'nothing.json'"),
        (["small"], "'small' is no network"),
        (["small.json", "--task", "digit"], "did you mean 'digits'"),
        (["small.json", "--task", "regression:1"], "takes samples of"),
        (["small.json", "--recipe", "quick"], "unknown recipe 'quick'"),
        (["small.json", "--epochs", "two"], "--epochs 'two': expected a whole number"),
        (["small.json", "--betas", "0.9;0.99"], "--betas '0.9;0.99': expected numbers with commas between"),
        (["small.json", "--learning-rate", "fast"], "--learning-rate 'fast': expected a number"),
        (["small.json", "--optimizer", "adam"], "recipe: optimizer = 'adam'; expected one of"),
        (["small.json", "-o", "net.pt"], "-o net.pt: expected a file that ends in .safetensors"),
        (["small.json", "--plot", "there/curve.svg"], "there is no folder 'there', make it first"),
        (["small.json", "--threads", "0"], "--threads 0"),
        (["small.json", "--every-steps", "5"], "say where to, too"),
        (["small.json", "--seed", "-1"], "seed = -1"),
        (["small.json", "--device", "tpu"], "device = 'tpu'"),
    ],
)
def test_mistakes_are_said_in_one_line(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *given]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("netloom train: ")


def test_a_task_without_a_test_part_is_noticed_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "small.json", "--task", "digits?test=0", "--test"]) == 2
    assert "has no test part" in capsys.readouterr().err


def test_stopped_by_the_keyboard_it_says_how_to_go_on() -> None:
    """A process of its own is interrupted in the middle, and the same command ends as an uninterrupted one does."""
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(Path(nl.__file__).resolve().parents[1])}
    words = "train small.json --epochs 40 --checkpoint state --every-steps 1"
    command = [sys.executable, "-m", "netloom", *words.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while not Path("state", "checkpoint.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130 and "stopped; the same command goes on from state" in error
    again = nl.train(nl.Graph.from_json(Path("small.json").read_text()), "digits", epochs=40, checkpoint="state")
    whole = nl.train(nl.Graph.from_json(Path("small.json").read_text()), "digits", epochs=40)
    assert all(torch.equal(a, b) for a, b in zip(again.network.parameters(), whole.network.parameters()))
    assert len(again.curve) == 40
