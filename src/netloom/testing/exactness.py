"""Is a built network the model it was traced from? Bit for bit: outputs, gradients, buffers, random draws.

For tests of models that netloom has never seen; every function gives the differences found, as lines of text.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: Operators whose cost torch's own counter may leave out.
_RECURRENT = frozenset({"lstm", "gru", "rnn", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_cell"})
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def run(model: nn.Module, example: Any) -> Any:
    """Call ``model`` on example inputs: a dict is keywords, a tuple positional arguments, anything else the only one."""
    if isinstance(example, dict):
        return model(**example)
    return model(*example) if isinstance(example, tuple) else model(example)


def tensors_of(tree: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in nested containers, with its path; None and plain data are left out.

    >>> [path for path, _ in tensors_of({"a": (torch.zeros(2), None, [torch.ones(1)])})]
    ['a.0', 'a.2.0']
    """
    if isinstance(tree, Tensor):
        yield path or "output", tree
    elif isinstance(tree, Mapping):
        for key, child in tree.items():
            yield from tensors_of(child, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, tuple | list):
        for i, child in enumerate(tree):
            yield from tensors_of(child, f"{path}.{i}" if path else str(i))


def map_tensors(tree: Any, function: Any) -> Any:
    """The same plain containers with ``function`` of every tensor in its place."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: map_tensors(child, function) for key, child in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(map_tensors(child, function) for child in tree)
    return tree


def resize_batch(example: Any, batch: int) -> Any:
    """Example inputs for another batch size: rows of the example repeated, real numbers shifted so that rows differ.

    The batch is axis 0 of the first tensor; tensors that do not begin with that size are kept.

    >>> resize_batch((torch.zeros(2, 3), torch.zeros(5)), 4)[0].shape
    torch.Size([4, 3])
    """
    first = next(tensors_of(example), None)
    if first is None or not first[1].dim():
        return example
    have = first[1].shape[0]

    def resize(tensor: Tensor) -> Tensor:
        if not tensor.dim() or tensor.shape[0] != have:
            return tensor
        rows = tensor[torch.arange(batch) % have]
        if not rows.is_floating_point():
            return rows
        shift = torch.linspace(-0.5, 0.5, batch, dtype=rows.dtype).reshape(-1, *[1] * (rows.dim() - 1))
        return rows + shift

    return map_tensors(example, resize)


def stir(model: nn.Module, seed: int = 0) -> nn.Module:
    """Move all weights and running statistics off their initial values, in place.

    Zeros and ones of an initialisation (a last scale of zero, a mean of zero) would hide a forgotten branch.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter.dtype), alpha=0.02)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(torch.randn(buffer.shape, generator=generator).to(buffer.dtype), alpha=0.1)
            elif name.endswith("running_var"):
                buffer.mul_(torch.rand(buffer.shape, generator=generator).to(buffer.dtype) + 0.5)
    return model


def difference(expected: Tensor | None, found: Tensor | None) -> str:
    """What differs between two tensors; "" where they agree in dtype, shape and every bit.

    >>> difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]))
    '1 of 2 values differ, by at most 0.5'
    """
    if expected is None or found is None:
        return "" if expected is found else f"one is None, the other {'None' if found is None else tuple(found.shape)}"
    if (expected.dtype, expected.shape) != (found.dtype, found.shape):
        return f"{found.dtype} {tuple(found.shape)} in place of {expected.dtype} {tuple(expected.shape)}"
    a, b = expected.detach().contiguous(), found.detach().contiguous()
    if a.is_complex():
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    bits = _BITS[a.element_size()]
    wrong = a.reshape(-1).view(bits) != b.reshape(-1).view(bits) if a.numel() else torch.zeros(0)
    count = int(wrong.sum())
    if not count:
        return ""
    largest = float((a.double() - b.double()).abs().nan_to_num(nan=float("inf")).max())
    return f"{count} of {a.numel()} values differ, by at most {largest:.3g}"


def compare_values(expected: Any, found: Any) -> list[str]:
    """Differences between two nests of tensors: paths that only one has, and tensors whose bits differ."""
    theirs, ours = dict(tensors_of(expected)), dict(tensors_of(found))
    lines = [f"{path}: only in the model's" for path in theirs if path not in ours]
    lines += [f"{path}: only in the network's" for path in ours if path not in theirs]
    lines += [f"{path}: {text}" for path in theirs if path in ours and (text := difference(theirs[path], ours[path]))]
    return lines


def compare_eval(model: nn.Module, network: nn.Module, example: Any) -> list[str]:
    """Differences in evaluation mode, without gradients; both are left in evaluation mode."""
    with _plain_attention(), torch.no_grad():
        expected = _attempt(model.eval(), example)
        found = _attempt(network.eval(), example)
    return _raised(expected, found) or compare_values(expected, found)


def compare_train(model: nn.Module, network: nn.Module, example: Any, seed: int = 0) -> list[str]:
    """Differences after one forward and backward pass in training mode under one seed; a copy of ``model`` is used.

    Outputs, gradients of parameters and inputs, all buffers, and the state of the random generator are compared.
    """
    with _plain_attention(), torch.random.fork_rng(devices=[]):
        for differentiable in (True, False):
            reference = copy.deepcopy(model)
            expected, expected_state = _train_step(reference, example, seed, differentiable)
            # Some models refuse inputs that need gradients; then those of the parameters have to do.
            if not isinstance(expected, Exception):
                break
        found, found_state = _train_step(network, example, seed, differentiable)
    if lines := _raised(expected, found):
        return lines
    lines = compare_values(expected, found)
    if not torch.equal(expected_state, found_state):
        lines.append("random generator: left in another state")
    lines += _compare_named("gradient of", _gradients(reference), _gradients(network))
    theirs = dict(reference.named_buffers(remove_duplicate=False))
    lines += _compare_named("buffer", theirs, {k: v for k, v in network.named_buffers(remove_duplicate=False) if k in theirs})
    return lines


