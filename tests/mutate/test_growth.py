"""Growth: the network computes what it did wherever that is possible, says so, and what is new learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netloom as nl
from netloom.errors import NetloomError
from netloom.mutate import Edit
from tests.mutate.edit_checks import BOUND, check_undo, distance, flat, network, new_part, outputs, prepared, same_state, state
from tests.mutate.small_models import MODELS, small, stir

#: How much an atom grows by: one index, a quarter, as much again.
AMOUNTS = {"one": lambda size: size + 1, "quarter": lambda size: size + max(size // 4, 1), "double": lambda size: 2 * size}
ALL, SOME = "one quarter double", "one quarter"

#: Model and mode → atom → the amounts that change what the network computes; all other growth preserves. Norms and means over
#: a part of the channels take whole multiples alone; a softmax counts its entries; zeros in front of a ReLU would never learn.
#: What two activations are summed over has no weights that copies could share: there new indices stand in place of copies.
CHANGES: dict[str, dict[str, dict[str, str]]] = {
    "audio": {"zero": {"c.3": SOME}, "copy": {"c.3": SOME}},
    "distances": {"zero": {"a": ALL}, "copy": {"a": ALL}},
    "encoder": {"zero": {"0": SOME}, "copy": {"0": SOME}},
    "experts": {"zero": {"w1": ALL}, "copy": {"w1": ALL}},
    "group_norms": {"zero": {"0:2": SOME, "6": SOME}, "copy": {"0:2": SOME, "6": SOME}},
    "layer_scale": {"zero": {"i": SOME}, "copy": {"i": SOME}},
    "maxout": {"zero": {"a:2": SOME}, "copy": {"a:2": SOME}},
    "multihead_extended": {"zero": {"a.bias_k": ALL, "a.zeros": ALL}, "copy": {"a.bias_k": ALL, "a.zeros": ALL}},
    "rectified_rms": {"zero": {"0": SOME}, "copy": {"0": SOME}},
    "two_inputs": {"zero": {"a": ALL}, "copy": {"a": ALL}},
    "vit": {"zero": {"patches": SOME}, "copy": {"patches": SOME}},
    "weight_standard": {"zero": {"0.weight": ALL}, "copy": {"0.weight": ALL}},
}  # fmt: skip


def grown(net: nl.Network, atom: str, size: int, **options: Any) -> Edit:
    """The edit in which one atom has another size, and what must move with it."""
    edit = nl.edit(net, **options)
    edit.ask(atom, repr(atom), None, size, False)
    return edit


def growth(name: str, new: str) -> tuple[dict[str, str], dict[str, str]]:
    """Atom → amounts that change what the network computes, and those that are refused; every other one is held to it."""
    net, inputs = prepared(name)
    expected, before = outputs(net, inputs), state(net)
    changed: dict[str, list[str]] = {}
    refused: dict[str, list[str]] = {}
    for atom in nl.edit(net).dims().free:
        words: dict[int, list[str]] = {}
        for word, amount in AMOUNTS.items():
            words.setdefault(amount(atom.size), []).append(word)
        for size, same in words.items():
            edit = grown(net, atom.id, size, new=new)
            try:
                plan = edit.plan
            except NetloomError:
                refused.setdefault(atom.id, []).extend(same)
                continue
            edit.graph.check()
            found = outputs(edit.result, inputs)
            if plan.preserving:
                assert distance(found, expected) < BOUND, (atom.id, size)
            else:
                changed.setdefault(atom.id, []).extend(same)
    assert same_state(state(net), before)
    return {atom: " ".join(words) for atom, words in changed.items()}, {a: " ".join(words) for a, words in refused.items()}


@pytest.mark.parametrize("new", ["zero", "copy"])
@pytest.mark.parametrize("name", MODELS)
def test_every_size_alone(name: str, new: str) -> None:
    """A plan that says "preserving" is; and which growth preserves is what it was (see `CHANGES`)."""
    changed, refused = growth(name, new)
    assert changed == CHANGES.get(name, {}).get(new, {})
    assert not refused


# -- what is new learns ----------------------------------------------------------------------------------------------------
def stuck(edit: Edit, inputs: Any) -> dict[str, Tensor]:
    """Tensors with new entries that are zero after a step and get no gradient either; which.

    Tensors whose old entries get no gradients here are left out.
    """
    net, plan = edit.result.train(), edit.plan
    parameters = dict(net.named_parameters())
    generator = torch.Generator().manual_seed(5)
    batch = tuple(_many(value, generator) for value in inputs)
    wanted: list[Tensor] = []

    def gradients() -> None:
        net.zero_grad()
        found = flat(net(*batch))
        wanted.extend(torch.randn(each.shape, generator=generator, dtype=each.dtype) for each in found if not wanted)
        losses = [(each - want).square().mean() for each, want in zip(found, wanted)]
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]

    gradients()
    with torch.no_grad():
        for parameter in parameters.values():
            if parameter.grad is not None:
                parameter -= 0.5 * parameter.grad.clamp(-0.2, 0.2)
    gradients()
    found = {}
    for key, parameter in parameters.items():
        if plan.codes.get(key) is None or parameter.grad is None:
            continue
        new = new_part(plan, key, parameter)
        dead = new & (parameter == 0) & (parameter.grad == 0)
        if dead.any() and parameter.grad[~new].any():
            found[key] = dead
    return found


def _many(value: Tensor, generator: torch.Generator) -> Tensor:
    """A batch that is large enough to reach every neuron."""
    shape = (32, *value.shape[1:])
    if value.is_floating_point():
        return torch.randn(shape, generator=generator, dtype=value.dtype) * 3
    return torch.randint(0, 11, shape, generator=generator)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_new_learns(name: str) -> None:
    net, inputs = prepared(name)
    for atom in nl.edit(net).dims().free:
        # A neuron in front of a ReLU may start where no input reaches it: then it does not with other seeds.
        dead = stuck(grown(net, atom.id, 2 * atom.size), inputs)
        for seed in range(1, 5):
            if dead:
                other = stuck(grown(net, atom.id, 2 * atom.size, seed=seed), inputs)
                both = {key: dead[key] & other[key] for key in dead.keys() & other.keys()}
                dead = {key: mask for key, mask in both.items() if mask.any()}
        assert not dead, atom.id


# -- how ---------------------------------------------------------------------------------------------------------------------
X = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def sequential(*layers: nn.Module) -> nl.Network:
    model = nn.Sequential(*layers).double().eval()
    stir(model)
    return network(model, X)


def test_new_rows_are_random_and_their_columns_zero() -> None:
    net = sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    edit = grown(net, "0", 12)
    new = edit.result.state_dict()
    assert edit.plan.indices("0.weight") == [*range(8), -1, -1, -1, -1]
    assert (new["0.weight"][8:] != 0).all() and new["0.weight"][8:].unique().numel() == 16
    assert (new["2.weight"][:, 8:] == 0).all()
    assert new["0.weight"][8:].abs().max() <= 0.5, "drawn as a linear layer of 4 features draws them: within 1/√4"


def test_new_weights_follow_the_seed_and_nothing_else() -> None:
    net = sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    first, again, other = (state(grown(net, "0", 12, seed=seed).result) for seed in (3, 3, 4))
    assert same_state(first, again)
    assert not torch.equal(first["0.weight"][8:], other["0.weight"][8:])
    both = nl.edit(net, seed=3)
    both.resize(out={"0": +4, "2": +1})
    assert torch.equal(first["0.weight"], both.result.state_dict()["0.weight"])
    torch.manual_seed(0)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    grown(net, "0", 12).result
    assert torch.equal(torch.rand(3), drawn), "the generator of torch is left alone"


def test_copies_share_what_their_original_gave() -> None:
    net = sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    edit = grown(net, "0", 6, new="copy")
    old, new = net.state_dict(), edit.result.state_dict()
    assert edit.plan.preserving
    assert torch.equal(new["0.weight"], torch.cat([old["0.weight"]] * 2))
    for index in range(3):
        together = new["2.weight"][:, [i for i in range(6) if torch.equal(new["0.weight"][i], old["0.weight"][index])]]
        torch.testing.assert_close(together.sum(1), old["2.weight"][:, index], rtol=1e-12, atol=0)
    assert distance(outputs(edit.result, (X,)), outputs(net, (X,))) < BOUND


def test_copies_by_uneven_shares_part_when_they_learn() -> None:
    net = sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    edit = grown(net, "0", 6, new="split")
    assert edit.plan.preserving
    assert distance(outputs(edit.result, (X,)), outputs(net, (X,))) < BOUND
    assert not stuck(edit, (X,))
    rows = edit.result.state_dict()["0.weight"]
    assert rows.unique(dim=0).shape[0] == 6, "after a step no two neurons are alike"


def test_an_rms_norm_makes_up_for_zeros_to_the_last_digit() -> None:
    """Its gain and its eps change with the size: Σx² / n is what it was, and so is what eps adds."""
    net = sequential(nn.Linear(4, 6), nn.RMSNorm(6, eps=1e-3), nn.Linear(6, 2))
    edit = grown(net, "0", 9)
    assert edit.plan.preserving
    assert distance(outputs(edit.result, (X,)), outputs(net, (X,))) < 1e-12
    assert edit.graph["1"].attrs["eps"] == pytest.approx(1e-3 * 6 / 9)


def test_a_layer_norm_grows_by_whole_copies_and_says_so_elsewhere() -> None:
    net = sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    twice = grown(net, "0", 12)
    assert twice.plan.preserving and twice.plan.indices("0.weight")[:6] == list(range(6))
    assert distance(outputs(twice.result, (X,)), outputs(net, (X,))) < BOUND
    more = grown(net, "0", 8)
    assert not more.plan.preserving
    assert more.plan.reasons == ("layer_norm '1' mixes the indices of '0'",)
    assert distance(outputs(more.result, (X,)), outputs(net, (X,))) > 1e-3


def test_the_scale_of_attention_is_a_value_and_stays() -> None:
    model, inputs = small("attention_apart")
    net = network(model, inputs)
    edit = grown(net, "q:2", 8)
    assert edit.plan.preserving
    assert distance(outputs(edit.result, inputs), outputs(net, inputs)) < BOUND
    assert edit.graph["scaled_dot_product_attention"].attrs["scale"] == pytest.approx(4**-0.5)


def test_new_running_statistics_are_those_of_a_fresh_norm() -> None:
    model, inputs = small("conv")
    new = grown(network(model, inputs), "0", 10).result.state_dict()
    assert new["1.running_mean"][8:].tolist() == [0, 0] and new["1.running_var"][8:].tolist() == [1, 1]
    assert new["1.weight"][8:].tolist() == [1, 1] and new["1.bias"][8:].tolist() == [0, 0]


def test_training_mode_and_frozen_parameters_stay() -> None:
    model, inputs = small("residual")
    model.train()
    model.b1.eval()  # type: ignore[operator, union-attr]
    model.c1.weight.requires_grad_(False)  # type: ignore[operator, union-attr]
    edit = nl.edit(model, inputs)
    edit["stem"].resize(out=+2)
    result = edit.result
    assert result.training and result.get_submodule("b2").training and not result.get_submodule("b1").training
    frozen = [name for name, parameter in result.named_parameters() if not parameter.requires_grad]
    assert frozen == ["c1.weight"]


def test_growth_trains_like_the_model_did() -> None:
    """A step of the grown network changes the old weights as a step of the model would: what is new gives nothing yet."""
    net = sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    grads = []
    for each in (net, grown(net, "0", 12).result):
        each.zero_grad()
        each(X).square().sum().backward()
        grads.append({name: parameter.grad for name, parameter in each.named_parameters()})
    torch.testing.assert_close(grads[1]["0.weight"][:8], grads[0]["0.weight"], rtol=1e-10, atol=0)
    torch.testing.assert_close(grads[1]["2.weight"][:, :8], grads[0]["2.weight"], rtol=1e-10, atol=0)
    assert (grads[1]["2.weight"][:, 8:] != 0).any()


def test_removed_and_grown_at_once() -> None:
    """Indices are dropped and the size stays: the dropped are made anew."""
    net = sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    edit = nl.edit(net)
    edit["0"].drop([1, 4])
    edit["0"].resize(out_to=8)
    assert edit.plan.indices("0.weight") == [0, 2, 3, 5, 6, 7, -1, -1] == edit.plan.indices("2.weight", 1)
    check_undo(edit, state(net))
