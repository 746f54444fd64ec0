"""`NetworkPredictor`: what the predictors that are neural networks have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..encode.named_features import NAMES
from ..errors import PredictorError
from .member_training import ROWS, Forward, Schedule, parts, predictions, train_members
from .predictor import Array, Batch, LeftOut, Predictor
from .ranking_losses import LOSSES
from .views import Columns

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .member_layers import Initial, Parameters

#: Graphs that are read at once, so that many of them do not fill the memory.
_GRAPHS = 4096


class NetworkPredictor(Predictor):
    """Some small networks that learn side by side, each from all labels but its part of them.

    ``members`` networks are averaged. What each says of the labels that it did not see decides when training stops (after
    ``patience``, as a share of it, without getting better), and scales predictions and standard deviations. ``loss`` is
    ``"mse"`` of normal scores, or one of pairs or lists: ``"hinge"``, ``"logistic"``, ``"listmle"``. With ``features`` the
    networks also see `netloom.encode.features`, beside the graph itself. ``steps`` of learning are by default 300 for 100
    labels, more for more. ``progress`` shows a line for every look at the labels that were left out.
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        members: int = 4,
        loss: str = "mse",
        features: bool = True,
        steps: int | None = None,
        rate: float = 3e-3,
        weight_decay: float = 0.05,
        dropout: float = 0.0,
        patience: float = 0.4,
        progress: bool = False,
    ) -> None:
        super().__init__()
        for name, value, least in [("width", width, 1), ("layers", layers, 1), ("members", members, 2), ("steps", steps, 1)]:
            if value is not None and (type(value) is not int or value < least):
                raise PredictorError(f"{name} = {value!r}; expected an integer ≥ {least}")
        if loss not in LOSSES:
            raise PredictorError(f"loss = {loss!r}; expected one of {', '.join(LOSSES)}")
        self.width, self.layers, self.members, self.loss, self.features = width, layers, members, loss, features
        self.steps, self.rate, self.weight_decay, self.dropout, self.patience = steps, rate, weight_decay, dropout, patience
        self.progress = progress
        self._parameters: Parameters = {}
        self._columns: Columns | None = None
        self._scale: tuple[float, float, float] = (0.0, 1.0, 1.0)
        #: By how much the squared error of all members together is smaller than that of one, as the last fit found.
        self.gain = 0.0

    # -- what each kind says of itself -------------------------------------------------------------------------------
    @abstractmethod
    def _learn_scales(self, batch: Batch) -> None:
        """Learn how graphs are read: what `_read` needs to know."""

    @abstractmethod
    def _read(self, batch: Batch) -> Any:
        """Graphs as arrays; ``[rows]`` of it gives some of them."""

    @abstractmethod
    def _initial(self, make: Initial) -> None:
        """Make the initial parameters."""

    @abstractmethod
    def _forward(self, parameters: Parameters, read: Any, extra: Tensor, generator: torch.Generator | None) -> Tensor:
        """Predictions (K, B) of graphs as `_read` gives them, with ``extra`` (B, G) numbers of each."""

    # -- what a predictor does ---------------------------------------------------------------------------------------
    def _fit(self, batch: Batch, normal: Array, rng: np.random.Generator) -> None:
        import torch

        from .member_layers import Initial

        self._learn_scales(batch)
        self._columns = None
        table = self._table(batch)
        if table.shape[1]:
            self._columns = Columns.of(table, _candidates(table.shape[1], self.features))
        make = Initial(self.members, torch.Generator().manual_seed(int(rng.integers(2**31))))
        self._initial(make)
        schedule = Schedule.of(len(batch), self.steps, self.rate, self.weight_decay, self.patience)
        self._train(make.parameters, batch, normal, schedule, rng)

    def _fit_after(self, before: Predictor, batch: Batch, learned: Array, rng: np.random.Generator) -> None:
        """Go on learning from where it stands, for shorter and slower; graphs are read as before."""
        usual = Schedule.of(len(batch), self.steps, self.rate, self.weight_decay, self.patience)
        schedule = replace(usual, steps=max(usual.steps // 3, 1), rate=usual.rate / 3)
        self._train(dict(self._parameters), batch, learned, schedule, rng)

    def _train(self, parameters: Parameters, batch: Batch, normal: Array, schedule: Schedule, rng: np.random.Generator) -> None:
        read = self._read(batch)
        trained = train_members(
            parameters, self._on(batch, read), normal, parts(self.members, len(batch), rng), schedule, loss=self.loss,
            seed=int(rng.integers(2**31)), progress=self.progress, at_once=self._at_once(read),
        )  # fmt: skip
        self._parameters = trained.parameters
        members = predictions(self._parameters, self._on(batch, read), len(batch), self._at_once(read))
        disagreement = float(members.var(0).mean())
        self._scale = shift, slope, error = _scale(trained.held_out, normal, disagreement)
        self.gain = slope**2 * disagreement
        alone = np.full(len(batch), np.sqrt(error**2 + 2 * self.gain))
        self._held = LeftOut(np.arange(len(batch)), shift + slope * trained.held_out, alone)

    def _left_out(self) -> LeftOut:
        return self._held

    def _predict(self, batch: Batch, std: bool) -> tuple[Array, Array]:
        found = [self._members(part) for part in _divided(batch)]
        members = np.concatenate(found, axis=1)
        shift, slope, error = self._scale
        mean = shift + slope * members.mean(0)
        return mean, np.sqrt(error**2 + (slope * members.std(0)) ** 2)

    def _members(self, batch: Batch) -> Array:
        """Predictions (K, N) of each member."""
        read = self._read(batch)
        return predictions(self._parameters, self._on(batch, read), len(batch), self._at_once(read))

    def _on(self, batch: Batch, read: Any) -> Forward:
        """The networks as a function of parameters and rows of a batch that has been read."""
        import torch

        table = np.zeros((len(batch), 0)) if self._columns is None else self._columns(self._table(batch))
        extra = torch.from_numpy(table.astype(np.float32))

        def forward(parameters: Parameters, rows: Array, generator: torch.Generator | None) -> Tensor:
            return self._forward(parameters, read[rows], extra[rows], generator)

        return forward

    def _at_once(self, read: Any) -> int:
        """How many graphs are predicted together."""
        return ROWS

    @property
    def num_extra(self) -> int:
        """How many numbers of each graph there are beside the graph itself."""
        return 0 if self._columns is None else len(self._columns.kept)

    def _table(self, batch: Batch) -> Array:
        """Numbers (N, F) of whole graphs: features, and the logarithm of the fidelity where fidelities differ."""
        if self.features:
            return batch.encoded.features
        return np.zeros((len(batch), 0)) if batch.log_fidelity is None else batch.log_fidelity[:, None]

    def __repr__(self) -> str:
        make: Callable[[], NetworkPredictor] = type(self)
        usual = make()._settings()
        said = [f"{name}={value!r}" for name, value in self._settings().items() if value != usual[name]]
        return f"{type(self).__name__}({', '.join(said)})"

    # -- files -------------------------------------------------------------------------------------------------------
    def _settings(self) -> dict[str, Any]:
        names = ("width", "layers", "members", "loss", "features", "steps", "rate", "weight_decay", "dropout", "patience")
        return {name: getattr(self, name) for name in names}

    def _state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        arrays = {f"network.{name}": value.numpy() for name, value in self._parameters.items()}
        if self._columns is not None:
            arrays |= {f"columns.{name}": getattr(self._columns, name) for name in Columns.__dataclass_fields__}
        return arrays, {"settings": self._settings(), "scale": self._scale}

    def _restore(self, arrays: dict[str, Array], data: dict[str, Any]) -> None:
        import torch

        for name in self._settings():
            setattr(self, name, data["settings"][name])
        begin = "network."
        self._parameters = {n.removeprefix(begin): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(begin)}
        if "columns.kept" in arrays:
            self._columns = Columns(*(arrays[f"columns.{name}"] for name in Columns.__dataclass_fields__))
        self._scale = tuple(data["scale"])


def _divided(batch: Batch) -> Iterator[Batch]:
    """A batch in parts that fit into memory."""
    if len(batch) <= _GRAPHS or "encoded" in batch.__dict__:
        yield batch
        return
    for i in range(0, len(batch), _GRAPHS):
        fidelity = None if batch.log_fidelity is None else batch.log_fidelity[i : i + _GRAPHS]
        yield Batch(batch.graphs[i : i + _GRAPHS], fidelity)


def _candidates(width: int, features: bool) -> Array:
    """The columns that networks may see; of features not those of dead calls, as in the other predictors."""
    named = [i for i, name in enumerate(NAMES) if not name.startswith("all.")] if features else []
    return np.array([*named, *range(len(NAMES) if features else 0, width)], dtype=np.intp)


def _scale(held_out: Array, normal: Array, disagreement: float) -> tuple[float, float, float]:
    """Shift and slope that bring predictions of labels left out nearest to them, and the error beside the disagreement.

    What is left of the squared error is a single member's. The mean of the members is better by their mean variance, and that
    variance, graph by graph, is added to the error when predicting. (Krogh and Vedelsby, "Neural Network Ensembles", 1994)
    """
    spread = held_out.var()
    slope = max(float(np.cov(held_out, normal, bias=True)[0, 1] / spread), 0.05) if spread > 1e-12 else 1.0
    shift = float(normal.mean() - slope * held_out.mean())
    squared = float(np.mean((normal - shift - slope * held_out) ** 2))
    return shift, slope, float(np.sqrt(max(squared - 2 * slope**2 * disagreement, squared / 4, 1e-12)))
