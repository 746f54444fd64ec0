"""The suite that holds a space to its contract: `check_space`, and each of its parts.

A part raises AssertionError that says what the space did and what was expected. Graphs are drawn as searches draw them,
number i of seed s from the generator ``default_rng([s, i])``.
"""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NetloomError, SpaceError
from ..graph.graph import Argument, Graph, Step
from ..graph.tree import map_leaves
from ..ops import Edge, Weight
from ..spaces import Space, load

#: In a process whose sets and dicts of strings have another order: what does the pickled space draw?
_ELSEWHERE = """
import pickle, sys, numpy
space, seed, count = pickle.loads(sys.stdin.buffer.read())
for i in range(count):
    print(space.sample(numpy.random.default_rng([seed, i])).hash)
"""


def check_space(
    space: Space, *, count: int = 20, seed: int = 0, distinct: int = 2, built: int = 1, pickles: bool = True
) -> list[Graph]:
    """Every check on ``count`` samples, which come back.

    At least ``distinct`` different networks must be among them, ``built`` of them are built and run. ``pickles=False`` for
    a space that no other process will ever need.

    >>> import netloom as nl
    >>> len(check_space(nl.spaces.MLP(8, 2), count=3, pickles=False))
    3
    """
    assert isinstance(space, Space), f"{space!r} is no Space: it needs sample(rng), contains(graph) and spec"
    graphs = check_seeded(space, count, seed)
    for i, graph in enumerate(graphs):
        check_valid(graph, f"sample {i} of seed {seed}")
    check_membership(space, graphs)
    check_caps(space, graphs)
    check_distinct(graphs, distinct)
    for graph in graphs[:built]:
        check_runs(graph)
    check_spec(space, graphs)
    if pickles:
        check_pickles(space, graphs, seed)
    return graphs


def drawn(space: Space, i: int, seed: int = 0) -> Graph:
    """Sample number ``i`` of a seed."""
    return space.sample(np.random.default_rng([seed, i]))


def check_seeded(space: Space, count: int = 20, seed: int = 0) -> list[Graph]:
    """Samples depend on the generator alone: not on samples before, nor on the global generators, which they leave alone."""
    kept = _global_state()
    graphs = [drawn(space, i, seed) for i in range(count)]
    assert _global_state() == kept, "sampling moves the global generator of random or numpy.random; use the generator given"
    random.random()
    np.random.random()
    for i in reversed(range(count)):
        again = drawn(space, i, seed)
        assert again == graphs[i], (
            f"sample {i} of seed {seed} is another network the second time: {again!r}, was {graphs[i]!r}; take all randomness "
            "from the generator given, and keep nothing between samples that matters"
        )
    return graphs


def check_valid(graph: Graph, what: str = "the sample") -> None:
    """A graph whose invariants hold, that JSON gives back, and whose cost and hash do not depend on how it was made."""
    assert isinstance(graph, Graph), f"{what} is a {type(graph).__name__}; expected a Graph"
    try:
        graph.check()
    except NetloomError as error:
        raise AssertionError(f"{what} breaks an invariant: {error}") from error
    again = Graph.from_json(graph.to_json())
    assert again == graph, f"{what} is not what its JSON document says: {graph!r}, {again!r}"
    for fact in ("hash", "num_params", "flops"):
        ours, theirs = getattr(graph, fact), getattr(again, fact)
        assert ours == theirs, f"{what} has {fact} {ours}, worked out anew {theirs}"


def check_membership(space: Space, graphs: Sequence[Graph]) -> None:
    """The space contains its samples under any names, and not what they become with one more layer at the end."""
    for i, graph in enumerate(graphs):
        for what, member in ((f"its sample {i}", graph), (f"its sample {i} under other names", renamed(graph))):
            assert space.contains(member), f"the space does not contain {what}: {graph!r}"
    for graph in graphs[:3]:
        other = with_one_more_step(graph)
        try:
            contained = space.contains(other)
        except SpaceError:  # a space may say that it cannot tell, but not that a stranger belongs to it
            continue
        assert not contained, f"the space contains a graph that it never draws: a sample with abs behind it, {other!r}"


def check_caps(space: Any, graphs: Sequence[Graph]) -> None:
    """Samples keep ``max_params``, ``max_macs`` and ``max_flops``, where the space has such settings."""
    for name, cost in (
        ("max_params", lambda graph: graph.num_params),
        ("max_macs", lambda graph: graph.flops / 2),
        ("max_flops", lambda graph: graph.flops),
    ):
        cap = getattr(space, name, None)
        for i, graph in enumerate(graphs if cap is not None else ()):
            assert cost(graph) <= cap, f"sample {i} has {cost(graph):,.0f}, above {name} = {cap:,}"