def compare_state(model: nn.Module, network: nn.Module) -> list[str]:
    """Differences between the two state_dicts: keys, their order, and the bits of their tensors."""
    theirs, ours = model.state_dict(), network.state_dict()
    lines = _compare_named("entry", _only_tensors(theirs), _only_tensors(ours))
    if not lines and list(theirs) != list(ours):
        moved = next((a, b) for a, b in zip(theirs, ours) if a != b)
        lines.append(f"state_dict: keys in another order, first {moved[1]!r} where the model has {moved[0]!r}")
    return lines


def compare_cost(model: nn.Module, graph: Graph, example: Any) -> list[str]:
    """Differences between the graph's parameters and FLOPs and torch's own count of the model.

    Recurrent operators may be in torch's count or not, depending on its version and the operator.
    """
    lines = []
    num_params = sum(parameter.numel() for parameter in model.parameters())
    if graph.num_params != num_params:
        lines.append(f"num_params: {graph.num_params} in place of {num_params}")
    expected = count_flops(model, example)
    recurrent = sum(node.flops for node in graph.nodes if node.op in _RECURRENT and node.step.mode != "train")
    if expected is not None and expected not in (graph.flops, graph.flops - recurrent):
        lines.append(f"flops: {graph.flops} in place of {expected}")
    return lines


def count_flops(model: nn.Module, example: Any) -> int | None:
    """FLOPs of one sample by torch's counter on the meta device; None where the model does not run there."""
    from torch.utils.flop_counter import FlopCounterMode

    meta = copy.deepcopy(model).eval().to("meta").requires_grad_(False)
    single = map_tensors(resize_batch(example, 1), lambda tensor: tensor.to("meta"))
    counter = FlopCounterMode(display=False)
    try:
        with _plain_attention(), torch.no_grad(), counter:
            run(meta, single)
    except Exception:
        # Whatever stops a model on meta tensors (asking for a value, most often) stops torch's count, not ours.
        return None
    return int(counter.get_total_flops())


def fingerprint(model: nn.Module) -> tuple[Any, ...]:
    """What tracing must leave alone: tensors, modes, attributes, and the state of torch's random generator."""
    parameters = [(key, zlib.crc32(_bytes(value))) for key, value in model.named_parameters(remove_duplicate=False)]
    buffers = [(key, zlib.crc32(_bytes(value))) for key, value in model.named_buffers(remove_duplicate=False)]
    modules = [(name, module.training, sorted(map(str, vars(module)))) for name, module in model.named_modules()]
    gradients = [key for key, parameter in model.named_parameters() if parameter.grad is not None]
    return parameters, buffers, modules, gradients, zlib.crc32(torch.get_rng_state().numpy().tobytes())


# -- the parts -----------------------------------------------------------------------------------------------------
@contextmanager
def _plain_attention() -> Iterator[None]:
    """Without the fused inference path of attention modules, which a network does not take."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _attempt(model: nn.Module, example: Any) -> Any:
    try:
        return run(model, example)
    except Exception as error:
        return error


def _raised(expected: Any, found: Any) -> list[str]:
    if isinstance(expected, Exception):
        return [f"the model itself raises {type(expected).__name__}: {expected}"]
    if isinstance(found, Exception):
        return [f"the network raises {type(found).__name__}: {found}"]
    return []


def _train_step(model: nn.Module, example: Any, seed: int, differentiable: bool) -> tuple[Any, Tensor]:
    """Outputs and the gradients of the inputs (of ``differentiable`` ones), and the generator's state after the step."""
    model.train()
    model.zero_grad(set_to_none=True)
    inputs = map_tensors(example, lambda t: t.detach().clone().requires_grad_(differentiable and t.is_floating_point()))
    torch.manual_seed(seed)
    output = _attempt(model, inputs)
    if isinstance(output, Exception):
        return output, torch.get_rng_state()
    losses = [_weighted(tensor) for _, tensor in tensors_of(output) if tensor.requires_grad]
    if losses:
        try:
            torch.stack(losses).sum().backward()
        except Exception as error:
            return error, torch.get_rng_state()
    gradients = [tensor.grad for _, tensor in tensors_of(inputs)]
    return {"output": output, "input gradient": gradients}, torch.get_rng_state()


def _weighted(tensor: Tensor) -> Tensor:
    """A scalar in which every element counts differently, so that no two gradients agree by symmetry."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    weights = torch.arange(real.numel(), dtype=torch.float32).cos().reshape(real.shape)
    return (real.float() * weights).sum()


def _gradients(model: nn.Module) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters(remove_duplicate=False)}


def _compare_named(what: str, theirs: Mapping[str, Tensor | None], ours: Mapping[str, Tensor | None]) -> list[str]:
    lines = [f"{what} {key!r}: missing" for key in theirs if key not in ours]
    lines += [f"{what} {key!r}: not in the model" for key in ours if key not in theirs]
    return lines + [f"{what} {key!r}: {text}" for key in theirs if key in ours and (text := difference(theirs[key], ours[key]))]


def _only_tensors(state: Mapping[str, Any]) -> dict[str, Tensor | None]:
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}


def _bytes(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    plain = torch.view_as_real(plain) if plain.is_complex() else plain
    return plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
