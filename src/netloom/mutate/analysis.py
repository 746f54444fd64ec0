"""`analyse`: which axes of a network change together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..graph.graph import Graph
from ..ops import Concat, Edge, Product, Size, operator
from ..ops.dims import Dims
from .atoms import Atom, Expression, Member, Take, atoms_of, resized, takes
from .resolving import Ties, variables_of
from .roles import AxisRole, axis_roles
from .unify import CONCAT

#: A node, one of its results or the key of one of its weights, and the roots of its axes.
Place = tuple[str, Edge | str, tuple[int, ...]]


def analyse(
    graph: Graph, open_inputs: Collection[str] = (), open_outputs: bool = False, loosened: Collection[str] = ()
) -> Dimensions:
    """How all sizes of a network hang together, from what its operators say of their axes.

    The axes of inputs are frozen, but for those of the input nodes in ``open_inputs``; so are those of outputs unless
    ``open_outputs``. A grouped convolution of one filter per group keeps to that, so that its channels are those of its input,
    and a group norm to what is in a group, unless they are in ``loosened``.

    >>> import netloom as nl
    >>> x = nl.input(3, 8, 8)
    >>> y = nl.conv2d(x, 16, kernel=3, padding=1, name="stem")
    >>> z = nl.cat([y, nl.relu(y)], 1)
    >>> graph = nl.Graph(x, nl.linear(nl.flatten(nl.avg_pool2d(z, 8)), 10, name="head"))
    >>> dims = analyse(graph)
    >>> [(atom.id, atom.size) for atom in dims.atoms if not atom.frozen]
    [('stem', 16)]
    >>> dims.of("head.weight")
    ('head', Concat(parts=('stem', 'stem')))
    """
    return Dimensions(graph, open_inputs, open_outputs, loosened)


class Dimensions:
    """The axes of a graph over atoms; see `analyse`.

    ``atoms`` lists them in order of appearance, ``free`` those that may change.
    """

    def __init__(
        self, graph: Graph, open_inputs: Collection[str] = (), open_outputs: bool = False, loosened: Collection[str] = ()
    ) -> None:
        self.graph = graph
        self.open_outputs = open_outputs
        self._ties = Ties(graph, open_inputs, open_outputs, loosened)
        self._axes = self._ties.axes
        self._expressions: dict[int, Expression] = {}
        self._rows: dict[Edge | str, tuple[Expression, ...]] = {}
        self._names: dict[int, str] = {}
        self._sizes: dict[str, Any] = {}
        self._units: dict[int, tuple[str, int]] = {}
        self._rigid: set[str] = set()
        self._taken_at: dict[str, str] = {}
        self._rules: dict[str, tuple[Dims, Mapping[str, Expression]]] = {}
        self._name_atoms()
        self.atoms = self._collect()
        self._by_id = {atom.id: atom for atom in self.atoms}

    # -- reading -------------------------------------------------------------------------------------------------------
    @property
    def free(self) -> tuple[Atom, ...]:
        """The atoms that may change."""
        return tuple(atom for atom in self.atoms if not atom.frozen)

    @property
    def sizes(self) -> dict[str, Any]:
        """Atom → its present size; to be read only."""
        return self._sizes

    def __getitem__(self, name: str) -> Atom:
        return self._by_id[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_id

    def of(self, ref: Edge | str) -> tuple[Expression, ...]:
        """The axes of a value (an `Edge`) or of an entry of the tensor table (its key) over atoms."""
        found = self._rows.get(ref)
        if found is None:
            # A tensor that no call reads hangs together with nothing.
            row = self._ties.values[ref] if isinstance(ref, Edge) else self._ties.tensors.get(self._ties.head(ref), ())
            found = self._rows[ref] = tuple(map(self._expression, row))
        return found

    def rule(self, node: str) -> tuple[Dims, Mapping[str, Expression]]:
        """The dimension rule of a node, and its labels over atoms; those that are on no axis are left out."""
        found = self._rules.get(node)
        if found is None:
            labels = self._ties.labels[node]
            known = {label: self._expression(v) for label, v in labels.items() if self._is_named(v)}
            found = self._rules[node] = (self._ties.rules[node].dims, known)
        return found

    def likeness(self, node: str) -> Any:
        """One and the same object for all nodes that have like operators, attributes, operands and results."""
        return self._ties.rules[node]

    def _is_named(self, variable: int) -> bool:
        return all(leaf in self._names or leaf in self._units for leaf in self._axes.occurrences(variable))

    @cached_property
    def axes(self) -> tuple[Expression, ...]:
        """All axes of values and tensors that are not fixed, each once."""
        found: dict[Expression, None] = {}
        for _, _, row in self._places:
            found.update(dict.fromkeys(map(self._expression, row)))
        return tuple(axis for axis in found if any(not self._by_id[atom].frozen for atom in atoms_of(axis)))

    @cached_property
    def layers(self) -> Mapping[Expression, int]:
        """The output axes of nodes with parameters → how many nodes have each: what counts as the size of a layer."""
        found: dict[Expression, int] = defaultdict(int)
        for step in self.graph.steps:
            kind = operator(step.op)
            if step.weights or kind.family == "join":
                edges = (Edge(step.name, k) for k in range(len(self.graph.types(step.name))))
                for axis in dict.fromkeys(axis for edge in edges for axis in self.of(edge)):
                    if any(not self._by_id[atom].frozen for atom in atoms_of(axis)):
                        found[axis] += 1
        return found

    @property
    def loosable(self) -> tuple[str, ...]:
        """The nodes that `analyse` can take as ``loosened``, so that more sizes are possible."""
        return tuple(self._ties.loosable)

    @property
    def loosened(self) -> tuple[str, ...]:
        """The nodes that it took as such."""
        return tuple(name for name in self._ties.loosable if name in self._ties.loosened)

    def always_beside_others(self, name: str) -> bool:
        """Whether every axis that has the atom has something beside it, so that it may vanish."""
        return name not in self._alone

    @cached_property
    def _alone(self) -> frozenset[str]:
        """The atoms of axes that have nothing beside them."""
        return frozenset(atom for axis in self.axes if not isinstance(axis, Concat) for atom in atoms_of(axis))

    def head(self, key: str) -> str:
        """The entry whose tensor a key names: itself unless it is an alias."""
        return self._ties.head(key)

    def produces(self, key: str) -> tuple[bool, ...]:
        """For each axis of a tensor, whether some call gives a result with it: the rows of a layer, not its columns."""
        return tuple(bool(role.made) for role in self.roles(key))

    def sums(self, key: str) -> tuple[bool, ...]:
        """For each axis of a tensor, whether some call sums over it: the columns of a layer; both for a tied embedding."""
        return tuple(bool(role.summed) for role in self.roles(key))

    def roles(self, key: str) -> Sequence[AxisRole]:
        """For each axis of a tensor the atoms with which calls make results, and those over which they sum."""
        found = self._roles[0].get(self.head(key))
        return found if found is not None else [AxisRole(set(), set()) for _ in self.graph.tensors[key].type.shape]

    def part_of(self, edge: Edge) -> str | None:
        """The parameter of which a value is a part, or that it is; None for what is computed otherwise."""
        return self._roles[1].get(edge)

    @cached_property
    def _roles(self) -> tuple[Mapping[str, Sequence[AxisRole]], Mapping[Edge, str]]:
        return axis_roles(self)

    def attrs(self, node: str) -> dict[str, Any]:
        """The attributes of a node that hold sizes: attribute → axis over atoms, or a tuple of axes and None in its places."""
        return {name: self._tree(tree) for name, tree in self._ties.attrs.get(node, {}).items()}

    def taken(self, name: str) -> str:
        """What fixes the places of an atom's indices, "" where nothing does: such an atom cannot grow."""
        found = self._taken_at.get(name)
        if found is None:
            found = self._taken_at[name] = self._fixed_places(name)
        return found

    def _fixed_places(self, name: str) -> str:
        if name in self._rigid:
            return f"the place of each of its indices beside others, at {str(self[name].members[0].ref)!r},"
        for member in self[name].members if self._units else ():
            if takes(member.how, name):
                return f"the order of its indices on axis {member.axis} of {str(member.ref)!r}"
        return ""

    @property
    def multiples(self) -> tuple[tuple[Expression, int, str], ...]:
        """(axis, factor, node): where a node needs the size of an axis to be a multiple."""
        return tuple((self._expression(axis), factor, node) for axis, factor, node in self._ties.multiples)

    @property
    def below(self) -> tuple[tuple[Expression, Expression, str], ...]:
        """(axis, axis, node): where a node needs the size of the first to be smaller than that of the second."""
        return tuple((self._expression(small), self._expression(large), node) for small, large, node in self._ties.below)

    def __str__(self) -> str:
        """A table for a person: every set of sizes that move together, who makes and who reads it, and why others are fixed.

        >>> import netloom as nl
        >>> x = nl.input(4)
        >>> print(analyse(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8, name="hidden")), 2, name="head"))))
        atom    size  made by  read by
        hidden     8  hidden   head
        fixed: 4 because of axis 1 of the result of input 'x'; 2 because of axis 1 of an output
        """
        from .explaining import table

        return table(self)

    def draw(self, path: Any, **options: Any) -> Any:
        """A picture of the network (.svg, .png, .html) in which sizes that move together have one colour; see `Graph.draw`."""
        from .picturing import draw

        return draw(self, path, **options)

    def explain(self, name: str) -> str:
        """For a person: which layers' sizes move together with those of this node, and through what.

        >>> import netloom as nl
        >>> x = nl.input(3, 8, 8)
        >>> y = nl.relu(nl.conv2d(x, 16, kernel=3, bias=False, name="stem"), name="act")
        >>> graph = nl.Graph(x, nl.conv2d(y, 8, kernel=1, bias=False, name="next"))
        >>> print(analyse(graph).explain("stem"))
        stem (conv2d)
          result: (N, stem, 6, 6)
          stem.weight: (stem, 3, 3, 3)
        stem: 16 indices, free, which are
          stem.weight: axis 0
          next.weight: axis 1   (through act)
        fixed are
          N: axis 0 of the result of input 'x'
          6: axis 2 of the result of conv2d 'stem'
          6: axis 3 of the result of conv2d 'stem'
          3: axis 1 of the result of input 'x'
          3: axis 2 of the weight of conv2d 'stem'
          3: axis 3 of the weight of conv2d 'stem'
        """
        from .explaining import explain

        return explain(self, name)

    # -- atoms ---------------------------------------------------------------------------------------------------------
    def _tree(self, tree: Any) -> Any:
        if isinstance(tree, tuple):
            return tuple(map(self._tree, tree))
        return None if tree is None else self._expression(tree)

    @cached_property
    def _places(self) -> list[Place]:
        """(node, value or key, the roots of its axes) in the order of execution: the weights of a node, then its results."""
        found: list[Place] = []
        find = self._axes.find
        seen: set[str] = set()
        for step in self.graph.steps:
            for weight in step.weights:
                key = self._ties.head(weight.key)
                if key not in seen and key in self._ties.tensors:
                    seen.add(key)
                    found.append((step.name, key, tuple(map(find, self._ties.tensors[key]))))
            edges = [Edge(step.name, k) for k in range(len(self.graph.types(step.name)))]
            found += [(step.name, edge, tuple(map(find, self._ties.values[edge]))) for edge in edges]
        return found

    def _name_atoms(self) -> None:
        """Names for all atoms, of the nodes that own parameters with them: free ones first, which get the plain names."""
        first: dict[int, str] = {}
        owner: dict[int, str] = {}
        met: tuple[set[int], set[int]] = set(), set()
        for node, ref, row in self._places:
            owns = isinstance(ref, str) and self.graph.tensors[ref].kind == "parameter"
            for root in row:
                if root not in met[owns]:
                    met[owns].add(root)
                    for leaf in self._axes.leaves(root):
                        first.setdefault(leaf, node)
                        if owns:
                            owner.setdefault(leaf, node)
        for node, stated in self._ties.attrs.items():
            for variable in variables_of(stated):
                for leaf in self._axes.leaves(variable):
                    first.setdefault(leaf, node)
        self._freeze_free_sizes(first)
        groups = self._unit_groups(first)
        taken: dict[str, int] = defaultdict(int)
        for frozen in (False, True):
            for group in groups:
                if bool(self._axes.reason(group[0])) == frozen:
                    node = owner.get(group[0], first[group[0]])
                    taken[node] += 1
                    name = node if taken[node] == 1 else f"{node}:{taken[node]}"
                    self._enter(name, group)

    def _enter(self, name: str, group: tuple[int, ...]) -> None:
        self._sizes[name] = self._axes.size[group[0]] if len(group) == 1 else len(group)
        if any(map(self._axes.is_rigid, group)):
            self._rigid.add(name)
        if len(group) == 1:
            self._names[group[0]] = name
        for i, unit in enumerate(group if len(group) > 1 else ()):
            self._units[unit] = (name, i)

    def _freeze_free_sizes(self, leaves: dict[int, str]) -> None:
        for leaf in leaves:
            size = self._axes.size[leaf]
            if isinstance(size, Size):
                self._axes.freeze(leaf, f"the size {size} is free")

    def _unit_groups(self, first: dict[int, str]) -> list[tuple[int, ...]]:
        """Atoms of one index that stand in the same axes equally often are one atom of several indices."""
        units = {leaf for leaf in first if self._axes.size[leaf] == 1} - self._axes.growing()
        signatures: dict[int, list[tuple[int, int, int]]] = {unit: [] for unit in units}
        counts: dict[int, list[tuple[int, int]]] = {}
        joined = [row for _, _, row in self._places] if units else []
        for place, row in enumerate(joined):
            for axis, root in enumerate(row):
                if root not in counts:
                    counts[root] = list(Counter(filter(units.__contains__, self._axes.occurrences(root))).items())
                for leaf, count in counts[root]:
                    signatures[leaf].append((place, axis, count))
        groups: dict[Any, list[int]] = {}
        for leaf in first:
            key = (tuple(signatures[leaf]), self._axes.reason(leaf)) if signatures.get(leaf) else leaf
            groups.setdefault(key, []).append(leaf)
        return [tuple(group) for group in groups.values()]

    def _expression(self, variable: int) -> Expression:
        root = self._axes.find(variable)
        found = self._expressions.get(root)
        if found is None:
            found = self._expressions[root] = self._express(root)
        return found

    def _express(self, root: int) -> Expression:
        form = self._axes.form(root)
        if form is None:
            return self._names[root] if root in self._names else Take(self._units[root][0], (self._units[root][1],))
        kind = Concat if form[0] == CONCAT else Product
        parts: list[Expression] = []
        for part in map(self._expression, form[1]):
            parts += part.parts if isinstance(part, kind) else (part,)
        return self._taken(parts) if kind is Concat else Product(tuple(parts))

    def _taken(self, parts: list[Expression]) -> Expression:
        """A concatenation in which neighbours that take from one atom are one part."""
        merged: list[Expression] = []
        for part in parts:
            last = merged[-1] if merged else None
            if isinstance(part, Take) and isinstance(last, Take) and last.atom == part.atom:
                merged[-1] = Take(part.atom, last.indices + part.indices)
            else:
                merged.append(part)
        whole = [
            part.atom if isinstance(part, Take) and part.indices == tuple(range(self._sizes[part.atom])) else part
            for part in merged
        ]
        return whole[0] if len(whole) == 1 else Concat(tuple(whole))

    def _collect(self) -> tuple[Atom, ...]:
        reasons = {name: self._axes.reason(leaf) for leaf, name in self._names.items()}
        reasons |= {name: self._axes.reason(unit) for unit, (name, _) in self._units.items()}
        find = _Membership(self._places, {root: self._expression(root) for _, _, row in self._places for root in row}).of
        return tuple(Atom(name, size, reasons[name], find) for name, size in self._sizes.items())

    def check(self) -> None:
        """Every axis has the size that its expression gives; for tests."""
        for _, ref, row in self._places:
            shape = self.graph.tensors[ref].type.shape if isinstance(ref, str) else self.graph.type_of(ref).shape
            given = tuple(resized(self._expression(root), self._sizes) for root in row)
            assert given == shape, f"{ref}: {shape} is {given} by its atoms"


class _Membership:
    """The axes in which atoms take part; found for all atoms when those of one are asked for."""

    def __init__(self, places: list[Place], expressions: dict[int, Expression]) -> None:
        self.places, self.expressions = places, expressions

    def of(self, atom: str) -> tuple[Member, ...]:
        return tuple(self._members.get(atom, ()))

    @cached_property
    def _members(self) -> dict[str, list[Member]]:
        found: dict[str, list[Member]] = defaultdict(list)
        for _, ref, row in self.places:
            for axis, root in enumerate(row):
                how = self.expressions[root]
                for atom in atoms_of(how):
                    found[atom].append(Member(ref, axis, how))
        return found
