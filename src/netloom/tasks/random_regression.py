"""Random regression tasks: functions drawn from a seed, with as much structure as small networks can learn.

    y = c₁ · linear(z) + c₂ · teacher(z) + c₃ · sine(z) + c₄ · product(z),    z: the inputs that count

``teacher`` is a random tanh network of one hidden layer, ``sine`` a wave along a random direction, ``product`` that of two
inputs. Targets are standardised on the train part; noise comes on top.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from ..graph.settings_json import read_settings
from .parts import Split
from .task import Task

if TYPE_CHECKING:
    import numpy

DISTRIBUTIONS = ("normal", "uniform")
#: Keeps the draws of a seed apart from what others draw with the same seed.
_STREAM = 0x7E65
#: Standard deviations of the noise-free target below this are no target.
_FLAT = 1e-6


@dataclass(frozen=True, slots=True)
class RegressionConfig:
    """What random regression tasks are like.

    ``in_features`` inputs drawn from ``distribution`` (normal, or uniform of the same variance), of which each counts with
    probability ``relevant`` (one at least); ``num_targets`` targets. ``linear``, ``teacher`` (of ``teacher_units`` hidden
    neurons), ``sine`` (of ``frequency``) and ``product`` scale the four terms, each of which is multiplied by a normal number
    drawn for the task. ``noise`` is the standard deviation of what is added to the standardised targets; ``num_train``,
    ``num_valid`` and ``num_test`` are samples. Raises `TaskError` for a value out of range.

    >>> RegressionConfig(in_features=10) == RegressionConfig.from_json('{"in_features": 10}')
    True
    """

    in_features: int = 8
    num_targets: int = 1
    num_train: int = 256
    num_valid: int = 64
    num_test: int = 64
    relevant: float = 0.6
    linear: float = 0.5
    teacher: float = 1.0
    teacher_units: int = 4
    sine: float = 1.0
    frequency: float = 0.7
    product: float = 0.5
    noise: float = 0.05
    distribution: str = "normal"

    def __post_init__(self) -> None:
        for name in ("in_features", "num_targets", "num_train", "num_valid", "num_test", "teacher_units"):
            value, low = getattr(self, name), 2 if name == "num_train" else 1
            _expect(type(value) is int and low <= value, name, value, f"a whole number ≥ {low}")
        for name in ("relevant", "linear", "teacher", "sine", "frequency", "product", "noise"):
            value, high = getattr(self, name), 1.0 if name == "relevant" else math.inf
            number = isinstance(value, int | float) and not isinstance(value, bool)
            _expect(number and 0 <= value <= high and value < math.inf, name, value, f"a number in [0, {high:g}]")
            object.__setattr__(self, name, float(value))  # 1 and 1.0 are one value and have one hash
        _expect(self.distribution in DISTRIBUTIONS, "distribution", self.distribution, f"one of {', '.join(DISTRIBUTIONS)}")
        if not (self.linear or self.teacher or self.sine or self.product):
            raise TaskError("random regression: linear, teacher, sine and product are all 0; leave one of them to learn")

    def to_json(self) -> str:
        """All fields as a JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(document: str | Mapping[str, Any]) -> RegressionConfig:
        """The settings of a JSON object with any of the fields; `TaskError` for anything else."""
        known = [one.name for one in fields(RegressionConfig)]
        return RegressionConfig(**read_settings("random regression", document, known, TaskError))

    @property
    def hash(self) -> str:
        """SHA-256 of all fields."""
        return hashlib.sha256(json.dumps({"netloom regression": 1, **asdict(self)}, sort_keys=True).encode()).hexdigest()


def _expect(holds: bool, name: str, value: Any, expected: str) -> None:
    if not holds:
        raise TaskError(f"random regression: {name} = {value!r}; expected {expected}")


