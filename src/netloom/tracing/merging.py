"""One list of records from the runs in evaluation and in training mode.

Where both modes make the same calls, a ``training`` argument that differs becomes the owner's flag. Calls that only one
mode makes are kept with their mode, and a ``by_mode`` node chooses where their results meet.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

from ..graph.tree import edges
from ..ops import MODULE, Edge, operator
from .records import Record


def _same(e: Record, t: Record) -> bool:
    """Whether two records at the same place are one call; notes the flag where only that differs."""
    if e.op != t.op or e.scope != t.scope or e.types != t.types or e.grad != t.grad or e.autocast != t.autocast:
        return False
    if e.args == t.args:
        return True
    args = joined_args(e.op, e.args, t.args)
    if args is None:
        return False
    e.args = args
    return True


def joined_args(op: str, e: dict[str, Any], t: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments that serve both modes, or None."""
    if e == t:
        return e
    differing = {name for name in e if e[name] != t.get(name)}
    if differing == {"training"} and (e["training"], t["training"]) == (False, True):
        return {**e, "training": MODULE}
    joined: dict[str, Any] | None = operator(op).join_modes(e, t)
    return joined


class Merger:
    """Merges two runs; ``of_e`` and ``of_t`` say where every edge of either went (None: nowhere else)."""

    def __init__(self, evaluation: list[Record], training: list[Record] | None = None) -> None:
        self.of_e: dict[Edge, Edge] | None = None
        self.of_t: dict[Edge, Edge] | None = None
        self.chosen: dict[tuple[Edge, Edge], Edge] = {}
        self.out: list[Record] = evaluation
        if training is None:
            return
        if len(evaluation) == len(training) and all(_same(e, t) for e, t in zip(evaluation, training)):
            return
        self.e, self.t = evaluation, training
        self.parameters: dict[str, Edge] = {}
        self.out, self.of_e, self.of_t = [], {}, {}
        self._run(self.of_e, self.of_t)

    def _run(self, of_e: dict[Edge, Edge], of_t: dict[Edge, Edge]) -> None:
        """Align the two sequences; parameters are read where a call first needs them."""
        e_calls, t_calls = ([r for r in records if r.op != "parameter"] for records in (self.e, self.t))
        ids: dict[Any, int] = {}
        keys = [[ids.setdefault(_key(r), len(ids)) for r in records] for records in (e_calls, t_calls)]
        matcher = SequenceMatcher(None, keys[0], keys[1], autojunk=False)
        for tag, e0, e1, t0, t1 in matcher.get_opcodes():
            if tag == "equal":
                for e, t in zip(e_calls[e0:e1], t_calls[t0:t1]):
                    self._pair(e, t, of_e, of_t)
            else:
                owner = _common([r.scope for r in (*e_calls[e0:e1], *t_calls[t0:t1])])
                for e in e_calls[e0:e1]:
                    self._only(e, "eval", owner, of_e)
                for t in t_calls[t0:t1]:
                    self._only(t, "train", owner, of_t)
        for records, places in ((self.e, of_e), (self.t, of_t)):
            for record in records:
                if record.op == "parameter":
                    places[Edge(record.number)] = self._parameter(record)  # type: ignore[arg-type]

    def _parameter(self, record: Record) -> Edge:
        """The one node that reads a parameter, in whichever mode."""
        key = record.args["value"].key
        found = self.parameters.get(key)
        if found is None:
            found = self.parameters[key] = Edge(self.append(replace(record)).number)  # type: ignore[arg-type]
        return found

    def _mapped(self, value: Any, records: list[Record], places: dict[Edge, Edge]) -> Any:
        """Arguments with the edges of one run replaced by those of the merged records."""
        kind = type(value)
        if kind is Edge:
            found = places.get(value)
            return self._parameter(records[value.node]) if found is None else found
        if kind is dict:
            return {k: self._mapped(v, records, places) for k, v in value.items()}
        if kind is tuple:
            return tuple(self._mapped(v, records, places) for v in value)
        if isinstance(value, tuple) and edges(tuple(value)):
            return kind(*(self._mapped(v, records, places) for v in value))
        return value

    def _pair(self, e: Record, t: Record, of_e: dict[Edge, Edge], of_t: dict[Edge, Edge]) -> None:
        e_args, t_args = self._mapped(e.args, self.e, of_e), self._mapped(t.args, self.t, of_t)
        e_args, t_args = self._meet(e_args, t_args)
        args = joined_args(e.op, e_args, t_args)
        if args is None:
            self._only(e, "eval", e.scope, of_e)
            self._only(t, "train", t.scope, of_t)
            return
        record = self.append(replace(e, args=args, constant=min(e.constant, t.constant)))
        for index in range(len(record.types)):
            of_e[Edge(e.number, index)] = Edge(record.number, index)  # type: ignore[arg-type]
            of_t[Edge(t.number, index)] = Edge(record.number, index)  # type: ignore[arg-type]

    def _meet(self, e: Any, t: Any) -> tuple[Any, Any]:
        """Operands that come from different calls in the two modes meet in a ``by_mode`` node."""
        if type(e) is Edge and type(t) is Edge:
            if e == t:
                return e, t
            edge = self.choose(e, t)
            return (edge, edge) if edge is not None else (e, t)
        if type(e) is dict and type(t) is dict and e.keys() == t.keys():
            rows = {name: self._meet(e[name], t[name]) for name in e}
            return {k: v[0] for k, v in rows.items()}, {k: v[1] for k, v in rows.items()}
        if type(e) is tuple and type(t) is tuple and len(e) == len(t):
            pairs = [self._meet(a, b) for a, b in zip(e, t)]
            return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
        return e, t

    def choose(self, e: Edge, t: Edge) -> Edge | None:
        """The value that is ``e`` in evaluation and ``t`` in training mode; None where their types differ."""
        found = self.chosen.get((e, t))
        if found is None:
            e_record, t_record = self.out[e.node], self.out[t.node]  # type: ignore[call-overload]
            kind = e_record.types[e.index]
            if kind != t_record.types[t.index]:
                return None
            owner = t_record if t_record.mode else e_record
            args = {"train": t, "eval": e, "training": MODULE}
            record = self.append(Record(0, "by_mode", args, (kind,), owner.scope, True, "", 0))
            found = self.chosen[(e, t)] = Edge(record.number)  # type: ignore[arg-type]
        return found

    def _only(self, record: Record, mode: str, owner: str, places: dict[Edge, Edge]) -> None:
        records = self.e if mode == "eval" else self.t
        args = self._mapped(record.args, records, places)
        flagged = args.get("training") is (mode == "train")
        if flagged:
            args["training"] = MODULE
        made = self.append(replace(record, args=args, mode=mode, scope=record.scope if flagged else owner))
        for index in range(len(record.types)):
            places[Edge(record.number, index)] = Edge(made.number, index)  # type: ignore[arg-type]

    def append(self, record: Record) -> Record:
        record.number = len(self.out)
        self.out.append(record)
        return record


def _key(record: Record) -> Any:
    loose = ("training", "dropout_p", "p")
    plain = tuple((k, repr(v)) for k, v in record.args.items() if k not in loose and not edges(v))
    return (record.op, record.scope, record.types, record.grad, record.autocast, plain)


def _common(scopes: list[str]) -> str:
    """The innermost module that holds all of these."""
    parts = [scope.split(".") if scope else [] for scope in scopes]
    common: list[str] = []
    for row in zip(*parts):
        if len(set(row)) > 1:
            break
        common.append(row[0])
    return ".".join(common)
