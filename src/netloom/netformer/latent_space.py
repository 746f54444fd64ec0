"""`Latent`: the latents of a Netformer as a space to search in, with a caller's fitness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NetformerError
from .config import expect, expect_seed
from .evolving import CMAES, NSGA2, VectorStrategy

if TYPE_CHECKING:
    from ..building.network import Network
    from ..graph.graph import Graph
    from .model import Netformer

Array = np.ndarray[Any, Any]
STRATEGIES: dict[str, Callable[..., VectorStrategy]] = {"cma-es": CMAES, "nsga2": NSGA2}


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search in the latents came to.

    ``latents`` (N, size) and ``fitness`` (N, objectives), higher is better, of everything that was evaluated, in order;
    ``best`` is the place with the highest first objective, ``front`` the places that nothing else beats in all objectives.
    """

    latent_space: Latent
    latents: Array
    fitness: Array

    @property
    def best(self) -> int:
        if np.isnan(self.fitness[:, 0]).all():
            raise NetformerError("every fitness is NaN: no network was good for anything")
        return int(np.nanargmax(self.fitness[:, 0]))

    @property
    def front(self) -> list[int]:
        from .evolving import fronts

        known = np.flatnonzero(~np.isnan(self.fitness).any(1))
        return [int(known[place]) for place in fronts(self.fitness[known])[0]]

    @property
    def network(self) -> Network:
        """The network of the best latents."""
        return self.latent_space.networks(self.latents[[self.best]])[0]

    def best_so_far(self) -> Array:
        """The highest first objective up to each evaluation, (N,)."""
        return np.fmax.accumulate(self.fitness[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """The space of a Netformer's latents: vectors (size,), about standard normal.

    ``graph`` gives all networks one architecture: then the structure's latents do nothing and are left out.

    >>> import netloom as nl, torch
    >>> space = nl.netformer.Latent(nl.netformer.load("mlp"))
    >>> x = torch.randn(64, space.former.family.max_inputs)
    >>> near_zero = lambda networks: [-n(x).square().mean().item() for n in networks]
    >>> found = space.evolve(near_zero, evaluations=30, seed=0)
    >>> found.fitness.shape, bool(found.best_so_far()[-1] >= found.fitness[0, 0])
    ((30, 1), True)
    """

    former: Netformer
    graph: Graph | None = None

    def __post_init__(self) -> None:
        from .model import Netformer

        if not isinstance(self.former, Netformer):
            raise NetformerError(f"a {type(self.former).__name__} is no Netformer; nl.netformer.load(FILE or name) gives one")
        if self.graph is not None:
            self.former.structures_of([self.graph])  # says what is outside the family

    @property
    def size(self) -> int:
        """Numbers of a vector."""
        return self.former.settings.latents if self.graph is not None else self.former.size

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Vectors (n, size) from the standard normal."""
        return rng.standard_normal((n, self.size)).astype(np.float32)

    def networks(self, vectors: Any) -> list[Network]:
        """The networks of vectors (n, size)."""
        latents = np.asarray(vectors, dtype=np.float32)
        if latents.ndim != 2 or latents.shape[1] != self.size:
            raise NetformerError(f"vectors have shape {latents.shape}; expected (n, {self.size})")
        lacking = self.former.size - self.size
        decoded: list[Network] = self.former.decode(np.pad(latents, ((0, 0), (0, lacking))), self.graph)
        return decoded

    def encode(self, networks: Sequence[Any]) -> Array:
        """The vectors of networks."""
        found: Array = self.former.encode(list(networks))[:, : self.size]
        return found

    def evolve(
        self, fitness: Callable[[list[Network]], Any], *, strategy: str = "cma-es", evaluations: int = 500, start: Any = None,
        population: int | None = None, seed: int = 0, progress: Callable[[int, float], object] | None = None,
    ) -> Found:  # fmt: skip
        """Search for the network with the highest ``fitness``, by CMA-ES or NSGA-II.

        ``fitness`` is given a list of networks and returns a number for each, or (N, objectives) for ``"nsga2"``; NaN is what
        must not be. ``start``: vectors or networks that the search begins around (its first population holds them). Every
        generation is evaluated once; ``progress(evaluations, best)`` is told after each.
        """
        return self.evolve_vectors(
            lambda vectors: fitness(self.networks(vectors)), strategy=strategy, evaluations=evaluations, start=start,
            population=population, seed=seed, progress=progress,
        )  # fmt: skip

    def evolve_vectors(
        self, fitness: Callable[[Array], Any], *, strategy: str = "cma-es", evaluations: int = 500, start: Any = None,
        population: int | None = None, seed: int = 0, progress: Callable[[int, float], object] | None = None,
    ) -> Found:  # fmt: skip
        """The same with a fitness of the vectors (n, size) themselves."""
        expect(strategy in STRATEGIES, "strategy", strategy, f"one of {', '.join(STRATEGIES)}")
        expect(type(evaluations) is int and evaluations >= 1, "evaluations", evaluations, "a whole number ≥ 1")
        small = population is None or (type(population) is int and population >= 1)
        expect(small, "population", population, "a whole number ≥ 1")
        expect(callable(fitness), "fitness", fitness, "a function of networks")
        expect_seed(seed)
        given = None if start is None else self._start(start)
        engine = STRATEGIES[strategy](self.size, seed=seed, population=population, start=given)
        vectors: list[Array] = []
        values: list[Array] = []
        done = 0
        while done < evaluations:
            asked = engine.ask()[: evaluations - done]
            told = _fitness(fitness(asked), len(asked))
            if values and told.shape[1] != values[0].shape[1]:
                raise NetformerError(f"the fitness gave {told.shape[1]} objectives, and {values[0].shape[1]} before")
            engine.tell(asked, told)
            vectors.append(asked)
            values.append(told)
            done += len(asked)
            if progress is not None:
                best = np.concatenate(values)[:, 0]
                progress(done, float(np.nanmax(best)) if not np.isnan(best).all() else float("nan"))
        return Found(self, np.concatenate(vectors), np.concatenate(values))

    def _start(self, start: Any) -> Array:
        if hasattr(start, "state_dict"):
            start = [start]
        if isinstance(start, Sequence) and start and hasattr(start[0], "state_dict"):
            return self.encode(start)
        vectors = np.atleast_2d(np.asarray(start, dtype=np.float32))
        if vectors.shape[1] not in (self.size, self.former.size):
            raise NetformerError(f"start has shape {vectors.shape}; expected (n, {self.size})")
        return vectors[:, : self.size]


def _fitness(given: Any, count: int) -> Array:
    """What a fitness gave for ``count`` networks, (count, objectives)."""
    plain = lambda value: value.detach().cpu() if hasattr(value, "detach") else value  # noqa: E731
    try:
        found = np.asarray(list(map(plain, given)) if isinstance(given, list | tuple) else plain(given), dtype=np.float64)
    except (TypeError, ValueError):
        raise NetformerError("the fitness gave what is no number; expected one for each network, NaN where it fails") from None
    if found.ndim not in (1, 2) or len(found) != count:
        what = f"{len(found)} values" if found.ndim in (1, 2) else f"shape {found.shape}"
        raise NetformerError(f"the fitness gave {what} for {count} networks; expected one for each")
    return found[:, None] if found.ndim == 1 else found
