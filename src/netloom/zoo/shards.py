"""Making one shard of a zoo: draw its networks, train them, write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, ZooError
from ..training.many import train_many
from .files import write_part
from .plan import Plan
from .records import row_of, table_of
from .stored_tasks import StoredTasks

if TYPE_CHECKING:
    from ..graph.graph import Graph
    from ..tasks.task import Task
    from ..training.results import TrainingResult

#: Told of each network that is through.
Tell = Callable[["TrainingResult"], object]


def make_shard(folder: Path, plan: Plan, number: int, tasks: StoredTasks, tell: Tell = lambda result: None) -> None:
    """Train the networks of a shard and write it; the same plan gives the same networks, whoever makes them and when."""
    networks = plan.shard(number)
    wanted = {plan.task_of(network) for network in networks}
    read = {task: tasks[task] for task in sorted(wanted)}
    graphs = [draw(plan, network, read[plan.task_of(network)]) for network in networks]
    given = [read[plan.task_of(network)] for network in networks]
    recipes = [replace(plan.config.recipe, epochs=plan.epochs_of(network)) for network in networks]
    results = train_many(
        graphs, given, recipes, [plan.seed_of(network) for network in networks],
        on_result=lambda place, result: tell(result),
    )  # fmt: skip
    rows, tensors, config_hash = [], {}, plan.config.hash
    for network, graph, task, recipe, result in zip(networks, graphs, given, recipes, results):
        state = state_of(graph, result, plan.config.kept)
        tensors.update({f"{network}/{key}": tensor for key, tensor in state.items()})
        model = plan.model_of(network)
        rows.append(row_of(
            graph, result, network=network, task=plan.task_of(network), task_hash=task.hash, model=model,
            source=plan.source_of(model), epochs=recipe.epochs, recipe_hash=recipe.hash, config_hash=config_hash,
            has_weights=bool(state),
        ))  # fmt: skip
    write_part(folder, "weights", number, tensors, table_of(rows))


def draw(plan: Plan, network: int, task: Task) -> Graph:
    """The architecture of a network for its task."""
    space = plan.config.space_for(task.input_shape, task.num_outputs)
    model = plan.model_of(network)
    try:
        return space.sample(plan.architecture_rng(model))
    except NetloomError:
        raise
    except Exception as error:  # a space of the user's own
        raise ZooError(f"zoo: model {model} of {plan.config.space!r}: {type(error).__name__}: {error}") from error


def state_of(graph: Graph, result: TrainingResult, kept: str) -> dict[str, Any]:
    """The tensors to keep, by key, what is tied once; empty where there is no network."""
    state: Mapping[str, Any] | None = result.best_state if kept == "best" else None
    if state is None:
        if hasattr(result, "final_state"):
            state = result.final_state
        elif result.network is not None:
            state = result.network.state_dict()
        else:
            return {}
    return {
        key: state[key].detach().cpu().contiguous().clone()
        for key, entry in graph.tensors.items()
        if entry.alias_of is None and key in state
    }
