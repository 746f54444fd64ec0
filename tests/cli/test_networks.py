"""What people may write where a command asks for a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import netloom as nl
from netloom.building.example import example_inputs
from netloom.cli.networks import load_graph, load_model
from netloom.errors import FormatError, TraceError


def small() -> nl.Graph:
    x = nl.input(3, 4, 4)
    return nl.Graph(x, nl.linear(nl.flatten(x), 5, name="head"))


def test_files_give_the_graph_that_was_written(tmp_path: Path) -> None:
    graph = small()
    (tmp_path / "a.json").write_text(graph.to_json(), encoding="utf-8")
    (tmp_path / "a.txt").write_text(graph.to_text(), encoding="utf-8")
    (tmp_path / "a.NL").write_text(graph.to_text(), encoding="utf-8")
    nl.build(graph, seed=0).save(tmp_path / "a.safetensors")
    for name in ("a.json", "a.txt", "a.NL", "a.safetensors"):
        assert load_graph(str(tmp_path / name)).hash == graph.hash
        model, inputs = load_model(str(tmp_path / name))
        assert model(*inputs).shape == (2, 5)
    saved, _ = load_model(str(tmp_path / "a.safetensors"))
    assert torch.equal(saved.state_dict()["head.weight"], nl.build(graph, seed=0).state_dict()["head.weight"])


def test_a_function_gives_a_model_and_its_inputs() -> None:
    name = f"{__name__ if '.' in __name__ else 'tests.cli.test_networks'}:made"
    model, inputs = load_model(name, "3x4x4")
    assert isinstance(model, torch.nn.Sequential) and inputs.shape == (2, 3, 4, 4)
    assert load_graph(name, "3,4,4").num_params == 245


def made() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))


def test_example_inputs_fit_every_argument() -> None:
    x, y = nl.input(3, name="x"), nl.input(4, name="y", dtype="int64")
    graph = nl.Graph({"first": x, "rest": [y]}, nl.linear(x, 4) + nl.to(y, dtype="float32"))
    inputs = example_inputs(graph, batch=6)
    net = nl.build(graph)
    result = net(**inputs) if isinstance(inputs, dict) else net(*inputs)
    assert result.shape == (6, 4)


@pytest.mark.parametrize(
    ("name", "sizes", "error", "message"),
    [
        ("none.json", None, FormatError, "cannot read 'none.json'"),
        ("none.safetensors", None, FormatError, "there is no file"),
        ("resnet", None, TraceError, "expected MODULE:FUNCTION"),
        ("a.json", "3x4", TraceError, "leave --input out"),
        (f"{'tests.cli.test_networks'}:made", "3x0", TraceError, "such as 3x224x224"),
    ],
)
def test_mistakes_say_what_is_accepted(name: str, sizes: str | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        load_graph(name, sizes)
