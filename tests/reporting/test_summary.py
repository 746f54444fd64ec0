"""What a report says of a run: who is the incumbent, where it came from, what paid, what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

import netloom as nl
from netloom.reporting import summarize
from netloom.reporting.compact import page_data
from netloom.reporting.credit import edit_gains, part_credits
from netloom.reporting.failures import grouped_failures
from netloom.reporting.measures import measures
from netloom.reporting.networks import MAX_TEXT, lines_of, num_layers
from netloom.reporting.outcome import outcome
from netloom.reporting.parts import parts
from netloom.reporting.reproducing import command, facts, resume_command
from netloom.store import EvaluationKey, EvaluationRecord, Lineage, Store
from tests.reporting.synthetic import SETTINGS, TRACEBACK, fill


def net(*widths: int) -> nl.Graph:
    x = nl.input(4)
    y = x
    for width in widths:
        y = nl.relu(nl.linear(y, width))
    return nl.Graph(x, nl.linear(y, 2))


Told = tuple[nl.Graph, float | None, dict[str, Any]]


def run_of(told: Iterable[Told], **settings: Any) -> Store:
    """A run in a store: graph, score, and what is not as usual (fidelity, parents, edit, by, error, metrics …)."""
    store = Store()
    store.add_run("run", {**SETTINGS, **settings}, {"torch": "2.13"})
    for ask, (graph, score, more) in enumerate(told):
        status = more.get("status", "ok" if score is not None else "failed")
        record = EvaluationRecord(status, score, 2.0, more.get("error", ""), metrics=more.get("metrics", {}))
        key = EvaluationKey(graph.hash, "t", "r", seed=0, fidelity=more.get("fidelity", 4))
        stored = store.record(graph, key, record)
        parents = tuple(store.add_graph(parent) for parent in more.get("parents", ()))
        came = Lineage(
            parents, more.get("edit"), more.get("by", "random"), more.get("scorer", ""), more.get("predicted"),
            more.get("init", "random"),
        )  # fmt: skip
        store.add_proposal("run", ask, stored.id, reused=False, elapsed=float(ask), lineage=came)
    return store


# -- the incumbent -------------------------------------------------------------------------------------------------------
def test_a_network_counts_by_its_best_evaluation() -> None:
    a, b = net(3), net(5)
    told: list[Told] = [
        (a, 0.5, {"fidelity": 1}),
        (b, 0.7, {"fidelity": 1}),
        (a, 0.8, {"fidelity": 4}),
        (b, 0.6, {"fidelity": 4}),
    ]
    summary = summarize(run_of(told))
    assert [(c.hash, c.score, len(c.evaluations)) for c in summary.ranked] == [(a.hash, 0.8, 2), (b.hash, 0.7, 2)]
    assert len(summary.evaluations) == 4 and summary.incumbent is not None and summary.incumbent.main.fidelity == 4


def test_equal_scores_go_to_the_smaller_network_then_to_the_first() -> None:
    told: list[Told] = [(net(9), 0.5, {}), (net(3), 0.5, {}), (net(3, 1), 0.5, {})]
    ranked = summarize(run_of(told)).ranked
    assert [c.num_params for c in ranked] == sorted(c.num_params for c in ranked)


def test_the_incumbent_keeps_to_the_constraints() -> None:
    told: list[Told] = [
        (net(9), 0.9, {}),
        (net(3), 0.8, {"metrics": {"latency": 0.1}}),
        (net(2), 0.7, {"metrics": {"latency": 1e-3}}),
    ]
    summary = summarize(run_of(told, constraints=["params <= 60", "latency <= 2ms", "nonsense"]))
    assert summary.incumbent is not None and summary.incumbent.hash == net(2).hash and summary.incumbent.rank == 3
    assert [c.broken for c in summary.ranked] == [("params <= 60", "latency <= 0.002"), ("latency <= 0.002",), ()]
    assert [c.hash for c in summary.best_for_size] == [net(2).hash]


def test_where_all_break_a_constraint_the_best_is_shown_and_says_so() -> None:
    summary = summarize(run_of([(net(9), 0.9, {}), (net(8), 0.8, {})], constraints=["params <= 1"]))
    assert summary.incumbent is not None and summary.incumbent.hash == net(9).hash
    assert "params &lt;= 1" in parts(summary)["best"]


def test_constraints_relative_to_the_start_and_on_activations() -> None:
    start = net(8)
    told: list[Told] = [(start, 0.5, {}), (net(7), 0.9, {"parents": [start]}), (net(3), 0.6, {}), (net(2), 0.4, {})]
    summary = summarize(run_of(told, start=start.hash, constraints=["flops <= 50%", "score >= start - 0.01"]))
    assert summary.incumbent is not None and summary.incumbent.hash == net(3).hash
    most = net(3).activations
    summary = summarize(run_of(told, constraints=[f"activations <= {most}"]))
    assert summary.incumbent is not None and summary.incumbent.hash == net(3).hash


# -- where it came from --------------------------------------------------------------------------------------------------
def test_lineage_has_every_step_with_its_difference_and_gain() -> None:
    outside, first, second, other = net(2), net(4), net(4, 4), net(6)
    told: list[Told] = [
        (first, 0.5, {"parents": [outside], "edit": {"kind": "widen"}}),
        (other, 0.4, {}),
        (
            second,
            0.75,
            {"parents": [first, other], "edit": {"kind": "add layer", "titles": ["linear after relu"]}, "by": "mutation"},
        ),
    ]
    lineage = summarize(run_of(told)).lineage
    assert [(a.hash, a.generation, a.line) for a in lineage] == [
        (outside.hash, 0, True), (first.hash, 1, True), (other.hash, 1, False), (second.hash, 2, True),
    ]  # fmt: skip
    assert [a.gain for a in lineage] == [None, None, None, 0.25]
    child = lineage[-1]
    assert child.difference == str(nl.diff(first, second)) and set(child.roles.values()) >= {"added"}
    assert {name for name, role in child.roles.items() if role == "added"} == {n.name for n in nl.diff(first, second).added}
    assert lineage[0].score is None and not lineage[0].difference


def test_a_network_that_comes_up_again_is_not_its_own_ancestor() -> None:
    a, b = net(3), net(4)
    told: list[Told] = [(a, 0.5, {}), (b, 0.6, {"parents": [a]}), (a, 0.9, {"parents": [b], "fidelity": 8})]
    assert summarize(run_of(told)).lineage == ()  # its first proposal had no parents
    told = [(a, 0.5, {"parents": [b]}), (b, 0.6, {"parents": [a]})]
    assert len(summarize(run_of(told)).lineage) == 2


def test_long_lineages_end_somewhere() -> None:
    nets = [net(2 + i) for i in range(230)]
    told: list[Told] = [(each, i / 1000, {"parents": nets[i - 1 : i] if i else []}) for i, each in enumerate(nets)]
    lineage = summarize(run_of(told)).lineage
    assert len(lineage) == 200 and lineage[-1].hash == nets[-1].hash and lineage[0].generation == 0


# -- what paid -----------------------------------------------------------------------------------------------------------
def test_gains_by_kind_of_edit() -> None:
    parent = net(3)
    told: list[Told] = [
        (parent, 0.5, {}),
        (net(4), 0.6, {"parents": [parent], "edit": {"kind": "widen"}}),
        (net(5), 0.8, {"parents": [parent], "edit": {"kind": "widen"}}),
        (net(2), 0.4, {"parents": [parent], "edit": "narrow"}),
        (net(1), None, {"parents": [parent], "edit": "narrow"}),
        (net(3, 3), None, {"parents": [parent], "edit": ["deepen"]}),
    ]
    found = {gain.kind: gain for gain in edit_gains(summarize(run_of(told)))}
    assert list(found) == ["widen", "narrow", "deepen"]
    widen, narrow = found["widen"], found["narrow"]
    assert (widen.count, widen.scored, widen.better) == (2, 2, 1.0) and widen.mean == pytest.approx(0.2)
    # Standard deviation of 0.1 and 0.3 is 0.1414; 1.96 standard errors are 0.196.
    assert (widen.low, widen.high, widen.best) == (pytest.approx(0.004), pytest.approx(0.396), pytest.approx(0.3))
    assert (narrow.count, narrow.scored, narrow.low) == (2, 1, None) and narrow.mean == pytest.approx(-0.1)
    assert found["deepen"].mean is None


def test_children_are_compared_at_the_fidelity_they_had() -> None:
    parent, child = net(3), net(4)
    told: list[Told] = [
        (parent, 0.5, {"fidelity": 1}), (parent, 0.9, {"fidelity": 9}),
        (child, 0.6, {"fidelity": 1, "parents": [parent], "edit": "widen"}),
    ]  # fmt: skip
    assert edit_gains(summarize(run_of(told)))[0].mean == pytest.approx(0.1)


def test_credit_of_parts() -> None:
    told: list[Told] = [
        (net(1), 0.3, {"by": "random"}),
        (net(2), 0.2, {"by": "mutation", "scorer": "trees", "predicted": 0.1}),
        (net(3), 0.5, {"by": "mutation", "scorer": "trees", "predicted": 0.4, "init": "inherit"}),
        (net(4), None, {"by": "mutation"}),
        (net(5), 0.4, {"by": "mutation", "scorer": "trees", "predicted": 0.2}),
    ]
    summary = summarize(run_of(told))
    mutation, random = part_credits(summary, lambda e: e.proposed_by)
    assert (mutation.name, mutation.count, mutation.failed, mutation.records, mutation.best) == ("mutation", 4, 1, 1, 0.5)
    assert (random.count, random.records, random.mean) == (1, 1, 0.3)
    (trees,) = part_credits(summary, lambda e: e.scored_by)
    assert trees.predicted == 3 and trees.correlation == pytest.approx(1.0)
    assert trees.error == pytest.approx((0.1 + 0.1 + 0.2) / 3)


# -- failures, measures, how to repeat it --------------------------------------------------------------------------------
def test_failures_alike_are_one_with_a_traceback() -> None:
    errors = [TRACEBACK.format(n=1), TRACEBACK.format(n=22), "KilledError: signal 9\nby the kernel", ""]
    told: list[Told] = [(net(i + 1), None, {"error": error}) for i, error in enumerate(errors)]
    groups = grouped_failures(summarize(run_of(told)))
    assert [len(group.evaluations) for group in groups] == [2, 1, 1]
    assert groups[0].message == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x1 and 32x10)"
    assert groups[0].traceback == errors[0] and groups[0].seconds == 4.0 and groups[1].message == "KilledError: signal 9"
    shown = parts(summarize(run_of(told)))["failures"]
    assert "Traceback (most recent call last)" in shown and "2 evaluations" in shown and "No message." in shown


def test_measures_are_those_that_were_taken() -> None:
    told: list[Told] = [
        (net(3), 0.5, {"metrics": {"latency": 0.002, "best_epoch": 3, "f1_score": 0.4}}), (net(4), 0.6, {}),
        (net(5), None, {"metrics": {"memory": float("inf")}}),
    ]  # fmt: skip
    found = {measure.name: measure for measure in measures(summarize(run_of(told)))}
    assert list(found) == ["score", "params", "flops", "latency", "f1_score", "layers", "seconds"]
    assert found["latency"].values == (0.002, None, None) and found["latency"].unit == "seconds"
    assert found["f1_score"].higher and not found["latency"].higher and found["layers"].values == (2, 2, 2)


def test_commands_are_made_of_settings_old_and_new() -> None:
    known = summarize(run_of([]))
    assert "search --space conv --task digits --strategy evolution" in (command(known) or "")
    strange = summarize(run_of([], **{"a new setting": [1, 2], "strategy": "nsga2"}))
    assert "--strategy nsga2" in (command(strange) or "") and facts(strange)["a new setting"] == "1, 2"
    assert command(summarize(run_of([], recipe_name=""))) is None
    assert "--resume run" in (resume_command(known) or "")  # it says that it is running
    bare = Store()
    bare.add_run("bare", {}, {})
    assert command(summarize(bare)) is None and "bare" in facts(summarize(bare))["run"]


def test_regression_is_told_by_its_own_word() -> None:
    class Regression:
        hash, name, spec, kind = "t" * 64, "houses", "houses", "regression"

    store = run_of([(net(3), -2.5, {})])
    store.add_task(Regression())
    summary = summarize(store)
    assert summary.score_name == "Validation R²" and "-2.5000" in parts(summary)["tiles"]


# -- data ----------------------------------------------------------------------------------------------------------------
def test_lines_of_networks_are_kept_once() -> None:
    texts = [net(3).to_text(), net(3, 3).to_text(), "", net(3).to_text(), "x" * (MAX_TEXT + 1)]
    found = lines_of(texts)
    assert len(found["lines"]) == len(set(found["lines"]))
    for text, of in zip(texts[:2], found["of"]):
        assert "\n".join(found["lines"][i] for i in of) + "\n" == text
    assert found["of"][2] is None and found["of"][4] is None and found["of"][0] == found["of"][3]
    assert found["ops"]["linear"] == ["linear", 1] and found["ops"]["input"][1] == 0
    assert [num_layers(text) for text in texts[:3]] == [2, 3, 0]


def test_data_and_outcome_are_json_of_finite_numbers() -> None:
    with Store() as store:
        fill(store, 60)
        summary = summarize(store)
        data = json.loads(json.dumps(page_data(summary), allow_nan=False))
        found = json.loads(json.dumps(outcome(summary), allow_nan=False))
    columns = data["evaluations"]
    assert {len(column) for column in columns.values()} == {60}
    assert [columns["score"][i] for i in data["candidates"]["main"]] == [c.score for c in summary.candidates]
    best = summary.incumbent
    assert best is not None and data["hashes"][data["run"]["best"]] == best.hash == found["best"]["hash"]
    assert found["best"]["score"] == best.score and len(found["lineage"]) == sum(a.line for a in summary.lineage)


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    from netloom.training import Epoch

    store = Store()
    store.add_run("run", SETTINGS, {})
    curve = tuple(Epoch(e, 1.0 / e, 1.0 / e, e / 1000, float(e)) for e in range(1, 1001))
    record = store.record(
        net(3), EvaluationKey(net(3).hash, "t", "r", seed=0, fidelity=1000), EvaluationRecord("ok", 1.0, 1.0, curve=curve)
    )
    store.add_proposal("run", 0, record.id, reused=False, elapsed=1.0)
    (points,) = page_data(summarize(store))["curves"]
    assert points[0][0] == 1 and points[0][-1] == 1000 and points[1][-1] == 1 and 300 < len(points[0]) <= 401
