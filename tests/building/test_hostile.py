"""Weights that do not fit are refused by name; whatever a graph from outside holds, none of it is executed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netloom as nl
from netloom.building import register
from netloom.errors import BuildError, NetloomError, TraceError, UntrustedError
from netloom.graph.graph import Step
from netloom.ops import Edge, operator


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.embed = nn.Linear(6, 4), nn.Embedding(10, 4)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        return self.fc(x) + self.embed(tokens)


GOOD = (torch.randn(2, 6), torch.tensor([1, 2]))


def misfits() -> dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Any]], str]]:
    """Changes to a state dict, and what the message must name."""
    return {
        "missing": (lambda s: {k: v for k, v in s.items() if k != "fc.bias"}, "fc.bias"),
        "extra": (lambda s: {**s, "head.weight": torch.ones(2)}, "head.weight"),
        "shape": (lambda s: {**s, "fc.weight": torch.ones(6, 4)}, "fc.weight"),
        "no tensor": (lambda s: {**s, "fc.weight": "many numbers"}, "fc.weight"),
        "prefix": (lambda s: {f"module.{k}": v for k, v in s.items()}, "module.fc.weight|fc.weight"),
        "empty": (lambda s: {}, "fc.weight"),
    }


@pytest.mark.parametrize("kind", misfits())
def test_weights_that_do_not_fit(kind: str) -> None:
    model = TwoInputs()
    graph = nl.trace(model, GOOD)
    change, named = misfits()[kind]
    with pytest.raises(BuildError, match=named):
        nl.build(graph, weights=change(model.state_dict()))


def test_another_model_as_weights() -> None:
    graph = nl.trace(TwoInputs(), GOOD)
    with pytest.raises(BuildError, match="fc.weight"):
        nl.build(graph, weights=nn.Sequential(nn.Linear(6, 4)))
    with pytest.raises(NetloomError):
        nl.build(graph, weights=3)  # type: ignore[arg-type]
    with pytest.raises(NetloomError):
        nl.build("conv", weights=None)  # type: ignore[arg-type]


# -- hostile graphs ----------------------------------------------------------------------------------------------------
def hostile(canary: Path) -> list[str]:
    """Strings that would create a file, were they ever executed."""
    touch = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    return [
        touch,
        f"x'); {touch}; ('",
        f'x"); {touch}; ("',
        f"x\n    {touch}\n",
        f"{{{touch}}}",
        f"x # \\\n{touch}",
        f"'''+{touch}+'''",
        f"F.relu if {touch} else F.relu",
    ]


#: The strings of the document that play each part.
PLACES = {"node": ["0", "1", "2"], "key": ["0.weight", "2.bias"], "argument": ["input", "x"]}


@pytest.mark.parametrize("place", [*PLACES, "scope", "autocast", "symbol", "notes", "result"])
def test_hostile_names_are_never_executed(place: str, tmp_path: Path) -> None:
    """Names of nodes, keys, arguments, scopes, results: the network runs, or a NetloomError; no code of theirs does."""
    canary = tmp_path / "canary"
    plain = nl.trace(nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.1), nn.Linear(6, 4)), torch.randn(2, 6)).to_json()
    ran = 0
    for text in hostile(canary):
        document = swap(json.loads(plain), place, text)
        assert json.dumps(document) != plain
        try:
            graph = nl.Graph.from_json(document)
            net = nl.build(graph)
            net(torch.randn(3, 6))
            net.train()(torch.randn(3, 6))
            ran += 1
            repr(net), graph.to_text(), graph.hash
        except NetloomError:
            pass
        assert not canary.exists(), f"{text!r} as {place} was executed"
    # Were all refused, this would test the refusal alone: module names and keys may be almost anything.
    assert ran > 0 or place in ("symbol", "autocast")


def swap(document: Any, place: str, text: str) -> Any:
    """The document with every string that plays a part at ``place`` replaced."""
    if place in ("scope", "autocast"):
        document["steps"] = [step | ({} if step["op"] == "input" else {place: text}) for step in document["steps"]]
        return document
    if place in ("notes", "symbol", "result"):
        result = document["result"]
        document |= {"notes": [text]} if place == "notes" else {"result": {"dict": {text: result, "x": result}}}
        return document if place != "symbol" else json.loads(json.dumps(document).replace('"N"', json.dumps(text)))

    def walk(value: Any, inside: str) -> Any:
        if isinstance(value, dict):
            return {key: walk(child, key) for key, child in value.items()}
        if isinstance(value, list):
            return [walk(child, inside) for child in value]
        return text + value if isinstance(value, str) and value in PLACES[place] and inside != "op" else value

    return walk(document, "")


@pytest.mark.parametrize("index", range(8))
def test_hostile_module_names_build_and_run(index: int, tmp_path: Path) -> None:
    """A model whose layers bear such names is exact like any other."""
    canary = tmp_path / "canary"
    name = hostile(canary)[index].replace(".", "_")
    model = nn.Module()
    model.add_module(name, nn.Linear(6, 4))
    model.register_buffer(f"{name} buffer", torch.ones(4))
    model.register_parameter(f"{name} gain", nn.Parameter(torch.ones(4)))
    model.forward = lambda x: getattr(model, name)(x) * getattr(model, f"{name} gain") + getattr(model, f"{name} buffer")  # type: ignore
    try:
        graph = nl.trace(model, torch.randn(2, 6))
    except TraceError as error:
        assert name.splitlines()[0] in str(error) or repr(name)[1:-1] in str(error)
    else:
        net = nl.build(nl.Graph.from_json(graph.to_json()), weights=model)
        assert list(net.state_dict()) == list(model.state_dict())
        assert net(torch.ones(3, 6)).shape == (3, 4)
    assert not canary.exists()


ATTRIBUTES = [("gelu", "approximate"), ("interpolate", "mode"), ("pad", "mode"), ("einsum", "equation"), ("input", "dtype")]


@pytest.mark.parametrize("op, attribute", ATTRIBUTES)
def test_hostile_attributes_are_refused(op: str, attribute: str, tmp_path: Path) -> None:
    """Attributes are checked before they can stand in code."""
    canary = tmp_path / "canary"
    x = nl.input(3, 8, 8)
    assert op in ("einsum", "input") or attribute in operator(op).by_name
    for text in hostile(canary):
        with pytest.raises(NetloomError):
            y = getattr(nl, op)(*(() if op == "input" else (x,)), **{attribute: text})
            nl.build(nl.Graph(x, y))(torch.randn(1, 3, 8, 8))
        assert not canary.exists()


def opaque_graph(target: str, args: tuple[Any, ...] = ()) -> nl.Graph:
    """A graph of one opaque call."""
    x = nl.input(6, name="x")
    plain = nl.Graph(x, nl.relu(x, name="y"))
    types = (("float32", (nl.Size.symbol("N"), 6)),)
    call = Step("y", "opaque", {"target": target, "args": args, "types": types})
    return nl.Graph.make([plain.steps[0], call], {}, plain.arguments, plain.result, symbols=plain.symbols)


TARGETS = """
    os.system os:system builtins:eval builtins:exec subprocess:run torch.load torch.save torch.hub.load torch.jit.load
    torch.from_file torch.ops.load_library torch.utils.cpp_extension.load torch.serialization.load torch.set_num_threads
    torch.__builtins__ torch._C._jit_pass_inline torch.nn.functional.torch.load Tensor.__reduce_ex__ Tensor.numpy
    Tensor.__class__ Tensor.apply_ Tensor.map_ torch.nn.functional.__builtins__ torch.compile torch.vmap torch.func.vmap
    torch.library.define
