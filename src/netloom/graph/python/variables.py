"""Names of the values of one forward: who reads a value last, and which name is free for the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...ops import Edge
from . import hints
from .borders import Context, Item, Program, flat_outputs, operands
from .loops import Loop, loops
from .slots import Slots


@dataclass
class Pending:
    """An expression whose value has not been given a name yet."""

    edge: Edge
    text: str
    strength: int
    depth: int
    index: int
    item: Item
    variables: list[Any] = field(default_factory=list)


class Variables:
    """The state of a forward in the making: what has a name, what still waits for one, and who reads what."""

    def __init__(
        self,
        made: Program,
        path: str,
        items: list[Item],
        slots: Slots,
        variables: dict[Any, str],
        results: list[Edge],
        outer: Context,
        reserved: set[str],
        sizes: tuple[str, ...] = (),
    ) -> None:
        self.made, self.graph, self.path, self.slots, self.outer = made, made.graph, path, slots, outer
        self.items = loops(made, path, items)
        self.variables = dict(variables)
        self.results = results
        self.reserved = reserved | made.globals
        self.sizes = sizes
        self.arguments = list(variables.items())
        self.names: dict[str, Any] = {name: ref for ref, name in variables.items()}
        self.pending: list[Pending] = []
        self.lines: list[tuple[int, str, Any]] = []
        self.symbols: dict[str, str] = {}
        self.indent = 1
        self.index = 0
        self.forced: dict[Any, str] = {}
        self.asked: list[Any] = []
        self.joined: set[Any] = set()
        self.depth = 0
        self.last, self.uses = self._count_uses()

    def line(self, text: str, edge: Any = None) -> None:
        self.lines.append((self.indent, text, edge))

    # -- who reads what ------------------------------------------------------------------------------------------------
    def _count_uses(self) -> tuple[dict[Any, int], dict[Any, int]]:
        last: dict[Any, int] = {}
        uses: dict[Any, int] = {}
        for i, item in enumerate(self.items):
            for ref in self.reads(item):
                last[ref] = i
                uses[ref] = uses.get(ref, 0) + 1
        for edge in self.results:
            last[edge] = len(self.items)
            uses[edge] = uses.get(edge, 0) + 1
        return last, uses

    def reads(self, item: Any) -> list[Any]:
        if type(item) is Loop:
            return [*item.first, *item.shared]
        return operands(self.made, item)

    def gives(self, item: Any) -> list[Edge]:
        """All values that a statement binds."""
        if type(item) is Loop:
            return list(item.results)
        return flat_outputs(self.made, item)

    # -- names ------------------------------------------------------------------------------------------------------------
    def _choose(self, item: Any, edge: Edge, place: int, outputs: list[Edge], variables: list[Any]) -> str:
        if edge in self.forced:
            name = self.forced[edge]
            self.bind(edge, name)
            return name
        hint = hints.name_for(self.made, item, place, len(outputs))
        name = ""
        if hint is None or hint.weak:
            dying = [ref for ref in variables if self._dead(ref) and type(ref) is Edge]
            for ref in dying:
                name = self.variables[ref]
                if self._free(name) and self._alike(ref, edge):
                    break
                name = ""
        if not name:
            options = [hint.text] if hint is not None else []
            options += [n for n in ("x", "y", "z") if hint is None]
            if "x" in self.reserved and self.arguments:
                options = [self.arguments[0][1] if n == "x" else n for n in options]
            name = next((n for n in options if self._free(n)), "")
        if not name:
            stem, number = hint.text if hint is not None else "y", 2
            if stem == "x" and "x" in self.reserved:
                stem = "y"
            while not self._free(f"{stem}{number}"):
                number += 1
            name = f"{stem}{number}"
        self.bind(edge, name)
        return name

    def _alike(self, ref: Any, edge: Edge) -> bool:
        """Whether a reader takes both for one thing: a token's number and its features have different names."""
        return ("float" in self.graph.type_of(ref).dtype) == ("float" in self.graph.type_of(edge).dtype)

    def _dead(self, ref: Any) -> bool:
        return self.last.get(ref, -1) <= self.index and ref not in self.forced

    def _free(self, name: str) -> bool:
        if name in self.reserved or name in self.forced.values():
            return False
        holder = self.names.get(name)
        if holder is None:
            return True
        return type(holder) is Edge and self._dead(holder)

    def bind(self, edge: Edge, name: str) -> None:
        """Let ``name`` hold ``edge`` from here on."""
        before = self.names.get(name)
        if before is not None and before != edge:
            self.variables.pop(before, None)
        self.names[name] = edge
        self.variables[edge] = name
