"""`GHN1`, `GHN2`, `MLP` and `GHN3`: networks that predict the parameters of other networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .batching import Union, union
from .config import CONV, GATED, PERCEPTRON, TRANSFORMER, Config
from .decoding import CentredDecoder, ConvDecoder, Decoder, DenseDecoder
from .gated_gnn import GatedGNN, Perceptron
from .graphormer import Transformer
from .primitives import PRIMITIVES
from .shape_encoding import ShapeEncoder
from .viewing import HyperGraph

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from .prediction import Prediction


class Hypernetwork(nn.Module):
    """Predicts the parameters of networks from their graphs; use `GHN1`, `GHN2`, `MLP` or `GHN3`, or `load`.

    ``ghn(model, example_inputs)`` fills a network. ``ghn.predict(…)`` gives the tensors, ``ghn.embed_nodes(…)`` the states of
    nodes.
    In training mode what is predicted carries gradients back to the hypernetwork.
    """

    config: Config
    #: What it was trained on: ``task``, ``normalization`` and so on; empty where a file does not say.
    about: dict[str, Any]

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.about = config, {}
        hid, max_shape, num_classes = config.hid, config.max_shape, config.num_classes
        most = max(max_shape[:2])
        # In this order, so that a seed makes the weights that it makes in the original.
        if config.layernorm:
            self.ln = nn.LayerNorm(hid)
        self.embed = nn.Embedding(len(PRIMITIVES), hid)
        self.shape_enc = ShapeEncoder(hid, num_classes, max_shape[2])
        self.gnn = _messages(config)
        decoders: dict[tuple[str, bool], type[Any]] = {(CONV, False): ConvDecoder, (CONV, True): CentredDecoder}
        kind = decoders.get((config.decoder, config.hypernet == TRANSFORMER), DenseDecoder)
        self.decoder: Decoder = kind(hid, max_shape, num_classes)
        self.decoder_1d = Perceptron((hid, 2 * hid, 2 * most), last_activation=False)
        self.bias_class = nn.Sequential(nn.ReLU(), nn.Linear(most, num_classes))

    # -- states ----------------------------------------------------------------------------------------------------
    def union(self, views: Sequence[HyperGraph]) -> Union:
        """Several views as one, with what this hypernetwork needs to go over it."""
        gated = self.config.hypernet == GATED
        return union(views, sweeps=gated, virtual=self.config.ve, device=self.embed.weight.device)

    def states(self, views: Sequence[HyperGraph] | Union) -> Tensor:
        """(N, hid) states of all nodes of the views after message passing."""
        batch = views if isinstance(views, Union) else self.union(views)
        shapes = [shape for view in batch.graphs for shape in view.shapes]
        places = torch.from_numpy(self.shape_enc.places(shapes)).to(self.embed.weight.device)
        x = self.embed(batch.types) + self.shape_enc(places)
        x = self.gnn(x) if self.config.hypernet == PERCEPTRON else self.gnn(x, batch)
        found: Tensor = self.ln(x) if self.config.layernorm else x
        return found

    def embed_nodes(self, model_or_graph: Any, example: Any = None) -> Tensor:
        """(nodes, hid) states of the nodes of one network, in the order of `hyper_graph`."""
        from .prediction import view_of

        return self.states([view_of(model_or_graph, example, self.config)[1]])

    # -- parameters ------------------------------------------------------------------------------------------------
    def predict(self, model_or_graph: Any, example: Any = None, **options: Any) -> Prediction:
        """The predicted tensors by name, with gradients where the hypernetwork's are on. See `prediction.predict`."""
        from .prediction import predict

        return predict(self, [model_or_graph], [example], **options)[0]

    def forward(
        self,
        model_or_graph: Any,
        example_inputs: Any = None,
        *,
        class_layers: bool = True,
        batch_statistics: bool | None = None,
        keep_grads: bool | None = None,
        seed: int = 0,
    ) -> nn.Module:
        """Fill the parameters of a network with predicted ones, and return it.

        Takes any nn.Module with an example of its inputs, a `Network`, or a `Graph` (of which a network is made). Parameters
        that no
        rule covers keep their values, and one `NetloomWarning` says which. ``class_layers=False`` leaves the last layers
        alone, for fine-tuning. ``batch_statistics`` makes batch norms use those of the batch (they have no others yet; by
        default for
        all but GHN-3). ``keep_grads`` puts tensors in place that lead back to the hypernetwork (by default in
        training mode); else values are copied. ``seed`` draws class tokens in front of position tables.

        >>> import torch, netloom as nl
        >>> ghn = nl.ghn.GHN2(max_shape=(16, 16, 3, 3), num_classes=10, hid=8).eval()
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 10))
        >>> ghn(model, torch.zeros(1, 3, 8, 8))(torch.zeros(5, 3, 8, 8)).shape
        torch.Size([5, 10])
        """
        from .filling import fill

        return fill(
            self, model_or_graph, example_inputs, class_layers=class_layers, batch_statistics=batch_statistics,
            keep_grads=self.training if keep_grads is None else keep_grads, seed=seed,
        )  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write configuration and weights as one safetensors file, which `load` reads."""
        from .files import save

        return save(self, path)

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether networks that it fills are meant to be evaluated with statistics of the batch."""
        return self.config.hypernet != TRANSFORMER

    def _adopt(self, name: str) -> None:
        """Become the published hypernetwork of a name (``GHN2("cifar10")``)."""
        from .loading import load

        found = load(name)
        if not isinstance(found, type(self)):
            from ..errors import HypernetworkError

            raise HypernetworkError(f"{name!r} is a {type(found).__name__}, not a {type(self).__name__}; use nl.ghn.load")
        nn.Module.__init__(self)
        self.__dict__.update(found.__dict__)


