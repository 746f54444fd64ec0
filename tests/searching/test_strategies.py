"""Every registered strategy keeps the contract of strategies; text and strategy go back and forth; what each is there for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.errors import SearchError
from netloom.predict import GaussianProcess
from netloom.searching import STRATEGIES, Filtered, Guided, PredictorSearch, Result, Strategy, make_strategy, simulate
from netloom.testing import strategies as suite
from netloom.training import Recipe


class Line:
    """A predictor as scikit-learn's: a parabola over the logarithm of the number of parameters; fits in no time."""

    def fit(self, graphs: Any, scores: Any) -> Any:
        self.line = np.linalg.lstsq(self._table(graphs), np.array(scores), rcond=None)[0]
        return self

    def predict(self, graphs: Any) -> Any:
        return self._table(graphs) @ self.line

    def _table(self, graphs: Any) -> Any:
        return np.vander([np.log(graph.num_params) for graph in graphs], 3)


#: Small settings, so that every phase of a strategy is reached within a few candidates.
SMALL: dict[str, Any] = {
    "evolution": "evolution?population=8&sample=3&initial=5&crossover=0.3",
    "genetic": "genetic?population=8&selection=elite(2)+sus",
    "local": "local?neighbours=5&initial=3",
    "bandit": "bandit?population=8&sample=3&initial=5",
    "nsga2": "nsga2?population=8",
    "guided": lambda: Guided(population=8, initial=6, screen=4, predictor=Line()),
    "predictor": lambda: PredictorSearch(initial=6, pool=16, rounds=2, predictor=Line()),
    "filtered": lambda: Filtered(initial=8, predictor=Line(), quantile=0.5),
    "cma-es": "cma-es?initial=4&population=4",
    "generator": "generator?initial=5&steps=5&unlabelled=0&predictor=Trees&screen=2&growth=0.8",
}
OBJECTIVES = {"nsga2": ("score", "params")}


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_strategy_keeps_the_contract(name: str) -> None:
    suite.check_strategy(SMALL.get(name, name), count=20, objectives=OBJECTIVES.get(name, ("score",)))


@pytest.mark.parametrize("name", ["evolution", "genetic", "nsga2"])
def test_recipes_mutate_along(name: str) -> None:
    """A recipe is part of a candidate: the same network under another one is new, so such a search has no end to find."""
    text = f"{name}?population=8&recipe_mutations=learning_rate+optimizer(p=0.5)"
    space = nl.spaces.from_function(suite.perceptrons)
    objectives = OBJECTIVES.get(name, ("score",))
    told = suite.check_seeded(text, space, count=20, objectives=objectives)
    suite.check_replay(text, space, suite.size_score, told, objectives=objectives)
    children = [result for _, result in told if result.lineage.parents]
    assert children and all("learning_rate" in child.recipe for child in children)
    assert any(child.lineage.edit["kind"] == "recipe" for child in children) or len(children) < 12


@pytest.mark.parametrize("name", ["evolution", "genetic", "local", "bandit", "nsga2"])
@pytest.mark.parametrize("space", [
    nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3)),
    nl.spaces.Conv(input_shape=(1, 8, 8), num_classes=10, conv_num=2, lin_num=2, max_params=5000),
], ids=["mlp", "conv"])  # fmt: skip
def test_children_stay_in_a_space_with_a_notation_where_nothing_is_inherited(name: str, space: Any) -> None:
    results = simulate(space, suite.size_score, make_strategy(f"{name}?inherit=false"), 40)
    assert all(space.contains(result.graph) for result in results)
    assert {"mutation", "neighbour"} & {result.lineage.proposed_by for result in results}


