"""``netloom netformer``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import FormatError, NetformerError
from ..tasks.tables.reading import FORMATS
from .networks import load_graph
from .output import refuse_unwritable


def run(given: argparse.Namespace) -> int:
    """Do what the action says."""
    actions: dict[str, Callable[[argparse.Namespace], None]] = {
        "train": _train, "show": _show, "evaluate": _evaluate, "encode": _encode, "sample": _sample, "suggest": _suggest,
        "evolve": _evolve,
    }  # fmt: skip
    actions[given.action](given)
    return 0


def _train(given: argparse.Namespace) -> None:
    from ..netformer import Netformer

    refuse_unwritable(given.out, ".safetensors")
    refuse_unwritable(given.plot, ".svg", ".png")
    settings = _config(given.config)
    for name in ("latents", "encoder", "decoder", "meta", "kl", "max_inputs", "max_outputs", "max_layers", "max_width"):
        if getattr(given, name) is not None:
            settings[name] = getattr(given, name)
    former = Netformer(seed=given.seed, **settings)
    try:
        former.fit(given.zoo, steps=given.steps, checkpoint=given.checkpoint, progress=not given.quiet)
    except KeyboardInterrupt:
        if given.checkpoint and Path(given.checkpoint).is_dir() and any(Path(given.checkpoint).iterdir()):
            sys.stderr.write(f"\nnetloom netformer: stopped; the same command goes on in {given.checkpoint}\n")
        raise
    former.save(given.out)
    if given.plot is not None and former.curve:
        from ..training.curve_drawing import draw_curve

        draw_curve(former.curve, given.plot, score_name="median R²", title=f"{given.zoo}: held-out networks")
    held = former.about["held_out_median_r2"]
    print(f"{given.out}: learned {former.about['networks']:,} networks in {former.about['steps']:,} steps, "
          f"median R² of held-out networks {'unknown' if held is None else held}")  # fmt: skip


def _config(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"--config {path!r} cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise FormatError(f"--config {path!r} holds no JSON object with settings")
    if "seed" in found:
        raise FormatError(f"--config {path!r}: the seed is none of the settings; give it as --seed {found['seed']}")
    return found


def _show(given: argparse.Namespace) -> None:
    from ..netformer import describe, load

    print(describe(load(given.model)).rstrip())


def _networks(former: Any, path: str) -> Any:
    """A zoo's networks, or a saved network."""
    if path.endswith(".safetensors"):
        from ..building.files import load_network

        return former.read([load_network(path)])
    return former.population(path)


def _evaluate(given: argparse.Namespace) -> None:
    from ..netformer import load

    former = load(given.model)
    report = former.evaluate(_networks(former, given.zoo), refine=given.refine).as_dict()
    if given.json:
        print(json.dumps({name: None if value != value else value for name, value in report.items()}, indent=2))
        return
    for name, value in report.items():
        print(f"{name.replace('_', ' '):<20} {value:7.4f}")


def _encode(given: argparse.Namespace) -> None:
    import numpy as np

    from ..netformer import load

    refuse_unwritable(given.out, ".npy", ".csv")
    former = load(given.model)
    population = _networks(former, given.zoo)
    latents = former.encode(population)
    try:
        if given.out.endswith(".npy"):
            np.save(given.out, latents)
        else:
            numbers = population.numbers.numpy()[:, None]
            header = ",".join(["network", *(f"z{place}" for place in range(latents.shape[1]))])
            rows = np.concatenate([numbers, latents], axis=1)
            np.savetxt(given.out, rows, delimiter=",", header=header, comments="", fmt=["%d"] + ["%.7g"] * latents.shape[1])
    except OSError as error:
        raise FormatError(f"cannot write {given.out!r}: {error.strerror or error}") from None
    print(f"{given.out}: {len(latents):,} networks, {latents.shape[1]} latents")


def _sample(given: argparse.Namespace) -> None:
    from ..netformer import load

    meta = None
    if given.target is not None and given.data is None:
        raise NetformerError(f"--target {given.target!r} names a column of --data, which is not given")
    if given.data is not None:
        from ..tasks.metafeatures import get_meta_features

        meta = dict(get_meta_features(*_data(given.data, given.target)))
    networks = load(given.model).sample(given.n, meta, seed=given.seed, prior=given.prior)
    if given.out is None:
        print("\n\n".join(network.graph.to_text().rstrip() for network in networks))
        return
    folder = Path(given.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"cannot write {given.out!r}: {error.strerror or error}; give a folder") from None
    for number, network in enumerate(networks):
        network.save(folder / f"network-{number:04d}.safetensors")
    print(f"{given.out}: {len(networks)} networks")


def _data(path: str, target: str | None) -> tuple[Any, Any]:
    """Samples and targets of a table or of a task's train part."""
    if path.lower().endswith(FORMATS):
        from ..tasks.tables import from_frame
        from ..tasks.tables.reading import read_table

        if target is None:
            raise NetformerError(f"{path!r} is a table; --target names the column to predict")
        task = from_frame(read_table(path), target, valid=0.2, test=0)
    else:
        from ..tasks import load as load_task

        if target is not None and Path(path).exists():
            raise NetformerError(f"{path!r} is no table; expected a file that ends with {', '.join(FORMATS)}")
        if target is not None:
            raise NetformerError(f"{path!r} is a task, which has its target; --target is for tables ({', '.join(FORMATS)})")
        task = load_task(path)
    part: Any = task.train
    return part.x.flatten(1).numpy(), part.y.numpy()


def _suggest(given: argparse.Namespace) -> None:
    from ..netformer import load

    refuse_unwritable(given.out, ".safetensors")
    graph = None if given.graph is None else load_graph(given.graph)
    x, y = _data(given.data, given.target)
    network = load(given.model).suggest(x, y, graph, surrogate=given.surrogate, refine=given.refine, seed=given.seed)
    _told(given, network, x, y)


def _evolve(given: argparse.Namespace) -> None:
    from ..netformer import Latent, load
    from ..netformer.suggesting import best_in_latents

    refuse_unwritable(given.out, ".safetensors")
    x, y = _data(given.data, given.target)
    former = load(given.model)
    network = best_in_latents(
        Latent(former), x, y, strategy=given.strategy, evaluations=given.evaluations, seed=given.seed,
        progress=lambda done, best: sys.stderr.write(f"\r{done} networks, score {best:.4f} ") if sys.stderr.isatty() else None,
    )  # fmt: skip
    _told(given, network, x, y)


def _told(given: argparse.Namespace, network: Any, x: Any, y: Any) -> None:
    """What the network is, how well it does before training, and where it is written."""
    import torch

    with torch.no_grad():
        outputs = network(torch.from_numpy(x))
    labels = torch.from_numpy(y)
    if labels.is_floating_point():
        score = 1 - float(((outputs - labels.reshape(len(labels), -1)) ** 2).mean() / labels.var(0, unbiased=False).mean())
        words = f"R² {score:.4f}"
    else:
        words = f"accuracy {float((outputs.argmax(1) == labels).float().mean()):.4f}"
    print(network.graph.to_text().rstrip())
    print(f"on the {len(labels)} training rows, before any training: {words}")
    if given.out is not None:
        network.save(given.out)
        print(f"written to {given.out}; train it further with: netloom train {given.out} --task …")
