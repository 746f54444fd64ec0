"""The optimisers, held to torch's on a network with every kind of weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import Parameter
from torch.nn.functional import conv2d, cross_entropy

from netloom.errors import TrainingError
from netloom.training import Recipe
from netloom.training.muon import newton_schulz, orthogonal
from netloom.training.optimizers import Optimizer


def weights(channels_last: bool = False, dtype: torch.dtype = torch.float32) -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 3, 3, 3), (8,), (16, 8), (16,), (10, 16)]
    made = [Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]
    if channels_last:
        made[0].data = made[0].data.to(memory_format=torch.channels_last)
    return made


def loss(w: list[Parameter], seed: int) -> torch.Tensor:
    x = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(seed)).to(w[0].dtype)
    hidden = conv2d(x, w[0], w[1]).relu().mean((2, 3))
    return cross_entropy((hidden @ w[2].t() + w[3]) @ w[4].t(), torch.tensor([1, 2, 3, 4]))


def named(made: list[Parameter]) -> list[tuple[str, Parameter]]:
    return [(str(i), weight) for i, weight in enumerate(made)]


PAIRS: dict[str, tuple[Callable[[list[Parameter]], Any], dict[str, Any]]] = {
    "adamw": (
        lambda w: torch.optim.AdamW(w, lr=1e-2, weight_decay=0.1, betas=(0.8, 0.99)),
        {"optimizer": "adamw", "weight_decay": 0.1, "betas": (0.8, 0.99)},
    ),
    "sgd": (lambda w: torch.optim.SGD(w, lr=1e-2), {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}),
    "momentum": (
        lambda w: torch.optim.SGD(w, lr=1e-2, momentum=0.9, weight_decay=0.1),
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    ),
    "nesterov": (
        lambda w: torch.optim.SGD(w, lr=1e-2, momentum=0.9, weight_decay=0.1, nesterov=True),
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_updates_are_torchs(kind: str, channels_last: bool, dtype: torch.dtype) -> None:
    theirs, mine = weights(channels_last, dtype), weights(channels_last, dtype)
    make, fields = PAIRS[kind]
    peer, own = make(theirs), Optimizer(named(mine), Recipe(**fields))
    for step in range(20):
        peer.zero_grad()
        loss(theirs, step).backward()
        torch.nn.utils.clip_grad_norm_(theirs, 0.5)
        peer.step()
        own.zero_grad()
        loss(mine, step).backward()
        own.clip(0.5)
        own.step(1e-2)
    rtol, atol = (1e-5, 1e-6) if dtype == torch.float32 else (1e-9, 1e-9)
    for a, b in zip(theirs, mine):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


def test_decay_can_leave_out_biases() -> None:
    mine = weights()
    before = [w.detach().clone() for w in mine]
    own = Optimizer(named(mine), Recipe(optimizer="sgd", weight_decay=0.5, decay_biases=False))
    for weight in mine:
        weight.grad = torch.zeros_like(weight)
    own.step(0.1)
    shrunk = [not torch.equal(a, b) for a, b in zip(before, mine)]
    assert shrunk == [True, False, True, False, True]


def test_weights_without_gradients_stay_and_are_no_trouble() -> None:
    mine = weights()
    mine[1].requires_grad_(False)
    before = [w.detach().clone() for w in mine]
    own = Optimizer(named(mine), Recipe())
    loss(mine, 0).backward()
    mine[3].grad = None
    own.clip(1.0)
    own.step(0.1)
    assert [torch.equal(a, b) for a, b in zip(before, mine)] == [False, True, False, True, False]
    own.zero_grad()
    own.clip(1.0)
    own.step(0.1)
    with pytest.raises(TrainingError, match="nothing to train"):
        Optimizer([], Recipe())


def test_complex_weights_are_trained() -> None:
    theirs, mine = (Parameter(torch.tensor([1 + 2j, 3 - 1j])) for _ in range(2))
    peer, own = torch.optim.AdamW([theirs], lr=0.1), Optimizer([("w", mine)], Recipe(weight_decay=0.01))
    for _ in range(5):
        for weight, optimizer in ((theirs, peer), (mine, own)):
            weight.grad = None
            (weight * (1 - 1j)).abs().square().sum().backward()
            optimizer.step() if optimizer is peer else optimizer.step(0.1)  # type: ignore[call-arg]
    torch.testing.assert_close(theirs, mine)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_nothing_is_learned_from_a_step_that_is_skipped(optimizer: str) -> None:
    mine = weights()
    own = Optimizer(named(mine), Recipe(optimizer=optimizer))
    loss(mine, 0).backward()
    own.step(0.1)
    before = [w.detach().clone() for w in mine]
    mine[0].grad.fill_(float("nan"))  # type: ignore[union-attr]
    own.step(0.1, skip=torch.tensor(1.0))
    assert all(torch.equal(a, b) for a, b in zip(before, mine))
    own.step(0.1, skip=torch.tensor(0.0))
    assert not torch.equal(before[2], mine[2])


def test_state_goes_on_where_it_was() -> None:
    mine = weights(channels_last=True)
    own = Optimizer(named(mine), Recipe())
    for step in range(3):
        own.zero_grad()
        loss(mine, step).backward()
        own.step(0.01)
    state = {key: value.contiguous().clone() for key, value in own.state_dict().items()}
    other = weights(channels_last=True)
    for a, b in zip(other, mine):
        a.data.copy_(b.data)
    again = Optimizer(named(other), Recipe())
    again.load_state_dict(state)
    for made, optimizer in ((mine, own), (other, again)):
        optimizer.zero_grad()
        loss(made, 9).backward()
        optimizer.step(0.01)
    assert all(torch.equal(a, b) for a, b in zip(mine, other))
    with pytest.raises(TrainingError, match="of other weights"):
        again.load_state_dict({})


def test_clipping_passes_on_what_is_no_number() -> None:
    weight = Parameter(torch.zeros(2))
    own = Optimizer([("w", weight)], Recipe())
    weight.grad = torch.tensor([float("nan"), 1.0])
    own.clip(1.0)
    assert weight.grad.isnan().all()


# -- Muon ----------------------------------------------------------------------------------------------------------
def test_muon_makes_hidden_weights_orthogonal_and_leaves_the_rest_to_adamw() -> None:
    own = Optimizer(named(weights()), Recipe(optimizer="muon"))
    assert {group.rule: group.names for group in own.groups} == {"muon": ("0", "2"), "adamw": ("1", "3", "4")}
    move, wide = orthogonal([torch.randn(6, 40), torch.randn(5, 3, 3, 3)])
    for update, sizes in ((move, (6, 40)), (wide.flatten(1), (5, 27))):
        values = torch.linalg.svdvals(update / (0.2 * max(sizes) ** 0.5))
        assert values.min() > 0.6 and values.max() < 1.3
    assert wide.shape == (5, 3, 3, 3)
    assert newton_schulz(torch.zeros(1, 3, 4)).eq(0).all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon to compare with")
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon_is_torchs_but_for_bfloat16(nesterov: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    theirs, mine = (Parameter(torch.randn(12, 20, generator=torch.Generator().manual_seed(0))) for _ in range(2))
    peer = torch.optim.Muon(
        [theirs], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=nesterov, adjust_lr_fn="match_rms_adamw"
    )
    last = Parameter(torch.zeros(2, 2))
    own = Optimizer(
        [("w", mine), ("last", last)], Recipe(optimizer="muon", momentum=0.95, nesterov=nesterov, weight_decay=0.1)
    )
    for _ in range(5):
        theirs.grad = torch.randn(12, 20, generator=generator)
        mine.grad = theirs.grad.clone()
        peer.step()
        own.step(0.02)
    torch.testing.assert_close(theirs, mine, rtol=0, atol=0.01)
    assert (theirs - mine).abs().mean() < 0.002