def check_distinct(graphs: Sequence[Graph], least: int) -> None:
    """There are at least so many different networks among the samples."""
    found = len({graph.hash for graph in graphs})
    assert found >= least, f"{found} different networks in {len(graphs)} samples; expected {least} or more"


def check_runs(graph: Graph) -> None:
    """The network can be built, and gives outputs of the shapes that the graph states."""
    import torch

    from ..building.network import build

    network = build(graph, seed=0).eval()
    inputs = {arg.name: map_leaves(arg.tree, lambda edge: _zeros(graph, edge)) for arg in graph.arguments}
    keyword = {arg.name: inputs.pop(arg.name) for arg in graph.arguments if arg.keyword}
    with torch.no_grad():
        result = network(*inputs.values(), **keyword)
    if isinstance(graph.result, Edge):
        expected = _at(graph.type_of(graph.result).shape)
        assert tuple(result.shape) == expected, f"{graph!r} gives {tuple(result.shape)}, and says {expected}"


def check_spec(space: Space, graphs: Sequence[Graph], seed: int = 0) -> None:
    """A space that has a spec can be loaded from it, and draws the same networks then."""
    if space.spec:
        loaded = load(space.spec)
        assert loaded.spec == space.spec, f"loaded from {space.spec!r} its spec is {loaded.spec!r}"
        for i, graph in enumerate(graphs[:3]):
            assert drawn(loaded, i, seed) == graph, f"loaded from {space.spec!r} it draws another sample {i}"


def check_pickles(space: Space, graphs: Sequence[Graph], seed: int = 0) -> None:
    """The space can be sent to another process, and draws the same networks there."""
    count = min(len(graphs), 3)
    try:
        packed = pickle.dumps((space, seed, count))
    except Exception as error:
        raise AssertionError(f"{space!r} cannot be pickled ({error}); use functions and classes of a module") from error
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n" + _ELSEWHERE]
    done = subprocess.run(command, input=packed, capture_output=True, timeout=300)
    assert done.returncode == 0, f"{space!r} does not work in another process: {done.stderr.decode()[-2000:]}"
    hashes = done.stdout.decode().split()
    for i, (there, graph) in enumerate(zip(hashes, graphs)):
        assert there == graph.hash, (
            f"sample {i} is another network in another process ({there}, here {graph.hash}); does the order of a set or hash() "
            "of a string decide something?"
        )


def _global_state() -> tuple[Any, ...]:
    state: Any = np.random.get_state()
    return random.getstate(), state[0], state[1].tobytes(), *state[2:]


# -- graphs made from samples ------------------------------------------------------------------------------------------
def renamed(graph: Graph) -> Graph:
    """The same computation with nodes ``n0``, ``n1``, … and tensors ``t0``, ``t1``, …."""
    names = {step.name: f"n{i}" for i, step in enumerate(graph.steps)}
    keys = {key: f"t{i}" for i, key in enumerate(graph.tensors)}

    def new(value: Any) -> Any:
        if type(value) is Edge:
            return Edge(names[value.node], value.index)
        if type(value) is Weight:
            return Weight(keys[value.key])
        return tuple(map(new, value)) if type(value) is tuple else value

    steps = [
        replace(step, name=names[step.name], args={key: new(value) for key, value in step.args.items()}) for step in graph.steps
    ]
    tensors = {
        keys[key]: replace(entry, alias_of=keys[entry.alias_of] if entry.alias_of else None)
        for key, entry in graph.tensors.items()
    }
    arguments = [replace(argument, tree=map_leaves(argument.tree, new)) for argument in graph.arguments]
    return _remade(graph, steps, tensors, arguments, map_leaves(graph.result, new), map_leaves(graph.train_result, new))


def with_one_more_step(graph: Graph) -> Graph:
    """The graph with ``abs`` of its first result in the place of it."""
    first = next(edge for edge in graph.outputs)
    steps = [*graph.steps, Step("one_more", "abs", {"x": Edge(first.name)})]
    result = map_leaves(graph.result, lambda leaf: Edge("one_more") if leaf == Edge(first.name) else leaf)
    return _remade(graph, steps, dict(graph.tensors), graph.arguments, result, graph.train_result)


def _remade(
    graph: Graph, steps: list[Step], tensors: dict[str, Any], arguments: Sequence[Argument], result: Any, train: Any
) -> Graph:
    return Graph.make(steps, tensors, arguments, result, train_result=train, symbols=graph.symbols, notes=graph.notes)


def _at(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else size.at(dict.fromkeys(size.symbols, 2)) for size in shape)


def _zeros(graph: Graph, leaf: Any) -> Any:
    import torch

    if not isinstance(leaf, Edge):
        return leaf
    type = graph.type_of(leaf)
    return torch.zeros(_at(type.shape), dtype=getattr(torch, type.dtype))
