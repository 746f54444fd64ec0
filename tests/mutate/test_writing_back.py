"""The result of an edit in the user's own model: the same network there, or a refusal and nothing changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netloom as nl
from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)
from netloom.building.network import full_state
from netloom.errors import EditError
from netloom.mutate import Atom, analyse, gather, shrink
from netloom.mutate.writing.attributes import own_ints
from netloom.mutate.writing.back import write_back

Pick = Callable[[Atom], int]


def half(atom: Atom) -> int:
    return max(1, atom.size // 2)


def pruned(model: nn.Module, example: Any, pick: Pick = half) -> tuple[nl.Graph, nl.Graph, dict[str, Any]]:
    """A model's graph, that with atoms of the size that ``pick`` says (0: as it is), and what is left of the state."""
    old = nl.trace(model, example)
    dims = analyse(old)
    kept = {atom.id: range(atom.size - pick(atom), atom.size) for atom in dims.free if 0 < pick(atom) < atom.size}
    assert kept, "the test changes nothing"
    new, left = shrink(old, kept, dims)
    return old, new, gather(full_state(model), left)


def outputs(model: nn.Module, example: Any) -> list[Tensor]:
    torch.manual_seed(0)
    was_training = [module.training for module in model.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad():
        found = model.eval()(**example) if isinstance(example, Mapping) else model.eval()(*_tuple(example))
    torch.backends.mha.set_fastpath_enabled(fast)
    for module, flag in zip(model.modules(), was_training):
        module.training = flag
    return _tensors(found)


def _tuple(example: Any) -> tuple[Any, ...]:
    return example if isinstance(example, tuple) else (example,)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [tensor for item in values for tensor in _tensors(item)]


def written(model: nn.Module, example: Any, pick: Pick = half) -> nl.Graph:
    """Write a removal back, and hold everything that `write_back` promises."""
    old, new, state = pruned(model, example, pick)
    before = dict(model.named_parameters(remove_duplicate=False))
    flags = {path: module.training for path, module in model.named_modules()}
    grads = {key: parameter.requires_grad for key, parameter in before.items()}
    write_back(model, old, new, state, example)
    after = dict(model.named_parameters(remove_duplicate=False))
    assert list(after) == list(before) and all(after[key] is before[key] for key in before), "parameters are other objects"
    assert {key: parameter.requires_grad for key, parameter in after.items()} == grads
    assert {path: module.training for path, module in model.named_modules()} == flags
    shapes = {key: tensor.shape for key, tensor in full_state(model).items()}
    assert shapes == {key: e.type.shape for key, e in new.tensors.items() if key in shapes}
    network = nl.build(new, weights={**full_state(model), **state})
    found, expected = outputs(model, example), outputs(network, example)
    assert found and len(found) == len(expected) and all(map(torch.equal, found, expected))
    assert sum(parameter.numel() for parameter in model.parameters()) == new.num_params
    _learns(model, example)
    return new


def _learns(model: nn.Module, example: Any) -> None:
    """One step of training moves the new parameters."""
    trained = copy.deepcopy(model).train()
    found = trained(**example) if isinstance(example, Mapping) else trained(*_tuple(example))
    sum(tensor.float().sum() for tensor in _tensors(found) if tensor.is_floating_point()).backward()
    grads = [p for p in trained.parameters() if p.grad is not None]
    assert grads and all(p.grad.shape == p.shape for p in grads)


def snapshot(model: nn.Module) -> Any:
    ints = {(path, chain): value for path, module in model.named_modules() for chain, value in own_ints(module)}
    tensors = {key: (id(tensor), tensor.clone()) for key, tensor in full_state(model).items()}
    return ints, tensors, {path: (type(module), module.training) for path, module in model.named_modules()}


def refused(model: nn.Module, example: Any, pick: Pick = half) -> str:
    """The message of a refusal, after which the model is as it was."""
    old, new, state = pruned(model, example, pick)
    ints, tensors, modules = snapshot(model)
    with pytest.raises(EditError) as caught:
        write_back(model, old, new, state, example)
    now = snapshot(model)
    assert now[0] == ints and now[2] == modules
    assert all(now[1][key][0] == tensors[key][0] and torch.equal(now[1][key][1], tensors[key][1]) for key in tensors)
    return str(caught.value)


# -- torch's own modules -----------------------------------------------------------------------------------------------
def test_perceptron() -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.PReLU(16), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))
    written(model, torch.randn(4, 6))
    assert (model[0].out_features, model[1].normalized_shape, model[2].num_parameters, model[5].in_features) == (8, (8,), 8, 4)


