"""DeepNets-1M as a space: its splits, what they keep apart, and what the original generator gets wrong."""

from __future__ import annotations

import numpy as np
import pytest

import netloom as nl
from netloom.errors import SpaceError
from netloom.spaces.deepnets_description import describe
from netloom.spaces.deepnets_fixing import fixed_rows
from netloom.spaces.deepnets_sampling import based, draw_base
from netloom.spaces.deepnets_splits import fixed_splits, is_fixed
from netloom.testing.spaces import check_space, renamed, with_one_more_step

DeepNets1M = nl.spaces.DeepNets1M
GENERATED = ("train", "val", "test", "wide", "deep", "dense", "bnfree", "search")


@pytest.mark.parametrize("split", ["train", "bnfree"])
def test_keeps_the_contract_of_spaces(split: str) -> None:
    check_space(DeepNets1M(split), count=6, distinct=6, built=1, pickles=split == "train")


@pytest.mark.parametrize("split", GENERATED)
def test_contains_its_samples_under_any_names(split: str) -> None:
    space = DeepNets1M(split)
    for i in range(4):
        graph = renamed(space.sample(np.random.default_rng([3, i])))
        assert space.contains(graph)
        assert not space.contains(with_one_more_step(graph))


def test_splits_do_not_contain_what_their_rules_exclude() -> None:
    deep = DeepNets1M("deep")
    graph = next(g for g in map(deep.__getitem__, range(9)) if deep.architecture(g).n_cells > 18)
    assert deep.contains(graph) and not DeepNets1M("test").contains(graph)
    free = DeepNets1M("bnfree")[0]
    assert DeepNets1M("bnfree").contains(free) and not DeepNets1M("search").contains(free)
    assert not DeepNets1M("test").contains(DeepNets1M("wide")[0])
    assert not DeepNets1M("test", num_classes=11).contains(DeepNets1M("test")[0])
    assert not DeepNets1M("test").contains(DeepNets1M.network("darts", 32, 20))  # norms that keep statistics are not drawn


def test_other_images_and_classes() -> None:
    space = DeepNets1M("train", num_classes=7, input_shape=(1, 8, 8))
    for i in range(3):
        graph = space.sample(np.random.default_rng([0, i]))
        assert [tuple(node.shape[1:]) for node in (*graph.inputs, *graph.outputs)] == [(1, 8, 8), (7,)]
    large = DeepNets1M("test", 1000, (3, 224, 224))
    assert large[5].outputs[0].shape[1:] == (1000,)
    assert large.architecture(5).genotype == DeepNets1M("test").architecture(5).genotype


