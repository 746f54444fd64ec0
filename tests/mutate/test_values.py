"""Scores of neurons: every named value against its formula, written out on tensors; scores that users give; errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import EditError
from netloom.mutate import analyse
from netloom.mutate.values import atom_scores


class Residual(nn.Module):
    """Two convolutions with norms whose sum is read: atoms conv1 (6, of both branches) and inner (4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.conv2 = nn.Conv2d(6, 4, 1), nn.Conv2d(4, 6, 1)
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.head((x + self.conv2(torch.relu(self.inner(x)))).mean((2, 3)))


def residual() -> tuple[nn.Module, nl.Graph]:
    torch.manual_seed(0)
    model = Residual()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model, nl.trace(model, torch.randn(2, 3, 5, 5))


def scores(value: Any, model: nn.Module, graph: nl.Graph, **options: Any) -> dict[str, np.ndarray]:
    found = atom_scores(value, model, graph, analyse(graph), **options)
    assert all(each.dtype == np.float64 for each in found.values())
    return found


def close(found: np.ndarray, expected: torch.Tensor) -> bool:
    return np.allclose(found, expected.detach().double().numpy(), rtol=1e-5)


def trained_once(model: nn.Module) -> None:
    model.zero_grad()
    model(torch.randn(4, 3, 5, 5, dtype=next(model.parameters()).dtype)).square().mean().backward()


# -- from weights ----------------------------------------------------------------------------------------------------------
def test_magnitude_is_the_norm_of_what_makes_a_neuron_over_all_tied_layers() -> None:
    model, graph = residual()
    found = scores("magnitude", model, graph)
    rows = [model.conv1.weight.flatten(1).norm(dim=1), model.conv1.bias.abs(), model.bn1.weight.abs(), model.bn1.bias.abs()]
    tied = [model.conv2.weight.flatten(1).norm(dim=1), model.conv2.bias.abs()]
    assert set(found) == {"conv1", "inner"}
    assert close(found["conv1"], sum(rows + tied))
    assert close(found["inner"], model.inner.weight.flatten(1).norm(dim=1) + model.inner.bias.abs())
    assert all(np.array_equal(found[atom], each) for atom, each in scores("l2", model, graph).items())


def test_l1_sums_absolute_weights() -> None:
    model, graph = residual()
    expected = model.inner.weight.abs().sum((1, 2, 3)) + model.inner.bias.abs()
    assert close(scores("l1", model, graph)["inner"], expected)


def test_gates_heads_and_groups_are_folded_onto_units() -> None:
    torch.manual_seed(0)
    lstm = nn.Sequential(nn.LSTM(3, 5, batch_first=True))
    graph = nl.Graph(x := nl.input(7, 3), nl.linear(nl.lstm(x, 5, name="lstm")[0], 2))
    net = nl.build(graph, seed=0)
    w, u = net.state_dict()["lstm.weight_ih_l0"], net.state_dict()["lstm.weight_hh_l0"]
    gates = [net.state_dict()[f"lstm.{name}_l0"].reshape(4, 5, -1) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    assert w.shape == (20, 3) and u.shape == (20, 5) and len(list(lstm.parameters())) == 4
    assert close(scores("magnitude", net, graph)["lstm"], sum(gate.transpose(0, 1).flatten(1).norm(dim=1) for gate in gates))


def test_depthwise_with_a_multiplier_ranks_as_the_reference() -> None:
    """Weights 10 and 20 by turns: of each group the second filter is worth more."""
    x = nl.input(4, 6, 6)
    deep = nl.conv2d(x, 8, kernel=2, groups=4, name="deep")
    graph = nl.Graph(x, nl.conv2d(deep, 2, kernel=1))
    net = nl.build(graph, seed=0)
    with torch.no_grad():
        net.deep.weight.copy_(torch.tensor([10.0, 20.0] * 4)[:, None, None, None].expand(8, 1, 2, 2))
        net.deep.bias.copy_(torch.tensor([0.0] * 4 + [1.0] * 4))
    dims = analyse(graph)
    (atom,) = dims.free
    assert atom.size == 2
    assert close(scores("magnitude", net, graph)[atom.id], torch.tensor([40 + math.sqrt(2), 80 + math.sqrt(2)]))


def test_tied_weights_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.embed(x))

    model = Tied()
    graph = nl.trace(model, torch.randint(9, (2, 3)))
    assert close(scores("magnitude", model, graph)["embed"], model.embed.weight.norm(dim=0))


def test_scales_of_norms_and_magnitude_where_there_are_none() -> None:
    model, graph = residual()
    found, magnitude = scores("bn_scale", model, graph), scores("magnitude", model, graph)
    assert close(found["conv1"], model.bn1.weight.abs())
    assert np.allclose(found["inner"] / magnitude["inner"], found["inner"][0] / magnitude["inner"][0])
    assert found["inner"].mean() == pytest.approx(found["conv1"].mean())
    x = nl.input(4)
    plain = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 3)), 2))
    with pytest.raises(EditError, match="no norm has a scale"):
        scores("bn_scale", nl.build(plain, seed=0), plain)