def _messages(config: Config) -> nn.Module:
    if config.hypernet == TRANSFORMER:
        return Transformer(config.hid, config.layers, config.heads)
    if config.hypernet == PERCEPTRON:
        return Perceptron((config.hid, config.hid, config.hid))
    return GatedGNN(config.hid, config.ve)


_CIFAR = (64, 64, 11, 11)


class GHN2(Hypernetwork):
    """GHN-2: a gated graph network with virtual edges, layer norm and scaled predictions (Knyazev et al., 2021).

    ``GHN2("cifar10")`` and ``GHN2("imagenet")`` are the published ones.
    """

    _prefix = "ghn2"

    def __init__(
        self, max_shape: tuple[int, int, int, int] | str = _CIFAR, num_classes: int = 10, hypernet: str = GATED,
        decoder: str = CONV, weight_norm: bool = True, ve: bool = True, layernorm: bool = True, hid: int = 32,
    ) -> None:  # fmt: skip
        if isinstance(max_shape, str):
            self._adopt(f"{self._prefix}_{max_shape}")
            return
        super().__init__(Config(max_shape, num_classes, hypernet, decoder, weight_norm, ve, layernorm, hid))


class GHN1(GHN2):
    """GHN-1: the same without virtual edges, layer norm and scaling (Zhang et al., 2019, as trained by Knyazev et al.)."""

    _prefix = "ghn1"

    def __init__(
        self, max_shape: tuple[int, int, int, int] | str = _CIFAR, num_classes: int = 10, hypernet: str = GATED,
        decoder: str = CONV, weight_norm: bool = False, ve: bool = False, layernorm: bool = False, hid: int = 32,
    ) -> None:  # fmt: skip
        super().__init__(max_shape, num_classes, hypernet, decoder, weight_norm, ve, layernorm, hid)


class MLP(GHN2):
    """The same as GHN-2 but for messages: each parameter is predicted from its own type and shape alone."""

    _prefix = "mlp"

    def __init__(
        self, max_shape: tuple[int, int, int, int] | str = _CIFAR, num_classes: int = 10, hypernet: str = PERCEPTRON,
        decoder: str = CONV, weight_norm: bool = True, ve: bool = True, layernorm: bool = True, hid: int = 32,
    ) -> None:  # fmt: skip
        super().__init__(max_shape, num_classes, hypernet, decoder, weight_norm, ve, layernorm, hid)


class GHN3(Hypernetwork):
    """GHN-3: transformer layers in place of the gated network (Knyazev et al., 2023).

    T is ``hid=64, layers=3, heads=8``, S ``128, 5, 16``, L ``256, 12, 16``, XL ``384, 24, 16``; max_shape is (hid, hid, 16,
    16) for ImageNet. ``GHN3("ghn3tm8")`` is a published one.
    """

    def __init__(
        self, max_shape: tuple[int, int, int, int] | str = (64, 64, 16, 16), num_classes: int = 1000, hid: int = 64,
        layers: int = 3, heads: int = 8, weight_norm: bool = True, ve: bool = True, layernorm: bool = True,
    ) -> None:  # fmt: skip
        if isinstance(max_shape, str):
            self._adopt(max_shape)
            return
        super().__init__(Config(max_shape, num_classes, TRANSFORMER, CONV, weight_norm, ve, layernorm, hid, layers, heads))
        self._settle()

    def _settle(self) -> None:
        """Small first predictions, and embeddings of one size: what keeps large ones stable."""
        for layer in (self.decoder_1d.fc[-1], self.decoder.conv[2], self.decoder.class_layer_predictor[1]):  # type: ignore[union-attr]
            with torch.no_grad():
                layer.weight.div_(5)  # type: ignore[operator, union-attr]
                layer.bias.zero_()  # type: ignore[operator, union-attr]
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=module.weight.shape[1] ** -0.5)


KINDS: dict[str, Any] = {"ghn1": GHN1, "ghn2": GHN2, "mlp": MLP, "ghn3": GHN3}


def made(config: Config) -> Hypernetwork:
    """The hypernetwork of a configuration, of the class that says what it is."""
    settings = config.with_(ve_cutoff=50).to_dict()
    if config.hypernet == TRANSFORMER:
        del settings["hypernet"], settings["decoder"]
    kind = GHN3 if config.hypernet == TRANSFORMER else MLP if config.hypernet == PERCEPTRON else GHN2 if config.ve else GHN1
    found: Hypernetwork = kind(**settings)
    found.config = config
    return found
