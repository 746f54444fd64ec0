"""What ``print(graph)`` shows: the notation as a table, with the shape and the parameters of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .notation import line_name
from .text import sections

if TYPE_CHECKING:
    from .graph import Graph

#: The widest that a column is made; what is longer stands out of it.
_NAMES, _CALLS, _SHAPES = 40, 72, 24


def listing(graph: Graph) -> str:
    """The text of the graph set in columns: name, operator with its attributes, shape of the result, parameters.

    ``Graph.from_text`` reads it as it reads `to_text`: columns and comments do not count.

    >>> import netloom as nl
    >>> x = nl.input(3, 32, 32)
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.relu(nl.conv2d(x, 8, kernel=3, stride=2))), 10))
    >>> print(listing(graph))
    netloom 1
    x       = input float32[N, 3, 32, 32]
    conv2d  = conv2d(8, kernel=3, stride=2)  # (N, 8, 15, 15)     224 parameters
    relu    = relu                           # (N, 8, 15, 15)
    flatten = flatten                        # (N, 1800)
    linear  = linear(10)                     # (N, 10)         18,010
    return linear
    # 18,234 parameters, 133,200 FLOPs a sample
    """
    head, calls, tail = sections(graph)
    names = [line_name(step.name) for step in graph.steps]
    heads = [line.startswith(f"{name} = ") for name, (line, _) in zip(names, calls)]
    width = _width([len(name) for name, plain in zip(names, heads) if plain], _NAMES)
    lines = [
        f"{name:{width}} = {line[len(name) + 3 :]}" if plain else line for name, plain, (line, _) in zip(names, heads, calls)
    ]
    width = _width([len(line) for line, (_, shapes) in zip(lines, calls) if shapes], width + _CALLS)
    numbers = [f"{count:,}" if count else "" for count in _own_params(graph)]
    room = _width([len(shapes) for _, shapes in calls], _SHAPES)
    digits = max(map(len, numbers))
    shown, unit = [], " parameters"
    for line, (_, shapes), number in zip(lines, calls, numbers):
        if number:
            shapes, unit = f"{shapes:{room}}  {number:>{digits}}{unit}", ""
        shown.append(f"{line:{width}}  # {shapes}".rstrip() if shapes else line)
    cost = f"# {graph.num_params:,} parameters, {graph.flops:,} FLOPs a sample"
    return "\n".join([*head, *shown, *tail, cost])


def _width(lengths: list[int], most: int) -> int:
    """Wide enough for all that are not wider than ``most``."""
    return max((length for length in lengths if length <= most), default=0)


def _own_params(graph: Graph) -> list[int]:
    """Parameters of each step, every tensor at the step that uses it first."""
    seen: set[str] = set()
    found = []
    for step in graph.steps:
        count = 0
        for weight in step.weights:
            entry = graph.tensors[weight.key]
            key = entry.alias_of or weight.key
            if key not in seen and entry.kind == "parameter":
                count += entry.type.numel
            seen.add(key)
        found.append(count)
    return found
