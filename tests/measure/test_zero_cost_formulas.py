"""Proxies against the published formulas, worked out slowly on the user's own module: hooks, loops, finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

import netloom as nl

SAMPLES = 12


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, stride=2, groups=2), nn.BatchNorm2d(6),
        nn.ReLU(), nn.Conv2d(6, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4),
    ).double()  # fmt: skip


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor]:
    x = torch.randn(SAMPLES, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(SAMPLES) % 4


@pytest.fixture(scope="module")
def found(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    return nl.measure.proxies(nl.build(nl.trace(model, batch[0]), weights=model), batch)


def layers(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def loss_gradients(model: nn.Module, batch: tuple[Tensor, Tensor]) -> list[Tensor]:
    model.train()
    model.zero_grad()
    cross_entropy(model(batch[0]), batch[1]).backward()
    return [layer.weight.grad.clone() for layer in layers(model)]


def test_order_and_types(found: dict[str, float]) -> None:
    names = ["synflow", "snip", "grad_norm", "jacov", "nwot", "zen", "l2_norm", "fisher", "grasp", "plain", "epe"]
    assert list(found) == names == list(nl.measure.PROXIES)
    assert all(type(value) is float and math.isfinite(value) for value in found.values())


def test_weights_and_gradients(model: nn.Module, batch: tuple[Tensor, Tensor], found: dict[str, float]) -> None:
    weights = [layer.weight.detach().numpy() for layer in layers(model)]
    gradients = [gradient.numpy() for gradient in loss_gradients(model, batch)]
    pairs = [(w, g) for weight, gradient in zip(weights, gradients) for w, g in zip(weight.ravel(), gradient.ravel())]
    assert found["l2_norm"] == pytest.approx(sum(math.sqrt(sum(w * w for w in weight.ravel())) for weight in weights))
    assert found["grad_norm"] == pytest.approx(sum(math.sqrt(sum(g * g for g in gradient.ravel())) for gradient in gradients))
    assert found["snip"] == pytest.approx(sum(abs(w * g) for w, g in pairs))
    assert found["plain"] == pytest.approx(sum(w * g for w, g in pairs))


def test_grasp_by_differences_of_gradients(model: nn.Module, batch: tuple[Tensor, Tensor], found: dict[str, float]) -> None:
    """H g is how the gradient changes along g."""
    start = [layer.weight.detach().clone() for layer in layers(model)]
    along = loss_gradients(model, batch)
    step, ends = 1e-5, []
    for sign in (1, -1):
        for layer, weight, direction in zip(layers(model), start, along):
            layer.weight.data = weight + sign * step * direction
        ends.append(loss_gradients(model, batch))
    for layer, weight in zip(layers(model), start):
        layer.weight.data = weight
    products = [(a - b) / (2 * step) for a, b in zip(*ends)]
    assert found["grasp"] == pytest.approx(-sum(float((w * hg).sum()) for w, hg in zip(start, products)), rel=1e-4)


def test_fisher_channel_by_channel(model: nn.Module, batch: tuple[Tensor, Tensor], found: dict[str, float]) -> None:
    kept: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda module, args, out: (out.retain_grad(), kept.append(out))[1])
             for layer in layers(model)]  # fmt: skip
    loss_gradients(model, batch)
    for hook in hooks:
        hook.remove()
    total = 0.0
    for activation in kept:
        products = (activation.detach() * activation.grad).numpy()
        for channel in range(activation.shape[1]):
            total += sum(products[n, channel].sum() ** 2 for n in range(SAMPLES)) / (2 * SAMPLES)
    assert len(kept) == 4 and found["fisher"] == pytest.approx(total)


def jacobian_rows(model: nn.Module, batch: tuple[Tensor, Tensor]) -> np.ndarray:
    x = batch[0].clone().requires_grad_()
    outputs = model.train()(x)
    return sum(torch.autograd.grad(output.sum(), x, retain_graph=True)[0] for output in outputs.T).flatten(1).numpy()


def test_jacov(model: nn.Module, batch: tuple[Tensor, Tensor], found: dict[str, float]) -> None:
    eigenvalues = np.linalg.eigvals(np.corrcoef(jacobian_rows(model, batch))).real
    assert found["jacov"] == pytest.approx(-sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in eigenvalues))


def test_epe(model: nn.Module, batch: tuple[Tensor, Tensor], found: dict[str, float]) -> None:
    rows, total = jacobian_rows(model, batch), 0.0
    for label in range(4):
        correlations = np.corrcoef(rows[batch[1].numpy() == label])
        total += abs(sum(math.log(abs(entry) + 1e-5) for entry in correlations.ravel()))
    assert found["epe"] == pytest.approx(total)


def test_epe_of_many_classes_compares_them(batch: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(243, 16), nn.ReLU(), nn.Linear(16, 101)).double()
    labels = torch.tensor([100] * 5 + [7] * 4 + [0] * 3)
    rows = jacobian_rows(model, batch)
    scores = [
        np.log(np.abs(np.corrcoef(rows[labels.numpy() == label])) + 1e-5).sum() / int((labels == label).sum())
        for label in (0, 7, 100)
    ]
    value = nl.measure.proxies(model, (batch[0], labels), ["epe"])["epe"]
    assert value == pytest.approx(sum(abs(a - b) for a in scores for b in scores) / 3)


def test_nwot_neuron_by_neuron(model: nn.Module, batch: tuple[Tensor, Tensor], found: dict[str, float]) -> None:
    codes: list[np.ndarray] = []
    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    hooks = [relu.register_forward_hook(lambda module, args, out: codes.append((args[0] > 0).flatten(1).numpy()))
             for relu in relus]  # fmt: skip
    model.train()(batch[0])
    for hook in hooks:
        hook.remove()
    code = np.concatenate(codes, 1)
    kernel = np.array([[sum(a == b) for b in code] for a in code], float)
    assert found["nwot"] == pytest.approx(math.log(abs(np.linalg.det(kernel))), rel=1e-9)


def test_zen(model: nn.Module, batch: tuple[Tensor, Tensor], found: dict[str, float]) -> None:
    """The same draws by a generator of the same seed: weights in order, inputs, perturbation."""
    import copy

    model, draws = copy.deepcopy(model).train(), torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data.normal_(generator=draws)
            module.bias.data.zero_()
    x = torch.randn(batch[0].shape, dtype=torch.float64, generator=draws)
    moved = x + 0.01 * torch.randn(x.shape, dtype=torch.float64, generator=draws)
    total, features = 0.0, []
    for i, value in enumerate((x, moved)):
        for module in model[:8]:
            if isinstance(module, nn.BatchNorm2d) and i == 0:
                total += 0.5 * math.log(np.mean([float(value[:, c].var(correction=0)) for c in range(value.shape[1])]))
            with torch.no_grad():
                value = module(value)
        features.append(value)
    change = np.mean([float((features[0][n] - features[1][n]).square().sum().sqrt()) for n in range(SAMPLES)])
    assert found["zen"] == pytest.approx(total + math.log(change))


def test_zen_of_a_random_matrix_is_known() -> None:
    """‖α W ε‖ is about α √(rows · columns)."""
    x = nl.input(300)
    graph = nl.Graph(x, nl.linear(nl.linear(x, 400), 3))
    value = nl.measure.proxies(graph, torch.zeros(64, 300), ["zen"])["zen"]
    assert value == pytest.approx(math.log(0.01 * math.sqrt(300 * 400)), abs=0.02)


@pytest.mark.parametrize("norm", [nl.op.batch_norm, nl.op.layer_norm])
def test_zen_makes_up_for_what_norms_divide_by(norm: object) -> None:
    def made(*between: object) -> nl.Graph:
        value = x = nl.input(200)
        value = nl.linear(value, 300)
        for layer in between:
            value = layer()(value)  # type: ignore[operator]
        return nl.Graph(x, nl.linear(nl.linear(value, 100), 3))

    plain, normalised = (nl.measure.proxies(graph, torch.zeros(64, 200), "zen")["zen"] for graph in (made(), made(norm)))
    assert normalised == pytest.approx(plain, abs=0.1)


def test_synflow_of_a_chain_is_layers_times_flow() -> None:
    """Every layer of a chain of rectified layers without bias carries the whole flow R = 1ᵀ |W₃| |W₂| |W₁| 1."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 9, bias=False), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 7, bias=False), nn.LayerNorm(7), nn.Dropout(),
        nn.Linear(7, 3, bias=False),
    )  # fmt: skip
    first, second, third = (module.weight.detach().double().abs() for module in model if isinstance(module, nn.Linear))
    flow = float((third @ second @ first).sum())
    value = nl.measure.proxies(model, torch.randn(4, 6), ["synflow"])["synflow"]
    assert value == pytest.approx(3 * flow, rel=1e-12)


def test_synflow_of_a_deep_network_is_still_a_number() -> None:
    value = x = nl.input(64)
    for _ in range(80):
        value = nl.relu(nl.batch_norm(nl.linear(value, 64)))
    found = nl.measure.proxies(nl.Graph(x, nl.linear(value, 2)), torch.zeros(1, 64), ["synflow"])["synflow"]
    assert math.isfinite(found) and found > 1e38


def test_regression_takes_squared_errors() -> None:
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2))
    x, y = torch.randn(10, 5), torch.randn(10, 2)
    model.zero_grad()
    mse_loss(model(x), y).backward()
    value = nl.measure.proxies(model, (x, y), ["snip"])["snip"]
    expected = sum(float((p * p.grad).detach().abs().sum()) for p in model.parameters() if p.ndim > 1)
    assert value == pytest.approx(expected, rel=1e-5)
    assert math.isnan(nl.measure.proxies(model, (x, y))["epe"])
