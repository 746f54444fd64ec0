"""The loop made of parts: proposers, scorers, first weights, credit, warm starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.errors import SearchError
from netloom.searching import ClosedLoop, Proposal, Result, resume, simulate
from netloom.searching.context import Context
from netloom.searching.crediting import Credits, Paying
from netloom.searching.initialising import RACES, Initialising, read_init, winner
from netloom.searching.learned_weights import netformer, samples
from netloom.searching.offspring import fresh
from netloom.searching.proposers import FromNetformer, Population, perceptron
from netloom.searching.scorers import FromHypernetwork, FromProxy
from netloom.searching.warm_starting import described_tasks, distances, task_features
from netloom.store import Lineage
from netloom.testing import check_strategy

TINY = {"epochs": 2, "batch_size": 128}
SPACE = "conv?max_macs=20000&conv_num=2"


class Sizes:
    """Scores go with the logarithm of the parameters."""

    def fit(self, graphs: list[Any], scores: list[float]) -> None:
        self.line = np.polyfit([np.log(graph.num_params) for graph in graphs], scores, 1)

    def predict(self, graphs: list[Any]) -> Any:
        return np.polyval(self.line, [np.log(graph.num_params) for graph in graphs])


@pytest.fixture(scope="module")
def digits() -> nl.tasks.Task:
    return nl.tasks.load("digits")


@pytest.fixture(scope="module")
def table() -> nl.tasks.Task:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 5))
    return nl.tasks.from_arrays(x, (x[:, 0] > 0.2 * x[:, 1] ** 2).astype(int), name="bent")


@pytest.mark.parametrize("spec", ["loop?score=none&initial=6", "loop?propose=mutation+crossover&inherit=false&score=none"])
def test_it_keeps_the_contract_of_strategies(spec: str) -> None:
    check_strategy(spec)


def test_the_budget_goes_where_it_pays() -> None:
    space = nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3))
    results = simulate(space, lambda g: -abs(np.log(g.num_params / 2000)), "loop?propose=space+mutation&score=none", 120)
    late = [result.lineage.proposed_by for result in results[60:]]
    assert late.count("mutation") > 2 * late.count("space") and late.count("space") >= 2


def test_a_scorer_that_is_right_is_heard_and_one_that_is_wrong_is_not() -> None:
    strategy = ClosedLoop("space", "predictor", initial=5)
    strategy.begin(Context(nl.spaces.MLP(16, 4)))
    strategy._said = {"right": [(i / 50, i / 50) for i in range(50)], "wrong": [(i / 50, -i / 50) for i in range(50)]}
    assert strategy._weight("right") > 0.8 and strategy._weight("wrong") < 0.05 and 0.3 < strategy._weight("new") < 0.5


def test_the_record_says_which_part_did_what(digits: nl.tasks.Task) -> None:
    strategy = ClosedLoop("space+mutation", "Trees+synflow", initial=4, after=4, screen=6)
    result = nl.search(SPACE, digits, strategy, 9, recipe=TINY, progress=False)
    rows = result.store.proposals(result.run_id)
    assert set(rows["proposed_by"]) <= {"space", "mutation"} and "mutation" in set(rows["proposed_by"])
    later = rows[rows["scored_by"] == "Trees+synflow"]
    assert len(later) >= 3 and later["predicted_score"].notna().all()
    assert all(0 <= place <= 1 for edit in later["edit"] for place in edit["places"].values())
    assert set(rows[rows["scored_by"] == ""]["predicted_score"].isna()) <= {True}


def test_parts_in_the_place_of_a_strategy(digits: nl.tasks.Task) -> None:
    result = nl.search(SPACE, digits, budget=3, propose=["space"], score="none", init="random", recipe=TINY, progress=False)
    assert result.settings.strategy == "loop?propose=space&score=none" and result.settings.init == "random"
    with pytest.raises(SearchError, match="two answers to one question"):
        nl.search(SPACE, digits, "evolution", 3, propose="space")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"propose": "spac"}, "propose 'spac'; did you mean 'space'"), ({"propose": []}, "different names"),
        ({"propose": "space+space"}, "different names"), ({"score": "predicter"}, "did you mean 'predictor'"),
        ({"score": "synflow+synflow"}, "twice"), ({"screen": 0}, "screen = 0"), ({"floor": 2}, "floor = 2"),
    ],
)  # fmt: skip
def test_mistakes_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SearchError, match=said):
        ClosedLoop(**settings)


# -- first weights -----------------------------------------------------------------------------------------------------
def test_texts_of_first_weights() -> None:
    assert read_init(None) == "" and read_init(["ghn:a.safetensors", "inherit"]) == "ghn:a.safetensors+inherit"
    mistakes = (("inherited", "did you mean 'inherit'"), ("ghn", "there is:"), ("auto+auto", "twice"), (["x", 3], "init"))
    for wrong, said in mistakes:
        with pytest.raises(SearchError, match=said):
            read_init(wrong)  # type: ignore[arg-type]


def evolved(task: nl.tasks.Task, init: Any, strategy: Any = "evolution?initial=3", budget: Any = 8, **more: Any) -> Any:
    result = nl.search(SPACE, task, strategy, budget, init=init, recipe=TINY, progress=False, **more)
    return result, result.store.proposals(result.run_id)


def test_random_weights_train_in_full_and_inherited_ones_do_not(digits: nl.tasks.Task) -> None:
    _, rows = evolved(digits, "random")
    assert set(rows["initialised_by"]) == {"random"} and set(rows["fidelity"]) == {2} and set(rows["init"]) == {"random"}
    _, rows = evolved(digits, "inherit")
    assert {"random", "inherit"} == set(rows["initialised_by"])
    assert set(rows[rows["initialised_by"] == "inherit"]["fidelity"]) == {1}


def test_a_hypernetwork_initialises_any_strategy_and_another_number_of_classes_is_refused(
    digits: nl.tasks.Task, table: nl.tasks.Task, tmp_path: Path
) -> None:
    file = nl.ghn.GHN2(max_shape=(16, 16, 7, 7), num_classes=10, hid=8).save(tmp_path / "small.safetensors")
    _, rows = evolved(digits, f"ghn:{file}", "random", 3)
    assert set(rows["initialised_by"]) == {"ghn"} and set(rows["fidelity"]) == {2} and rows["init"].nunique() == 3
    with pytest.raises(SearchError, match="predicts networks of 10 classes; task 'bent' has 2"):
        nl.search("mlp", table, init=f"ghn:{file}", budget=2, progress=False)


def test_a_netformer_initialises_perceptrons_and_falls_back_for_others(table: nl.tasks.Task) -> None:
    inside, outside = ("mlp?widths=8&layers=1,2&activations=relu", 2, "netformer"), ("mlp?widths=64&layers=1", 1, "random")
    for space, count, name in (inside, outside):
        found = nl.search(space, table, "random", count, init="netformer:mlp", recipe=TINY, progress=False)
        assert set(found.store.proposals(found.run_id)["initialised_by"]) == {name}


def test_written_weights_beat_random_ones_before_training(table: nl.tasks.Task) -> None:
    from netloom.training import evaluate

    graph = perceptron(table.input_shape, 2, [(12, "relu")])
    written = nl.build(graph, weights=netformer("mlp", table).weights(graph)).eval()
    assert evaluate(written, table.valid).score > 0.8
    assert len(samples(table)[0]) <= 500


def test_auto_races_on_the_first_candidates_and_then_stops_racing(table: nl.tasks.Task) -> None:
    space = "mlp?widths=8,16&layers=1,2&activations=relu"
    result = nl.search(space, table, "random", 10, init="auto", recipe=TINY, progress=False)
    rows = result.store.proposals(result.run_id)
    raced = [edit["race"] for edit in rows["edit"] if isinstance(edit, dict) and "race" in edit]
    assert all(set(race) == {"random", "netformer"} for race in raced)
    won = [winner(race, Context(task=table)) == "netformer" for race in raced]
    assert len(raced) == 2 and len(set(won)) == 1 or len(raced) == RACES and len(set(won[:2])) == 2
    # On two epochs of a small table, written weights are far ahead: that is what the races see.
    assert list(rows["initialised_by"]).count("netformer") >= 6


def test_random_weights_win_unless_they_are_beaten_by_more_than_noise(digits: nl.tasks.Task) -> None:
    context = Context(task=digits)
    assert winner({"random": 0.5, "ghn": 0.51}, context) == "random" and winner({"random": 0.5, "ghn": 0.6}, context) == "ghn"
    assert winner({"random": 0.5, "ghn": None}, context) == "random" and winner({"random": None, "ghn": 0.1}, context) == "ghn"


def test_an_initialiser_that_does_harm_is_left_alone(digits: nl.tasks.Task) -> None:
    """What loses its races and whose candidates fail keeps the floor of the bandit, and no more."""
    context = Context(nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=10, max_macs=20_000), task=digits)
    initialising = Initialising(context, "auto")
    rng = np.random.default_rng(0)
    for i in range(30):
        graph = fresh(context, rng).graph
        edit = {"race": {"random": 0.8, "inherit": 0.2, "ghn": 0.1}} if i < RACES else None
        name = "inherit" if i % 3 == 0 else "random"
        initialising.tell(Result(graph, 0.1 if name == "inherit" else 0.9, lineage=Lineage(edit=edit, initialised_by=name)))
    graph = fresh(context, rng).graph
    state = nl.build(graph, seed=0).state_dict()
    drawn = []
    for i in range(100):
        initialising._chosen.clear()
        lineage = Lineage(initialised_by="inherit")
        drawn.append(initialising.apply(i, Proposal(graph, state, 1, lineage=lineage)).lineage.initialised_by)
    assert drawn.count("inherit") < 25


def test_rungs_of_one_network_begin_alike(digits: nl.tasks.Task, tmp_path: Path) -> None:
    """Halving trains a network further: its first weights must stay what they were."""
    file = nl.ghn.GHN2(max_shape=(16, 16, 7, 7), num_classes=10, hid=8).save(tmp_path / "small.safetensors")
    _, rows = evolved(digits, f"auto+ghn:{file}", "successive-halving", "24 epochs")
    for _, own in rows.groupby("graph_hash"):
        assert own["initialised_by"].nunique() == 1 and own["init"].nunique() == 1


def test_what_is_cheaper_is_chosen_more_often_where_it_pays_as_much(digits: nl.tasks.Task) -> None:
    """A child that begins with its parents' weights trains for half the epochs: two of them for one from random weights."""
    context = Context(task=digits, recipe=nl.training.recipe("express", epochs=4))
    shares = []
    for epochs in (4, 1):
        initialising = Initialising(context, "auto")
        initialising._learned.clear()
        initialising._races["inherit"] = [True, True]
        for i in range(40):
            initialising._credits.tell("inherit" if i % 2 else "random", float(i % 4 < 2))
        graph = nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=10).sample(np.random.default_rng(0))
        state, lineage = nl.build(graph, seed=0).state_dict(), Lineage(initialised_by="inherit")
        names = []
        for i in range(150):
            initialising._chosen.clear()
            names.append(initialising.apply(i, Proposal(graph, state, epochs, lineage=lineage)).lineage.initialised_by)
        shares.append(names.count("inherit") / len(names))
    assert 0.25 < shares[0] < 0.75 and shares[1] > shares[0] + 0.15


