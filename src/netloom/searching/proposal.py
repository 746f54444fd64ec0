"""What a strategy proposes, and what it is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..store import Lineage

if TYPE_CHECKING:
    from ..graph.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A candidate to score: a graph, and what is not as the search has it by default.

    ``weights`` is the state (tensors by the keys of `nl.build`'s ``state_dict``) that its training begins with; None for
    random ones. ``epochs`` is the fidelity, None for that of the recipe; 0 scores the weights as they are. ``recipe`` has the
    fields of the recipe that are to be others. ``lineage`` says where the candidate came from; ``edit`` there is a dict with
    ``kind`` (one word by which edits are told apart), ``titles`` (what was done, for people) and ``recipe`` (as above).
    """

    graph: Graph
    weights: Mapping[str, Any] | None = None
    epochs: int | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)

    @staticmethod
    def of(proposed: Graph | Proposal) -> Proposal:
        """A proposal, from itself or from a graph alone."""
        return proposed if isinstance(proposed, Proposal) else Proposal(proposed)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a candidate came to. Everything in it is read back from the store when a search is resumed.

    ``score`` is None where it failed, ``status`` says how; ``epochs`` it was trained for; ``measures`` has what was
    measured beside it, by name. ``lineage`` and ``recipe`` are those of the proposal, ``evaluation``
    the number of the evaluation in the store. ``reused``: it was known before this search; ``repeated``: this search has been
    told of it before.
    """

    graph: Graph
    score: float | None
    status: str = "ok"
    seconds: float = 0.0
    epochs: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)
    evaluation: int = 0
    reused: bool = False
    repeated: bool = False

    def measure(self, name: str) -> float | None:
        """A number by its name in `netloom.searching.objectives.MEASURES`: ``"score"``, ``"params"``, ``"latency"`` …

        >>> import netloom as nl
        >>> x = nl.input(4)
        >>> result = Result(nl.Graph(x, nl.linear(x, 2)), 0.5)
        >>> result.measure("score"), result.measure("params"), result.measure("macs")
        (0.5, 10.0, 8.0)
        """
        if name == "score":
            return self.score
        if name in self.measures:
            return self.measures[name]
        static = {
            "params": self.graph.num_params, "flops": self.graph.flops, "macs": self.graph.flops / 2,
            "activations": self.graph.activations, "seconds": self.seconds,
        }  # fmt: skip
        return float(static[name]) if name in static else None