""".split()


@pytest.mark.parametrize("target", TARGETS)
def test_opaque_call_from_data_is_refused(target: str, tmp_path: Path) -> None:
    """An opaque node that arrives as data loads, prints and hashes, but does not build unless its target is trusted."""
    graph = nl.Graph.from_json(opaque_graph(target, (f"touch {tmp_path / 'canary'}",)).to_json())
    assert target in graph.to_text() and graph.hash.startswith("nl1:")
    with pytest.raises(UntrustedError, match="register"):
        nl.build(graph)
    with pytest.raises(UntrustedError):
        nl.build(nl.Graph.from_text(graph.to_text()))
    assert not (tmp_path / "canary").exists()


def test_opaque_strings_stay_strings(tmp_path: Path) -> None:
    """Arguments of a trusted call stand in code as literals."""
    canary = tmp_path / "canary"
    for text in hostile(canary):
        net = nl.build(opaque_graph("torch.nn.functional.mse_loss", (Edge("x"), Edge("x"), None, None, text)))
        with pytest.raises(Exception):
            net(torch.randn(2, 6))
        assert not canary.exists()


def test_opaque_call_runs_once_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that traced a custom function may build it; one that only read the graph asks its user first."""
    model = UsesCustomStep()
    graph = nl.trace(model, torch.randn(2, 6))
    node = next(n for n in graph.nodes if n.op == "opaque")
    x = torch.randn(3, 6)
    assert torch.equal(nl.build(graph, weights=model)(x), model(x))
    monkeypatch.setattr("netloom.graph.trusted._registered", {})
    sent = nl.Graph.from_json(graph.to_json())
    with pytest.raises(UntrustedError, match="CustomStep"):
        nl.build(sent)
    register(node.attrs["target"], CustomStep.apply)
    assert torch.equal(nl.build(sent, weights=model)(x), model(x))


class CustomStep(torch.autograd.Function):
    """A custom function that netloom cannot know."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class UsesCustomStep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return CustomStep.apply(self.fc(x))
