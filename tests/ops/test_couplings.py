"""What removing, repeating, adding and zeroing indices does, of every operator: as its dimension rule says."""

from __future__ import annotations

from math import sqrt
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import netloom as nl
import netloom.testing as conformance
from netloom.ops import REGISTRY, Operator, TensorType, Weight, operator
from netloom.ops.dims import labels
from netloom.ops.pointwise import Unary
from netloom.testing import Call
from netloom.testing.couplings import Seen
from netloom.testing.execution import attempt
from netloom.testing.operators import typed
from tests.ops.generated import each_operator, over_calls

#: Labels coupled by what no trial shows: which permutation is drawn depends on how much there is to permute.
UNSHOWN = {("randperm", "n")}


#: Examples of an operator, and how many are tried where these do not show what is looked for.
FEW, MANY = 3, 60


@each_operator(*sorted(REGISTRY))
def test_couplings(name: str, times: int) -> None:
    """Labels behave as they are said to, and none is called coupled that is not."""
    seen: list[Seen] = []

    def unshown() -> set[tuple[str, str]]:
        claimed = {(one.label, one.kind) for one in seen if one.kind and (name, one.label) not in UNSHOWN}
        return claimed - {(one.label, one.kind) for one in seen if one.coupled}

    for examples in (FEW * times, MANY):
        over_calls(name, examples, lambda data, call: seen.extend(conformance.check_couplings(call)))
        if not unshown():
            return
    raise AssertionError(f"{name}: {unshown()} are said to be coupled, and no example shows it")


@each_operator(*sorted(REGISTRY))
def test_zeroes(name: str, times: int) -> None:
    """Results are zero where they are said to be; an operator that says anything about zeros says it of some example."""
    told: list[bool | None] = []
    kind = operator(name)
    says = bool(kind.zero_terms) or type(kind).terms is not Operator.terms
    for examples in (FEW * times, MANY):
        over_calls(name, examples, lambda data, call: told.append(conformance.check_zeroes(call)))
        if not says or any(told):
            return
    assert all(found is None for found in told), f"{name}: its zero_terms hold of no example"


#: Functions of one tensor of floats.
POINTWISE = [
    name for name, kind in sorted(REGISTRY.items())
    if isinstance(kind, Unary) and "f" in kind.takes and kind.family != "dropout"
]  # fmt: skip


@each_operator(*POINTWISE)
def test_flat_at_zero(name: str, times: int) -> None:
    """Of functions that are 0 at 0, those are flat there whose derivative is 0 as torch computes it."""

    def body(data: Any, call: Call) -> None:
        attrs = {key: value for key, value in call.args.items() if operator(name).by_name[key].kind == "attr"}
        if "num_parameters" in attrs:
            attrs["num_parameters"] = 1
        try:
            graph = nl.Graph(x := nl.input(3, 4), getattr(nl, name)(x, **attrs))
        except nl.errors.NetloomError:
            return
        types = graph.operands(graph.steps[-1])
        zeros = torch.zeros(2, 3, 4, requires_grad=True)
        result = nl.build(graph, seed=0).eval()(zeros)
        if operator(name).zeroes(types, "d1", frozenset({"x"})) and result.requires_grad:
            result.sum().backward()
            assert zeros.grad is not None
            flat = not zeros.grad.any()
            assert operator(name).flat_at_zero(types) == flat, f"{call}: the derivative at 0 is {'' if flat else 'not '}0"

    over_calls(name, 2 * times, body)


# -- by hand ---------------------------------------------------------------------------------------------------------------
def f(*shape: int) -> Any:
    return typed("float32", shape)


def weights(*roles: str) -> dict[str, Weight]:
    return {role: Weight(role) for role in roles}


def types(call: Call) -> SimpleNamespace:
    tried = attempt(call)
    assert tried.error is None, tried.error
    return tried.types


