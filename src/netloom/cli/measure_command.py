"""``netloom measure``."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from typing import Any

from ..errors import MeasureError
from .networks import is_graph_file, load_graph, load_model
from .output import writer


def run(given: argparse.Namespace) -> int:
    """Measure a network and print what was found."""
    from ..building.network import Network, build
    from ..measure import activation_bytes, latency, latency_by_node, memory

    if given.proxies is not None and given.task is None:
        raise MeasureError("--proxies needs a batch of data; give --task, such as --task digits")
    if is_graph_file(given.network):
        network: Any = build(load_graph(given.network, given.input), seed=given.seed)
    else:
        model, inputs = load_model(given.network, given.input)
        network = model if isinstance(model, Network) else _traced(model, inputs)
    graph = network.graph
    shared = {"batch": given.batch, "train": given.train, "device": given.device}
    speed = {**shared, "threads": given.threads, "repeats": given.repeats, "warm_up": given.warm_up}
    time, space = latency(network, **speed), memory(network, **shared)
    nodes = latency_by_node(network, **speed) if given.by_node else None
    found: dict[str, Any] = {
        "network": given.network, "hash": graph.hash, "num_params": graph.num_params, "flops": graph.flops,
        "activation_bytes": activation_bytes(graph, batch=given.batch, train=given.train),
        "latency": {**asdict(time), "margin": time.margin if math.isfinite(time.margin) else None},
        "memory": {**asdict(space), "total_bytes": space.total_bytes},
    }  # fmt: skip
    if given.task is not None:
        found["proxies"] = _proxies(network, given)
    with writer(given.out) as write:
        if given.json:
            if nodes is not None:
                found["nodes"] = nodes.to_dict("records")
            write(json.dumps(found, ensure_ascii=False, allow_nan=False))
            return 0
        write(_table(found, time, space))
        if nodes is not None:
            write("\n" + _nodes_table(nodes))
    return 0


def _traced(model: Any, inputs: Any) -> Any:
    from ..building.network import build
    from ..tracing.trace import trace

    return build(trace(model, inputs), weights=model)


def _proxies(network: Any, given: argparse.Namespace) -> dict[str, float | None]:
    from ..measure import proxies
    from ..tasks import load

    names = None if given.proxies is None else [name.strip() for name in given.proxies.split(",") if name.strip()]
    task = load(given.task, data_dir=given.data_dir)
    found = proxies(network, task, names, seed=given.seed, batch_size=given.proxy_batch)
    # JSON has no nan.
    return {name: None if math.isnan(value) else value for name, value in found.items()}


def _table(found: dict[str, Any], time: Any, space: Any) -> str:
    from ..measure.peaks import shown_bytes
    from ..measure.timing import shown_seconds

    low, high = (shown_seconds(seconds) for seconds in time.quartiles)
    what = "forward and backward" if time.train else "forward"
    rows = [
        ("network", found["network"]),
        ("parameters", f"{found['num_params']:,}"),
        ("FLOPs", f"{found['flops']:,} a sample"),
        ("measured", f"{what}, batch {time.batch}, {time.threads} thread{'s' * (time.threads != 1)}, {time.device}"),
        ("machine", time.machine),
        ("latency", f"{shown_seconds(time.seconds)}, median of {time.repeats} calls, {time.shown_margin}"),
        ("quartiles", f"{low} to {high}, fastest {shown_seconds(time.fastest_seconds)}"),
        ("throughput", f"{time.samples_per_second:,.4g} samples a second"),
        ("peak memory", f"{shown_bytes(space.peak_bytes)} of inner values and output"),
        ("", f"+ {shown_bytes(space.parameter_bytes)} parameters, {shown_bytes(space.buffer_bytes)} buffers, "
             f"{shown_bytes(space.input_bytes)} inputs = {shown_bytes(space.total_bytes)}"),
    ]  # fmt: skip
    for i, (name, value) in enumerate(found.get("proxies", {}).items()):
        shown = "not defined, or no number" if value is None else f"{value:.6g}"
        rows.append(("proxies" if i == 0 else "", f"{name:<10} {shown}"))
    return "\n".join(f"{name:<12} {value}" for name, value in rows)


def _nodes_table(nodes: Any) -> str:
    from ..measure.timing import shown_seconds

    rows = [("node", "kind", "seconds", "share")]
    ranked = nodes.sort_values("seconds", ascending=False, kind="stable")
    rows += [(row.node, row.kind, shown_seconds(row.seconds), f"{row.share:.1%}") for row in ranked.itertuples()]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c.rjust(widths[2])}  {d.rjust(widths[3])}" for a, b, c, d in rows
    )
