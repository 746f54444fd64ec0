"""`train_many`: many small networks at once, each as if it were trained alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TrainingError
from ..graph.graph import Graph
from .fit import check_seed, device_for, loaded_task, train
from .fitting import check_fit, step_limit
from .many_chains import Chain, chain_of
from .many_groups import grouped
from .many_progress import ManyDisplay
from .many_training import train_stack
from .recipes import Recipe
from .recipes import recipe as find_recipe
from .results import TrainingResult

if TYPE_CHECKING:
    from ..tasks.task import Task


@dataclass(frozen=True, slots=True)
class Member:
    """One of the networks: where it stands in what was given, what it is and what it is trained on."""

    place: int
    given: Any
    graph: Graph | None
    task: Task
    recipe: Recipe
    seed: int


def train_many(
    graphs: Iterable[Any],
    tasks: Any,
    recipe: str | Recipe | Mapping[str, Any] | Sequence[Any] = "express",
    seed: int | Sequence[int] = 0,
    *,
    epochs: int | None = None,
    dtype: Any = None,
    device: Any = None,
    checkpoint: str | Path | None = None,
    restore_best: bool = False,
    on_result: Callable[[int, TrainingResult], object] | None = None,
    progress: bool = False,
) -> list[TrainingResult]:
    """Train many networks, each as `nl.train` would alone; small perceptrons are computed together, many times faster.

    ``tasks`` is one task for all, or one for each network; ``recipe`` and ``seed`` likewise. With one seed for all, a graph
    that comes several times for the same task gets ``seed``, ``seed + 1``, … in turn, for equal ones would come out equal
    (`TrainingResult.seed` has the one that was used). Networks (modules) are trained in place.

    Chains of linear layers and elementwise activations are stacked, in any mixture of widths, depths, activations, biases,
    input sizes and tasks in memory: same initial weights, batches, updates, limits and results as `nl.train`'s, up to rounding.
    All else (other operators; recipes with Muon, augmentation or autocast) is trained by `nl.train`, one after the other, and
    `TrainingResult.remarks` says why. A network that diverges disturbs no other. ``seconds`` of a stacked one are its share.

    ``dtype`` ("float32", "float64") is that of weights and data, by default the network's own. ``checkpoint`` names a folder
    where states are kept, so that the same call goes on where it was killed. ``restore_best`` gives networks the weights of
    their best epochs. ``on_result(place, result)`` is told of each network when it is through; ``progress`` shows how many are.

    Raises `TrainingError` where recipe, a network and its task do not fit each other.

    >>> import netloom as nl, numpy as np
    >>> space = nl.spaces.MLP(8, 1, layers=(1, 2), widths=(8, 16))
    >>> rng = np.random.default_rng(0)
    >>> task = nl.tasks.load("regression:0")
    >>> results = nl.train_many([space.sample(rng) for _ in range(20)], task, epochs=5)
    >>> len(results), {result.status for result in results}
    (20, {'ok'})
    """
    members = _members(graphs, tasks, recipe, seed, epochs)
    if not members:
        return []
    target, wanted = device_for(device, members[0].given, members[0].task), _dtype(dtype)
    found: dict[int, TrainingResult] = {}
    with ManyDisplay(progress, len(members)) as display:

        def through(place: int, result: TrainingResult) -> None:
            if restore_best and result.best_state is not None:
                result.restore_best()
            found[place] = result
            display.on_result(result)
            if on_result is not None:
                on_result(place, result)

        stacks, alone = sorted_out(members, wanted)
        for number, (stack, chains) in enumerate(stacks):
            folder = None if checkpoint is None else Path(checkpoint) / f"stack-{number:05d}"
            results = train_stack(stack, chains, wanted, target, folder, display.on_epoch)
            if results is None:
                alone += [(member, "the networks could not be computed together") for member in stack]
                continue
            for member, result in zip(stack, results):
                through(member.place, result)
        for member, reason in sorted(alone, key=lambda pair: pair[0].place):
            through(member.place, _alone(member, reason, wanted, target, checkpoint))
    return [found[member.place] for member in members]


def sorted_out(members: Sequence[Member], dtype: Any = None) -> tuple[list[Any], list[tuple[Member, str]]]:
    """The stacks to train, as pairs of members and their chains; and those that are trained alone, with the reason."""
    alone: list[tuple[Member, str]] = []
    alike: dict[Any, list[tuple[Member, Chain]]] = {}
    chains: dict[int, Chain | str] = {}
    for member in members:
        reason = _why_alone(member)
        chain: Chain | str = reason
        if not reason and member.graph is not None:
            chain = chains.setdefault(id(member.graph), "") or chain_of(member.graph)
            chains[id(member.graph)] = chain
        if isinstance(chain, str):
            alone.append((member, chain))
        else:
            alike.setdefault(_key(member, chain), []).append((member, chain))
    stacks = []
    for pairs in alike.values():
        itemsize = 8 if str(dtype or pairs[0][1].dtype).endswith("64") else 4
        for places in grouped([chain for _, chain in pairs], pairs[0][0].recipe.batch_size, itemsize):
            stacks.append(([pairs[place][0] for place in places], [pairs[place][1] for place in places]))
    return stacks, alone


def _key(member: Member, chain: Chain) -> tuple[Any, ...]:
    """What networks must agree in to take the same steps."""
    task = member.task
    sizes = (len(task.train), len(task.valid), task.num_classes, task.num_outputs)
    limit = step_limit(member.graph, task, member.recipe)
    return (member.recipe, len(chain.layers), chain.dtype, sizes, limit)


def _why_alone(member: Member) -> str:
    """What keeps a network from being stacked, whatever it computes; empty where nothing does."""
    import torch

    recipe, given = member.recipe, member.given
    if member.graph is None:
        return f"a {type(given).__name__} has no graph; trace it first"
    if recipe.optimizer == "muon":
        return "Muon makes each matrix orthogonal"
    if recipe.precision not in ("float32", "auto"):
        return f"precision {recipe.precision} is that of an autocast region"
    if recipe.crop or recipe.flip or recipe.cutout:
        return "the recipe augments images"
    if not all(isinstance(getattr(part, "x", None), torch.Tensor) for part in (member.task.train, member.task.valid)):
        return "the task is streamed"
    if member.graph.outputs[0].shape[1:] != (member.task.num_outputs,):
        return "its answers have no axis of targets"
    if isinstance(given, torch.nn.Module) and not all(weight.requires_grad for weight in given.parameters()):
        return "some of its weights are not learned"
    return ""


def _alone(member: Member, reason: str, dtype: Any, device: Any, checkpoint: str | Path | None) -> TrainingResult:
    """What `nl.train` makes of one network."""
    import torch

    from ..building.network import build
    from .many_training import cast_task

    given, task = member.given, member.task
    if dtype is not None:
        task = cast_task(task, dtype)
        given = (build(given, seed=member.seed) if isinstance(given, Graph) else given).to(dtype)
    elif isinstance(given, torch.nn.Module):
        given.train()
    folder = None if checkpoint is None else Path(checkpoint) / f"alone-{member.place:05d}"
    result = train(given, task, member.recipe, member.seed, device=device, checkpoint=folder)
    return replace(result, remarks=(*result.remarks, f"trained alone: {reason}"))


# -- what was given ----------------------------------------------------------------------------------------------------
def _members(networks: Iterable[Any], tasks: Any, recipe: Any, seed: Any, epochs: int | None) -> list[Member]:
    """One `Member` for each network, everything checked."""
    import torch

    given = list(networks)
    for place, one in enumerate(given):
        if not isinstance(one, Graph | torch.nn.Module):
            raise TrainingError(f"network {place}: nl.train_many takes Graphs or nn.Modules, not a {type(one).__name__}")
    graphs = [one if isinstance(one, Graph) else getattr(one, "graph", None) for one in given]
    loaded = _loaded_tasks(tasks, len(given))
    recipes = _each("recipe", recipe, len(given), lambda one: find_recipe(one, epochs), (str, Recipe, Mapping))
    seeds = seeds_of(graphs, loaded, seed)
    members = [Member(place, *values) for place, values in enumerate(zip(given, graphs, loaded, recipes, seeds))]
    fitting: set[tuple[int, int]] = set()
    for member in members:
        pair = (id(member.given), id(member.task))
        if pair not in fitting:
            try:
                check_fit(member.given, member.task)
            except TrainingError as error:
                raise TrainingError(f"network {member.place}: {error}") from None
            fitting.add(pair)
    return members


def seeds_of(graphs: Sequence[Graph | None], tasks: Sequence[Task], seed: int | Sequence[int]) -> list[int]:
    """The seed of each network: those given, or ``seed`` and what follows it where a graph comes again for the same task."""
    if not isinstance(seed, int) or isinstance(seed, bool):
        return _each("seed", seed, len(graphs), _checked_seed, (int,))
    _checked_seed(seed)
    times: Counter[Any] = Counter()
    seeds = []
    for graph, task in zip(graphs, tasks):
        key = (None if graph is None else graph.hash, id(task))
        seeds.append(seed + times[key])
        times[key] += 1
    return seeds


def _checked_seed(seed: Any) -> int:
    seed = seed.item() if hasattr(seed, "item") else seed
    check_seed(seed)
    return int(seed)


def _loaded_tasks(tasks: Any, count: int) -> list[Task]:
    specs: dict[str, Task] = {}

    def loaded(task: Any) -> Task:
        if not isinstance(task, str):
            return loaded_task(task)
        if task not in specs:
            specs[task] = loaded_task(task)
        return specs[task]

    from ..tasks.task import Task

    return _each("tasks", tasks, count, loaded, (str, Task))


def _each(name: str, given: Any, count: int, read: Callable[[Any], Any], single: tuple[type, ...]) -> list[Any]:
    """One value for each network, from one for all or a sequence."""
    if isinstance(given, single):
        return [read(given)] * count
    try:
        values = list(given)
    except TypeError:
        return [read(given)] * count  # which says what is wrong with it
    if len(values) != count:
        raise TrainingError(f"{name}: {len(values)} for {count} networks; give one for all, or one for each")
    return [read(value) for value in values]


def _dtype(dtype: Any) -> Any:
    import torch

    if dtype is None:
        return None
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found not in (torch.float32, torch.float64):
        raise TrainingError(f"dtype = {dtype!r}; expected 'float32' or 'float64'")
    return found

