"""Modules that an edit took out, put in or replaced, done to a user's module tree.

A module all of whose calls are gone becomes ``nn.Identity``; a chain of new calls becomes torch's own modules, in the place of
the module that they replace, or inside the ``nn.Sequential`` in which they come to stand. The check that follows says whether
the network is right then; here nothing is refused but what has no place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from ...errors import EditError
from ...graph.graph import Graph, Step
from ...graph.tree import edges, weights
from ...ops import Edge, operator
from .attributes import owner
from .draft import Draft, Modules
from .modules import made_for


@dataclass(frozen=True, slots=True)
class Chain:
    """New calls in a row: each reads the one before it and nothing else."""

    steps: tuple[Step, ...]
    entry: Edge
    readers: tuple[str, ...]


def restructure(draft: Draft) -> dict[str, str]:
    """Change the draft's modules; gives key → key in the model for tensors of new modules that are called otherwise there."""
    return _Structure(draft).done()


class _Structure:
    def __init__(self, draft: Draft) -> None:
        self.draft, self.old, self.new = draft, draft.old, draft.new
        self.names: dict[str, str] = {}
        self.gone = [s for s in self.old.steps if s.name not in self.new or self.new[s.name].op != s.op]
        self.gone_names = {step.name for step in self.gone}
        self.fresh = [s for s in self.new.steps if s.name not in self.old or self.old[s.name].op != s.op]

    def done(self) -> dict[str, str]:
        removed = self._removed()
        for chain in self._chains():
            slot = self._slot(chain, removed)
            if slot is None:
                self._insert(chain)
                continue
            removed.remove(slot)
            if len(chain.steps) > 1 and self._in_sequence(slot):
                self._insert(replace(chain, steps=chain.steps[:-1]))
                chain = replace(chain, steps=chain.steps[-1:])
            self._put(slot, chain)
        for path in removed:
            self._replace(path, nn.Identity())
        return self.names

    def _owner(self, step: Step) -> str:
        return owner(step, self.draft.originals)

    # -- what changed --------------------------------------------------------------------------------------------------
    def _removed(self) -> list[str]:
        """The modules none of whose calls is left, the outermost of them."""
        left = [self._owner(step) for step in self.old.steps if step.name in self.new and self.new[step.name].op == step.op]
        kept = {prefix for scope in left for prefix in _prefixes(scope)}
        found: dict[str, None] = {}
        for step in self.gone:
            if step.op not in ("constant", "parameter", "input"):
                path = next((prefix for prefix in _prefixes(self._owner(step)) if prefix not in kept), "")
                if path in self.draft.modules and path:
                    found[path] = None
        return list(found)

    def _chains(self) -> list[Chain]:
        """The new calls, as chains in the order of the graph."""
        names = {step.name for step in self.fresh}
        chains: list[list[Step]] = []
        for step in self.fresh:
            if step.op == "constant":
                continue
            reads = edges(tuple(step.args.values()))
            if len(reads) != 1:
                raise EditError(self._homeless(step))
            last = next((chain for chain in chains if chain[-1].name == reads[0].node), None)
            if last is not None and self.new.consumers[reads[0].node] == (step.name,):
                last.append(step)
            elif reads[0].node in names:
                raise EditError(self._homeless(step))
            else:
                chains.append([step])
        return [
            Chain(tuple(c), edges(tuple(c[0].args.values()))[0], tuple(self.new.consumers[c[-1].name])) for c in chains
        ]  # fmt: skip

    def _slot(self, chain: Chain, removed: list[str]) -> str | None:
        """The removed module in whose place a chain comes: it reads what that read, and what read that reads it.

        Of several, one of the family of the chain's last call.
        """
        fitting = []
        for path in removed:
            inside = [step for step in self.old.steps if _is_under(self._owner(step), path)]
            if self._entries(inside) == {chain.entry} and self._readers(inside) == set(chain.readers):
                fitting.append((operator(inside[-1].op).family != operator(chain.steps[-1].op).family, path))
        return min(fitting)[1] if fitting else None

    def _entries(self, inside: list[Step]) -> set[Edge]:
        """What calls read from outside, through calls that are gone as well."""
        names = {step.name for step in inside}
        found = set()
        for edge in {edge for step in inside for edge in self.old[step.name].operands if edge.node not in names}:
            while edge.node in self.gone_names and len(self.old[edge.node].operands) == 1:
                edge = self.old[edge.node].operands[0]
            found.add(edge)
        return found

    def _readers(self, inside: list[Step]) -> set[str]:
        """What reads calls from outside, through calls that are gone as well."""
        names = {step.name for step in inside}
        stack, found = [reader for name in names for reader in self.old.consumers[name] if reader not in names], set()
        while stack:
            name = stack.pop()
            if name in self.gone_names:
                stack += self.old.consumers[name]
            else:
                found.add(name)
        return found

    # -- changes of the tree -------------------------------------------------------------------------------------------
    def _put(self, path: str, chain: Chain) -> None:
        """The chain in the place of a module."""
        modules = [self._made(step) for step in chain.steps]
        for i, step in enumerate(chain.steps):
            self._rename(step, path if len(modules) == 1 else f"{path}.{i}")
        self._replace(path, modules[0] if len(modules) == 1 else nn.Sequential(*modules))

    def _replace(self, path: str, module: nn.Module) -> None:
        def change(modules: Modules) -> None:
            old = modules[path]
            for parent in modules.values():
                for name, child in parent._modules.items():
                    if child is old:
                        parent._modules[name] = module.train(old.training)

        self.draft.change(change)

    def _insert(self, chain: Chain) -> None:
        """The chain inside the sequence that holds what it reads, or what reads it."""
        place = self._after(chain) or self._before(chain)
        if place is None:
            raise EditError(self._homeless(chain.steps[0]))
        path, name, offset = place
        made: list[tuple[str, nn.Module]] = []
        for step in chain.steps:
            child = step.name.rpartition(".")[2]
            taken = {*self.draft.modules[path]._modules, *(n for n, _ in made)}
            number = 0
            while child in taken:
                number += 1
                child = f"{step.op}_{number}"
            made.append((child, self._made(step)))
            self._rename(step, f"{path}.{child}" if path else child)

        def change(modules: Modules) -> None:
            children = modules[path]._modules
            items = list(children.items())
            at = list(children).index(name) + offset
            children.clear()
            children.update([*items[:at], *((n, m.train(modules[path].training)) for n, m in made), *items[at:]])

        self.draft.change(change)

    def _after(self, chain: Chain) -> tuple[str, str, int] | None:
        """The sequence in which a module gives what the chain reads: its path, the module's name in it, and 1."""
        node = chain.entry.node
        if node not in self.old:
            return None
        for path in reversed(_prefixes(self._owner(self.old[node].step))):
            readers = [self._owner(self.old[reader].step) for reader in self.old.consumers[node]]
            if self._in_sequence(path) and not any(_is_under(reader, path) for reader in readers):
                return *_split(path), 1
        return None

    def _before(self, chain: Chain) -> tuple[str, str, int] | None:
        for reader in chain.readers[:1]:
            for path in reversed(_prefixes(self._owner(self.new[reader].step))):
                if not _is_under(self._owner(self.old[chain.entry.node].step), path) and self._in_sequence(path):
                    return *_split(path), 0
        return None

    def _in_sequence(self, path: str) -> bool:
        parent = self.draft.modules.get(_split(path)[0])
        runs = isinstance(parent, nn.Sequential) and type(parent).forward is nn.Sequential.forward
        return runs and path in self.draft.modules

    # -- new modules ---------------------------------------------------------------------------------------------------
    def _made(self, step: Step) -> nn.Module:
        module = made_for(step, self.new)
        if module is None:
            raise EditError(self._homeless(step))
        device = next((p.device for p in self.draft.model.parameters()), torch.device("cpu"))
        for key in {weight.key for weight in weights(tuple(step.args.values()))}:
            name, entry = key.rpartition(".")[2], self.new.tensors[key]
            value = self.draft.state[key].detach().to(device, copy=True)
            if entry.kind == "parameter":
                module._parameters[name] = nn.Parameter(value, entry.requires_grad)
            else:
                module._buffers[name] = value
        return module

    def _rename(self, step: Step, path: str) -> None:
        for weight in weights(tuple(step.args.values())):
            key = f"{path}.{weight.key.rpartition('.')[2]}"
            if key != weight.key:
                self.names[weight.key] = key

    def _homeless(self, step: Step) -> str:
        around = self.draft.modules.get(step.name.rpartition(".")[0], self.draft.model)
        return (
            f"{type(self.draft.model).__name__} cannot be changed in place: {step.op} {step.name!r} is new, and the forward of "
            f"{type(around).__name__} does not call it; the model is as it was. Only chains of torch's own layers can be put "
            "into an nn.Sequential or in the place of a module. Use the edit's result, or change the code of the module"
        )


def _prefixes(path: str) -> list[str]:
    """The paths of a module and all those around it, the outermost first.

    >>> _prefixes("a.b.c")
    ['', 'a', 'a.b', 'a.b.c']
    """
    parts = path.split(".") if path else []
    return [".".join(parts[:i]) for i in range(len(parts) + 1)]


def _is_under(scope: str, path: str) -> bool:
    return scope == path or path == "" or scope.startswith(f"{path}.")


def _split(path: str) -> tuple[str, str]:
    parent, _, name = path.rpartition(".")
    return parent, name


def has_new_structure(old: Graph, new: Graph) -> bool:
    """Whether one of two graphs has a call that the other does not have."""
    ops: Mapping[str, str] = {step.name: step.op for step in old.steps}
    return len(old.steps) != len(new.steps) or any(ops.get(step.name) != step.op for step in new.steps)
