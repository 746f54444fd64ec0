"""Netformer: how much of a network's function survives 64 numbers, and what the latents are good for. On unseen tasks.

    python -m benchmarks.netformer zoo                              a zoo of 6,000 networks, each of a task of its own
    python -m benchmarks.netformer train [--seed S] [--name NAME] [--steps N] [--set FIELD=VALUE …]
    python -m benchmarks.netformer ablations [--steps 400] [--only NAME …]     what each part gives, on 2,000 networks
    python -m benchmarks.netformer uses [--seed S] [--name NAME]    interpolation, suggest, evolution, real tables
    python -m benchmarks.netformer quality                          scores of networks from weights alone
    python -m benchmarks.netformer table                            what was measured, from results/netformer.jsonl

Work goes to the folder $NETLOOM_BENCH (default /tmp/netloom-netformer), one thread each (OMP_NUM_THREADS=1), CPU seconds. A
tenth of the tasks is held out by seed and never learned from; all measures of `train` are on their networks, on inputs that
no training saw, decoded without a look at the originals.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netloom as nl
from netloom.netformer import Family, Netformer, Population
from netloom.netformer.fitting import population_of, split
from netloom.netformer.measures import functional_r2

WORK = Path(os.environ.get("NETLOOM_BENCH", "/tmp/netloom-netformer"))
RESULTS = Path(__file__).parent / "results" / "netformer.jsonl"
STEPS = 300


def record(**found: Any) -> None:
    """Print a result and keep it."""
    print(json.dumps(found), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(found) + "\n")


def make_zoo() -> None:
    start = time.process_time()
    nl.zoo.make(WORK / "zoo", models=6000, tasks=6000, seed=0)
    record(row="zoo", networks=6000, cpu_seconds=round(time.process_time() - start, 1))


def population(meta_tasks: int | None = 0) -> Population:
    """The networks of the zoo, read once."""
    kept = WORK / f"population-{meta_tasks}.pt"
    if not kept.exists():
        found, _ = population_of(WORK / "zoo", Family(), meta_tasks=meta_tasks)
        torch.save(found, kept)
    return torch.load(kept, weights_only=False)  # written by this script


def held_out(seed: int, meta_tasks: int | None = 0) -> tuple[Population, Population]:
    return split(population(meta_tasks), 0.1, 1000 + seed)


# -- training --------------------------------------------------------------------------------------------------------------
def train(given: argparse.Namespace) -> None:
    settings = dict(part.split("=", 1) for part in given.set)
    values: dict[str, Any] = {key: _value(text) for key, text in settings.items()}
    learned, unseen = held_out(given.seed, None if values.get("meta") else 0)
    start = time.process_time()
    former = Netformer(seed=given.seed, **values).fit(learned, steps=given.steps, held_out=0.03)
    spent = time.process_time() - start
    former.save(WORK / f"{given.name}-{given.seed}.safetensors")
    report = former.evaluate(unseen).as_dict()
    with torch.no_grad():
        sampled = _sampled(former, unseen)
    refined = former.evaluate(unseen, refine=50).median if given.refine else None
    record(
        row="train", name=given.name, seed=given.seed, steps=given.steps, settings=settings, cpu_seconds=round(spent, 1),
        **{key: round(value, 4) for key, value in report.items()}, **sampled, refined=refined,
    )  # fmt: skip


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _sampled(former: Netformer, unseen: Population) -> dict[str, float]:
    """Nats of the function latents, and median R² where they are drawn from their posterior."""
    core = former.core
    nats, r2 = [], []
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, core.family.max_inputs, generator=generator)
    for depth, places in unseen.by_depth():
        part = unseen[places]
        seen, level, _ = core.seen(part, depth, core.probes_for(len(part)), tokens=True)
        mean, log_variance = core.encoder(seen)
        nats.append(0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(1))
        drawn = mean + torch.randn(mean.shape, generator=generator) * (log_variance / 2).exp()
        structure = core.structure.encode(part.structures)[0]
        decoded = core.decode(torch.cat([drawn, core.scaled_level(level), structure], 1), part.structures)
        r2.append(functional_r2(decoded.outputs(x, core.family), part.outputs(x, core.family)))
    return {"nats": round(float(torch.cat(nats).mean()), 1), "sampled_median": round(float(torch.cat(r2).median()), 4)}


#: What is switched off or put elsewhere, from the quick variant.
_QUICK = {"encoder": "answers", "decoder": "mlp"}
ABLATIONS: dict[str, dict[str, Any]] = {
    "quick variant": _QUICK,
    "no symmetries": {**_QUICK, "symmetries": False},
    "output weights decoded, not solved": {**_QUICK, "readout": "decoded"},
    "weight loss alone, sensitivity-weighted": {**_QUICK, "readout": "decoded", "behaviour": 0, "answers": 0, "weights": 1},
    "weight loss beside behaviour": {**_QUICK, "weights": 0.1},
    "no loss on answers": {**_QUICK, "answers": 0},
    "no structure loss": {**_QUICK, "structure": 0},
    "neuron tokens alone": {"encoder": "tokens", "decoder": "mlp"},
    "tokens and answers": {"encoder": "both", "decoder": "mlp"},
    "transformer decoder": {"encoder": "answers", "decoder": "transformer"},
    "meta-features at each token": {"encoder": "both", "decoder": "mlp", "meta": "token"},
    "meta-features at the embedding": {"encoder": "both", "decoder": "mlp", "meta": "embedding"},
}


def ablations(given: argparse.Namespace) -> None:
    """Each with the same networks, steps and seed; a tenth of 2,000 tasks unseen."""
    kept = WORK / "population-ablations.pt"
    if not kept.exists():
        found, _ = population_of(nl.zoo.Zoo(WORK / "zoo")[:2000], Family())
        torch.save(found, WORK / "population-ablations.part")
        (WORK / "population-ablations.part").rename(kept)
    learned, unseen = split(torch.load(kept, weights_only=False), 0.1, 1000)
    for name in given.only or ABLATIONS:
        start = time.process_time()
        former = Netformer(seed=0, **ABLATIONS[name]).fit(learned, steps=given.steps, held_out=0.05)
        report = former.evaluate(unseen).as_dict()
        record(
            row="ablation", name=name, steps=given.steps, cpu_seconds=round(time.process_time() - start, 1),
            **{key: round(value, 4) for key, value in report.items()},
        )  # fmt: skip


# -- what it is good for -----------------------------------------------------------------------------------------------------
def graph_of(*widths: int, activation: str = "tanh", inputs: int = 8, outputs: int = 1) -> nl.Graph:
    x = y = nl.input(inputs)
    for width in widths:
        y = getattr(nl, activation)(nl.linear(y, width))
    return nl.Graph(x, nl.linear(y, outputs))


def losses(networks: list[nl.Network], data: list[tuple[torch.Tensor, ...]], steps: int = STEPS) -> np.ndarray:
    """Validation loss (networks, steps + 1) before and after each of ``steps`` full-batch steps of Adam at 1e-2."""
    curves = []
    for network, (x, y, valid_x, valid_y) in zip(networks, data):
        network.train()
        optimizer = torch.optim.Adam(network.parameters(), 1e-2)
        loss_of: Callable[..., torch.Tensor] = (
            torch.nn.functional.mse_loss if y.is_floating_point() else torch.nn.functional.cross_entropy
        )
        curve = []
        for _ in range(steps + 1):
            with torch.no_grad():
                curve.append(float(loss_of(network(valid_x), valid_y)))
            loss = loss_of(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        curves.append(curve)
    return np.array(curves)


def steps_to(curves: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Steps until each curve is at its target; STEPS + 1 where it never is."""
    there = curves <= target[:, None]
    return np.where(there.any(1), there.argmax(1), STEPS + 1)


