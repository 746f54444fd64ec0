"""Inputs and outputs of every form: keywords, nests, optional parts, classes of the model's own."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch.nn.functional as F

from tests.tracing.cases import Tensor, case, conv, floats, ids, nn, together, torch


@case(lambda n: {"query": torch.randn(n, 5), "scale": torch.randn(n, 1)})
class KeywordOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 5)

    def forward(self, *, scale: Tensor, query: Tensor) -> Tensor:
        return self.fc(query) * scale


@case(floats(3, 6, 6))
class DictOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(3, 4), conv(4, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low = self.a(x)
        return {"out": self.b(low), "low": low, "same": low}


@case(floats(6))
class NestedOutput(nn.Module):
    """Lists in tuples in dicts, with None, numbers and strings among them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.fc(x)
        return {"pair": (y, [x * 2, None, (y.sum(),)]), "name": "nested", "count": 3, "nothing": None, "empty": [], "half": 0.5}


@case(lambda n: {"x": torch.randn(n, 6)})
class OptionalLeftOut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.cond = nn.Linear(6, 4), nn.Linear(3, 4)

    def forward(self, x: Tensor, condition: Tensor | None = None, gain: float = 2.0) -> Tensor:
        y = self.fc(x)
        if condition is not None:
            y = y + self.cond(condition)
        return y * gain


@case(lambda n: (torch.randn(n, 6), None, 3.0))
class OptionalGiven(nn.Module):
    """None and a number given by position."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor, condition: Tensor | None, gain: float) -> Tensor:
        return self.fc(x if condition is None else x + condition) / gain


class Heads(NamedTuple):
    """Two results by name."""

    classes: Tensor
    boxes: Tensor


@case(floats(6))
class NamedTupleOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classes, self.boxes = nn.Linear(6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Heads:
        return Heads(self.classes(x), self.boxes(x).sigmoid())


class Output(OrderedDict):
    """A dict whose entries are attributes too, as model libraries have them."""

    def __init__(self, **entries: Any) -> None:
        super().__init__((key, value) for key, value in entries.items() if value is not None)
        self.__dict__.update(entries)


@case(ids(5), exported=False)  # its outputs are of a class that torch.export does not know
class OutputClass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, tokens: Tensor) -> Output:
        hidden = self.embed(tokens)
        return Output(loss=None, logits=self.fc(hidden), hidden_states=(hidden, hidden.mean(1)))


@dataclass
class Prediction:
    """A plain dataclass of results."""

    mean: Tensor
    spread: Tensor
    kind: str = "normal"


@case(floats(6), exported=False)
class DataclassOutput(nn.Module):
    """torch.export wants such classes registered, so it is not asked."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Prediction:
        mean, spread = self.fc(x).chunk(2, -1)
        return Prediction(mean, F.softplus(spread))


@case(lambda n: ({"image": torch.randn(n, 3, 6, 6), "meta": {"scale": torch.randn(n, 1), "kind": "rgb"}},))
class NestedInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 4)

    def forward(self, batch: dict[str, Any]) -> Tensor:
        y = self.conv(batch["image"])
        if batch["meta"]["kind"] == "rgb":
            y = y * batch["meta"]["scale"][..., None, None]
        return y


@case(lambda n: ([torch.randn(n, 4), torch.randn(n, 6), torch.randn(n, 2)],))
class ListInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(d, 3) for d in (4, 6, 2))

    def forward(self, parts: list[Tensor]) -> list[Tensor]:
        return [layer(part) for layer, part in zip(self.layers, parts)]


@case(together(floats(4), floats(4), floats(4)))
class VariadicInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, *xs: Tensor) -> Tensor:
        return torch.stack([self.fc(x) for x in xs], dim=1)


@case(lambda n: {"b": torch.randn(n, 4), "a": torch.randn(n, 4), "flag": True})
class KeywordsCollected(nn.Module):
    """``**kwargs``, in the caller's order."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, flag: bool = False, **features: Tensor) -> dict[str, Tensor]:
        assert flag
        return {name: self.fc(value) for name, value in features.items()}


@case(floats(4))
class InputReturned(nn.Module):
    """The input comes back beside the result, untouched; the same value stands at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = self.fc(x)
        return y, x, y


@case(together(floats(4), floats(4)))
class UnusedInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor, ignored: Tensor) -> Tensor:
        return self.fc(x)


@case(floats(4), fresh=False)
class ParameterReturned(nn.Module):
    """A parameter, a buffer and a constant among the results; they do not depend on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.register_buffer("centre", torch.randn(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.fc(x) - self.centre, self.fc.weight, self.centre, torch.ones(2)


@case(floats(5, 4))
class SizesReturned(nn.Module):
    """Python numbers computed from shapes: fixed ones stay, one that follows the batch must follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, int, tuple[int, int]]:
        return self.fc(x), x.shape[0], (x.shape[1], x.shape[0] * x.shape[1])
