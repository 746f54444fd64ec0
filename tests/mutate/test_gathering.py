"""Values gathered during training: each against its formula on the values seen, and training itself unchanged to the bit."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netloom as nl
from benchmarks import torchvision_shim  # noqa: F401  (before transformers, which imports torchvision where it is)
from netloom.errors import EditError
from netloom.mutate import analyse, gather, shrink
from netloom.mutate.accumulating import EPSILON, Gathering
from netloom.mutate.gathering import ActivationContribution, Fisher, SeReNe, Taylor
from netloom.mutate.values import atom_scores

ALL = [ActivationContribution, Fisher, Taylor, SeReNe]


class Block(nn.Module):
    """A residual block with every trap of published ones: writes in place, one activation module for several calls, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.3)
        self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(x))
        out += x
        tokens = self.relu(out).flatten(2).transpose(1, 2)
        return self.head(self.drop(F.gelu(self.hidden(tokens)))).mean(1)


X = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
Y = torch.tensor([0, 1, 2, 1])


@cache
def traced() -> nl.Graph:
    return nl.trace(Block(), X)


def block(network: bool = False) -> tuple[nn.Module, nl.Graph]:
    torch.manual_seed(0)
    model = Block()
    return (nl.build(traced(), weights=model) if network else model), traced()


def batch(model: nn.Module, seed: int = 0) -> None:
    torch.manual_seed(seed)
    model.zero_grad()
    x = X + 0.3 * torch.randn(X.shape)
    F.cross_entropy(model(x), Y).backward()


