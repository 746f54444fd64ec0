"""Training of a generator's transformer, through `netloom.training.loop`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeneratorError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .transformer import TokenTransformer

Array = np.ndarray[Any, Any]

#: How often in training a generator is not told the score, and not told the costs: then it can do without.
_WITHOUT_SCORE, _WITHOUT_COSTS = 0.1, 0.5
#: The share of sequences that are left out to see when to stop; fewer than so many are all learned from.
_LEFT_OUT, _FEWEST = 0.1, 30
#: Steps between two looks at what was left out.
_BETWEEN = 50
#: Batches that are sorted by length together: shorter ones then are short throughout.
_SORTED = 10


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What is learned from: sequences of token numbers, conditions (N, C), and how likely (N,) each is drawn."""

    sequences: list[list[int]]
    conditions: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.sequences)

    def padded(self) -> tuple[Array, Array]:
        """Tokens from 1 (N, T + 1) with 0 before and after each, and how many of a row are to be predicted (N,)."""
        lengths = np.array([len(sequence) for sequence in self.sequences], dtype=np.int64)
        found = np.zeros((len(self), int(lengths.max(initial=0)) + 2), dtype=np.int64)
        for row, sequence in zip(found, self.sequences):
            row[1 : len(sequence) + 1] = np.array(sequence, dtype=np.int64) + 1
        return found, lengths + 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn; the rate rises for a tenth of the steps, then falls by half a cosine."""

    steps: int
    batch_size: int = 64
    rate: float = 2e-3
    weight_decay: float = 0.05
    #: Looks in a row, as a share of all, without getting better at what was left out, after which it ends.
    patience: float = 0.4

    def rate_at(self, step: int) -> float:
        done = min((step + 1) / self.steps, 1.0)
        return self.rate * (done / 0.1 if done < 0.1 else max(0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9)), 0.01))


class SequenceLearner:
    """Learns from rows of lessons; see `netloom.training.loop.Learner`.

    What is random comes from torch's global generator, as dropout has it: `train` lends it one.
    """

    def __init__(self, model: TokenTransformer, lessons: Lessons, schedule: Schedule) -> None:
        import torch

        tokens, lengths = lessons.padded()
        self.tokens, self.lengths = torch.from_numpy(tokens), torch.from_numpy(lengths)
        self.conditions = torch.from_numpy(lessons.conditions.astype(np.float32))
        self.model, self.schedule = model, schedule
        decayed = [value for value in model.parameters() if value.dim() > 1]
        other = [value for value in model.parameters() if value.dim() < 2]
        groups = [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": other, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98))
        self.steps = 0

    def loss(self, rows: Array, conditions: Tensor) -> Tensor:
        """Mean over tokens of the surprise at the next one."""
        import torch
        from torch.nn import functional

        lengths = self.lengths[rows]
        longest = int(lengths.max())
        tokens = self.tokens[rows, : longest + 1]
        logits = self.model(tokens[:, :-1], conditions)
        counted = torch.arange(longest)[None] < lengths[:, None]
        return functional.cross_entropy(logits[counted], tokens[:, 1:][counted])

    def step(self, batch: Array) -> float:
        import torch

        self.model.train()
        conditions = self.conditions[batch].clone()
        unasked = torch.rand(conditions.shape)
        conditions[:, 0].masked_fill_(unasked[:, 0] < _WITHOUT_SCORE, math.nan)
        conditions[:, 1:].masked_fill_(unasked[:, 1:] < _WITHOUT_COSTS, math.nan)
        loss = self.loss(batch, conditions)
        value = float(loss.detach())
        if math.isfinite(value):
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule.rate_at(self.steps)
            self.optimizer.step()
        self.steps += 1
        return value

    def surprise(self, rows: Array, conditions: Array | None = None) -> float:
        """Nats a token for these rows, asked for what they are, or for ``conditions`` (N, C)."""
        import torch

        self.model.eval()
        given = self.conditions if conditions is None else torch.from_numpy(conditions.astype(np.float32))
        with torch.no_grad():
            parts = np.array_split(rows, math.ceil(len(rows) / 256))
            weights = np.array([int(self.lengths[part].sum()) for part in parts], dtype=np.float64)
            return float(np.average([float(self.loss(part, given[part])) for part in parts], weights=weights))

    def train_score(self) -> float:
        return math.nan

    def snapshot(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        import torch

        return {
            "model": self.snapshot(), "optimizer": self.optimizer.state_dict(), "generator": torch.get_rng_state(),
            "steps": self.steps,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        import torch

        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["generator"])
        self.steps = state["steps"]


def train(model: TokenTransformer, lessons: Lessons, schedule: Schedule, *, seed: int, progress: bool = False) -> float:
    """Train the model on lessons; gives the surprise, in nats a token, at sequences that were left out (NaN without such).

    It ends early where what was left out is predicted no better; the best weights are kept. `GeneratorError` where training
    diverges.
    """
    import torch

    from ..training.loop import OK, Limits, run_loop
    from ..training.progress import Display

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lessons))
    num_out = round(_LEFT_OUT * len(lessons)) if len(lessons) >= _FEWEST else 0
    out, kept = order[:num_out], order[num_out:]
    learner = SequenceLearner(model, lessons, schedule)
    chances = lessons.weights[kept] / lessons.weights[kept].sum()
    per_epoch = min(_BETWEEN, schedule.steps)
    epochs = math.ceil(schedule.steps / per_epoch)

    def batches(epoch: int, first: int) -> Iterable[Array]:
        return _batches(lessons, kept, chances, per_epoch, schedule.batch_size, np.random.default_rng([seed, epoch]))[first:]

    def evaluate() -> tuple[float, float]:
        found = learner.surprise(out)
        return found, -found

    limits = Limits(epochs=epochs, patience=max(3, round(schedule.patience * epochs)) if num_out else None)
    with torch.random.fork_rng(devices=[]), Display(progress, epochs, per_epoch, "nats a token") as display:
        torch.manual_seed(seed)
        ended = run_loop(
            learner, batches, evaluate if num_out else None, limits,
            on_step=display.on_step if display.shows_steps else None, on_epoch=display.on_epoch(None),
        )  # fmt: skip
    if ended.status != OK:
        raise GeneratorError(f"the generator's training ended: {ended.status} {ended.error}; try a smaller rate")
    if ended.best is not None:
        model.load_state_dict(ended.best.state)
    model.eval()
    return -ended.best.score if ended.best is not None else math.nan


def _batches(lessons: Lessons, rows: Array, chances: Array, count: int, size: int, rng: np.random.Generator) -> list[Array]:
    """Batches of rows, each of sequences of much the same length, in random order."""
    drawn = rng.choice(rows, count * size, p=chances)
    lengths = np.array([len(lessons.sequences[row]) for row in drawn])
    found = []
    for part in np.array_split(np.arange(len(drawn)), max(count // _SORTED, 1)):
        ordered = drawn[part][lengths[part].argsort(kind="stable")]
        found += [ordered[i : i + size] for i in range(0, len(ordered), size)]
    return [found[i] for i in rng.permutation(len(found))]


def write(
    model: TokenTransformer, conditions: Array, most_tokens: int, *, temperature: float, generator: torch.Generator
) -> list[list[int]]:
    """One sequence of token numbers for each row of ``conditions`` (N, C)."""
    import torch

    model.eval()
    count = len(conditions)
    found = torch.zeros((count, most_tokens), dtype=torch.long)
    with torch.no_grad():
        condition = model.conditioning(torch.from_numpy(conditions.astype(np.float32)))
        token = torch.zeros(count, dtype=torch.long)
        ended = torch.zeros(count, dtype=torch.bool)
        cache = None
        for place in range(most_tokens):
            logits, cache = model.step(token, place, condition, cache)
            chances = torch.softmax(logits / temperature, dim=-1)
            token = torch.multinomial(chances, 1, generator=generator)[:, 0]
            ended |= token == 0
            token = token.masked_fill(ended, 0)
            found[:, place] = token
            if bool(ended.all()):
                break
    return [[number - 1 for number in row if number] for row in found.tolist()]
