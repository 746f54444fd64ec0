"""The register of operators: which of several stands for a torch callable never depends on the order of imports."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import netloom as nl
from netloom.errors import AttributeValueError
from netloom.ops import REGISTRY, Operator, TensorType
from netloom.ops import operator as find
from netloom.ops.arguments import tensor
from netloom.ops.operator import _CLAIMS, _register
from netloom.tracing.calls import _table


@pytest.fixture
def registry() -> Iterator[None]:
    """The register as it was before."""
    before, claims = dict(REGISTRY), dict(_CLAIMS)
    yield
    for known, kept in ((REGISTRY, before), (_CLAIMS, claims)):
        known.clear()
        known.update(kept)


def candidates() -> dict[Any, list[str]]:
    """Torch callable → the operators that are tried for it, in order."""
    return {function: [c.operator.name for c in found.candidates] for function, found in _table.__wrapped__(0).items()}


@pytest.mark.parametrize("seed", range(4))
def test_order_of_registration_decides_nothing(registry: None, seed: int) -> None:
    expected = candidates()
    shuffled = list(REGISTRY.values())
    random.Random(seed).shuffle(shuffled)
    REGISTRY.clear()
    _CLAIMS.clear()
    for kind in shuffled:
        _register(kind)
    assert list(REGISTRY) != [kind.name for kind in shuffled]
    assert candidates() == expected


def test_shared_callables_are_tried_in_order_of_precedence() -> None:
    tried = candidates()
    assert tried[torch.max] == ["max", "max_along", "maximum"]
    assert tried[torch.vstack] == ["cat", "stack", "vstack"]
    assert tried[torch.nn.functional.hardtanh] == ["relu6", "hardtanh"]
    for names in tried.values():
        precedences = [find(name).precedence for name in dict.fromkeys(names)]
        assert precedences == sorted(set(precedences), reverse=True), names


def declare(precedence: int, call: str = "torch.relu", name: str = "my_relu") -> type[Operator]:
    body = {
        "name": name, "precedence": precedence, "params": (tensor("x"),), "code": "torch.relu({x})",
        "calls": {call: "x:input"}, "infer": lambda self, a: TensorType(a.x.dtype, a.x.shape),
    }  # fmt: skip
    return type("MyRelu", (Operator,), body)


@pytest.mark.parametrize("call", ["torch.relu", "torch.relu_"])
def test_two_claims_of_equal_precedence_are_refused(registry: None, call: str) -> None:
    before = list(REGISTRY)
    with pytest.raises(AttributeValueError, match=r"'my_relu' claims torch.relu_?, and so does 'relu' .* precedence 0"):
        declare(0, call)
    assert list(REGISTRY) == before
    assert "my_relu" not in REGISTRY


def test_a_claim_of_higher_precedence_is_tried_first(registry: None) -> None:
    declare(1)
    assert candidates()[torch.relu] == ["my_relu", "relu"]
    declare(-1, name="last_relu")
    assert candidates()[torch.relu] == ["my_relu", "relu", "last_relu"]
    assert list(REGISTRY)[-1] == "last_relu"
    assert nl.relu(nl.input(3)).draft.op == "relu"


def test_an_operator_may_be_defined_again_where_it_was(registry: None) -> None:
    """As a reloaded module does; its claims of before are given up."""
    declare(1)
    declare(1, "torch.selu")
    assert candidates()[torch.relu] == ["relu"]
    assert candidates()[torch.selu] == ["my_relu", "selu"]
