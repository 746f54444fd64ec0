"""`TokenGenerator`: what it writes is new, valid, in the space and within the caps, and scores what it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import netloom as nl
from netloom.errors import GeneratorError, NetloomError
from netloom.generate import TokenGenerator
from netloom.generate.recognising import recognised

SMALL: dict[str, Any] = {
    "steps": 50, "unlabelled": 50, "width": 16, "layers": 1, "predictor": nl.predict.Trees(30, boosted=False)
}  # fmt: skip


def perceptrons(choose: Any) -> nl.Graph:
    x = value = nl.input(16)
    for i in range(choose.integer("depth", 1, 3)):
        value = nl.relu(nl.linear(value, choose(f"width{i}", [8, 16, 32, 64])))
    return nl.Graph(x, nl.linear(value, 4))


def residual(rng: np.random.Generator) -> nl.Graph:
    """A network of no space of netloom's."""
    x = nl.input(3, 8, 8)
    y = nl.conv2d(x, int(rng.choice([8, 12])), kernel=3, padding=1)
    for _ in range(int(rng.integers(1, 4))):
        y = nl.add(nl.hardswish(nl.group_norm(nl.conv2d(y, y.shape[1], kernel=3, padding=1), 4)), y)
    return nl.Graph(x, nl.linear(nl.flatten(y), 5))


SPACES: dict[str, Callable[[], Any]] = {
    "mlp": lambda: nl.spaces.MLP(16, 4, widths=(8, 16, 32, 64), layers=(1, 2, 3), skip=0.3, norm=(None, "layer")),
    "conv": lambda: nl.spaces.Conv((1, 8, 8), 10, conv_num=2, lin_num=2),
    "nasbench201": lambda: nl.spaces.NASBench201(C=4, N=1, input_shape=(3, 8, 8)),
    "function": lambda: nl.spaces.from_function(perceptrons),
}


def drawn(space: Any, count: int, seed: int = 0) -> list[nl.Graph]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def size_scores(graphs: list[nl.Graph], best: float = 8.0) -> list[float]:
    return [-abs(float(np.log(graph.num_params)) - best) for graph in graphs]


@pytest.fixture(scope="module")
def conv() -> tuple[Any, list[nl.Graph], TokenGenerator]:
    space = SPACES["conv"]()
    graphs = drawn(space, 120)
    return space, graphs, TokenGenerator(space, unlabelled=200, layers=1).fit(graphs, size_scores(graphs))


# -- every space ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(SPACES))
def test_samples_are_new_members_within_the_caps(name: str) -> None:
    space = SPACES[name]()
    graphs = drawn(space, 40)
    most = int(np.median([graph.num_params for graph in graphs]))
    flops = int(np.median([graph.flops for graph in graphs])) * 2
    generator = TokenGenerator(space, **SMALL).fit(graphs, size_scores(graphs))
    found = generator.draw(20, max_params=most, max_flops=flops, screen=2)
    assert (
        not found.is_short
        and len({graph.hash for graph in found.graphs} | {graph.hash for graph in graphs})
        == len({graph.hash for graph in graphs}) + 20
    )
    for graph in found.graphs:
        assert space.contains(graph) and graph.num_params <= most and graph.flops <= flops
        nl.build(graph)(torch.zeros(2, *graph.inputs[0].shape[1:]))
    assert found.predicted.tolist() == sorted(found.predicted, reverse=True)
    assert found.tried >= 20 and 0 < found.acceptance_rate <= 1


@pytest.mark.parametrize("name", ["mlp", "conv", "nasbench201"])
def test_the_space_is_recognised(name: str) -> None:
    space = SPACES[name]()
    graphs = drawn(space, 12)
    found = recognised(graphs)
    assert type(found) is type(space) and all(map(found.contains, graphs))  # type: ignore[union-attr]
    samples = TokenGenerator(**SMALL).fit(graphs, size_scores(graphs)).sample(5)
    assert all(map(found.contains, samples))  # type: ignore[union-attr]


