"""`prune` and `grow`: whole networks made smaller or larger to a budget, one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, lcm
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.garbage import no_collection
from ..graph.graph import Graph
from ..ops import Edge, Product
from .analysis import Dimensions
from .atoms import NEW, Take, atoms_of
from .editing import Edit
from .growing import settle_growth
from .handles import feature_axis
from .plan import Plan
from .resizing import resize
from .rewiring import named

if TYPE_CHECKING:
    import torch

    from ..building.network import Network

#: Halvings of the interval in which the share that meets a budget is looked for.
_HALVINGS = 12
RANKINGS = ("layer", "isomorphic", "global")

Cost = Callable[[Graph], float]


@dataclass(frozen=True)
class Pruned:
    """A network made smaller or larger: print it for the table; ``network`` is the result, ``plan`` what happened.

    ``plan`` and ``edit`` are those of the last step where there were several.
    """

    before: Graph
    network: Network
    edit: Edit
    steps: int = 1

    @property
    def plan(self) -> Plan:
        return self.edit.plan

    @property
    def graph(self) -> Graph:
        """The graph after it."""
        return self.edit.graph

    @property
    def params_kept(self) -> float:
        """Parameters after ÷ before."""
        return self.graph.num_params / max(self.before.num_params, 1)

    @property
    def flops_kept(self) -> float:
        """FLOPs after ÷ before."""
        return self.graph.flops / max(self.before.flops, 1)

    def __str__(self) -> str:
        rows = [("layer", "before", "after")]
        for node in self.before.nodes:
            if node.weights and node.name in self.graph and node.out_size != self.graph[node.name].out_size:
                rows.append((f"{node.name} ({node.op})", str(node.out_size), str(self.graph[node.name].out_size)))
        rows += [
            ("parameters", f"{self.before.num_params:,}", f"{self.graph.num_params:,}  ({self.params_kept:.1%})"),
            ("FLOPs", f"{self.before.flops:,}", f"{self.graph.flops:,}  ({self.flops_kept:.1%})"),
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        return "\n".join(f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c}" for a, b, c in rows)

    def __repr__(self) -> str:
        return f"<Pruned: {self.params_kept:.1%} of the parameters, {self.flops_kept:.1%} of the FLOPs>"


def prune(
    model: torch.nn.Module,
    example_inputs: Any = None,
    *,
    keep: float | None = None,
    flops: float | None = None,
    params: float | None = None,
    cost: tuple[Cost, float] | None = None,
    value: Any = "magnitude",
    ranking: str = "layer",
    heads: bool = True,
    multiple_of: int = 1,
    at_least: float = 0.0,
    protect: Collection[str] = (),
    steps: int = 1,
    train: Callable[[Network], Any] | None = None,
    seed: int = 0,
    free: Any = None,
) -> Pruned:
    """The model with its least valuable neurons gone, until what is left meets the budget; the model stays as it was.

    Exactly one budget: ``keep``, the share of the neurons of every layer; ``flops`` or ``params``, the share of those that is
    left; or ``cost=(function, share)`` of a function of a Graph. ``value`` says which neurons stay (see `atom_scores`).
    ``ranking``: every ``"layer"`` keeps the same share; ``"isomorphic"`` layers (those with the same role, as the blocks of a
    stage) share a ranking (Fang et al. 2024); or one ranking is ``"global"``. In attention and grouped layers whole heads and
    groups go, or with ``heads=False`` each becomes narrower. ``multiple_of`` rounds sizes, ``at_least`` is the smallest share
    that a layer keeps, ``protect`` names nodes or modules that keep their size. In ``steps`` > 1 the share falls from step to
    step, and ``train(network)`` is called after each; where it gives something, that is the next step's ``value``.

    >>> import torch, netloom as nl
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> print(nl.prune(model, torch.randn(1, 4), keep=0.5))
    layer       before  after
    0 (linear)       8  4
    parameters      58  30  (51.7%)
    FLOPs           96  48  (50.0%)
    """
    function, share = _budget(keep, flops, params, cost)
    if ranking not in RANKINGS:
        raise EditError(f"ranking = {ranking!r}; expected one of {', '.join(RANKINGS)}")
    if steps < 1 or multiple_of < 1 or not 0 <= at_least <= 1:
        raise EditError(f"steps = {steps}, multiple_of = {multiple_of}, at_least = {at_least}; expected ≥ 1, ≥ 1 and 0 to 1")
    options = _Options(value, ranking, heads, multiple_of, at_least, tuple(protect), seed)
    first: Graph | None = None
    current: Any = model
    for step in range(1, steps + 1):
        with no_collection():
            edit = Edit(current, example_inputs, value=options.value, seed=seed, free=free if step == 1 else None)
            first = first or edit.graph
            target = share ** (step / steps) * (function(first) if function else 1.0)
            _Pruning(edit, options, function, target if function else share ** (1 / steps)).run()
            current = edit.result
        if train is not None:
            found = train(current)
            options = options if found is None else _Options(found, ranking, heads, multiple_of, at_least, tuple(protect), seed)
    assert first is not None
    return Pruned(first, current, edit, steps)


def grow(
    model: torch.nn.Module,
    example_inputs: Any = None,
    *,
    by: float | None = None,
    flops: float | None = None,
    params: float | None = None,
    cost: tuple[Cost, float] | None = None,
    new: str = "zero",
    preserve: bool = True,
    heads: bool = True,
    multiple_of: int = 1,
    protect: Collection[str] = (),
    seed: int = 0,
    free: Any = None,
) -> Pruned:
    """The model with more neurons, computing what it did: the mirror of `prune`.

    Exactly one budget: ``by=0.25`` gives every layer a quarter more; ``flops=1.5`` or ``params=1.5`` grows to half as much
    again, ``cost=(function, 1.5)`` likewise. ``new`` is how layers grow (see `edit`). With ``preserve`` layers whose growth
    would change the function (what a layer norm averages over, say) keep their size.

    >>> import torch, netloom as nl
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
    >>> x = torch.randn(1, 4)
    >>> grown = nl.grow(model, x, by=0.25)
    >>> grown.graph["0"].out_size, torch.equal(grown.network(x), model(x))
    (10, True)
    """
    function, share = _budget(None if by is None else 1 + by, flops, params, cost, growing=True)
    with no_collection():
        edit = Edit(model, example_inputs, new=new, seed=seed, free=free)
        options = _Options("magnitude", "layer", heads, multiple_of, 0.0, tuple(protect), seed)
        first = edit.graph
        _Growth(edit, options, function, share * (function(first) if function else 1.0), preserve).run()
        return Pruned(first, edit.result, edit)


@dataclass(frozen=True)
class _Options:
    value: Any
    ranking: str
    heads: bool
    multiple_of: int
    at_least: float
    protect: tuple[str, ...]
    seed: int


def _budget(
    keep: float | None, flops: float | None, params: float | None, cost: tuple[Cost, float] | None, growing: bool = False
) -> tuple[Cost | None, float]:
    given = {"by" if growing else "keep": keep, "flops": flops, "params": params, "cost": cost}
    named_ = [name for name, value in given.items() if value is not None]
    if len(named_) != 1:
        raise EditError(f"give exactly one of {', '.join(f'{name}=' for name in given)}, not {' and '.join(named_) or 'none'}")
    share = cost[1] if cost is not None else given[named_[0]]
    low, high = (1.0, float("inf")) if growing else (0.0, 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not low < share <= high:
        expected = "a share above 0 and up to 1"
        if growing:
            expected = "more than 0" if keep is not None else "more than 1"
        raise EditError(f"{named_[0]} is too small or too large ({share!r} of what there is); expected {expected}")
    functions: dict[str, Cost | None] = {
        "flops": lambda graph: graph.flops, "params": lambda graph: graph.num_params, "cost": cost[0] if cost else None,
    }  # fmt: skip
    return functions.get(named_[0]), float(share)


# -- which atoms may change ----------------------------------------------------------------------------------------------
def candidates(dims: Dimensions, heads: bool = True, protect: Sequence[str] = ()) -> list[str]:
    """The free atoms that pruning changes: of a product of several (heads of a width, groups of channels) the first, or all
    but the first; none that is on the feature axis of a protected node."""
    stay: set[str] = set()
    for name in protect:
        for node in [name] if name in dims.graph else named(dims.graph, name):
            if dims.graph.types(node)[0].rank:
                stay.update(atoms_of(feature_axis(dims, node)))
    for product in _products(dims):
        parts = [part for part in product.parts if any(not dims[atom].frozen for atom in atoms_of(part))]
        if len(parts) > 1:
            held = parts[1:] if heads else parts[:1]
            stay.update(atom for part in held for atom in atoms_of(part))
    graph = dims.graph
    weighty = _atoms_on(dims, graph.tensors)
    # Rows of a table that nothing takes (positions beyond the inputs at hand) cost nothing, and longer inputs need them.
    working = [step.name for step in graph.steps if step.op not in ("parameter", "constant")]
    weighty &= _atoms_on(dims, (Edge(name, k) for name in working for k in range(len(graph.types(name)))))
    return [atom.id for atom in dims.free if atom.id not in stay and atom.id in weighty]


def _atoms_on(dims: Dimensions, values: Iterable[Edge | str]) -> set[str]:
    """The atoms on the axes of values and tensors."""
    axes = {axis for value in values for axis in dims.of(value)}
    return {atom for axis in axes for atom in atoms_of(axis)}


def _products(dims: Dimensions) -> list[Product]:
    found: list[Product] = []
    stack = list(dims.axes)
    while stack:
        axis = stack.pop()
        if isinstance(axis, Product):
            found.append(axis)
        if not isinstance(axis, str | Take):
            stack += axis.parts
    return found


def _rounded(size: float, old: int, multiple: int) -> int:
    """A size near the wish, of at least one, in multiples where the old size allows that."""
    if multiple <= 1 or old < multiple:
        return max(1, round(size))
    return max(multiple, round(size / multiple) * multiple)


class _Pruning:
    """One step of pruning an edit's network down to a budget."""

    def __init__(self, edit: Edit, options: _Options, cost: Cost | None, target: float) -> None:
        self.edit, self.options, self.cost, self.target = edit, options, cost, target
        self.dims = edit.dims()
        self.old = self.dims.sizes
        self.names = candidates(self.dims, options.heads, options.protect)
        self.factors = _factors(self.dims)

    def run(self) -> None:
        if not self.names:
            raise EditError("no size of this network may change, so that nothing can be pruned; see edit.dims()")
        scores = self.edit.subject.scores(self.edit.plan, self.dims)
        pooled = self._pooled(scores)
        share = self.target if self.cost is None else self._share(pooled)
        codes = self.edit._aligner.codes(self.dims, self._sizes(pooled, share), scores=scores)
        if codes:
            self.edit._add(self.edit._aligner.stage(f"prune to {share:.3g} of the neurons", self.dims, codes))

    def _share(self, pooled: list[tuple[list[str], Any]]) -> float:
        """The largest share of neurons at which the cost is within the budget."""
        assert self.cost is not None
        low, high = 0.0, 1.0
        if self._cost_at(pooled, 1.0) <= self.target:
            return 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._cost_at(pooled, middle) <= self.target else (low, middle)
        if low == 0.0 and self._cost_at(pooled, 0.0) > self.target:
            raise EditError(
                f"with one neuron in every layer the cost is still {self._cost_at(pooled, 0.0):g}, above {self.target:g}; "
                "protect fewer layers, lower at_least, or ask for a larger share"
            )
        return low

    def _cost_at(self, pooled: list[tuple[list[str], Any]], share: float) -> float:
        assert self.cost is not None
        return self.cost(resize(self.dims, {a: range(n) for a, n in self._sizes(pooled, share).items()})[0])

    def _pooled(self, scores: Mapping[str, Any]) -> list[tuple[list[str], Any]]:
        """Atoms that are ranked together, with the scores of all, made comparable; of an atom by itself none are needed."""
        import numpy as np

        pools: dict[Any, list[str]] = defaultdict(list)
        for name in self.names:
            pools[name if self.options.ranking == "layer" else self._pool(name)].append(name)
        found = []
        for names in pools.values():
            rows = []
            for name in names if len(names) > 1 else ():
                row = np.asarray(scores.get(name, np.ones(self.old[name])), dtype=float)
                mean = abs(row[row > -100].mean()) if (row > -100).any() else 1.0
                rows.append(row / (mean or 1.0))
            found.append((names, rows))
        return found

    def _pool(self, name: str) -> Any:
        if self.options.ranking == "global":
            return "all"
        signature = []
        for member in self.dims[name].members:
            if isinstance(member.ref, str):
                signature.append((member.ref.rpartition(".")[2], member.axis, self.dims.graph.tensors[member.ref].type.shape))
        return tuple(signature)

    def _sizes(self, pooled: list[tuple[list[str], Any]], share: float) -> dict[str, int]:
        import numpy as np

        found = {}
        for names, rows in pooled:
            if len(names) == 1:
                counts = [share * self.old[names[0]]]
            else:
                ranked = np.sort(np.concatenate(rows))[::-1]
                at = min(max(round(share * len(ranked)), 1), len(ranked)) - 1
                counts = [float((row >= ranked[at]).sum()) for row in rows]
            for name, count in zip(names, counts):
                old = self.old[name]
                size = _rounded(max(count, ceil(self.options.at_least * old)), old, self._multiple(name))
                found[name] = min(old, size)
        for small, large, _ in self.dims.below:
            if isinstance(small, str) and isinstance(large, str):
                lowest = 1 if small in self.names else self.old[small]
                if large in self.names:
                    found[large] = max(found.get(large, self.old[large]), lowest + 1)
                if small in self.names:
                    found[small] = min(found.get(small, self.old[small]), found.get(large, self.old[large]) - 1)
        return found

    def _multiple(self, name: str) -> int:
        own = self.options.multiple_of
        own = own if own > 1 and name in self.dims.layers else 1
        return lcm(own, self.factors.get(name, 1))


