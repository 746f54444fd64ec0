"""From a PyTorch dataset to a task."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

from ..errors import TaskError
from .arrays import from_arrays
from .progress import progress
from .task import Task

if TYPE_CHECKING:
    import numpy

#: Samples of more bytes than this together are refused: a dataset is read whole.
MEMORY_BYTES = 2 * 2**30


def from_dataset(
    dataset: Any,
    *,
    valid: Any = 0.2,
    test: Any = 0.2,
    name: str | None = None,
    memory_bytes: int = MEMORY_BYTES,
    show: bool = True,
    **settings: Any,
) -> Task:
    """The task of a `torch.utils.data.Dataset` (or any sequence or iterable) of pairs (x, y), read once, whole.

    x: a tensor or array of numbers, or an image (Pillow), all of one shape; y: a class of any kind, a number or several.
    ``valid`` and ``test`` are datasets of their own, shares or numbers of samples; other settings are those of `from_arrays`.
    Images become uint8 (C, H, W). Random transforms of the dataset act once: leave augmentation to the recipe. Class names are
    those of ``dataset.classes`` where it has them. Raises `TaskError` for samples that do not fit each other, or that together
    take more than ``memory_bytes``.

    >>> import torch
    >>> data = torch.utils.data.TensorDataset(torch.randn(50, 3), torch.arange(50) % 2)
    >>> from_dataset(data, valid=10, test=10)
    <Task TensorDataset: 3, 2 classes, 30 train, 10 valid, 10 test>
    """
    name = name or type(dataset).__name__
    x, y = _read(name, dataset, memory_bytes, show)
    parts = {"valid": valid, "test": test}
    for part, given in parts.items():
        if not isinstance(given, Real):
            parts[part] = _read(f"{name} ({part})", given, memory_bytes, show)
    classes = getattr(dataset, "classes", None)
    if "class_names" not in settings and isinstance(classes, (list, tuple)) and y.dtype.kind in "iu" and y.ndim == 1:
        settings["class_names"] = tuple(str(one) for one in classes)
    return from_arrays(x, y, name=name, **parts, **settings)


def _read(name: str, dataset: Any, memory_bytes: int, show: bool) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy as np

    inputs: list[numpy.ndarray] = []
    targets: list[Any] = []
    count = len(dataset) if hasattr(dataset, "__len__") else None
    with progress(f"reading {name}", count, show=show) as done:
        for place, sample in enumerate(_samples(dataset, count)):
            if not isinstance(sample, (tuple, list)) or len(sample) != 2:
                raise TaskError(f"task {name!r}: sample {place} is a {type(sample).__name__}; expected a pair (x, y)")
            inputs.append(_input(name, place, sample[0]))
            targets.append(_plain(sample[1]))
            if inputs[-1].shape != inputs[0].shape or inputs[-1].dtype != inputs[0].dtype:
                raise TaskError(
                    f"task {name!r}: sample {place} is {inputs[-1].dtype} of shape {inputs[-1].shape}, "
                    f"sample 0 {inputs[0].dtype} of shape {inputs[0].shape}; make them alike in the dataset's transform"
                )
            if inputs[0].nbytes * (count or len(inputs)) > memory_bytes:
                raise TaskError(
                    f"task {name!r}: its samples take {inputs[0].nbytes * (count or len(inputs)):,} bytes, more than "
                    f"{memory_bytes:,}; raise memory_bytes=, make them smaller, or stream a folder of images (images:FOLDER)"
                )
            done(1)
    if not inputs:
        raise TaskError(f"task {name!r}: the dataset has no samples")
    try:
        return np.stack(inputs), np.array(targets)
    except ValueError as error:
        raise TaskError(f"task {name!r}: targets do not fit each other ({error})") from None


def _samples(dataset: Any, count: int | None) -> Any:
    """Map-style datasets by index: many have no end for ``iter``."""
    if count is None or not hasattr(dataset, "__getitem__"):
        return iter(dataset)
    return (dataset[place] for place in range(count))


def _input(name: str, place: int, x: Any) -> numpy.ndarray:
    import numpy as np

    if hasattr(x, "getbands"):  # a Pillow image
        image = x if x.mode in ("L", "RGB") else x.convert("L" if x.mode in ("1", "LA") else "RGB")
        pixels = np.array(image)
        return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    array = _plain(x)
    array = np.asarray(array)
    if array.dtype.kind not in "iufb":
        raise TaskError(f"task {name!r}: x of sample {place} is a {type(x).__name__}; expected numbers or an image")
    if array.ndim == 0:
        array = array[None]
    return array if array.dtype == np.uint8 else array.astype(np.float32)


def _plain(value: Any) -> Any:
    """Tensors as arrays, single numbers as numbers."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return value.item() if value.ndim == 0 else value.float().numpy() if value.is_floating_point() else value.numpy()
    return value
