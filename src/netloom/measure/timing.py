"""`latency`: how long a network takes, measured."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MeasureError
from .kept_memory import keep_freed
from .machine import machine_name
from .subject import device_of, inputs_for, module_of, tensors_of, whole_number

if TYPE_CHECKING:
    import torch

#: Without a number of repeats: at least so many, then until the median is known to `MARGIN` or `SECONDS` have gone by.
FEWEST, MOST = 20, 2000
MARGIN = 0.02
SECONDS = 2.0
#: Calls before the clock runs: they fill caches, choose kernels and start threads.
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one call took: the median of ``repeats`` calls, in seconds, and under what conditions.

    ``quartiles`` are those of the calls. The median lies within ``margin`` (a share of it) with 95 % confidence, as far as
    calls are independent; a margin above a few per cent says that the machine was busy with other things. ``cpu_seconds`` is
    the median of the processor time of a call, all threads added up: with one thread what the clock would show if the machine
    had nothing else to do.
    """

    seconds: float
    quartiles: tuple[float, float]
    fastest_seconds: float
    cpu_seconds: float
    margin: float
    repeats: int
    warm_up: int
    batch: int
    threads: int
    train: bool
    device: str
    machine: str

    @property
    def samples_per_second(self) -> float:
        """Samples that go through in a second."""
        return self.batch / self.seconds

    @property
    def shown_margin(self) -> str:
        """How well the median is known, in words."""
        return f"known to ±{self.margin:.1%}" if math.isfinite(self.margin) else "too few to say how well it is known"

    def __float__(self) -> float:
        return self.seconds

    def __str__(self) -> str:
        low, high = self.quartiles
        what = "forward and backward" if self.train else "forward"
        return (
            f"{shown_seconds(self.seconds)} a call (quartiles {shown_seconds(low)} to {shown_seconds(high)}; median of "
            f"{self.repeats}, {self.shown_margin}), {what}, batch {self.batch}, "
            f"{self.threads} thread{'s' * (self.threads != 1)}, {self.device}: {self.machine}"
        )


def latency(
    network: Any,
    *,
    batch: int = 1,
    threads: int | None = None,
    repeats: int | None = None,
    warm_up: int = WARM_UP,
    device: Any = None,
    train: bool = False,
    inputs: Any = None,
    max_seconds: float = SECONDS,
    seed: int = 0,
) -> Latency:
    """How long a call of a network takes: the median of repeated calls after a warm-up.

    ``network`` is a graph (fresh weights from ``seed``), a Network, or any module with ``inputs`` (as `nl.trace` takes them;
    ``batch`` is then their first size). A copy runs, in evaluation mode without gradients; with ``train`` in training mode,
    forward and the backward pass of the sum of its outputs, without an optimizer. ``threads`` is torch's number for the call
    (default: as it is set). Without ``repeats`` calls are repeated at least 20 times and then until the median is known to 2 %
    (95 % confidence) or ``max_seconds`` are over. On an accelerator the clock stops when it is done.
    `MeasureError` for what is no network, does not run on the inputs, or for numbers that make no sense.

    >>> import netloom as nl
    >>> x = nl.input(3, 16, 16)
    >>> found = nl.measure.latency(nl.Graph(x, nl.relu(nl.conv2d(x, 8, kernel=3))), batch=4, threads=1, repeats=50)
    >>> 0 < found.fastest_seconds <= found.quartiles[0] <= found.seconds <= found.quartiles[1]
    True
    >>> found.repeats, found.batch, found.threads, found.device
    (50, 4, 1, 'cpu')
    """
    whole_number("batch", batch)
    whole_number("warm_up", warm_up, 0)
    if repeats is not None:
        whole_number("repeats", repeats)
    if threads is not None:
        whole_number("threads", threads)
    module = module_of(network, seed=seed)
    where = device_of(module, device)
    args, kwargs = inputs_for(network, inputs, batch, where)
    if inputs is not None:
        batch = samples_in((args, kwargs))
    call = callable_of(module.to(where), args, kwargs, train)
    keep_freed()  # or the same network would be faster after the first training of this process than before
    with using_threads(threads) as used:
        times, cpu_times = timed(call, where, repeats, warm_up, max_seconds)
    times.sort()
    median = statistics.median(times)
    return Latency(
        median, (_quantile(times, 0.25), _quantile(times, 0.75)), times[0], statistics.median(cpu_times), margin_of(times),
        len(times), warm_up, batch, used, train, str(where), machine_name(where),
    )  # fmt: skip