def test_the_suite_tells_what_breaks_the_contract() -> None:
    class Forgetful(Strategy):
        """Counts its asks, which a search that is resumed does not repeat."""

        def begin(self, context: Any) -> None:
            super().begin(context)
            self.asked = 0

        def ask(self, index: int, rng: np.random.Generator) -> Any:
            self.asked += 1
            return self.context.sample(np.random.default_rng(self.asked))

        def tell(self, index: int, result: Result) -> None: ...

    class Careless(Strategy):
        """Draws from the global generator."""

        def ask(self, index: int, rng: np.random.Generator) -> Any:
            return nl.searching.Proposal(
                self.context.space.sample(np.random.default_rng(np.random.randint(2**31))),  # type: ignore[union-attr]
                lineage=nl.store.Lineage(proposed_by="careless"),
            )

        def tell(self, index: int, result: Result) -> None: ...

    class Unbounded(Careless):
        """Samples without a look at the constraints."""

        def ask(self, index: int, rng: np.random.Generator) -> Any:
            sample = self.context.space.sample(rng)  # type: ignore[union-attr]
            return nl.searching.Proposal(sample, lineage=nl.store.Lineage(proposed_by="unbounded"))

    with pytest.raises(AssertionError, match="another seed gives the same|proposed_by is empty"):
        suite.check_strategy(Forgetful, count=10)
    with pytest.raises(AssertionError, match="run again with the same seed|moves the global generator"):
        suite.check_strategy(Careless, count=10)
    with pytest.raises(AssertionError, match="above the 1,000 of a constraint"):
        suite.check_strategy(Unbounded, count=20, max_params=1000)


# -- text --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", [
    "evolution?population=20&fitness=score+size&selection=tournament(size=3)",
    "genetic?elites=1&crossover=0.5&inherit=false",
    "local?neighbours=8&improvement=first", "asha?reduction=3&min_epochs=2&max_epochs=54",
    "hyperband?max_epochs=27&reduction=3", "cma-es?sigma=0.1&population=8",
    "bandit?policy=ucb&width=2.0", "guided?predictor=Trees", "predictor?acquisition=thompson&warm=false",
    "filtered?min_score=0.7", "nsga2?recipe_mutations=learning_rate", "successive-halving?candidates=27",
])  # fmt: skip
def test_text_and_strategy_are_the_same(text: str) -> None:
    made = make_strategy(text)
    assert set(made.spec.partition("?")[2].split("&")) == set(text.partition("?")[2].split("&"))
    assert make_strategy(made.spec) == made


def test_values_that_text_can_say_are_said() -> None:
    from netloom.searching import Combined, Elite, Fitness, Genetic, LearningRateMutation, Tournament

    made = Genetic(
        selection=Combined(Elite(2), Tournament(3)), fitness=Fitness("score") - 0.01 * Fitness("log10(params)"),
        recipe_mutations=(LearningRateMutation(0.3),),
    )  # fmt: skip
    again = make_strategy(made.spec)
    assert again.spec == made.spec and again.fitness == "score-0.01*log10(params)"
    assert Genetic(fitness=lambda result: 0.0).spec == ""

    class Mine(Genetic):
        """Another class under an old name: its text would make the old one."""

    assert Mine().spec == ""


@pytest.mark.parametrize(("text", "message"), [
    ("genetic?population=0", "population = 0"), ("genetic?elites=50", "elites = 50"), ("genetic?crossover=2", "crossover = 2"),
    ("genetic?selection=turnament", "did you mean 'tournament'"),
    ("genetic?selection=tournament(rounds=2)", "settings are: size"),
    ("evolution?fitness=score+depth", "unknown measure 'depth'"), ("evolution?fitness=__import__('os')", "unknown function"),
    ("evolution?fitness=score.real", "no arithmetic"), ("evolution?fitness=log(1,2)", "takes 1 numbers"),
    ("evolution?recipe_mutations=epochs", "unknown recipe mutation 'epochs'"), ("asha?reduction=1", "reduction = 1"),
    ("asha?min_epochs=0", "min_epochs = 0"), ("predictor?acquisition=pi", "acquisition = 'pi'"),
    ("guided?predictor=Ensembel", "did you mean 'Ensemble'"), ("local?improvement=worst", "improvement = 'worst'"),
    ("bandit?policy=greedy", "policy = 'greedy'"), ("filtered?quantile=1.5", "quantile = 1.5"),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(SearchError) as caught:
        make_strategy(text)
    assert message in str(caught.value)


def test_chances_say_which_edits_are_made() -> None:
    x = nl.input(16)
    start = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 40)), 4))
    strategy = nl.searching.Evolution(chances={"widen": 3, "narrow": 1}, initial=1)
    results = simulate(None, suite.size_score, strategy, 12, start=start)
    assert {str(r.lineage.edit["kind"]) for r in results if r.lineage.proposed_by == "mutation"} <= {
        "widen", "narrow", "widen + narrow", "narrow + widen",
    }  # fmt: skip
    with pytest.raises(SearchError, match="did you mean 'widen'"):
        nl.searching.Evolution(chances={"wider": 1})
    with pytest.raises(SearchError, match="all zero"):
        nl.searching.Genetic(chances={"widen": 0})


