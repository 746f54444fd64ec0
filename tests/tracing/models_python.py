"""Python around the layers: hooks, modules and tensors where torch does not register them, caches, patched methods."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, nn, torch


@case(floats(6))
def output_hook() -> nn.Module:
    """A forward hook that changes what its layer returns."""
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    model[0].register_forward_hook(functools.partial(scale_output, factor=0.5))
    return model


def scale_output(module: nn.Module, inputs: Any, output: Tensor, factor: float) -> Tensor:
    """The hook of `output_hook`."""
    return output * factor


@case(floats(6))
def input_hooks() -> nn.Module:
    """Pre-hooks, with and without keywords, on a layer and on the whole."""
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    model[0].register_forward_pre_hook(shift_input)
    model.register_forward_pre_hook(double_input, with_kwargs=True)
    return model


def shift_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A pre-hook of `input_hooks`."""
    return (inputs[0] + 1,)


def double_input(module: nn.Module, args: Any, kwargs: Any) -> Any:
    """The other pre-hook of `input_hooks`."""
    return (args[0] * 2,), kwargs


@case(floats(3, 6, 6))
class FeaturesByHooks(nn.Module):
    """Hooks put inner results into a dict that forward then returns."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 4), nn.ReLU(), conv(4, 4), nn.ReLU())
        self.features: dict[str, Tensor] = {}
        for name in ("0", "2"):
            self.body.get_submodule(name).register_forward_hook(functools.partial(self.keep, name))

    def keep(self, name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.features[f"layer{name}"] = output

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.features = {}
        y = self.body(x)
        return {**self.features, "last": y}


@case(floats(6), fresh=False)
class ModulesInPlainList(nn.Module):
    """Layers in a Python list and a dict: not registered, so their weights are no part of the state."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(6, 6), nn.Linear(6, 6)]
        self.extra = {"out": nn.Linear(6, 3)}
        self.own = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        return self.extra["out"](self.own(x))


class Toolbox:
    """No module: it holds a layer and a tensor."""

    def __init__(self) -> None:
        self.offset = torch.linspace(-1, 1, 6)
        self.layer = nn.Linear(6, 6)

    def __call__(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.offset


@case(floats(6), fresh=False)
class HeldByAnObject(nn.Module):
    """Weights and constants inside a non-module object; its layer is registered under another name."""

    def __init__(self) -> None:
        super().__init__()
        self.tools = Toolbox()
        self.registered = self.tools.layer

    def forward(self, x: Tensor) -> Tensor:
        return self.tools(x)


@case(floats(6))
def tensor_in_closure() -> nn.Module:
    """A closure over a constant, set as an attribute; a tensor as a plain attribute; a module-level constant."""
    model = ClosureModel()
    weights = torch.arange(6.0)
    model.function = lambda x: x * weights
    return model


SCALES = torch.tensor([0.5, 1.0, 2.0])


class ClosureModel(nn.Module):
    """The model of `tensor_in_closure`."""

    function: Any

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.centre = torch.ones(6) * 0.1

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.function(x) - self.centre) * SCALES


@case(floats(4, 6))
class NumpyConstants(nn.Module):
    """Numbers and arrays from numpy, made in the constructor and in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.table = np.sin(np.arange(24).reshape(4, 6)).astype(np.float32)
        self.scale = np.float64(0.5)

    def forward(self, x: Tensor) -> Tensor:
        steps = int(np.ceil(x.shape[1] / np.int64(2)))
        window = torch.from_numpy(np.hanning(6).astype("float32"))
        return self.fc(x + torch.as_tensor(self.table)) * self.scale * window * steps + float(np.log(2.0))


@case(floats(5, 6))
class CachedOnFirstCall(nn.Module):
    """A table made on the first call and kept as an attribute; a mask grown when it is too short."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.table: Tensor | None = None
        self.masks: dict[int, Tensor] = {}

    def mask(self, length: int) -> Tensor:
        if length not in self.masks:
            self.masks[length] = torch.ones(length, length).tril()
        return self.masks[length]

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.sin(torch.arange(30.0)).view(5, 6)
        return self.mask(x.shape[1]) @ self.fc(x + self.table)


