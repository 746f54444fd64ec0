"""`prune` and `grow`: budgets met, weights kept, whole heads, nothing harmed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import netloom as nl
from netloom.errors import EditError


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.Conv2d(16, 24, 3, stride=2),
        torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(24, 10),
    ).eval()  # fmt: skip


X = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("budget", [{"flops": 0.5}, {"params": 0.3}, {"cost": (lambda graph: graph.activations, 0.6)}])
@pytest.mark.parametrize("ranking", ["layer", "isomorphic", "global"])
def test_budgets_are_met_and_not_by_far(budget: dict[str, Any], ranking: str) -> None:
    pruned = nl.prune(model(), X, ranking=ranking, **budget)
    ((name, share),) = budget.items()
    attribute = {"params": "num_params"}.get(name, name)
    function, share = share if name == "cost" else (lambda graph: getattr(graph, attribute), share)
    kept = function(pruned.graph) / function(pruned.before)
    assert 0.7 * share < kept <= share and pruned.network(X).shape == (2, 10)


def test_what_stays_are_the_rows_of_largest_norm_with_their_weights() -> None:
    net = model()
    pruned = nl.prune(net, X, keep=0.5, value="l2")
    kept = pruned.plan.indices("3.weight")
    norms = net[3].weight.flatten(1).norm(dim=1) + net[3].bias.abs()
    assert kept == norms.topk(12).indices.sort().values.tolist()
    columns = pruned.plan.indices("3.weight", axis=1)
    assert torch.equal(pruned.network.state_dict()["3.weight"], net[3].weight.detach()[kept][:, columns])


def test_protected_layers_multiples_and_smallest_shares() -> None:
    assert nl.prune(model(), X, keep=0.5, protect=["0"]).graph["0"].out_size == 16
    assert nl.prune(model(), X, keep=0.4, multiple_of=4).graph["3"].out_size % 4 == 0
    assert nl.prune(model(), X, params=0.35, ranking="global", at_least=0.4).graph["0"].out_size >= 7


def test_whole_heads_go_unless_they_shall_be_narrower() -> None:
    attention = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    x = torch.randn(2, 5, 16)
    whole, narrow = (nl.prune(attention, x, keep=0.5, heads=heads).plan for heads in (True, False))
    assert whole.indices("self_attn.out_proj.weight", 1) != narrow.indices("self_attn.out_proj.weight", 1)
    kept = whole.indices("self_attn.out_proj.weight", 1)
    assert len(kept) == 8 and all(kept[i + 3] == kept[i] + 3 for i in (0, 4)), "heads of four stay in one piece"


def test_steps_train_in_between_and_may_give_the_next_value() -> None:
    seen: list[int] = []

    def train(network: nl.Network) -> str:
        seen.append(network.graph.num_params)
        return "l1"

    pruned = nl.prune(model(), X, params=0.25, steps=3, train=train)
    assert len(seen) == 3 and seen[0] > seen[1] > seen[2] and pruned.params_kept <= 0.25


def test_growth_computes_the_same_and_all_of_it_learns() -> None:
    net = model()
    grown = nl.grow(net, X, flops=2.0)
    assert 1.6 < grown.flops_kept <= 2.0
    assert torch.allclose(grown.network(X), net(X), rtol=1e-4, atol=1e-6)
    many = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(1)) * 3
    grown.network(many).square().sum().backward()
    assert all((p.detach() != 0).logical_or(p.grad != 0).all() for p in grown.network.parameters() if p.dim() > 1)


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, "exactly one"), ({"keep": 0.5, "flops": 0.5}, "exactly one"), ({"keep": 0}, "share above 0"),
        ({"flops": 1.5}, "up to 1"), ({"keep": 0.5, "ranking": "best"}, "'best'"), ({"keep": 0.5, "protect": ["4x"]}, "4x"),
        ({"params": 0.0001}, "one neuron in every layer"),
    ],
)  # fmt: skip
def test_mistakes(options: dict[str, Any], words: str) -> None:
    net = model()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(nl.NetloomError, match=words):
        nl.prune(net, X, **options)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_nothing_to_grow_is_said() -> None:
    norm = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.LayerNorm(6), torch.nn.Linear(6, 2))
    with pytest.raises(EditError, match="preserve=False"):
        nl.grow(norm, torch.randn(2, 4), by=0.25)