def test_convolutions_norms_and_groups() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding="same", padding_mode="reflect"), nn.BatchNorm2d(16), nn.ReLU(True),
        nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.InstanceNorm2d(16, affine=True), nn.Conv2d(16, 24, 1, groups=2),
        nn.GroupNorm(4, 24), nn.ConvTranspose2d(24, 12, 2, stride=2, groups=2), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(12 * 64, 5),
    )  # fmt: skip
    written(model, torch.randn(2, 3, 8, 8))
    depthwise, grouped, norm, up = model[3], model[5], model[6], model[7]
    assert depthwise.groups == depthwise.in_channels == depthwise.out_channels == depthwise.weight.shape[0]
    assert grouped.weight.shape[1] * grouped.groups == grouped.in_channels == depthwise.out_channels
    assert norm.num_channels == grouped.out_channels == up.in_channels and norm.num_groups < 4
    assert f"Linear(in_features={model[10].weight.shape[1]}" in repr(model)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers(layer: type) -> None:
    model = nn.Sequential(nn.Linear(5, 8), layer(8, 6, num_layers=2, batch_first=True, bidirectional=True))
    written(model, torch.randn(2, 3, 5), lambda atom: 0 if atom.size == 12 else half(atom))
    assert model[1].input_size == 4 and model[1].weight_ih_l0.shape[1] == 4
    assert all(a is b for a, b in zip(model[1]._flat_weights, model[1].parameters()))


def test_hidden_state_of_a_recurrent_layer() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden_size = 10
            self.cells = nn.GRU(4, self.hidden_size, batch_first=True)
            self.head = nn.Linear(self.hidden_size, 3)

        def forward(self, x: Tensor) -> Tensor:
            start = x.new_zeros(1, x.shape[0], self.hidden_size)
            return self.head(self.cells(x, start)[0])

    model = Tagger()
    written(model, torch.randn(2, 5, 4))
    assert model.hidden_size == model.cells.hidden_size == model.head.in_features == 5


def test_tied_embedding_frozen_and_parametrised_weights() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(20, 8)
            self.mix = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
            self.head = nn.Linear(8, 20, bias=False)
            self.head.weight = self.words.weight
            self.mix.bias.requires_grad_(False)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.head(F.relu(self.mix(self.words(tokens))))

    model = Tied()
    written(model, torch.randint(0, 20, (2, 5)), lambda atom: 5 if atom.size == 8 else 0)
    assert model.head.weight is model.words.weight and model.words.embedding_dim == model.head.in_features == 5
    assert model.mix.parametrizations.weight.original1.shape == (5, 5) and model.mix.out_features == 5
    assert not model.mix.bias.requires_grad


def test_multi_head_attention_of_whole_heads() -> None:
    model = nn.TransformerEncoderLayer(32, 4, dim_feedforward=24, batch_first=True)
    io = nn.Sequential(nn.Linear(6, 32), model, nn.Linear(32, 3))
    written(io, torch.randn(2, 5, 6), lambda atom: {32: 16, 24: 9, 4: 2}.get(atom.size, 0))
    attention = model.self_attn
    assert (attention.embed_dim, attention.num_heads, attention.head_dim, model.linear1.out_features) == (16, 2, 8, 9)


def test_kernels_paddings_and_strides() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.MaxPool2d(3, 2, 1),
        nn.AvgPool2d(2),
    )  # fmt: skip
    x = torch.randn(2, 3, 16, 16)
    with nl.edit(model, x) as edit:
        edit.change("2", kernel=3)
        edit.change("3", kernel=5, padding=2)
    expected = edit.result(x)
    edit.apply_to(model)
    assert (model[2].kernel_size, model[2].padding, model[3].kernel_size, model[3].padding) == ((3, 3), (1, 1), 5, 2)
    assert torch.equal(model(x), expected)


