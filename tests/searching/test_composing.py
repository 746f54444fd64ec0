"""Selection, fitness and mutations of recipes: values that users compose (facts of NaiveGAflux's own tests)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.errors import SearchError
from netloom.searching import (
    BatchSizeMutation,
    Combined,
    Elite,
    Fitness,
    LearningRateMutation,
    OptimizerMutation,
    Result,
    StochasticUniversal,
    Tournament,
)
from netloom.searching.fitness import Fitnesses
from netloom.searching.recipe_mutations import mutated_recipe, read_recipe_mutations
from netloom.searching.selection import read_selection
from netloom.store import Lineage
from netloom.training import Recipe


class Given:
    """A generator that gives what a test says: shuffles reversed, and one number."""

    def __init__(self, number: float = 0.0) -> None:
        self.number = number

    def permutation(self, n: int) -> Any:
        return np.arange(n)[::-1]

    def random(self) -> float:
        return self.number


def chosen(scheme: Any, fitness: list[float], count: int, rng: Any) -> list[float]:
    return [fitness[i] for i in scheme.choose(fitness, count, rng)]


def test_elites_are_the_best_in_order() -> None:
    assert chosen(Elite(), [3, 7, 4, 5, 9, 0], 3, Given()) == [9, 7, 5]


def test_tournaments_draw_everyone_as_evenly_as_can_be() -> None:
    ten = [float(i) for i in range(1, 11)]
    assert chosen(Tournament(2), ten, 4, Given()) == [10, 8, 6, 4]
    assert chosen(Tournament(2), ten, 5, Given()) == [10, 8, 6, 4, 2]
    assert len(chosen(Tournament(2), [1, 2, 3], 2, Given())) == 2
    counts = np.bincount(Tournament(1).choose(ten, 30, np.random.default_rng(0)), minlength=10)
    assert counts.tolist() == [3] * 10


def test_a_loser_wins_with_the_rest_of_the_chance() -> None:
    rng = np.random.default_rng(0)
    won = np.mean([Tournament(2, p=0.7).choose([0.0, 1.0], 1, rng)[0] for _ in range(2000)])
    assert won == pytest.approx(0.7, abs=0.04)


def test_universal_sampling_has_equally_spaced_pointers() -> None:
    fitness = [i / 10 for i in range(1, 9)]
    assert chosen(StochasticUniversal(), fitness, 4, Given(0.05)) == [0.1, 0.4, 0.6, 0.7]
    assert StochasticUniversal().choose([0.0, 0.0], 2, np.random.default_rng(0)) == [0, 1]
    assert set(StochasticUniversal().choose([-5.0, -1.0], 4, np.random.default_rng(0))) == {1}  # the lowest counts as nothing


def test_schemes_are_joined_and_written() -> None:
    both = Combined(Elite(2), Tournament(size=6))
    assert chosen(both, [3, 7, 4, 5, 9, 0], 3, np.random.default_rng(0)) == [9, 7, 9]
    assert read_selection(both.spec) == both and read_selection("sus") == StochasticUniversal()
    assert chosen(both, [3, 7], 1, np.random.default_rng(0)) == [7]
    with pytest.raises(SearchError, match="need a number n"):
        read_selection("elite+tournament")


@pytest.mark.parametrize("text", ["", "elite(", "elite(0)", "elite(2.5)", "tournament(p=0)", "3", "elite()x"])
def test_what_is_no_scheme_is_refused(text: str) -> None:
    with pytest.raises(SearchError):
        read_selection(text)


# -- fitness -----------------------------------------------------------------------------------------------------------
def result(score: float | None, width: int = 4, parents: tuple[str, ...] = (), **more: Any) -> Result:
    x = nl.input(4)
    return Result(nl.Graph(x, nl.linear(nl.linear(x, width), 2)), score, lineage=Lineage(parents), **more)


def test_fitness_is_arithmetic_of_measures() -> None:
    one = result(0.5, seconds=20.0)
    params = one.graph.num_params
    assert Fitness("score+size")(one) == 0.5 + min(1e-3, 1 / params)
    assert Fitness("round(accuracy, 1) - 0.01 * log10(params) - seconds / 1000")(one) == pytest.approx(
        0.5 - 0.01 * math.log10(params) - 0.02
    )
    assert (1 - 2 * Fitness("score") / 4)(one) == 0.75 and Fitness("-macs")(one) == -one.graph.flops / 2
    assert Fitness("score - -1")(one) == 1.5 and Fitness.of(len.__call__) is not None
    assert eval(repr(Fitness("score+size"))) == Fitness("score + size")


def test_size_decides_among_equals_and_accuracy_comes_first() -> None:
    fitness = Fitness("round(score, 2) + size")
    assert fitness(result(0.501, 4)) == fitness(result(0.5, 4))
    assert fitness(result(0.51, 4)) > fitness(result(0.5, 4))
    assert Fitness("score+size")(result(0.5, 1000)) > Fitness("score+size")(result(0.5, 2000))


def test_an_average_over_generations_keeps_half_of_the_parents() -> None:
    known = Fitnesses(Fitness("ewma(score)"))
    first = result(0.4, 4)
    child = result(0.8, 5, (first.graph.hash,))
    grandchild = result(0.8, 6, (child.graph.hash,))
    assert [known.of(r) for r in (first, child, grandchild)] == pytest.approx([0.4, 0.6, 0.7])
    assert Fitnesses(Fitness("ewma(score, 0.25)")).of(first) == 0.4


def test_what_failed_or_was_not_measured_is_last() -> None:
    known = Fitnesses(Fitness("score - latency"))
    assert known.of(result(None)) == -math.inf and known.of(result(0.5)) == -math.inf
    assert known.of(result(0.5, 5, measures={"latency": 0.1})) == pytest.approx(0.4)


@pytest.mark.parametrize("text", [
    "", "score +", "score if 1 else 2", "[score]", "'a'", "score.__class__", "f(score)", "x", "True", "lambda: 0", "score < 1",
    "log(score, key=1)", "__import__('os').system('true')", "(" * 300,
])  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(SearchError):
        Fitness(text)


def test_huge_numbers_end_as_numbers() -> None:
    assert Fitness("9**9**9**9")(result(0.5)) == math.inf
    assert Fitness("score/0")(result(0.5)) == math.inf and Fitness("log(0*score)")(result(0.5)) < -600


# -- recipes -----------------------------------------------------------------------------------------------------------
def test_recipes_mutate_in_the_named_fields_alone() -> None:
    base, rng = Recipe(learning_rate=0.01, batch_size=64), np.random.default_rng(0)
    rates = [LearningRateMutation()(base, rng)["learning_rate"] for _ in range(200)]
    assert 0.0085 <= min(rates) < 0.009 and 0.011 < max(rates) <= 0.0115
    bounded = LearningRateMutation(0.5, high=0.01)
    assert max(bounded(base, rng)["learning_rate"] for _ in range(50)) == 0.01
    sizes = {BatchSizeMutation(p=1.0)(base, rng)["batch_size"] for _ in range(50)}
    assert sizes == {32, 128}
    kinds = {OptimizerMutation(p=1.0)(base, rng)["optimizer"] for _ in range(50)}
    assert kinds == {"sgd", "muon"}
    assert OptimizerMutation(p=0.0)(base, rng) == {} and BatchSizeMutation((64,), p=1.0)(base, rng) == {}


def test_what_a_child_changes_is_told_from_the_recipe_of_the_search() -> None:
    base, rng = Recipe(learning_rate=0.01, optimizer="sgd", nesterov=True), np.random.default_rng(0)
    mutations = read_recipe_mutations("optimizer(kinds=adamw,p=1)")
    assert mutated_recipe(base, {"batch_size": 32}, mutations, rng) == {
        "batch_size": 32, "optimizer": "adamw", "nesterov": False,
    }  # fmt: skip
    assert mutated_recipe(base, {}, [lambda recipe, rng: {"batch_size": 0}], rng) == {}  # no recipe: left out
    with pytest.raises(SearchError, match="fields that a recipe has not"):
        mutated_recipe(base, {}, [lambda recipe, rng: {"depth": 3}], rng)


@pytest.mark.parametrize("text", ["learning_rate(share=2)", "optimizer(kinds=adam)", "batch_size(p=-1)", "rate"])
def test_what_is_no_mutation_of_recipes_is_refused(text: str) -> None:
    with pytest.raises(SearchError):
        read_recipe_mutations(text)