NORM = weights("weight", "bias", "running_mean", "running_var")
LSTM = tuple(Weight(f"{kind}_{way}_l{layer}") for layer in range(2) for kind in ("weight", "bias") for way in ("ih", "hh"))
ROWS = " ".join(ref.key for ref in LSTM)
CASES = [
    ("linear", {"x": f(4, 3), "out": 5, **weights("weight", "bias")}, "o", "weight bias", "weight", "x bias"),
    ("linear", {"x": f(4, 3), "out": 5, **weights("weight", "bias")}, "n0", "", "x", "x weight bias"),
    ("linear", {"x": f(4, 3), "out": 5, **weights("weight")}, "n0", "x", "", "weight"),
    ("linear", {"x": f(4, 3), "out": 5, **weights("weight")}, "i", "", "x weight"),
    ("conv2d", {"x": f(2, 4, 5, 5), "out": 6, "kernel": 3, "groups": 2, **weights("weight")}, "o", "weight", "x"),
    ("conv2d", {"x": f(2, 4, 5, 5), "out": 6, "kernel": 3, "groups": 2, **weights("weight")}, "g", "x", ""),
    ("relu", {"x": f(4, 3)}, "d1", "x", ""),
    ("sigmoid", {"x": f(4, 3)}, "d1", "", "x"),
    ("hardtanh", {"x": f(4, 3), "min_val": 0.5, "max_val": 1.0}, "d1", "", "x"),
    ("mul", {"x": f(4, 3), "y": f(3)}, "d1", "y", ""),
    ("mul", {"x": f(4, 3), "y": f(3)}, "d0", "x", "y"),
    ("add", {"x": f(4, 3), "y": f(4, 3)}, "d1", "x y", "x"),
    ("add", {"x": f(4, 3), "y": f(3)}, "d0", "", "x y"),
    ("add", {"x": f(4, 3), "y": 0}, "d0", "x", ""),
    ("add", {"x": f(4, 3), "y": 1}, "d0", "", "x"),
    ("cat", {"tensors": (f(2, 3), f(2, 4))}, "c1", "tensors[1]", "tensors[0]"),
    ("cat", {"tensors": (f(2, 3), f(2, 4))}, "d0", "tensors", "tensors[0]"),
    ("pad", {"x": f(2, 3), "padding": (1, 1)}, "before1", "*", ""),
    ("batch_norm", {"x": f(4, 3), "training": False, **NORM}, "d1", "x running_mean bias", "x bias", "weight"),
    ("batch_norm", {"x": f(4, 3), "training": True, **NORM}, "d1", "x bias", "x"),
    ("batch_norm", {"x": f(4, 3), "training": True, **weights("weight")}, "d0", "", "x"),
    ("layer_norm", {"x": f(4, 3), **weights("weight", "bias")}, "d1", "weight bias", "x bias"),
    ("rms_norm", {"x": f(4, 3), **weights("weight")}, "d1", "x", ""),
    ("softmax", {"x": f(4, 3)}, "d1", "", "x"),
    ("embedding", {"x": typed("int64", (4,), 0, 9), "num_embeddings": 9, "features": 3, **weights("weight")},
     "f", "weight", "x"),
    ("scaled_dot_product_attention", {"q": f(2, 4, 3), "k": f(2, 5, 3), "v": f(2, 5, 6)}, "f", "v", "q k"),
    ("scaled_dot_product_attention", {"q": f(2, 4, 3), "k": f(2, 5, 3), "v": f(2, 5, 6)}, "l", "", "q"),
    ("lstm", {"x": f(2, 5, 3), "hidden": 4, "num_layers": 2, "weights": LSTM}, "h", ROWS, ROWS.replace("bias_hh_l1", "")),
    ("lstm", {"x": f(2, 5, 3), "hidden": 4, "num_layers": 2, "weights": LSTM, "c0": f(2, 2, 4), "h0": f(2, 2, 4)}, "h",
     "weights h0 c0", "weights h0"),
    ("zeros", {"shape": (2, 3)}, "d1", "*", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "label", "enough", "less"), [(*case[:4], case[4:]) for case in CASES])
def test_zeroes_by_hand(name: str, args: dict[str, Any], label: str, enough: str, less: tuple[str, ...]) -> None:
    """``enough`` operands (none, if it is "*") make zeros, and none of ``less`` do."""
    a = types(Call(name, args))
    if enough == "*":
        assert operator(name).zeroes(a, label, frozenset())
        return
    assert not enough or operator(name).zeroes(a, label, frozenset(enough.split()))
    for zero in less:
        assert not operator(name).zeroes(a, label, frozenset(zero.split())), zero


