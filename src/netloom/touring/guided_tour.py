"""`tour`: one task from a drawn network to a report, and what every part of netloom was worth on the way."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SearchError
from ..searching import Budget
from ..searching.start import start_of
from .ablation import STEPS, Ablation, ablate, store_of
from .stages import Predicted, Rival, Sized, drawn_network, grown_and_pruned, predicted_weights, rivals

if TYPE_CHECKING:
    import os

    import torch

    from ..graph.graph import Graph
    from ..tasks import Task

#: Shares of a budget in time: training, growing and pruning one network; all searches; the best network at length.
_SIZES, _SEARCHES, _FINAL = 0.06, 0.76, 0.1
#: Seconds for each of those where the budget is no time.
_SECONDS = 5.0
#: The share of a search that its training may take as the first network trains, and the bounds of epochs.
_TRAINING, _EPOCHS = 0.25, (30, 400)
_SPACES = {3: "conv?max_macs={macs}", 1: "mlp?widths=4,8,16,32,64&activations=relu,tanh,sigmoid"}
#: Multiply–adds of the images' networks: so many in all of an epoch, within these bounds.
_MACS_AN_EPOCH, _MACS = 2e8, (50_000, 5_000_000)


@dataclass(frozen=True, slots=True)
class Tour:
    """What a tour came to. ``page`` is the HTML page, ``report`` that of the best search whose networks have ancestors.

    ``best_step`` is the search that found the best network.

    ``score`` is that of the best network on the validation part, ``test_score`` on the test part, which was read for it and its
    ``rivals`` once; ``correlation`` the rank correlation of predictions with what came out, over ``predictions`` of them.
    """

    task: Task
    graph: Graph
    predicted: tuple[Predicted, ...]
    sized: tuple[Sized, ...]
    ablation: Ablation
    best_step: str
    best_graph: Graph
    score: float
    test_score: float
    rivals: tuple[Rival, ...]
    predictions: int
    correlation: float | None
    seconds: float
    page: Path
    report: Path

    def numbers(self) -> dict[str, Any]:
        """Everything that is a number or a word, for programs."""
        return {
            "task": self.task.name, "network": self.graph.hash, "num_params": self.graph.num_params,
            "predicted_weights": [asdict(each) for each in self.predicted],
            "grown_and_pruned": [asdict(each) for each in self.sized],
            "ablation": {
                step: {"validation": self.ablation.final(step), "gain": self.ablation.gain(step)}
                for step in self.ablation.steps
            },
            "left_out": self.ablation.left_out, "best_step": self.best_step, "best_network": self.best_graph.hash,
            "validation_score": self.score, "test_score": self.test_score,
            "rivals": {rival.name: rival.score for rival in self.rivals},
            "predictions": self.predictions, "rank_correlation": self.correlation, "seconds": round(self.seconds, 1),
        }  # fmt: skip


def tour(
    task: Task | str = "digits",
    model: Graph | torch.nn.Module | None = None,
    *,
    budget: str | int = "5m",
    directory: str | os.PathLike[str] = "tour",
    seed: int = 0,
    recipe: Any = None,
    progress: bool | str = False,
    tell: Callable[[str], object] = lambda text: None,
) -> Tour:
    """Show on one task what netloom does, and write ``directory``/index.html.

    The ``model`` (or a sample of a space) is drawn, gets weights that nobody trained, is trained, grown and pruned; then
    searches of equal budget follow, each with one part more than the one before, and all starting from that network. The best
    network of all is trained further and meets classifiers that need no search on the test part, which is read for that
    alone. ``budget`` is a time for the whole, or a number of candidates for each search. Whatever stops the tour, the same call
    goes on with the searches; another task, network or budget begins anew. ``tell`` hears a line for each stage.

    Raises `SearchError` for a task whose samples are neither images nor rows of a table, and for a model that does not fit.
    """
    from ..tasks import load

    loaded = load(task) if isinstance(task, str) else task
    begun, folder, limits = time.perf_counter(), Path(directory), Budget.of(budget)
    spec = _space_of(loaded)
    graph = _first(model, loaded, spec, seed)
    tell(f"1 of 5  a network of {graph.num_params:,} parameters for {loaded!r}")
    if limits.seconds is None or limits.seconds > 20:
        predicted = predicted_weights(graph, loaded, seed)
    else:
        predicted = []
    for each in predicted:
        tell(f"2 of 5  {words_of(each)}")
    settings = recipe if recipe is not None else {"epochs": 5}
    allowed = _SECONDS if limits.seconds is None else _SIZES * limits.seconds / 2
    longer = recipe if recipe is not None else "express"
    trained, epoch_seconds = _trained(model if model is not None else graph, loaded, longer, seed, allowed)
    sized = grown_and_pruned(trained, loaded, longer, allowed, seed)
    for size in sized:
        change = "" if size.change is None else f", outputs change by {size.change:.2g} at most"
        tell(f"3 of 5  {size.what}: {size.num_params:,} parameters, {loaded.score_name} {size.score:.4f}{change}")
    steps = [step for step in STEPS if not step.without(loaded)]
    each_budget = str(limits)
    if limits.seconds is not None:
        each_budget = _equal(_SEARCHES * limits.seconds / len(steps), epoch_seconds)
    runs, each_budget = _runs_folder(folder, loaded, graph, str(limits), each_budget, seed)
    tell(f"4 of 5  {len(steps)} searches, {each_budget} each: {', '.join(step.name for step in steps)}")
    ablation = ablate(
        loaded, spec, runs, budget=each_budget, seeds=[seed], recipe=settings, progress=progress, start=graph,
        tell=lambda text: tell(f"4 of 5  {text}"),
    )  # fmt: skip
    return _ended(
        Finish(loaded, graph, tuple(predicted), tuple(sized), ablation, runs, folder, seed), limits, begun, tell
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finish:
    """What a tour has when its searches are done."""

    task: Task
    graph: Graph
    predicted: tuple[Predicted, ...]
    sized: tuple[Sized, ...]
    ablation: Ablation
    runs: Path
    folder: Path
    seed: int


def _ended(so_far: Finish, limits: Budget, begun: float, tell: Callable[[str], object]) -> Tour:
    """The best network at length, the test part, the report and the page."""
    from ..reporting import report
    from ..searching import resume
    from ..training import evaluate, train
    from .tour_page import write_page

    task, ablation = so_far.task, so_far.ablation
    best = max(ablation.runs, key=lambda run: run.best[-1])
    step = next(step for step in STEPS if step.name == best.step)
    evolving = {each.name for each in STEPS if "mutation" in each.propose}
    shown = max((run for run in ablation.runs if run.step in evolving), key=lambda run: run.best[-1], default=best)
    with store_of(so_far.runs, step, so_far.seed) as store:
        result = resume(best.run_id, store, task=task, progress=False)
        incumbent = result.best
        network, score = incumbent.network, incumbent.score
        seconds = _SECONDS if limits.seconds is None else _FINAL * limits.seconds
        from ..building.network import build

        further = build(incumbent.graph, weights=network.state_dict())
        longer = train(further, task, "thorough", so_far.seed, max_seconds=seconds)
        if longer.score > score:
            network, score = longer.network, float(longer.score)
    with store_of(so_far.runs, next(each for each in STEPS if each.name == shown.step), so_far.seed) as store:
        page = report(store, so_far.folder / "report", run=shown.run_id)  # only what evolves has a lineage to play
    test_score = float(evaluate(network, task.test).score)
    others = rivals(task)
    tell(f"5 of 5  the best network: {score:.4f} on the validation part, {test_score:.4f} on the test part, read once")
    for rival in others:
        tell(f"5 of 5  {rival.name}: {rival.score:.4f}")
    count, correlation = _predictions(ablation, so_far.runs, so_far.seed)
    network.save(so_far.folder / "best.safetensors")
    made = Tour(
        task, so_far.graph, so_far.predicted, so_far.sized, ablation, best.step, incumbent.graph, score, test_score,
        tuple(others), count, correlation, time.perf_counter() - begun, so_far.folder / "index.html", page,
    )  # fmt: skip
    write_page(made)
    (so_far.folder / "tour.json").write_text(json.dumps(made.numbers(), indent=1), encoding="utf-8")
    return made


def _first(model: Any, task: Task, spec: str, seed: int) -> Graph:
    """The network that the tour is about."""
    from ..spaces import load

    if model is None:
        return drawn_network(load(spec, input_shape=task.input_shape, num_classes=task.num_outputs), seed)
    found = start_of(model, task)
    if found is None:
        raise SearchError(f"a tour needs a model or a Graph, not {model!r:.80}")
    return found.graph


def _equal(seconds: float, epoch_seconds: float) -> str:
    """A budget in epochs that a search is done with in so many seconds, and those seconds.

    Epochs of training are what is equal: what parts compute beside it stands in the table. Beyond toys, where training takes
    minutes, that is next to nothing; here it is about as much again.
    """
    epochs = min(max(int(_TRAINING * seconds / max(epoch_seconds, 1e-3)) // 10 * 10, _EPOCHS[0]), _EPOCHS[1])
    return f"{epochs} epochs, {max(1.0, round(seconds, 1)):g}s"


def _trained(model: Any, task: Task, recipe: Any, seed: int, seconds: float) -> tuple[Any, float]:
    """A network of netloom with the model's weights, trained for a while; and the seconds that an epoch took."""
    from ..building.network import build
    from ..training import train

    found = start_of(model, task)
    assert found is not None
    network = build(found.graph, seed=seed) if found.weights is None else build(found.graph, weights=found.weights)
    result = train(network, task, recipe, seed, max_seconds=seconds)
    return result.network, result.seconds / max(len(result.curve), 1)


