"""Templates of one's own: what is drawn, what is a member, what is refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from netloom.errors import SpaceError
from netloom.spaces import Conv, chain, load
from netloom.spaces.chain import Layer
from netloom.spaces.conv_templates import PUBLISHED, read_templates

SPACES: dict[str, dict[str, Any]] = {
    "other operators": {
        "conv": {"conv2d": {"out": [8, 16], "kernel": range(1, 4), "padding": "half", "bias": [True, False]}},
        "activation": ["gelu", "silu"],
        "conv_extras": {"batch_norm": 1.0, "dropout2d": {"p": [0.1, 0.2], "probability": 0.3}},
        "linear_extras": {},
    },
    "several convolutions": {
        "conv": {
            "conv2d": {"out": [8, 16], "kernel": [(3, 1), (1, 3)], "padding": "half", "groups": [1, 2]},
            "conv_transpose2d": {"out": [4, 8], "kernel": 2, "stride": 2, "probability": 0.3},
        },
        "linear_activation": {"prelu": {"num_parameters": "channels"}},
    },
    "layers that change the shape": {
        "conv": {"conv2d": {"out": [16, 24], "kernel": 3}},
        "activation": {"glu": {"dim": 1}},
        "linear_activation": {"relu": {}},
        "conv_extras": {"pixel_shuffle": {"factor": [2, 3]}, "max_pool2d": {"kernel": [2, 5], "probability": 1.0}},
        "pool": {},
    },
    "nothing but what must be": {"activation": {}, "conv_extras": {}, "pool": {}, "linear_activation": {}, "linear_extras": {}},
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("caps", [{}, {"max_params": 20_000, "max_flops": 10**6}])
def test_samples_are_valid_members_within_the_caps(name: str, caps: dict[str, int]) -> None:
    space = Conv(input_shape=(2, 9, 12), conv_num=3, lin_num=2, templates=SPACES[name], **caps)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    hashes = set()
    for _ in range(30):
        graph = space.sample(rng)
        graph.check()
        assert space.contains(graph), str(graph)
        assert graph.num_params <= caps.get("max_params", 10**12) and graph.flops <= caps.get("max_flops", 10**15)
        hashes.add(graph.hash)
    assert len(hashes) > 10
    published = [Conv(input_shape=(2, 9, 12)).sample(rng) for _ in range(5)]
    assert not any(map(space.contains, published)) or name == "nothing but what must be"


@pytest.mark.parametrize("name", SPACES)
def test_a_space_travels_and_is_written_down(name: str) -> None:
    space = Conv(input_shape=(2, 9, 12), templates=SPACES[name])
    for again in (load(space.spec), pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert again == space and hash(again) == hash(space)
        assert again.sample(np.random.default_rng(2)) == space.sample(np.random.default_rng(2))


def test_published_templates_are_those_of_no_templates() -> None:
    assert Conv(templates=PUBLISHED) == Conv(templates={}) == Conv() and Conv().templates is None
    assert read_templates(Conv().all_templates) == Conv().all_templates
    assert Conv(templates={"activation": "relu"}) != Conv()


def test_a_slot_that_is_left_out_stays() -> None:
    space = Conv(templates={"activation": ["gelu"]})
    assert space.all_templates["conv"]["conv2d"]["kernel"] == [1, 2, 3, 4, 5, 6, 7]
    assert list(space.all_templates["linear_activation"]) == ["gelu"], "hidden blocks have the same activations"
    both = Conv(templates={"activation": ["gelu"], "linear_activation": ["relu"]})
    assert list(both.all_templates["linear_activation"]) == ["relu"]


def test_what_must_stand_may_lack_only_where_the_part_ended() -> None:
    templates = {"conv": {"conv2d": {"out": 8, "kernel": [1, 3]}}, "activation": "relu", "conv_extras": {"max_pool2d": {
        "kernel": 2, "probability": 1.0}}, "pool": {}}  # fmt: skip
    space = Conv(input_shape=(1, 8, 8), conv_num=2, lin_num=1, templates=templates)
    conv, relu, pool = Layer("conv2d", (("out", 8), ("kernel", 3))), Layer("relu"), Layer("max_pool2d", (("kernel", 2),))
    end = [Layer("flatten"), Layer("linear", (("out", 10),))]

    def member(*layers: Layer, size: int = 8) -> bool:
        graph = chain.chain((1, size, size), [*layers, *end])
        return Conv(input_shape=(1, size, size), conv_num=2, lin_num=1, templates=templates).contains(graph)

    assert member(conv, relu, pool) and member(conv, relu, pool, conv, relu)
    assert not member(conv, relu), "6×6 is large enough for the pool"
    assert not member(conv, relu, conv, relu, pool)
    assert member(conv, relu, size=3) and not member(conv, size=3) and not member(conv, relu, size=4)
    assert {space.sample(np.random.default_rng(i)).nodes[3].op for i in range(20)} == {"max_pool2d"}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"gelu": {}}, r"no slot 'gelu'; it is an operator, write \{'activation': \{'gelu': \{…\}\}\}"),
        ({"activations": {}}, "did you mean 'activation'"),
        ({"activation": 3}, r"templates\['activation'\] = 3; expected operators such as"),
        ({"activation": ["geluu"]}, r"\['geluu'\]: unknown operator 'geluu'; did you mean 'gelu'"),
        ({"activation": {"gelu": {"probability": 2}}}, "probability = 2; expected a number from 0 to 1"),
        ({"activation": {"gelu": "often"}}, "= 'often'; expected attributes such as"),
        ({"activation": {"relu": 0.2, "gelu": 0.3}}, "probabilities add up to 0.5"),
        ({"activation": {"relu": 0.9, "gelu": 0.3, "silu": {}}}, "probabilities add up to 1.2"),
        ({"activation": {"leaky_relu": {"slope": 1}}}, "no attribute 'slope'; it takes negative_slope"),
        ({"activation": ["add"]}, "add takes x, y; a layer of a chain is an operator of one tensor"),
        ({"activation": ["lstm"]}, "one tensor with one result"),
        ({"activation": {"kthvalue": {"k": 1}}}, r"\['kthvalue'\]: kthvalue gives 2 results; a layer of a chain"),
        ([1], r"templates = \[1\]; expected slots such as"),
        ({"conv": {}}, r"templates\['conv'\] is empty"),
        ({"conv": {"conv2d": {"kernel": 3}}}, "conv2d needs 'out'"),
        ({"conv": {"conv2d": {"kernel": [3, 0], "out": 8}}}, "kernel = 0; expected an integer ≥ 1"),
        ({"conv": {"conv2d": {"kernel": range(3, 3), "out": 8}}}, "kernel is an empty range"),
        ({"conv": {"conv2d": {"kernel": 3, "out": 8, "weight": False}}}, "weight = False; expected true"),
        ({"conv": {"conv2d": {"kernel": 40, "out": 8}}}, r"no convolution of its templates fits \(3, 32, 32\)"),
        ({"conv_extras": {"max_pool2d": {"kernel": 2, "stride": "half"}}}, "stride = 'half'"),
    ],
)
def test_templates_that_make_no_sense_are_refused(templates: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        Conv(templates=templates)


def test_caps_that_templates_cannot_keep_are_refused() -> None:
    templates = {"conv": {"conv2d": {"out": 64, "kernel": 3}}, "pool": {}, "conv_extras": {}}
    with pytest.raises(SpaceError, match=r"max_params = 5,000 admits no network: the smallest has .* FLOPs\); raise the cap"):
        Conv(input_shape=(1, 8, 8), conv_num=1, max_params=5_000, templates=templates)
    space = Conv(input_shape=(1, 8, 8), conv_num=1, max_params=25_000, templates=templates)
    assert space.smallest[0].num_params == 640 + 23_050


def test_zero_probability_takes_an_operator_out() -> None:
    space = Conv(templates={"conv_extras": {"batch_norm": 0, "max_pool2d": {"kernel": 2}}})
    assert list(space.all_templates["conv_extras"]) == ["max_pool2d"]


def test_numpy_ranges_and_single_values() -> None:
    templates = {"conv": {"conv2d": {"out": np.array([8, 16]), "kernel": (3, 1)}}}
    assert Conv(templates=templates).all_templates["conv"]["conv2d"] == {"out": [8, 16], "kernel": [(3, 1)], "probability": 1.0}
    conv = next(node for node in Conv(templates=templates).sample(np.random.default_rng(0)) if node.op == "conv2d")
    assert conv.attrs["kernel"] == (3, 1)