def coupled(name: str, **args: Any) -> Any:
    tried = attempt(Call(name, args))
    assert tried.outputs is not None, tried.error
    return tried.kind.dims(tried.types, tried.outputs).coupled


def test_kinds_by_hand() -> None:
    assert coupled("linear", x=f(4, 3), out=2, weight=Weight("weight")) == {}
    assert coupled("sum", x=f(4, 3), dim=1) == coupled("norm", x=f(4, 3), dim=1) == {}
    assert coupled("mean", x=f(4, 3), dim=1) == coupled("layer_norm", x=f(4, 3)) == {"d1": "average"}
    assert coupled("var", x=f(4, 3), dim=1, correction=0) == {"d1": "average"}
    assert coupled("var", x=f(4, 3), dim=1) == coupled("softmax", x=f(4, 3), dim=1) == {"d1": "other"}
    assert coupled("rms_norm", x=f(4, 3)) == {"d1": "rms"}
    assert coupled("normalize", x=f(4, 3)) == coupled("weight_norm", v=f(4, 3), g=f(4, 1)) == {"d1": "zeros"}
    assert coupled("cosine_similarity", x1=f(4, 3), x2=f(4, 3)) == {"d1": "zeros"}
    assert coupled("batch_norm", x=f(4, 3, 5), training=False, **NORM) == {}
    assert coupled("batch_norm", x=f(4, 3, 5), training="module", **NORM) == {}
    assert coupled("batch_norm", x=f(4, 3, 5), training=True, **NORM) == {"d0": "average", "d2": "average"}
    assert coupled("group_norm", x=f(4, 6, 5), groups=2) == {"c": "average", "d2": "average"}
    attention = {"q": f(2, 4, 3), "k": f(2, 5, 3), "v": f(2, 5, 6)}
    assert coupled("scaled_dot_product_attention", **attention) == {"s": "average"}
    assert coupled("scaled_dot_product_attention", **attention, is_causal=True) == {"l": "other", "s": "other"}


def test_what_a_recurrent_state_is_multiplied_by() -> None:
    tried = attempt(Call("lstm", {"x": f(2, 5, 3), "hidden": 4, "num_layers": 2, "weights": LSTM}))
    assert tried.outputs is not None
    dims = tried.kind.dims(tried.types, tried.outputs)
    assert dims.summed == {("weight_hh_l0", 1), ("weight_hh_l1", 1), ("weight_ih_l1", 1)}
    assert "h" in labels(dims.outputs) and dims.coupled == {"t": "other"}


def test_padding_of_means() -> None:
    assert operator("mean").padded(types(Call("mean", {"x": f(4, 3), "dim": 1})), "d1", 3, 4) == {"times": 4 / 3}


def test_padding_of_rms_norm() -> None:
    a = types(Call("rms_norm", {"x": f(4, 3), "eps": 1e-6, **weights("weight")}))
    assert operator("rms_norm").padded(a, "d1", 3, 12) == {"scale": {"weight": 0.5}, "attrs": {"eps": 1e-6 / 4}}
    assert operator("rms_norm").padded(a, "d0", 4, 8) is None
    a = types(Call("rms_norm", {"x": f(4, 3), **weights("weight")}))
    told = operator("rms_norm").padded(a, "d1", 3, 4)
    assert told == {"scale": {"weight": sqrt(0.75)}, "attrs": {"eps": 0.75 * 2.0**-23}}
    assert operator("rms_norm").padded(types(Call("rms_norm", {"x": f(4, 3)})), "d1", 3, 4) is None
    half = SimpleNamespace(**{**vars(a), "x": TensorType("bfloat16", (4, 3)), "weight": TensorType("bfloat16", (3,))})
    assert operator("rms_norm").padded(half, "d1", 3, 4) is None
    assert operator("layer_norm").padded(types(Call("layer_norm", {"x": f(4, 3), **weights("weight")})), "d1", 3, 4) is None