def test_networks_of_no_space_are_written_in_the_notation_that_covers_them() -> None:
    rng = np.random.default_rng(0)
    graphs = [residual(rng) for _ in range(30)]
    assert recognised(graphs) is None
    generator = TokenGenerator(**SMALL).fit(graphs, size_scores(graphs))
    assert {node.op for graph in graphs for node in graph} >= {
        node.op for graph in generator.sample(10, max_params=20_000) for node in graph
    }
    with pytest.raises(GeneratorError, match="no network keeps the caps"):
        generator.sample(1, max_params=10)
    # More operators than before: what was learned begins anew, in a larger notation.
    x = nl.input(3, 8, 8)
    other = [nl.Graph(x, nl.linear(nl.flatten(nl.gelu(nl.conv2d(x, out, kernel=1))), 5)) for out in (4, 5, 6, 7)]
    generator.refit(other, size_scores(other))
    assert len(generator.learned.known) == 34 and "gelu" in generator.learned.family.notation.vocabulary


# -- wishes --------------------------------------------------------------------------------------------------------------
def test_what_is_asked_for_is_what_comes(conv: Any) -> None:
    """Without the predictor's choice: the transformer alone writes better networks where better ones are asked for."""
    _, graphs, generator = conv
    learned = np.quantile(size_scores(graphs), [0.1, 0.5, 0.95])
    means = [np.mean(size_scores(generator.sample(60, score=float(score), screen=1, seed=1))) for score in learned]
    assert means[0] < means[1] < means[2] and means[2] > np.mean(size_scores(graphs)) + 0.3
    best = np.mean(size_scores(generator.sample(40)))
    assert best > np.quantile(size_scores(graphs), 0.8)
    middle = size_scores(generator.sample(40, score=float(learned[1])))
    assert abs(np.mean(middle) - learned[1]) < 0.4


def test_seeds_and_generators(conv: Any) -> None:
    space, graphs, _ = conv
    graphs = graphs[:20]
    generator = TokenGenerator(space, **SMALL).fit(graphs, size_scores(graphs))

    def hashes(**wishes: Any) -> list[str]:
        return [graph.hash for graph in generator.sample(6, screen=2, **wishes)]

    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert hashes(seed=1) == hashes(seed=1) == hashes(seed=np.random.default_rng(1)) != hashes(seed=2)
    again = TokenGenerator(space, **SMALL).fit(graphs, size_scores(graphs))
    assert [graph.hash for graph in again.sample(6, screen=2, seed=1)] == hashes(seed=1)
    assert torch.equal(before, torch.get_rng_state())


def test_exclusion_and_repeats(conv: Any) -> None:
    _, graphs, generator = conv
    first = generator.sample(10, seed=3)
    other = generator.sample(10, seed=3, exclude=[first[0], *[graph.hash for graph in first[1:]]])
    assert not {graph.hash for graph in first} & {graph.hash for graph in other + graphs}
    free = generator.draw(300, new=False, distinct=False, screen=1, temperature=0.3)
    assert free.tried == 300 and len({graph.hash for graph in free.graphs}) < 300


def test_wishes_that_cannot_be_met(conv: Any) -> None:
    _, _, generator = conv
    with pytest.raises(GeneratorError, match="no network keeps the caps.*raise the cap"):
        generator.sample(3, max_params=10)
    cells = SPACES["nasbench201"]()
    graphs = drawn(cells, 20)
    small = TokenGenerator(cells, **SMALL).fit(graphs, size_scores(graphs))
    with pytest.raises(
        GeneratorError, match=r"0 of 3 networks came of 40 sequences: .*40 exceed max_params = 10 .*raise the caps"
    ):
        small.sample(3, max_params=10, most_attempts=40, distinct=False)
    few = nl.spaces.MLP(4, 2, widths=(2, 3), layers=(1,), activations=("relu", "tanh", "gelu"))
    known = [few.sample(np.random.default_rng(i)) for i in range(40)]
    tiny = TokenGenerator(few, **SMALL).fit(known, size_scores(known))
    with pytest.raises(GeneratorError, match=r"gave a network that was there or is excluded; .*raise the temperature"):
        tiny.sample(50, new=False)
    assert tiny.draw(50, new=False).is_short
    for wishes, message in (
        ({"n": 0}, "n = 0; expected an integer ≥ 1"), ({"n": 1, "score": float("nan")}, "score = nan"),
        ({"n": 1, "score": "high"}, "expected a number"), ({"n": 1, "temperature": 0}, "temperature = 0"),
        ({"n": 1, "max_params": -1}, "max_params = -1"), ({"n": 1, "screen": 0}, "screen = 0"),
    ):  # fmt: skip
        with pytest.raises(GeneratorError, match=message):
            generator.sample(**wishes)


