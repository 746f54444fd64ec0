"""The body of a forward: statements in the order of the graph, short ones joined into expressions, with readable names.

A value that is read once, by the statement that comes next in the order of evaluation, is written in its place: so the calls
happen in the recorded order, which random draws, written buffers and the order of gradients depend on.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from ...errors import BuildError
from ...ops import Edge, Weight, operator
from ..graph import Step
from . import hints
from .borders import NEUTRAL, Call, Context, Item, Program, context, operands
from .expressions import CALL, Writer
from .loops import Loop
from .sizes import Sizes
from .slots import Slots, input_mark, width
from .variables import Pending

#: Columns up to which expressions are joined.
_JOINED = 76
#: Operators whose results share no memory with anything, and whose backward pass does not look at them.
_FRESH = frozenset({"zeros", "ones", "full", "empty", "arange", "zeros_like", "ones_like", "full_like", "eye", "clone"})
#: Calls within calls, at most.
_DEPTH = 3


class Body(Sizes):
    """Writes one forward; `lines` is the result of `write`."""

    def __init__(self, made: Program, path: str, items: list[Item], slots: Slots, *state: Any) -> None:
        super().__init__(made, path, items, slots, *state)
        self.writer = Writer(self.graph, slots, self._name_of)
        self.writer.size_of, self.writer.flag_of, self.writer.device = self._size_of, self.flag, self._device
        if path in made.bundled:
            self.writer.bundles = dict.fromkeys(made.bundled[path], input_mark(0))

    # -- the whole -----------------------------------------------------------------------------------------------------
    def write(self) -> list[tuple[int, str, Any]]:
        """(indent, statement, the edge it names last or None) in order, without the return."""
        for symbol in self.sizes:
            self._prologue(symbol)
        groups = [(key, list(run)) for key, run in groupby(self.items, self._context)]
        done = 0
        for n, (around, run) in enumerate(groups):
            self.index = done
            self._flush()
            self._prepare_modes(around, run, groups[n + 1 :], done)
            self._open(around, groups[n - 1][0] if n else NEUTRAL)
            for item in run:
                self.index = done
                done += 1
                self._item(item, around)
            if around != NEUTRAL:
                self._flush()
            self.indent = 1
        self.index = len(self.items)
        return self.lines

    def _context(self, item: Any) -> Context:
        found = item.context if type(item) is Loop else context(item)
        # What surrounds the whole call is said where it is called.
        outer = self.outer
        mode, scope = ("", "") if (found.mode, found.scope) == (outer.mode, outer.scope) else (found.mode, found.scope)
        grad = True if found.grad == outer.grad else found.grad
        return Context(mode, scope, grad, "" if found.autocast == outer.autocast else found.autocast)

    def _open(self, around: Context, before: Context) -> None:
        if around == NEUTRAL:
            return
        if around.mode:
            flag = self.flag(around.scope)
            line = f"if {flag}:" if around.mode == "train" else f"if not {flag}:"
            if before.mode and before.mode != around.mode and before.scope == around.scope and self.lines[-1][0] > 1:
                line = "else:"
            self.line(line)
            self.indent += 1
        if around.grad is not True:
            self.line(f"with torch.{'enable_grad' if around.grad else 'no_grad'}():")
            self.indent += 1
        if around.autocast:
            device, _, dtype = around.autocast.partition(":")
            if device not in ("cpu", "cuda") or dtype not in ("bfloat16", "float16"):
                raise BuildError(f"autocast {around.autocast!r} is none that netloom knows, such as 'cpu:bfloat16'")
            self.line(f'with torch.autocast("{device}", dtype=torch.{dtype}):')
            self.indent += 1

    # -- one statement ---------------------------------------------------------------------------------------------------
    def _item(self, item: Any, around: Context) -> None:
        if type(item) is Step and Edge(item.name) in self.forced and item.op == "by_mode":
            self.bind(Edge(item.name), self.forced[Edge(item.name)])
            return
        if type(item) is Loop:
            self._flush()
            self._loop(item)
            return
        if type(item) is Step and item.op == "setitem" and self._writes_in_place(item, around):
            self._write_in_place(item)
            return
        before: list[str] = []
        if type(item) is Step and item.op not in ("opaque",) and operator(item.op).statements(self.graph.operands(item)):
            self._flush()
            before = self.writer.statements(item)
        text, strength = self._joined_expression(item)
        for statement in before:
            head, colon, rest = statement.partition(": ")
            if head.startswith("if ") and colon:
                self.line(f"{head}:")
                self.lines.append((self.indent + 1, rest, None))
            else:
                self.line(statement)
        outputs = self.gives(item)
        wanted = [edge for edge in outputs if self.uses.get(edge)]
        if len(outputs) == 1 and len(wanted) == 1 and self.uses[outputs[0]] == 1 and self._may_wait(item, text, around):
            self.pending.append(Pending(outputs[0], text, strength, self.depth, self.index, item, list(self.asked)))
            return
        self._flush()
        self._assign(item, outputs, text, list(self.asked))

    def _writes_in_place(self, step: Step, around: Context) -> bool:
        """Whether nobody can tell a write into the tensor from one into a copy: it was made here, and is read here only."""
        x = self.made.ref(step.args["x"])
        if type(x) is not Edge or self.uses.get(x) != 1 or x in self.forced or any(x == ref for ref, _ in self.arguments):
            return False
        source = self.graph[x.node].step
        alike = self._context(source) == around and source in self.items
        return alike and (source.op in _FRESH or (source.op == "setitem" and self._writes_in_place(source, around)))

    def _write_in_place(self, step: Step) -> None:
        self._flush()
        self.writer.step = step
        x = self.made.ref(step.args["x"])
        name = self._name_of(x)[0]
        self.line(f"{name}[{self.writer.index(step.args['index'])}] = {self.writer.value(step.args['value'])}")
        self.bind(Edge(step.name), name)

    def _may_wait(self, item: Any, text: str, around: Context) -> bool:
        edge = self.gives(item)[0]
        if edge in self.forced or type(item) is Step and item.op in ("by_mode", "assign"):
            return False
        user = self.last.get(edge, -1)
        if user < len(self.items) and self._context(self.items[user]) != around:
            return False
        return width(text) <= _JOINED

    def _joined_expression(self, item: Any) -> tuple[str, int]:
        """The expression with pending operands in their places, where that keeps the order of evaluation."""
        waiting = [p.edge for p in self.pending]
        self.joined = set()
        marks = len(self.slots.items)
        self.depth, self.asked = 1, []
        order: list[Any] = []
        self._dry = order
        self._express(item)
        del self.slots.items[marks:]
        del self._dry
        asked = [ref for ref in order if ref in waiting]
        if asked and len(set(asked)) == len(asked) and waiting[-len(asked) :] == asked:
            self.joined = set(asked)
            self.depth, self.asked = 1, []
            text, strength = self._express(item)
            if self.depth <= _DEPTH and width(text) + 4 * self.indent <= _JOINED + 12:
                for _ in asked:
                    self.pending.pop()
                self.joined = set()
                return text, strength
            del self.slots.items[marks:]
            self.joined = set()
        if asked:
            self._flush()
        self.depth, self.asked = 1, []
        return self._express(item)

    def _express(self, item: Any) -> tuple[str, int]:
        if type(item) is Call:
            return self._call(item), CALL
        return self.writer.call(item)

    def _call(self, call: Call) -> str:
        target = self.access(call.path)
        if call.layer:
            return f"{target}({self._layer_arguments(call)})"
        given = ", ".join(self.writer.value(ref) for ref in operands(self.made, call))
        return f"{target}([{given}])" if call.path in self.made.bundled else f"{target}({given})"

    def _layer_arguments(self, call: Call) -> str:
        step = call.items[0]
        assert isinstance(step, Step)
        self.writer.step = step
        kind = operator(step.op)
        given = [name for name in kind.by_name if kind.by_name[name].kind == "tensor" and step.args.get(name) is not None]
        texts = [self.writer.value(step.args[name]) for name in given]
        if len(texts) == 3 and step.op in ("lstm", "lstm_cell"):
            return f"{texts[0]}, ({texts[1]}, {texts[2]})"
        return ", ".join(texts)

    def _name_of(self, ref: Any) -> tuple[str, int]:
        ref = self.made.ref(ref)
        if hasattr(self, "_dry"):
            self._dry.append(ref)
        if ref in self.joined:
            held = next(p for p in self.pending if p.edge == ref)
            self.depth = max(self.depth, held.depth + 1)
            self.asked += held.variables
            return held.text, held.strength
        if ref in self.variables:
            self.asked.append(ref)
            return self.variables[ref], CALL
        if type(ref) is Weight:
            return self.weight(ref.key), CALL
        waiting = next((p for p in self.pending if p.edge == ref), None)
        if waiting is not None:
            return waiting.text, waiting.strength
        raise BuildError(f"the value {ref} is read before it is made")

    # -- names -----------------------------------------------------------------------------------------------------------
    def _flush(self) -> None:
        """Give every pending expression a name."""
        while self.pending:
            held = self.pending.pop(0)
            keep = self.index
            self.index = held.index
            self._assign(held.item, [held.edge], held.text, held.variables)
            self.index = keep

    def _assign(self, item: Any, outputs: list[Edge], text: str, variables: list[Any]) -> None:
        used = [edge for edge in outputs if self.uses.get(edge)]
        if not used:
            self.line(text)
            return
        names = [self._choose(item, edge, i, outputs, variables) if edge in used else "_" for i, edge in enumerate(outputs)]
        target = ", ".join(names)
        step = item.items[0] if type(item) is Call and item.layer else item
        if type(step) is Step:
            kind = operator(step.op)
            if kind.unpack:
                target = kind.unpack.format(*names)
            elif step.op in ("lstm", "lstm_cell") and type(item) is Call:
                target = f"{names[0]}, ({names[1]}, {names[2]})" if step.op == "lstm" else target
            elif len(names) == 1 and step.op != "opaque" and kind.always_tuple:
                target += ","
        self.line(f"{target} = {text}", used[0] if len(outputs) == 1 else None)

    # -- members of the module -----------------------------------------------------------------------------------------
    def access(self, path: str) -> str:
        """The expression for the module at ``path``, which lies under this one."""
        from .members import module_source

        return module_source(self.made, self.path, path)

    def weight(self, key: str) -> str:
        from .members import weight_source

        return weight_source(self.made, self.path, key)

    def flag(self, scope: str) -> str:
        """The training flag of the module at ``scope``."""
        return f"{self.access(scope)}.training"

    def _device(self) -> str:
        for ref, name in self.arguments:
            if type(ref) is Edge:
                return f"{name}.device"
        raise BuildError("a network without input cannot place the tensors it makes")

    # -- modes -------------------------------------------------------------------------------------------------------------
    def _prepare_modes(self, around: Context, run: list[Any], later: list[Any], start: int) -> None:
        """Let values of one mode that meet those of the other share one name; None for values that a mode may lack."""
        if not around.mode:
            return
        made = {edge for item in run for edge in self.gives(item)}
        after = [item for _, items in later for item in items]
        skipped = 0
        for item in after:
            if self._context(item).mode:
                skipped += 1
                continue
            if not (type(item) is Step and item.op == "by_mode" and item.scope == around.scope):
                break
            self._join_modes(item, around, made, start + len(run) + skipped)
        # What a module takes that runs in both modes, it takes in one of them only.
        taken = [edge for item in after if type(item) is Call and not self._context(item).mode for edge in self.reads(item)]
        for edge in dict.fromkeys((*self.results, *taken)):
            if edge in made and edge not in self.forced:
                name = hints.fresh("extra", self._free)
                self.forced[edge] = name
                self.line(f"{name} = None")

    def _join_modes(self, item: Step, around: Context, made: set[Edge], place: int) -> None:
        mine, other = ("train", "eval") if around.mode == "train" else ("eval", "train")
        inside, outside = self.made.ref(item.args[mine]), self.made.ref(item.args[other])
        target = Edge(item.name)
        if target in self.forced:
            # The other mode's block came first and chose the name.
            if inside in made and self.uses.get(inside) == 1 and self.forced.get(outside) == self.forced[target]:
                self.forced[inside] = self.forced[target]
            return
        if inside not in made or self.uses.get(inside) != 1:
            return
        name = self.variables.get(outside)
        if name is not None and type(outside) is Edge and self._may_take_over(outside, inside, place):
            self.forced[inside] = self.forced[target] = name
            return
        fresh = hints.fresh(name or "x", self._free)
        if outside in self.variables or type(outside) is Weight:
            self.line(f"{fresh} = {self._name_of(outside)[0]}")
        elif self.uses.get(outside) == 1 and any(outside in self.gives(later) for later in self.items[self.index :]):
            self.forced[outside] = fresh
        else:
            return
        self.forced[inside] = self.forced[target] = fresh
        self.names[fresh] = target

    def _may_take_over(self, old: Edge, new: Edge, place: int) -> bool:
        """Whether the name of ``old`` may pass to ``new``, which a block makes: nothing reads ``old`` after that."""
        if self.last.get(old, -1) > place or self.names.get(self.variables[old]) != old:
            return False
        maker = next(i for i, item in enumerate(self.items) if new in self.gives(item))
        return all(old not in self.reads(item) for item in self.items[maker + 1 : place])

    # -- loops -------------------------------------------------------------------------------------------------------------
    def _loop(self, loop: Loop) -> None:
        """``for layer in self.layers: x = layer(x, mask)``."""
        given = [self._name_of(ref)[0] for ref in loop.first]
        names = []
        for start, result, text in zip(loop.first, loop.results, given):
            held = self.names.get(text)
            if held == start and type(start) is Edge and self._dead(start):
                names.append(text)
            else:
                name = next((n for n in ("x", "y", "z") if self._free(n)), "") or hints.fresh("x", self._free)
                self.line(f"{name} = {text}")
                names.append(name)
            self.names[names[-1]] = result
        variable = hints.fresh(loop.variable, self._free)
        shared = {ref: self._name_of(ref)[0] for ref in loop.shared}
        arguments = [names[n] if n >= 0 else shared[loop.shared[-1 - n]] for n in loop.pattern]
        self.line(f"for {'_' if loop.same else variable} in {self._iterable(loop)}:")
        callee = self.access(loop.paths[0]) if loop.same else variable
        self.lines.append((self.indent + 1, f"{', '.join(names)} = {callee}({', '.join(arguments)})", None))
        for result, name in zip(loop.results, names):
            wanted = self.forced.get(result, name)
            if wanted != name:
                self.line(f"{wanted} = {name}")
            self.bind(result, wanted)

    def _iterable(self, loop: Loop) -> str:
        if loop.same:
            return f"range({self.slots.add(len(loop.paths), 'depth')})"
        owner = self.access(loop.paths[0].rpartition(".")[0])
        first = int(loop.paths[0].rpartition(".")[2])
        count = len(self.made.children[loop.paths[0].rpartition(".")[0]])
        start = "" if first == 0 else self.slots.add(first, "start")
        stop = "" if first + len(loop.paths) == count else self.slots.add(first + len(loop.paths), "stop")
        return f"{owner}[{start}:{stop}]" if start or stop else owner

    # -- the end -----------------------------------------------------------------------------------------------------------
    def result(self, edge: Any) -> str:
        """The expression of a result: what is pending may stand in the return itself."""
        if len(self.pending) == 1 and self.pending[0].edge == edge and self.uses.get(edge) == 1:
            return self.pending.pop().text
        self._flush()
        indent, text, made = self.lines[-1] if self.lines else (0, "", None)
        name = self._name_of(edge)[0]
        if made == edge and indent == 1 and self.uses.get(edge) == 1 and text.startswith(f"{name} = "):
            self.lines.pop()
            return text.removeprefix(f"{name} = ")
        return name
