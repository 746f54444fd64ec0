"""An exponential moving average of the weights of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: The average follows faster at first: its decay is steps / (FIRST + steps) until that exceeds the one asked for.
FIRST = 10


class Average:
    """The average of ``tensors`` (parameters and buffers by name) over the steps, which `update` goes on with.

    Numbers that are not real, such as counters, are taken as they are. (Polyak and Juditsky 1992; the decay grows as in
    Tarvainen and Valpola 2017)

    >>> import torch
    >>> weight = torch.zeros(1)
    >>> average = Average({"weight": weight}, decay=0.5)
    >>> average.update({"weight": weight.add_(1.0)})
    >>> with average.in_place({"weight": weight}):
    ...     during = weight.item()
    >>> round(during, 3), weight.item()
    (0.909, 1.0)
    """

    def __init__(self, tensors: Mapping[str, Any], decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.averages = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self._moving = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
        self._others = [name for name in tensors if name not in set(self._moving)]

    def update(self, tensors: Mapping[str, Any]) -> None:
        """Take the values of a further step in."""
        import torch

        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (FIRST + self.steps))
        averages = self.averages
        moving = [name for name in self._moving if averages[name].shape == tensors[name].shape]
        with torch.no_grad():
            torch._foreach_lerp_([averages[n] for n in moving], [tensors[n].detach() for n in moving], weight)
            for name in self._others:
                averages[name].copy_(tensors[name])
            if len(moving) < len(self._moving):  # buffers that grow
                averages.update({n: tensors[n].detach().clone() for n in set(self._moving) - set(moving)})

    @contextmanager
    def in_place(self, tensors: Mapping[str, Any]) -> Iterator[None]:
        """Inside, the tensors have the averages as their values, without a copy."""
        self.swap(tensors)
        try:
            yield
        finally:
            self.swap(tensors)

    def swap(self, tensors: Mapping[str, Any]) -> None:
        """Let the tensors and the averages exchange their values."""
        for name, average in self.averages.items():
            tensor = tensors[name]
            tensor.data, self.averages[name] = average, tensor.data

    def state_dict(self) -> dict[str, Any]:
        """Steps and averages."""
        return {"steps": self.steps, "averages": self.averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.steps = state["steps"]
        for name, saved in state["averages"].items():
            if self.averages[name].shape == saved.shape:
                self.averages[name].copy_(saved)
            else:
                self.averages[name] = saved.to(self.averages[name].device)
