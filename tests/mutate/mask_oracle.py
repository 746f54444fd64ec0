"""What a network gives when the contributions of some indices are zeroed: the measure of a removal.

`masked` writes zeros into every value where it carries a removed index. `check_removal` holds `shrink` against it: the smaller
graph is valid, its network runs, its weights are those that stay, and its output is that of the masked network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

import netloom as nl
from netloom.graph.graph import Step
from netloom.graph.table import Constant, TensorEntry
from netloom.graph.tree import map_leaves
from netloom.mutate import Dimensions, analyse, gather, shrink
from netloom.mutate.atoms import atoms_of, kept_indices
from netloom.mutate.shrinking import Gather
from netloom.ops import DType, Edge, TensorType, Weight, operator
from netloom.ops.dims import labels


def masked(dims: Dimensions, kept: Mapping[str, Sequence[int]]) -> nl.Graph:
    """The graph with zeros in every value at the indices that are to go."""
    graph, renamed = dims.graph, {}
    steps: list[Step] = []
    table = dict(graph.tensors)

    def follow(leaf: Any) -> Any:
        return renamed.get(leaf, leaf) if type(leaf) is Edge else leaf

    for step in graph.steps:
        args = {name: _renamed(value, renamed) for name, value in step.args.items()}
        steps.append(Step(step.name, step.op, args, step.scope, step.mode, step.grad, step.autocast))
        for k, type_ in enumerate(graph.types(step.name)):
            row = dims.of(Edge(step.name, k))
            touched = [i for i, axis in enumerate(row) if any(atom in kept for atom in atoms_of(axis))]
            if not type_.dtype.startswith("float"):
                continue
            # An axis of free size (batch · heads) is a view of one that is masked as well.
            touched = [i for i in touched if isinstance(type_.shape[i], int)]
            current = Edge(step.name, k)
            for i in touched:
                name, key = f"{step.name}~{k}~{i}", f"{step.name}~{k}~{i}~value"
                alive = set(kept_indices(row[i], dims.sizes, kept))
                shape = (type_.shape[i], *(1,) * (type_.rank - i - 1))
                data = bytes(j not in alive for j in range(type_.shape[i]))
                mask = TensorType("bool", shape)
                table[key] = TensorEntry(mask, "buffer", requires_grad=False, constant=Constant.of(mask, data))
                constant = {"value": Weight(key), "dtype": DType("bool"), "shape": shape}
                steps.append(Step(f"{name}~mask", "constant", constant, mode=step.mode))
                steps.append(
                    Step(name, "masked_fill", {"x": current, "mask": Edge(f"{name}~mask"), "value": 0.0}, mode=step.mode)
                )
                current = Edge(name)
            if touched:
                renamed[Edge(step.name, k)] = current
    result, train = map_leaves(graph.result, follow), map_leaves(graph.train_result, follow)
    return nl.Graph.make(steps, table, graph.arguments, result, train_result=train, symbols=graph.symbols)


def _renamed(value: Any, renamed: Mapping[Edge, Edge]) -> Any:
    if type(value) is Edge:
        return renamed.get(value, value)
    if type(value) is tuple:
        return tuple(_renamed(part, renamed) for part in value)
    return value


def is_exact(dims: Dimensions, kept: Mapping[str, Sequence[int]]) -> bool:
    """Whether zeros are as good as nothing everywhere: no operator couples the indices of an axis that changes."""
    return not any(atom in kept for step in dims.graph.steps for axis in _coupled(dims, step) for atom in atoms_of(axis))


def _coupled(dims: Dimensions, step: Step) -> Iterator[Any]:
    """Those axes of its operands and results along which an operator couples indices, zeros too."""
    types, outputs = dims.graph.operands(step), dims.graph.types(step.name)
    rule = operator(step.op).dims(types, outputs)
    coupled = {label for label, kind in rule.coupled.items() if kind != "zeros"}
    places: list[tuple[Any, Any]] = [(Edge(step.name, k), row) for k, row in enumerate(rule.outputs)]
    for name, rows in rule.operands.items():
        value = step.args[name]
        places += zip(value, rows) if isinstance(value, tuple) and type(value) is not Edge else [(value, rows)]
    for ref, row in places:
        if type(ref) in (Edge, Weight):
            axes = dims.of(ref if type(ref) is Edge else ref.key)
            yield from (axis for axis, own in zip(axes, row) if not coupled.isdisjoint(labels(own)))


def comparable(dims: Dimensions, kept: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """Those atoms of a removal whose mask is exact."""
    return {name: indices for name, indices in kept.items() if is_exact(dims, {name: indices})}


def check_removal(
    graph: nl.Graph,
    kept: Mapping[str, Sequence[int]],
    inputs: Any,
    dims: Dimensions | None = None,
    dtype: torch.dtype = torch.float64,
) -> bool:
    """Hold a removal against the mask; True where outputs were compared (nothing normalises over an axis that changes)."""
    dims = analyse(graph) if dims is None else dims
    network = nl.build(graph, seed=0).to(dtype).eval()
    _moved(network)
    smaller, left = shrink(graph, kept, dims)
    smaller.check()
    state = network.state_dict()
    survivors = gather(state, left)
    pruned = nl.build(smaller, seed=1).to(dtype).eval()
    pruned.load_state_dict(survivors)
    for key, axes in left.items():
        if key in state:
            whole = state[key]
            for axis, indices in enumerate(axes):
                whole = whole if indices is None else whole.index_select(axis, torch.as_tensor(indices))
            assert torch.equal(pruned.state_dict()[key], whole), key
    args, keywords = ((), inputs) if isinstance(inputs, Mapping) else (inputs, {})
    with torch.no_grad():
        found = pruned(*args, **keywords)
        if not is_exact(dims, kept):
            return False
        zeroed = nl.build(masked(dims, kept), seed=2).to(dtype).eval()
        zeroed.load_state_dict(_blanked(state, left), strict=False)
        _compare(found, zeroed(*args, **keywords), 1e-9 if dtype == torch.float64 else 2e-4)
    return True


def _blanked(state: Mapping[str, Any], left: Gather) -> dict[str, Any]:
    """The weights with zeros where they read or make a removed index: inside a recurrent call no mask reaches."""
    found = {key: value.clone() for key, value in state.items()}
    for key, axes in left.items():
        for axis, indices in enumerate(axes if key in found else ()):
            if indices is not None:
                gone = sorted(set(range(found[key].shape[axis])) - set(indices.tolist()))
                found[key].index_fill_(axis, torch.tensor(gone, dtype=torch.int64), 0)
    return found


def _moved(network: torch.nn.Module) -> None:
    """Weights off their initial values, so that no scale of one or bias of zero hides anything."""
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and "~" not in name:
            shift = torch.rand(value.shape, generator=generator, dtype=value.dtype) * 0.2
            value.copy_(value + shift if "running_var" not in name else 1 + shift)


def _compare(found: Any, expected: Any, bound: float) -> None:
    if isinstance(found, torch.Tensor):
        if found.is_floating_point():
            scale = expected.nan_to_num(0, 0, 0).abs().max().item() if expected.numel() else 0.0
            assert torch.allclose(found, expected, rtol=bound, atol=bound * max(scale, 1e-3), equal_nan=True)
    elif isinstance(found, Mapping):
        for key in found:
            _compare(found[key], expected[key], bound)
    elif isinstance(found, list | tuple):
        for one, other in zip(found, expected):
            _compare(one, other, bound)


def halves(dims: Dimensions, choose: Callable[[str, int], Sequence[int]] | None = None) -> dict[str, list[int]]:
    """About every second index of every free atom of two indices or more."""
    return {
        atom.id: sorted(choose(atom.id, atom.size)) if choose else [i for i in range(atom.size) if (i * 7 + 3) % 4 < 2] or [0]
        for atom in dims.free
        if atom.size > 1
    }