def _space_of(task: Task) -> str:
    """The space whose samples compete: images and tables that a laptop can train in seconds."""
    kind = _SPACES.get(len(task.input_shape))
    if kind is None:
        shape = "×".join(map(str, task.input_shape))
        raise SearchError(f"a tour is for images and tables; samples of task {task.name!r} are {shape}")
    macs = min(max(_MACS_AN_EPOCH / len(task.train), _MACS[0]), _MACS[1])
    return kind.format(macs=int(macs))


def _runs_folder(folder: Path, task: Task, graph: Graph, budget: str, each: str, seed: int) -> tuple[Path, str]:
    """Where the searches of this tour are, and what each may spend; those of another tour that were there are removed.

    A tour that goes on keeps to what it allowed each search at first, however fast the machine is now.
    """
    place = folder / "runs"
    about = {"task": task.hash, "network": graph.hash, "budget": budget, "seed": seed}
    mark = place / "tour.json"
    try:
        known = json.loads(mark.read_text(encoding="utf-8"))
        kept, same = str(known.pop("each")), known == about
    except (OSError, ValueError, KeyError, AttributeError):
        kept, same = "", False
    if same:
        each = kept
    else:
        if mark.exists():  # a folder of ours, and of no one else's
            shutil.rmtree(place)
        place.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps({**about, "each": each}), encoding="utf-8")
    return place, each


def _predictions(ablation: Ablation, runs: Path, seed: int) -> tuple[int, float | None]:
    """Over all searches: how many scores were predicted, and their rank correlation with what came out."""
    from ..predict import kendall_tau

    pairs: list[tuple[float, float]] = []
    for run in ablation.runs:
        step = next(step for step in STEPS if step.name == run.step)
        with store_of(runs, step, seed) as store:
            rows = store.proposals(run.run_id)
        known = rows[rows["predicted_score"].notna() & rows["score"].notna()]
        pairs += list(zip(known["predicted_score"], known["score"]))
    if len(pairs) < 5:
        return len(pairs), None
    said, came = zip(*pairs)
    found = float(kendall_tau(said, came))
    return len(pairs), found if found == found else None


def words_of(each: Predicted) -> str:
    """A line about predicted weights, for people."""
    if each.why:
        return f"{each.part}: no weights for {each.subject}: {each.why}"
    return (
        f"{each.part}: {each.num_params:,} weights of {each.subject} in {each.seconds:.2f} s; "
        f"untrained it scores {each.score:.3f}, with random weights {each.random_score:.3f}"
    )
