"""Predicted parameters: equal to the originals', for any network, with gradients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import HypernetworkError, NetloomWarning
from netloom.ghn.prediction import predict
from tests.ghn.networks import IMAGE, REFERENCE, Parallel, Tied, deepnets, needs_reference, small, tiny, torchvision_model


def a_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 24, 3, groups=24, padding=1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10),
    )  # fmt: skip


# -- the original ------------------------------------------------------------------------------------------------------
@needs_reference
@pytest.mark.parametrize("file", ["ghn2_small.pt", "ghn2_small.safetensors"])
@pytest.mark.parametrize("name", ["tiny", "deepnets_vit"])
def test_predictions_and_embeddings_are_the_originals(file: str, name: str) -> None:
    from safetensors.torch import load_file

    assert REFERENCE is not None
    ghn = nl.ghn.load(REFERENCE / file)
    model: Any = tiny() if name == "tiny" else deepnets(name)
    with torch.no_grad():
        found = ghn.predict(model, IMAGE)
    expected = load_file(REFERENCE / f"pred_ghn2_small_{name}.safetensors")
    torch.testing.assert_close(found.embeddings, expected.pop("__embeddings__"), rtol=1e-4, atol=1e-6)
    assert set(found.tensors) == set(expected)
    for key, tensor in expected.items():
        torch.testing.assert_close(found.tensors[key], tensor, rtol=1e-4, atol=1e-6)


def test_sizes_of_published_hypernetworks() -> None:
    """Parameters of the published files (DESIGN of the papers; see the documentation)."""
    sizes = {
        "GHN1": (nl.ghn.GHN1(), 1_620_668),
        "GHN2": (nl.ghn.GHN2(), 1_620_764),
        "MLP": (nl.ghn.MLP(), 1_614_396),
        "GHN2 for ImageNet": (nl.ghn.GHN2((64, 64, 16, 16), 1000), 2_319_720),
        "GHN3 T": (nl.ghn.GHN3(), 6_906_632),
    }
    assert {name: sum(p.numel() for p in ghn.parameters()) for name, (ghn, _) in sizes.items()} == {
        name: size for name, (_, size) in sizes.items()
    }


def test_names_and_shapes_of_the_published_state_dict() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in nl.ghn.GHN2().state_dict().items()}
    assert list(shapes)[:5] == [
        "ln.weight",
        "ln.bias",
        "embed.weight",
        "shape_enc.embed_spatial.weight",
        "shape_enc.embed_channel.weight",
    ]
    assert shapes["shape_enc.embed_spatial.weight"] == (9, 8) and shapes["shape_enc.embed_channel.weight"] == (392, 8)
    assert shapes["gnn.mlp_ve.fc.2.weight"] == (32, 16) and shapes["gnn.gru.weight_ih"] == (96, 32)
    assert shapes["decoder.fc.0.weight"] == (15488, 32) and shapes["decoder.conv.2.weight"] == (4096, 256, 1, 1)
    assert shapes["decoder.class_layer_predictor.1.weight"] == (10, 64, 1, 1) and shapes["bias_class.1.weight"] == (10, 64)
    large = {name: tuple(tensor.shape) for name, tensor in nl.ghn.GHN3().state_dict().items()}
    assert large["decoder.conv.2.weight"] == (4096, 512) and large["gnn.0.attn.edge_embed.embed.weight"] == (257, 64)
    assert "gnn.0.input_dist_embed.weight" in large and "gnn.2.ff.net.3.bias" in large


# -- the sweep -----------------------------------------------------------------------------------------------------------
def node_by_node(ghn: Any, view: Any, x: torch.Tensor) -> torch.Tensor:
    """Equation 4 of the paper, one node after the other."""
    gnn = ghn.gnn
    distances = torch.from_numpy(view.distances.astype(np.float32))
    states = list(x)
    for order, lengths in ((range(len(view)), distances), (reversed(range(len(view))), distances.t())):
        for v in order:
            heard = torch.zeros_like(states[v])
            for u in range(len(view)):
                length = float(lengths[u, v])
                if length == 1:
                    heard = heard + gnn.mlp(states[u])
                if length and gnn.ve:
                    heard = heard + gnn.mlp_ve(states[u]) / length
            states[v] = gnn.gru(heard[None], states[v][None])[0]
    return torch.stack(states)


@pytest.mark.parametrize("ve", [True, False])
def test_sweeping_by_levels_is_sweeping_node_by_node(ve: bool) -> None:
    ghn = small(ve=ve)
    graphs = [nl.spaces.DeepNets1M("train", input_shape=(1, 8, 8)).sample(np.random.default_rng(seed)) for seed in range(2)]
    views = [nl.ghn.hyper_graph(graph, virtual_edges=ghn.config.virtual_edges) for graph in graphs]
    torch.manual_seed(1)
    states = [torch.randn(len(view), 16) for view in views]
    with torch.no_grad():
        together = ghn.gnn(torch.cat(states), ghn.union(views))
        expected = torch.cat([node_by_node(ghn, view, x) for view, x in zip(views, states)])
    torch.testing.assert_close(together, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["GHN1", "GHN2", "MLP", "GHN3"])
def test_networks_together_are_as_alone(kind: str) -> None:
    """Also where one is much larger, so that a batch is filled up."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"layers": 2, "heads": 4} if kind == "GHN3" else {}
    ghn = getattr(nl.ghn, kind)((16, 16, 5, 5), 10, hid=16, **options).eval()
    graphs = [nl.trace(a_network(), IMAGE), nl.trace(Tied(), IMAGE)]
    with torch.no_grad():
        both = predict(ghn, graphs)
        alone = [ghn.predict(graph) for graph in graphs]
    for a, b in zip(both, alone):
        assert a.tensors.keys() == b.tensors.keys()
        for name in a.tensors:
            torch.testing.assert_close(a.tensors[name], b.tensors[name], rtol=1e-4, atol=1e-6)