@case(floats(16, 6))
class BiasCachedInEvaluation(nn.Module):
    """LeViT: the bias is gathered once and kept in evaluation, gathered every time in training."""

    def __init__(self) -> None:
        super().__init__()
        self.biases = nn.Parameter(torch.randn(2, 16))
        points = torch.stack(torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")).flatten(1)
        gap = (points[..., :, None] - points[..., None, :]).abs()
        self.register_buffer("index", gap[0] * 4 + gap[1], persistent=False)
        self.cache: dict[str, Tensor] = {}
        self.fc = nn.Linear(6, 6)

    @torch.no_grad()
    def train(self, mode: bool = True) -> BiasCachedInEvaluation:
        super().train(mode)
        if mode and self.cache:
            self.cache = {}
        return self

    def bias(self, device: torch.device) -> Tensor:
        if torch.is_grad_enabled() and self.training:
            return self.biases[:, self.index]
        if str(device) not in self.cache:
            self.cache[str(device)] = self.biases[:, self.index]
        return self.cache[str(device)]

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc(x).view(x.shape[0], 16, 2, 3).transpose(1, 2)
        return ((y @ y.transpose(-2, -1) + self.bias(x.device)).softmax(-1) @ y).transpose(1, 2).flatten(2)


@torch.jit.script_if_tracing
def shuffled(x: Tensor, groups: int) -> Tensor:
    """A helper that scripts itself under torch.jit.trace alone."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


@case(floats(4, 6, 6))
class ScriptIfTracing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing() or torch.jit.is_scripting() or torch.compiler.is_exporting():
            return self.conv(x)
        return shuffled(self.conv(x), 2)


@case(floats(6))
class FunctionsAsAttributes(nn.Module):
    """Activations given as functions, partials, lambdas and builtins."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.acts = [F.relu, torch.tanh, functools.partial(F.elu, alpha=0.5), torch.Tensor.sin, abs]
        self.acts.append(functools.partial(torch.clamp, max=1))

    def forward(self, x: Tensor) -> Tensor:
        for act in self.acts:
            x = x + act(self.fc(x))
        return x


@case(floats(6))
class MadeInForward(nn.Module):
    """Stateless modules constructed at every call; parts of a Sequential cut out."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = nn.Tanh()(self.net[:2](x))
        return nn.Softmax(dim=-1)(self.net[2:](nn.Identity()(x))) * nn.Dropout(0.5).eval()(x)


class Wrapper(nn.Module):
    """Stands in front of a module and lends its attributes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


@case(floats(6))
class Wrapped(nn.Module):
    """Attributes found through a wrapper; a module called by ``.forward``; ``__call__`` overridden in one layer."""

    class Loud(nn.Linear):
        def __call__(self, x: Tensor) -> Tensor:
            return super().__call__(x) * 3

    def __init__(self) -> None:
        super().__init__()
        self.wrapped, self.loud = Wrapper(Wrapper(nn.Linear(6, 6))), self.Loud(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.wrapped(x) + x @ self.wrapped.weight + self.loud.forward(x) + self.loud(x)


def patched_forward(self: nn.Module, x: Tensor) -> Tensor:
    """Replaces the forward of one instance."""
    return F.linear(x, self.weight * 2, self.bias) - 1


@case(floats(6), compiled=False, exported=False)
def forward_patched() -> nn.Module:
    """One layer's forward is replaced on the instance."""
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    model[2].forward = patched_forward.__get__(model[2])
    return model


class AddedToSequential(nn.Sequential):
    """A Sequential with a forward and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 6), nn.ReLU())
        self.gain = nn.Parameter(torch.ones(6))

    def forward(self, input: Tensor) -> Tensor:
        return input + self.gain * super().forward(input)


@case(floats(6))
class OddNames(nn.Module):
    """Names that are no identifiers, shadow Python's and torch's, or look like netloom's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: nn.Linear(6, 6) for name in ("a-b", "class", "1", "it's", 'say "so"', "{x}", "@2")})
        self.layers["é ü"] = AddedToSequential()
        self.x, self.F, self.torch, self.self_ = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.input, self.graph, self.relu, self.lambda_ = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.add_module("print", nn.Linear(6, 6))
        self.register_parameter("return", nn.Parameter(torch.ones(6)))
        self.register_buffer("forward_", torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():
            x = F.relu(module(x)) if not isinstance(module, nn.ModuleDict) else sum(m(x) for m in module.values())
        return x * getattr(self, "return") + self.forward_


@case(floats(6))
class NamesOfNodes(nn.Module):
    """Children and buffers bear the names that a graph would give to calls, constants and second calls."""

    def __init__(self) -> None:
        super().__init__()
        self.constant, self.linear, self.relu_1 = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.register_buffer("constant_1", torch.ones(6))
        self.add_module("linear@2", nn.Linear(6, 6))
        self.offset = torch.linspace(0, 1, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.linear(F.relu(self.constant(x) + self.offset)))
        y = F.linear(y, self.linear.weight * self.constant_1) + torch.arange(6.0) + self.linear(y)
        return getattr(self, "linear@2")(F.relu(self.relu_1(y)))


@case(floats(6))
class ActivationOfConstants(nn.Module):
    """Inputs, parameters, buffers and cached tensors go straight into functions that could work in place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.plain = nn.Parameter(torch.randn(6, 6)), torch.randn(6)
        self.register_buffer("table", torch.randn(6))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        view = x.view(-1, 2, 3)
        flat = view.reshape(x.shape)
        y = F.relu(x) @ F.relu(self.weight) + F.relu(self.table) + F.relu(self.plain)
        same = self.plain.expand(x.shape[0], 6)
        return y, torch.tanh(flat), F.relu(view), torch.sigmoid(self.weight.t()), F.relu(same), F.dropout(x, 0.5, self.training)
