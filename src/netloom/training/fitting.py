"""Whether a network and a task fit each other, and how far a limit in multiply–adds reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import NetloomError, TrainingError
from ..graph.graph import Graph
from ..graph.tree import leaves
from ..ops import Edge
from .recipes import Recipe

if TYPE_CHECKING:
    from ..tasks import Task

#: Forward passes that a step costs: a backward pass computes two products for each of the forward one.
PASSES_PER_STEP = 3


def check_fit(network_or_graph: Any, task: Task) -> None:
    """`TrainingError` unless a graph takes one sample of ``task`` and gives one number for each class or target.

    Further outputs must be of that shape too: they are those of auxiliary heads. A module without a graph passes; what is
    wrong with it shows when it is called.
    """
    graph = _graph_of(network_or_graph)
    if graph is None:
        return
    shapes = [tuple(node.shape[1:]) for node in graph.inputs]
    if shapes != [task.input_shape]:
        have = ", ".join(map(_sizes, shapes)) or "nothing"
        raise TrainingError(f"the graph takes samples of {have}; task {task.name!r} has samples of {_sizes(task.input_shape)}")
    wanted = (task.num_outputs,)
    what = f"{task.num_outputs} logits" if task.num_classes else f"{task.num_outputs} value{'s' * (task.num_outputs > 1)}"
    for tree in (graph.result, graph.train_result):
        given = [tuple(graph.type_of(edge).shape[1:]) for _, edge in leaves(tree) if type(edge) is Edge]
        alone = given == [()] and wanted == (1,) and not task.num_classes
        if tree is not None and not alone and (not given or any(shape != wanted for shape in given)):
            further = " (further outputs, of auxiliary heads, must be alike)" if len(given) > 1 else ""
            raise TrainingError(f"the graph gives {given}; task {task.name!r} needs one output of {what}{further}")


def _graph_of(network_or_graph: Any) -> Graph | None:
    from ..building.network import Network

    if isinstance(network_or_graph, Network):
        return network_or_graph.graph
    return network_or_graph if isinstance(network_or_graph, Graph) else None


def _sizes(shape: tuple[Any, ...]) -> str:
    return "×".join(map(str, shape)) or "single numbers"


def step_limit(network: Any, task: Task, recipe: Recipe) -> int | None:
    """The steps that ``max_steps`` and ``max_multiply_adds`` allow, the fewer of the two; None where neither is set."""
    allowed = [] if recipe.max_steps is None else [recipe.max_steps]
    if recipe.max_multiply_adds is not None:
        samples = min(recipe.batch_size, len(task.train))
        allowed.append(max(1, int(recipe.max_multiply_adds // (multiply_adds(network, task) * samples * PASSES_PER_STEP))))
    return min(allowed, default=None)


def multiply_adds(network: Any, task: Task) -> int:
    """Multiply–adds of a forward pass of one sample; a module without a graph is traced for it."""
    graph = _graph_of(network)
    if graph is None:
        from ..tracing.trace import trace

        x, _ = next(iter(task.train.batches(2)))
        try:
            graph = trace(network, x, mode="eval")
        except NetloomError as error:
            raise TrainingError(
                f"max_multiply_adds needs the cost of the network, which cannot be traced ({error}); use max_steps"
            ) from None
    return max(1, graph.flops // 2)
