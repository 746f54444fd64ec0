"""What is asked of every edit, whatever it changes; and how outputs and weights are compared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

import netloom as nl
from netloom.building.network import full_state
from netloom.mutate import Edit, Plan
from netloom.mutate.atoms import NEW
from tests.mutate.small_models import small

#: Relative error at which two networks in double precision compute the same.
BOUND = 1e-9


def network(model: torch.nn.Module, example: Any) -> nl.Network:
    """The model as a network of netloom in evaluation mode, with its weights."""
    return nl.build(nl.trace(model, example), weights=model).eval()


@cache
def prepared(name: str) -> tuple[nl.Network, Any]:
    """A small model as a network, and inputs; edits leave it as it is."""
    model, inputs = small(name)
    return network(model, inputs), inputs


def outputs(model: torch.nn.Module, inputs: Any) -> list[Tensor]:
    """What a model gives, flat."""
    with torch.no_grad():
        return flat(model(**inputs) if isinstance(inputs, Mapping) else model(*inputs))


def flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping) or hasattr(value, "values"):
        value = list(value.values())
    return [tensor for part in value for tensor in flat(part)] if isinstance(value, list | tuple) else []


def distance(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference, relative to the largest entry of each output."""
    assert len(found) == len(expected)
    worst = 0.0
    for a, b in zip(found, expected):
        assert a.shape == b.shape
        if a.is_floating_point() and a.numel():
            a, b = a.nan_to_num(0, 0, 0), b.nan_to_num(0, 0, 0)
            worst = max(worst, float((a - b).abs().max() / b.abs().max().clamp_min(1e-3)))
        else:
            worst = max(worst, float(not torch.equal(a, b)))
    return worst


def equal(found: list[Tensor], expected: list[Tensor]) -> bool:
    return len(found) == len(expected) and all(torch.equal(a, b) for a, b in zip(found, expected))


def state(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter and buffer."""
    return {key: tensor.detach().clone() for key, tensor in full_state(model).items()}


def same_state(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def check_survivors(plan: Plan, old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> None:
    """Every weight that stays is what it was, bit for bit; where a factor makes up for new indices, times that factor."""
    for key, axes in plan.codes.items():
        if axes is None or key not in old:
            continue
        assert key in new, key
        was, now = old[key], new[key]
        for axis, codes in enumerate(axes):
            indices = torch.tensor(plan.indices(key, axis))
            assert len(indices) == now.shape[axis], key
            if codes is not None:
                now = now.index_select(axis, (indices >= 0).nonzero()[:, 0])
                was = was.index_select(axis, indices[indices >= 0])
        moves = [stage.moves[key] for stage in plan.stages if key in stage.moves]
        if any(any(move.shared) for move in moves):
            continue  # Copies share what their original had: the sums are compared by the outputs.
        factor = 1.0
        for move in moves:
            factor *= move.scale
        if factor == 1.0:
            assert torch.equal(now, was), key
        else:
            assert torch.allclose(now, was * factor, rtol=1e-12, atol=0), key


def check_plan(edit: Edit, old: Mapping[str, Tensor]) -> None:
    """The plan is data: it survives JSON, and applied to the old state it gives the new network's."""
    plan, new = edit.plan, state(edit.result)
    again = Plan.from_json(plan.to_json())
    assert again.graph == plan.graph and again.before == plan.before and again.reasons == plan.reasons
    for each in (plan, again):
        applied = each.apply(old)
        for key, entry in plan.graph.tensors.items():
            if entry.alias_of is None and entry.constant is None:
                assert torch.equal(applied[key], new[key]), key
    assert str(plan)


def check_undo(edit: Edit, old: Mapping[str, Tensor]) -> None:
    """Taken back untrained, a plan gives the old network's state: to the bit, or to the last digit where shares are summed."""
    plan = edit.plan
    back = plan.undo(plan.apply(old), old)
    for key, entry in plan.before.tensors.items():
        if entry.alias_of is not None or entry.constant is not None:
            continue
        moves = [stage.moves[key] for stage in plan.stages if key in stage.moves]
        if any(any(move.shared) or move.scale != 1.0 for move in moves):
            assert torch.allclose(back[key], old[key], rtol=1e-12, atol=1e-14), key
        else:
            assert torch.equal(back[key], old[key]), key


def check_edit(edit: Edit, inputs: Any) -> list[Tensor]:
    """Hold the edit of a network to all of that; gives what the edited network computes in evaluation mode.

    The graph is valid; the network runs in both modes, trains, and traces to the graph; what survives is bit-equal;
    where the plan says so, it computes what the network did; the network itself is as it was.
    """
    model, plan, new = edit.subject.model, edit.plan, edit.result
    old = state(model)
    edit.graph.check()
    found = outputs(new.eval(), inputs)
    assert nl.trace(new, inputs).hash == edit.graph.hash
    check_survivors(plan, old, state(new))
    check_plan(edit, old)
    check_undo(edit, old)
    if plan.preserving:
        assert distance(found, outputs(model.eval(), inputs)) < BOUND
    new.train()
    results = flat(new(**inputs) if isinstance(inputs, Mapping) else new(*inputs))
    total = sum((each.square().sum() for each in results if each.requires_grad), torch.zeros(()))
    if total.requires_grad:
        total.backward()  # type: ignore[no-untyped-call]
    new.eval()
    assert same_state(state(model), old)
    return found


def new_part(plan: Plan, key: str, tensor: Tensor) -> Tensor:
    """Which entries of a tensor of the edited network stand at new indices."""
    mask = torch.zeros(tensor.shape, dtype=torch.bool)
    for axis, codes in enumerate(plan.codes[key] or ()):
        if codes is not None:
            mask.index_fill_(axis, torch.from_numpy((codes <= NEW).nonzero()[0]), True)
    return mask
