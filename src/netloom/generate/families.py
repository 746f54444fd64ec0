"""`Family`: which networks a generator writes, and in which notation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..encode import robust
from ..encode.robust import ChoiceSequences, Notation, Sequences
from ..errors import FormatError, GeneratorError, NetloomError, SpaceError
from ..spaces import MLP, Conv, NASBench201, Space, load
from ..spaces.function_space import FunctionSpace
from .recognising import recognised

if TYPE_CHECKING:
    import numpy

    from ..graph.graph import Graph


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """The networks that ``notation`` writes; of those, where ``space`` does not have that notation as its own, its members.

    ``checks`` says that members have to be told from others, because the notation can write more than the space has.
    """

    notation: Sequences
    space: Space | None = None
    checks: bool = False

    @staticmethod
    def of(given: Space | Sequences | str | None, graphs: Sequence[Graph]) -> Family:
        """The family of a space, of its text, or of a notation; of None the one that ``graphs`` are recognised as."""
        if isinstance(given, Sequences):
            return Family(given, getattr(given, "space", None))
        if isinstance(given, str):
            given = load(given)
        if given is None:
            given = recognised(graphs)
            if given is None:
                return Family(covering(graphs))
        own = notation_of(given)
        return Family(own, given) if own is not None else Family(covering(graphs), given, True)

    def sequence(self, graph: Graph) -> list[int]:
        """The numbers of a network's tokens; `SpaceError` for a network of another family."""
        return self.notation.numbers(self.notation.some_tokens(graph))

    def contains(self, graph: Graph) -> bool:
        """Whether what the notation wrote is a member."""
        return not self.checks or self.space is None or self.space.contains(graph)

    def sample(self, rng: numpy.random.Generator) -> Graph | None:
        """A random member; None where there is no space to draw from."""
        return None if self.space is None else self.space.sample(rng)

    def within(self, max_params: float | None, max_flops: float | None) -> Sequences | None:
        """A notation of the same tokens all of whose networks keep caps; None where there is none.

        `SpaceError` for caps that admit no network.
        """
        if max_params is None and max_flops is None:
            return self.notation
        caps = {"max_params": max_params, "max_flops": max_flops}
        space = self.space
        if isinstance(self.notation, Notation):
            settings = {**self.notation.settings, "input_shape": tuple(self.notation.input_shape)}
            capped: Sequences = Notation.from_json(_json(_tightened(settings, caps)))
        elif isinstance(space, Conv | MLP):
            settings = {name: getattr(space, name) for name in space.SETTINGS}
            capped = robust.of(type(space)(**_tightened(settings, caps)))
        else:
            return None
        return capped if capped.vocabulary == self.notation.vocabulary else None

    # -- files -------------------------------------------------------------------------------------------------------
    def as_data(self) -> dict[str, Any]:
        """What `from_data` makes it of again."""
        spec = "" if self.space is None else self.space.spec
        own = isinstance(self.space, Conv | MLP | NASBench201) and bool(spec)
        data: dict[str, Any] = {"space": spec, "needs_space": self.space is not None and not own, "checks": self.checks}
        data["notation"] = self.notation.to_json() if isinstance(self.notation, Notation) else None
        data["vocabulary"] = list(self.notation.vocabulary)
        return data

    @staticmethod
    def from_data(data: dict[str, Any], space: Space | str | None) -> Family:
        """The family of what `as_data` gave. Spaces that are not netloom's own must be given: nothing is imported."""
        if isinstance(space, str):
            space = load(space)
        if data["needs_space"] and space is None:
            raise GeneratorError(
                f"this generator was fitted in a space of somebody's own ({data['space'] or 'without a text'}); give it: "
                "load(path, space=…)"
            )
        if space is None and data["space"]:
            if ":" in data["space"].partition("?")[0]:
                raise FormatError(f"space {data['space']!r} is none of netloom's own")
            space = load(data["space"])
        if data["notation"] is not None:
            found = Family(Notation.from_json(data["notation"]), space, bool(data["checks"]))
        else:
            own = None if space is None else notation_of(space)
            if own is None:
                raise GeneratorError(f"{space!r} has no notation; the generator was fitted in {data['space']!r}")
            found = Family(own, space)
        if list(found.notation.vocabulary) != data["vocabulary"]:
            raise GeneratorError(
                f"the space {data['space']!r} now has {len(found.notation.vocabulary)} tokens, other than the "
                f"{len(data['vocabulary'])} that the generator learned"
            )
        return found


def notation_of(space: Space) -> Sequences | None:
    """The notation that writes the networks of a space and no others; None where there is none."""
    if isinstance(space, FunctionSpace):
        try:
            return ChoiceSequences(space)
        except SpaceError:
            return None
    try:
        return robust.of(space)
    except SpaceError:
        return None


def insiders(given: Space | Sequences | str | None, graphs: list[Graph], scores: Any) -> tuple[list[Graph], Any]:
    """Of graphs and scores (N,) those that a generator for ``given`` can learn from: that have sequences, and one input."""
    kept = []
    own = Family.of(given, graphs) if given is not None else None
    shapes = Counter(_signature(graph) for graph in graphs)
    usual = shapes.most_common(1)[0][0] if shapes else None
    for i, graph in enumerate(graphs):
        try:
            if own is not None and not own.checks:
                own.sequence(graph)
            elif _signature(graph) == usual:
                Notation.covering([graph]).encode(graph)
            else:
                continue
        except NetloomError:
            continue
        kept.append(i)
    return [graphs[i] for i in kept], scores[kept]


def _signature(graph: Graph) -> str:
    """Shapes of inputs and outputs."""
    return str([node.shape[1:] for node in (*graph.inputs, *graph.outputs)])


def covering(graphs: Sequence[Graph]) -> Notation:
    """The notation of the operators of these networks; `GeneratorError` where they have none."""
    try:
        return Notation.covering(graphs)
    except NetloomError as error:
        raise GeneratorError(f"no notation covers these networks: {error}") from None


def _tightened(settings: dict[str, Any], caps: dict[str, float | None]) -> dict[str, Any]:
    """Settings with the lower one of each cap."""
    found = dict(settings)
    for name, cap in caps.items():
        both = [value for value in (cap, settings.get(name)) if value is not None]
        found[name] = min(both) if both else None
    return found


def _json(settings: dict[str, Any]) -> str:
    import json

    return json.dumps(settings)
