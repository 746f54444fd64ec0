"""Which of netloom's spaces networks come from, told from the networks alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import NetloomError
from ..ops import Weight
from ..spaces import MLP, Conv, NASBench201, Space

if TYPE_CHECKING:
    from ..graph.graph import Graph

#: Most cells of a stage that are tried.
_MOST_CELLS = 20


def recognised(graphs: Sequence[Graph]) -> Space | None:
    """The first space that has all of these networks as members; None where there is none.

    >>> import netloom as nl, numpy as np
    >>> space, rng = nl.spaces.NASBench201(num_classes=7, C=4, N=1, input_shape=(3, 8, 8)), np.random.default_rng(0)
    >>> recognised([space.sample(rng) for _ in range(3)]) == space
    True
    """
    for space in _candidates(graphs):
        if all(map(space.contains, graphs)):
            return space
    return None


def _candidates(graphs: Sequence[Graph]) -> Iterator[Space]:
    """Spaces that have the first network, with settings that fit all."""
    first = graphs[0]
    if len(first.arguments) != 1 or len(first.outputs) != 1:
        return
    shape, classes = tuple(first.inputs[0].shape[1:]), first.outputs[0].shape[-1]
    if not all(type(size) is int for size in (*shape, classes)):
        return
    for propose in (_cells, _convolutions, _perceptrons):
        try:
            for space in propose(graphs, shape, classes):
                if space.contains(first):
                    yield space
                    break
        except NetloomError:
            continue


def _cells(graphs: Sequence[Graph], shape: tuple[int, ...], classes: int) -> Iterator[Space]:
    stem = next((step for step in graphs[0].steps if step.op == "conv2d"), None)
    if stem is None or len(shape) != 3 or shape[1] % 4 or shape[2] % 4:
        return
    for cells in range(1, _MOST_CELLS + 1):
        yield NASBench201(num_classes=classes, C=stem.args["out"], N=cells, input_shape=shape)


def _convolutions(graphs: Sequence[Graph], shape: tuple[int, ...], classes: int) -> Iterator[Space]:
    if len(shape) != 3:
        return
    usual = Conv(shape, classes)
    most = [max(sum(step.op == op for step in graph.steps) for graph in graphs) for op in ("conv2d", "linear")]
    yield Conv(shape, classes, max(usual.conv_num, most[0]), max(usual.lin_num, most[1]))


def _perceptrons(graphs: Sequence[Graph], shape: tuple[int, ...], classes: int) -> Iterator[Space]:
    steps = [step for graph in graphs for step in graph.steps]
    layers = [sum(step.op == "linear" for step in graph.steps) - 1 for graph in graphs]
    widths = sorted({step.args["out"] for graph in graphs for step in graph.steps[:-1] if step.op == "linear"})
    other = {"input", "flatten", "linear", "add", "batch_norm", "layer_norm", "dropout"}
    activations = list(dict.fromkeys(step.op for step in steps if step.op not in other))
    if not widths or not activations:
        return
    norms = {"batch_norm": "batch", "layer_norm": "layer"}
    biases = {type(step.args.get("bias")) is Weight for graph in graphs for step in graph.steps[:-1] if step.op == "linear"}
    yield MLP(
        shape[0] if len(shape) == 1 else shape, classes,
        layers=range(min(layers), max(layers) + 1), widths=widths, activations=activations, bias=sorted(biases, reverse=True),
        norm=[None, *[name for op, name in norms.items() if any(step.op == op for step in steps)]],
        skip=0.5 if any(step.op == "add" for step in steps) else 0.0,
        dropout=sorted({0.0, *[step.args["p"] for step in steps if step.op == "dropout"]}),
    )  # fmt: skip
