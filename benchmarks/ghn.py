"""Hypernetworks beside ppuda, in one run on one thread: CPU seconds (medians), and ratios.

    PYTHONPATH=/path/to/ppuda OMP_NUM_THREADS=1 python -m benchmarks.ghn [--repeats 7] [--networks 8]

Rows: the graph of ResNet-50 from the live model; its parameters given the graph, with and without gradients; all of
``ghn(model)``; and of a training step with eight networks, the hypernetwork's share (predicting, and its backward pass).
Without ppuda only our side is shown. ppuda is Knyazev et al.'s code; it needs einops, h5py and matplotlib.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

from benchmarks import torchvision_shim  # noqa: F401  (before torchvision)

import numpy as np  # isort: skip
import torch
import torchvision

import netloom as nl
from netloom.ghn.prediction import predict

SETTINGS = {"max_shape": (64, 64, 11, 11), "num_classes": 10, "weight_norm": True, "ve": True, "layernorm": True, "hid": 32}


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    """CPU seconds of one call, after one that does not count."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def show(what: str, ours: float, theirs: float | None) -> None:
    """One row."""
    beside = f"{theirs:10.4f}  {theirs / ours:5.1f} ×" if theirs is not None else f"{'-':>10}"
    print(f"{what:<58} {ours:10.4f} {beside}", flush=True)


def quiet(work: Callable[[], Any]) -> Callable[[], Any]:
    """The same without what it prints."""

    def called() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return work()

    return called


def peer() -> Any:
    """ppuda's modules, or None."""
    try:
        from ppuda.deepnets1m import genotypes, graph, net
        from ppuda.ghn.nn import GHN
    except ImportError as error:
        print(f"ppuda is not at hand ({error}); our side alone")
        return None
    return GHN, graph, net, genotypes


def resnet50(repeats: int, theirs: Any) -> None:
    """The rows of ResNet-50."""
    model, example = torchvision.models.resnet50(num_classes=10).eval(), torch.zeros(1, 3, 224, 224)
    ours = nl.ghn.GHN2(**SETTINGS).eval()
    graph = nl.trace(model, example, mode="eval")
    pair = (graph, nl.ghn.hyper_graph(graph))
    other: dict[str, Callable[[], Any]] = {}
    if theirs is not None:
        GHN, graphs, _, _ = theirs
        ghn = GHN(**SETTINGS).eval()
        with contextlib.redirect_stdout(io.StringIO()):
            batch = graphs.GraphBatch([graphs.Graph(model)])
        batch.to_device("cpu")
        other = {
            "graph": quiet(lambda: graphs.Graph(model)),
            "predict": quiet(lambda: ghn(model, batch)),
            "all": quiet(lambda: ghn(model)),
        }

    def beside(name: str) -> float | None:
        return median_seconds(other[name], repeats) if name in other else None

    show("graph of ResNet-50, 224 pixels", median_seconds(lambda: nl.ghn.hyper_graph(model, example), repeats), beside("graph"))
    show(
        "parameters of ResNet-50, graph given, gradients on",
        median_seconds(lambda: ours.predict(pair), repeats),
        beside("predict"),
    )
    with torch.no_grad():
        seconds = median_seconds(lambda: ours.predict(pair), repeats)
        show("parameters of ResNet-50, graph given, without gradients", seconds, beside("predict"))
    show("ghn(model): graph, parameters, filled", median_seconds(lambda: ours(model, example), repeats), beside("all"))


def meta_step(repeats: int, networks: int, theirs: Any) -> None:
    """The hypernetwork's share of a step: parameters of several networks, and gradients of all of them back through it."""
    space = nl.spaces.DeepNets1M("val")
    drawn = [space.draw(np.random.default_rng(seed)).resized(C=32, fc_dim=64, norm="bnorm") for seed in range(networks)]
    from netloom.spaces.deepnets_network import network

    graphs = [network(architecture) for architecture in drawn]
    ours = nl.ghn.GHN2(**SETTINGS)

    def our_share() -> None:
        predictions = predict(ours, graphs, warn=False)
        roots = [tensor for prediction in predictions for tensor in prediction.tensors.values()]
        torch.autograd.backward(roots, [torch.ones_like(root) for root in roots])

    other = None
    if theirs is not None:
        GHN, graph, net, genotypes = theirs
        ghn = GHN(**SETTINGS)

        def made(a: Any, light: bool) -> Any:
            kinds = {"normal": a.genotype.normal, "reduce": a.genotype.reduce}
            genotype = genotypes.Genotype(
                kinds["normal"], list(a.genotype.normal_concat), kinds["reduce"], list(a.genotype.reduce_concat)
            )
            return net.Network(
                a.C, a.num_classes, genotype, a.n_cells, a.ks, False, a.stem_pool, a.stem_type, norm="bnorm",
                preproc=a.preproc, C_mult=a.C_mult, fc_layers=a.fc_layers, fc_dim=a.fc_dim, glob_avg=a.glob_avg, light=light,
            )  # fmt: skip

        views = quiet(lambda: [graph.Graph(made(a, False).eval()) for a in drawn])()

        def their_share() -> None:
            nets = [made(a, True) for a in drawn]
            batch = graph.GraphBatch(views)
            batch.to_device("cpu")
            ghn(nets, batch)
            roots = [p for one in nets for p in one.parameters() if p is not None and p.grad_fn is not None]
            torch.autograd.backward(roots, [torch.ones_like(root) for root in roots])

        other = median_seconds(quiet(their_share), repeats)
    show(
        f"hypernetwork's share of a step, {networks} networks (graphs: ours included)",
        median_seconds(our_share, repeats),
        other,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--networks", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    theirs = peer()
    print(f"{'CPU seconds, medians':<58} {'netloom':>10} {'ppuda':>10}")
    resnet50(given.repeats, theirs)
    meta_step(max(1, given.repeats // 3), given.networks, theirs)


if __name__ == "__main__":
    main()