def test_taylor_is_activation_times_gradient_of_what_a_layer_gives() -> None:
    model, graph = residual()
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            output.retain_grad()
            seen[name] = output

        return hook

    for name in ("conv1", "bn1", "inner", "conv2"):
        getattr(model, name).register_forward_hook(keep(name))
    trained_once(model.eval().double())
    expected = {name: (out * out.grad).sum((0, 2, 3)).abs() for name, out in seen.items()}
    found = scores("taylor", model, graph)
    assert close(found["inner"], expected["inner"])
    # A norm in evaluation mode adds its shift: what the convolution gives is as much as its weights do.
    assert close(found["conv1"], expected["conv1"] + expected["bn1"] + expected["conv2"])




def test_fisher_sums_squares_of_weight_times_gradient() -> None:
    model, graph = residual()
    trained_once(model)
    w, b = model.inner.weight, model.inner.bias
    expected = (w * w.grad).square().sum((1, 2, 3)) + (b * b.grad).square()
    assert close(scores("fisher", model, graph)["inner"], expected)


@pytest.mark.parametrize("value", ["taylor", "fisher"])
def test_values_of_gradients_ask_for_a_backward_pass(value: str) -> None:
    model, graph = residual()
    with pytest.raises(EditError, match="call backward"):
        scores(value, model, graph)


