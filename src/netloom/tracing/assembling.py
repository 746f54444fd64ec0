"""From merged records to a `Graph`: dead calls dropped, names given, the tensor table filled."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from ..graph.builder import unique
from ..graph.graph import Argument, Graph, Step
from ..graph.step import owner_of
from ..graph.table import Constant, TensorEntry
from ..graph.tree import edges, map_leaves, weights
from ..ops import MODULE, DType, Edge, Operator, Size, TensorType, Weight, operator
from ..ops.operator import resolve_types
from .merging import Merger
from .records import Record
from .state import Held, constant_of, observed_init, type_of_tensor


class Assembly:
    """The parts of one graph in the making."""

    def __init__(self, entries: list[Held], modules: dict[str, Any], merger: Merger, notes: list[str]) -> None:
        self.entries, self.merger, self.notes = entries, merger, notes
        self.records = merger.out
        self.paths = set(modules)
        self.leaf = {path for path, module in modules.items() if not module._modules}
        self.table: dict[str, TensorEntry] = {}
        self.names: dict[int, str] = {}
        self.held = {item.key: type_of_tensor(item.tensor) for item in entries}
        self.types: dict[Any, tuple[TensorType, ...]] = {}
        self.own: dict[int, list[str]] = {}

    # -- results and writes ------------------------------------------------------------------------------------------
    def results(self, trees: dict[str, Any]) -> tuple[Any, Any]:
        """The result tree, and that of training mode where it is another."""
        if len(trees) == 1:
            return next(iter(trees.values())), None
        evaluation = self._placed(trees["eval"], self.merger.of_e)
        training = self._placed(trees["train"], self.merger.of_t)
        met = self._meet(evaluation, training)
        return (evaluation, training) if met is None else (met[0], None)

    def _placed(self, tree: Any, places: dict[Edge, Edge] | None) -> Any:
        return tree if places is None else map_leaves(tree, lambda leaf: places[leaf] if type(leaf) is Edge else leaf)

    def _meet(self, e: Any, t: Any) -> tuple[Any] | None:
        if type(e) is not type(t):
            return None
        if type(e) is Edge:
            edge = e if e == t else self.merger.choose(e, t)
            return None if edge is None else (edge,)
        if type(e) in (tuple, list):
            parts = [self._meet(a, b) for a, b in zip(e, t)] if len(e) == len(t) else [None]
            return None if None in parts else (type(e)(p[0] for p in parts if p),)
        if type(e) is dict:
            rows = {k: self._meet(v, t[k]) for k, v in e.items()} if e.keys() == t.keys() else {"": None}
            return None if None in rows.values() else ({k: v[0] for k, v in rows.items() if v},)
        return (e,) if e == t else None

    def write_state(self, written: dict[str, dict[str, tuple[Edge, bool]]]) -> None:
        """An ``assign`` for every entry of the state that a forward pass changes."""
        if len(written) == 1:
            for key, (edge, grad) in next(iter(written.values())).items():
                self._assign(key, edge, "", grad)
            return
        e_written, t_written = written["eval"], written["train"]
        for key in dict.fromkeys((*e_written, *t_written)):
            e = self._placed(e_written[key][0], self.merger.of_e) if key in e_written else None
            t = self._placed(t_written[key][0], self.merger.of_t) if key in t_written else None
            both = (e if e == t else self.merger.choose(e, t)) if e is not None and t is not None else None
            grad = (e_written.get(key) or t_written[key])[1]
            if both is not None:
                self._assign(key, both, "", grad)
                continue
            if e is not None:
                self._assign(key, e, "eval", grad)
            if t is not None:
                self._assign(key, t, "train", grad)

    def _assign(self, key: str, edge: Edge, mode: str, grad: bool) -> None:
        value = self.merger.out[edge.node].types[edge.index]  # type: ignore[call-overload]
        if value != self.held[key] and not self._retype(key, value):
            return
        kind = self.held[key]
        args = {"target": Weight(key), "value": edge, "dtype": DType(kind.dtype), "shape": kind.shape}
        maker = self.merger.out[edge.node]  # type: ignore[call-overload]
        scope = maker.scope if mode and maker.mode == mode else key.rpartition(".")[0]  # whose code it is that writes
        self.merger.append(Record(0, "assign", args, (kind,), scope, grad, "", 0, mode=mode))

    def _retype(self, key: str, kind: TensorType) -> bool:
        """Whether a buffer that is replaced by one of another type can be held in that type from the start.

        So it is with a cache that no call reads before it is made and that no checkpoint holds. Anything else the graph leaves
        as it is, and says so: the next call of the model would meet another buffer, and be another computation.
        """
        item = next(item for item in self.entries if item.key == key)
        shared = sum(other.tensor is item.tensor for other in self.entries) > 1
        read = any(weight.key == key for record in self.records for weight in weights(tuple(record.args.values())))
        if shared or read or item.persistent or any(isinstance(size, Size) for size in kind.shape):
            self.notes.append(f"buffer {key!r} is left as it is: a call of the model replaces it by another, {kind}")
            return False
        self.held[key] = kind
        return True

    # -- what is alive -------------------------------------------------------------------------------------------------
    def prune(self, *trees: Any) -> None:
        """Keep what a result, a write or a random draw needs; inputs stay."""
        live: set[Any] = {edge.node for tree in trees for edge in edges(tree)}
        kept: list[Record] = []
        for record in reversed(self.records):
            if record.number in live or record.op == "input" or _has_effect(record):
                kept.append(record)
                for name in record.references():
                    value = record.args[name]
                    if type(value) is Edge:
                        live.add(value.node)
                    else:
                        live.update([edge.node for edge in edges(value)])
        self.records = kept[::-1]

    # -- names ---------------------------------------------------------------------------------------------------------
    def give_names(self) -> None:
        """Module paths for calls that own weights or are the only call of a leaf module; ``path.op`` for others."""
        own = self.own = {r.number: _own_weights(r) for r in self.records}
        calls_of: dict[str, set[str]] = {}
        for record in self.records:
            if not own[record.number] and record.op not in ("input", "constant", "by_mode"):
                calls_of.setdefault(record.scope, set()).add(record.op)
        weighted = {record.scope for record in self.records if own[record.number] and record.op != "parameter"}
        taken: set[str] = set()
        for record in self.records:
            if record.name and record.name in taken:
                record.name = ""
            taken.add(record.name)
        seen: Counter[str] = Counter()
        keys = {item.key for item in self.entries} | self.paths
        for record in self.records:
            if record.name:
                self.names[record.number] = record.name
                continue
            path = self._path(record, own[record.number], calls_of, weighted)
            if path:
                seen[path] += 1
                name = path if seen[path] == 1 else f"{path}@{seen[path]}"
                self.names[record.number] = unique(name, taken)
            else:
                stem = f"{record.scope}.{record.op}" if record.scope else record.op
                self.names[record.number] = unique(stem, taken | keys if record.op == "constant" else taken)
                taken.add(self.names[record.number])

    def _path(self, record: Record, own: list[str], calls_of: dict[str, set[str]], weighted: set[str]) -> str:
        if record.op == "parameter":
            return own[0]
        if own and record.op != "assign":
            parents = {key.rpartition(".")[0] for key in own}
            return parents.pop() if len(parents) == 1 else ""
        if record.scope in self.leaf and record.scope not in weighted and len(calls_of.get(record.scope, ())) == 1:
            return record.scope if record.op in calls_of[record.scope] else ""
        return ""

    # -- the graph -----------------------------------------------------------------------------------------------------
    def steps(self) -> list[Step]:
        found = []
        for record in self.records:
            name = self.names[record.number]
            args = dict(record.args)
            for key in record.references():
                args[key] = self._named(args[key])
            if record.op == "constant":
                args["value"] = Weight(name)
            if args.get("training") == MODULE or record.mode:
                scope = record.scope
            else:
                scope = owner_of(name, bool(self.own[record.number]) or record.op == "constant")
            found.append(Step(name, record.op, args, scope, record.mode, record.grad, record.autocast))
        return found

    def _named(self, value: Any) -> Any:
        kind = type(value)
        if kind is Edge:
            return Edge(self.names[value.node], value.index)
        if kind is tuple:
            return tuple(self._named(v) for v in value)
        if isinstance(value, tuple) and edges(tuple(value)):
            return kind(*(self._named(v) for v in value))
        return value

    def fill_table(self) -> None:
        """The tensor table: the model's entries in order, then the constants that calls hold."""
        used: dict[str, tuple[str, str, Record]] = {}
        written = set()
        for record in self.records:
            if not self.own[record.number]:
                continue
            for role in record.references():
                for weight in weights(record.args[role]):
                    if record.op == "assign":
                        written.add(weight.key)
                    elif record.op != "parameter" or weight.key not in used:
                        used[weight.key] = (record.op, role, record)
        canonical: dict[int, str] = {}
        self.types = {record.number: record.types for record in self.records}
        for item in self.entries:
            first = canonical.setdefault(id(item.tensor), item.key)
            init, constant = self._rule(item, used.get(item.key), item.key in written)
            self.table[item.key] = TensorEntry(
                self.held[item.key], item.kind, init, bool(item.tensor.requires_grad), item.persistent,
                None if first == item.key else first, constant,
            )  # fmt: skip
        for record in self.records:
            if record.op == "constant":
                held: Constant = record.args["value"]
                self.table[self.names[record.number]] = TensorEntry(
                    held.type, "buffer", ("constant", 0.0), requires_grad=False, persistent=False, constant=held
                )

    def _rule(self, item: Held, use: Any, is_written: bool) -> tuple[tuple[Any, ...], Constant | None]:
        """How a fresh value of an entry comes about: the operator's rule, its constant value, or what it looks like now."""
        if use is not None and use[0] != "parameter":
            op, role, record = use
            kind = operator(op)
            if item.kind == "parameter" or role in kind.buffers():
                return self._init(kind, role, record), None
        if item.kind == "buffer" and not is_written:
            return ("constant", 0.0), constant_of(item.tensor)
        return observed_init(item.tensor), None

    def _init(self, kind: Operator, role: str, record: Record) -> tuple[Any, ...]:
        """The operator's rule for fresh values of a weight: one and the same for calls that share a plan."""
        known: dict[str, Any] = {} if record.plan is None else record.plan.inits
        if role not in known:
            operands = {name: resolve_types(value, self._type_of) for name, value in record.args.items()}
            known[role] = kind.init(role, SimpleNamespace(**operands))
        return known[role]  # type: ignore[no-any-return]

    def _type_of(self, ref: Any) -> TensorType:
        return self.types[ref.node][ref.index] if type(ref) is Edge else self.held[ref.key]


