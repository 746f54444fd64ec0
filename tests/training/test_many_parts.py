"""What `train_many` is made of: activations, chains, groups, stacks, checkpoints, progress."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.ops import REGISTRY
from netloom.ops.pointwise import Unary
from netloom.tasks.random_regression import regression
from netloom.training import Recipe, TrainingResult
from netloom.training.loop import Epoch
from netloom.training.many_activations import at_zero, elementwise
from netloom.training.many_chains import Chain, Dense, chain_of
from netloom.training.many_groups import GROUP_BYTES, grouped
from netloom.training.many_layout import Layout
from netloom.training.many_progress import ManyDisplay
from netloom.training.many_stack import Stack


def smooth_operators() -> list[str]:
    """Elementwise operators of one floating tensor, without weights or random numbers, that a chain may have."""
    x = nl.input(8)
    found = []
    for name, kind in REGISTRY.items():
        if isinstance(kind, Unary) and not kind.effect and all(p.kind in ("tensor", "attr") for p in kind.params):
            try:
                graph = nl.Graph(x, nl.linear(getattr(nl, name)(nl.linear(x, 4)), 1))
            except (TypeError, nl.NetloomError):
                continue
            if isinstance(chain_of(graph), Chain):
                found.append(name)
    return found


OPERATORS = smooth_operators()


def test_there_are_many_activations() -> None:
    assert {"relu", "gelu", "tanh", "hardswish", "softsign", "mish", "sin", "erf", "logsigmoid", "relu6"} <= set(OPERATORS)
    assert not {"log", "sqrt", "reciprocal", "dropout", "rrelu", "prelu"} & set(OPERATORS)


# -- activations ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("op", OPERATORS)
def test_activation_and_gradient_are_those_of_autograd(op: str) -> None:
    made = elementwise(op)
    z = torch.tensor([-3.0, -1.5, -0.5, -0.1, 0.0, 0.1, 0.4, 0.7, 0.9, 2.0], dtype=torch.float64, requires_grad=True)
    x = nl.input(10)
    a = nl.build(nl.Graph(x, getattr(nl, op)(x))).double()(z.unsqueeze(0))[0]
    upstream = torch.linspace(-1, 1, 10, dtype=torch.float64)
    (expected,) = torch.autograd.grad(a, z, upstream)
    out, grad = torch.empty_like(z).detach(), upstream.clone()
    with torch.no_grad():
        made.forward(z, out)
        made.backward(grad, z if made.keeps_input else out)
    torch.testing.assert_close(out, a.detach(), equal_nan=True, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grad, expected, equal_nan=True, rtol=1e-12, atol=1e-12)


def test_attributes_count() -> None:
    z, out = torch.tensor([-2.0]), torch.empty(1)
    elementwise("leaky_relu", (("negative_slope", 0.5),)).forward(z, out)
    assert out.item() == -1.0
    elementwise("celu", (("alpha", 2.0),)).forward(z, out)
    assert out.item() == pytest.approx(torch.nn.functional.celu(z, 2.0).item())


def test_what_padding_gives() -> None:
    assert at_zero((("sigmoid", ()), ("tanh", ()))) == pytest.approx((0.46211715, 0.25 * (1 - 0.46211715**2)))
    assert at_zero((("cos", ()), ("acos", ())))[1] != at_zero((("acos", ()),))[1]


# -- chains --------------------------------------------------------------------------------------------------------
def test_traced_models_are_chains() -> None:
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 5, bias=False), torch.nn.Dropout(0.0), torch.nn.GELU("tanh"),
        torch.nn.Linear(5, 2),
    )  # fmt: skip
    chain = chain_of(nl.trace(model, torch.zeros(2, 3, 4)))
    assert isinstance(chain, Chain) and chain.input_shape == (3, 4) and (chain.in_features, chain.out_features) == (12, 2)
    assert chain.layers[0] == Dense(12, 5, "1.weight", None, (("gelu", (("approximate", "tanh"),)),))


def graphs_that_are_none() -> dict[str, nl.Graph]:
    x = nl.input(6)
    flat = nl.linear(x, 4)
    shared = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU())
    shared.append(shared[0])
    return {
        "branch": nl.Graph(x, nl.relu(flat) + flat),
        "several": nl.Graph(x, (flat, nl.linear(x, 1))),
        "no linear layer": nl.Graph(x, nl.flatten(x)),
        "before the first": nl.Graph(x, nl.linear(nl.relu(x), 1)),
        "'dropout'": nl.Graph(x, nl.linear(nl.dropout(flat, 0.5), 1)),
        "'prelu'": nl.Graph(x, nl.linear(nl.prelu(flat), 1)),
        "'sqrt'": nl.Graph(x, nl.linear(nl.sqrt(flat), 1)),
        "'batch_norm'": nl.Graph(x, nl.linear(nl.batch_norm(flat), 1)),
        "one axis of several": nl.Graph((y := nl.input(3, 6)), nl.linear(y, 1)),
        "shares weights": nl.trace(shared, torch.zeros(2, 6)),
        "'softmax'": nl.Graph(x, nl.softmax(flat)),
        "'acos'": nl.Graph(x, nl.linear(nl.acos(nl.cos(flat)), 1)),
    }


@pytest.mark.parametrize("reason", graphs_that_are_none())
def test_other_graphs_say_why_not(reason: str) -> None:
    found = chain_of(graphs_that_are_none()[reason])
    assert isinstance(found, str) and reason in found


# -- groups --------------------------------------------------------------------------------------------------------
def chain(*widths: int, activation: str = "relu") -> Chain:
    pairs = enumerate(zip(widths, widths[1:]))
    layers = [Dense(a, b, f"weight{i}", f"bias{i}", ((activation, ()),)) for i, (a, b) in pairs]
    return Chain(tuple(layers), widths[:1], "float32")


def test_groups_hold_every_network_once_and_little_padding() -> None:
    chains = [chain(8, 4 + i % 13, 4 + (i // 13) % 13, 1, activation=("relu", "tanh")[i % 2]) for i in range(2000)]
    groups = grouped(chains, batch_size=64)
    assert sorted(place for group in groups for place in group) == list(range(2000))
    real = sum(layer.in_features * layer.out_features for one in chains for layer in one.layers)
    layouts = [Layout([chains[place] for place in group]) for group in groups]
    assert real < sum(layout.size_of_matrices for layout in layouts) < 1.6 * real
    assert len(groups) > 2


def test_neighbours_have_like_activations() -> None:
    chains = [chain(8, 8, 1, activation=("relu", "tanh", "gelu")[i % 3]) for i in range(30)]
    (group,) = grouped(chains, batch_size=8)
    stack = Stack([chains[place] for place in group], torch.float32)
    assert [[places.stop - places.start for places, _ in runs] for runs in stack.runs] == [[10, 10, 10]] * 2


def test_neighbours_that_would_be_short_are_gathered() -> None:
    """Three layers of three activations in any combination: the first would have a slice for every network."""
    names = ("relu", "gelu", "tanh")
    layers = [
        tuple(Dense(4, 4, f"w{i}", f"b{i}", ((names[n // 3**i % 3], ()),)) for i in range(4)) for n in range(81)
    ]  # fmt: skip
    chains = [Chain(row, (4,), "float64") for row in layers]
    torch.manual_seed(0)
    whole, alone = Stack(chains, torch.float64), [Stack([one], torch.float64) for one in chains]
    assert [{type(places) for places, _ in runs} for runs in whole.runs] == [{torch.Tensor}] * 2 + [{slice}] * 2
    whole.weights.normal_()
    x, upstream = torch.randn(81, 4, 5, dtype=torch.float64), torch.randn(81, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        answers = whole.forward(x).clone()
        assert torch.equal(whole.forward(x, learns=False), answers)
        whole.output_grad(5).copy_(upstream)
        whole.backward(x)
        for place, one in enumerate(alone):
            one.load(0, dict(whole.layout.tensors_of(place, (whole.matrices, whole.biases))))
            torch.testing.assert_close(one.forward(x[place : place + 1])[0], answers[place])
            one.output_grad(5).copy_(upstream[place : place + 1])
            one.backward(x[place : place + 1])
            for key, grad in one.layout.tensors_of(0, (one.grad_matrices, one.grad_biases)):
                mine = dict(whole.layout.tensors_of(place, (whole.grad_matrices, whole.grad_biases)))[key]
                torch.testing.assert_close(grad, mine)


def test_large_networks_stand_alone() -> None:
    side = int((GROUP_BYTES / 16) ** 0.5) + 1
    assert grouped([chain(side, side)] * 3, batch_size=1) == [[0], [1], [2]]


def test_padding_is_masked_only_where_it_would_learn() -> None:
    assert Layout([chain(4, 3, 1), chain(4, 2, 1)]).mask() is None
    mask = Layout([chain(4, 3, 1, activation="sigmoid"), chain(4, 2, 1, activation="sigmoid")]).mask()
    assert mask is not None and int(mask.sum()) == (4 * 3 + 3 + 3 + 1) + (4 * 2 + 2 + 2 + 1)


def test_padding_stays_zero() -> None:
    torch.manual_seed(0)
    chains = [chain(5, 3, 2, activation="sigmoid"), chain(4, 6, 2, activation="relu"), chain(5, 1, 2, activation="gelu")]
    stack = Stack(chains, torch.float64)
    exists = torch.zeros_like(stack.weights)
    views = stack.layout.views(exists)
    for place in range(3):
        mine = dict(stack.layout.tensors_of(place, views))
        stack.load(place, {key: torch.randn(view.shape, dtype=torch.float64) for key, view in mine.items()})
        for view in mine.values():
            view.fill_(1)
    x = torch.randn(3, 5, 7, dtype=torch.float64)
    x[1, 4] = 0  # the second network has four inputs
    with torch.no_grad():
        stack.output_grad(7).copy_(torch.randn_like(stack.forward(x)))
        stack.backward(x)
    assert bool((stack.grads[exists == 0] == 0).all()) and bool((stack.grads[exists == 1] != 0).any())


# -- checkpoints ---------------------------------------------------------------------------------------------------
class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("steps", [1, 9, 30])
def test_training_goes_on_where_it_was(steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at any step and called again, it ends with the same bits."""
    from netloom.training import saving
    from netloom.training.many_learner import StackLearner

    monkeypatch.setattr(saving, "SECONDS_BETWEEN_EPOCHS", 0.0)
    x = nl.input(8)
    graphs = [nl.Graph(x, nl.linear(nl.tanh(nl.linear(x, 3 + i % 4)), 1)) for i in range(8)]
    given = [regression(i, num_train=60) for i in range(8)]
    recipe = Recipe(epochs=6, batch_size=16, ema_decay=0.9, patience=4, learning_rate=0.05)
    whole = nl.train_many(graphs, given, recipe)
    step, taken = StackLearner.step, 0

    def counted(self: Any, batch: Any) -> float:
        nonlocal taken
        taken += 1
        if taken == steps:
            raise Killed
        return step(self, batch)

    def killed(*args: Any, **options: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(StackLearner, "step", counted)
        patch.setattr("netloom.training.many._alone", killed)
        if steps <= 24:
            with pytest.raises(Killed):
                nl.train_many(graphs, given, recipe, checkpoint=tmp_path)
    resumed = nl.train_many(graphs, given, recipe, checkpoint=tmp_path)
    again = nl.train_many(graphs, given, recipe, checkpoint=tmp_path)
    for a, b, c in zip(whole, resumed, again):
        assert (a.score, a.status, a.steps, a.best_epoch) == (b.score, b.status, b.steps, b.best_epoch)
        assert [point.valid_loss for point in a.curve] == [point.valid_loss for point in b.curve]
        for key, tensor in a.network.state_dict().items():
            assert torch.equal(tensor, b.network.state_dict()[key]) and torch.equal(tensor, c.network.state_dict()[key])
            assert torch.equal(a.best_state[key], b.best_state[key])


def test_a_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    x = nl.input(8)
    graph, task = nl.Graph(x, nl.linear(x, 1)), regression(0)
    nl.train_many([graph] * 2, task, epochs=1, checkpoint=tmp_path)
    with pytest.raises(nl.errors.TrainingError, match="another training"):
        nl.train_many([graph] * 2, task, epochs=1, seed=1, checkpoint=tmp_path)


def test_networks_that_fail_together_are_trained_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.training.many_learner import StackLearner

    def out_of_memory(self: Any, batch: Any) -> float:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(StackLearner, "step", out_of_memory)
    x = nl.input(8)
    results = nl.train_many([nl.Graph(x, nl.linear(x, 1))] * 2, regression(0), epochs=1)
    assert [(r.status, r.remarks) for r in results] == [
        ("ok", ("trained alone: the networks could not be computed together",))
    ] * 2  # fmt: skip


# -- progress ------------------------------------------------------------------------------------------------------
def test_progress_says_how_many_are_through() -> None:
    stream = io.StringIO()
    with ManyDisplay(True, 1500, stream) as display:
        for status in ("ok", "diverged", "time_limit"):
            display.on_result(TrainingResult(None, 0.0, status, 1.0, ()))
        assert "about" in display.line(part=700.0)
        display.on_epoch(100, Epoch(1, 0.0, 0.0, 0.0, 0.0), 2)
    assert stream.getvalue() == "3 of 1,500 networks trained, 1 diverged, 1 time limit, 0 s, about 0 s left\n"


def test_progress_is_shown_where_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    x = nl.input(8)
    for progress, shown in ((False, ""), (True, "2 of 2 networks trained, 0 s\n")):
        nl.train_many([nl.Graph(x, nl.linear(x, 1))] * 2, regression(0), epochs=1, progress=progress)
        assert capsys.readouterr().err == shown
