"""From a Graph back to its DeepNets-1M architecture, whatever its nodes are called.

The stem and the head are read off, cells are found by their outputs, and the two cells are read from the last of each kind
whose inputs differ. What is ambiguous is tried; an architecture is found where its network has the graph's hash. Operations
that nothing depends on leave no trace in a hash, and come back as ``none``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import NetloomError, SpaceError
from ..graph.graph import Graph
from ..ops import Edge
from .deepnets_architecture import LARGE, Architecture
from .deepnets_cells import Cell, CellReader, Values, aligned, with_attention
from .deepnets_genotype import Genotype
from .deepnets_hashing import layout_hash
from .deepnets_layout import layout

#: Cells that a network is taken to have beyond those that its output depends on.
_MOST_CELLS = 80
#: Readings of a cell that are tried.
_MOST_FORMS = 3


def read_architecture(graph: Graph) -> Architecture | None:
    """The architecture whose network computes what ``graph`` computes; None where there is none.

    >>> from netloom.spaces.deepnets_genotype import named
    >>> from netloom.spaces.deepnets_network import network
    >>> a = Architecture(named("darts"), 8, C=16, norm="bnorm", stem_type=1)
    >>> read_architecture(network(a)).n_cells
    8
    """
    return next(read_architectures(graph), None)


def read_architectures(graph: Graph) -> Iterator[Architecture]:
    """All architectures found whose networks compute what ``graph`` computes."""
    try:
        values = Values(graph)
        head = _head(values)
        for candidate in _candidates(values, head):
            try:
                if layout_hash(candidate, layout(candidate)) == graph.hash:
                    yield candidate
            except NetloomError:
                continue
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, NetloomError):
        return  # something is not where every network of the space has it


class _Head(NamedTuple):
    """What follows the last cell, and that cell's output."""

    last: Edge
    settings: dict[str, Any]


class _Stem(NamedTuple):
    """What comes before the first cell: the two values that it reads."""

    s0: Edge
    s1: Edge
    channels: int
    settings: dict[str, Any]


def _head(values: Values) -> _Head:
    step = values.maker(values.graph.result)
    settings: dict[str, Any] = {"num_classes": step.args["out"], "fc_layers": 1}
    step = values.source(step)
    while step.op == "dropout":
        hidden = values.source(values.source(step))
        settings |= {"fc_layers": settings["fc_layers"] + 1, "fc_dim": hidden.args["out"]}
        step = values.source(hidden)
    step = values.maker(step.args["x"])
    settings["glob_avg"] = step.op == "adaptive_avg_pool2d"
    return _Head(step.args["x"] if settings["glob_avg"] else Edge(step.name), settings)


def _stems(values: Values) -> Iterator[_Stem]:
    """The stems that the first calls may be, the likeliest last."""
    (first,) = (step for step in values.live if step.op == "conv2d" and values.maker(step.args["x"]).op == "input")
    made = values.normed(first)
    out, (kernel, _) = first.args["out"], first.args["kernel"]
    users = values.users(made)
    if [step.op for step in users] == ["add"] and any(values.maker(edge).op == "parameter" for edge in users[0].edges):
        stem = Edge(users[0].name)
        yield _Stem(stem, stem, out, {})
        return
    settings = {"ks": kernel, "stem_type": 0}
    if [step.op for step in users] == ["max_pool2d"]:
        pooled = Edge(users[0].name)
        yield _Stem(pooled, pooled, out, settings | {"stem_pool": True})
    if [step.op for step in users] == ["relu"]:
        yield from _longer_stems(values, Edge(users[0].name), settings | {"stem_type": 1})
    yield _Stem(made, made, out, settings)


def _longer_stems(values: Values, relu: Edge, settings: dict[str, Any]) -> Iterator[_Stem]:
    """Stems of three convolutions, after the first ReLU."""
    second = values.users(relu)[0]
    users = values.users(values.normed(second)) if second.op == "conv2d" else []
    if [step.op for step in users] == ["relu"]:
        s0, out = Edge(users[0].name), second.args["out"]
        for third in values.users(s0):
            if third.op == "conv2d" and third.args["stride"] == (2, 2):
                yield _Stem(s0, values.normed(third), out, settings)
        # The second of its values is not made where no cell reads it.
        yield _Stem(s0, Edge(""), out, settings)


