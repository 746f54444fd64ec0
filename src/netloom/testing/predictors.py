"""The suite that holds a predictor to its contract: `check_predictor`, and each of its parts.

A part raises AssertionError that says what the predictor did and what was expected. ``make`` makes a predictor that is not
fitted; graphs are networks of the space of `spaces.Conv`, scored by their size and structure, unless others are given.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PredictorError
from ..graph.graph import Graph
from ..predict import Predictor, kendall_tau, load

Make = Callable[[], Predictor]


def check_predictor(
    make: Make, graphs: Sequence[Graph] | None = None, scores: Any = None, *, train: int = 40, least_tau: float = 0.2
) -> Predictor:
    """Every check, on ``train`` graphs to learn from and the others to predict; gives the fitted predictor.

    ``least_tau`` is the Kendall τ that predictions of graphs that were not seen must reach.

    >>> import netloom as nl
    >>> type(check_predictor(lambda: nl.predict.Trees(num_trees=20, boosted=False))).__name__
    'Trees'
    """
    if graphs is None:
        graphs, scores = examples(train + 30)
    values = np.asarray(scores, dtype=np.float64)
    check_refusals(make, graphs[:train], values[:train])
    predictor = check_predictions(make, graphs, values, train, least_tau)
    check_saved(predictor, graphs[train:])
    check_seeds(make, graphs, values, train)
    check_missing(make, graphs, values, train)
    check_foreign_files(predictor)
    return predictor


def examples(count: int, seed: int = 0) -> tuple[list[Graph], Any]:
    """Networks, and scores that depend on their structure and size, with noise."""
    from ..encode import features
    from ..spaces import Conv

    space, rng = Conv((3, 16, 16), 10, max_params=100_000), np.random.default_rng(seed)
    graphs = [space.sample(rng) for _ in range(count)]
    table = features(graphs)
    scores = table["params.log"] + table["live.conv3"] - 0.5 * table["live.dropout"]
    return graphs, scores.to_numpy() + rng.normal(0, 0.2, count)


def check_predictions(make: Make, graphs: Sequence[Graph], scores: Any, train: int, least_tau: float) -> Predictor:
    """``fit`` gives the predictor; predictions are finite arrays (N,), standard deviations not below 0, and of some use."""
    predictor = make()
    given = predictor.fit(list(graphs[:train]), scores[:train])
    assert given is predictor, f"fit gives {given!r}; expected the predictor itself"
    unseen = list(graphs[train:])
    found = predictor.predict(unseen)
    assert isinstance(found, np.ndarray) and found.shape == (len(unseen),), f"predict gives {found!r}; expected an array (N,)"
    assert np.isfinite(found).all(), f"predictions are not finite: {found}"
    mean, deviation = predictor.predict(unseen, std=True)
    assert np.allclose(mean, found), "predict gives other means with std=True"
    assert deviation.shape == found.shape and (deviation >= 0).all(), f"standard deviations are {deviation}; expected ≥ 0"
    assert predictor.predict([]).shape == (0,), "predict([]) is no empty array"
    alone = predictor.predict(unseen[:1])
    assert np.allclose(alone, found[:1], rtol=1e-4, atol=1e-6), (
        f"graph 0 alone is predicted {alone[0]}, among others {found[0]}"
    )
    backwards = predictor.predict(unseen[::-1])[::-1]
    assert np.allclose(backwards, found, rtol=1e-4, atol=1e-6), "predictions depend on the order of the graphs"
    tau = kendall_tau(found, scores[train:])
    assert tau >= least_tau, f"Kendall τ on graphs that were not seen is {tau:.2f}; expected {least_tau} or more"
    return predictor


def check_seeds(make: Make, graphs: Sequence[Graph], scores: Any, train: int) -> None:
    """Equal seeds give equal predictions, whatever the state of the global generators, which stay as they are."""
    kept: Any = np.random.get_state()
    first = make().fit(list(graphs[:train]), scores[:train], seed=3).predict(list(graphs[train:]))
    now: Any = np.random.get_state()
    assert kept[1].tobytes() == now[1].tobytes() and kept[2] == now[2], "fitting moves the global generator of numpy.random"
    second = make().fit(list(graphs[:train]), scores[:train], seed=3).predict(list(graphs[train:]))
    assert np.allclose(first, second), "two fits with one seed predict otherwise; take all randomness from the generator given"


def check_saved(predictor: Predictor, graphs: Sequence[Graph]) -> None:
    """A saved predictor is read back as the same kind, and predicts the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = predictor.save(Path(folder) / "predictor.safetensors")
        loaded = load(path)
    assert type(loaded) is type(predictor), f"saved as {type(predictor).__name__} it is read as {type(loaded).__name__}"
    ours, theirs = predictor.predict(list(graphs), std=True), loaded.predict(list(graphs), std=True)
    for what, a, b in zip(("predictions", "standard deviations"), ours, theirs):
        assert np.allclose(a, b, rtol=1e-5, atol=1e-7), f"{what} change by up to {np.abs(a - b).max():.3g} when saved and read"


