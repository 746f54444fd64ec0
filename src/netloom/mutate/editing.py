"""`edit`: change a network and keep what it learned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import EditError
from ..graph.graph import Graph
from ..ops import Edge
from . import structural
from .aligning import Aligner
from .analysis import Dimensions, analyse
from .asking import Asking, Place
from .atoms import resized
from .attributes import changed
from .handles import Handle, feature_axis, in_axis
from .plan import Plan, Stage
from .rewiring import named
from .sizing import Bound

if TYPE_CHECKING:
    import torch

    from ..building.network import Network


def edit(
    model: torch.nn.Module | Graph,
    example_inputs: Any = None,
    *,
    value: Any = "magnitude",
    new: str = "zero",
    seed: int = 0,
    relax: bool = False,
    io: bool = False,
    free: Any = None,
    time_limit: float = 20.0,
) -> Edit:
    """An `Edit` of a network: any nn.Module that `nl.trace` takes (with ``example_inputs``), a Network, or a Graph alone.

    The model is never changed in place: ``edit.result`` is a new `Network` in which every neuron that survives has the
    weights it had, and new ones do no harm where that is possible.

    ``value`` says which neurons stay when a layer shrinks (see `netloom.mutate.values`; higher stay), ``new`` how it grows:
    ``"zero"`` (random rows, zero columns), ``"copy"`` (copies that share their outgoing weights evenly: Net2Net) or ``"split"``
    (unevenly, so that copies part in training); ``relax`` turns requests
    that cannot be met into the nearest that can, with a warning; ``io`` lets the sizes of inputs and outputs change too;
    ``free`` frees more sizes than the batch (see `nl.trace`); ``seed`` fixes new weights.

    >>> import torch, netloom as nl
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> with nl.edit(model, torch.randn(1, 4)) as edit:
    ...     edit["0"].resize(out=-3)
    >>> [tuple(weight.shape) for weight in edit.result.parameters()]
    [(5, 4), (5,), (2, 5), (2,)]
    """
    return Edit(model, example_inputs, value=value, new=new, seed=seed, relax=relax, io=io, free=free, time_limit=time_limit)


_DEFAULTS = {
    "value": "magnitude", "new": "zero", "seed": 0, "relax": False, "io": False, "free": None, "time_limit": 20.0,
}  # fmt: skip


class Edit:
    """Changes of a network, one after another, as a plan; see `edit`.

    Sizes asked for one after the other are settled together, as late as possible: at the next change of structure, when
    something is read (``plan``, ``graph``, ``result``), or at the end of the ``with`` block. What cannot be done raises
    `EditError`, and leaves everything as it was before that request.
    """

    def __init__(self, model: Any, example_inputs: Any = None, **options: Any) -> None:
        from .subject import Subject

        options = {**_DEFAULTS, **options}
        if options["new"] not in ("zero", "copy", "split"):
            raise EditError(f"new = {options['new']!r}; expected 'zero', 'copy' or 'split'")
        self.io = options["io"]
        self.subject = Subject(model, example_inputs, options["value"], options["seed"], options["free"])
        self._plan = Plan(self.subject.graph, (), options["seed"])
        self._asking = Asking(lambda loosened: self._dimensions(self._plan.graph, loosened))
        self._limits: list[tuple[str, str, dict[str, Any]]] = []
        self._dims: tuple[Graph, Dimensions] | None = None
        self._result: tuple[Graph, Network] | None = None
        self._aligner = Aligner(
            self._bounds, self._scores, options["new"], options["time_limit"], options["relax"], self.subject.rng
        )

    # -- reading ---------------------------------------------------------------------------------------------------------
    @property
    def plan(self) -> Plan:
        """What happens to every tensor; print it before anything does."""
        self._settle()
        return self._plan

    @property
    def graph(self) -> Graph:
        """The graph after all that was asked for so far."""
        return self.plan.graph

    @property
    def result(self) -> Network:
        """The edited network, with its weights; the model itself stays as it was."""
        graph = self.graph
        if self._result is None or self._result[0] is not graph:
            self._result = (graph, self.subject.network(self._plan))
        return self._result[1]

    def dims(self, name: str | None = None) -> Any:
        """Which sizes move together, and why: of all the network (`Dimensions`; print it), or of the node called ``name``."""
        dims = self._dimensions(self.graph)
        return dims if name is None else dims.explain(named(dims.graph, name)[0])

    def __getitem__(self, name: str) -> Handle:
        graph = self._plan.graph
        if name not in graph and name in self._dimensions(graph):
            return Handle(self, name)
        return Handle(self, named(graph, name)[0] if name in graph else self._module(graph, name))

    def _module(self, graph: Graph, name: str) -> str:
        """The node that stands for a name: of a module with several nodes the last one that owns weights."""
        inside = named(graph, name)
        return next((n for n in reversed(inside) if graph[n].weights), inside[-1])

    # -- sizes -----------------------------------------------------------------------------------------------------------
    def resize(
        self, out: Mapping[str, int] | None = None, out_to: Mapping[str, int] | None = None, *, relax: bool = False
    ) -> None:
        """Several sizes at once, by node: changes in ``out``, sizes in ``out_to``; ``relax`` makes them wishes."""
        with self._asking.as_a_whole():
            for name, change in (out or {}).items():
                self[name].resize(out=change, relax=relax)
            for name, size in (out_to or {}).items():
                self[name].resize(out_to=size, relax=relax)

    def limit(
        self, name: str, *, at_least: int = 1, at_most: int | None = None, multiple_of: int = 1, step: int = 1,
        axis: str = "out",
    ) -> None:  # fmt: skip
        """What the size of a node must keep to from now on: bounds, a multiple, or changes in steps; ``axis`` "in" or "out"."""
        named(self._plan.graph, name)
        if axis not in ("in", "out"):
            raise EditError(f"axis = {axis!r}; expected 'in' or 'out'")
        wrong = [(word, n) for word, n in (("at_least", at_least), ("multiple_of", multiple_of), ("step", step)) if n < 1]
        if wrong or (at_most is not None and at_most < at_least):
            word, n = wrong[0] if wrong else ("at_most", at_most)
            raise EditError(f"{word} = {n} for {name!r}; expected 1 or more, and at_most no less than at_least")
        found = {"low": at_least, "high": at_most, "multiple_of": multiple_of, "step": step}
        self._limits.append((name, axis, found))

    def ask(self, place: Place, what: str, change: int | None, size: int | None, relax: bool) -> None:
        """Ask for a change or a size of a value (an `Edge`) or an atom; what is asked of one thing twice adds up."""
        self._asking.ask(place, what, change, size, relax)

    def drop(self, place: Place, positions: Iterable[int], what: str) -> None:
        """Let exactly these indices of a value or an atom go."""
        self._asking.drop(place, positions, what)

    def prune_worthless(self) -> None:
        """Drop every neuron whose value is negative, but for one of each layer."""
        dims = self._dimensions(self.graph)
        for atom, scores in self._scores(dims).items():
            bad = [i for i, score in enumerate(scores) if score < 0]
            keep = set() if len(bad) < len(scores) else {max(range(len(scores)), key=lambda i: scores[i])}
            if set(bad) - keep:
                self.drop(atom, [i for i in bad if i not in keep], repr(atom))
        self._settle()

    # -- structure -------------------------------------------------------------------------------------------------------
    def remove(self, *names: str, align: str | Sequence[str] = structural.ALIGN) -> None:
        """Take nodes out (a node, several, or a module by its path); their readers read what went into them.

        Where sizes differ, ``align`` says what may change, in the order in which it is tried: ``"grow"`` the smaller side,
        ``"shrink"`` the bigger one, ``"both"``.
        """
        graph = self.graph
        nodes = [node for name in names for node in named(graph, name)]
        if not nodes:
            raise EditError("remove needs the name of a node")
        self._add(structural.removed(self._aligner, graph, nodes, _ways(align)))

    def insert_after(
        self, name: str, what: Any, *, only: Collection[str] | None = None, init: str = "identity", output: int = 0
    ) -> tuple[str, ...]:
        """Put layers between a node and what reads it (those in ``only``); gives the names of the new nodes.

        ``what`` is ``nl.op.NAME(…)``, a list of those, or a function from value to value. ``init="identity"`` makes them
        change nothing where that is possible; ``"fresh"`` starts them at random.
        """
        graph = self.graph
        node = name if name in graph else self._module(graph, name)
        chosen = (only,) if isinstance(only, str) else only
        readers = None if chosen is None else [reader for each in chosen for reader in named(graph, each)]
        stage, names = structural.inserted(self._aligner, graph, Edge(node, output), what, readers, init)
        self._add(stage)
        return names

    def insert_before(self, name: str, what: Any, *, operand: int = 0, init: str = "identity") -> tuple[str, ...]:
        """Put layers between a node and one of the values it reads; see `insert_after`."""
        graph = self.graph
        node = named(graph, name)[0]
        reads = graph[node].operands
        if not 0 <= operand < len(reads):
            raise EditError(f"{node!r} reads {len(reads)} values; there is no operand {operand}")
        stage, names = structural.inserted(self._aligner, graph, reads[operand], what, [node], init)
        self._add(stage)
        return names

    def replace(self, name: str, what: Any) -> tuple[str, ...]:
        """Put other layers in the place of a node or module; their weights are fresh. Gives the names of the new nodes."""
        graph = self.graph
        stage, names = structural.inserted(self._aligner, graph, Edge(""), what, replacing=named(graph, name))
        self._add(stage)
        return names

    def connect(
        self, source: str, target: str, *, merge: str | None = None, operand: int = 0,
        align: str | Sequence[str] = structural.ALIGN,
    ) -> None:  # fmt: skip
        """Let a value go into a node as well: as one more part where that concatenates, else added to what it reads.

        ``merge`` is ``"add"`` or ``"cat"`` to insist on one of them; ``operand`` says which of the values it reads is meant.
        """
        graph = self.graph
        node = named(graph, target)[0] if target in graph else named(graph, target)[0]
        chosen = merge or ("cat" if graph[node].op == "cat" else "add")
        if chosen not in ("add", "cat"):
            raise EditError(f"merge = {merge!r}; expected 'add' or 'cat'")
        edge = Edge(source if source in graph else self._module(graph, source))
        self._add(structural.connected(self._aligner, graph, edge, node, chosen, operand, _ways(align)))

    def disconnect(self, source: str, target: str, *, number: int = 0) -> None:
        """Undo a connection: the value no longer goes into the sum, product or concatenation that ``target`` is or reads.

        ``number`` picks one where it goes there several times.
        """
        graph = self.graph
        edge = Edge(source if source in graph else self._module(graph, source))
        self._add(structural.disconnected(self._aligner, graph, edge, named(graph, target)[0], number))

    def change(self, name: str, **attributes: Any) -> None:
        """Change attributes of a node: ``kernel=3`` (padding follows, so that sizes stay), ``stride=2``, ``dilation=…``.

        A kernel grows by zeros around it and shrinks to its weightiest part.
        """
        graph = self.graph
        node = name if name in graph else self._module(graph, name)
        self._add(changed(graph, node, attributes, self.subject.state_of(self._plan)))

    def adopt(self, plan: Plan) -> None:
        """Go on from a plan that was made before, for the same network."""
        self._settle()
        if self._plan.stages or plan.before.hash != self._plan.before.hash:
            raise EditError("a plan can only be adopted by a fresh edit of the network it was made for")
        self._plan = plan

    def undo(self) -> None:
        """Take back the last change: the sizes asked for since the last stage, or that stage."""
        if self._asking:
            self._asking.forget()
        elif self._plan.stages:
            self._plan = replace(self._plan, stages=self._plan.stages[:-1])

    # -- giving it back --------------------------------------------------------------------------------------------------
    def apply_to(self, model: torch.nn.Module) -> None:
        """Write sizes and weights into the model itself, an object of the user's own class, where that is safe; see
        `netloom.mutate.writing`. `EditError` names what stands in the way; the model is untouched then."""
        from .writing.back import write_back

        plan, subject = self.plan, self.subject
        if model is subject.model:
            self.result  # noqa: B018  (made now: it takes its weights from the model, which is about to have others)
        write_back(model, plan.before, plan.graph, plan.apply(_full_state(model)), subject.example_inputs, subject.free)

    def optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """An optimiser of the same kind for ``result``: what the given one holds of the model's weights follows them."""
        from .optimizers import moved_optimizer

        return moved_optimizer(optimizer, self.subject.model, self.plan, self.result)

    def __enter__(self) -> Edit:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self._settle()
        else:
            self._asking.forget()

    def __repr__(self) -> str:
        asked = str(self._asking)
        return f"<Edit of {self._plan.before!r}: {self._plan!r}{' and ' + asked if asked else ''}>"

    # -- settling --------------------------------------------------------------------------------------------------------
    def _add(self, stage: Stage) -> None:
        self._plan = replace(self._plan, stages=(*self._plan.stages, stage))

    def _settle(self) -> None:
        stage = self._asking.settle(self._aligner) if self._asking else None
        if stage is not None:
            self._add(stage)

    def _dimensions(self, graph: Graph, loosened: Collection[str] = ()) -> Dimensions:
        opened = [node.name for node in graph.inputs] if self.io else ()
        if loosened:
            return analyse(graph, opened, self.io, loosened)
        if self._dims is None or self._dims[0] is not graph:
            self._dims = (graph, analyse(graph, opened, self.io))
        return self._dims[1]

    def _scores(self, dims: Dimensions) -> Mapping[str, Any]:
        return self.subject.scores(self._plan, dims)

    def _bounds(self, dims: Dimensions) -> list[Bound]:
        found = []
        for name, axis, limit in self._limits:
            graph = dims.graph
            if name not in graph and not any(node.name.startswith(name + ".") for node in graph):
                continue
            node = name if name in graph else self._module(graph, name)
            expression = feature_axis(dims, node) if axis == "out" else in_axis(dims, node)
            old = resized(expression, dims.sizes)
            low, high = min(limit["low"], old), limit["high"]
            what = repr(name) if axis == "out" else f"the input of {name!r}"
            found.append(Bound(what, expression, low if old < limit["low"] else limit["low"], high))
            if limit["multiple_of"] > 1:
                found.append(Bound(what, expression, multiple=limit["multiple_of"]))
            if limit["step"] > 1:
                found.append(Bound(what, expression, multiple=limit["step"], offset=old))
        return found


def _ways(align: str | Sequence[str]) -> tuple[str, ...]:
    return (align,) if isinstance(align, str) else tuple(align)


def _full_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    from ..building.network import full_state

    return full_state(model)