@dataclass(frozen=True)
class RandomRegression:
    """The regression that ``seed`` draws: a function that can be asked anywhere, and its `task`.

    >>> import numpy as np
    >>> truth = RandomRegression(seed=7)
    >>> truth(np.zeros((5, 8))).shape
    (5, 1)
    >>> truth.task()
    <Task regression:7: 8, 1 target, 256 train, 64 valid, 64 test>
    """

    seed: int
    config: RegressionConfig = field(default_factory=RegressionConfig)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise TaskError(f"random regression: seed = {self.seed!r}; expected a whole number ≥ 0")

    def __call__(self, x: numpy.ndarray) -> numpy.ndarray:
        """The targets without noise, float64 (N, targets), of inputs (N, in_features) of any kind of number."""
        import numpy as np

        given = np.asarray(x, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != self.config.in_features:
            raise TaskError(f"{self.name}: x has shape {given.shape}; expected (samples, {self.config.in_features})")
        mean, sd = self._scale
        return (self._raw(given) - mean) / sd

    @property
    def name(self) -> str:
        return f"regression:{self.seed}"

    @property
    def spec(self) -> str:
        """What `netloom.tasks.load` makes this task from: settings that are not as by default come after ``?``."""
        usual = RegressionConfig()
        changed = [
            f"{one.name}={getattr(self.config, one.name)}"
            for one in fields(RegressionConfig)
            if getattr(self.config, one.name) != getattr(usual, one.name)
        ]
        return self.name + ("?" + "&".join(changed) if changed else "")

    def task(self) -> Task:
        """The task: inputs float32 (N, in_features), targets float32 (N, targets), in train, valid and test parts."""
        import numpy as np
        import torch

        config, start, parts = self.config, 0, list[Split]()
        noise = np.random.default_rng([self.seed, _STREAM, 2]).standard_normal((len(self._inputs), config.num_targets))
        targets = self(self._inputs) + config.noise * noise
        for count in (config.num_train, config.num_valid, config.num_test):
            rows = slice(start, start + count)
            x, y = (torch.from_numpy(array[rows].astype(np.float32)) for array in (self._inputs, targets))
            parts.append(Split(x, y))
            start += count
        train, valid, test = parts
        return Task(self.name, train, valid, test, 0, self.spec)

    # -- what is drawn ---------------------------------------------------------------------------------------------
    @cached_property
    def _inputs(self) -> numpy.ndarray:
        import numpy as np

        config, rng = self.config, np.random.default_rng([self.seed, _STREAM, 1])
        shape = (config.num_train + config.num_valid + config.num_test, config.in_features)
        drawn = rng.standard_normal(shape) if config.distribution == "normal" else rng.uniform(-1, 1, shape) * math.sqrt(3)
        # Rounded as the task holds them, so that targets belong to exactly these inputs.
        return drawn.astype(np.float32).astype(np.float64)

    @cached_property
    def _weights(self) -> dict[str, numpy.ndarray]:
        import numpy as np

        config, rng = self.config, np.random.default_rng([self.seed, _STREAM, 0])
        features, targets, units = config.in_features, config.num_targets, config.teacher_units
        counts = rng.random(features) < config.relevant
        one = rng.integers(features)
        if not counts.any():
            counts[one] = True
        pairs = rng.choice(np.flatnonzero(counts), (targets, 2))
        scales = np.array([config.linear, config.teacher, config.sine, config.product])
        return {
            "counts": counts,
            "pairs": pairs,
            "linear": rng.standard_normal((features, targets)),
            "hidden": rng.standard_normal((features, units)),
            "teacher": rng.standard_normal((units, targets)),
            "sine": rng.standard_normal((features, targets)),
            "scales": scales[:, None] * rng.standard_normal((4, targets)),
        }

    def _raw(self, x: numpy.ndarray) -> numpy.ndarray:
        import numpy as np

        w = self._weights
        z = x * w["counts"]
        terms = (
            z @ w["linear"],
            np.tanh(z @ w["hidden"]) @ w["teacher"],
            np.sin(self.config.frequency * (z @ w["sine"])),
            z[:, w["pairs"][:, 0]] * z[:, w["pairs"][:, 1]],
        )
        return np.asarray(sum(scale * term for scale, term in zip(w["scales"], terms)))

    @cached_property
    def _scale(self) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Mean and standard deviation of the noise-free targets over the train part, (targets,) each."""
        raw = self._raw(self._inputs[: self.config.num_train])
        sd = raw.std(axis=0)
        sd[sd < _FLAT] = 1.0
        return raw.mean(axis=0), sd


def regression(seed: int, config: RegressionConfig | Mapping[str, Any] | None = None, **settings: Any) -> Task:
    """The random regression task that ``seed`` draws; ``settings`` change fields of ``config``.

    Raises `TaskError` for a setting that does not exist or is out of range.

    >>> regression(3, in_features=10, num_train=100)
    <Task regression:3: 10, 1 target, 100 train, 64 valid, 64 test>
    >>> regression(3).hash == regression(3).hash != regression(4).hash
    True
    """
    given = asdict(config) if isinstance(config, RegressionConfig) else dict(config or {})
    return RandomRegression(seed, RegressionConfig.from_json(given | settings)).task()