# -- any network -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("channels", [5, 7, 10, 14, 15, 20, 22, 28, 31, 40])
def test_any_number_of_channels(channels: int) -> None:
    """The original raises for most of these."""
    ghn = small(max_shape=(64, 64, 3, 3))
    model = nn.Sequential(nn.Conv2d(3, channels, 3), nn.Conv2d(channels, 8, 3), nn.Conv2d(8, 12, 1))
    with torch.no_grad():
        full = ghn.decoder.weights(ghn.decoder.hidden(ghn.predict(model, IMAGE).embeddings[3:4], (3, 3)), 64, 64)
        found = ghn.predict(model, IMAGE).tensors["1.weight"]
    expected = full[0, :8, :channels] * (2 / (channels * 9)) ** 0.5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_larger_tensors_are_tiled_and_said_to_be() -> None:
    ghn = small()
    found = ghn.predict(a_network(), IMAGE)
    assert "0.weight" in found.tiled and "of them larger than the largest that is decoded, and tiled" in found.summary()
    weight, norm = found.tensors["0.weight"], found.tensors["1.weight"]
    assert torch.equal(weight[:8], weight[16:]) and torch.equal(norm[:8], norm[16:])


def test_every_model_keeps_working() -> None:
    """The original takes away what it does not know, and the network fails."""
    model = nn.Sequential(
        nn.Conv1d(4, 8, 3), nn.GroupNorm(2, 8), nn.PReLU(8), nn.ConvTranspose1d(8, 4, 2), nn.Flatten(), nn.Linear(60, 10)
    )
    slopes = model[2].weight.detach().clone()
    with pytest.warns(NetloomWarning) as caught:
        filled = small()(model, torch.zeros(1, 4, 16))
    (message,) = [str(entry.message) for entry in caught]
    assert "1 left at their values: a parameter in prelu (2.weight)" in message and "conv1d as conv (0.weight)" in message
    assert filled is model and torch.equal(model[2].weight, slopes) and model[1].weight is not None
    assert torch.isfinite(model(torch.randn(3, 4, 16))).all()


