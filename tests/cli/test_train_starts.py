"""``netloom train``: the weights it starts from, few labels, and networks that are kept elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.cli.main import main
from netloom.tasks.few_shot import few_shot
from tests.ghn.networks import small as small_ghn

DATA = "digits?train=120&valid=40&test=40"
ONE = ["--epochs", "1", "--max-steps", "1", "--batch-size", "16", "--quiet"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    Path("net.json").write_text(graph().to_json())
    small_ghn(max_shape=(8, 8, 3, 3), hid=8).save("tiny.safetensors")


def graph() -> nl.Graph:
    x = nl.input(1, 8, 8)
    y = nl.relu(nl.conv2d(x, 8, kernel=3, padding=1, name="stem"))
    y = nl.relu(nl.conv2d(y, 8, kernel=3, padding=1, name="second"))
    return nl.Graph(x, nl.linear(nl.flatten(y), 10, name="head"))


def trained(*flags: str, network: str = "net.json", task: str = DATA) -> dict[str, torch.Tensor]:
    """Weights after a training with a rate of nearly nothing: those that it started from."""
    still = ["--lr", "1e-12", "--weight-decay", "0", *ONE]
    assert main(["train", network, "--task", task, *still, *flags, "-o", "out.safetensors"]) == 0
    return nl.load_network("out.safetensors").state_dict()


# -- weights ---------------------------------------------------------------------------------------------------------------
def test_predicted_weights_are_those_of_the_hypernetwork(capsys: pytest.CaptureFixture[str]) -> None:
    found = trained("--init", "ghn:tiny.safetensors")
    expected = nl.ghn.load("tiny.safetensors").predict(graph()).tensors
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor.detach(), rtol=1e-4, atol=1e-6)
    assert "remark: tiny.safetensors: 6 of 6 tensors predicted" in capsys.readouterr().out


def test_a_hypernetwork_for_other_classes_leaves_the_class_layers(capsys: pytest.CaptureFixture[str]) -> None:
    small_ghn(max_shape=(8, 8, 3, 3), hid=8, num_classes=7).save("seven.safetensors")
    found, fresh = trained("--init", "ghn:seven.safetensors"), nl.build(graph(), seed=0).state_dict()
    torch.testing.assert_close(found["head.weight"], fresh["head.weight"], rtol=0, atol=1e-6)
    assert not torch.allclose(found["stem.weight"], fresh["stem.weight"], atol=1e-3)
    assert "the hypernetwork knows 7 classes: head.weight, head.bias start at random" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["network", "state.pt", "checkpoint.pt"])
def test_weights_of_a_file(kind: str) -> None:
    network = nl.build(graph(), seed=5)
    if kind == "network":
        network.save("first.safetensors")
    else:
        state = network.state_dict()
        torch.save(state if kind == "state.pt" else {"state_dict": state, "epoch": 3}, kind)
    found = trained("--init", "first.safetensors" if kind == "network" else kind)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


def test_weights_are_made_orthogonal_from_a_layer_on() -> None:
    fresh, found = nl.build(graph(), seed=0).state_dict(), trained("--orth", "--from-layer", "2")
    torch.testing.assert_close(found["stem.weight"], fresh["stem.weight"], rtol=0, atol=1e-6)
    rows = found["second.weight"].flatten(1)
    torch.testing.assert_close(rows @ rows.t(), torch.eye(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(found["head.weight"], fresh["head.weight"], rtol=0, atol=1e-6)


def test_noise_is_in_proportion_to_the_spread_of_correlations() -> None:
    fresh, found = nl.build(graph(), seed=0).state_dict(), trained("--beta", "0.01")
    for name in ("stem.weight", "second.weight"):
        rows = fresh[name].flatten(1)
        added = (found[name] - fresh[name]).std() / 0.01
        assert float(added) == pytest.approx(np.corrcoef(rows).std(), rel=0.3)
    torch.testing.assert_close(found["head.weight"], fresh["head.weight"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--init", "nothing.pt"], "there is no such file; expected random, ghn:FILE, or a file of tensors"),
        (["--from-layer", "2"], "--from-layer says where --orth and --beta begin"),
        (["--orth", "--from-layer", "9"], "from_layer = 9, but the network has 3 layers"),
        (["--beta", "much"], "--beta 'much': expected a number"),
        (["--init", "ghn:net.json"], "net.json"),
    ],
)
def test_mistakes_are_named(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "net.json", "--task", DATA, *ONE, *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_file_with_code_in_it_is_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    class Harm:
        def __reduce__(self) -> object:
            return Path("harmed").touch, ()

    torch.save({"state_dict": Harm()}, "evil.pt")
    assert main(["train", "net.json", "--task", DATA, *ONE, "--init", "evil.pt"]) == 2
    assert "cannot be read as tensors alone" in capsys.readouterr().err and not Path("harmed").exists()


def test_a_result_is_filed_with_the_weights_it_began_with() -> None:
    url = "sqlite:///runs.db"
    for init in ("random", "ghn:tiny.safetensors"):
        assert main(["train", "net.json", "--task", DATA, *ONE, "--init", init, "--store", url]) == 0
    with nl.Store(url) as store:
        inits = list(store.evaluations()["init"])
        assert len(set(inits)) == 2 and "random" in inits
        began = store.load_weights(next(init for init in inits if init != "random"))
    expected = nl.ghn.load("tiny.safetensors").predict(graph()).tensors
    torch.testing.assert_close(began["stem.weight"], expected["stem.weight"].detach(), rtol=1e-4, atol=1e-6)


# -- data ------------------------------------------------------------------------------------------------------------------
def test_shots_are_the_first_of_each_class() -> None:
    whole, few = nl.tasks.load("digits"), nl.tasks.load("digits?shots=3")
    assert len(few.train) == 30 and np.bincount(few.train.y.numpy()).tolist() == [3] * 10
    for label in range(10):
        first = whole.train.x[whole.train.y == label][:3]
        assert torch.equal(few.train.x[few.train.y == label], first)
    assert few.valid.digest == whole.valid.digest and few.hash != whole.hash
    assert few_shot(whole, 3).hash == few.hash


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("digits?shots=1000", "shots = 1000, but class '"),
        ("digits?shots=none", "shots = 'none'; expected a whole number from 1"),
        ("digits?shots=0", "shots = 0; expected a whole number from 1"),
        ("regression:1?shots=3", "has no classes"),
    ],
)
def test_shots_that_cannot_be(spec: str, said: str) -> None:
    with pytest.raises(nl.errors.TaskError, match=said):
        nl.tasks.load(spec)


def test_flags_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--shots", "2", "--validate", "50", "--json"]
    assert main(["train", "net.json", "--task", "digits?test=50", *ONE, *flags]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "digits?test=50&shots=2&valid=50"


# -- networks that are kept elsewhere --------------------------------------------------------------------------------------
def test_a_network_by_its_hash_in_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    with nl.Store("sqlite:///runs.db") as store:
        store.add_graph(graph())
    fresh = nl.build(graph(), seed=0).state_dict()
    for name in (graph().hash, f"sqlite:///runs.db#{graph().hash[:20]}"):
        flags = [] if "#" in name else ["--store", "sqlite:///runs.db"]
        torch.testing.assert_close(trained(*flags, network=name)["stem.weight"], fresh["stem.weight"], rtol=0, atol=1e-6)
    assert main(["train", graph().hash, "--task", DATA, *ONE]) == 2
    assert "say which store it is in: --store URL" in capsys.readouterr().err


def test_a_network_of_a_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "make", "--out", "pets", "--models", "2", "--family", "mlp", "--epochs", "1", "--quiet"]) == 0
    zoo = nl.zoo.Zoo("pets")
    found = trained(network=f"zoo:pets#{int(zoo.numbers[1])}", task=zoo[1].task.spec)
    for name, tensor in zoo[1].network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5)
    assert main(["train", "zoo:pets#99", "--task", DATA, *ONE]) == 2
    assert "has no network 99" in capsys.readouterr().err