def test_races_count_towards_a_budget_in_epochs(table: nl.tasks.Task) -> None:
    space = "mlp?widths=4,6,8,10,12,14,16&layers=2&activations=relu,tanh"
    free = nl.search(space, table, "random", "12 epochs", init="random", recipe=TINY, progress=False)
    raced = nl.search(space, table, "random", "12 epochs", init="auto", recipe=TINY, progress=False)
    assert len(raced.evaluations) < len(free.evaluations) == 6


# -- resuming ----------------------------------------------------------------------------------------------------------
def test_a_search_that_was_stopped_comes_to_the_same_end(table: nl.tasks.Task, tmp_path: Path) -> None:
    space = nl.spaces.MLP(5, 2, widths=(8, 16), layers=(1, 2), activations=("relu", "tanh"))
    strategy = ClosedLoop("space+mutation+netformer", "Trees", initial=4, after=4, screen=5)

    def told(result: Any) -> list[Any]:
        rows = result.store.proposals(result.run_id)
        return list(zip(rows["graph_hash"], rows["init"], rows["score"], rows["initialised_by"], rows["proposed_by"]))

    whole = nl.search(space, table, strategy, 10, init="auto", recipe=TINY, progress=False)
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    part = nl.search(space, table, strategy, 6, init="auto", recipe=TINY, progress=False, store=url)
    rest = resume(part.run_id, url, space=space, task=table, budget=10, progress=False)
    assert told(rest) == told(whole)