def _factors(dims: Dimensions) -> dict[str, int]:
    """Atom → what its size must be a multiple of, for atoms that a call says so of."""
    return {axis: factor for axis, factor, _ in dims.multiples if isinstance(axis, str)}


class _Growth:
    """Growth of an edit's network up to a budget."""

    def __init__(self, edit: Edit, options: _Options, cost: Cost | None, target: float, preserve: bool) -> None:
        self.edit, self.options, self.cost, self.target, self.preserve = edit, options, cost, target, preserve
        self.dims = edit.dims()
        self.old = self.dims.sizes
        self.factors = _factors(self.dims)
        self.names = [a for a in candidates(self.dims, options.heads, options.protect) if not self.dims.taken(a)]

    def run(self) -> None:
        if self.preserve:
            self._keep_harmless(1.25 if self.edit._aligner.new == "zero" else 2.0)
        share = self._wanted()
        # Copies of a share are uneven where those of twice as many are not.
        while self.preserve and self._keep_harmless(share):
            share = self._wanted()
        codes = self._codes(share)
        self.edit._add(self.edit._aligner.stage(f"grow to {share:.3g} of the neurons", self.dims, codes))

    def _wanted(self) -> float:
        if not self.names:
            raise EditError("no layer of this network can grow without changing what it computes; preserve=False grows all")
        return self.target if self.cost is None else self._share()

    def _keep_harmless(self, share: float) -> bool:
        """Leave out, until nothing is harmed, the layers whose growth the network would notice; whether there were any."""
        before = len(self.names)
        while self.names:
            codes = self._codes(share)
            harmed = settle_growth(self.dims, codes, resize(self.dims, codes)).harmed
            if not harmed:
                break
            self.names = [name for name in self.names if name not in harmed]
        return len(self.names) < before

    def _codes(self, share: float) -> dict[str, list[int]]:
        sizes = {}
        for name in self.names:
            multiple = max(self.options.multiple_of if name in self.dims.layers else 1, self.factors.get(name, 1))
            sizes[name] = max(self.old[name], ceil(round(share * self.old[name], 6) / multiple) * multiple)
        return self.edit._aligner.codes(self.dims, sizes)

    def _share(self) -> float:
        assert self.cost is not None
        low, high = 1.0, 2.0
        while self._cost_at(high) < self.target:
            low, high = high, 2 * high
            if high > 1e4:
                raise EditError(f"the cost stays below {self.target:g} whatever grows; ask for less, or protect fewer layers")
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self._cost_at(middle) <= self.target else (low, middle)
        return low

    def _cost_at(self, share: float) -> float:
        assert self.cost is not None
        longer = {name: len(row) - self.old[name] for name, row in self._codes(share).items()}
        codes = {name: list(range(self.old[name])) + [NEW] * more for name, more in longer.items()}
        return self.cost(resize(self.dims, codes)[0])
