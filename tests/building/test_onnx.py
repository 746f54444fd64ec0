"""ONNX files: what onnxruntime computes from them is what the network computes, at any batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.building.example import example_inputs
from netloom.errors import BuildError
from netloom.testing import exactness

pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")


def largest_difference(net: nl.Network, path: Path, batch: int) -> float:
    """The largest difference of any output, relative to the largest value of that output."""
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs: Any = example_inputs(net.graph, batch)
    with torch.no_grad():
        expected = [tensor for _, tensor in exactness.tensors_of(exactness.run(net.eval(), inputs))]
    given = [tensor.numpy() for _, tensor in exactness.tensors_of(inputs)]
    found = session.run(None, {slot.name: value for slot, value in zip(session.get_inputs(), given)})
    assert [array.shape for array in found] == [tuple(tensor.shape) for tensor in expected]
    return max(float((torch.from_numpy(a) - b).abs().max() / b.abs().max()) for a, b in zip(found, expected))


@pytest.mark.slow
def test_a_convolutional_network_at_two_batch_sizes(tmp_path: Path) -> None:
    x = nl.input(3, 8, 8, name="image")
    y = nl.relu(nl.batch_norm(nl.conv2d(x, 4, kernel=3, padding=1)))
    y = nl.dropout(y + nl.conv2d(x, 4, kernel=1), 0.5)
    net = nl.build(nl.Graph(x, nl.linear(nl.flatten(nl.max_pool2d(y, 2)), 5)), seed=0).train()
    before = exactness.fingerprint(net)
    nl.to_onnx(net, tmp_path / "net.onnx")
    assert exactness.fingerprint(net) == before, "exporting changed the network"
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    assert [(slot.name, slot.shape) for slot in session.get_inputs()] == [("image", ["N", 3, 8, 8])]
    assert max(largest_difference(net, tmp_path / "net.onnx", batch) for batch in (1, 4)) < 1e-5


@pytest.mark.slow
def test_experts_side_by_side(tmp_path: Path) -> None:
    """torch's exporter freezes shapes that it shares between values; axes are named all the same."""
    x = nl.input(6)
    experts = nl.stack([nl.linear(x, 6), nl.linear(x, 6)], -1)
    gate = nl.unsqueeze(nl.softmax(nl.linear(x, 2), 1), -2)
    net = nl.build(nl.Graph(x, nl.sum(nl.mul(experts, gate), -1)), seed=0)
    nl.to_onnx(net, tmp_path / "net.onnx")
    assert max(largest_difference(net, tmp_path / "net.onnx", batch) for batch in (1, 4)) < 1e-5


def test_what_onnx_cannot_express_is_named(tmp_path: Path) -> None:
    x = nl.input(6)
    values = nl.kthvalue(nl.relu(x), 2, dim=1, name="second")
    with pytest.raises(BuildError, match="ONNX has no operator for kthvalue 'second'; replace"):
        nl.to_onnx(nl.Graph(x, nl.relu(values[0])), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


class Answer(dict[str, Any]):
    """A container that torch.export has never heard of."""


class Scored(torch.nn.Module):
    """A dict with literals, a list and one tensor twice."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.head(x)
        return Answer(logits=y, aux=[None, (x, "text")], again=y, count=3)


def test_outputs_are_the_tensors_of_the_result_by_name(tmp_path: Path) -> None:
    model, x = Scored(), torch.randn(2, 4)
    net = nl.build(nl.trace(model, x), weights=model).train()
    before = exactness.fingerprint(net)
    nl.to_onnx(net, tmp_path / "net.onnx")
    assert exactness.fingerprint(net) == before
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    assert [slot.name for slot in session.get_inputs()] == ["x"]
    assert [slot.name for slot in session.get_outputs()] == ["logits", "aux.1.0", "again"]
    x = torch.randn(5, 4)
    y = model(x)["logits"]
    for found, expected in zip(session.run(None, {"x": x.numpy()}), (y, x, y)):
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-6)


def test_what_torch_cannot_export_is_said(tmp_path: Path) -> None:
    x = nl.input(6)
    with pytest.raises(BuildError, match="cannot take the network: Not all values of N .* satisfy .* 25"):
        nl.to_onnx(nl.Graph(x, nl.cdist(x, nl.parameter(3, 6))), tmp_path / "net.onnx")


def test_mistakes_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="takes a Network or a Graph, not a Linear"):
        nl.to_onnx(torch.nn.Linear(2, 2), tmp_path / "net.onnx")  # type: ignore[arg-type]


class Tokens(torch.nn.Module):
    """Attention over tokens with a mask, given by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(20, 8)
        self.block = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": self.block(self.table(ids), src_key_padding_mask=mask == 0)}


@pytest.mark.slow
def test_a_transformer_with_two_inputs(tmp_path: Path) -> None:
    model = exactness.stir(Tokens().eval())
    example = {"ids": torch.randint(0, 20, (2, 5)), "mask": torch.ones(2, 5, dtype=torch.long)}
    net = nl.build(nl.trace(model, example), weights=model)
    nl.to_onnx(net, tmp_path / "net.onnx")
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 4):
        given = exactness.resize_batch(example, batch)
        (found,) = session.run(None, {name: value.numpy() for name, value in given.items()})
        assert torch.allclose(torch.from_numpy(found), net.eval()(**given)["y"], atol=1e-5)


@pytest.mark.slow
def test_a_recurrent_network(tmp_path: Path) -> None:
    x = nl.input(7, 6)
    y, _, _ = nl.lstm(x, 5)
    net = nl.build(nl.Graph(x, nl.linear(y, 3)), seed=0)
    nl.to_onnx(net, tmp_path / "net.onnx")
    assert max(largest_difference(net, tmp_path / "net.onnx", batch) for batch in (1, 4)) < 1e-5