def callable_of(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], train: bool) -> Callable[[], Any]:
    """One forward pass, or forward and backward, as a function; `MeasureError` where it cannot be called."""
    import torch

    module.train(train)

    def forward() -> Any:
        with torch.inference_mode():
            return module(*args, **kwargs)

    def step() -> Any:
        with torch.enable_grad():
            module.zero_grad(set_to_none=True)
            outputs = module(*args, **kwargs)
            taking = [tensor.sum() for tensor in tensors_of(outputs) if tensor.requires_grad]
            if taking:
                torch.stack(taking).sum().backward()
            return outputs

    call = step if train else forward
    try:
        call()
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        mode = "in training mode" if train else "in evaluation mode"
        raise MeasureError(f"the network cannot be run {mode} on such inputs: {type(error).__name__}: {error}") from error
    return call


def timed(
    call: Callable[[], Any], device: torch.device, repeats: int | None, warm_up: int, max_seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds and processor seconds of each of repeated calls, the garbage collector held back."""
    wait = _waiting(device)
    for _ in range(warm_up):
        call()
    wait()
    times: list[float] = []
    cpu_times: list[float] = []
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        begun = time.perf_counter()
        while not _enough(times, repeats, time.perf_counter() - begun >= max_seconds):
            cpu_start, start = time.process_time(), time.perf_counter()
            call()
            wait()
            end, cpu_end = time.perf_counter(), time.process_time()
            times.append(end - start)
            cpu_times.append(cpu_end - cpu_start)
    finally:
        if collecting:
            gc.enable()
    return times, cpu_times


def _enough(times: list[float], repeats: int | None, over: bool) -> bool:
    count = len(times)
    if repeats is not None:
        return count >= repeats
    if count < FEWEST:
        return False
    if count >= MOST or over:
        return True
    # Sorting after every call would itself take time.
    return count % 10 == 0 and margin_of(sorted(times)) <= MARGIN


def _waiting(device: torch.device) -> Callable[[], None]:
    """What waits for an accelerator to have done everything it was given."""
    import torch

    if device.type == "cpu":
        return lambda: None
    accelerator = getattr(torch, device.type)
    return lambda: accelerator.synchronize()


@contextmanager
def using_threads(threads: int | None) -> Iterator[int]:
    """Torch's number of threads in here; gives the number in use."""
    import torch

    before = torch.get_num_threads()
    try:
        if threads is not None and threads != before:
            torch.set_num_threads(threads)
        yield torch.get_num_threads()
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def samples_in(tree: Any) -> int:
    """The first size of the first tensor."""
    first = next((tensor for tensor in tensors_of(tree) if tensor.ndim), None)
    return 1 if first is None else int(first.shape[0])


# -- statistics of repeats ---------------------------------------------------------------------------------------------
def margin_of(ordered: list[float]) -> float:
    """Half the width of the median's 95 % interval, by order statistics, as a share of the median. Infinite below 6 values.

    The interval is between the values of ranks n/2 ± 0.98 √n, whatever the distribution (Conover, "Practical Nonparametric
    Statistics", 1999, section 3.2).

    >>> margin_of([1.0] * 20), margin_of([1.0, 2.0])
    (0.0, inf)
    """
    count = len(ordered)
    if count < 6:
        return math.inf
    reach = 0.98 * math.sqrt(count)
    low = max(0, math.floor(count / 2 - reach))
    high = min(count - 1, math.ceil(count / 2 + reach))
    return (ordered[high] - ordered[low]) / 2 / statistics.median(ordered)


def _quantile(ordered: list[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def shown_seconds(seconds: float) -> str:
    """A time as people read it.

    >>> shown_seconds(0.0000213), shown_seconds(0.0123), shown_seconds(2.5)
    ('21.3 µs', '12.3 ms', '2.50 s')
    """
    factor, unit = next((pair for pair in ((1, "s"), (1e3, "ms")) if seconds * pair[0] >= 1), (1e6, "µs"))
    value = seconds * factor
    return f"{value:,.0f} {unit}" if value >= 99.95 else f"{value:#.3g} {unit}"
