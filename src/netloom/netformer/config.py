"""`Family`, the networks that a Netformer reads and writes, and `Settings`, how it is built and trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import NetformerError
from ..graph.settings_json import read_settings

#: Activations that a family may have: elementwise, without attributes.
ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "softsign")
META, ENCODERS, DECODERS, READOUTS = (None, "token", "embedding"), ("answers", "tokens", "both"), ("transformer", "mlp"), (
    "solved", "decoded",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Family:
    """Perceptrons with biases, of up to ``max_inputs`` inputs, ``max_outputs`` outputs and ``max_layers`` hidden layers.

    Hidden layers are at most ``max_width`` wide, each with one of ``activations``. Raises `NetformerError` for limits that
    make no sense.

    >>> Family(max_inputs=4).max_width
    16
    """

    max_inputs: int = 8
    max_outputs: int = 1
    max_layers: int = 3
    max_width: int = 16
    activations: tuple[str, ...] = ("relu", "tanh", "sigmoid")

    def __post_init__(self) -> None:
        for name in ("max_inputs", "max_outputs", "max_layers", "max_width"):
            value = getattr(self, name)
            expect(type(value) is int and 1 <= value <= 256, name, value, "a whole number from 1 to 256")
        given = self.activations if isinstance(self.activations, tuple) else ()
        known = all(a in ACTIVATIONS for a in given) and len({*given}) == len(given) > 0
        expect(known, "activations", self.activations, f"different ones of {', '.join(ACTIVATIONS)}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a Netformer is built and what it is trained for; everything but the family.

    ``latents`` numbers stand for the function (two of them for level and spread of each output), ``structure_latents`` more
    for depth, widths and activations. ``encoder``: what is read of a network: its ``"answers"`` at ``probes`` fixed inputs,
    its neuron ``"tokens"`` (a transformer), or ``"both"``. ``meta``: where meta-features of the task join: each ``"token"``,
    the ``"embedding"``, or None. ``decoder``: hidden layers by a ``"transformer"`` over neurons, or an ``"mlp"``.
    ``readout``: output weights ``"solved"`` so that the network gives the answers which the latents stand for, or
    ``"decoded"`` as all others.

    Weights of the losses: ``behaviour`` (outputs of the decoded network against the original's on fresh inputs), ``answers``
    (those which the latents stand for), ``weights`` (squared error of weights in canonical form × neuron sensitivity),
    ``structure`` (cross-entropy of depth, widths and activations), ``kl``, of which ``free_nats`` a latent are free and which
    grows to its full weight over the first ``annealing`` share of steps. ``symmetries``: networks are also shown with inputs
    permuted and signed at random, and outputs signed: networks of as many new tasks.
    """

    latents: int = 64
    structure_latents: int = 16
    probes: int = 256
    encoder: str = "both"
    meta: str | None = None
    decoder: str = "transformer"
    readout: str = "solved"
    behaviour: float = 1.0
    answers: float = 0.3
    weights: float = 0.0
    structure: float = 0.1
    kl: float = 1e-4
    free_nats: float = 0.0
    annealing: float = 0.0
    symmetries: bool = True
    width: int = 64
    layers: int = 1
    heads: int = 4
    trunk: int = 384
    ridge: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("latents", "structure_latents", "probes", "width", "layers", "heads", "trunk"):
            value = getattr(self, name)
            most = 64 if name in ("layers", "heads") else 65536
            expect(type(value) is int and 1 <= value <= most, name, value, f"a whole number from 1 to {most}")
        for name in ("behaviour", "answers", "weights", "structure", "kl", "free_nats", "annealing", "ridge"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            expect(number and 0 <= value < float("inf"), name, value, "a number ≥ 0")
            object.__setattr__(self, name, float(value))
        for name, known in (("meta", META), ("encoder", ENCODERS), ("decoder", DECODERS), ("readout", READOUTS)):
            expect(getattr(self, name) in known, name, getattr(self, name), f"one of {', '.join(map(repr, known))}")
        expect(self.width % self.heads == 0, "width", self.width, f"a multiple of heads = {self.heads}")
        expect(self.behaviour + self.weights > 0, "behaviour", self.behaviour, "behaviour or weights above 0")


def expect(holds: bool, name: str, value: Any, expected: str) -> None:
    """`NetformerError` for a setting that is not as it must be."""
    if not holds:
        raise NetformerError(f"netformer: {name} = {value!r}; expected {expected}")


def expect_seed(seed: Any) -> None:
    """`NetformerError` for a seed that is none."""
    expect(type(seed) is int and 0 <= seed < 2**63, "seed", seed, "a whole number from 0 to 2⁶³ − 1")


def expect_steps(refine: Any) -> None:
    """`NetformerError` for a number of gradient steps that is none."""
    expect(type(refine) is int and refine >= 0, "refine", refine, "a whole number ≥ 0")


def read(kind: Any, given: str | Mapping[str, Any]) -> Any:
    """A `Family` or `Settings` of a JSON object with any of the fields."""
    if not isinstance(given, str | Mapping):
        raise NetformerError(f"netformer: a {type(given).__name__} is no {kind.__name__}; give one, or its fields by name")
    values = read_settings("netformer", given, [one.name for one in fields(kind)], NetformerError)
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def to_json(*values: Family | Settings) -> str:
    """Family and settings as JSON objects in a list."""
    return json.dumps([asdict(value) for value in values])
