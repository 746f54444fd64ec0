"""Blending: several networks of a search that predict together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .result import rank

if TYPE_CHECKING:
    from ..tasks import Task
    from .result import SearchResult

#: Candidates, best first, that may take part, and rounds of the selection.
_CANDIDATES, _ROUNDS = 30, 25


def blend(result: SearchResult, task: Task, most: int) -> tuple[list[Any], tuple[float, ...]]:
    """Networks in float64 and their shares: those that together do best on the validation part.

    Networks are added one by one, the same ones again too, as long as the loss of the mean of their predictions falls: ensemble
    selection (R. Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004). At most ``most`` different ones of
    the search's best; with ``most`` = 1 the incumbent alone.
    """
    import torch

    if most == 1:
        return [result.best.network.double().eval()], (1.0,)
    networks = _trained(result)
    valid: Any = task.valid
    x, y = valid.x, valid.y
    classes = bool(task.num_classes)
    with torch.inference_mode():
        said = [network(x.double()) for network in networks]
    said = [output.softmax(1) if classes else output for output in said]

    def loss(mean: Any) -> float:
        if classes:
            return float(-mean.gather(1, y[:, None]).clamp_min(1e-12).log().mean())
        return float(((mean - y.reshape(mean.shape)) ** 2).mean())

    counts = [0] * len(networks)
    total, best = torch.zeros_like(said[0]), float("inf")
    for chosen in range(1, _ROUNDS + 1):
        full = sum(count > 0 for count in counts) >= most
        losses = [
            (loss((total + output) / chosen), i) for i, output in enumerate(said) if counts[i] or not full
        ]  # fmt: skip
        lowest, i = min(losses)
        if lowest >= best - 1e-9:
            break
        best, total = lowest, total + said[i]
        counts[i] += 1
    taken = [(network, count) for network, count in zip(networks, counts) if count]
    whole = sum(count for _, count in taken)
    return [network for network, _ in taken], tuple(count / whole for _, count in taken)


def _trained(result: SearchResult) -> list[Any]:
    """The best networks whose weights were kept, the incumbent first."""
    incumbent = result.best
    networks = [incumbent.network.double().eval()]
    for row in rank(result.store.proposals(result.run_id)).head(_CANDIDATES).itertuples():
        number = int(row.id)
        if row.graph_hash != incumbent.graph.hash and "weights" in result.store.evaluation(number)[1].artifacts:
            networks.append(result.store.network(number).double().eval())
    return networks
