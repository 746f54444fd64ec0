"""What cannot be traced is refused with the model's own line, and with what to do about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netloom as nl
from netloom.errors import NetloomError, TraceError

pytestmark = pytest.mark.filterwarnings("ignore")


class Model(nn.Module):
    """A linear layer around a function that is in the way of tracing."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.fc, self.function = nn.Linear(6, 6), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.fc(x))


def branch(y: Tensor) -> Tensor:
    if y.sum() > 0:
        return y
    return -y


def loop(y: Tensor) -> Tensor:
    while y.abs().max() > 1:
        y = y / 2
    return y


def item(y: Tensor) -> Tensor:
    return y * y.mean().item()


def listed(y: Tensor) -> Tensor:
    return y * sum(y[0].tolist())


def integer(y: Tensor) -> Tensor:
    return y[:, : int(y.argmax())]


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def goes_back(y: Tensor) -> Tensor:
    y.sum().backward()
    return y


def slope_of_nothing(y: Tensor) -> Tensor:
    return torch.autograd.grad(y.sum(), torch.ones(3, requires_grad=True))[0]


def custom_in_map(y: Tensor) -> Tensor:
    return torch.vmap(Doubled.apply)(y)


def to_float(y: Tensor) -> Tensor:
    return y * float(y.max())


def as_index(y: Tensor) -> Tensor:
    return y * [1, 2, 3, 4, 5, 6, 7][y[0].argmax()]


def to_numpy(y: Tensor) -> Tensor:
    return y + torch.from_numpy(y.detach().numpy())


def contains(y: Tensor) -> Tensor:
    return y if 0.5 in y else y * 2


def compared(y: Tensor) -> Tensor:
    return y if torch.allclose(y, y * 1.5) else y * 2


def nonzero(y: Tensor) -> Tensor:
    return y.flatten()[y.flatten().nonzero()[:, 0]].sum()


def selected(y: Tensor) -> Tensor:
    return torch.masked_select(y, y > 0).mean()


def mask_index(y: Tensor) -> Tensor:
    return y[y > 0].sum()


def unique(y: Tensor) -> Tensor:
    return y.round().unique().sum()


def where_rows(y: Tensor) -> Tensor:
    return y[torch.where(y[:, 0] > 0)[0]].sum(0)


def repeated(y: Tensor) -> Tensor:
    return torch.repeat_interleave(y, (y[0] > 0).long() + 1, dim=1).sum(1)


DATA = [branch, loop, item, listed, integer, to_float, as_index, to_numpy, contains, compared]
SHAPES = [nonzero, selected, mask_index, unique, where_rows, repeated]


@pytest.mark.parametrize("function", DATA, ids=lambda f: f.__name__)
def test_decision_on_data_is_refused_with_its_line(function: Callable[[Tensor], Any]) -> None:
    """The message quotes file, line and source of the model, and names a way out."""
    with pytest.raises(TraceError) as caught:
        nl.trace(Model(function), torch.randn(2, 6))
    message = str(caught.value)
    lines, first = inspect.getsourcelines(function)
    quoted = [i for i, line in enumerate(lines) if f"{Path(__file__).name}:{first + i}" in message and line.strip() in message]
    assert quoted, message
    assert "specialize=True" in message or "torch.where" in message, message