# -- what each is there for --------------------------------------------------------------------------------------------
CELLS = nl.spaces.NASBench201(C=1, N=1)


def cell_score(graph: nl.Graph) -> float:
    """Neighbours are alike, and the optimum is alone."""
    cell = CELLS.to_string(graph)
    return cell.count("nor_conv_3x3") + 0.5 * cell.count("skip_connect") - 2 * cell.count("none")


@pytest.mark.parametrize(
    "strategy", ["evolution?population=20&sample=6", "genetic", "local", "bandit?population=20&sample=6", "nsga2?population=20"]
)
def test_what_learns_beats_random_where_neighbours_are_alike(strategy: str) -> None:
    def best(name: str) -> float:
        return float(np.mean([max(r.score or 0 for r in simulate(CELLS, cell_score, name, 80, seed=s)) for s in range(4)]))

    assert best(strategy) > best("random")


def test_halving_finds_better_ones_than_random_in_equal_epochs() -> None:
    """Scores rise with epochs and are noisy early on: what is bad early is rarely good late."""
    space = nl.spaces.MLP(16, 4, widths=tuple(range(8, 129, 8)), layers=(1, 2, 3))

    def score(graph: nl.Graph, epochs: int | None) -> float:
        noise = np.random.default_rng(int(graph.hash[4:12], 16)).normal(0, 0.1 / (epochs or 27))
        return suite.size_score(graph) * (1 - 0.5 ** (epochs or 27)) + noise

    def best(name: str, epochs: int = 600) -> float:
        found = []
        for seed in range(6):
            used, top = 0, 0.0
            for result in simulate(space, score, name, 300, seed=seed, fidelity=True, recipe=Recipe(epochs=27)):
                used += result.epochs or 27
                if used > epochs:
                    break
                top = max(top, suite.size_score(result.graph) if (result.epochs or 27) == 27 else 0.0)
            found.append(top)
        return float(np.mean(found))

    baseline = best("random")
    for name in ("successive-halving?reduction=3&candidates=81", "asha?reduction=3", "hyperband?reduction=3"):
        assert best(name) > baseline, name


def test_asha_promotes_about_the_best_quarter() -> None:
    space = nl.spaces.MLP(16, 4, widths=tuple(range(8, 129, 8)), layers=(1, 2, 3))
    results = simulate(space, suite.size_score, "asha", 100, recipe=Recipe(epochs=16))
    rungs = {epochs: [r for r in results if r.epochs == epochs] for epochs in (1, 4, 16)}
    assert sum(map(len, rungs.values())) == 100
    # Somewhat more: what was among the best when it was promoted may be so no longer.
    assert len(rungs[1]) / 2.5 >= len(rungs[4]) > len(rungs[1]) / 8 and len(rungs[4]) / 2.5 >= len(rungs[16]) > 0
    assert np.mean([r.score for r in rungs[16]]) > np.mean([r.score for r in rungs[4]]) > np.mean([r.score for r in rungs[1]])


def test_nsga2_spreads_along_the_front() -> None:
    def score(graph: nl.Graph) -> float:
        return float(np.tanh(np.log(graph.num_params / 1000)))

    space = nl.spaces.MLP(16, 4, widths=(4, 8, 16, 32, 64), layers=(1, 2, 3))
    results = simulate(space, score, "nsga2?population=20&inherit=false", 120, objectives="score, params")
    sizes = sorted({r.graph.num_params for r in results[-40:]})
    assert sizes[0] < 300 and sizes[-1] > 3000  # both ends of the front, not one point


