"""The rows of the index: what is said of each network of a zoo."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..ops import operator
from ..training.loop import Epoch

if TYPE_CHECKING:
    import pyarrow

    from ..graph.graph import Graph
    from ..training.results import TrainingResult

#: Families of operators that count as layers: what transforms features by a matrix.
_LAYERS = frozenset({"linear", "conv", "recurrent", "attention", "matmul"})
#: Columns that hold a value for each epoch.
CURVE = ("train_loss", "train_score", "valid_loss", "score", "seconds")
#: Column → what it is, for the datasheet.
COLUMNS: dict[str, str] = {
    "network": "number of the network, from 0: the prefix of its tensors",
    "task": "number of the task that it learned",
    "task_hash": "SHA-256 of the data of that task",
    "model": "number of the model: networks of one model have one architecture and the same initial weights",
    "source": "the model whose architecture and initial weights this one has; itself, but for duplicates",
    "graph_hash": "canonical hash of the architecture",
    "num_params": "number of parameters",
    "flops": "floating point operations of one sample, 2 for each multiply–add",
    "depth": "number of layers: linear, convolutional, recurrent, attention",
    "widths": "outputs (features, channels) of these layers, in order",
    "ops": "operators in the order of execution",
    "seed": "of the initial weights and of the order of samples",
    "recipe_hash": "how it was trained, but for the number of epochs",
    "config_hash": "the configuration of the zoo: generator of models, tasks, recipe",
    "epochs": "epochs that it was to be trained for",
    "steps": "optimiser steps that were made",
    "status": "ok, diverged, out_of_memory, time_limit or failed",
    "error": "what went wrong where it failed",
    "seconds": "of training; in a stack of networks, this one's share",
    "train_loss": "mean loss over the batches of the last epoch, while they were learned from",
    "train_score": "score on these batches",
    "valid_loss": "loss on the validation part after the last epoch: mean squared error, or cross-entropy in nats",
    "score": "score on the validation part after the last epoch: R², or accuracy",
    "best_score": "highest score after any epoch",
    "best_epoch": "the first epoch with that score, from 1; 0 where there is none",
    "has_weights": "whether there are tensors; not where the network could not be built",
    "graph": "the architecture as netloom's JSON",
    **{f"curve_{name}": f"list: {name.replace('_', ' ')} after (or during) each epoch" for name in CURVE},
}


def schema() -> pyarrow.Schema:
    """The columns and their types."""
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(("network", "task", "model", "source", "num_params", "flops", "depth", "seed"), pa.int64()),
        **dict.fromkeys(("epochs", "steps", "best_epoch"), pa.int64()),
        **dict.fromkeys(("seconds", "train_loss", "train_score", "valid_loss", "score", "best_score"), pa.float64()),
        "widths": pa.list_(pa.int64()), "ops": pa.list_(pa.string()), "has_weights": pa.bool_(),
        **{f"curve_{name}": pa.list_(pa.float32()) for name in CURVE},
    }  # fmt: skip
    return pa.schema([pa.field(name, kinds.get(name, pa.string())) for name in COLUMNS])


def row_of(graph: Graph, result: TrainingResult, **given: Any) -> dict[str, Any]:
    """The row of a network: ``given`` are the columns that its plan decides."""
    last = result.curve[-1] if result.curve else None
    return {
        **given,
        "graph": graph.to_json(),
        "graph_hash": graph.hash,
        "num_params": graph.num_params,
        "flops": graph.flops,
        **layers_of(graph),
        "seed": result.seed,
        "steps": result.steps,
        "status": result.status,
        "error": result.error,
        "seconds": result.seconds,
        "score": result.score,
        "best_score": result.best_score,
        "best_epoch": result.best_epoch,
        **{name: math.nan if last is None else getattr(last, name) for name in ("train_loss", "train_score", "valid_loss")},
        **{f"curve_{name}": [getattr(point, name) for point in result.curve] for name in CURVE},
    }


def layers_of(graph: Graph) -> dict[str, Any]:
    """``depth``, ``widths`` and ``ops`` of a graph."""
    widths = [node.out_size for node in graph.nodes if node.weights and operator(node.op).family in _LAYERS]
    return {"depth": len(widths), "widths": widths, "ops": [node.op for node in graph.nodes if node.op != "input"]}


def table_of(rows: Sequence[Mapping[str, Any]]) -> pyarrow.Table:
    """Rows as a table."""
    import pyarrow as pa

    columns = schema()
    return pa.table([pa.array([row[field.name] for row in rows], field.type) for field in columns], schema=columns)


def curve_of(row: Mapping[str, Any]) -> tuple[Epoch, ...]:
    """The curve in a row."""
    values = zip(*(row[f"curve_{name}"] for name in CURVE))
    return tuple(Epoch(number, **dict(zip(CURVE, point))) for number, point in enumerate(values, 1))
