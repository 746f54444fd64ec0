"""Edits of structure as stages of a plan: parts removed, inserted, replaced; edges connected and disconnected.

Each cuts the graph where two values of perhaps different size shall meet, finds sizes at which they do, resizes, and joins.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ..errors import EditError
from ..graph.builder import Layer, Value, assemble, call
from ..graph.graph import Graph, Step, default_scope
from ..graph.tree import edges
from ..ops import Concat, DType, Edge
from .aligning import Aligner, dropped_atoms
from .analysis import Dimensions, analyse
from .atoms import NEW, atoms_of, axis_codes, resized
from .identity import Identity
from .plan import Stage
from .rewiring import cut, fed_from, grafted, is_returned, joined, readers, remade, segment, without
from .sizing import Equal

#: Ways to make two sizes agree, in the order in which they are tried.
ALIGN = ("grow", "shrink", "both")
_MERGES = {"add": ("x", "y"), "mul": ("x", "y")}

What = Any  # a Layer, a sequence of layers, or a function from value to value


def removed(aligner: Aligner, graph: Graph, names: Sequence[str], align: Sequence[str] = ALIGN) -> Stage:
    """The stage without the nodes; their readers read what they read."""
    part = segment(graph, names)
    drop = without(graph, part)
    title = f"remove {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
    passing = all(graph[name].op in ("dropout", "dropout2d", "contiguous", "clone", "detach") for name in part.nodes)
    reasons = [] if passing else [f"{names[0]!r} is removed" if len(names) == 1 else f"{len(names)} nodes are removed"]
    return _meeting(aligner, title, graph, part.exit, part.entry, None, drop, align, reasons)


def inserted(
    aligner: Aligner, graph: Graph, edge: Edge, what: What, only: Collection[str] | None = None, init: str = "identity",
    replacing: Sequence[str] = (), align: Sequence[str] = ("adapt", "both"),
) -> tuple[Stage, tuple[str, ...]]:  # fmt: skip
    """The stage with new layers between a value and its readers (those in ``only``), and the names of the new nodes.

    With ``replacing``, in place of those nodes.
    """
    if replacing:
        part = segment(graph, replacing)
        edge, exit_, drop = part.entry, part.exit, without(graph, part)
    else:
        exit_, drop = edge, frozenset()
    _refuse_modes(graph, edge)
    piece = piece_of(what, graph.type_of(edge))
    source = piece.inputs[0].name
    graft = grafted(graph, piece, {source: edge}, beside=exit_.node)
    new = frozenset(graft.names.values())
    out = graft.exits[0]
    reads = [name for name in readers(graph, exit_) if name not in drop]
    if only is not None:
        unknown = [name for name in only if name not in reads]
        if unknown:
            raise EditError(f"{unknown[0]!r} does not read {str(exit_)!r}; its readers are {', '.join(reads) or 'none'}")
        reads = [name for name in reads if name in only]
    whole = only is None and is_returned(graph, exit_)
    rectified = bool(reads) and not whole and all(graph[name].op in ("relu", "relu6") for name in reads)
    rules, reasons = _initialised(graft.graph, new, edge, out, init, replacing, rectified)
    fresh = {key: rules.get(key, graft.graph.tensors[key].init) for key in graft.keys.values()}
    _refuse_whole_numbers(graft.graph, fresh, edge)
    title = f"{'replace ' + replacing[0] if replacing else 'insert after ' + str(edge)}"
    # What an identity gives beyond what it takes is new to its readers, no copy of what they know.
    fitting = aligner if reasons else replace(aligner, new="zero", copies=False)
    stage = _meeting(fitting, title, graft.graph, exit_, out, None if whole else reads, drop, align, reasons, keep=new)
    moves = {key: move for key, move in stage.moves.items() if key not in fresh}
    return replace(stage, moves=moves, fresh=fresh), tuple(graft.names.values())


def _refuse_modes(graph: Graph, *read: Edge) -> None:
    for edge in read:
        if graph[edge.node].step.mode:
            mode = "training" if graph[edge.node].step.mode == "train" else "evaluation"
            raise EditError(f"{str(edge)!r} is computed in {mode} mode only; nothing that both modes compute can read it")


def _refuse_whole_numbers(graph: Graph, fresh: Collection[str], edge: Edge) -> None:
    odd = [key for key in fresh if graph.tensors[key].kind == "parameter" and "float" not in graph.tensors[key].type.dtype]
    if odd and "complex" not in graph.tensors[odd[0]].type.dtype:
        raise EditError(f"{str(edge)!r} is {graph.type_of(edge)}: layers with weights need values of a floating dtype")


def _initialised(
    graph: Graph, new: frozenset[str], entry: Edge, out: Edge, init: str, replacing: Sequence[str], rectified: bool
) -> tuple[dict[str, Any], list[str]]:
    if replacing:
        return {}, [f"{replacing[0]!r} is replaced"]
    if init == "identity":
        found = Identity(graph, new, entry, out, rectified)
        if found.rules is not None:
            return found.rules, []
        return {}, [f"what is inserted after {str(entry)!r} is no identity: {found.reason}"]
    if init == "fresh":
        return {}, [f"what is inserted after {str(entry)!r} starts fresh"]
    raise EditError(f"init = {init!r}; expected 'identity' or 'fresh'")


def piece_of(what: What, type_: Any) -> Graph:
    """The graph of a layer, a chain of layers, or a function from value to value, on a value of a type."""
    value = call("input", dtype=DType(type_.dtype), shape=type_.shape)
    result: Any = value
    if isinstance(what, list | tuple) and not what:
        raise EditError("there is nothing in what is inserted; give nl.op.NAME(…), a list of those, or a function of a value")
    for part in what if isinstance(what, list | tuple) else (what,):
        if hasattr(part, "named_parameters"):
            raise EditError(f"a {type(part).__name__} cannot be inserted; give nl.op.NAME(…), or a function of a value")
        if not (isinstance(part, Layer) or callable(part)):
            raise EditError(f"{part!r} cannot be inserted; give nl.op.NAME(…), a list of those, or a function of a value")
        result = part(result)
    if not isinstance(result, Value):
        raise EditError(f"what is inserted gives {type(result).__name__}; expected one value")
    return assemble(value, result)


def connected(
    aligner: Aligner, graph: Graph, source: Edge, target: str, merge: str, operand: int = 0, align: Sequence[str] = ALIGN
) -> Stage:
    """The stage in which a value also goes into a node: as one more part of a concatenation, or merged into an operand."""
    title = f"connect {source} → {target}"
    step = graph[target].step
    _refuse_cycle(graph, source, target)
    _refuse_modes(graph, source, *graph[target].operands)
    if step.op != "cat" or merge == "add":
        reads = edges(tuple(step.args.values()))
        if not 0 <= operand < len(reads):
            raise EditError(f"{step.op} {target!r} reads {len(reads)} values; there is no operand {operand}")
        if merge == "add":
            return _added(aligner, title, graph, source, reads[operand], target, align)
        graph, target = _with_cat(graph, reads[operand], target)
        step = graph[target].step
    return _appended(aligner, title, graph, source, target, align)


def _refuse_cycle(graph: Graph, source: Edge, target: str) -> None:
    seen, stack = set(), [source.node]
    while stack:
        here = stack.pop()
        if here == target:
            raise EditError(f"{target!r} would come before itself: {str(source)!r} depends on it")
        if here not in seen:
            seen.add(here)
            stack += [edge.node for edge in graph[here].operands]


def _added(aligner: Aligner, title: str, graph: Graph, source: Edge, old: Edge, target: str, align: Sequence[str]) -> Stage:
    reasons = [f"{str(source)!r} is added to what {target!r} reads"]
    stage = _agreeing(aligner, title, graph, old, source, align, reasons)
    name = _near(stage.graph, target, "add")
    step = Step(name, "add", {"x": old, "y": source, "alpha": 1}, default_scope(name, "add", {}))
    return replace(stage, graph=_with_step(stage.graph, step, old, [target]))


def _with_step(graph: Graph, step: Step, old: Edge, only: Collection[str]) -> Graph:
    return fed_from(graph, old, Edge(step.name), only=only, insert=step)


def _with_cat(graph: Graph, old: Edge, target: str) -> tuple[Graph, str]:
    name = _near(graph, target, "cat")
    node = graph[old.node]
    axis = node.feature_axis if old.index == 0 and node.feature_axis is not None else 1
    step = Step(name, "cat", {"tensors": (old,), "dim": axis}, default_scope(name, "cat", {}))
    return _with_step(graph, step, old, [target]), name


def _near(graph: Graph, target: str, op: str) -> str:
    parent = target.rpartition(".")[0]
    wish = name = f"{parent}.{op}".lstrip(".")
    number = 0
    while name in graph:
        number += 1
        name = f"{wish}_{number}"
    return name


def _appended(aligner: Aligner, title: str, graph: Graph, source: Edge, target: str, align: Sequence[str]) -> Stage:
    """One more part at the end of a concatenation."""
    step = graph[target].step
    dim, edge = step.args["dim"], Edge(target)
    made, virtual = cut(graph, edge)
    _refuse_ranks(made, edge, source)
    shapes = [graph.type_of(value).shape for value in (edge, source)]
    fits = all(a == b for i, (a, b) in enumerate(zip(*shapes)) if i != dim)
    if fits:  # then the concatenation takes part as what it becomes
        made = _replaced(made, _longer(step, source))
    dims = analyse(made, [virtual.node])
    equal = []
    for i, (left, right) in enumerate(zip(dims.of(virtual), dims.of(edge))):
        other = dims.of(source)[i]
        if i == dim:
            whole = right if fits else Concat((right, other))
            equal.append(Equal(f"what reads {target!r} with {source} in it", left, whole))
        elif left != other and _plain(dims, edge, source, i):
            equal.append(Equal(f"axis {i} of {source} and of {target!r}", right, other))
    ours = dims.of(virtual)[dim]
    parts = ours.parts if isinstance(ours, Concat) else (ours,)
    last = set(atoms_of(parts[-1])) - {atom for part in parts[:-1] for atom in atoms_of(part)}
    stay = {atom: "it is there already" for atom in dims.sizes if atom not in last}
    ends = dict.fromkeys((*atoms_of(dims.of(edge)[dim]), *atoms_of(dims.of(source)[dim])), "the parts stay as they are")
    sizes = _first_found(aligner, dims, equal, [stay, ends, {}])
    codes = aligner.codes(dims, sizes)
    # What is new to the readers is another value, no copy of what they know.
    codes |= {atom: [max(code, NEW) for code in codes[atom]] for atom in atoms_of(ours) if atom in codes}
    stage = replace(aligner, copies=False).stage(title, dims, codes)
    beyond = (axis_codes(ours, dims.sizes, codes) == NEW).tolist()
    if beyond != sorted(beyond):
        stage = replace(stage, reasons=(*stage.reasons, f"the readers of {target!r} find its parts at other places"))
    resized_graph = stage.graph if fits else _replaced(stage.graph, _longer(stage.graph[target].step, source))
    return replace(stage, graph=joined(resized_graph, virtual, edge))


def _longer(step: Step, source: Edge) -> Step:
    return replace(step, args={**step.args, "tensors": (*step.args["tensors"], source)})


def _replaced(graph: Graph, step: Step) -> Graph:
    """The graph with a step in place of that of its name; its readers read a virtual input at this moment."""
    return remade(graph, [step if other.name == step.name else other for other in graph.steps])


def disconnected(aligner: Aligner, graph: Graph, source: Edge, target: str, number: int = 0) -> Stage:
    """The stage without a value going into a merge; a merge of one part goes as well."""
    title = f"disconnect {source} → {target}"
    merge = _merge_of(graph, source, target)
    step = graph[merge].step
    if step.op != "cat":
        names = _MERGES[step.op]
        mine = [name for name in names if step.args[name] == source]
        if number >= len(mine):
            raise EditError(f"{step.op} {merge!r} reads {str(source)!r} {len(mine)} times; there is no number {number}")
        other = step.args[names[1] if mine[number] == names[0] else names[0]]
        if not isinstance(other, Edge):
            raise EditError(f"{step.op} {merge!r} would have nothing left but the number {other}")
        reasons = [f"{str(source)!r} no longer goes into {merge!r}"]
        return _meeting(aligner, title, graph, Edge(merge), other, None, frozenset({merge}), ALIGN, reasons)
    places = [i for i, edge in enumerate(step.args["tensors"]) if edge == source]
    if number >= len(places):
        raise EditError(f"cat {merge!r} reads {str(source)!r} {len(places)} times; there is no number {number}")
    return _shortened(aligner, title, graph, merge, places[number])


def _merge_of(graph: Graph, source: Edge, target: str) -> str:
    """The merge that joins a value to what a node reads: the node itself, or the one before it."""
    candidates = [target, *(edge.node for edge in graph[target].operands)]
    for name in candidates:
        if graph[name].op in (*_MERGES, "cat") and source in graph[name].operands:
            return name
    raise EditError(f"{str(source)!r} does not go into {target!r} by a sum, product or concatenation; nothing to disconnect")


def _shortened(aligner: Aligner, title: str, graph: Graph, target: str, place: int) -> Stage:
    """A concatenation without one of its parts: what reads it keeps the weights of the others."""
    step = graph[target].step
    dim, edge = step.args["dim"], Edge(target)
    parts = step.args["tensors"]
    if len(parts) == 1:
        raise EditError(f"cat {target!r} has one part only; remove the node instead")
    made, virtual = cut(graph, edge)
    dims = analyse(made, [virtual.node])
    lengths = [made.type_of(part).shape[dim] for part in parts]
    start = sum(lengths[:place])
    gone = range(start, start + lengths[place])
    rest = tuple(part for i, part in enumerate(parts) if i != place)
    left = Concat(tuple(dims.of(part)[dim] for part in rest)) if len(rest) > 1 else dims.of(rest[0])[dim]
    equal = [Equal(f"what reads {target!r} without {parts[place]}", dims.of(virtual)[dim], left)]
    codes = _codes_without(aligner, dims, dims.of(virtual)[dim], gone, equal)
    stage = aligner.stage(title, dims, codes)
    reasons = (*stage.reasons, f"{parts[place]} no longer goes into {target!r}")
    if len(rest) == 1:
        return replace(stage, graph=fed_from(stage.graph, virtual, rest[0], drop={virtual.node, target}), reasons=reasons)
    shorter = replace(stage.graph[target].step, args={**step.args, "tensors": rest})
    return replace(stage, graph=joined(_replaced(stage.graph, shorter), virtual, edge), reasons=reasons)


def _codes_without(
    aligner: Aligner, dims: Dimensions, axis: Any, gone: range, equal: list[Equal]
) -> dict[str, list[int]]:
    """Codes that drop exactly these positions of an axis; where that does not go, sizes that fit."""
    try:
        dropped = dropped_atoms(dims, axis, list(gone), "the concatenation")
        sizes = aligner.sizes(dims, equal=equal, dropped=dropped)
        return aligner.codes(dims, sizes, dropped)
    except EditError:
        return aligner.codes(dims, aligner.sizes(dims, equal=equal))


# -- where two values meet -----------------------------------------------------------------------------------------------
def _meeting(
    aligner: Aligner, title: str, graph: Graph, old: Edge, new: Edge, only: Collection[str] | None, drop: frozenset[str],
    align: Sequence[str], reasons: list[str], keep: frozenset[str] = frozenset(),
) -> Stage:  # fmt: skip
    """The stage in which the readers of a value read another, once their sizes agree; nodes in ``keep`` go on reading it."""
    reads = [name for name in readers(graph, old) if name not in keep and name not in drop]
    chosen = reads if only is None else [name for name in reads if name in only]
    returned = only is None and is_returned(graph, old)
    if returned or any(graph[name].step.mode != graph[new.node].step.mode for name in chosen):
        _refuse_modes(graph, new)
    if graph.type_of(old) == graph.type_of(new):
        made = fed_from(graph, old, new, only=chosen, drop=drop, returned=returned)
        return Stage(title, made, reasons=tuple(reasons))
    _refuse_ranks(graph, old, new)
    made, virtual = _cut_for(graph, old, new, chosen, drop, returned)
    stage = _agreeing(aligner, title, made, virtual, new, align, reasons, [virtual.node])
    return replace(stage, graph=joined(stage.graph, virtual, new))


def _cut_for(
    graph: Graph, old: Edge, new: Edge, only: Collection[str], drop: frozenset[str], returned: bool
) -> tuple[Graph, Edge]:
    """The graph cut behind a value, with space as another has it if all that follows takes that and gives what it did."""
    axis, shape = graph[old.node].feature_axis, graph.type_of(old).shape
    spaced = tuple(a if i == axis else b for i, (a, b) in enumerate(zip(shape, graph.type_of(new).shape)))
    if spaced != shape:
        try:
            made, virtual = cut(graph, old, only, drop, returned, spaced)
            after, before = ([g.type_of(edge) for edge in edges([g.result, g.train_result])] for g in (made, graph))
            if after == before:
                return made, virtual
        except EditError:  # a literal size is in the way
            pass
    return cut(graph, old, only, drop, returned)


def _agreeing(
    aligner: Aligner, title: str, graph: Graph, one: Edge, other: Edge, align: Sequence[str], reasons: list[str],
    opened: Collection[str] = (),
) -> Stage:  # fmt: skip
    """The stage after which two values have one shape."""
    _refuse_ranks(graph, one, other)
    if graph.type_of(one) == graph.type_of(other) and not opened:
        return Stage(title, graph, reasons=tuple(reasons))
    dims = analyse(graph, opened)
    failures: list[EditError] = []
    for loosened in ((), dims.loosable) if dims.loosable else ((),):
        try:
            possible = analyse(graph, opened, loosened=loosened) if loosened else dims
            stage = _agreed(aligner, title, possible, one, other, align)
            return replace(stage, reasons=(*reasons, *stage.reasons))
        except EditError as error:
            failures.append(error)
    raise failures[0]


def _agreed(aligner: Aligner, title: str, dims: Dimensions, one: Edge, other: Edge, align: Sequence[str]) -> Stage:
    equal: list[Equal] = []
    made: set[str] = set()
    bigger: set[str] = set()
    smaller: set[str] = set()
    for i, (left, right) in enumerate(zip(dims.of(one), dims.of(other))):
        sizes = resized(left, dims.sizes), resized(right, dims.sizes)
        if left == right or not _plain(dims, one, other, i):
            continue
        if sizes[0] != sizes[1] and all(dims[atom].frozen for atom in (*atoms_of(left), *atoms_of(right))):
            raise EditError(
                f"{str(one).rstrip('~')!r} is {sizes[0]} along axis {i} where {str(other)!r} is {sizes[1]}, and neither may "
                f"change: {dims[atoms_of(left)[0]].frozen}"
            )
        equal.append(Equal(f"axis {i} of {str(one).rstrip('~')!r} and of {str(other)!r}", left, right))
        if sizes[0] != sizes[1]:
            big, small = (left, right) if sizes[0] > sizes[1] else (right, left)
            made.update(atoms_of(right))
            bigger.update(atoms_of(big))
            smaller.update(atoms_of(small))
    ways = {"grow": bigger, "shrink": smaller, "both": set[str](), "adapt": made}
    unknown = [way for way in align if way not in ways]
    if unknown:
        raise EditError(f"align = {unknown[0]!r}; expected some of 'grow', 'shrink', 'both'")
    held = [dict.fromkeys(ways[way], "the other side adapts to it") for way in align]
    sizes_found = _first_found(aligner, dims, equal, held)
    return aligner.stage(title, dims, aligner.codes(dims, sizes_found))


def _plain(dims: Dimensions, one: Edge, other: Edge, axis: int) -> bool:
    """Whether two axes are numbers; free sizes must be equal already."""
    sizes = dims.graph.type_of(one).shape[axis], dims.graph.type_of(other).shape[axis]
    if isinstance(sizes[0], int) and isinstance(sizes[1], int):
        return True
    if sizes[0] != sizes[1]:
        raise EditError(f"{one} is {sizes[0]} along axis {axis} where {other} is {sizes[1]}; they cannot meet")
    return False


def _first_found(
    aligner: Aligner, dims: Dimensions, equal: list[Equal], ways: Sequence[dict[str, str]]
) -> dict[str, int]:
    failures: list[EditError] = []
    for held in ways:
        try:
            return aligner.sizes(dims, equal=equal, held=held)
        except EditError as error:
            failures.append(error)
    raise failures[-1]


def _refuse_ranks(graph: Graph, one: Edge, other: Edge) -> None:
    a, b = graph.type_of(one), graph.type_of(other)
    if a.rank != b.rank or a.dtype != b.dtype:
        raise EditError(f"{str(one).rstrip('~')!r} is {a} where {str(other)!r} is {b}; they cannot stand for one another")