@pytest.mark.parametrize(
    "function, mend",
    [(goes_back, "torch.autograd.grad"), (slope_of_nothing, "x.requires_grad_()"), (custom_in_map, "the whole batch")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_derivatives_that_no_graph_can_hold_are_refused(function: Callable[[Tensor], Any], mend: str) -> None:
    with pytest.raises(TraceError) as caught:
        nl.trace(Model(function), torch.randn(2, 6))
    assert Path(__file__).name in str(caught.value) and mend in str(caught.value), str(caught.value)


@pytest.mark.parametrize("function", SHAPES, ids=lambda f: f.__name__)
def test_shape_that_depends_on_data_is_exact_or_refused(function: Callable[[Tensor], Any]) -> None:
    """Where the number of results hangs on the data, the graph computes it for every input, or tracing says no."""
    model = Model(function)
    try:
        graph = nl.trace(model, torch.randn(2, 6))
    except TraceError as error:
        lines, first = inspect.getsourcelines(function)
        assert any(f"{Path(__file__).name}:{first + i}" in str(error) for i in range(len(lines))), str(error)
        return
    net = nl.build(graph, weights=model)
    for seed in range(4):
        torch.manual_seed(seed)
        x = torch.randn(2, 6) * 3
        assert torch.equal(net(x), model(x))


def test_decision_on_data_can_be_frozen() -> None:
    """``specialize=True`` takes the example's way and says so in the notes."""
    torch.manual_seed(0)
    graph = nl.trace(Model(branch), torch.randn(2, 6), specialize=True)
    assert any(Path(__file__).name in note for note in graph.notes), graph.notes


class Growing(nn.Module):
    """A cache that every call makes longer: no two calls are one computation."""

    cache: Tensor

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.register_buffer("cache", torch.zeros(1, 6), persistent=persistent)

    def forward(self, x: Tensor) -> Tensor:
        self.cache = torch.cat([self.cache, x.detach().mean(0, keepdim=True)])
        return x + self.cache.sum(0)


@pytest.mark.parametrize("persistent", [False, True])
def test_a_buffer_that_grows_is_left_as_it_is_and_named(persistent: bool) -> None:
    model = Growing(persistent)
    graph = nl.trace(model, torch.randn(2, 6))
    assert any("buffer 'cache' is left as it is" in note for note in graph.notes), graph.notes
    network, x = nl.build(graph, weights=model), torch.randn(3, 6)
    first = model(x)
    assert torch.equal(network(x), first) and torch.equal(network(x), first)


def test_decision_on_constants_is_no_matter_of_data() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            steps = torch.linspace(0, 1, 4)
            return self.fc(x) * len(steps.tolist()) if bool((torch.diff(steps) > 0).all()) else x

    model = Constant()
    x = torch.randn(3, 6)
    assert torch.equal(nl.build(nl.trace(model, torch.randn(2, 6)), weights=model)(x), model(x))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.embed = nn.Linear(6, 4), nn.Embedding(10, 4)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        return self.fc(x) + self.embed(tokens)


GOOD = (torch.randn(2, 6), torch.tensor([1, 2]))
WRONG: dict[str, tuple[Any, str]] = {
    "features": ((torch.randn(2, 5), GOOD[1]), "5"),
    "dtype": ((GOOD[0].double(), GOOD[1]), "float64|double|Double"),
    "float tokens": ((GOOD[0], torch.randn(2)), "Float|float|int"),
    "one missing": (GOOD[0], "tokens"),
    "one too many": ((*GOOD, torch.randn(2)), "argument"),
    "unknown keyword": ({"x": GOOD[0], "tokens": GOOD[1], "mask": GOOD[0]}, "mask"),
    "keyword missing": ({"x": GOOD[0]}, "tokens"),
    "numpy": (GOOD[0].numpy(), "ndarray"),
    "string": ("image.png", "str"),
    "None": (None, "None"),
    "empty tuple": ((), "x"),
    "empty dict": ({}, "x"),
    "only numbers": ((1.0, 2), "tensor"),
    "shape instead of tensor": ((3, 32, 32), "argument|tensor"),
    "array inside": ((GOOD[0].numpy(), GOOD[1]), "ndarray"),
    "meta example of wrong shape": ((torch.empty(2, 5, device="meta"), GOOD[1]), "5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_example_inputs(name: str) -> None:
    import re

    example, expected = WRONG[name]
    with pytest.raises(TraceError) as caught:
        nl.trace(TwoInputs(), example)
    assert re.search(expected, str(caught.value)), str(caught.value)


def test_not_a_module() -> None:
    for wrong in (torch.relu, {"weight": torch.ones(2)}, nn.Linear, None, torch.ones(2)):
        with pytest.raises(TraceError, match="Module"):
            nl.trace(wrong, torch.randn(2, 6))  # type: ignore[arg-type]


def test_inputs_on_another_device_than_the_model() -> None:
    """Weights without numbers cannot be compared with real ones, but the architecture is there: traced, or refused in words."""
    model = nn.Linear(6, 4)
    for device_of_model, device_of_input in (("cpu", "meta"), ("meta", "cpu")):
        try:
            graph = nl.trace(model.to(device_of_model), torch.empty(2, 6, device=device_of_input))
        except TraceError as error:
            assert "device" in str(error) or "meta" in str(error)
        else:
            assert [node.op for node in graph.nodes] == ["input", "linear"]


class Raises(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.fc, self.error = nn.Linear(6, 6), error

    def forward(self, x: Tensor) -> Tensor:
        self.fc(x)
        raise self.error


ERRORS = [ValueError("too cold"), KeyError("gate"), ZeroDivisionError(), StopIteration("no"), AssertionError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_model_that_raises(error: Exception) -> None:
    with pytest.raises(TraceError) as caught:
        nl.trace(Raises(error), torch.randn(2, 6))
    message = str(caught.value)
    assert "raise self.error" in message and type(error).__name__ in message and str(error) in message
    assert caught.value.__cause__ is not None


def test_model_without_forward() -> None:
    class Nothing(nn.Module):
        pass

    with pytest.raises(TraceError):
        nl.trace(Nothing(), torch.randn(2, 6))


def test_result_without_tensors() -> None:
    with pytest.raises(NetloomError, match="tensor|output"):
        nl.trace(Model(lambda y: "nothing"), torch.randn(2, 6))


def test_result_of_an_unknown_kind() -> None:
    """An object that cannot be taken apart is named."""
    with pytest.raises(NetloomError, match="Opaque"):
        nl.trace(Model(lambda y: Opaque(y)), torch.randn(2, 6))


class Opaque:
    """Holds a tensor where nobody looks."""

    __slots__ = ("value",)

    def __init__(self, value: Tensor) -> None:
        self.value = value


def test_lazy_modules_are_named() -> None:
    """Lazy layers have no weights yet: run the model once first."""
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU())
    with pytest.raises(TraceError, match="once|initiali|lazy|Lazy"):
        nl.trace(model, torch.randn(2, 6))
    assert isinstance(model[0].weight, nn.UninitializedParameter)


def test_torch_is_left_whole_after_failures() -> None:
    """Whatever tracing patches is put back when a model fails."""
    before = (nn.Module.__call__, torch.autograd.Function.__dict__["apply"], torch.vmap, torch.compiler.is_compiling)
    models, example = (Raises(ValueError("x")), Model(branch), Model(item)), torch.randn(2, 6)
    seed = torch.get_rng_state()
    for model in models:
        with pytest.raises(TraceError):
            nl.trace(model, example)
    assert before == (nn.Module.__call__, torch.autograd.Function.__dict__["apply"], torch.vmap, torch.compiler.is_compiling)
    assert torch.equal(seed, torch.get_rng_state()) and torch.is_grad_enabled()
    assert torch._C._len_torch_function_stack() == 0


class Bounded(nn.Module):
    """Works on the first ``length`` columns of a copy of its input, where the length is a tensor."""

    def __init__(self, function: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("length", torch.tensor(2))

    def forward(self, x: Tensor) -> Any:
        return self.function(x.clone(), self.length)


def assigned(x: Tensor, length: Tensor) -> Tensor:
    x[:, :length] = 1.0
    return x * 2


def only_the_part(x: Tensor, length: Tensor) -> Tensor:
    part = x[:, :length]
    part.mul_(3)
    return part + 1


def added(x: Tensor, length: Tensor) -> Tensor:
    x[:, :length] += 1.0
    return x


def through_a_part(x: Tensor, length: Tensor) -> Tensor:
    x[:, :length].mul_(2)
    return x


def under_a_part(x: Tensor, length: Tensor) -> Tensor:
    part = x[:, :length]
    x.mul_(2)
    return part


@pytest.mark.parametrize("function", [assigned, only_the_part])
def test_writes_at_computed_places_are_kept(function: Any) -> None:
    model, x = Bounded(function), torch.randn(3, 4)
    network = nl.build(nl.Graph.from_text(nl.trace(model, x).to_text()), weights=model)
    assert torch.equal(network(x), model(x))


@pytest.mark.parametrize("function", [added, through_a_part, under_a_part])
def test_writes_that_cannot_be_followed_are_refused_not_lost(function: Any) -> None:
    with pytest.raises(TraceError, match=r"read after its memory was changed.*test_errors\.py.*write to a clone"):
        nl.trace(Bounded(function), torch.randn(3, 4))


class Watched(nn.Module):
    """Gradients are looked at by one hook, halved by another."""

    def __init__(self, halve: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 3)
        self.seen: list[Any] = []
        self.first.register_full_backward_hook(lambda module, given, got: self.seen.append(got))
        if halve:
            self.last.register_full_backward_hook(lambda module, given, got: (given[0] * 0.5,))

    def forward(self, x: Tensor) -> Any:
        return self.last(torch.relu(self.first(x)))


def test_backward_hooks_are_left_out_and_named() -> None:
    model, x = Watched(halve=True), torch.randn(3, 6)
    graph = nl.trace(model, x)
    assert graph.notes == tuple(f"backward hooks of Linear {name!r} are left out" for name in ("first", "last"))
    assert torch.equal(nl.build(graph, weights=model)(x), model(x))
    model(x).sum().backward()
    assert len(model.seen) == 1, "the model's own hooks are still there"
