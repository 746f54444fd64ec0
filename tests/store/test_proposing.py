"""All of a run at once: edits, parents, metrics and texts."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

import netloom as nl
from netloom.store import EvaluationKey, EvaluationRecord, Lineage, Store, tables


def graph(width: int) -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, width)), 2))


def test_proposals_have_edits_parents_and_metrics(new_url: Callable[[], str]) -> None:
    with Store(new_url()) as store:
        store.add_run("r", {}, {})
        store.add_graph(graph(9))
        for ask, width in enumerate((3, 5)):
            key = EvaluationKey(graph(width).hash, task_hash="t", recipe_hash="r", seed=0, fidelity=1)
            record = store.record(graph(width), key, EvaluationRecord("ok", 0.5, 1.0, metrics={"latency": 0.25}))
            came = Lineage((graph(9).hash, graph(3).hash), {"kind": "widen"}, "mutation") if ask else None
            store.add_proposal("r", ask, record.id, reused=False, elapsed=float(ask), lineage=came)
        made = store.proposals("r")
        assert list(made["edit"]) == [None, {"kind": "widen"}]
        assert list(made["parents"]) == [(), (graph(9).hash, graph(3).hash)]
        assert list(made["metrics"]) == [{"latency": 0.25}] * 2 and list(made["proposed_by"]) == ["", "mutation"]
        assert store.graph_texts("r") == {graph(w).hash: graph(w).to_text() for w in (3, 5, 9)}
        # Stores of the first schema have no texts; they are read from the JSON.
        store._database.write(lambda connection: connection.execute(sa.update(tables.graphs).values(text=None)))
        assert store.graph_texts("r") == {graph(w).hash: graph(w).to_text() for w in (3, 5, 9)}
        assert store.graph_texts("no such run") == {}
