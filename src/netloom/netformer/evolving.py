"""Evolution of vectors: CMA-ES for one objective, NSGA-II for several; asked and told a generation at a time."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]


class VectorStrategy(Protocol):
    """Proposes vectors (n, size) and learns their fitness (n, objectives), higher is better."""

    def ask(self) -> Array: ...
    def tell(self, vectors: Array, fitness: Array) -> None: ...


class CMAES:
    """Covariance matrix adaptation, from the standard normal: N. Hansen, "The CMA Evolution Strategy: A Tutorial", 2016.

    Rank-one and rank-μ updates with weights of the better half; the first objective counts. ``start`` (n, size): the mean of
    these vectors is where it begins, and the first generation holds them.
    """

    def __init__(self, size: int, *, seed: int = 0, population: int | None = None, start: Array | None = None) -> None:
        self.size, self.rng, self.start = size, np.random.default_rng([seed, 0xC3A]), start
        self.population = population or 4 + int(3 * np.log(size))
        self.parents = max(1, self.population // 2)
        weights = np.log(self.parents + 0.5) - np.log(np.arange(1, self.parents + 1))
        self.weights = weights / weights.sum()
        effective = 1 / (self.weights**2).sum()
        self.effective = effective
        self.c_sigma = (effective + 2) / (size + effective + 5)
        self.damping = 1 + 2 * max(0.0, np.sqrt((effective - 1) / (size + 1)) - 1) + self.c_sigma
        self.c_c = (4 + effective / size) / (size + 4 + 2 * effective / size)
        self.c_1 = 2 / ((size + 1.3) ** 2 + effective)
        self.c_mu = min(1 - self.c_1, 2 * (effective - 2 + 1 / effective) / ((size + 2) ** 2 + effective))
        self.mean = np.zeros(size) if start is None else np.asarray(start, dtype=np.float64).mean(0)
        self.sigma = 1.0 if start is None else 0.5
        self.covariance = np.eye(size)
        self.path_sigma, self.path_c = np.zeros(size), np.zeros(size)
        self.generation = 0
        self._decompose()

    def _decompose(self) -> None:
        values, self.axes = np.linalg.eigh((self.covariance + self.covariance.T) / 2)
        self.lengths = np.sqrt(np.maximum(values, 1e-20))

    def ask(self) -> Array:
        steps = self.rng.standard_normal((self.population, self.size)) * self.lengths @ self.axes.T
        vectors = self.mean + self.sigma * steps
        if self.generation == 0 and self.start is not None:
            count = min(len(self.start), self.population)
            vectors[:count] = self.start[:count]
        return vectors.astype(np.float32)

    def tell(self, vectors: Array, fitness: Array) -> None:
        values = np.where(np.isnan(fitness[:, 0]), -np.inf, fitness[:, 0])
        self.generation += 1
        if len(vectors) < self.parents:
            return  # a generation that was cut short says too little
        order = np.argsort(-values, kind="stable")[: self.parents]
        steps = (np.asarray(vectors, dtype=np.float64)[order] - self.mean) / self.sigma
        step = self.weights @ steps
        self.mean = self.mean + self.sigma * step
        white = self.axes @ ((self.axes.T @ step) / self.lengths)
        self.path_sigma = (1 - self.c_sigma) * self.path_sigma
        self.path_sigma += np.sqrt(self.c_sigma * (2 - self.c_sigma) * self.effective) * white
        expected = np.sqrt(self.size) * (1 - 1 / (4 * self.size) + 1 / (21 * self.size**2))
        length = np.linalg.norm(self.path_sigma)
        bound = (1.4 + 2 / (self.size + 1)) * expected
        steady = length / np.sqrt(1 - (1 - self.c_sigma) ** (2 * self.generation)) < bound
        self.path_c = (1 - self.c_c) * self.path_c
        if steady:
            self.path_c += np.sqrt(self.c_c * (2 - self.c_c) * self.effective) * step
        lost = 0.0 if steady else self.c_c * (2 - self.c_c)
        self.covariance = (
            (1 - self.c_1 - self.c_mu) * self.covariance
            + self.c_1 * (np.outer(self.path_c, self.path_c) + lost * self.covariance)
            + self.c_mu * (steps.T * self.weights) @ steps
        )
        self.sigma = float(np.clip(self.sigma * np.exp(self.c_sigma / self.damping * (length / expected - 1)), 1e-8, 5.0))
        self._decompose()


class NSGA2:
    """K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002, on vectors from the standard normal.

    Children take each number from either parent, and mutate by a new normal number or a small step.
    """

    def __init__(self, size: int, *, seed: int = 0, population: int | None = None, start: Array | None = None) -> None:
        self.size, self.rng = size, np.random.default_rng([seed, 0x25A])
        self.population, self.start = population or 40, start
        self.vectors: Array = np.zeros((0, size), np.float32)
        self.fitness: Array = np.zeros((0, 1))

    def ask(self) -> Array:
        if not len(self.vectors):
            first = self.rng.standard_normal((self.population, self.size)).astype(np.float32)
            if self.start is not None:
                first[: len(self.start)] = self.start[: self.population]
            return first
        ranks, crowding = _ranks(self.fitness)
        better = lambda i, j: i if (ranks[i], -crowding[i]) <= (ranks[j], -crowding[j]) else j  # noqa: E731
        pairs = self.rng.integers(len(self.vectors), size=(self.population, 4))
        parents = [(better(a, b), better(c, d)) for a, b, c, d in pairs]
        first, second = (self.vectors[[pair[k] for pair in parents]] for k in (0, 1))
        children = np.where(self.rng.random(first.shape) < 0.5, first, second)
        anew, moved = self.rng.random((2, *children.shape))
        noise = self.rng.standard_normal(children.shape)
        children = np.where(anew < 0.5 / self.size + 0.02, noise, children + np.where(moved < 0.3, 0.3 * noise, 0.0))
        return children.astype(np.float32)

    def tell(self, vectors: Array, fitness: Array) -> None:
        fitness = np.where(np.isnan(fitness), -np.inf, fitness)
        if not len(self.vectors):
            self.fitness = np.zeros((0, fitness.shape[1]))
        vectors, fitness = np.concatenate([self.vectors, vectors]), np.concatenate([self.fitness, fitness])
        ranks, crowding = _ranks(fitness)
        kept = np.lexsort((-crowding, ranks))[: self.population]
        self.vectors, self.fitness = vectors[kept], fitness[kept]


def fronts(fitness: Array) -> list[list[int]]:
    """Places of fitness (N, objectives) sorted into fronts: those that nothing beats, those that only these beat, ….

    >>> fronts(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]]))
    [[0, 1], [2]]
    """
    at_least: Array = np.all(fitness[:, None] >= fitness[None], axis=2)
    beats: Array = at_least & np.any(fitness[:, None] > fitness[None], axis=2)
    beaten = beats.sum(0)
    found, left = [], np.ones(len(fitness), bool)
    while left.any():
        front = np.flatnonzero(left & (beaten == 0))
        found.append(front.tolist())
        left[front] = False
        beaten = beaten - beats[front].sum(0)
    return found


def _ranks(fitness: Array) -> tuple[Array, Array]:
    """Number of the front of each, and how far its neighbours in it are away."""
    ranks, crowding = np.zeros(len(fitness), np.int64), np.zeros(len(fitness))
    for number, front in enumerate(fronts(fitness)):
        places = np.array(front)
        ranks[places] = number
        for values in fitness[places].T:
            order = np.argsort(values, kind="stable")
            ordered = values[order]
            crowding[places[order[[0, -1]]]] = np.inf
            extent = ordered[-1] - ordered[0]
            if len(places) > 2 and np.isfinite(extent) and extent > 0:
                crowding[places[order[1:-1]]] += (ordered[2:] - ordered[:-2]) / extent
    return ranks, crowding
