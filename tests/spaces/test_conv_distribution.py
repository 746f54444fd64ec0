"""What the convolutional space draws, and how often: every marginal against its documented distribution.

Chi-square tests on seeded draws, so that they come out the same every time. On an image that no layer is too large for, every
marginal is that of the templates; on small images the rule that drops what does not fit changes some of them, and the exact
probabilities are enumerated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from netloom.spaces import Conv
from netloom.spaces.chain import Layer

#: Below this a test fails: seeds are fixed, and there are some forty tests.
LEAST = 1e-3
HUGE = (3, 10**7, 10**7)


def agree(found: Mapping[Any, int], expected: Mapping[Any, float]) -> float:
    """The p-value of counts under probabilities; 0 where something came that never should."""
    if set(found) - set(expected):
        return 0.0
    total = sum(found.values())
    counts = [found.get(key, 0) for key in expected]
    assert min(expected.values()) * total >= 5, "too few draws for this test"
    return float(chisquare(counts, [probability * total for probability in expected.values()]).pvalue)


def even(values: Sequence[Any]) -> dict[Any, float]:
    return {value: 1 / len(values) for value in values}


@pytest.fixture(scope="module")
def samples() -> list[list[Layer]]:
    space, rng = Conv(input_shape=HUGE, conv_num=4, lin_num=4), np.random.default_rng(20)
    return [space.sample_layers(rng) for _ in range(2500)]


def attributes(samples: list[list[Layer]], op: str) -> list[dict[str, Any]]:
    return [dict(layer.attrs) for layers in samples for layer in layers[:-1] if layer.op == op]


def test_the_test_finds_what_is_spoiled(samples: list[list[Layer]]) -> None:
    counts = Counter(attrs["out"] for attrs in attributes(samples, "conv2d"))
    assert agree(counts, even([8, 16, 32, 64, 96, 128, 192])) > LEAST
    counts[8] = int(counts[8] * 1.35)
    assert agree(counts, even([8, 16, 32, 64, 96, 128, 192])) < LEAST
    assert agree({7: 100, 8: 100}, {8: 1.0}) == 0


@pytest.mark.parametrize(
    ("op", "attr", "values"),
    [
        ("conv2d", "out", [8, 16, 32, 64, 96, 128, 192]),
        ("conv2d", "kernel", [1, 2, 3, 4, 5, 6, 7]),
        ("conv2d", "stride", [1, 2, 3, 4]),
        ("max_pool2d", "kernel", [2, 3, 4]),
        ("max_pool2d", "stride", [1, 2, 3]),
        ("avg_pool2d", "kernel", [2, 3, 4]),
        ("avg_pool2d", "stride", [1, 2]),
        ("avg_pool2d", "count_include_pad", [True, False]),
        ("leaky_relu", "negative_slope", [0.1, 0.01, 0.001]),
        ("prelu", "num_parameters", ["channels", 1]),
        ("linear", "out", [32, 64, 128, 256, 512, 1024, 2048, 4096]),
        ("dropout", "p", [round(0.05 * i, 2) for i in range(1, 20)]),
    ],
)
def test_values_are_drawn_evenly(samples: list[list[Layer]], op: str, attr: str, values: list[Any]) -> None:
    assert agree(Counter(attrs[attr] for attrs in attributes(samples, op)), even(values)) > LEAST


@pytest.mark.parametrize("op", ["conv2d", "max_pool2d", "avg_pool2d"])
def test_padding_is_half_a_kernel_or_none(samples: list[list[Layer]], op: str) -> None:
    padded = [(attrs["kernel"], attrs["padding"]) for attrs in attributes(samples, op) if attrs["kernel"] > 1]
    assert {padding for kernel, padding in padded} <= {0, 1, 2, 3}
    assert agree(Counter(padding == kernel // 2 for kernel, padding in padded), even([True, False])) > LEAST
    assert all(padding in (0, kernel // 2) for kernel, padding in padded)


def test_attributes_are_independent(samples: list[list[Layer]]) -> None:
    pairs = Counter((attrs["kernel"], attrs["stride"]) for attrs in attributes(samples, "conv2d"))
    assert agree(pairs, even(list(product(range(1, 8), range(1, 5))))) > LEAST


#: How many of something a network has → what that number is, and its distribution.
NUMBERS: dict[str, tuple[Callable[[list[Layer]], Any], dict[Any, float]]] = {
    "convolutional blocks": (lambda layers: sum(layer.op == "conv2d" for layer in layers), even([1, 2, 3, 4])),
    "hidden blocks": (lambda layers: sum(layer.op == "linear" for layer in layers) - 1, even([0, 1, 2, 3])),
    "global pool": (lambda layers: any(layer.op == "adaptive_avg_pool2d" for layer in layers), even([True, False])),
    "first activation": (lambda layers: layers[1].op, even(["relu", "leaky_relu", "prelu"])),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_numbers_of_parts(samples: list[list[Layer]], what: str) -> None:
    number, expected = NUMBERS[what]
    assert agree(Counter(map(number, samples)), expected) > LEAST


def test_extras_come_by_themselves_in_their_order(samples: list[list[Layer]]) -> None:
    extras = ("max_pool2d", "batch_norm", "avg_pool2d")
    found: Counter[tuple[str, ...]] = Counter()
    for layers in samples:
        starts = [i for i, layer in enumerate(layers) if layer.op == "conv2d"]
        if len(starts) > 1:
            found[tuple(layer.op for layer in layers[2 : starts[1]])] += 1
    subsets = [tuple(op for op, here in zip(extras, bits) if here) for bits in product((True, False), repeat=3)]
    assert agree(found, even(subsets)) > LEAST


def test_dropout_stands_in_half_of_the_hidden_blocks(samples: list[list[Layer]]) -> None:
    hidden = [layers[i + 2].op for layers in samples for i, layer in enumerate(layers[:-1]) if layer.op == "linear"]
    assert agree(Counter(op == "dropout" for op in hidden), even([True, False])) > LEAST


# -- where the rule that drops layers counts -----------------------------------------------------------------------------
def window(size: int, kernel: int, stride: int, padded: bool) -> int:
    return (size + 2 * (kernel // 2 if padded else 0) - kernel) // stride + 1


def small_blocks(size: int) -> Counter[tuple[int, str, int]]:
    """Weights of what one block makes of an image: new size, which extras stand, 1 where a layer did not fit."""
    convs = Counter(window(size, *w) for w in product(range(1, 8), range(1, 5), (True, False)))
    pools = list(product((2, 3, 4), (1, 2, 3), (True, False)))
    means = list(product((2, 3, 4), (1, 2), (True, False)))
    found: Counter[tuple[int, str, int]] = Counter()
    for after_conv, weight in convs.items():
        # 36 ways of either pool, so that every combination weighs the same: 36 of none, 2 of each max pool, 3 of each mean.
        for pool, by in [(None, 36), *((pool, 2) for pool in pools)]:
            if after_conv < 1:
                found[size, "none", 1] += weight * by * 2 * 72
                continue
            pooled = window(after_conv, *pool) if pool else after_conv
            if pooled < 1:
                found[after_conv, "", 1] += weight * by * 2 * 72
                continue
            m = "m" if pool else ""
            for norm, mean in product("b ", [None, *means]):
                weighs = weight * by * (36 if mean is None else 3)
                b, last = norm.strip(), window(pooled, *mean) if mean else pooled
                if last < 1:
                    found[pooled, m + b, 1] += weighs
                else:
                    found[last, m + b + ("a" if mean else ""), 0] += weighs
    return found


@pytest.mark.parametrize("size", [4, 7])
def test_small_images_end_the_convolutional_part_as_often_as_they_must(size: int) -> None:
    """Extras of the first block, and whether a second one follows, against their exact probabilities."""
    space, rng = Conv(input_shape=(1, size, size), conv_num=2, lin_num=1), np.random.default_rng(5)
    expected: Counter[tuple[str, bool]] = Counter()
    outcomes = small_blocks(size)
    total = sum(outcomes.values())
    none = sum(weight for (_, extras, _), weight in outcomes.items() if extras == "none")
    for (after, first, ended), weight in outcomes.items():
        if first == "none":
            continue
        probability = weight / (total - none)
        second = small_blocks(after).items()
        again = 0.0 if ended else sum(weight for (_, extras, _), weight in second if extras != "none") / total
        expected[first, True] += 0.5 * probability * again  # type: ignore[assignment]
        expected[first, False] += probability * (1 - 0.5 * again)  # type: ignore[assignment]
    letters = {"max_pool2d": "m", "batch_norm": "b", "avg_pool2d": "a"}
    found: Counter[tuple[str, bool]] = Counter()
    for _ in range(5000):
        ops = [layer.op for layer in space.sample_layers(rng)]
        block = ops[: ops.index("conv2d", 1)] if "conv2d" in ops[1:] else ops
        found["".join(letters.get(op, "") for op in block), "conv2d" in ops[1:]] += 1
    rare = {key for key, probability in expected.items() if probability * 5000 < 6}
    merged = Counter({key: count for key, count in found.items() if key not in rare})
    probabilities = {key: p for key, p in expected.items() if key not in rare}
    if rare:
        merged["rare", False] = sum(found[key] for key in rare)
        probabilities["rare", False] = max(sum(expected[key] for key in rare), 6 / 5000)
    assert abs(sum(expected.values()) - 1) < 1e-9
    assert agree(merged, probabilities) > LEAST


def test_a_pool_that_stands_is_any_of_those_that_fit() -> None:
    space, rng = Conv(input_shape=(1, 3, 3), conv_num=1, lin_num=1), np.random.default_rng(8)
    found: Counter[tuple[int, int, int]] = Counter()
    for _ in range(8000):
        layers = space.sample_layers(rng)
        conv = dict(layers[0].attrs)
        if (3 + 2 * conv["padding"] - conv["kernel"]) // conv["stride"] + 1 == 2 and layers[2].op == "max_pool2d":
            pool = dict(layers[2].attrs)
            found[pool["kernel"], pool["stride"], pool["padding"]] += 1
    fitting = [w for w in product((2, 3, 4), (1, 2, 3), (True, False)) if window(2, *w) >= 1]
    expected = {(kernel, stride, kernel // 2 if padded else 0): 1 / len(fitting) for kernel, stride, padded in fitting}
    assert len(expected) == 12 and agree(found, expected) > LEAST


def test_templates_are_drawn_as_often_as_they_say() -> None:
    space = Conv(input_shape=HUGE, conv_num=1, lin_num=1, templates={
        "conv": {
            "conv2d": {"out": [8, 24], "kernel": range(1, 4)}, "conv_transpose2d": {"out": 8, "kernel": 2, "probability": 0.2},
        },
        "activation": {"relu": 0.5, "gelu": {}, "silu": {}},
        "conv_extras": {"group_norm": {"groups": [1, 2, 4, 8], "probability": 0.7}, "batch_norm": 1.0},
        "pool": {"adaptive_max_pool2d": {"output_size": [1, 2], "probability": 0.25}},
    })  # fmt: skip
    rng = np.random.default_rng(3)
    samples = [space.sample_layers(rng) for _ in range(4000)]
    assert agree(Counter(layers[0].op for layers in samples), {"conv2d": 0.8, "conv_transpose2d": 0.2}) > LEAST
    assert agree(Counter(layers[1].op for layers in samples), {"relu": 0.5, "gelu": 0.25, "silu": 0.25}) > LEAST
    assert agree(Counter(layers[2].op for layers in samples), {"group_norm": 0.7, "batch_norm": 0.3}) > LEAST
    assert all(sum(layer.op == "batch_norm" for layer in layers) == 1 for layers in samples)
    groups = Counter(attrs["groups"] for attrs in attributes(samples, "group_norm"))
    assert agree(groups, even([1, 2, 4, 8])) > LEAST
    pools = Counter(sum(layer.op == "adaptive_max_pool2d" for layer in layers) for layers in samples)
    assert agree(pools, {0: 0.75, 1: 0.25}) > LEAST
