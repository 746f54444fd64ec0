"""Spaces made of a user's own sampler: recording, replay, enumeration, change of single choices, refusals."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces import from_function
from netloom.spaces.choices import Integers, Options, Reals
from tests.spaces import samplers

SPACE = from_function(samplers.perceptron)
#: One layer: 3 widths with or without a norm; two: the square of that; three: its cube.
COUNT = 6 + 6**2 + 6**3
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def of(sampler: Any, **settings: Any) -> Any:
    return from_function(sampler, **settings)


def tiny(width: int) -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(x, width))


# -- recording and replay ----------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(seeds)
def test_choices_give_the_network_again(rng: np.random.Generator) -> None:
    graph = SPACE.sample(rng)
    choices = SPACE.choices_of(graph)
    depth = choices["depth"]
    assert list(choices) == ["depth", *itertools.chain(*((f"width{i}", f"norm{i}") for i in range(depth)))]
    assert SPACE.graph(choices) == graph
    assert [node.out_size for node in graph if node.op == "linear"][:-1] == [choices[f"width{i}"] for i in range(depth)]


def test_choices_are_the_callers_own() -> None:
    graph = SPACE.sample(np.random.default_rng(0))
    SPACE.choices_of(graph)["depth"] = 99
    assert SPACE.choices_of(graph)["depth"] != 99


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "choice 'depth' is missing; it is an integer from 1 to 3"),
        ({"depth": 4}, "choice 'depth' = 4; expected an integer from 1 to 3"),
        ({"depth": True}, "choice 'depth' = True"),
        ({"depth": 1, "width0": 9, "norm0": False}, "choice 'width0' = 9; expected one of 8, 16, 32 .*choices so far: depth=1"),
        ({"depth": 1, "width0": 8, "norm0": 0}, "choice 'norm0' = 0; expected one of False, True"),
        ({"depth": 1, "width0": 8, "norm0": False, "width": 8}, "did not ask for choice 'width'; did you mean 'width0'"),
    ],
)
def test_choices_that_do_not_fit_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SPACE.graph(choices)


# -- enumeration and membership ----------------------------------------------------------------------------------------
def test_enumeration_gives_every_network_once() -> None:
    found = list(SPACE.enumerate())
    assert len(found) == COUNT == len({graph.hash for _, graph in found})
    assert all(SPACE.graph(choices) == graph for choices, graph in found[::25])
    assert [choices for choices, _ in SPACE.enumerate(2)] == [
        {"depth": 1, "width0": 8, "norm0": False}, {"depth": 1, "width0": 8, "norm0": True},
    ]  # fmt: skip


def test_members_made_elsewhere_are_found() -> None:
    fresh = of(samplers.perceptron)
    graph = SPACE.sample(np.random.default_rng(3))
    assert fresh.contains(graph) and fresh.choices_of(graph) == SPACE.choices_of(graph)
    assert not fresh.contains(tiny(3))
    with pytest.raises(SpaceError, match="is no network that perceptron makes"):
        fresh.choices_of(tiny(3))


def test_what_cannot_be_known_is_said() -> None:
    endless, large = of(samplers.with_dropout), from_function(samplers.perceptron, most_enumerated=100)
    graph = endless.sample(np.random.default_rng(0))
    assert endless.contains(graph) and large.contains(large.sample(np.random.default_rng(0)))
    with pytest.raises(SpaceError, match="cannot tell whether .* choice 'rate' is a float from 0.01 to 0.5"):
        endless.contains(tiny(3))
    with pytest.raises(SpaceError, match="perceptron has more than 100 combinations of choices"):
        large.contains(tiny(3))
    with pytest.raises(SpaceError, match="its values cannot be gone through"):
        list(endless.enumerate())


def test_options_of_probability_zero_are_not_gone_through() -> None:
    space = of(lambda choose: tiny(choose("width", [1, 2, 3, 2], probabilities=[1, 0, 2, 0])))
    assert [choices["width"] for choices, _ in space.enumerate()] == [1, 3]
    assert {space.choices_of(space.sample(np.random.default_rng(i)))["width"] for i in range(40)} == {1, 3}


def test_a_long_range_is_not_laid_out() -> None:
    space = of(lambda choose: tiny(min(choose.integer("number", 1, 2**50), 9)))
    assert [choices["number"] for choices, _ in space.enumerate(3)] == [1, 2, 3]
    assert space.mutate({"number": 5}, np.random.default_rng(0))["number"] > 10**9


# -- changing ----------------------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(seeds)
def test_mutation_changes_one_choice_and_keeps_the_rest(rng: np.random.Generator) -> None:
    parent = SPACE.sample(rng)
    before, after = SPACE.choices_of(parent), SPACE.mutate(parent, rng)
    changed = [name for name in before if name in after and before[name] != after[name]]
    assert len(changed) == 1, (before, after)
    if changed != ["depth"]:
        assert list(before) == list(after)
    SPACE.graph(after)


def test_mutation_reaches_every_neighbour_evenly() -> None:
    parent = {"depth": 1, "width0": 8, "norm0": False}
    rng = np.random.default_rng(0)
    children = [SPACE.mutate(parent, rng) for _ in range(450)]
    which = [next(name for name in parent if child[name] != parent[name]) for child in children]
    assert all(110 < which.count(name) < 190 for name in parent)
    assert {child["width0"] for child, name in zip(children, which) if name == "width0"} == {16, 32}


def test_mutation_draws_again_what_no_longer_fits() -> None:
    def sampler(choose: Any) -> nl.Graph:
        low = choose("low", [1, 100])
        return tiny(choose("width", range(low, low + 10)))

    space = of(sampler)
    rng = np.random.default_rng(0)
    for _ in range(20):
        child = space.mutate({"low": 1, "width": 5}, rng)
        assert child["width"] >= child["low"]


@settings(max_examples=30)
@given(seeds)
def test_crossing_takes_every_choice_from_a_parent(rng: np.random.Generator) -> None:
    one, other = SPACE.choices_of(SPACE.sample(rng)), SPACE.choices_of(SPACE.sample(rng))
    child = SPACE.cross(one, other, rng)
    SPACE.graph(child)
    for name, value in child.items():
        assert value in [parent[name] for parent in (one, other) if name in parent]


def test_nothing_to_change_is_said() -> None:
    with pytest.raises(SpaceError, match="has nothing to choose"):
        of(lambda choose: tiny(choose("width", [3]))).mutate({"width": 3}, np.random.default_rng(0))


# -- domains -----------------------------------------------------------------------------------------------------------
@given(seeds, st.booleans())
def test_draws_lie_in_their_domain(rng: np.random.Generator, log: bool) -> None:
    for domain in (Integers(1, 7, log), Integers(5, 5, log), Reals(0.1, 3.0, log), Options(("a", 2, None), (0.2, 0.0, 5.0))):
        value = domain.draw(rng)
        assert value in domain
        assert not isinstance(domain, Options) or value != 2, "an option of probability 0"
    for domain in (Integers(1, 7, log), Options(("a", 2, None))):
        value = domain.draw(rng)
        assert domain.draw(rng, (value,)) != value


def test_draws_have_the_distribution_asked_for() -> None:
    rng, n = np.random.default_rng(0), 6000
    even = np.bincount([Integers(1, 4).draw(rng) for _ in range(n)])[1:]
    assert np.abs(even / n - 0.25).max() < 0.02
    weighted = [Options(("a", "b"), (1, 3)).draw(rng) for _ in range(n)]
    assert abs(weighted.count("a") / n - 0.25) < 0.02
    assert abs(np.mean([Integers(1, 1000, True).draw(rng) < 32 for _ in range(n)]) - 0.545) < 0.02
    assert abs(np.mean([Reals(0.01, 1.0, True).draw(rng) < 0.1 for _ in range(n)]) - 0.5) < 0.02
    assert abs(np.mean([Reals(-1.0, 1.0).draw(rng) for _ in range(n)])) < 0.03


def test_options_are_told_apart_by_type() -> None:
    assert 1 in Options((1, 2)) and 1.0 not in Options((1, 2)) and True not in Options((1, 2))
    assert Options((1, True, 1, 1.0)).possible == (1, True, 1.0)


def test_numbers_of_numpy_become_plain_ones() -> None:
    space = of(lambda choose: tiny(choose("width", np.arange(1, 4)) * choose.integer("factor", np.int64(1), np.int64(2))))
    assert all(type(value) is int for choices, _ in space.enumerate() for value in choices.values())


# -- what goes wrong ---------------------------------------------------------------------------------------------------
def twice(choose: Any) -> nl.Graph:
    return tiny(choose("width", [1, 2]) + choose("width", [1, 2]))


def crashing(choose: Any) -> nl.Graph:
    x = nl.input(3, 5, 5)
    return nl.Graph(x, nl.conv2d(x, choose("channels", [8]), kernel=choose("kernel", [9])))


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (twice, "twice: choice 'width' is asked for twice; .*f'width{i}'"),
        (crashing, "crashing: ShapeError: .*kernel.* \\(choices so far: channels=8, kernel=9\\)"),
        (lambda choose: 1 / choose("zero", [0]), "ZeroDivisionError: .*zero=0"),
        (lambda choose: None, "returned a NoneType; expected a Graph, or a pair"),
        (lambda choose: tiny(choose("width", [])), "choice 'width' has no options"),
        (lambda choose: tiny(choose("width", {1, 2})), "choice 'width': the options are a set, .*; give a list"),
        (lambda choose: tiny(choose("width", [1, 2], probabilities=[1])), "2 options and 1 probabilities"),
        (lambda choose: tiny(choose("width", [1, 2], probabilities=[0, 0])), "not all of them 0"),
        (lambda choose: tiny(choose(3, [1, 2])), "the name of a choice is 3"),
        (lambda choose: tiny(choose.integer("width", 5, 1)), "bounds 5 and 1; expected finite numbers, the lower one first"),
        (lambda choose: tiny(choose.integer("width", 0, 4, log=True)), "lower bound 0 on a logarithmic scale; expected ≥ 1"),
        (lambda choose: tiny(choose.integer("width", 1.5, 4)), "expected integers, or use choose.uniform"),
        (lambda choose: tiny(choose.integer("width", 1, 2**60)), "expected integers of at most"),
        (lambda choose: tiny(choose.uniform("width", 0, 4, log=True)), "expected > 0"),
        (lambda choose: tiny(choose.uniform("width", 0, float("nan"))), "expected finite numbers"),
        (lambda choose: choose.reject("never"), "rejected 1000 draws in a row, the last for: never"),
    ],
)
def test_errors_in_the_function_are_told_with_the_choices(sampler: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        of(sampler).sample(np.random.default_rng(0))


def test_a_function_with_randomness_of_its_own_is_refused() -> None:
    count = itertools.count(1)
    with pytest.raises(SpaceError, match="made two different networks of the same choices, width=1"):
        of(lambda choose: tiny(choose("width", [1]) + next(count))).sample(np.random.default_rng(0))
    names = itertools.count()
    with pytest.raises(SpaceError, match="asked for choice 'w0' at first and for 'w1'"):
        of(lambda choose: tiny(choose(f"w{next(names)}", [1, 2]))).sample(np.random.default_rng(0))


def test_randomness_that_shows_late_is_found_when_choices_come_again() -> None:
    calls = itertools.count()
    space = of(lambda choose: tiny(choose("width", [1, 2]) + (next(calls) > 20)))
    with pytest.raises(SpaceError, match="two different networks"):
        for i in range(40):
            space.sample(np.random.default_rng(i))


def test_rejected_choices_are_drawn_again_and_passed_over() -> None:
    def sampler(choose: Any) -> nl.Graph:
        graph = tiny(choose("width", range(1, 9)))
        if graph.num_params > 20:
            choose.reject(f"{graph.num_params} parameters")
        return graph

    space = of(sampler)
    assert [choices["width"] for choices, _ in space.enumerate()] == [1, 2, 3, 4]
    rng = np.random.default_rng(0)
    assert {space.choices_of(space.sample(rng))["width"] for _ in range(40)} == {1, 2, 3, 4}
    assert all(space.mutate({"width": 1}, rng)["width"] in (2, 3, 4) for _ in range(20))
    with pytest.raises(SpaceError, match="rejects width=5: 25 parameters"):
        space.graph({"width": 5})


# -- being a value -----------------------------------------------------------------------------------------------------
def test_modules_are_traced() -> None:
    space = of(samplers.module)
    graphs = {graph.hash: choices for choices, graph in space.enumerate()}
    assert len(graphs) == 4 and {choices["width"] for choices in graphs.values()} == {4, 8}


def test_settings_spec_and_pickle() -> None:
    narrow = of(samplers.perceptron, features=3)
    assert narrow.sample(np.random.default_rng(0)).inputs[0].out_size == 3
    assert SPACE.spec == "tests.spaces.samplers:perceptron" and narrow.spec == of(lambda choose: tiny(1)).spec == ""
    assert SPACE == of(samplers.perceptron) != narrow and hash(SPACE) == hash(of(samplers.perceptron))
    again = pickle.loads(pickle.dumps(narrow))
    assert again == narrow and again.sample(np.random.default_rng(1)) == narrow.sample(np.random.default_rng(1))
    with pytest.raises(SpaceError, match="takes a function of choose, not 3"):
        from_function(3)  # type: ignore[arg-type]
