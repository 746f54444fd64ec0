"""Training a hypernetwork in several processes: each samples its share of the networks of a step, gradients are summed."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import torch

from ..errors import HypernetworkError
from ..training.checkpoints import read_checkpoint

#: Settings of `train` that only the first process has.
_FIRST = ("out", "progress", "on_epoch")


def place() -> tuple[int, int]:
    """Which of how many processes that train together this one is."""
    import torch.distributed as distributed

    if not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def summed(parameters: list[Any]) -> None:
    """Sum gradients over processes; one that has none adds nothing."""
    import torch.distributed as distributed

    for parameter in parameters:
        grad = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
        distributed.all_reduce(grad)
        parameter.grad = grad


def train_together(devices: int, settings: dict[str, Any]) -> None:
    """Run `train` in so many new processes, on graphics cards where there are enough, else on the CPU (gloo).

    What is written (``out``, ``checkpoint``) is written by the first. Ends when all have ended; raises what one of them raised.
    """
    if settings.get("max_seconds") is not None:
        raise HypernetworkError("several processes stop together after epochs or steps, not after seconds; give --steps")
    cuda = torch.cuda.is_available() and torch.cuda.device_count() >= devices
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    import torch.multiprocessing as processes

    processes.spawn(_trained, (devices, port, cuda, settings), nprocs=devices, join=True)


def _trained(rank: int, devices: int, port: int, cuda: bool, settings: dict[str, Any]) -> None:
    import torch.distributed as distributed

    from .meta_training import train

    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("nccl" if cuda else "gloo", init_method=address, rank=rank, world_size=devices)
    try:
        if rank:
            settings = {name: value for name, value in settings.items() if name not in _FIRST}
        train(**{**settings, "device": f"cuda:{rank}" if cuda else "cpu"})
    finally:
        distributed.destroy_process_group()


class Following:
    """The checkpoint of the first process, which the others begin from and do not write; see `Saving`."""

    every_steps = None

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def read(self) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
        """Where the first process begins."""
        found = read_checkpoint(self.folder)
        return None if found is None else (found[1]["state"], found[1].get("best"))

    def is_due(self, steps: int) -> bool:
        """Never."""
        return False

    def after_epoch(self, loop: Any, learner: Any) -> None:
        """Nothing is written."""

    def write(self, loop: Any, learner: Any) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """Nothing is held."""
