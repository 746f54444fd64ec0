"""Whole models, traced and built again: the same bits, the same keys, the same cost."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.testing import exactness
from tests.gallery.models import MODELS


class Case(NamedTuple):
    model: nn.Module
    example: Any
    graph: nl.Graph
    network: nn.Module
    before: Any
    after: Any


@cache
def case(name: str) -> Case:
    """One model of the gallery, traced and built; made once for all its tests."""
    torch.manual_seed(0)
    model, example = MODELS[name]()
    exactness.stir(model)
    before = exactness.fingerprint(model)
    graph = nl.trace(model, example)
    after = exactness.fingerprint(model)
    return Case(model, example, graph, nl.build(graph, weights=model), before, after)


@pytest.fixture(params=sorted(MODELS))
def made(request: pytest.FixtureRequest) -> Case:
    return case(request.param)


def test_evaluation_is_exact_at_other_batch_sizes(made: Case) -> None:
    model = copy.deepcopy(made.model)
    for batch in (3, 4):
        assert exactness.compare_eval(model, made.network, exactness.resize_batch(made.example, batch)) == []


def test_training_is_exact(made: Case) -> None:
    network = copy.deepcopy(made.network)
    for seed in (0, 1):
        reference = copy.deepcopy(made.model)
        network.load_state_dict(reference.state_dict())
        batch = exactness.resize_batch(made.example, 3 + seed)
        assert exactness.compare_train(reference, network, batch, seed) == []


def test_state_dict_is_the_models(made: Case) -> None:
    assert exactness.compare_state(made.model, nl.build(made.graph, weights=made.model)) == []


def test_cost_is_what_torch_counts(made: Case) -> None:
    assert exactness.compare_cost(made.model, made.graph, made.example) == []


def test_tracing_leaves_the_model_alone(made: Case) -> None:
    assert made.after == made.before


def test_no_node_is_opaque(made: Case) -> None:
    assert [node.name for node in made.graph.nodes if node.op == "opaque"] == []


def test_graph_is_whole_and_survives_being_written(made: Case) -> None:
    made.graph.check()
    assert nl.Graph.from_text(made.graph.to_text()) == made.graph
    assert nl.Graph.from_json(made.graph.to_json()) == made.graph


def test_hash_is_that_of_the_network_traced_again(made: Case) -> None:
    assert nl.trace(nl.build(made.graph), made.example).hash == made.graph.hash


@pytest.mark.parametrize("name", ["resnet", "tied_language_model", "mixture_of_experts"])
def test_comparison_notices_a_changed_weight(name: str) -> None:
    """The comparisons above can fail: one weight moved by a thousandth is found in every one of them."""
    torch.manual_seed(0)
    model, example = MODELS[name]()
    exactness.stir(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(reversed(list(other.parameters()))).view(-1)[0] += 1e-3
    assert exactness.compare_eval(model, other, example)
    assert exactness.compare_train(model, other, example)
    assert exactness.compare_state(model, other)