# -- warm starts -------------------------------------------------------------------------------------------------------
def test_near_tasks_are_near() -> None:
    rng = np.random.default_rng(0)

    def made(n: int, d: int, classes: int) -> nl.tasks.Task:
        x = rng.standard_normal((n, d))
        return nl.tasks.from_arrays(x, np.arange(n) % classes, name=f"{d} columns")

    own = task_features(made(300, 5, 2))
    others = {str(d): (f"{d} columns", task_features(made(n, d, k))) for n, d, k in ((320, 6, 2), (2000, 40, 9))}
    near, far = distances(own, others)
    assert (near.name, far.name) == ("6 columns", "40 columns") and near.weight > far.weight > 0
    x = rng.standard_normal((200, 4))
    others["r"] = ("regression", task_features(nl.tasks.from_arrays(x, x[:, 0], name="r")))
    assert {task.name for task in distances(own, others)} == {"6 columns", "40 columns"}


def test_an_old_store_helps_a_new_task(table: nl.tasks.Task, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    first = nl.search("mlp?widths=8,16,32", table, "random", 8, recipe=TINY, progress=False, store=url)
    assert set(described_tasks(first.store)) == {table.hash}
    x = np.random.default_rng(1).standard_normal((200, 7))
    new = nl.tasks.from_arrays(x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0), name="new")
    strategy = ClosedLoop("space", "Trees", initial=2, after=50, screen=5)
    result = nl.search("mlp?widths=8,16,32", new, strategy, 10, recipe=TINY, progress=False, warm_start=url)
    rows = result.store.proposals(result.run_id)
    taken = rows[rows["proposed_by"] == "warm start"]
    assert len(taken) == len(result.settings.incumbents) == 2 and list(taken["ask"]) == [0, 1]
    assert taken.iloc[0]["edit"] == {"kind": "warm start", "titles": []}
    best = first.best.graph
    moved = result.store.graph(taken.iloc[0]["graph_hash"])
    assert moved.inputs[0].shape[1:] == (7,) and [n.op for n in moved] == [n.op for n in best]
    assert "warm start" in set(rows["scored_by"])
    with pytest.raises(Exception, match="nowhere"):
        nl.search("mlp", new, budget=2, warm_start=f"sqlite:///{tmp_path}/nowhere.db", progress=False)


