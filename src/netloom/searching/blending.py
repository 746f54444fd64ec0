"""Blending: several networks of a search that predict together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .result import rank

if TYPE_CHECKING:
    from ..tasks import Task
    from .result import SearchResult

#: Candidates, best first, that may take part, and rounds of the selection.
_CANDIDATES, _ROUNDS = 30, 25
#: With so many validation samples their verdict counts as much as that all networks are alike.
_SAMPLES_OF_DOUBT = 200


def blend(result: SearchResult, task: Task, most: int) -> tuple[list[Any], tuple[float, ...]]:
    """Networks in float64 and their shares: those that together do best on the validation part.

    Networks are added one by one, the same ones again too, as long as the loss of the mean of their predictions falls: ensemble
    selection (R. Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004). The best of the others join until
    there are ``most``, as far as they are nearer to the best than to knowing nothing, and shares are shrunk towards equal ones,
    the more the fewer samples have spoken: on 24 samples one network that is right by luck would speak for all. With ``most``
    = 1 it is the incumbent alone.
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
    trust = len(y) / (len(y) + _SAMPLES_OF_DOUBT)
    losses_alone = [loss(output) for output in said]
    enough = (min(losses_alone) + loss(_knowing_nothing(y, said[0]))) / 2
    able = [i for i in range(len(networks)) if counts[i] or losses_alone[i] <= enough]
    taken = sorted(sorted(able, key=lambda i: (counts[i] == 0, losses_alone[i], i))[:most])
    shares = (trust * counts[i] / sum(counts) + (1 - trust) / len(taken) for i in taken)
    return [networks[i] for i in taken], tuple(shares)


def _knowing_nothing(y: Any, like: Any) -> Any:
    """What a network would say that knows the targets alone: shares of the classes, or means; the same for every sample."""
    import torch

    if y.is_floating_point():
        return y.double().mean(0).expand_as(like)
    return (torch.bincount(y, minlength=like.shape[1]).double() / len(y)).expand_as(like)


def _trained(result: SearchResult) -> list[Any]:
    """The best networks whose weights were kept, the incumbent first."""
    incumbent = result.best
    networks = [incumbent.network.double().eval()]
    for row in rank(result.store.proposals(result.run_id)).head(_CANDIDATES).itertuples():
        number = int(row.id)
        if row.graph_hash != incumbent.graph.hash and "weights" in result.store.evaluation(number)[1].artifacts:
            networks.append(result.store.network(number).double().eval())
    return networks
