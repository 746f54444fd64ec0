"""Tables of architectures and their scores, as graphs: what `benchmarks.predictors` measures on.

Read from the folder in NETLOOM_DATA: ``nb201.parquet`` (NAS-Bench-201), ``nbgraph.parquet`` (NAS-Bench-Graph) and
``convnets_cifar10.parquet`` (random convolutional networks). Graphs are built as anyone would build them; predictors are told
nothing of the tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import netloom as nl
from netloom.graph.builder import Value


@dataclass(frozen=True, slots=True)
class Table:
    """Graphs, scores by column, and a class of each graph: those of one class are the same network."""

    graphs: list[Any]
    scores: dict[str, Any]
    classes: Any


def read(name: str) -> Any:
    """A Parquet file of the data folder as a DataFrame."""
    import pandas as pd

    folder = os.environ.get("NETLOOM_DATA")
    if not folder:
        raise SystemExit("set NETLOOM_DATA to the folder of the tables")
    return pd.read_parquet(Path(folder) / name)


def nb201() -> Table:
    """All 15,625 cells of NAS-Bench-201 (Dong and Yang 2020) in their networks."""
    table = read("nb201.parquet")
    space = nl.spaces.NASBench201()
    columns = ("c10_test200", "c100_test200", "in16_test200")
    scores = {name: table[name].to_numpy(dtype=np.float64) for name in columns}
    return Table([space.from_string(cell) for cell in table.cellstr], scores, table.iso_class.to_numpy())


def convnets() -> Table:
    """800 random convolutional networks, trained for 50 epochs on CIFAR-10."""
    table = read("convnets_cifar10.parquet")
    decode: Any = nl.encode.layers32.from_hex
    graphs = [decode(code, input_shape=(3, 32, 32), num_classes=10) for code in table.layers32]
    return Table(graphs, {"val_accuracy": table.val_accuracy.to_numpy(dtype=np.float64)}, table.layers32.to_numpy())


def nbgraph() -> Table:
    """The 26,206 networks of NAS-Bench-Graph (Qin et al. 2022): four graph layers, each on the input or an earlier one."""
    table = read("nbgraph.parquet")
    operators = table[[f"op{i}" for i in range(4)]].to_numpy()
    graphs = [graph_network(link, ops) for link, ops in zip(table.link.astype(str), operators)]
    scores = {name: table[f"{name}_test"].to_numpy(dtype=np.float64) for name in ("arxiv", "cs")}
    return Table(graphs, scores, table["hash"].to_numpy())


# -- networks on graphs ------------------------------------------------------------------------------------------------
NODES, WIDTH, CLASSES = 100, 64, 10


def graph_network(link: str, operators: Any) -> Any:
    """``link`` says what each layer reads: 0 the input, i the i-th layer; layers that none reads make the result together."""
    x, edges = nl.input(NODES, WIDTH, name="x"), nl.input(NODES, NODES, name="edges")
    degree = nl.sum(edges, dim=-1, keepdim=True)
    values = [nl.relu(nl.linear(x, WIDTH))]
    for source, operator in zip(link.zfill(4), operators):
        here = values[int(source)]
        layer = LAYERS[operator](here, edges, degree)
        values.append(layer if operator == "skip" else nl.relu(layer))
    read_by_some = {int(source) for source in link.zfill(4)}
    leaves = [value for i, value in enumerate(values) if i not in read_by_some]
    joined = nl.cat(leaves, dim=-1) if len(leaves) > 1 else leaves[0]
    return nl.Graph([x, edges], nl.linear(joined, CLASSES))


def _wide(h: Value) -> Value:
    return nl.linear(h, WIDTH)


def _normalised(h: Value, edges: Value, degree: Value) -> Value:
    """D^−½ A D^−½ h."""
    scale = nl.rsqrt(degree)
    return nl.mul(nl.matmul(edges, nl.mul(h, scale)), scale)


def _attention(h: Value, edges: Value, degree: Value) -> Value:
    """Velickovic et al. 2018, one head."""
    h = _wide(h)
    scores = nl.leaky_relu(nl.add(nl.linear(h, 1), nl.transpose(nl.linear(h, 1), -1, -2)), 0.2)
    return nl.matmul(nl.softmax(nl.add(scores, edges), dim=-1), h)


#: Kipf and Welling 2017; Xu et al. 2019; Defferrard et al. 2016; Hamilton et al. 2017; Bianchi et al. 2019; Morris et al. 2019.
LAYERS: dict[str, Callable[[Value, Value, Value], Value]] = {
    "gcn": lambda h, edges, degree: _normalised(_wide(h), edges, degree),
    "gat": _attention,
    "gin": lambda h, edges, degree: _wide(nl.relu(_wide(nl.add(h, nl.matmul(edges, h))))),
    "cheb": lambda h, edges, degree: nl.add(_wide(h), _wide(nl.sub(h, _normalised(h, edges, degree)))),
    "sage": lambda h, edges, degree: nl.add(_wide(h), _wide(nl.div(nl.matmul(edges, h), degree))),
    "arma": lambda h, edges, degree: nl.relu(nl.add(_normalised(_wide(h), edges, degree), _wide(h))),
    "graph": lambda h, edges, degree: nl.add(_wide(h), _wide(nl.matmul(edges, h))),
    "fc": lambda h, edges, degree: _wide(h),
    "skip": lambda h, edges, degree: h,
}

#: Name of a table → what reads it.
TABLES: dict[str, Callable[[], Table]] = {"nb201": nb201, "nbgraph": nbgraph, "convnets": convnets}