# -- parts -------------------------------------------------------------------------------------------------------------
def test_credits_follow_what_pays_and_change_their_mind() -> None:
    credits, rng = Credits(floor=0.05), np.random.default_rng(0)
    for _ in range(60):
        credits.tell("a", True)
        credits.tell("b", False)
    assert [credits.choose(["a", "b"], rng) for _ in range(100)].count("a") > 80
    for _ in range(150):
        credits.tell("a", False)
        credits.tell("b", True)
    assert [credits.choose(["a", "b"], rng) for _ in range(100)].count("b") > 80
    assert credits.choose(["c"], rng) == "c"


def test_a_candidate_pays_when_it_is_among_the_best_fifth_of_late_ones() -> None:
    paying = Paying()
    assert [paying.of(float(i)) for i in range(10)] == [True] * 10
    assert not paying.of(5.0) and not paying.of(None) and paying.of(9.5)


def test_values_of_proxies_and_hypernetworks(digits: nl.tasks.Task, tmp_path: Path) -> None:
    context = Context(task=digits)
    rng = np.random.default_rng(0)
    space = nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=10, max_macs=20_000)
    graphs = [space.sample(rng) for _ in range(2)]
    proxy = FromProxy("params") if "params" in nl.measure.PROXIES else FromProxy("synflow")
    proxy.begin(context)
    assert all(value is not None for value in proxy.values(graphs)) and proxy.values(graphs) == proxy.values(graphs)
    file = nl.ghn.GHN2(max_shape=(16, 16, 7, 7), num_classes=10, hid=8).save(tmp_path / "small.safetensors")
    scorer = FromHypernetwork(str(file))
    scorer.begin(context)
    assert all(0 <= value <= 1 for value in scorer.values(graphs) if value is not None)
    assert scorer.predicted(graphs[0]) == scorer.values(graphs)[0]


