"""`Netformer`: a generative model of trained networks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import NetformerError
from ..graph.graph import Graph
from .config import Family, Settings, expect, expect_seed, expect_steps
from .core import Core
from .measures import Report, compare
from .populations import Population, meta_tensor, of_networks
from .structures import Structures, outline_of

if TYPE_CHECKING:
    from ..building.network import Network
    from ..training.loop import Epoch

PRIORS = ("normal", "zoo")


class Netformer:
    """A variational transformer over trained networks: to latents and back, to new networks, to one for new data.

    ``family`` says which networks it reads and writes (a `Family`, or its fields as keywords), ``settings`` how it is built
    and trained (a `Settings`, or its fields as keywords). `fit` it on a zoo; `netloom.netformer.load` reads one that was
    saved, ``load("mlp")`` the one that comes with netloom.

    Latents of a network are ``size`` numbers: the function (``settings.latents``, level and spread of the outputs among
    them), then the structure (``settings.structure_latents``). All of them are about standard normal over the zoo.

    >>> import netloom as nl, tempfile
    >>> zoo = nl.zoo.make(tempfile.mkdtemp() + "/zoo", models=60, tasks=60, epochs=5)
    >>> former = Netformer(latents=16, encoder="answers", decoder="mlp").fit(zoo, steps=20)
    >>> latents = former.encode([zoo[0].network, zoo[1].network])
    >>> latents.shape, former.decode(latents)[0].graph.inputs[0].shape
    ((2, 32), (Size('N'), 8))
    """

    def __init__(
        self, family: Family | Mapping[str, Any] | None = None, settings: Settings | Mapping[str, Any] | None = None, *,
        seed: int = 0, **fields: Any,
    ) -> None:  # fmt: skip
        self.family, self.settings = _split(family, settings, fields)
        expect_seed(seed)
        expect(
            not (self.settings.meta == "token" and self.settings.encoder == "answers"), "meta", "token",
            "encoder='tokens' or 'both' with it: without tokens there is nothing for meta-features to join",
        )  # fmt: skip
        self.seed = seed
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.core = Core(self.family, self.settings).eval()
        self.is_fitted = False
        #: What it was trained on and how well it does, for people: see `netloom.netformer.describe`.
        self.about: dict[str, Any] = {}
        self.curve: tuple[Epoch, ...] = ()

    @property
    def size(self) -> int:
        """Number of latents of a network."""
        return self.core.size

    def fit(
        self, zoo: Any, *, steps: int = 3000, batch_size: int = 64, learning_rate: float = 1.5e-3, held_out: float = 0.1,
        max_seconds: float | None = None, checkpoint: str | Path | None = None, resume: bool = True, progress: bool = False,
        on_epoch: Callable[[Epoch], object] | None = None,
    ) -> Netformer:  # fmt: skip
        """Learn from a zoo (`nl.zoo.Zoo`, a folder, a `Population`, or a list of networks); gives itself.

        A share ``held_out`` of the *tasks* is kept back to measure on: after every 250 steps the median functional R² of
        their networks is the score, and the best parameters are kept. ``checkpoint`` names a folder in which the training
        is kept, so that the same call goes on where it was killed. Raises `NetformerError` for a zoo without networks, or with
        one outside the family.
        """
        from .fitting import fit

        return fit(
            self, zoo, steps=steps, batch_size=batch_size, learning_rate=learning_rate, held_out=held_out,
            max_seconds=max_seconds, checkpoint=checkpoint, resume=resume, progress=progress, on_epoch=on_epoch,
        )  # fmt: skip

    # -- latents and back ----------------------------------------------------------------------------------------------
    def encode(self, networks: Any, meta: Any = None) -> np.ndarray:
        """Latents float32 (N, size) of trained networks (`nl.Network` or modules of torch, or a zoo), or of one: (size,).

        ``meta``: meta-features of their data, mappings or (N, 37); without them they count as unknown. `NetformerError` names a
        network outside the family, or with weights that are not finite.
        """
        self._check()
        one = isinstance(networks, torch.nn.Module)
        population = self.population(networks)
        if meta is not None:
            population = replace(population, meta=meta_tensor(meta, len(population)))
        with torch.no_grad():
            found: np.ndarray = self.core.encode(population).numpy()
        return found[0] if one else found

    def read(self, networks: Iterable[Any], meta: Any = None) -> Population:
        """Trained networks as the tensors that a Netformer computes with."""
        return of_networks(networks, self.family, meta)

    def decode(self, latents: Any, structure: Graph | Sequence[Graph] | None = None, *, refine: int = 0) -> Any:
        """The networks of latents (N, size), a list; or of one vector (size,), the network.

        Their structures are those that the latents stand for, or ``structure``: one graph for all or one for each. With
        ``refine`` the hidden layers take so many gradient steps towards the answers that the latents stand for; the latents
        are all that is known of the original.
        """
        self._check()
        given, one = self._latents(latents)
        if not len(given):
            return []
        several: Any = structure if isinstance(structure, list | tuple) else [structure] * len(given)
        graphs: list[Graph] | None = None if structure is None else list(several)
        if graphs is not None and len(graphs) != len(given):
            raise NetformerError(f"there are {len(given)} latent vectors and {len(graphs)} structures; give as many, or one")
        found = self.decode_population(given, None if graphs is None else self.structures_of(graphs), refine=refine)
        networks = found.networks(self.family, graphs)
        return networks[0] if one else networks

    def decode_population(self, latents: Any, structures: Structures | None = None, *, refine: int = 0) -> Population:
        """The same as padded tensors, without building networks."""
        from .refining import refined

        expect_steps(refine)
        given, _ = self._latents(latents)
        with torch.no_grad():
            found = self.core.decode(given, structures)
        found = refined(self.core, given, found, refine) if refine else found
        if not found.is_finite():
            raise NetformerError(
                f"latents reach {float(given.abs().max()):.3g}, where networks are not finite; they are about standard normal"
            )
        return found

    def structures_of(self, graphs: Sequence[Graph]) -> Structures:
        """The structures of graphs of the family."""
        outlines = [outline_of(graph, self.family) for graph in graphs]
        hidden = [outline.hidden for outline in outlines]
        return Structures.of(hidden, [o.inputs for o in outlines], [o.outputs for o in outlines], self.family)

    def reconstruct(self, networks: Any, *, refine: int = 0) -> Any:
        """Networks encoded and decoded again, structure and all from the latents."""
        return self.decode(self.encode(networks), refine=refine)

    def evaluate(self, networks: Any, *, refine: int = 0, inputs: int = 256, seed: int = 0) -> Report:
        """How near reconstructed networks are to the originals: see `netloom.netformer.Report`."""
        self._check()
        population = self.population(networks)
        found = self.decode_population(self.encode(population), refine=refine)
        return compare(found, population, self.family, inputs=inputs, seed=seed)

    def population(self, networks: Any) -> Population:
        """A zoo, a folder of one, networks or a population as a population."""
        from .fitting import population_of

        # Meta-features of many tasks take longer than all else: only where they are read.
        return population_of(networks, self.family, meta_tasks=0 if self.settings.meta is None else None)[0]

    # -- new networks --------------------------------------------------------------------------------------------------
    def draw(self, n: int, meta: Any = None, *, seed: int = 0, prior: str = "normal", temperature: float = 1.0) -> np.ndarray:
        """Latents float32 (n, size) from the prior.

        ``prior``: standard ``"normal"``, or the ``"zoo"``'s own mean and spread in each number. With ``meta`` (meta-features of
        data) they are drawn around what networks of such data have, for structure and level above all.
        """
        self._check()
        expect(type(n) is int and n >= 1, "n", n, "a whole number ≥ 1")
        expect(prior in PRIORS, "prior", prior, f"one of {', '.join(PRIORS)}")
        number = isinstance(temperature, int | float) and 0 <= temperature < float("inf")
        expect(number, "temperature", temperature, "a number ≥ 0")
        expect_seed(seed)
        noise = torch.randn(n, self.size, generator=torch.Generator().manual_seed(seed)) * temperature
        if meta is None and prior == "normal":
            return noise.numpy()
        core = self.core
        known = torch.full((n, 37), torch.nan) if meta is None else meta_tensor(meta, n)
        features = core.meta_features(known)
        mean = torch.cat([features, torch.ones(n, 1)], 1) @ core.prior_map
        found: np.ndarray = (mean + noise * core.prior_sd).numpy()
        return found

    def sample(
        self, n: int = 1, meta: Any = None, *, seed: int = 0, prior: str = "normal", temperature: float = 1.0,
        graph: Graph | None = None,
    ) -> list[Network]:  # fmt: skip
        """``n`` new networks: latents from the prior (see `draw`), decoded; of the architecture ``graph`` where it is given.

        >>> import netloom as nl
        >>> networks = nl.netformer.load("mlp").sample(3, seed=1)
        >>> len(networks), len({network.graph.hash for network in networks})
        (3, 3)
        """
        networks: list[Network] = self.decode(self.draw(n, meta, seed=seed, prior=prior, temperature=temperature), graph)
        return networks

    def interpolate(self, a: Any, b: Any, n: int = 9, *, graph: Graph | None = None) -> list[Network]:
        """``n`` networks on the line from ``a`` to ``b`` (networks or latent vectors), both ends among them.

        Functions go over into each other, structures jump from one to the next; ``graph`` gives all of them one structure.
        """
        expect(type(n) is int and n >= 2, "n", n, "a whole number ≥ 2")
        ends = [self.encode(end) if isinstance(end, torch.nn.Module) else self._latents(end)[0][0].numpy() for end in (a, b)]
        shares = np.linspace(0, 1, n, dtype=np.float32)[:, None]
        networks: list[Network] = self.decode((1 - shares) * ends[0] + shares * ends[1], graph)
        return networks

    def suggest(
        self, X: Any, y: Any, graph: Graph | None = None, *, surrogate: str = "auto", refine: int = 0, fit_readout: bool = True,
        seed: int = 0,
    ) -> Network:  # fmt: skip
        """A network for new data, without training it: it takes inputs as ``X`` has them and gives targets as ``y`` has them.

        A quick surrogate (``"ridge"``, ``"kernel"``, or the better of both by leaving one out, ``"auto"``) is fitted to the
        data and asked at the probe inputs; the encoder reads its answers, the decoder writes a network of the architecture
        ``graph`` (any number of inputs and outputs), or of the structure that fits best. ``fit_readout`` fits output weights to
        the data, ``refine`` takes so many gradient steps in the latents on the data. Classes (text, or few whole numbers) give
        logits, in sorted order. Raises `NetformerError` for data that nothing can be learned from.
        """
        from .suggesting import suggest

        self._check()
        return suggest(self, X, y, graph, surrogate=surrogate, refine=refine, fit_readout=fit_readout, seed=seed)

    # -- files ---------------------------------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one safetensors file, which `netloom.netformer.load` reads back."""
        from .saving import save

        self._check()
        return save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Netformer:
        """The same as `netloom.netformer.load`."""
        from .saving import load

        return load(path)

    # -- checks --------------------------------------------------------------------------------------------------------
    def _check(self) -> None:
        if not self.is_fitted:
            raise NetformerError("this Netformer has learned nothing yet; call fit(zoo) first, or load a trained one")

    def _latents(self, latents: Any) -> tuple[Tensor, bool]:
        """Latents as a matrix, and whether they came as one vector."""
        try:
            latents = latents.detach().cpu() if isinstance(latents, Tensor) else latents
            given = torch.as_tensor(np.asarray(latents, dtype=np.float32))
        except (TypeError, ValueError):
            raise NetformerError(f"latents are {type(latents).__name__}; expected numbers (N, {self.size})") from None
        one = given.dim() == 1
        given = given[None] if one else given
        if given.dim() != 2 or given.shape[1] != self.size:
            raise NetformerError(f"latents have shape {tuple(given.shape)}; this Netformer's are (N, {self.size})")
        if not given.isfinite().all():
            raise NetformerError("latents are not finite")
        return given, one

    def __repr__(self) -> str:
        state = "" if self.is_fitted else ", not fitted"
        f = self.family
        return f"<Netformer: {f.max_layers} × {f.max_width}, {f.max_inputs} inputs, {self.settings.latents} latents{state}>"


def _split(family: Any, settings: Any, fields: Mapping[str, Any]) -> tuple[Family, Settings]:
    """Family and settings from values, mappings and single fields."""
    of_family = {name: value for name, value in fields.items() if name in Family.__dataclass_fields__}
    others = {name: value for name, value in fields.items() if name not in of_family}
    for name in others:
        if name not in Settings.__dataclass_fields__:
            import difflib

            known = [*Settings.__dataclass_fields__, *Family.__dataclass_fields__]
            near = difflib.get_close_matches(name, known, 1)
            raise NetformerError(f"netformer: there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    from .config import read

    first = family if isinstance(family, Family) else read(Family, {} if family is None else family)
    second = settings if isinstance(settings, Settings) else read(Settings, {} if settings is None else settings)
    of_family = {name: tuple(value) if isinstance(value, list) else value for name, value in of_family.items()}
    return replace(first, **of_family), replace(second, **others)


def described(former: Netformer) -> dict[str, Any]:
    """Family and settings as plain values."""
    return {"family": asdict(former.family), "settings": asdict(former.settings)}