def test_layer_scales_are_predicted() -> None:
    """The original leaves 18 of ConvNeXt's 182 tensors alone."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.scale = nn.Conv2d(3, 8, 3), nn.Parameter(torch.full((8, 1, 1), 1e-6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x) * self.scale

    with pytest.warns(NetloomWarning, match="a parameter in mul as weight of a norm"):
        found = small().predict(Scaled(), IMAGE)
    assert found.tensors["scale"].shape == (8, 1, 1) and not found.left
    assert bool(((found.tensors["scale"] > 0) & (found.tensors["scale"] < 2)).all())


@pytest.mark.parametrize("how", ["added", "fused", "transposed"])
def test_products_with_matrices_are_linear_layers(how: str) -> None:
    class Product(nn.Module):
        """A linear layer written by hand, its weight kept as (in, out)."""

        def __init__(self, old: nn.Linear) -> None:
            super().__init__()
            weight = old.weight if how == "transposed" else old.weight.t().contiguous()
            self.weight, self.bias = nn.Parameter(weight.detach()), nn.Parameter(old.bias.detach())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if how == "fused":
                return torch.addmm(self.bias, x, self.weight)
            return x @ (self.weight.t() if how == "transposed" else self.weight) + self.bias

    layers = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 10))
    products = nn.Sequential(*(Product(m) if isinstance(m, nn.Linear) else m for m in layers))
    x = torch.randn(3, 6)
    seen, expected = nl.ghn.hyper_graph(products, x), nl.ghn.hyper_graph(layers, x)
    assert (seen.types, seen.names, seen.shapes) == (expected.types, expected.names, expected.shapes)
    assert np.array_equal(seen.distances, expected.distances)
    with pytest.warns(NetloomWarning, match="as conv"):
        small()(products, x)
    small()(layers, x)
    torch.testing.assert_close(products(x), layers(x))


def test_a_residual_in_a_fused_product_is_no_bias() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.head = nn.Parameter(torch.eye(6)), nn.Linear(6, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.addmm(x, x.relu(), self.weight))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = small().predict(Residual(), torch.randn(3, 6))
    assert set(found.tensors) == {"head.weight", "head.bias"} and found.left == {"weight": "a parameter in addmm"}


def test_tied_parallel_and_frozen_models() -> None:
    for model in (Tied(), Parallel()):
        next(model.parameters()).requires_grad_(False)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        small()(model, IMAGE)
        assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_a_network_without_parameters_is_returned_as_it_is() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Flatten())
    assert small()(model, IMAGE) is model and small().predict(model, IMAGE).tensors == {}


def test_other_classes_are_warned_of() -> None:
    with pytest.warns(NetloomWarning, match="0.weight has 7 classes; the hypernetwork was made for 10 classes"):
        found = small().predict(nn.Sequential(nn.Linear(8, 7)), torch.zeros(1, 8))
    assert found.tensors["0.weight"].shape == (7, 8)


def test_class_layers_may_be_left_alone() -> None:
    model = a_network()
    before = model[6].weight.detach().clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small()(model, IMAGE, class_layers=False)
    assert torch.equal(model[6].weight, before)


def test_tokens_of_position_tables_follow_the_seed() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.zeros(1, 10, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.position

    ghn, example = small(), torch.zeros(1, 10, 8)
    first, again, other = (ghn.predict(Tokens(), example, seed=seed).tensors["position"] for seed in (0, 0, 1))
    assert torch.equal(first, again) and torch.equal(first[:, 1:], other[:, 1:]) and not torch.equal(first[:, 0], other[:, 0])


def test_a_gallery_of_families() -> None:
    ghn = small()
    for name in ("mobilenet_v3_small", "squeezenet1_1", "vit_b_16"):
        options: dict[str, Any] = {"num_classes": 10, **({"image_size": 64} if name == "vit_b_16" else {})}
        model = torchvision_model(name, **options)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            found = ghn.predict(model, torch.zeros(1, 3, 64, 64))
        assert len(found.tensors) >= 0.98 * len(dict(model.named_parameters())), name
        assert all(tensor.shape == dict(model.named_parameters())[key].shape for key, tensor in found.tensors.items())


# -- gradients and modes -----------------------------------------------------------------------------------------------------
def test_gradients_reach_every_part_of_the_hypernetwork() -> None:
    ghn = small().train()
    model = ghn(a_network(), IMAGE)
    nn.functional.cross_entropy(model(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 2, 3])).backward()
    missing = [name for name, parameter in ghn.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert missing == []


def test_a_network_may_be_filled_again() -> None:
    """In training mode time after time, and then for good."""
    ghn, model = small().train(), a_network()
    first = ghn(model, IMAGE)[0].weight
    with torch.no_grad():
        ghn.embed.weight.add_(1)
    second = ghn(model, IMAGE)[0].weight
    assert second.grad_fn is not None and not torch.equal(first, second)
    ghn.eval()(model, IMAGE)
    assert isinstance(model[0].weight, nn.Parameter) and torch.equal(model[0].weight, second)


def test_gradients_are_those_of_differences() -> None:
    torch.manual_seed(0)
    ghn = nl.ghn.GHN2((8, 8, 3, 3), 10, hid=8).double()
    graph = nl.trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1)), IMAGE)

    def loss() -> torch.Tensor:
        return sum((tensor.double() ** 2).sum() for tensor in ghn.predict(graph).tensors.values())  # type: ignore[return-value]

    loss().backward()
    for parameter in (ghn.gnn.gru.weight_ih, ghn.gnn.mlp_ve.fc[0].weight, ghn.embed.weight):
        assert parameter.grad is not None
        place = tuple(int(i) for i in np.unravel_index(int(parameter.grad.abs().argmax()), parameter.shape))
        with torch.no_grad():
            parameter[place] += 1e-6
            high = float(loss())
            parameter[place] -= 2e-6
            low = float(loss())
            parameter[place] += 1e-6
        assert (high - low) / 2e-6 == pytest.approx(float(parameter.grad[place]), rel=1e-4)


def test_filled_networks_use_statistics_of_the_batch() -> None:
    images = torch.randn(6, 3, 8, 8)
    model = small()(a_network(), IMAGE)
    assert model[1].training and not model[1].track_running_stats
    network = small()(nl.build(nl.trace(a_network(), IMAGE), seed=0).eval(), None)
    torch.testing.assert_close(network(images), model(images))
    plain = small()(a_network().eval(), IMAGE, batch_statistics=False)
    assert not plain[1].training


def test_parameters_without_values_cannot_be_filled() -> None:
    model = nn.Linear(4, 10, device="meta")
    with pytest.raises(HypernetworkError, match="weight and 1 more hold no values .device meta."):
        small()(model, torch.zeros(2, 4, device="meta"))
    small()(model.to_empty(device="cpu"), torch.zeros(2, 4))
    assert torch.isfinite(model.weight).all()


def test_a_graph_becomes_a_network() -> None:
    graph = nl.trace(a_network(), IMAGE)
    network = small()(graph)
    assert isinstance(network, nl.Network) and torch.equal(
        network.state_dict()["0.bias"], small().predict(graph).tensors["0.bias"]
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_shape": (64, 32, 3, 3)}, "max_shape = .64, 32, 3, 3.; expected four whole numbers"),
        ({"hid": 10}, "hid = 10; expected a multiple of 4"),
        ({"hypernet": "gcn"}, "hypernet = 'gcn'; expected gatedgnn, mlp or transformer"),
        ({"num_classes": 0}, "num_classes = 0; expected a whole number from 1"),
        ({"weight_norm": "yes"}, "weight_norm = 'yes'; expected True or False"),
        ({"layernorm": None}, "layernorm = None; expected True or False"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(HypernetworkError, match=said):
        small(**changes)
