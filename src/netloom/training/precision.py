"""Lower precision where it is faster, and memory layouts."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..errors import TrainingError
from ..graph.graph import Graph
from .recipes import PRECISIONS


def resolve(precision: str, device: Any) -> str:
    """``"auto"`` as what it means on a device: ``"bfloat16"`` where the hardware multiplies it faster, else ``"float32"``.

    `TrainingError` for a precision that there is not.
    """
    import torch

    if precision not in PRECISIONS:
        raise TrainingError(f"precision = {precision!r}; expected one of {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    kind = torch.device(device).type
    if kind == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float32"
    if kind == "cpu":
        return "bfloat16" if multiplies_bfloat16() else "float32"
    return "float32"


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions that multiply matrices of bfloat16 (AMX, AVX-512 BF16 or ARM's)."""
    import torch

    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def miscomputed(graph: Graph) -> str | None:
    """The name of a convolution whose gradient processors get wrong in lower precision, if the graph has one.

    Where a stride exceeds the size of a padded input, oneDNN (with torch 2.13, on AMX) leaves parts of the weight's gradient as
    they lay in memory.

    >>> import netloom as nl
    >>> x = nl.input(8, 2, 2)
    >>> miscomputed(nl.Graph(x, nl.conv2d(x, 4, kernel=3, stride=3, padding=1, name="conv")))
    'conv'
    """
    for step in graph.steps:
        strides, paddings = step.args.get("stride"), step.args.get("padding")
        if step.op in ("conv1d", "conv2d", "conv3d") and isinstance(strides, tuple) and isinstance(paddings, tuple):
            sizes = graph.type_of(step.args["x"]).shape[-len(strides) :]
            for size, stride, padding in zip(sizes, strides, paddings):
                if isinstance(size, int) and padding and stride > size:
                    return step.name
    return None


def autocast(precision: str, device: Any) -> AbstractContextManager[Any]:
    """The region in which a network is called for a precision."""
    import torch

    resolved = resolve(precision, device)
    if resolved == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, getattr(torch, resolved))


#: Below so many FLOPs a sample what a layout saves is less than what it costs.
_FEWEST_FLOPS = 100_000


def better_channels_last(network_or_graph: Any, device: Any) -> bool:
    """Whether a network trains faster when images lie with their channels last; False for what is no graph of ours.

    On processors pooling, and most convolutions and norms, are: NAS-Bench-201's cells up to twice as fast, others by a tenth
    to a half. A graph with two such calls or more is asked for, and none that is opaque: it might look at how memory is laid
    out.

    >>> import netloom as nl
    >>> x = nl.input(3, 32, 32)
    >>> y = nl.max_pool2d(nl.conv2d(x, 16, kernel=3), kernel=2)
    >>> better_channels_last(nl.Graph(x, nl.linear(nl.flatten(y), 10)), "cpu")
    True
    """
    import torch

    graph = getattr(network_or_graph, "graph", network_or_graph)
    if torch.device(device).type != "cpu" or not isinstance(graph, Graph):
        return False
    ops = [step.op for step in graph.steps]
    return "opaque" not in ops and sum(op.endswith("2d") for op in ops) >= 2 and graph.flops >= _FEWEST_FLOPS


def laid_out(x: Any, channels_last: bool) -> Any:
    """Images (N, C, H, W) with their channels next to each other in memory, where that is asked for."""
    import torch

    return x.contiguous(memory_format=torch.channels_last) if channels_last and x.ndim == 4 else x


class Scaler:
    """Scales a float16 loss so that small gradients are not lost, and adapts the scale where gradients overflow.

    (Micikevicius et al. 2018) Nothing waits for the device: whether a step is skipped is a tensor.
    """

    FIRST_SCALE, GROWTH, BACKOFF, STEPS_BETWEEN_GROWTHS = 2.0**16, 2.0, 0.5, 2000

    def __init__(self, device: Any) -> None:
        import torch

        self.scale = torch.full((1,), self.FIRST_SCALE, device=device)
        self.growth = torch.zeros(1, dtype=torch.int32, device=device)

    def unscale(self, gradients: list[Any]) -> Any:
        """Gradients of the loss itself, in place; gives 1 where some are not finite and the step is to be skipped, else 0."""
        import torch

        overflow = torch.zeros((), device=self.scale.device)
        by_dtype: dict[Any, list[Any]] = {}
        for gradient in gradients:
            by_dtype.setdefault(gradient.dtype, []).append(gradient)
        for same in by_dtype.values():
            torch._amp_foreach_non_finite_check_and_unscale_(same, overflow, self.scale.reciprocal())
        torch._amp_update_scale_(
            self.scale, self.growth, overflow, self.GROWTH, self.BACKOFF, self.STEPS_BETWEEN_GROWTHS
        )
        return overflow

    def state_dict(self) -> dict[str, Any]:
        """Scale and steps since it last changed."""
        return {"scale": self.scale, "growth": self.growth}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.scale.copy_(state["scale"])
        self.growth.copy_(state["growth"])