def test_the_bandit_learns_which_edits_pay() -> None:
    strategy = make_strategy("bandit?population=20&sample=6")
    results = simulate(CELLS, cell_score, strategy, 120)
    beliefs = {kind: mean for kind, (mean, _) in strategy.beliefs().items()}  # type: ignore[attr-defined]
    assert beliefs["nor_conv_3x3"] > beliefs["none"]
    assert any("nor_conv_3x3" in r.lineage.edit["kind"] for r in results if r.lineage.parents)


@pytest.mark.parametrize("name", [
    "predictor?pool=40&rounds=2&predictor=GaussianProcess", "guided?predictor=GaussianProcess&initial=10&screen=8",
])  # fmt: skip
def test_what_is_guided_says_who_predicted_what(name: str) -> None:
    results = simulate(CELLS, cell_score, name, 30)
    guided = [r for r in results if r.lineage.scored_by]
    assert len(guided) >= 15 and {r.lineage.scored_by for r in guided} == {"GaussianProcess"}
    predicted, true = zip(*((r.lineage.predicted_score, r.score) for r in guided))
    assert np.corrcoef(predicted, true)[0, 1] > 0.3 and np.mean(true) > np.mean([r.score for r in results[:10]])


def test_any_object_with_fit_and_predict_is_a_guide() -> None:
    space = nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3))
    results = simulate(space, suite.size_score, Guided(predictor=Line(), initial=8, inherit=False), 30)
    guided = [r.lineage for r in results if r.lineage.scored_by]
    assert len(guided) >= 15 and all(g.scored_by == "Line" and g.predicted_score is not None for g in guided)


def test_the_filter_states_its_acceptance_rate(tmp_path: Any) -> None:
    space = nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3))
    strategy = Filtered(predictor=Line(), initial=10)
    results = simulate(space, suite.size_score, strategy, 60)
    assert strategy.acceptance_rate is not None and 0.02 < strategy.acceptance_rate < 0.7
    kept = [r.score for r in results if r.lineage.scored_by]
    assert np.mean(kept) > np.mean([r.score for r in results if not r.lineage.scored_by])
    rng = np.random.default_rng(1)
    graphs = [space.sample(rng) for _ in range(40)]
    path = GaussianProcess().fit(graphs, [suite.size_score(g) for g in graphs]).save(tmp_path / "fitted.safetensors")
    first = simulate(space, suite.size_score, f"filtered?predictor={path}&min_score=0.7", 8)
    assert np.mean([r.score for r in first]) > 0.7  # from the first candidate on, with a predictor that was fitted before


def test_cma_es_adapts_sizes_and_stays_in_the_space() -> None:
    def score(graph: nl.Graph) -> float:
        widths = [node.out_size for node in graph if node.op == "linear"]
        return -sum(abs(np.log2(width / goal)) for width, goal in zip(widths, (96, 24, 48)))

    space = nl.spaces.MLP(16, 4, widths=tuple(range(8, 129, 8)), layers=(3,))
    found = simulate(space, score, "cma-es", 80)
    assert all(space.contains(result.graph) for result in found)
    assert max(r.score for r in found) > max(r.score for r in simulate(space, score, "random", 80))  # type: ignore[type-var]
    x = nl.input(16)
    start = nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 100)), 4))
    sizes = {r.graph.num_params for r in simulate(None, score, "cma-es", 20, start=start)}
    assert min(sizes) < start.num_params < max(sizes)
    with pytest.raises(SearchError, match="has none that may change"):
        simulate(CELLS, score, "cma-es", 4)


def test_several_workers_try_nothing_twice() -> None:
    space = nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3))
    strategy = PredictorSearch(initial=6, pool=24, rounds=2, predictor=Line(), inherit=False)
    results = simulate(space, suite.size_score, strategy, 30, workers=5)
    assert len({result.graph.hash for result in results}) == 30
    assert np.mean([r.score for r in results[-10:]]) > np.mean([r.score for r in results[:6]])
