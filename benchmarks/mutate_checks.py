"""What is asked of a model that was pruned or grown; `benchmarks.mutate_gallery` runs it on every model.

A removal is held to a mask: with everything that the plan removes set to zero instead, and norms taken over what stays, the
original computes the same (`benchmarks.masking`).
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

import netloom as nl
from benchmarks.masking import SMALL, Kept, masked, out_of_reach
from netloom.errors import EditError
from netloom.mutate import Dimensions, analyse, gather, shrink
from netloom.mutate.atoms import NEW, Take, atoms_of
from netloom.ops import Product
from netloom.testing import exactness
from tests.mutate.mask_oracle import _blanked

#: Largest relative error of an output that passes, by precision; a model that computes in float32 inside is held to the last.
BOUNDS = {"float64": 1e-9, "float32": 1e-5, "float32 inside": 2e-4}
BATCH = 4


def examine(model: torch.nn.Module, example: Any) -> dict[str, Any]:
    """Everything the table says about one model; ``problems`` lists what does not hold."""
    problems: list[str] = []
    record: dict[str, Any] = {"problems": problems}
    torch.backends.mha.set_fastpath_enabled(False)  # the fused inference path of attention modules, which networks do not take
    trained = _trained(copy.deepcopy(model), example)
    for kind, change, check in (
        ("prune", lambda: nl.prune(model, example, keep=0.5), _check_pruned),
        ("grow", lambda: grown(model, example), _check_grown),
    ):
        before = exactness.fingerprint(model)
        started = time.process_time()
        try:
            result = change()
            record[f"{kind}_seconds"] = round(time.process_time() - started, 3)
            record[f"{kind}_params"] = round(result.params_kept, 4)
            record[f"{kind}_flops"] = round(result.flops_kept, 4)
            if exactness.fingerprint(model) != before:
                problems.append(f"{kind}: the model itself was changed")
            record.update(check(model, example, result, problems))
            problems += [f"{kind}: {line}" for line in _train(result.network, example, trained)]
        except Exception as error:
            problems.append(f"{kind}: {told(error)}")
    return record


def grown(model: torch.nn.Module, example: Any) -> Any:
    """Every layer by a quarter; where none can without a change of what is computed, doubled by copies; else regardless."""
    for options in ({"by": 0.25}, {"by": 1.0, "new": "copy"}):
        try:
            return nl.grow(model, example, **options)
        except EditError:
            continue
    return nl.grow(model, example, by=0.25, preserve=False)


def told(error: BaseException) -> str:
    """An error with the last place in the sources, on one line."""
    from benchmarks.gallery import _told

    return _told(error)


# -- pruning ---------------------------------------------------------------------------------------------------------
def _check_pruned(model: torch.nn.Module, example: Any, pruned: Any, problems: list[str]) -> dict[str, Any]:
    graph = pruned.before
    dims = analyse(graph)
    kept = kept_indices(dims, pruned.plan)
    smaller, left = shrink(graph, kept, dims)
    if smaller != pruned.graph:
        problems.append("prune: the plan's indices give another graph")
    with torch.no_grad():
        exactness.run(pruned.network.eval(), example)
    network = nl.build(graph, weights=model).eval()
    state = network.state_dict()
    problems += _moved_weights(pruned.network.state_dict(), gather(state, left))
    compared = kept.keys() - out_of_reach(dims, kept)
    record = {**_shares(dims, kept), "atoms_compared": len(compared), "oracle_error": None}
    if not compared:
        return record
    part = {atom: kept[atom] for atom in kept if atom in compared}
    expected, found = _oracle(dims, part, network, pruned.network if len(part) == len(kept) else None)
    error, precision = apart(expected, found, example)
    record.update(oracle_error=error, oracle_precision=precision)
    if not error <= BOUNDS[precision]:
        problems.append(f"prune: differs from the masked original by {error:.1e} ({precision})")
    if apart(network, expected, example)[0] < 10 * BOUNDS[precision]:
        problems.append("prune: the masks change nothing, so that the comparison says nothing")
    return record


def _oracle(dims: Dimensions, kept: Kept, network: Any, whole: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The original with zeros in place of indices, and the network without them (``whole`` where it is at hand)."""
    smaller, left = shrink(dims.graph, kept, dims)
    state = network.state_dict()
    if whole is None:
        whole = nl.build(smaller, seed=1).eval()
        whole.load_state_dict(gather(state, left))
    zeroed = nl.build(masked(dims, kept, smaller), seed=2).eval()
    small = {f"{key}{SMALL}": tensor for key, tensor in whole.state_dict().items()}
    own = zeroed.state_dict().keys()
    zeroed.load_state_dict(
        {key: value for key, value in {**_blanked(state, left), **small}.items() if key in own}, strict=False
    )
    return zeroed, whole


