"""Comparing what two modules compute, to the bit: outputs, buffers, gradients, random draws."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tests.tracing.cases import Case


def call(module: Any, example: Any) -> Any:
    """The module on inputs in the form that ``nl.trace`` takes."""
    if isinstance(example, tuple):
        return module(*example)
    return module(**example) if isinstance(example, dict) else module(example)


def bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor, so that NaN equals itself and -0 differs from 0."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)


def same(found: Any, expected: Any, where: str = "output") -> None:
    """Fail, naming the place, unless two trees are equal in containers, types and every bit."""
    assert type(found) is type(expected), f"{where}: {type(found)} instead of {type(expected)}"
    if isinstance(expected, Tensor):
        assert found.dtype == expected.dtype and found.shape == expected.shape, (
            f"{where}: {found.dtype}{list(found.shape)} instead of {expected.dtype}{list(expected.shape)}"
        )
        assert found.requires_grad == expected.requires_grad, f"{where}: requires_grad is {found.requires_grad}"
        if not torch.equal(bits(found), bits(expected)):
            gap = (found.detach().to(torch.complex128) - expected.detach().to(torch.complex128)).abs().max()
            raise AssertionError(f"{where}: values differ by up to {gap.item():.3g}")
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            same(getattr(found, field.name), getattr(expected, field.name), f"{where}.{field.name}")
    elif isinstance(expected, dict):
        assert list(found) == list(expected), f"{where}: keys {list(found)} instead of {list(expected)}"
        for key, value in expected.items():
            same(found[key], value, f"{where}[{key!r}]")
    elif isinstance(expected, tuple | list):
        assert len(found) == len(expected), f"{where}: {len(found)} parts instead of {len(expected)}"
        for i, value in enumerate(expected):
            same(found[i], value, f"{where}[{i}]")
    else:
        assert found == expected, f"{where}: {found!r} instead of {expected!r}"


def tensors(tree: Any) -> list[Tensor]:
    """All tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if dataclasses.is_dataclass(tree):
        return [t for field in dataclasses.fields(tree) for t in tensors(getattr(tree, field.name))]
    if isinstance(tree, dict):
        return [t for value in tree.values() for t in tensors(value)]
    if isinstance(tree, tuple | list):
        return [t for value in tree for t in tensors(value)]
    return []


def replaced(tree: Any, function: Any) -> Any:
    """The tree with ``function`` of every tensor in its place."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(replaced(value, function) for value in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(replaced(value, function) for value in tree)
    if isinstance(tree, dict):
        return {key: replaced(value, function) for key, value in tree.items()}
    return tree


@dataclass(frozen=True, slots=True)
class Run:
    """What one training step shows: results, what it left behind, gradients, and where the generator stands."""

    output: Any
    state: dict[str, Tensor]
    buffers: dict[str, Tensor]
    gradients: dict[str, Tensor | None]
    generator: Tensor


def mode(case: Case, module: nn.Module, training: bool) -> nn.Module:
    """The module in training or evaluation mode, its parts in theirs."""
    module.train(training)
    if case.prepare is not None:
        case.prepare(module)
    return module


def training_run(case: Case, module: nn.Module, batch: int) -> Run:
    """One forward and backward step in training mode, everything seeded."""
    mode(case, module, True)
    example = case.example(batch)
    leaves = [t.requires_grad_() for t in tensors(example) if t.is_floating_point() or t.is_complex()]
    torch.manual_seed(7)
    # Clones, because models may write to their inputs, which torch forbids on leaves.
    output = call(module, replaced(example, lambda t: t.clone()))
    generator = torch.get_rng_state()
    loss = None
    torch.manual_seed(8)
    for tensor in tensors(output):
        if tensor.requires_grad:
            term = (tensor * torch.randn(tensor.shape)).sum()
            term = torch.view_as_real(term).sum() if term.is_complex() else term
            loss = term.double() if loss is None else loss + term.double()
    if loss is not None:
        loss.backward()
    gradients = {f"input {i}": leaf.grad for i, leaf in enumerate(leaves)}
    gradients |= {f"parameter {name}": p.grad for name, p in module.named_parameters()}
    state = {name: value.detach().clone() for name, value in module.state_dict().items()}
    buffers = {name: value.detach().clone() for name, value in module.named_buffers()}
    return Run(output, state, buffers, gradients, generator)


def same_runs(found: Run, expected: Run) -> None:
    """Fail unless two training steps agree in everything; buffers that only the reference made are not the network's."""
    same(found.output, expected.output)
    same(found.generator, expected.generator, "generator")
    same(found.state, expected.state, "state")
    same({k: v for k, v in found.buffers.items() if k in expected.buffers}, expected.buffers, "buffers")
    same(found.gradients, expected.gradients, "gradients")