def least_squares(graph: nl.Graph, x: torch.Tensor, y: torch.Tensor, seed: int) -> nl.Network:
    """A network of random hidden layers whose output weights are fitted."""
    from netloom.netformer.suggesting import ridge_readout

    network = nl.build(graph, seed=seed)
    keys = list(network.state_dict())
    captured: list[torch.Tensor] = []
    state = network.state_dict()
    with torch.no_grad():
        h = x
        for weight, bias in zip(keys[:-2:2], keys[1:-2:2]):
            h = torch.tanh(h @ (2 * state[weight]).T + state[bias])
            state[weight].mul_(2)
        captured.append(h)
        w, b, _ = ridge_readout(h.double().numpy(), y.double().numpy())
        state[keys[-2]].copy_(torch.from_numpy(w.T))
        state[keys[-1]].copy_(torch.from_numpy(b))
    return network


def midpoints(former: Netformer, unseen: Population) -> None:
    """R² of the decoded midpoint of two networks' latents to the mean of their functions."""
    count = min(200, len(unseen) // 2)
    a, b = unseen[torch.arange(count)], unseen[torch.arange(count, 2 * count)]
    x = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        middle = (former.encode(a) + former.encode(b)) / 2
        found = former.decode_population(middle, a.structures).outputs(x, former.family)
        wanted = (a.outputs(x, former.family) + b.outputs(x, former.family)) / 2
    record(row="midpoint", median=round(float(functional_r2(found, wanted).median()), 4))


def suggestions(former: Netformer, seed: int) -> None:
    """Twenty unseen tasks, 8→12→12→1 tanh: steps to 1.1 × the best of random initialisation."""
    graph = graph_of(12, 12)
    tasks = [nl.tasks.load(f"regression:{900_000_000 + 1000 * seed + i}") for i in range(20)]
    data = [(t.train.x, t.train.y, t.valid.x, t.valid.y) for t in tasks]
    random = losses([nl.build(graph, seed=i) for i in range(20)], data)
    target = 1.1 * random.min(1)
    base = float(np.median(steps_to(random, target)))
    starts = {
        "random": [nl.build(graph, seed=i) for i in range(20)],
        "random hidden + least squares": [least_squares(graph, d[0], d[1], i) for i, d in enumerate(data)],
        "suggest": [former.suggest(d[0], d[1], graph) for d in data],
        "suggest, readout of the surrogate": [former.suggest(d[0], d[1], graph, fit_readout=False) for d in data],
        "suggest, 40 latent steps": [former.suggest(d[0], d[1], graph, refine=40) for d in data],
    }
    for name, networks in starts.items():
        curves = losses(networks, data)
        steps = float(np.median(steps_to(curves, target)))
        marks = {f"loss_{t}": round(float(np.median(curves[:, t])), 4) for t in (0, 10, 30, 100, 300)}
        record(row="suggest", start=name, seed=seed, steps=steps, share=round(steps / base, 3), **marks)


def real_tables(former: Netformer) -> None:
    """scikit-learn's tables, 5 splits: steps to the loss that random initialisation reaches at its best (× 1.1)."""
    from sklearn import datasets
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    digits = datasets.load_digits(return_X_y=True)
    tables = {
        "diabetes": datasets.load_diabetes(return_X_y=True),
        "breast_cancer": datasets.load_breast_cancer(return_X_y=True),
        "wine": datasets.load_wine(return_X_y=True),
        "digits-PCA": (PCA(8, random_state=0).fit_transform(digits[0]), digits[1]),
    }
    for name, (x, y) in tables.items():
        shares = []
        for seed in range(5):
            order = np.random.default_rng(seed).permutation(len(x))
            held = order[: len(x) // 5]
            rest = order[len(x) // 5 :]
            scaled = StandardScaler().fit(x[rest]).transform(x)
            real = name == "diabetes"
            targets: Any = ((y - y[rest].mean()) / y[rest].std())[:, None].astype(np.float32) if real else y.astype(np.int64)
            tensors = [torch.from_numpy(a) for a in (scaled.astype(np.float32), targets)]
            data = (tensors[0][rest], tensors[1][rest], tensors[0][held], tensors[1][held])
            graph = graph_of(12, 12, inputs=x.shape[1], outputs=1 if real else len(np.unique(y)))
            random = losses([nl.build(graph, seed=seed)], [data])
            target = 1.1 * random.min(1)
            mine = losses([former.suggest(data[0], data[1], graph)], [data])
            shares.append(float(steps_to(mine, target)[0] / max(1, steps_to(random, target)[0])))
        record(row="table", table=name, median_share=round(statistics.median(shares), 3), shares=[round(s, 3) for s in shares])


def evolution(former: Netformer, learned: Population, seed: int, evaluations: int = 300) -> None:
    """Twenty unseen tasks: CMA-ES in the latents against random latents and the zoo's networks, at equal evaluations."""
    core, family = former.core, former.family
    rng = np.random.default_rng(seed)
    wins = {"random": 0, "zoo": 0}
    for i in range(20):
        task = nl.tasks.load(f"regression:{910_000_000 + 1000 * seed + i}")
        x, y = task.train.x, task.train.y

        def fitness(vectors: np.ndarray, x: torch.Tensor = x, y: torch.Tensor = y) -> np.ndarray:
            with torch.no_grad():
                outputs = core.decode(torch.from_numpy(vectors)).outputs(x, family)
            return -((outputs - y) ** 2).mean((1, 2)).numpy()

        space = nl.netformer.Latent(former)
        found = space.evolve_vectors(fitness, evaluations=evaluations, seed=seed, population=20)
        random = fitness(rng.standard_normal((evaluations, former.size)).astype(np.float32)).max()
        chosen = learned[torch.from_numpy(rng.choice(len(learned), evaluations, replace=False))]
        zoo = float((-((chosen.outputs(x, family) - y) ** 2).mean((1, 2))).max())
        best = float(found.fitness[found.best, 0])
        wins["random"] += int(best > random)
        wins["zoo"] += int(best > zoo)
    record(row="evolution", seed=seed, evaluations=evaluations, wins_over_random=wins["random"], wins_over_zoo=wins["zoo"])


def uses(given: argparse.Namespace) -> None:
    former = nl.netformer.load(WORK / f"{given.name}-{given.seed}.safetensors")
    learned, unseen = held_out(given.seed)
    midpoints(former, unseen)
    suggestions(former, given.seed)
    evolution(former, learned, given.seed)
    real_tables(former)


# -- quality from weights ----------------------------------------------------------------------------------------------------
def quality(given: argparse.Namespace) -> None:
    from netloom.netformer.quality import WeightPredictor
    from netloom.predict.agreement import kendall_tau

    learned, unseen = held_out(given.seed)
    former = nl.netformer.load(WORK / f"{given.name}-{given.seed}.safetensors")
    for features in ("statistics", "all"):
        predictor = WeightPredictor(former, features=features).fit(learned, learned.scores.numpy())
        tau = kendall_tau(predictor.predict(unseen), unseen.scores.numpy())
        record(row="quality", features=features, seed=given.seed, tau=round(tau, 4))


def table() -> None:
    """The results, the newest of each row, as Markdown."""
    rows: dict[str, dict[str, Any]] = {}
    for line in RESULTS.read_text().splitlines():
        found = json.loads(line)
        key = " ".join(str(found.get(k, "")) for k in ("row", "name", "start", "table", "features", "seed"))
        rows[key] = found
    for key, found in sorted(rows.items()):
        shown = ", ".join(f"{k} {v}" for k, v in found.items() if k not in ("row", "name", "seed", "start", "table"))
        print(f"| {key} | {shown} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=("zoo", "train", "ablations", "uses", "quality", "table"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="main")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--refine", action="store_true")
    parser.add_argument("--only", action="append", metavar="NAME", help="of the ablations, this one (may be repeated)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    WORK.mkdir(parents=True, exist_ok=True)
    actions: dict[str, Callable[[], None]] = {
        "zoo": make_zoo, "train": lambda: train(given), "uses": lambda: uses(given),
        "ablations": lambda: ablations(given), "quality": lambda: quality(given),
        "table": table,
    }  # fmt: skip
    actions[given.row]()


if __name__ == "__main__":
    main()