def kept_indices(dims: Dimensions, plan: Any) -> dict[str, list[int]]:
    """The atoms that lost indices in a plan of one graph, and the indices that they keep, read from the plan's tensors."""
    found: dict[str, list[int]] = {}
    for atom in dims.free:
        for member in atom.members:
            if not isinstance(member.ref, str) or plan.codes.get(member.ref) is None:
                continue
            codes = plan.codes[member.ref][member.axis]
            owners = index_of(member.how, atom.id, dims.sizes)
            alive = set(owners.tolist() if codes is None else owners[codes].tolist()) - {-1}
            if len(alive) < atom.size:
                found[atom.id] = sorted(alive)
            break
    return found


def index_of(axis: Any, atom: str, sizes: Mapping[str, int]) -> np.ndarray:
    """For each position of an axis over atoms, which index of one atom it has; -1 where it has none."""
    if isinstance(axis, str):
        return np.arange(sizes[axis]) if axis == atom else np.full(sizes[axis], -1)
    if isinstance(axis, Take):
        return np.asarray(axis.indices) if axis.atom == atom else np.full(len(axis.indices), -1)
    parts = [index_of(part, atom, sizes) for part in axis.parts]
    if not isinstance(axis, Product):
        return np.concatenate(parts)
    found = np.full(1, -1)
    for part in parts:
        found = np.maximum(found[:, None], part[None]).ravel()
    return found