def test_random_is_the_callers() -> None:
    model, graph = residual()
    one, other, third = (scores("random", model, graph, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one["conv1"], other["conv1"]) and not np.array_equal(one["conv1"], third["conv1"])
    with pytest.raises(EditError, match="rng"):
        scores("random", model, graph)


def test_a_network_scores_as_the_model_it_came_from() -> None:
    model, graph = residual()
    theirs, ours = scores("magnitude", model, graph), scores("magnitude", nl.build(graph, weights=model), graph)
    assert all(np.array_equal(theirs[atom], ours[atom]) for atom in theirs)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes(dtype: torch.dtype) -> None:
    model, graph = residual()
    expected = scores("magnitude", model, graph)["inner"]
    assert np.allclose(scores("magnitude", model.to(dtype), graph)["inner"], expected, rtol=2e-2)
    with torch.no_grad():
        model.inner.weight.fill_(300.0)
        model.inner.bias.zero_()
    # 300² is more than float16 can hold.
    assert np.allclose(scores("magnitude", model, graph)["inner"], 300 * math.sqrt(6), rtol=1e-2)


# -- scores that are given -------------------------------------------------------------------------------------------------
def test_scores_by_the_name_of_a_node() -> None:
    model, graph = residual()
    found = scores({"inner": [4, 3, 2, 1], "conv1": torch.arange(6), "conv2": np.ones(6)}, model, graph)
    assert found["inner"].tolist() == [4, 3, 2, 1]
    assert found["conv1"].tolist() == [1, 2, 3, 4, 5, 6]


def test_where_a_mapping_is_silent_magnitude_speaks_on_its_level() -> None:
    model, graph = residual()
    found, magnitude = scores({"inner": [40.0, 30, 20, 10]}, model, graph), scores("magnitude", model, graph)
    assert np.array_equal(np.argsort(found["conv1"]), np.argsort(magnitude["conv1"]))
    assert found["conv1"].mean() == pytest.approx(25)


def test_scores_of_a_frozen_size_do_no_harm() -> None:
    model, graph = residual()
    assert set(scores({"head": [1, 2]}, model, graph)) == {"conv1", "inner"}


def test_an_atom_that_is_no_node_is_named_by_itself() -> None:
    x = nl.input(3, 4, 4)
    a = nl.relu(nl.conv2d(x, 12, kernel=1, name="a"))
    graph = nl.Graph(x, nl.conv2d(nl.conv2d(a, 18, kernel=3, groups=3, name="b"), 2, kernel=1))
    assert scores({"a:2": [1, 2, 3, 4]}, nl.build(graph, seed=0), graph)["a:2"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("mapping, says", [
    ({"iner": [1, 2, 3, 4]}, "'iner', and no node is called that; did you mean 'inner'"),
    ({"inner": [1, 2, 3]}, r"'inner' have the shape \(3,\); it has 4 features, so expected \(4,\)"),
    ({"inner": "many"}, "'inner' are a str; expected numbers"),
])  # fmt: skip
def test_bad_mappings(mapping: Any, says: str) -> None:
    model, graph = residual()
    with pytest.raises(EditError, match=says):
        scores(mapping, model, graph)


def test_a_function_of_graph_and_state() -> None:
    model, graph = residual()
    found = scores(lambda graph, state: {"inner": state["conv2.weight"].abs().sum((0, 2, 3))}, model, graph)
    assert close(found["inner"], model.conv2.weight.abs().sum((0, 2, 3)))
    with pytest.raises(EditError, match="gave a float; .*call its first parameter 'key'"):
        scores(lambda graph, state: 1.0, model, graph)


def test_a_function_of_key_and_tensor_scores_elements() -> None:
    model, graph = residual()
    keys: list[str] = []

    def cubes(key: str, tensor: torch.Tensor) -> torch.Tensor:
        keys.append(key)
        return tensor.abs() ** 3

    found = scores(cubes, model, graph)
    assert close(found["inner"], model.inner.weight.abs().pow(3).sum((1, 2, 3)) + model.inner.bias.abs() ** 3)
    assert len(keys) == len(set(keys))
    with pytest.raises(EditError, match=r"gave \(\) scores for 'conv1.weight'; .* \(6, 3, 3, 3\)"):
        scores(lambda key, tensor: tensor.sum(), model, graph)


@pytest.mark.parametrize("value, says", [
    ("magnitud", "value 'magnitud' is none of .*; did you mean 'magnitude'"), (3, "a value is a name .* not a int"),
])  # fmt: skip
def test_unknown_values(value: Any, says: str) -> None:
    model, graph = residual()
    with pytest.raises(EditError, match=says):
        scores(value, model, graph)


def test_a_model_that_is_not_the_graphs() -> None:
    model, graph = residual()
    model.inner = nn.Conv2d(6, 5, 1)
    with pytest.raises(EditError, match=r"'inner.weight' is \(5, 6, 1, 1\) instead of \(4, 6, 1, 1\)"):
        scores("magnitude", model, graph)
    with pytest.raises(EditError, match="no tensor 'conv1.weight'"):
        scores("magnitude", nn.Linear(2, 2), graph)


# -- together --------------------------------------------------------------------------------------------------------------
def test_what_is_no_number_is_lowest() -> None:
    model, graph = residual()
    with torch.no_grad():
        model.inner.weight[1, 0] = float("nan")
        model.inner.bias[2] = float("inf")
    found = scores("magnitude", model, graph)["inner"]
    assert found[1] == found[2] == -100 and (found[[0, 3]] > 0).all()
    found = scores({"inner": [-500.0, float("nan"), -200, float("-inf")]}, model, graph)["inner"]
    assert found[1] == found[3] < -500


def test_ways_to_bring_tied_layers_together() -> None:
    model, graph = residual()
    given = {"conv1": [1.0, 2, 3, 4, 5, 6], "conv2": [6.0, 5, 4, 3, 2, 1]}
    assert scores(given, model, graph)["conv1"].tolist() == [7] * 6
    assert scores(given, model, graph, reduce="mean")["conv1"].tolist() == [3.5] * 6
    assert scores(given, model, graph, reduce="max")["conv1"].tolist() == [6, 5, 4, 4, 5, 6]
    with pytest.raises(EditError, match="reduce 'most' is none of sum, mean, max"):
        scores(given, model, graph, reduce="most")


@pytest.mark.parametrize("normalize, expected", [
    ("none", [1, 4, 2, 1]), ("mean", [0.5, 2, 1, 0.5]), ("max", [0.25, 1, 0.5, 0.25]), ("sum", [0.125, 0.5, 0.25, 0.125]),
    ("lamp", [1 / 22, 1, 4 / 20, 1 / 22]),
])  # fmt: skip
def test_normalised_scores(normalize: str, expected: list[float]) -> None:
    model, graph = residual()
    assert scores({"inner": [1, 4, 2, 1]}, model, graph, normalize=normalize)["inner"].tolist() == pytest.approx(expected)
    nothing = scores({"inner": [0, 0, 0, 0]}, model, graph, normalize=normalize)["inner"]
    assert nothing.tolist() == [0] * 4


def test_lamp_ranks_layers_against_each_other_and_never_empties_one() -> None:
    """The strongest neuron of every atom scores 1, whatever its scale (Lee et al. 2021)."""
    model, graph = residual()
    with torch.no_grad():
        model.inner.weight.mul_(1e-3)
        model.inner.bias.mul_(1e-3)
    found = scores("magnitude", model, graph, normalize="lamp")
    assert all(each.max() == 1.0 for each in found.values())


def test_a_function_of_one_argument_scores_the_outputs_of_every_weight() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 2, 1))
    images, expected = torch.randn(1, 3, 8, 8), model[0].weight.abs().flatten(1).sum(1).topk(2).indices.sort().values.tolist()
    for value in (lambda w: w.abs().flatten(1).sum(1), lambda w: w.abs()):
        with nl.edit(model, images, value=value) as edit:
            edit["0"].resize(out=-2)
        assert edit.plan.indices("0.weight") == expected
    with pytest.raises(EditError, match="expected one for each of its 4 outputs"):
        with nl.edit(model, images, value=lambda w: w.sum()) as edit:
            edit["0"].resize(out=-2)