# -- a user's own attributes -------------------------------------------------------------------------------------------
class Attention(nn.Module):
    """Fused queries, keys and values; ``layer`` is a number that only looks like a size."""

    def __init__(self, dim: int = 32, heads: int = 4, layer: int = 4) -> None:
        super().__init__()
        self.dim, self.num_heads, self.head_dim, self.layer_idx = dim, heads, dim // heads, layer
        self.scale = self.head_dim**-0.5
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(rows, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(rows, tokens, self.num_heads * self.head_dim))


def test_attention_with_sizes_as_attributes() -> None:
    model = nn.Sequential(nn.Linear(5, 32), Attention(), Attention(), nn.Linear(32, 3))
    written(model, torch.randn(2, 7, 5))
    for block in (model[1], model[2]):
        assert (block.num_heads, block.head_dim, block.dim, block.layer_idx) == (2, 4, 16, 4)
        assert block.scale == 8**-0.5, "the scale of attention is a stored value"


def test_layers_that_shrink_by_different_amounts() -> None:
    model = nn.Sequential(nn.Linear(5, 32), Attention(), Attention(), nn.Linear(32, 3))
    written(model, torch.randn(2, 7, 5), lambda atom: (1 if atom.id.startswith("1.") else 3) if atom.size == 4 else 0)
    assert (model[1].num_heads, model[2].num_heads, model[1].head_dim, model[1].dim) == (1, 3, 8, 32)


@dataclass
class Plan:
    """A configuration that all modules share."""

    width: int = 24
    heads: int = 3
    shape: tuple[int, ...] = (4, 6)
    inner: dict[str, Any] = field(default_factory=lambda: {"sizes": [24, 12], "depth": 12})