def _shares(dims: Dimensions, kept: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """How much of a network may change, and how much went: sizes, indices, and layers whose width is fixed, with why."""
    weighty = {atom for key in dims.graph.tensors for axis in dims.of(key) for atom in atoms_of(axis)}
    sizes = {atom.id: atom.size for atom in dims.free if atom.id in weighty}
    returned = {atom for edge in _edges(dims.graph.result) for axis in dims.of(edge) for atom in atoms_of(axis)}
    layers, fixed, reasons = 0, 0, Counter[str]()
    for node in dims.graph.nodes:
        rows = [axis for key in node.weights.values() for axis in _rows(dims, key)]
        atoms = {atom for axis in rows for atom in atoms_of(axis)}
        if atoms:
            layers += 1
            if all(dims[atom].frozen for atom in atoms) and not returned.intersection(atoms):
                fixed += 1
                reasons[dims[atoms_of(rows[0])[0]].frozen] += 1
    return {
        "free": len(sizes), "changed": len(kept), "indices": sum(sizes.values()),
        "removed": sum(dims.sizes[atom] - len(indices) for atom, indices in kept.items()),
        "layers": layers, "fixed_layers": fixed, "fixed_why": dict(reasons.most_common(4)),
        "opaque": sum(node.op == "opaque" for node in dims.graph.nodes), "nodes": len(dims.graph.nodes),
    }  # fmt: skip


def _rows(dims: Dimensions, key: str) -> list[Any]:
    """The axes along which a matrix or kernel makes a result: its rows."""
    return (
        [axis for axis, made in zip(dims.of(key), dims.produces(key)) if made] if dims.graph.tensors[key].type.rank > 1 else []
    )


def _edges(tree: Any) -> list[Any]:
    from netloom.graph.tree import edges

    return list(edges(tree))


def _moved_weights(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> list[str]:
    if found.keys() != expected.keys():
        return [f"prune: the state_dict has other keys: {sorted(found.keys() ^ expected.keys())[:3]}"]
    wrong = [key for key, tensor in expected.items() if exactness.difference(tensor, found[key])]
    return [f"prune: {len(wrong)} tensors are not the rows that the plan names, first {wrong[0]!r}"] if wrong else []


# -- growing ---------------------------------------------------------------------------------------------------------
def _check_grown(model: torch.nn.Module, example: Any, grown: Any, problems: list[str]) -> dict[str, Any]:
    plan = grown.plan
    changed = sum(new.out_size != old.out_size for old, new in zip(grown.before.nodes, grown.graph.nodes) if old.weights)
    copied = any(codes is not None and (codes < NEW).any() for move in plan.stages[0].moves.values() for codes in move.axes)
    record = {"grow_how": "copied" if copied else "new" if plan.preserving else "changes", "grow_changed": changed}
    network = nl.build(grown.before, weights=model).eval()
    with torch.no_grad():
        plain = error_of(exactness.run(network, example), exactness.run(grown.network.eval(), example))
    if not plan.preserving:
        return {**record, "grow_why": plan.reasons[0]}
    exact, precision = apart(network, grown.network, example)
    record.update(grow_error=plain, grow_error_precise=exact, grow_precision=precision)
    if not plain <= BOUNDS["float32"] or not exact <= BOUNDS[precision]:
        problems.append(f"grow: outputs change by {plain:.1e} (float32), {exact:.1e} ({precision})")
    return record


# -- both ------------------------------------------------------------------------------------------------------------
def apart(one: torch.nn.Module, other: torch.nn.Module, example: Any) -> tuple[float, str]:
    """The relative error between the outputs of two networks in float64, or in float32 where they insist on it."""
    one, other = copy.deepcopy(one).eval(), copy.deepcopy(other).eval()
    inputs = exactness.map_tensors(example, lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)
    precision = "float64"
    with torch.no_grad():
        try:
            expected = exactness.run(one.double(), inputs)
            found = exactness.run(other.double(), inputs)
        except RuntimeError:  # operands of two dtypes
            precision = "float32 inside"
            expected, found = exactness.run(one.float(), example), exactness.run(other.float(), example)
    error = error_of(expected, found)
    if error > BOUNDS["float64"] and _insists(one.graph):
        precision = "float32 inside"
    return error, precision


def _insists(graph: Any) -> bool:
    """Whether a call of the network asks for float32, whatever it is given."""
    return any("float32" in str(value) for node in graph.nodes for value in node.attrs.values() if node.op != "input")


def error_of(expected: Any, found: Any) -> float:
    """The largest difference of a floating output, relative to the largest value of that output."""
    theirs, ours = dict(exactness.tensors_of(expected)), dict(exactness.tensors_of(found))
    if theirs.keys() != ours.keys():
        return float("inf")
    worst = 0.0
    for path, tensor in theirs.items():
        if tensor.is_floating_point() and tensor.numel():
            if tensor.shape != ours[path].shape:
                return float("inf")
            finite = tensor.isfinite()
            if not torch.equal(finite, ours[path].isfinite()):
                return float("inf")
            scale = tensor[finite].abs().max().item() if finite.any() else 1.0
            apart = (tensor - ours[path])[finite].abs().max().item() if finite.any() else 0.0
            worst = max(worst, apart / max(scale, 1e-12))
    return worst


def _trained(model: torch.nn.Module, example: Any) -> set[str]:
    """The parameters that have a gradient after a step of training."""
    _loss(model.train(), example).backward()
    return {name for name, parameter in model.named_parameters() if parameter.grad is not None}


def _train(network: torch.nn.Module, example: Any, trained: set[str]) -> list[str]:
    """What goes wrong in two steps of training."""
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    for _ in range(2):
        optimizer.zero_grad()
        loss = _loss(network, example)
        if not loss.isfinite():
            return [f"the loss is {loss.item()}"]
        loss.backward()
        optimizer.step()
    lost = sorted(trained - {name for name, parameter in network.named_parameters() if parameter.grad is not None})
    return [f"{len(lost)} parameters have no gradient any more, first {lost[0]!r}"] if lost else []


def _loss(model: torch.nn.Module, example: Any) -> torch.Tensor:
    torch.manual_seed(1)
    output = exactness.run(model, exactness.resize_batch(example, BATCH))
    parts = [tensor for _, tensor in exactness.tensors_of(output) if tensor.requires_grad]
    return torch.stack([part.float().square().mean() for part in parts]).sum()