def assemble(
    tracing: Any,
    merger: Merger,
    results: dict[str, Any],
    written: dict[str, dict[str, tuple[Edge, bool]]],
    inputs: dict[str, Edge],
    example: dict[str, int],
    notes: list[str],
) -> Graph:
    """The graph of the merged records of one trace."""
    assembly = Assembly(tracing.entries, tracing.modules, merger, notes)
    result, train_result = assembly.results(results)
    assembly.write_state(written)
    assembly.prune(result, train_result)
    assembly.give_names()
    steps = assembly.steps()
    types = {assembly.names[r.number]: r.types for r in assembly.records}
    assembly.fill_table()
    arguments = [
        Argument(name, _with_edges(tree, name, {p: Edge(p) for p in inputs}), keyword)
        for name, tree, keyword in tracing.arguments
    ]
    return Graph.make(
        steps,
        assembly.table,
        arguments,
        map_leaves(result, assembly._named),
        train_result=None if train_result is None else map_leaves(train_result, assembly._named),
        symbols=example,
        notes=notes,
        types=types,
    )


def _with_edges(tree: Any, path: str, inputs: dict[str, Edge]) -> Any:
    if path in inputs and type(tree) not in (tuple, list, dict):
        return inputs[path]
    if type(tree) in (tuple, list):
        return type(tree)(_with_edges(child, f"{path}.{i}", inputs) for i, child in enumerate(tree))
    if type(tree) is dict:
        return {key: _with_edges(child, f"{path}.{key}", inputs) for key, child in tree.items()}
    return tree


def _own_weights(record: Record) -> list[str]:
    found = []
    for name in record.references():
        value = record.args[name]
        if type(value) is not Edge:
            found += [weight.key for weight in weights(value)]
    return found


def _has_effect(record: Record) -> bool:
    kind = operator(record.op)
    if record.args.get("training") is False:
        return False
    if kind.effect:
        return not (record.args.get("dropout_p") == 0.0 and "dropout_p" in record.args)
    return any(type(record.args.get(role)) is Weight for role in kind.buffers())