class Configured(nn.Module):
    """Sizes in a shared object: in a tuple, in a list inside a dict, behind a property, and as a fraction."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = Plan()
        self.up, self.down, self.head = nn.Linear(5, 24), nn.Linear(24, 12), nn.Linear(12, 2)

    @property
    def width(self) -> int:
        return self.plan.inner["sizes"][0]

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.up(x).view(-1, self.width)
        first, second = tokens.split([self.plan.width // 2, self.plan.width // 2], 1)
        mixed = self.down(torch.cat([second, first], 1)).unflatten(1, self.plan.shape[:1] + (-1,))
        return self.head(mixed.flatten(1)) * self.plan.inner["depth"]


def test_configurations_and_properties() -> None:
    model = Configured()
    written(model, torch.randn(3, 5), lambda atom: half(atom) if atom.id.startswith("up") else 0)
    assert model.plan.width == 12 and model.plan.inner["sizes"][0] == 12
    assert model.plan.shape == (4, 6) and model.plan.inner["depth"] == 12 and model.up.out_features == 12


def test_a_number_that_is_no_size_stays_though_it_equals_one() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model_dim = 16
            self.inner, self.head = nn.Linear(4, 16), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.inner(x) * self.model_dim**-0.5)

    model = Scaled()
    written(model, torch.randn(2, 4))
    assert model.model_dim == 16, "the factor is a value of the network, and is kept"


def test_buffers_that_a_state_dict_leaves_out_follow() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
            self.register_buffer("shift", torch.arange(6.0), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.inner(x) + self.shift)

    model, x = Shifted(), torch.randn(2, 4)
    old, new, state = pruned(model, x)
    write_back(model, old, new, {key: tensor for key, tensor in state.items() if key != "shift"}, x)
    assert model.shift.tolist() == [3, 4, 5]


def test_free_sizes_stay_free() -> None:
    model, x = nn.Sequential(nn.Linear(5, 32), Attention(), nn.Linear(32, 3)), torch.randn(2, 7, 5)
    free = {"tokens": [("input", 1)]}
    with nl.edit(model, x, free=free) as edit:
        edit["0"].resize(out=-16)
    edit.apply_to(model)
    assert model(torch.randn(3, 4, 5)).shape == (3, 4, 3) and model[1].qkv.in_features == 16
    assert nl.trace(model, x, free=free).hash == edit.graph.hash


def test_code_whose_source_is_not_at_hand() -> None:
    """The attributes that its functions read are tried then; literals in it cannot be named."""
    scope: dict[str, Any] = {"nn": nn}
    exec(  # noqa: S102
        "class Hidden(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.heads, self.other = 4, 4\n"
        "        self.up, self.down = nn.Linear(6, 32), nn.Linear(8, 2)\n"
        "    def forward(self, x):\n"
        "        return self.down(self.up(x).view(x.shape[0], self.heads, -1).sum(1))\n",
        scope,
    )
    model = scope["Hidden"]()
    written(model, torch.randn(3, 6), lambda atom: 2 if atom.size == 4 else 0)
    assert model.heads == 2 and model.other == 4


# -- refusals ----------------------------------------------------------------------------------------------------------
class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.conv(x).relu(), 2)
        x = x.view(-1, 64)
        return self.head(x)


@pytest.mark.parametrize("batch", [2, 3, 4])
def test_a_literal_is_named_with_its_line(batch: int) -> None:
    message = refused(Flat(), torch.randn(batch, 3, 8, 8))
    assert "Flat cannot be changed in place" in message and "the literal 64 in `x = x.view(-1, 64)`" in message
    assert f"{__file__}:" in message and "a size that becomes 32" in message and "the edit's result" in message


def test_a_literal_inside_a_module_is_named_with_its_path() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(12, 12)

        def forward(self, x: Tensor) -> Tensor:
            one, two = self.mix(x).split(6, dim=1)
            return one * two.sigmoid()

    message = refused(nn.Sequential(nn.Linear(4, 12), Pair(), nn.Linear(6, 3)), torch.randn(2, 4))
    assert "in its module '1' (Pair)" in message and "the literal 6 in `one, two = self.mix(x).split(6, dim=1)`" in message


def test_a_value_worked_out_from_a_size_is_named() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(4, 16), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.inner(x)
            return self.head(y * y.shape[-1] ** -0.5)

    message = refused(Scaled(), torch.randn(2, 4))
    assert "`return self.head(y * y.shape[-1] ** -0.5)`" in message and "has y=0.3535" in message and "has y=0.25" in message


def test_half_a_head_cannot_be_had_of_torchs_attention() -> None:
    model = nn.Sequential(nn.Linear(6, 32), nn.TransformerEncoderLayer(32, 4, 24, batch_first=True), nn.Linear(32, 3))
    message = refused(model, torch.randn(2, 5, 6), lambda atom: 4 if atom.size == 8 else 0)
    assert "Sequential cannot be changed in place" in message


def test_bad_input() -> None:
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), torch.randn(2, 4)
    old, new, state = pruned(model, x)
    with pytest.raises(EditError, match="expected the torch.nn.Module"):
        write_back(old, old, new, state, x)  # type: ignore[arg-type]
    with pytest.raises(EditError, match=r"'0.weight' is \(9, 4\), but was \(8, 4\) when the model was traced"):
        write_back(nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2)), old, new, state, x)
    with pytest.raises(EditError, match=r"the tensor '0.weight' is \(8, 4\) where the edited graph has \(4, 4\)"):
        write_back(model, old, new, full_state(model), x)
    assert model[0].out_features == 8


def test_nothing_outside_the_model_changes() -> None:
    model, x = Flat(), torch.randn(2, 3, 8, 8)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    refused(model, x)
    assert torch.equal(torch.rand(1), expected)


# -- structure ---------------------------------------------------------------------------------------------------------
class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.norm(self.conv(x)))


def network() -> tuple[nn.Module, Tensor]:
    stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    model = nn.Sequential(stem, Block(), Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    return model, torch.randn(2, 3, 8, 8)


def applied(change: Callable[[Any], Any]) -> nn.Module:
    """A network with the change written back."""
    model, x = network()
    with nl.edit(model, x, seed=1) as edit:
        change(edit)
    expected = outputs(edit.result, x)
    edit.apply_to(model)
    assert all(map(torch.equal, outputs(model, x), expected))
    return model


def test_removed_modules_become_identities() -> None:
    model = applied(lambda edit: (edit.remove("1.norm"), edit.remove("2")))
    assert type(model[1].norm) is nn.Identity and type(model[2]) is nn.Identity
    assert not [key for key in model.state_dict() if key.startswith(("1.norm", "2."))]


def test_replaced_activations_and_layers() -> None:
    model = applied(lambda edit: (edit.replace("1.act", nl.op.gelu()), edit.replace("0.1", nl.op.leaky_relu(0.3))))
    assert type(model[1].act) is nn.GELU and model[0][1].negative_slope == 0.3
    model = applied(lambda edit: edit.replace("2.norm", [nl.op.group_norm(2), nl.op.dropout(0.1)]))
    assert type(model[2].norm) is nn.Sequential and model[2].norm[0].num_groups == 2 and model[2].norm.training


def test_a_replacement_beside_a_removal_keeps_its_place() -> None:
    model = applied(lambda edit: (edit.remove("1.norm"), edit.replace("1.act", nl.op.gelu())))
    assert type(model[1].norm) is nn.Identity and type(model[1].act) is nn.GELU
    model = applied(lambda edit: (edit.replace("0.1", nl.op.silu()), edit.insert_after("0.0", nl.op.batch_norm())))
    assert [type(layer) for layer in model[0]] == [nn.Conv2d, nn.BatchNorm2d, nn.SiLU]


def test_layers_inserted_into_a_sequence() -> None:
    layers = [nl.op.conv2d(8, kernel=3, padding=1), nl.op.batch_norm(), nl.op.relu()]
    model = applied(lambda edit: edit.insert_after("0.0", layers))
    assert [type(layer) for layer in model[0]] == [nn.Conv2d, nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.ReLU]
    assert list(model[0]._modules)[0] == "0" and list(model[0]._modules)[-1] == "1", "keys of old layers stay"
    model = applied(lambda edit: edit.insert_after("2.add", nl.op.conv2d(8, kernel=1)))
    assert type(list(model)[3]) is nn.Conv2d


def test_changes_of_structure_and_size_together() -> None:
    model = applied(lambda edit: (edit.remove("2.norm"), edit["0.0"].resize(out=-3), edit.change("1.conv", kernel=5)))
    assert (model[0][0].out_channels, model[1].conv.kernel_size, model[5].in_features) == (5, (5, 5), 5)


def test_calls_that_no_module_stands_for_are_refused() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.two(F.relu(self.one(x)))

    model, x = Functional(), torch.randn(2, 4)
    with nl.edit(model, x) as edit:
        edit.remove("relu")
    with pytest.raises(EditError, match=r"`return self.two\(F.relu\(self.one\(x\)\)\)`.* does not follow the edit"):
        edit.apply_to(model)
    with nl.edit(model, x) as edit:
        edit.insert_after("one", nl.op.dropout(0.5))
    with pytest.raises(EditError, match="dropout 'dropout' is new, and the forward of Functional does not call it"):
        edit.apply_to(model)
    with nl.edit(model, x) as edit:
        edit.connect("one", "two", merge="add")
    with pytest.raises(EditError, match="'add' is new"):
        edit.apply_to(model)


def test_growth_is_written_back_too() -> None:
    model, x = network()
    with nl.edit(model, x) as edit:
        edit["0.0"].resize(out=+4)
    before = outputs(model, x)
    edit.apply_to(model)
    assert model[0][0].out_channels == 12 and model[1].norm.num_features == 12
    assert torch.allclose(outputs(model, x)[0], before[0], rtol=1e-5, atol=1e-6)


def test_a_network_of_netlooms_own() -> None:
    made, x = network()
    model = nl.build(nl.trace(made, x), weights=made)
    with nl.edit(model, x) as edit:
        edit["0.0"].resize(out=-3)
        edit.remove("2.act")
    expected = outputs(edit.result, x)
    edit.apply_to(model)
    assert isinstance(model, nl.Network) and model.graph.hash == edit.graph.hash
    assert torch.equal(outputs(model, x)[0], expected[0]) and model.training


# -- published models --------------------------------------------------------------------------------------------------
def swin_heads(atom: Atom) -> int:
    """Whole heads everywhere: 2 of 3, with two thirds of all widths; half of the hidden layers."""
    if "mlp" in atom.id:
        return half(atom)
    return 0 if "index" in atom.id else {3: 2, 6: 4, 12: 8, 24: 16, 96: 64, 192: 128, 384: 256, 768: 512}.get(atom.size, 0)


VISION: dict[str, Pick] = {
    "resnet18": half, "mobilenet_v3_small": half, "densenet121": half, "convnext_tiny": half, "swin_t": swin_heads,
}  # fmt: skip
FAST = ("resnet18", "mobilenet_v3_small")


def marked(names: Any, fast: Any) -> list[Any]:
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", marked(VISION, FAST))
def test_torchvision(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.get_model(name, weights=None, num_classes=10).eval()
    written(model, torch.randn(2, 3, 64, 64), VISION[name])


def vision_transformer(layers: int = 2) -> nn.Module:
    torchvision = pytest.importorskip("torchvision")
    return torchvision.models.VisionTransformer(64, 16, layers, 12, 96, 200, num_classes=10).eval()


def test_torchvisions_transformer_loses_whole_heads_with_their_width() -> None:
    model = vision_transformer()
    written(model, torch.randn(2, 3, 64, 64), lambda atom: {12: 6, 96: 48, 200: 70}.get(atom.size, 0))
    assert model.hidden_dim == 48 and model.encoder.layers[0].self_attention.num_heads == 6


def test_heads_of_torchs_attention_alone_are_refused_with_the_users_line() -> None:
    message = refused(vision_transformer(1), torch.randn(2, 3, 64, 64), lambda atom: 6 if atom.size == 12 else 0)
    assert "`x, _ = self.self_attention(x, x, x, need_weights=False)`" in message
    assert "in its module 'encoder.layers.encoder_layer_0' (EncoderBlock)" in message


def test_timm_transformer() -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=10, img_size=64, depth=2).eval()
    written(model, torch.randn(2, 3, 64, 64), lambda atom: {3: 2, 192: 128, 768: 100}.get(atom.size, 0))
    assert (model.embed_dim, model.num_features, model.blocks[0].attn.num_heads) == (128, 128, 2)


@pytest.mark.slow
def test_timm_convolutional() -> None:
    timm = pytest.importorskip("timm")
    written(timm.create_model("efficientnet_b0", pretrained=False, num_classes=10).eval(), torch.randn(2, 3, 64, 64))


def family(name: str) -> tuple[nn.Module, dict[str, Any]]:
    pytest.importorskip("transformers")
    from benchmarks import gallery_transformers

    torch.manual_seed(0)
    model, example = getattr(gallery_transformers, name)()
    return model.eval(), example


FAMILIES = ("llama", "gpt2", "bert", "t5", "vit", "mistral", "phi3", "bart", "swin", "mixtral", "wav2vec2", "detr")


@pytest.mark.parametrize("name", marked(FAMILIES, FAMILIES[:5]))
def test_transformers(name: str) -> None:
    model, example = family(name)
    written(model, example)
    if hasattr(model.config, "intermediate_size"):
        assert model.config.intermediate_size == 24


def test_llama_generates_and_its_configuration_says_what_it_is() -> None:
    """Heads, groups and layers smaller, the width of a head as it was: a model made from the configuration is the same."""
    model, example = family("llama")
    new = written(model, example, lambda atom: 0 if atom.size in (8, 4) else half(atom))
    config = model.config
    assert (config.hidden_size, config.intermediate_size, config.num_key_value_heads, config.head_dim) == (16, 24, 1, 8)
    prompt = example["input_ids"]
    found = model.generate(
        prompt, max_new_tokens=5, do_sample=False, use_cache=True, output_logits=True, return_dict_in_generate=True
    )
    expected = nl.build(new, weights=model).eval()
    assert torch.equal(found.logits[0], expected(input_ids=prompt)["logits"][:, -1])
    tokens = prompt
    for _ in range(5):  # greedy, without a cache
        tokens = torch.cat([tokens, model(input_ids=tokens).logits[:, -1].argmax(-1, keepdim=True)], 1)
    assert torch.equal(found.sequences, tokens)
    fresh = type(model)(config).eval()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(**example).logits, model(**example).logits)


def test_values_narrower_than_keys_are_refused_where_one_attribute_says_both() -> None:
    model, example = family("llama")
    message = refused(model, example, lambda atom: 4 if atom.id.endswith("0.self_attn.v_proj") else 0)
    assert "in its module 'model.layers.0.self_attn' (LlamaAttention)" in message
    assert "`attn_output = self.o_proj(attn_output)`" in message