def test_loads_by_spec() -> None:
    space = nl.spaces.load("deepnets1m?split=test")
    assert space == DeepNets1M("test") and nl.spaces.load(space.spec) == space
    assert nl.spaces.load("deepnets1m", num_classes=5, input_shape=(1, 32, 32)) == DeepNets1M("train", 5, (1, 32, 32))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": "tset"}, "did you mean 'test'"),
        ({"split": "quux"}, "expected train, val"),
        ({"num_classes": 0}, "num_classes"),
        ({"input_shape": (32, 32)}, "input_shape"),
    ],
)
def test_settings_that_make_no_space(settings: dict, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        DeepNets1M(**settings)


# -- fixed splits --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [5, None, (3, 32), "3x32x32", (0, 8, 8)])
def test_shapes_that_no_image_has(shape: object) -> None:
    with pytest.raises(SpaceError, match="expected .channels, height, width., each ≥ 1"):
        DeepNets1M(input_shape=shape)  # type: ignore[arg-type]
    assert DeepNets1M(input_shape=[1, 8, 8]).input_shape == (1, 8, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", ["a", 1.0, None, slice(2)])
def test_networks_are_counted_by_whole_numbers(index: object) -> None:
    with pytest.raises(TypeError, match="split test is indexed by a whole number"):
        DeepNets1M("test")[index]  # type: ignore[index]


def test_fixed_networks_can_be_drawn_again() -> None:
    made = fixed_rows(("val", "test", "wide", "bnfree"), limit=6)
    for split in ("val", "test", "wide", "bnfree"):
        rows = [i for i, name in enumerate(made["split"]) if name == split]
        fixed = fixed_splits()[split]
        assert tuple(made["architecture"][i] for i in rows) == fixed.architectures[:6]
        assert tuple(made["hash"][i] for i in rows) == fixed.hashes[:6]


@pytest.mark.slow
def test_all_fixed_networks_can_be_drawn_again() -> None:
    made = fixed_rows()
    assert tuple(made["hash"]) == tuple(hash for fixed in fixed_splits().values() for hash in fixed.hashes)


def test_fixed_networks_are_what_the_file_says() -> None:
    for split, fixed in fixed_splits().items():
        space = DeepNets1M(split)
        assert len(space) == len(fixed.hashes) and len(set(fixed.hashes)) == len(space)
        for index in (0, len(space) - 1):
            graph = space[index]
            assert (graph.hash, graph.num_params) == (fixed.hashes[index], fixed.num_params[index])
        with pytest.raises(IndexError, match="not"):
            space[len(space)]
        assert space[-1] == space[len(space) - 1]


def test_wide_networks_are_those_of_test_with_four_times_the_channels() -> None:
    wide, test = DeepNets1M("wide"), DeepNets1M("test")
    for i in (0, 50, 99):
        assert wide.architecture(i) == test.architecture(i).resized(C=4 * test.architecture(i).C)
    large = DeepNets1M("wide", 1000, (3, 224, 224))
    assert large.architecture(7).C == 2 * test.architecture(7).C


def test_evaluation_networks_have_the_fewest_channels_that_give_2_5_million_parameters() -> None:
    # Parameters of the published networks begin at 2.5 million (2.5005 to 2.528 in the splits).
    for split in ("val", "test", "deep", "dense", "bnfree"):
        num_params = np.array(fixed_splits()[split].num_params)
        assert 2_500_000 <= num_params.min() < 2_560_000
        a = DeepNets1M(split).architecture(int(num_params.argmin()))
        assert a.C % 16 == 0
        assert a.C == 16 or describe(a.resized(C=a.C - 16)).num_params < 2_500_000


def test_predefined() -> None:
    space = DeepNets1M("predefined")
    assert [graph.num_params for graph in space] == [23_520_842, 1_012_234]  # as published
    assert space.contains(space.sample(np.random.default_rng(1))) and not space.contains(DeepNets1M("test")[0])
    with pytest.raises(SpaceError, match="no cells"):
        space.architecture(0)
    assert str(space.genotype(1)) == "none~0 msa~1 > 2 / none~0 avg_pool_3x3~1 > 2"


# -- defects of the original generator -----------------------------------------------------------------------------------
def test_train_and_test_share_no_random_numbers() -> None:
    # The original seeds them alike: its first 500 networks to train on are its test networks.
    drawn = {}
    for split in ("train", "val", "test", "bnfree", "search"):
        drawn[split] = [draw_base(split, np.random.default_rng([0, i])) for i in range(15)]
    for split, others in drawn.items():
        for other, bases in drawn.items():
            if other != split:
                assert not {str(a.genotype) for a in others} & {str(a.genotype) for a in bases if a.genotype.steps > 1}


def test_nothing_that_is_trained_on_is_an_evaluation_network() -> None:
    base = based(DeepNets1M("test").architecture(3))
    assert is_fixed(base)
    swapped = nl.spaces.Genotype(
        tuple(pair for i in range(0, len(base.genotype.normal), 2) for pair in base.genotype.normal[i : i + 2][::-1]),
        base.genotype.normal_concat, base.genotype.reduce, base.genotype.reduce_concat,
    )  # fmt: skip
    assert swapped != base.genotype and is_fixed(base.resized(genotype=swapped))  # the same computation, written otherwise
    assert not is_fixed(base.resized(ks=3 if base.ks == 5 else 5))
    assert not any(is_fixed(based(DeepNets1M("train").architecture(i))) for i in range(20))


def test_evaluation_networks_have_channels_and_differ() -> None:
    # The original's metadata lack the channels of regenerated splits; its file has no check for repeats.
    hashes = [hash for name, fixed in fixed_splits().items() for hash in fixed.hashes]
    assert len(set(hashes)) == len(hashes) == 1400
    assert all('"C":' in text for fixed in fixed_splits().values() for text in fixed.architectures)


def test_attention_is_in_the_graph() -> None:
    # The original loses every softmax of attention on torch ≥ 2: 10 of the 129 nodes of its vision transformer.
    view = nl.ghn.hyper_graph(DeepNets1M("predefined")[1])
    assert sum(node.type == "msa" for node in view.nodes) == 10 and len(view.nodes) == 129
    assert (view.average_degree, view.average_path) == (2.294573643410853, 10.700096899224807)