# -- architectures that it may be ----------------------------------------------------------------------------------------
def _candidates(values: Values, head: _Head) -> Iterator[Architecture]:
    shape = values.graph.inputs[0].shape[1:]
    norms = [step for step in values.live if step.op == "batch_norm"]
    # Without norms, a transformer that has nothing else may still be one that would have them.
    norm = None if sum(step.op == "conv2d" for step in values.live) > 1 else "bnorm"
    if norms:
        norm = "bnorm" if norms[0].args["running_mean"] is None else "bn-track"
    outputs = values.cell_outputs()
    if not outputs or outputs[-1] != head.last:
        return
    width = len(values.maker(head.last).edges)
    for stem in _stems(values):
        for preproc in (True, False) if width == 1 else (True,):
            tripled = preproc and stem.settings.get("stem_type") == 0 and max(shape[1:]) < LARGE
            C, rest = divmod(stem.channels, 3 if tripled else 1)
            if rest:
                continue
            settings = {
                "input_shape": shape,
                "norm": norm if norms or not stem.settings else None,
                "preproc": preproc,
                "C": C,
                **stem.settings,
                **head.settings,
            }
            for n_cells, states in _cell_numbers(values, outputs, stem):
                cells = _Cells(values, states, n_cells, preproc)
                ratio = values.channels(head.last) // (width * C)
                reductions = len({n_cells // 3, 2 * n_cells // 3} - {0})
                for C_mult in (1, 2, 3, 4) if preproc else (1,):
                    if C_mult**reductions == ratio:
                        yield from cells.architectures(settings | {"C_mult": C_mult, "n_cells": n_cells})


def _cell_numbers(values: Values, outputs: list[Edge], stem: _Stem) -> Iterator[tuple[int, dict[int, Edge]]]:
    """The numbers of cells that there may be, and which cell each output is of.

    Cells that no later cell reads leave no output, and neither do cells that make nothing. So it is tried which of the two
    cells before them normal and reduction cells read.
    """
    both, one, other = {0, 1}, {1}, {0}
    seen = set()
    for normal in (both, one, other):
        for reduce in (both, one, other, set[int]()):
            for n_cells in range(len(outputs), min(2 * len(outputs) + 3, _MOST_CELLS)):
                live = _live_cells(n_cells, normal, reduce)
                if len(live) == len(outputs) and (n_cells, *live) not in seen:
                    seen.add((n_cells, *live))
                    yield n_cells, {-2: stem.s0, -1: stem.s1} | dict(zip(live, outputs))


def _live_cells(n_cells: int, normal: set[int], reduce: set[int]) -> list[int]:
    """The cells that the output depends on, where normal and reduction cells read these of the two cells before them."""
    reductions = {n_cells // 3, 2 * n_cells // 3} - {0}
    live = {n_cells - 1}
    for cell in range(n_cells - 1, -1, -1):
        if cell in live:
            live.update(cell - 2 + state for state in (reduce if cell in reductions else normal))
    if not reduce:
        live -= reductions
    return sorted(cell for cell in live if cell >= 0)


class _Cells:
    """The normal and the reduction cell as the outputs of the cells tell them; what tells most comes first."""

    def __init__(self, values: Values, outputs: dict[int, Edge], n_cells: int, preproc: bool) -> None:
        reductions = {n_cells // 3, 2 * n_cells // 3} - {0}
        found: dict[bool, tuple[list[Cell], list[Cell]]] = {True: ([], []), False: ([], [])}
        for cell in sorted((cell for cell in outputs if cell >= 0), reverse=True):
            inputs = (outputs.get(cell - 2), outputs.get(cell - 1))
            read = CellReader(values, outputs[cell], inputs, preproc).read()
            # A cell whose two inputs differ and are there says more than one whose inputs do not.
            kind = found[cell in reductions][inputs[0] == inputs[1] or None in inputs]
            if read is not None and read not in kind:
                kind.append(read)
        self.normal, self.reduce = ((clear + unclear)[:_MOST_FORMS] for clear, unclear in (found[False], found[True]))

    def architectures(self, settings: dict[str, Any]) -> Iterator[Architecture]:
        for normal in self.normal or (None,):
            for reduce in self.reduce or (None,):
                pair = aligned(normal, reduce)
                try:
                    if pair is not None:
                        genotype = Genotype(*pair)
                        yield Architecture(genotype if "stem_type" in settings else with_attention(genotype), **settings)
                except SpaceError:
                    continue
