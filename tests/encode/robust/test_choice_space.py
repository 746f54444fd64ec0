"""`ChoiceSequences`: samplers of a user's own as sequences of their choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.encode.robust import ChoiceSequences
from netloom.errors import FormatError, SpaceError


def chain(choose: Any) -> nl.Graph:
    x = value = nl.input(16)
    for i in range(choose.integer("depth", 0, 3)):
        width = choose(f"width{i}", [8, 16, 32])
        value = nl.linear(value, width)
        if width > 8:
            value = nl.relu(value) if choose(f"relu{i}", [True, False]) else nl.tanh(value)
    if choose("kernel", [(1, 2), (3, 4)]) == (3, 4):
        value = nl.gelu(value)
    return nl.Graph(x, nl.linear(value, 4))


def test_every_member_has_a_sequence_and_every_sequence_is_a_member() -> None:
    space = nl.spaces.from_function(chain)
    sequences = ChoiceSequences(space)
    rng = np.random.default_rng(0)
    for _ in range(100):
        graph = space.sample(rng)
        assert sequences.decode(sequences.encode(graph)).hash == graph.hash
    for _ in range(200):
        numbers = rng.integers(0, len(sequences.vocabulary), int(rng.integers(0, 12))).tolist()
        graph = sequences.decode(numbers)
        assert space.contains(graph) and sequences.decode(sequences.encode(graph)).hash == graph.hash
    assert sequences.decode("kernel=(3,4)").hash != sequences.decode([]).hash
    with pytest.raises(FormatError, match="did you mean 'width0=16'"):
        sequences.decode("width0=15")
    assert ChoiceSequences(nl.spaces.from_function(chain)).vocabulary == sequences.vocabulary


def test_what_is_rejected_is_drawn_anew() -> None:
    def picky(choose: Any) -> nl.Graph:
        a, b = (choose(name, list(range(1, 9))) for name in "ab")
        if a + b != 9:
            choose.reject()
        x = nl.input(4)
        return nl.Graph(x, nl.linear(nl.linear(x, a), b))

    space = nl.spaces.from_function(picky)
    sequences = ChoiceSequences(space)
    graph = sequences.decode("a=1 b=1")
    assert space.contains(graph) and sequences.decode("a=1 b=1").hash == graph.hash
    assert space.choices_of(sequences.decode("b=7 a=2")) == {"a": 2, "b": 7}


def test_choices_without_end_are_refused() -> None:
    def real(choose: Any) -> nl.Graph:
        x = nl.input(4)
        return nl.Graph(x, nl.linear(nl.mul(x, choose.uniform("scale", 0.0, 1.0)), 2))

    with pytest.raises(SpaceError, match="choice 'scale' of .* is a float from 0 to 1"):
        ChoiceSequences(nl.spaces.from_function(real))

    def large(choose: Any) -> nl.Graph:
        x = nl.input(4)
        return nl.Graph(x, nl.linear(x, choose.integer("width", 1, 10_000)))

    with pytest.raises(SpaceError, match="512 values at most"):
        ChoiceSequences(nl.spaces.from_function(large))

    def hopeless(choose: Any) -> nl.Graph:
        choose("a", [1])
        choose.reject("never")

    with pytest.raises(SpaceError, match="rejected 1000 draws"):
        ChoiceSequences(nl.spaces.from_function(hopeless))
