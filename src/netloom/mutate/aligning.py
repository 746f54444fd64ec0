"""From sizes that are wanted to a stage of a plan: which indices stay, which are new, and how those are filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import EditError
from ..graph.builder import unique
from ..graph.graph import Graph, Step, default_scope
from ..ops import Concat, Edge
from .analysis import Dimensions
from .atoms import NEW, Take, atoms_of, copy_of, kept_indices, resized
from .growing import Growth, settle_growth
from .plan import Move, Stage
from .resizing import TensorCodes, resize
from .rewiring import fed_from, readers
from .sizing import Bound, Equal, Problem, Request


@dataclass
class Aligner:
    """How an edit decides what a request leaves open.

    ``bounds`` gives what sizes of a graph must keep to; ``scores`` the values of the indices of its free atoms (higher stay);
    ``new`` is ``"zero"``, ``"copy"`` or ``"split"``; ``time_limit`` seconds for one integer program.
    """

    bounds: Callable[[Dimensions], list[Bound]] = lambda dims: []
    scores: Callable[[Dimensions], Mapping[str, Any]] = lambda dims: {}
    new: str = "zero"
    time_limit: float = 20.0
    relax: bool = False
    rng: Any = None
    #: Whether new indices may be copies of old ones where that preserves the function.
    copies: bool = True

    # -- sizes ---------------------------------------------------------------------------------------------------------
    def sizes(
        self,
        dims: Dimensions,
        requests: Sequence[Request] = (),
        equal: Sequence[Equal] = (),
        held: Mapping[str, str] | None = None,
        dropped: Mapping[str, set[int]] | None = None,
        relax: bool = True,
    ) -> dict[str, int]:
        """New sizes of atoms; `EditError` where there are none, also where others would be near unless ``relax``."""
        bounds = self.bounds(dims)
        asked = {atom for request in requests for atom in atoms_of(request.axis)}
        for atom, gone in (dropped or {}).items():
            if atom not in asked:
                size = dims.sizes[atom] - len(gone)
                bounds.append(Bound(f"{atom!r} without what is dropped", atom, size, size))
        problem = Problem(dims, list(requests), bounds, list(equal), dict(held or {}), self.time_limit)
        try:
            return problem.solve()
        except EditError:
            if not (self.relax and relax) or all(request.relax for request in requests):
                raise
        problem.requests = [replace(request, relax=True) for request in requests]
        return problem.solve()

    # -- indices -------------------------------------------------------------------------------------------------------
    def codes(
        self,
        dims: Dimensions,
        sizes: Mapping[str, int],
        dropped: Mapping[str, set[int]] | None = None,
        scores: Mapping[str, Any] | None = None,
    ) -> dict[str, list[int]]:
        """Atom → codes: those of highest value (``scores`` where they are known) stay in their order, new ones come after."""
        dropped, before = dropped or {}, dims.sizes
        changing = [atom for atom, old in before.items() if sizes.get(atom, old) != old or dropped.get(atom)]
        losing = [a for a in changing if sizes.get(a, before[a]) < before[a] - len(dropped.get(a, ()))]
        if scores is None:
            scores = self.scores(dims) if losing else {}
        found = {}
        for atom in changing:
            old, size, gone = before[atom], sizes.get(atom, before[atom]), dropped.get(atom)
            left = [i for i in range(old) if i not in gone] if gone else list(range(old))
            kept = _top(left, scores.get(atom), size) if size < len(left) else left
            found[atom] = kept + self._added(kept, size - len(kept), old)
        return found

    def _added(self, kept: list[int], count: int, old: int) -> list[int]:
        if self.new == "zero" or not kept or count <= 0:
            return [NEW] * count
        rounds, rest = divmod(count, len(kept))
        origins = kept * rounds + (sorted(self.rng.choice(kept, rest, replace=False).tolist()) if rest else [])
        return [copy_of(index) for index in origins]

    # -- stages --------------------------------------------------------------------------------------------------------
    def stage(self, title: str, dims: Dimensions, codes: Mapping[str, list[int]]) -> Stage:
        """The resized graph with where its tensors come from and how they are filled."""
        graph, moved = resize(dims, codes)
        growth = settle_growth(dims, codes, (graph, moved))
        if growth.reasons and self.new == "zero" and self.copies:
            graph, moved, growth, codes = self._duplicated(dims, codes) or (graph, moved, growth, codes)
        elif growth.harmed and self.copies:
            graph, moved, growth, codes = self._zeros_instead(dims, codes, growth.harmed) or (graph, moved, growth, codes)
        reasons = [*_losses(dims, codes), *growth.reasons, *_refits(dims, graph)]
        shares = "even" if self.new == "copy" else "uneven"
        return Stage(title, _restated(graph, growth), _moves(moved, growth, shares), {}, tuple(reasons))

    def _duplicated(
        self, dims: Dimensions, codes: Mapping[str, list[int]]
    ) -> tuple[Graph, TensorCodes, Growth, Mapping[str, list[int]]] | None:
        """The same sizes by whole copies, where that preserves the function and new indices would not."""
        doubled: dict[str, list[int]] = {}
        for atom, row in codes.items():
            old = dims.sizes[atom]
            if NEW in row:
                if len(row) % old or row[:old] != list(range(old)):
                    return None
                doubled[atom] = list(range(old)) + [copy_of(i) for i in range(old)] * (len(row) // old - 1)
            else:
                doubled[atom] = list(row)
        graph, moved = resize(dims, doubled)
        growth = settle_growth(dims, doubled, (graph, moved))
        return None if growth.reasons else (graph, moved, growth, doubled)


    def _zeros_instead(
        self, dims: Dimensions, codes: Mapping[str, list[int]], harmed: set[str]
    ) -> tuple[Graph, TensorCodes, Growth, Mapping[str, list[int]]] | None:
        """The same sizes with new indices in place of copies that would be noticed (of queries and keys), if those are not."""
        found = {atom: [max(code, NEW) for code in row] if atom in harmed else row for atom, row in codes.items()}
        graph, moved = resize(dims, found)
        growth = settle_growth(dims, found, (graph, moved))
        return (graph, moved, growth, found) if len(growth.harmed) < len(harmed) else None


def _top(left: list[int], scores: Any, size: int) -> list[int]:
    if scores is None:
        return left[:size]
    import numpy as np

    positions = np.asarray(left)
    order = np.argsort(-np.asarray(scores, dtype=float)[positions], kind="stable")  # of equal values the first stay
    return np.sort(positions[order[:size]]).tolist()  # type: ignore[no-any-return]


def _losses(dims: Dimensions, codes: Mapping[str, list[int]]) -> list[str]:
    found = []
    for atom, row in codes.items():
        old = dims.sizes[atom]
        left = len(set(row) if min(row, default=0) >= 0 else {code for code in row if code >= 0})
        if left < old:
            found.append(f"{atom!r} loses {old - left} of {old} indices")
    return found


def _refits(dims: Dimensions, graph: Graph) -> list[str]:
    """Which nodes took other attributes, so that sizes are possible."""
    found = []
    for name in dims.loosened:
        before, after, sizes = dims.graph[name].attrs, graph[name].attrs, dims.attrs(name)
        changed = [key for key in before if key not in sizes and before[key] != after[key]]
        found += [f"{graph[name].op} {name!r} has {key} = {after[key]} where it had {before[key]}" for key in changed]
    return found


def _moves(moved: TensorCodes, growth: Growth, shares: str) -> dict[str, Move]:
    found = {}
    for key, axes in moved.items():
        fill = growth.fills.get(key, [""] * len(axes))
        shared = [shares if each else "" for each in growth.shared.get(key, [False] * len(axes))]
        blank = growth.blank.get(key, [])
        blanks = tuple(blank) if any(places is not None for places in blank) else ()
        found[key] = Move(axes, tuple(fill), tuple(shared), growth.scales.get(key, 1.0), blanks)
    return found


def _restated(graph: Graph, growth: Growth) -> Graph:
    """The graph with the attributes and factors that make up for new indices."""
    for name, factor in growth.times.items():
        made = unique(f"{name.rpartition('.')[0]}.mul".lstrip("."), set(graph.all_types))
        step = Step(made, "mul", {"x": Edge(name), "y": factor}, default_scope(made, "mul", {}))
        reads = readers(graph, Edge(name))
        graph = fed_from(graph, Edge(name), Edge(made), only=reads, returned=True, insert=step)
    if not any(growth.attrs.values()):
        return graph
    steps = [
        replace(step, args={**step.args, **growth.attrs[step.name]}) if growth.attrs.get(step.name) else step
        for step in graph.steps
    ]
    return Graph.make(
        steps, graph.tensors, graph.arguments, graph.result, train_result=graph.train_result, symbols=graph.symbols,
        notes=graph.notes, types=graph.all_types,
    )  # fmt: skip


# -- positions of an axis and indices of atoms ---------------------------------------------------------------------------
def dropped_atoms(dims: Dimensions, axis: Any, positions: Sequence[int], what: str) -> dict[str, set[int]]:
    """Which indices of which atoms go when these positions of an axis do; `EditError` where others would go with them."""
    size = resized(axis, dims.sizes)
    for position in positions:
        if not -size <= position < size:
            raise EditError(f"{what} has indices 0 to {size - 1}, not {position}")
    gone = {position % size for position in positions}
    found = _found(dims, axis, gone)
    for atom in found:
        if dims[atom].frozen:
            raise EditError(f"indices of {what} may not go: the size of {atom!r} is fixed by {dims[atom].frozen}")
    kept = {atom: [i for i in range(dims.sizes[atom]) if i not in indices] for atom, indices in found.items()}
    left = set(kept_indices(axis, dims.sizes, kept))
    others = set(range(size)) - left - gone
    if others or left & gone:
        raise EditError(
            f"indices {sorted(gone)[:8]} of {what} cannot go by themselves: "
            + (f"{sorted(others)[:8]} would go with them" if others else "they belong to blocks of which others stay")
        )
    return found


def _found(dims: Dimensions, axis: Any, gone: set[int]) -> dict[str, set[int]]:
    if isinstance(axis, str):
        return {axis: set(gone)} if gone else {}
    if isinstance(axis, Take):
        return {axis.atom: {axis.indices[i] for i in gone}} if gone else {}
    found: dict[str, set[int]] = {}
    sizes = [resized(part, dims.sizes) for part in axis.parts]
    if isinstance(axis, Concat):
        offset = 0
        for part, size in zip(axis.parts, sizes):
            for atom, indices in _found(dims, part, {i - offset for i in gone if offset <= i < offset + size}).items():
                found.setdefault(atom, set()).update(indices)
            offset += size
        return found
    # Of a product a whole slice goes, along its first factor that has one.
    for k, part in enumerate(axis.parts):
        inner = 1
        for size in sizes[k + 1 :]:
            inner *= size
        total = len(gone) and sizes[k] and (resized(axis, dims.sizes) // sizes[k])
        counts: dict[int, int] = {}
        for i in gone:
            counts[(i // inner) % sizes[k]] = counts.get((i // inner) % sizes[k], 0) + 1
        whole = {index for index, count in counts.items() if count == total}
        if whole and len(whole) * total == len(gone):
            return _found(dims, part, whole)
    # Nothing fits: name the slices of the first factor, so that the caller sees what would go along.
    inner = 1
    for size in sizes[1:]:
        inner *= size
    return _found(dims, axis.parts[0], {i // inner for i in gone}) if gone else {}