# -- learning ------------------------------------------------------------------------------------------------------------
def test_refit_goes_on(conv: Any) -> None:
    space, graphs, _ = conv
    generator = TokenGenerator(space, **SMALL).fit(graphs[:40], size_scores(graphs[:40]))
    before = generator.learned.model.tokens.weight.detach().clone()
    generator.refit(graphs[40:60], size_scores(graphs[40:60]))
    assert len(generator.learned.known) == 60 and len(generator.learned.conditions.targets.values) > 40
    after = generator.learned.model.tokens.weight
    if after.shape == before.shape:
        # From where it stood: nearer to what it was than a fresh one is.
        fresh = TokenGenerator(space, **SMALL).fit(graphs[:60], size_scores(graphs[:60]), seed=1).learned.model.tokens.weight
        assert (after - before).abs().mean() < (fresh - before).abs().mean() / 2
    assert len(generator.sample(5)) == 5


def test_without_a_predictor(conv: Any) -> None:
    space, graphs, _ = conv
    generator = TokenGenerator(space, **SMALL | {"predictor": None}).fit(graphs, size_scores(graphs))
    found = generator.draw(5)
    assert np.isnan(found.predicted).all() and len(found.graphs) == 5
    with pytest.raises(GeneratorError, match="screen = 3 needs a predictor"):
        generator.sample(5, screen=3)
    with pytest.raises(GeneratorError, match="no predictor"):
        generator.predict(graphs)


def test_labels_that_teach_nothing(conv: Any) -> None:
    space, graphs, _ = conv
    scores = size_scores(graphs)
    make = lambda: TokenGenerator(space, **SMALL)  # noqa: E731
    holed = [float("nan"), *scores[1:]]
    assert make().fit(graphs[:20], holed[:20]).dropped == 1
    for given, values, message in (
        (graphs[:3], scores[:3], "at least 5"), (graphs, [1.0] * 120, "equal scores"), (graphs, scores[1:], "expected .120,"),
        (graphs, [float("inf"), *scores[1:]], "score 0 is infinite"), (["graph", *graphs[1:]], scores, "item 0 is a str"),
        (graphs, ["a"] * 120, "must be 120 numbers"), (graphs[:6], [float("nan")] * 4 + scores[4:6], "4 scores are NaN"),
    ):  # fmt: skip
        with pytest.raises(GeneratorError, match=message):
            make().fit(given, values)
    with pytest.raises(GeneratorError, match="not been fitted"):
        make().sample(1)
    outsider = nl.spaces.MLP(8, 2).sample(np.random.default_rng(0))
    with pytest.raises(GeneratorError, match="graph 120 is not of the generator's space"):
        make().fit([*graphs, outsider], [*scores, 0.0])
    with pytest.raises(GeneratorError, match="did you mean 'Ensemble'"):
        TokenGenerator(predictor="Ensembles")
    with pytest.raises(GeneratorError, match="no multiple of heads"):
        TokenGenerator(width=30, heads=4)
    with pytest.raises(GeneratorError, match=r"graph 0 has \d+ tokens; expected 3 at most"):
        TokenGenerator(space, max_tokens=3).fit(graphs[:10], scores[:10])
    with pytest.raises(NetloomError):
        TokenGenerator("no-such-space").fit(graphs, scores)