def check_missing(make: Make, graphs: Sequence[Graph], scores: Any, train: int) -> None:
    """NaN scores are left out and counted."""
    holed = np.array(scores[:train])
    holed[::5] = np.nan
    kept = ~np.isnan(holed)
    predictor = make().fit(list(graphs[:train]), holed)
    assert predictor.dropped == (~kept).sum(), f"dropped is {predictor.dropped}; {(~kept).sum()} scores are NaN"
    other = make().fit([graph for graph, keep in zip(graphs, kept) if keep], holed[kept])
    same = np.allclose(predictor.predict(list(graphs[train:])), other.predict(list(graphs[train:])), rtol=1e-4)
    assert same, "graphs with NaN scores change what is learned of the others"


def check_refusals(make: Make, graphs: Sequence[Graph], scores: Any) -> None:
    """What teaches nothing, or cannot be predicted, is refused with a `PredictorError`."""
    from ..spaces import MLP

    count = len(graphs)
    refused("predicting before fit", lambda: make().predict(list(graphs)))
    refused("2 graphs", lambda: make().fit(list(graphs[:2]), scores[:2]))
    refused("equal scores", lambda: make().fit(list(graphs), np.ones(count)))
    refused("scores that are all NaN", lambda: make().fit(list(graphs), np.full(count, np.nan)))
    refused("an infinite score", lambda: make().fit(list(graphs), np.r_[np.inf, scores[1:]]))
    refused("fewer scores than graphs", lambda: make().fit(list(graphs), scores[1:]))
    refused("a string for a graph", lambda: make().fit(["graph", *graphs[1:]], scores))  # type: ignore[list-item]
    other = MLP(8, 2).sample(np.random.default_rng(0))
    fitted = make().fit(list(graphs), scores)
    refused("a graph with other inputs", lambda: fitted.predict([other]))


def refused(what: str, call: Callable[[], Any]) -> None:
    """``call`` raises `PredictorError`."""
    try:
        call()
    except PredictorError:
        return
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__} ({error}); expected a PredictorError") from error
    raise AssertionError(f"{what} is not refused; expected a PredictorError")


class _Exploit:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code of a file was executed')",)


def check_foreign_files(predictor: Predictor) -> None:
    """Files that are damaged or made to do harm are refused; nothing in them is executed."""
    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictor.safetensors"
        predictor.save(path)
        whole = path.read_bytes()
        for what, content in [
            ("an empty file", b""), ("a pickle", pickle.dumps(_Exploit())), ("half a file", whole[: len(whole) // 2]),
        ]:  # fmt: skip
            path.write_bytes(content)
            refused(what, lambda: load(path))
        from ..predict.saving import VERSION

        bare = {"predictor": VERSION, "kind": predictor.kind, "types": [], "fidelity": None, "state": {}}
        for what, document in [("a file of a later version", {"predictor": 99}), ("a file without arrays", bare)]:
            save_file({"targets.values": np.ones(2)}, path, metadata={"netloom": json.dumps(document)})
            refused(what, lambda: load(path))