def test_a_netformer_proposes_networks_that_fit_the_task(table: nl.tasks.Task) -> None:
    proposer = FromNetformer()
    context = Context(nl.spaces.MLP(5, 2), task=table)
    proposer.begin(context, Population(10, 3), None)  # type: ignore[arg-type]
    ideas = proposer.propose(3, np.random.default_rng(0))
    assert len(ideas) == 3
    proposal = ideas[0].make()
    assert proposal is not None and proposal.weights is not None and proposal.lineage.initialised_by == "netformer"
    proposer.population.alive.append(replace(Result(ideas[0].graph, 0.9)))
    assert proposer.propose(3, np.random.default_rng(1))


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    words = ["search", "digits", "--space", SPACE, "--budget", "2", "--store", url, "--quiet"]
    assert main([*words, "--propose", "space,mutation", "--score", "none", "--init", "inherit,random"]) == 0
    store = nl.Store(url)
    settings = store.run(store.run_ids()[0])["settings"]
    assert settings["strategy"] == "loop?propose=space+mutation&score=none" and settings["init"] == "inherit+random"
    assert main([*words, "--init", "inherited"]) == 2 and "did you mean 'inherit'" in capsys.readouterr().err
    assert main(["search", "--resume", store.run_ids()[0], "--store", url, "--init", "random"]) == 2
    assert "--init cannot be changed" in capsys.readouterr().err


def test_a_predictor_made_in_python_scores(digits: nl.tasks.Task) -> None:
    strategy = ClosedLoop("space", [Sizes()], initial=3, after=3, screen=4)
    result = nl.search(SPACE, digits, strategy, 6, recipe=TINY, progress=False)
    assert list(result.store.proposals(result.run_id)["scored_by"]).count("Sizes") == 3 and result.settings.strategy == ""
    with pytest.raises(SearchError, match="expected an object with fit"):
        ClosedLoop(score=[3])


def test_a_warm_start_goes_on_without_its_store(table: nl.tasks.Task, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    other = nl.tasks.from_arrays(np.random.default_rng(3).standard_normal((120, 4)), np.arange(120) % 2, name="other")
    nl.search("mlp?widths=8,16", other, "random", 5, recipe=TINY, progress=False, store=f"sqlite:///{old}")
    url = f"sqlite:///{tmp_path / 'new.db'}"
    space = nl.spaces.load("mlp?widths=8,16", input_shape=(5,), num_classes=2)
    first = nl.search(space, table, "random", 5, recipe=TINY, progress=False, store=url, warm_start=f"sqlite:///{old}")
    old.unlink()
    rest = resume(first.run_id, url, task=table, budget=7, progress=False)
    names = list(rest.store.proposals(rest.run_id)["proposed_by"])
    assert names.count("warm start") == 1 and rest.evaluations["graph_hash"].nunique() == 7
