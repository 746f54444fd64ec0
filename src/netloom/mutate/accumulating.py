"""`Gathering`: what values that are gathered while a model trains have in common: averages over batches, state, scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import EditError
from ..graph.graph import Graph
from ..ops import Edge
from .analysis import Dimensions
from .places import feature_axis, fold
from .values import Found, Scores
from .watching import Outlet, Watch

#: The score of a neuron that was never seen.
EPSILON = float(np.finfo(np.float32).eps)


class Gathering:
    """Base of values that are gathered during training; see `ActivationContribution` for how they are used.

    ``model`` is a Network, or any module: then the node names come from ``graph``, from a trace with ``example_inputs``, or
    from a trace with the inputs of the first batch. ``every=n`` looks at forward passes 0, n, 2n, … only; passes without
    gradients do not count. `Watch` says at which values a model is looked at.
    """

    #: True during backward passes that a gathering makes on its own; they are no business of the others.
    probing: ClassVar[bool] = False

    def __init__(
        self, model: torch.nn.Module | None, example_inputs: Any = None, *, graph: Graph | None = None, every: int = 1
    ) -> None:
        if not (isinstance(every, int) and every >= 1):
            raise EditError(f"every={every!r}; expected a whole number of batches, 1 or more")
        self.every = every
        self._watch = None if model is None else Watch(model, self, example_inputs, graph)
        self._running = False
        self._passes = 0
        self._values: dict[str, torch.Tensor] = {}
        self._batches: dict[str, int] = {}
        self._joined, self._joined_names = torch.empty(0), list[str]()

    def __enter__(self) -> Any:
        if self._watch is None:
            raise EditError(f"this {type(self).__name__} is a copy and has no model; make one for the model that is trained")
        if self._running:
            raise EditError(f"this {type(self).__name__} is gathering already; leave its `with` first")
        self._watch.start()
        self._running = True
        return self

    def __exit__(self, *error: Any) -> None:
        if self._watch is not None and self._running:
            self._watch.stop()
        self._running = False
        self.settle()

    def __getstate__(self) -> dict[str, Any]:
        self.settle()
        return {**self.__dict__, "_watch": None, "_running": False}

    # -- what was gathered ---------------------------------------------------------------------------------------------
    @property
    def state(self) -> dict[str, torch.Tensor]:
        """All that was gathered as a plain dict of tensors, for safetensors; `load_state` takes it back."""
        self.settle()
        values = {f"values/{name}": value.detach().clone() for name, value in self._values.items()}
        return values | {f"batches/{name}": torch.tensor(count) for name, count in self._batches.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from an earlier ``state``."""
        values = {key.removeprefix("values/"): value.clone() for key, value in state.items() if key.startswith("values/")}
        missing = [name for name in values if f"batches/{name}" not in state]
        if missing or len(state) != 2 * len(values):
            raise EditError(f"this is no state of a {type(self).__name__}: it holds values/NODE and batches/NODE, in pairs")
        self.settle()
        self._values, self._batches = values, {name: int(state[f"batches/{name}"]) for name in values}
        self._joined_names = []

    def places(self, dims: Dimensions) -> Iterator[Found]:
        """(node, atom → scores) for everything that was gathered, as `atom_scores` reads it."""
        self.settle()
        if not self._values:
            raise EditError(
                f"this {type(self).__name__} has gathered nothing; train a batch of the model, backward pass included, within "
                "`with` of it"
            )
        found = list(self._found(dims))
        if not found:
            first = next(iter(self._values))
            raise EditError(f"what this {type(self).__name__} gathered is of {first!r} and others; the graph has none of them")
        yield from found

    def _found(self, dims: Dimensions) -> Iterator[Found]:
        covered: Scores = {}
        for name, value in self._values.items():
            edge = _edge(dims.graph, name)
            axis = None if edge is None else feature_axis(dims, edge)
            if edge is None or axis is None:
                continue
            size, how = dims.graph.type_of(edge).shape[axis], dims.of(edge)[axis]
            refuse_another_size(name, value, size)
            yield edge.node, fold(how, dims.sizes, value.detach().cpu().double().numpy())
            for atom, count in fold(how, dims.sizes, np.ones(size)).items():
                covered[atom] = covered[atom] + count if atom in covered else count
        for atom, counts in covered.items():
            if not counts.all():
                yield "", {atom: np.where(counts > 0, 0.0, EPSILON)}

    def _average(self, name: str, new: torch.Tensor, keep: float | None = None) -> None:
        """Bring in the value of a batch: a running average that keeps this much of the old one, or the plain average."""
        count = self._batches[name] = self._batches.get(name, 0) + 1
        old = self._values.get(name)
        if old is None or old.shape != new.shape:
            self._values[name], self._batches[name] = new, 1
        else:
            self._values[name] = _mixed(old.to(new), new, 1 - 1 / count if keep is None else keep)

    def _average_all(self, names: list[str], new: torch.Tensor, sizes: list[int], keep: float | None = None) -> None:
        """The same for many values at once, which lie one after another in ``new``: a few calls for all instead of for each."""
        counts = {self._batches.get(name, 0) for name in names}
        if (self._joined_names, len(counts)) == (names, 1) and self._joined.shape == new.shape:
            (count,) = counts
            self._joined.copy_(_mixed(self._joined, new, 1 - 1 / (count + 1) if keep is None else keep))
            self._batches.update(dict.fromkeys(names, count + 1))
            return
        for name, part in zip(names, new.split(sizes)):
            self._average(name, part, keep)
        # From now on these values are views of one tensor.
        self._joined, self._joined_names = torch.cat([self._values[name] for name in names]), names
        self._values.update(zip(names, self._joined.split(sizes)))

    def settle(self) -> None:
        """Bring in what the last batch left to be done."""
        with torch.inference_mode(False), torch.no_grad():
            self._settle()

    def _settle(self) -> None: ...

    # -- what a Watch tells --------------------------------------------------------------------------------------------
    def attached(self, model: torch.nn.Module, dims: Dimensions) -> None:
        """The model is known."""

    def begins(self) -> bool:
        self.settle()
        self._passes += 1
        return (self._passes - 1) % self.every == 0

    def sees(self, outlet: Outlet, value: torch.Tensor) -> None:
        """A layer's result, on the way forward."""

    def ends(self, output: Any) -> None:
        """The model's output."""


def _mixed(old: torch.Tensor, new: torch.Tensor, keep: float) -> torch.Tensor:
    """An average; a batch that gave no number is forgotten with the next that does."""
    mixed = torch.lerp(new, old, keep)
    return torch.where(mixed.isfinite(), mixed, new)


def refuse_another_size(name: str, value: torch.Tensor, size: int) -> None:
    if len(value) != size:
        raise EditError(f"{name!r} had {len(value)} neurons when values were gathered and has {size} now; gather again")


def _edge(graph: Graph, name: str) -> Edge | None:
    if name in graph:
        return Edge(name)
    node, _, index = name.rpartition(":")
    return Edge(node, int(index)) if node in graph and index.isdigit() else None
