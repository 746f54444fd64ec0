"""A traced graph, built with the model's weights, is the model: to the bit, in both modes, under every name.

Every model of the files ``models_*.py`` beside this one goes through every check.
"""

from __future__ import annotations

import copy
import functools
import pickle
import random
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netloom as nl
from tests.tracing.cases import Case, load
from tests.tracing.compare import bits, call, mode, replaced, same, same_runs, tensors, training_run

CASES = load()
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
# The models warn as users' models do (old weight norms, nested tensors); that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A model that sends tracing into an endless loop fails, rather than holding up all others."""

    def stop(*_: Any) -> None:
        pytest.fail("takes more than 30 seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def plain_attention() -> Iterator[None]:
    """Exactness is stated against torch without the fused path of attention in evaluation."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch.set_num_threads(1)
    yield
    torch.backends.mha.set_fastpath_enabled(before)
    torch.compiler.reset()


@functools.cache
def traced(name: str) -> Any:
    """The graph of a case, or the error that tracing it raises, so that each model is traced once."""
    case = CASES[name]
    try:
        return nl.trace(case.model(), case.example())
    except (Exception, pytest.fail.Exception) as error:
        return error


#: What tracing does not do yet: model → (the checks it fails, why). A check that has come to pass fails here: take it out.
LIMITS = {
    "inplace.WritesByMask": ("forms_keep_the_graph", "as many values as a mask selects depend on data; the batch is fixed"),
    "python.OddNames": ("exported_network_runs", "torch.export looks for the child called graph where a network has its graph"),
    "shapes.HalfOfTheBatch": ("evaluation_is_exact", "half of a batch of one is empty, which even halves do not foresee"),
}


@pytest.fixture(autouse=True)
def limits(request: pytest.FixtureRequest) -> None:
    """The checks that a model is known to fail must fail."""
    case = getattr(getattr(request.node, "callspec", None), "params", {}).get("case")
    checks, reason = LIMITS.get(case.name, ("", "")) if case is not None else ("", "")
    if checks == "*" or request.function.__name__.removeprefix("test_") in checks.split():
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


def graph_of(case: Case) -> Any:
    """The graph of a case; a test that needs it fails where tracing failed."""
    found = traced(case.name)
    if isinstance(found, BaseException):
        raise found
    return found


def network(case: Case) -> nn.Module:
    """A network of the case's graph with the weights of its model."""
    return nl.build(graph_of(case), weights=case.model())


def is_free(case: Case) -> bool:
    return "N" in graph_of(case).symbols


def batches(case: Case) -> tuple[int, ...]:
    """Batch sizes to compare at: the example's alone where the graph has frozen it."""
    return case.sizes if is_free(case) else (2,)


@every_case
def test_evaluation_is_exact(case: Case) -> None:
    net, model = mode(case, network(case), False), mode(case, case.model(), False)
    # The first size comes twice: a call must not have spoilt a constant, or the inputs it was given.
    for size in (*batches(case), batches(case)[0]):
        results = []
        for module in (net, model):
            example = case.example(size)
            torch.manual_seed(3)
            results.append((call(module, example), torch.get_rng_state(), tensors(example)))
        same(results[0], results[1], f"batch {size}")
    same(dict(net.state_dict()), dict(model.state_dict()), "state after evaluation")


@every_case
def test_evaluation_without_gradient_is_exact(case: Case) -> None:
    net, model = mode(case, network(case), False), mode(case, case.model(), False)
    with torch.no_grad():
        results = []
        for module in (net, model):
            torch.manual_seed(3)
            results.append(call(module, case.example(batches(case)[0])))
        same(results[0], results[1])


@every_case
def test_training_is_exact(case: Case) -> None:
    if not case.train:
        pytest.skip("the model has no training mode of its own")
    batch = 4 if is_free(case) else 2
    same_runs(training_run(case, network(case), batch), training_run(case, case.model(), batch))


@every_case
def test_names_of_the_state(case: Case) -> None:
    net, model = network(case), case.model()
    assert list(net.state_dict()) == list(model.state_dict())
    assert [name for name, _ in net.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert [p.requires_grad for p in net.parameters()] == [p.requires_grad for p in model.parameters()]
    assert graph_of(case).num_params == sum(p.numel() for p in model.parameters())
    assert nl.build(graph_of(case)).state_dict().keys() == model.state_dict().keys()


def snapshot(model: nn.Module) -> dict[str, Any]:
    """What tracing must leave alone: modes, state, the attributes of every module, hooks, gradients, generators."""
    attributes = {
        f"{path}.{name}": (id(value), copy.copy(value) if isinstance(value, dict | list | set) else value)
        for path, module in model.named_modules()
        for name, value in vars(module).items()
    }
    return {
        "attributes": attributes,
        "modes": [module.training for module in model.modules()],
        "state": {name: bits(value).clone() for name, value in model.state_dict().items()},
        "gradients": [p.grad for p in model.parameters()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].tolist(),
        "python": random.getstate(),
        "grad": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "default": torch.get_default_dtype(),
    }


def unchanged(before: Any, after: Any, where: str) -> None:
    """Fail where a snapshot differs; tensors by identity or bits, containers entry by entry."""
    if isinstance(before, Tensor):
        assert isinstance(after, Tensor) and (before is after or torch.equal(before, after)), where
    elif isinstance(before, dict):
        assert list(before) == list(after), f"{where}: {set(before) ^ set(after)}"
        for key in before:
            unchanged(before[key], after[key], f"{where}.{key}")
    elif isinstance(before, tuple | list):
        assert len(before) == len(after), where
        for i, (left, right) in enumerate(zip(before, after)):
            unchanged(left, right, f"{where}[{i}]")
    elif isinstance(before, int | float | str | bool | type(None)):
        assert before == after, where
    else:
        assert type(before) is type(after), where


@every_case
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_model_is_left_alone(case: Case, training: bool) -> None:
    recorded = graph_of(case).hash
    model = mode(case, case.model(), training)
    example = case.example()
    copies = [t.clone() for t in tensors(example)]
    before = snapshot(model)
    graph = nl.trace(model, example)
    nl.build(graph, weights=model)
    unchanged(before, snapshot(model), "model")
    for found, expected in zip(tensors(example), copies):
        assert torch.equal(bits(found), bits(expected)) and found.grad is None
    assert graph.hash == recorded, "the graph depends on the mode the model was in"


@every_case
def test_forms_keep_the_graph(case: Case) -> None:
    graph = graph_of(case)
    graph.check()
    assert nl.Graph.from_text(graph.to_text()) == graph
    assert nl.Graph.from_json(graph.to_json()) == graph
    assert nl.Graph.from_text(graph.to_text()).hash == graph.hash
    assert nl.Graph.from_json(graph.to_json()).hash == graph.hash
    assert pickle.loads(pickle.dumps(graph)) == graph
    assert case.free is None or is_free(case) == case.free, f"free sizes: {dict(graph.symbols)}; {graph.notes}"


@every_case
def test_network_traces_to_the_same_graph(case: Case) -> None:
    graph = graph_of(case)
    net = network(case)
    assert net.graph == graph
    assert nl.trace(net, case.example()).hash == graph.hash


@every_case
def test_graph_read_from_data_computes_the_same(case: Case) -> None:
    graph = nl.Graph.from_json(graph_of(case).to_json())
    opaque = [node.name for node in graph.nodes if node.op == "opaque"]
    try:
        net = nl.build(graph, weights=case.model())
    except nl.errors.UntrustedError:
        assert opaque, "a graph without opaque nodes is refused"
        pytest.skip(f"opaque nodes {opaque} are refused, as they should be")
    results = []
    for module in (mode(case, net, False), mode(case, case.model(), False)):
        torch.manual_seed(3)
        results.append(tensors(call(module, case.example(batches(case)[0]))))
    same(results[0], results[1])


@every_case
def test_fresh_network_runs(case: Case) -> None:
    if not case.fresh:
        pytest.skip("the model's numbers are not all in its state")
    torch.manual_seed(0)
    net, model = mode(case, nl.build(graph_of(case)), False), mode(case, case.model(), False)
    found, expected = (tensors(call(module, case.example(batches(case)[0]))) for module in (net, model))
    assert [(t.shape, t.dtype) for t in found] == [(t.shape, t.dtype) for t in expected]
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(dict(nl.build(graph_of(case)).state_dict()))
    same(states[0], states[1], "fresh weights under one seed")


@every_case
def test_networks_are_copied_and_pickled(case: Case) -> None:
    net = mode(case, network(case), False)
    copied, pickled = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    results = []
    for module in (net, copied, pickled):
        torch.manual_seed(3)
        results.append(tensors(call(module, case.example(batches(case)[0]))))
    same(results[1], results[0], "deepcopy")
    same(results[2], results[0], "pickle")
    assert list(copied.state_dict()) == list(net.state_dict()) == list(pickled.state_dict())
    assert copied.training is pickled.training is False


@every_case
def test_flops(case: Case) -> None:
    if not case.flops:
        pytest.skip("torch's counter does not see these operators")
    from torch.utils.flop_counter import FlopCounterMode

    graph = graph_of(case)
    example = case.example(1 if is_free(case) else 2)
    try:
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            call(mode(case, case.model(), False), replaced(example, lambda t: t.to("meta")))
    except (RuntimeError, NotImplementedError) as error:
        # The model keeps real tensors beside its parameters. On real tensors the counter sees all but attention.
        if any("attention" in node.op for node in graph.nodes):
            pytest.skip(f"does not run on meta: {error}")
        with FlopCounterMode(display=False) as counter:
            call(mode(case, case.model(), False), example)
    assert graph.flops == counter.get_total_flops()


@pytest.mark.slow
@every_case
def test_compiled_network_is_the_same(case: Case) -> None:
    if not case.compiled:
        pytest.skip("torch.compile does not take the model itself")
    net = mode(case, network(case), False)
    results = []
    for module in (mode(case, case.model(), False), torch.compile(net, backend="eager")):
        torch.manual_seed(3)
        results.append(tensors(call(module, case.example(batches(case)[0]))))
    same(results[1], results[0])


@pytest.mark.slow
@every_case
def test_exported_network_runs(case: Case) -> None:
    if not case.exported:
        pytest.skip("torch.export does not take the model itself")
    net = mode(case, network(case), False)
    example = case.example()
    args = example if isinstance(example, tuple) else () if isinstance(example, dict) else (example,)
    program = torch.export.export(net, args, example if isinstance(example, dict) else {}, strict=False)
    results = []
    for module in (mode(case, case.model(), False), program.module()):
        torch.manual_seed(3)
        results.append(tensors(call(module, case.example())))
    for found, expected in zip(results[1], results[0], strict=True):
        assert torch.equal(bits(found), bits(expected))