def reference(seed: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(value, gradient) of what every layer gives, from the same model without writes in place."""
    torch.manual_seed(0)
    m = Block()
    torch.manual_seed(seed)
    x = X + 0.3 * torch.randn(X.shape)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str, value: torch.Tensor) -> torch.Tensor:
        value.retain_grad()
        seen[name] = value
        return value

    y = F.relu(keep("bn1", m.bn1(keep("conv1", m.conv1(x)))))
    z = keep("bn2", m.bn2(keep("conv2", m.conv2(y)))) + y
    tokens = F.relu(z).flatten(2).transpose(1, 2)
    F.cross_entropy(m.head(m.drop(F.gelu(keep("hidden", m.hidden(tokens))))).mean(1), Y).backward()
    return {name: (value.detach(), value.grad) for name, value in seen.items()}


def contribution(a: torch.Tensor, g: torch.Tensor, channels_first: bool) -> torch.Tensor:
    product = a * g
    means = product.mean((2, 3)) if channels_first else product.mean(1)
    return means.abs().mean(0)


def seen(gathered: Gathering) -> dict[str, torch.Tensor]:
    return {key.removeprefix("values/"): value for key, value in gathered.state.items() if key.startswith("values/")}


# -- activation × gradient -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("network", [False, True])
def test_contributions_are_those_of_the_formula(network: bool) -> None:
    model, graph = block(network)
    with ActivationContribution(model, graph=graph, decay=0.3) as gathered:
        batch(model, 5)
        first = seen(gathered)
        batch(model, 6)
    expected = reference(5)
    assert set(first) == {"bn1", "bn2", "hidden"}, "a convolution that only a norm reads is seen behind the norm"
    for name, value in first.items():
        assert torch.allclose(value, contribution(*expected[name], name != "hidden"), rtol=1e-4), name
    # The norms' running statistics are those of two batches; what they give in training is of the batch alone.
    expected = reference(6)
    for name, value in seen(gathered).items():
        new = contribution(*expected[name], name != "hidden")
        assert torch.allclose(value, 0.3 * first[name] + 0.7 * new, rtol=1e-4), name


def test_scores_sum_over_tied_layers() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph) as gathered:
        batch(model)
    found, state = atom_scores(gathered, model, graph, analyse(graph)), seen(gathered)
    assert np.allclose(found["conv1"], (state["bn1"] + state["bn2"]).numpy())
    assert np.allclose(found["hidden"], state["hidden"].numpy())


def test_running_average_of_the_reference() -> None:
    gathered = ActivationContribution(nn.Linear(2, 2), X, graph=block()[1], decay=0.3)
    gathered._average("fc", torch.arange(1.0, 5), gathered.decay)
    gathered._average("fc", torch.arange(5.0, 9), gathered.decay)
    assert torch.allclose(seen(gathered)["fc"], torch.tensor([3.8, 4.8, 5.8, 6.8]))


def test_a_batch_without_numbers_is_forgotten() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph) as gathered:
        with torch.no_grad():
            kept = model.head.weight.clone()
            model.head.weight.fill_(float("nan"))
        batch(model)
        assert seen(gathered)["hidden"].isnan().all()
        with torch.no_grad():
            model.head.weight.copy_(kept)
        batch(model)
    assert seen(gathered)["hidden"].isfinite().all()


def test_every_third_batch_is_looked_at() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph, every=3) as gathered:
        for seed in range(7):
            batch(model, seed)
    assert gathered.state["batches/hidden"] == 3


def test_passes_without_gradients_do_not_count() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph, every=2) as gathered:
        batch(model)
        with torch.no_grad():
            model(X)
        batch(model)
        batch(model)
    assert gathered.state["batches/hidden"] == 2


def test_values_that_are_overwritten_are_copied_from_the_second_batch_on_too() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph, decay=0.0) as gathered:
        for seed in (1, 2, 3):
            batch(model, seed)
            expected = contribution(*reference(seed)["bn2"], True)
            assert torch.allclose(seen(gathered)["bn2"], expected, rtol=1e-4)
    assert gathered._overwritten == {"bn2"}


def test_an_ordinary_batch_of_half_precision() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph) as gathered:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(X), Y)
        loss.backward()
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in seen(gathered).values())


def test_what_was_gathered_may_be_read_at_any_time() -> None:
    (model, graph), (other, _) = block(), block()
    with ActivationContribution(model, graph=graph) as read, ActivationContribution(other, graph=graph) as unread:
        for seed in range(3):
            batch(model, seed)
            batch(other, seed)
            with torch.inference_mode():
                assert read.state["batches/hidden"] == seed + 1
    assert all(torch.equal(read.state[key], value) for key, value in unread.state.items())


def test_two_backward_passes_through_one_forward_pass_are_two_batches() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph, decay=0.3) as gathered:
        loss = F.cross_entropy(model(X), Y)
        loss.backward(retain_graph=True)
        first = seen(gathered)["hidden"]
        (3 * loss).backward()
    assert gathered.state["batches/hidden"] == 2
    assert torch.allclose(seen(gathered)["hidden"], 0.3 * first + 0.7 * 3 * first, rtol=1e-4)


# -- training stays as it is -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_training_is_the_same_to_the_bit(kind: Callable[..., Any], network: bool) -> None:
    (plain, graph), (watched, _) = block(network), block(network)

    def trained(model: nn.Module) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for seed in range(3):
            batch(model, seed)
            optimizer.step()
        return {**model.state_dict(), **{k: p.grad for k, p in model.named_parameters()}}, torch.get_rng_state()

    expected, rng = trained(plain)
    with kind(watched, graph=graph) as gathered:
        found, other = trained(watched)
    assert len(seen(gathered)) >= 3
    assert torch.equal(rng, other)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_nothing_is_left_behind(kind: Callable[..., Any], network: bool) -> None:
    model, graph = block(network)
    gathered = kind(model, graph=graph)
    with pytest.raises(ZeroDivisionError), gathered:
        batch(model)
        raise ZeroDivisionError
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not any(p._backward_hooks for p in model.parameters())
    assert "forward" not in model.__dict__
    before = gathered.state
    batch(model, 1)
    assert all(torch.equal(gathered.state[key], value) for key, value in before.items())
    with gathered:
        batch(model, 2)
    assert gathered.state["batches/" + next(iter(seen(gathered)))] == 2


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_copies_made_while_gathering_are_plain_models(kind: Callable[..., Any], network: bool) -> None:
    model, graph = block(network)
    with kind(model, graph=graph) as gathered:
        batch(model)
        before = gathered.state
        copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
        for each in copies:
            batch(each)
            with torch.no_grad():
                each.head.weight.fill_(0)
                assert not torch.equal(model.eval()(X), each.eval()(X)), "a copy runs on its own weights"
            model.train()
    assert all(torch.equal(gathered.state[key], value) for key, value in before.items())


class Kept:
    """A tensor that autograd keeps for the backward pass: it lives as long as the nodes of that pass."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_a_forward_pass_without_a_backward_pass_leaks_nothing(kind: Callable[..., Any], network: bool) -> None:
    model, graph = block(network)
    with kind(model, graph=graph):
        batch(model)
        kept: list[Any] = []

        def pack(tensor: torch.Tensor) -> Kept:
            kept.append(weakref.ref(made := Kept(tensor.detach())))
            return made

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
            output = model(X)
        assert all(each() is not None for each in kept)
        del output
        model(X)
        gc.collect()
        assert len(kept) > 10 and all(each() is None for each in kept)


# -- how models are used ---------------------------------------------------------------------------------------------------
def test_a_model_is_traced_with_its_first_batch() -> None:
    model, graph = block()
    with ActivationContribution(model) as gathered:
        torch.manual_seed(0)
        F.cross_entropy(model(x=X), Y).backward()
    other, _ = block()
    with ActivationContribution(other, X) as expected:
        torch.manual_seed(0)
        F.cross_entropy(other(X), Y).backward()
    assert set(seen(gathered)) == set(seen(expected)) == {"bn1", "bn2", "hidden"}
    assert all(torch.equal(seen(gathered)[name], value) for name, value in seen(expected).items())


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(torch.tanh(self.first(x)))
        return self.head(torch.tanh(self.shared(torch.tanh(x))))


@pytest.mark.parametrize("network", [False, True])
def test_a_module_that_is_called_twice_is_seen_twice(network: bool) -> None:
    torch.manual_seed(0)
    model: Any = Twice()
    x = torch.randn(3, 4)
    graph = nl.trace(model, x)
    if network:
        model = nl.build(graph, weights=model)
    with ActivationContribution(model, graph=graph) as gathered:
        for _ in range(2):
            model(x).square().sum().backward()
    assert set(seen(gathered)) == {"first", "shared", "shared@2"}
    second = model.head.weight.new_zeros(6)
    torch.manual_seed(0)
    plain = Twice()
    a = plain.shared(torch.tanh(plain.shared(torch.tanh(plain.first(x)))))
    a.retain_grad()
    plain.head(torch.tanh(a)).square().sum().backward()
    second = (a * a.grad).abs().mean(0)
    assert torch.allclose(seen(gathered)["shared@2"], second, rtol=1e-4)


@pytest.mark.parametrize("kind", [ActivationContribution, Taylor])
def test_recomputed_blocks(kind: Callable[..., Any]) -> None:
    from torch.utils.checkpoint import checkpoint

    class Saving(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return checkpoint(super().forward, x, use_reentrant=False)

    (model, graph), saving = block(), Saving()
    saving.load_state_dict(model.state_dict())
    found = []
    for each in (model, saving):
        with kind(each, graph=graph) as gathered:
            batch(each)
        found.append(seen(gathered))
    assert all(torch.allclose(found[0][name], found[1][name], rtol=1e-4) for name in found[0])


class Attention(nn.Module):
    def __init__(self, batch_first: bool = True, apart: bool = False, twice: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        sizes = {"kdim": 8, "vdim": 6} if apart else {}
        self.attend, self.head = nn.MultiheadAttention(8, 2, batch_first=batch_first, **sizes), nn.Linear(8, 2)
        self.apart, self.twice = apart, twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(1 + self.twice):
            x = torch.relu(self.attend(x, x, x[..., :6] if self.apart else x, need_weights=False)[0])
        return self.head(x)


@pytest.mark.parametrize("kind", [ActivationContribution, Fisher, SeReNe])
@pytest.mark.parametrize("options", [{}, {"batch_first": False}, {"apart": True}, {"twice": True}], ids=str)
def test_heads_of_attention_are_seen(kind: Callable[..., Any], options: dict[str, bool]) -> None:
    """Inside a module of the user's, where no module is called for them, as inside a network."""
    model, x = Attention(**options), torch.randn(3, 5, 8)
    graph = nl.trace(model, x)
    net = nl.build(graph, weights=model)
    scores = []
    for each in (model, net):
        with kind(each, graph=graph) as gathered:
            each(x).square().sum().backward()
        scores.append(atom_scores(gathered, each, graph, analyse(graph)))
    inner = {atom for atom in scores[0] if not atom.startswith("attend.out_proj")}
    assert len(inner) >= 2
    for atom in inner:
        assert np.allclose(scores[0][atom], scores[1][atom], rtol=1e-4), atom


def test_the_heads_of_a_module_that_fails() -> None:
    """What looks inside a module is gone when its forward raises."""
    model, x = Attention(), torch.randn(3, 5, 8)
    with ActivationContribution(model, graph=nl.trace(model, x)) as gathered:
        with pytest.raises((AssertionError, RuntimeError)):
            model(torch.randn(3, 5, 7))
        assert torch.overrides._len_torch_function_stack() == 0
        model(x).square().sum().backward()
    assert "attend" in seen(gathered)


def test_calls_with_parameters_of_the_model_itself() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(2, 6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(torch.relu(nn.functional.linear(x, self.first)), weight=self.second)

    model, x = Own(), torch.randn(5, 4)
    for options in ({"graph": nl.trace(model, x)}, {}):
        with ActivationContribution(model, **options) as gathered:
            for _ in range(2):  # the first call of a model without a graph is the one in which it is traced
                model(x).square().mean().backward()
        a = nn.functional.linear(x, model.first).detach().requires_grad_()
        nn.functional.linear(torch.relu(a), model.second).square().mean().backward()
        (values,) = seen(gathered).values()
        assert torch.allclose(values, (a * a.grad).abs().mean(0), rtol=1e-4)


def test_a_network_gives_its_own_containers_while_it_is_watched() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=11, use_cache=False,
    )  # fmt: skip
    model = transformers.LlamaModel(config)
    x = torch.randint(0, 11, (2, 5))
    graph = nl.trace(model, x)
    for each in (model, nl.build(graph, weights=model)):
        with ActivationContribution(each, graph=graph) as gathered:
            result = each(x)
            result.last_hidden_state.square().mean().backward()
        assert type(result) is type(model(x))
        assert {"layers.0.mlp.up_proj", "layers.0.self_attn.q_proj", "layers.0.self_attn.k_proj"} <= set(seen(gathered))


def test_two_gatherings_at_once_do_not_see_each_other() -> None:
    for network in (False, True):
        (model, graph), (alone, _) = block(network), block(network)
        with SeReNe(model, graph=graph), ActivationContribution(model, graph=graph) as gathered, Taylor(model, graph=graph):
            batch(model)
        with ActivationContribution(alone, graph=graph) as expected:
            batch(alone)
        assert all(torch.equal(seen(gathered)[name], value) for name, value in seen(expected).items())


# -- the other values ------------------------------------------------------------------------------------------------------
def test_fisher_is_the_mean_square_of_each_samples_part() -> None:
    model, graph = block()
    with Fisher(model, graph=graph) as gathered:
        batch(model, 3)
        batch(model, 4)
    expected = [(a * g * len(X)).sum((2, 3)).square().mean(0) for a, g in (reference(seed)["bn1"] for seed in (3, 4))]
    assert torch.allclose(seen(gathered)["bn1"], sum(expected) / 2, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape, axes", [((6, 4, 3, 3), [0]), ((6, 4, 3, 3), [0, 1]), ((6, 4, 3), [1]), ((6,), [0])], ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_sums_of_products(dtype: torch.dtype, shape: tuple[int, ...], axes: list[int], layout: torch.memory_format) -> None:
    from netloom.mutate.gathering import _sums_of_products

    a, b = torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
    if len(shape) == 4:
        b = b.contiguous(memory_format=layout)
    expected = [(a * b).float().sum([i for i in range(len(shape)) if i != axis]) if len(shape) > 1 else a * b for axis in axes]
    for found, wanted in zip(_sums_of_products(a, b, axes), expected, strict=True):
        torch.testing.assert_close(found.float(), wanted.float(), rtol=1e-4, atol=1e-5)


def test_taylor_is_activation_times_gradient_summed_over_the_batch() -> None:
    model, graph = block()
    with Taylor(model, graph=graph) as gathered:
        batch(model, 3)
        batch(model, 4)
    found = atom_scores(gathered, model, graph, analyse(graph))
    values = [reference(seed) for seed in (3, 4)]
    expected = sum((v["hidden"][0] * v["hidden"][1]).sum((0, 1)).abs() for v in values) / 2
    assert np.allclose(found["hidden"], expected.numpy(), rtol=1e-4)
    # Convolutions before a norm in training: their scale does not matter, their part is 0.
    expected = sum((v[n][0] * v[n][1]).sum((0, 2, 3)).abs() for v in values for n in ("bn1", "bn2")) / 2
    assert np.allclose(found["conv1"], expected.numpy(), rtol=1e-4, atol=1e-6)


def test_taylor_of_one_batch_is_the_named_value_of_its_gradients() -> None:
    model, graph = block()
    with Taylor(model, graph=graph) as gathered:
        batch(model, 3)
    found, named = (atom_scores(value, model, graph, analyse(graph)) for value in (gathered, "taylor"))
    assert all(np.allclose(found[atom], named[atom], rtol=1e-5) for atom in found)


def test_taylor_adds_up_two_passes_before_one_backward_pass() -> None:
    model, graph = block()
    model.eval()
    with Taylor(model, graph=graph) as gathered:
        (model(X).square().mean() + model(2 * X).square().mean()).backward()
    assert gathered.state["batches/hidden: hidden"] == 1
    named = atom_scores("taylor", model, graph, analyse(graph))
    assert np.allclose(atom_scores(gathered, model, graph, analyse(graph))["hidden"], named["hidden"], rtol=1e-5)


def mlp() -> tuple[nl.Network, nl.Graph]:
    x = nl.input(3)
    graph = nl.Graph(x, nl.linear(nl.tanh(nl.linear(x, 6, name="hidden")), 5, name="head"))
    return nl.build(graph, seed=0), graph


def test_sensitivity_is_the_mean_of_the_jacobian() -> None:
    net, graph = mlp()
    x = torch.randn(7, 3)
    with SeReNe(net) as gathered:
        net(x)
    jacobian = net.head.weight[None] * (1 - torch.tanh(net.hidden.weight @ x.T + net.hidden.bias[:, None]).T.square())[:, None]
    assert torch.allclose(seen(gathered)["hidden"], jacobian.abs().mean((0, 1)), rtol=1e-5)


def test_sensitivity_by_some_outputs_is_right_on_average() -> None:
    net, _ = mlp()
    x = torch.randn(7, 3)
    with SeReNe(net) as whole, SeReNe(net, outputs=2) as part:
        for _ in range(300):
            net(x)
    assert not torch.allclose(seen(part)["hidden"], seen(whole)["hidden"], rtol=1e-6)
    assert torch.allclose(seen(part)["hidden"], seen(whole)["hidden"], rtol=0.1)


def test_sensitivity_of_values_that_are_overwritten() -> None:
    """To what the norm gives, before the rectifier and the sum that write over it."""
    found = []
    for network in (False, True):
        model, graph = block(network)
        with SeReNe(model, graph=graph) as gathered:
            batch(model)
        found.append(seen(gathered))
    assert set(found[0]) == {"bn1", "bn2", "hidden"}
    assert all(torch.allclose(found[0][name], found[1][name], rtol=1e-4) for name in found[0])


# -- as a value ------------------------------------------------------------------------------------------------------------
def test_the_state_is_saved_and_read_back(tmp_path: Any) -> None:
    from safetensors.torch import load_file, save_file

    model, graph = block()
    with Fisher(model, graph=graph) as gathered:
        batch(model)
    save_file(gathered.state, tmp_path / "fisher.safetensors")
    restored = Fisher(None)
    restored.load_state(load_file(tmp_path / "fisher.safetensors"))
    dims = analyse(graph)
    found, expected = (atom_scores(each, model, graph, dims) for each in (restored, gathered))
    assert all(np.array_equal(found[atom], expected[atom]) for atom in expected)
    with pytest.raises(EditError, match="no state of a Fisher"):
        restored.load_state({"hidden": torch.zeros(3)})


@pytest.mark.parametrize("kind", ALL)
def test_copies_of_a_gathering_are_values_without_a_model(kind: Callable[..., Any]) -> None:
    model, graph = block()
    with kind(model, graph=graph) as gathered:
        batch(model)
        copied = pickle.loads(pickle.dumps(copy.deepcopy(gathered)))
    found, expected = (atom_scores(each, model, graph, analyse(graph)) for each in (copied, gathered))
    assert all(np.array_equal(found[atom], expected[atom]) for atom in expected)
    with pytest.raises(EditError, match="is a copy and has no model"), copied:
        pass


def test_what_was_never_seen() -> None:
    """An atom that no layer showed: by magnitude, on the level of the others. Part of an atom: next to nothing."""
    model, graph = block()
    dims = analyse(graph)
    gathered = ActivationContribution(model, graph=graph)
    gathered.load_state({"values/hidden": torch.tensor([4.0, 3, 2, 1, 0]), "batches/hidden": torch.tensor(1)})
    found, magnitude = (atom_scores(value, model, graph, dims) for value in (gathered, "magnitude"))
    assert np.array_equal(np.argsort(found["conv1"]), np.argsort(magnitude["conv1"]))
    assert found["conv1"].mean() == pytest.approx(2)
    x = nl.input(3, 4, 4)
    a, b = nl.conv2d(x, 3, kernel=1, name="a"), nl.conv2d(x, 5, kernel=1, name="b")
    c, d = nl.conv2d(x, 6, kernel=1, name="c"), nl.conv2d(x, 2, kernel=1, name="d")
    sums = nl.Graph(x, nl.conv2d(nl.cat([a, b], 1) + nl.cat([c, d], 1), 2, kernel=1))
    gathered.load_state({"values/a": torch.ones(3), "batches/a": torch.tensor(1)})
    assert atom_scores(gathered, nl.build(sums, seed=0), sums, analyse(sums))["a"].tolist() == [1, 1, 1]
    assert EPSILON == pytest.approx(1.19e-7, rel=1e-2)


@pytest.mark.parametrize("kind", ALL)
def test_without_training_there_is_nothing_to_score(kind: Callable[..., Any]) -> None:
    model, graph = block()
    with kind(model, graph=graph) as gathered, torch.no_grad():
        model(X)
    with pytest.raises(EditError, match=f"this {kind.__name__} has gathered nothing; train a batch"):
        atom_scores(gathered, model, graph, analyse(graph))


def test_scores_of_another_model_are_refused() -> None:
    model, graph = block()
    with ActivationContribution(model, graph=graph) as gathered:
        batch(model)
    net, other = mlp()
    gathered._values["hidden"] = gathered._values["hidden"][:4]
    with pytest.raises(EditError, match="'hidden' had 4 neurons when values were gathered and has 6 now"):
        atom_scores(gathered, net, other, analyse(other))
    del gathered._values["hidden"]
    with pytest.raises(EditError, match="the graph has none of them"):
        atom_scores(gathered, net, other, analyse(other))


@pytest.mark.parametrize("make, says", [
    (lambda m: ActivationContribution(m, every=0), "every=0"), (lambda m: ActivationContribution(m, decay=1.0), "decay=1.0"),
    (lambda m: SeReNe(m, outputs=0), "outputs=0"), (lambda m: Fisher(3), "a int cannot be watched"),
])  # fmt: skip
def test_bad_options(make: Callable[[nn.Module], Any], says: str) -> None:
    with pytest.raises(EditError, match=says):
        make(Block())


def test_a_gathering_is_entered_once() -> None:
    model, graph = block()
    gathered = Taylor(model, graph=graph)
    with gathered, pytest.raises(EditError, match="gathering already"):
        gathered.__enter__()


# -- the example of the reference ------------------------------------------------------------------------------------------
XOR_X, XOR_Y = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([[0.0], [1], [1], [0]])


def xor_losses(seed: int) -> tuple[float, float, float, float]:
    """Loss of a trained network, and without half of its hidden neurons: the least valuable, random ones, the most valuable."""
    x = nl.input(2)
    graph = nl.Graph(x, nl.sigmoid(nl.linear(nl.relu(nl.linear(x, 32, name="hidden")), 1)))
    net = nl.build(graph, seed=seed)
    optimizer = torch.optim.Adam(net.parameters(), 0.1)
    with ActivationContribution(net) as gathered:
        for _ in range(50):
            optimizer.zero_grad()
            F.mse_loss(net(XOR_X), XOR_Y).backward()
            optimizer.step()
    dims = analyse(graph)
    order = np.argsort(atom_scores(gathered, net, graph, dims)["hidden"], kind="stable")
    random = np.random.default_rng(seed).permutation(32)

    def loss(kept: Any) -> float:
        smaller, left = shrink(graph, {"hidden": kept.tolist()}, dims)
        return F.mse_loss(nl.build(smaller, weights=gather(net.state_dict(), left))(XOR_X), XOR_Y).item()

    return loss(np.arange(32)), loss(order[16:]), loss(random[:16]), loss(order[:16])


def test_pruning_xor_by_what_neurons_contribute() -> None:
    losses = np.array([xor_losses(seed) for seed in range(10)])
    whole, least, random, most = np.median(losses, axis=0)
    assert whole < 0.001
    assert most > random > least >= whole - 1e-9
    assert least == pytest.approx(whole, abs=1e-5)
