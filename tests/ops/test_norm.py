"""Normalisation layers against torch, their buffers, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import netloom as nl
from netloom.errors import AttributeValueError, ShapeError
from netloom.ops import MODULE, Edge, TensorType, Weight, operator
from netloom.ops.code import argument_sources, expression
from tests.ops.replay import replay

X = torch.randn(3, 4, 5, 6)
C = torch.rand(4) + 0.5

SAME_AS_TORCH: list[tuple[Any, ...]] = [
    ("batch_norm", "F.batch_norm", X, C, C, C, C, False, 0.1, 1e-3),
    ("batch_norm", "F.batch_norm", X, None, None, C, None, True),
    ("batch_norm", "F.batch_norm", X[:, :, 0, 0], C, C),
    ("batch_norm", "torch.batch_norm", X, C, C, C, C, False, 0.1, 1e-5, True),
    ("instance_norm", "F.instance_norm", X),
    ("instance_norm", "F.instance_norm", X, C, C, C, C, False),
    ("group_norm", "F.group_norm", X, 2, C, C),
    ("group_norm", "torch.group_norm", X[:, :, 0, 0], 2),
    ("layer_norm", "F.layer_norm", X, (6,), torch.randn(6), torch.randn(6)),
    ("layer_norm", "F.layer_norm", X, (5, 6), torch.randn(5, 6)),
    ("layer_norm", "torch.layer_norm", X, [4, 5, 6]),
    ("rms_norm", "F.rms_norm", X, (6,), torch.randn(6)),
    ("rms_norm", "F.rms_norm", X, (6,), None, 1e-2),
    ("local_response_norm", "F.local_response_norm", X, 3),
    ("normalize", "F.normalize", X),
    ("normalize", "F.normalize", X, 1.0, (1, -1)),
    ("weight_norm", "torch._weight_norm", X, torch.randn(3, 1, 1, 1)),
    ("weight_norm", "torch._weight_norm", X, torch.randn(()), -1),
    ("cosine_similarity", "F.cosine_similarity", X, X[:1], -1),
    ("pairwise_distance", "F.pairwise_distance", X, X[0], 3.0, 1e-6, True),
]


@pytest.mark.parametrize("case", SAME_AS_TORCH, ids=lambda case: f"{case[1]}-{len(case)}")
def test_same_as_torch(case: tuple[Any, ...]) -> None:
    replay(*case)


@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_updates_its_buffers_as_the_module_does(momentum: float | None, training: bool) -> None:
    layer = torch.nn.BatchNorm2d(4, momentum=momentum)
    layer.num_batches_tracked.fill_(3)
    ours = {name: value.detach().clone() for name, value in layer.state_dict().items()}
    layer.train(training)
    kind = operator("batch_norm")
    types = {name: TensorType(str(value.dtype)[6:], tuple(value.shape)) for name, value in ours.items()}
    made = kind.evaluate(
        {"x": Edge("x"), "momentum": momentum, **{name: Weight(name) for name in ours}},
        lambda ref: TensorType("float32", tuple(X.shape)) if type(ref) is Edge else types[ref.key],
    )
    assert made.args["training"] == MODULE
    sources = argument_sources(made.args, kind, lambda ref: ref.node if type(ref) is Edge else ref.key, repr(training))
    statements, result = expression(kind, made.types, sources)
    scope = {"torch": torch, "F": torch.nn.functional, "x": X, **ours}
    for statement in statements:
        exec(statement, scope)
    assert torch.equal(eval(result, scope), layer(X))
    assert all(torch.equal(ours[name], value) for name, value in layer.state_dict().items())


def test_batch_norm_has_the_modules_state() -> None:
    graph = nl.Graph(x := nl.input(4, 5, 5), nl.batch_norm(x, name="bn"))
    buffers = {key for key, entry in graph.tensors.items() if entry.kind == "buffer"}
    assert buffers == {"bn.running_mean", "bn.running_var", "bn.num_batches_tracked"}
    assert set(graph.tensors) - buffers == {"bn.weight", "bn.bias"} and graph.num_params == 8
    assert graph.tensors["bn.running_var"].init == ("constant", 1.0)


def test_the_modes_of_a_cumulative_average_join() -> None:
    kind = operator("batch_norm")
    evaluation = {"x": Edge("x"), "momentum": 0.0, "training": False}
    training = {"x": Edge("x"), "momentum": None, "training": True}
    assert kind.join_modes(evaluation, training) == {"x": Edge("x"), "momentum": None, "training": MODULE}
    assert kind.join_modes(evaluation, training | {"momentum": 0.5}) is None


REFUSED = [
    (lambda x: nl.group_norm(x, 3), ShapeError, "groups 3 does not divide the 4 channels; use a divisor of 4"),
    (lambda x: nl.layer_norm(x, (6, 6)), ShapeError, "normalized_shape 6×6 is not the end of N×4×5×6"),
    (lambda x: nl.batch_norm(x, running_mean=False), AttributeValueError, "running_mean and running_var belong together"),
    (lambda x: nl.batch_norm(x, momentum=None, num_batches_tracked=False), AttributeValueError, "needs num_batches_tracked"),
    (lambda x: nl.batch_norm(nl.input(4, batch=False)), ShapeError, "4 has no channels; (N, C, …) is expected"),
    (lambda x: nl.batch_norm(nl.input(1, 4, batch=False), training=True), ShapeError, "one value per channel in 1×4"),
    (lambda x: nl.instance_norm(nl.input(4, 1), running_mean=False, running_var=False), ShapeError, "use larger maps"),
    (lambda x: nl.local_response_norm(nl.input(4), 2), ShapeError, "2 axes where (N, C, …) with at least 3 is expected"),
    (lambda x: nl.layer_norm(nl.input(4, dtype="int64")), ShapeError, "cannot be int64; convert it to a float dtype first"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_refusals_name_value_expectation_and_mend(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make(nl.input(4, 5, 6))
    assert message in str(caught.value)
