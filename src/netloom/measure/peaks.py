"""`memory`: how many bytes a network needs, measured by watching tensors come and go."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .machine import machine_name
from .subject import device_of, inputs_for, module_of, tensors_of, whole_number
from .timing import callable_of, samples_in


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that one call of a network needs.

    ``peak_bytes`` is the most that the call holds at once beyond what was there before: inner values, temporary results and the
    output, in training also what is kept for the backward pass and the gradients. Parameters, buffers and inputs come on top:
    ``total_bytes`` is all together.
    """

    peak_bytes: int
    output_bytes: int
    parameter_bytes: int
    buffer_bytes: int
    input_bytes: int
    batch: int
    train: bool
    device: str
    machine: str

    @property
    def bytes(self) -> int:
        """The same as ``peak_bytes``."""
        return self.peak_bytes

    @property
    def total_bytes(self) -> int:
        """The peak with parameters, buffers and inputs."""
        return self.peak_bytes + self.parameter_bytes + self.buffer_bytes + self.input_bytes

    def __str__(self) -> str:
        what = "forward and backward" if self.train else "forward"
        return (
            f"{shown_bytes(self.peak_bytes)} at the peak of {what}, batch {self.batch}; parameters "
            f"{shown_bytes(self.parameter_bytes)}, buffers {shown_bytes(self.buffer_bytes)}, inputs "
            f"{shown_bytes(self.input_bytes)}: {shown_bytes(self.total_bytes)} in all, {self.device}"
        )


def memory(
    network: Any, *, batch: int = 1, train: bool = False, device: Any = None, inputs: Any = None, seed: int = 0
) -> Memory:
    """How many bytes a call of a network needs at most at once: a forward pass, or with ``train`` forward and backward.

    Arguments as for `latency`. Counted are the storages of all tensors that calls of torch give, from when they are made until
    nobody holds them any longer, in-place results and views not counted twice. Not counted: scratch space inside a kernel, what
    the allocator rounds up, and the state of an optimizer. On CUDA it is the allocator's own peak, scratch space included.

    >>> import netloom as nl
    >>> x = nl.input(1000)
    >>> found = nl.measure.memory(nl.Graph(x, nl.tanh(nl.linear(x, 500))), batch=8)
    >>> found.peak_bytes == 2 * 8 * 500 * 4, found.parameter_bytes == 4 * 500 * 1001, found.input_bytes == 4 * 8 * 1000
    (True, True, True)
    """
    whole_number("batch", batch)
    module = module_of(network, seed=seed)
    where = device_of(module, device)
    args, kwargs = inputs_for(network, inputs, batch, where)
    if inputs is not None:
        batch = samples_in((args, kwargs))
    call = callable_of(module.to(where), args, kwargs, train)
    module.zero_grad(set_to_none=True)
    held = [list(module.parameters()), list(module.buffers()), tensors_of((args, kwargs))]
    peak, outputs = _peak_on_cuda(call, where) if where.type == "cuda" else _peak_watched(call)
    before = {id(tensor.untyped_storage()) for tensors in held for tensor in tensors}
    made = {id(s): s.nbytes() for s in (t.untyped_storage() for t in tensors_of(outputs)) if id(s) not in before}
    parameters, buffers, given = map(_bytes, held)
    return Memory(peak, sum(made.values()), parameters, buffers, given, batch, train, str(where), machine_name(where))


def _peak_watched(call: Any) -> tuple[int, Any]:
    with StorageWatch() as watch:
        outputs = call()
    return watch.peak_bytes, outputs


def _peak_on_cuda(call: Any, device: torch.device) -> tuple[int, Any]:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    outputs = call()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before, outputs


class StorageWatch(TorchDispatchMode):
    """Counts the bytes of storages made while it is entered, and the most that were there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak_bytes = 0
        self._known: dict[int, Any] = {}
        self._finalizers: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # What was there before the call is somebody else's; in-place calls and views give it again.
        given = {id(tensor.untyped_storage()) for tensor in tensors_of((args, kwargs))}
        result = func(*args, **kwargs)
        for tensor in tensors_of(result):
            storage = tensor.untyped_storage()
            if id(storage) not in self._known and id(storage) not in given:
                self._saw(storage)
        return result

    def _saw(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()
        self._known[key] = size
        self.bytes += size
        self.peak_bytes = max(self.peak_bytes, self.bytes)
        finalizer = weakref.finalize(storage, self._gone, key, size)
        finalizer.atexit = False
        self._finalizers.append(finalizer)

    def _gone(self, key: int, size: int) -> None:
        self._known.pop(key, None)
        self.bytes -= size

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for finalizer in self._finalizers:
            finalizer.detach()


def _bytes(tensors: list[torch.Tensor]) -> int:
    """Bytes of the different storages of some tensors."""
    return sum({id(s): s.nbytes() for s in (tensor.untyped_storage() for tensor in tensors)}.values())


def shown_bytes(count: int) -> str:
    """A number of bytes as people read it.

    >>> shown_bytes(512), shown_bytes(3 * 2**20)
    ('512 B', '3.00 MiB')
    """
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.2f} {unit}"
    return f"{count} B"
