"""`load`: a task by its name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import TaskError
from .settings import Spec, read_settings, size_of_part, split_spec, whole
from .task import Task

#: What makes the task of a spec, given the folder for downloads and whether progress is shown.
Loader = Callable[[Spec, "str | Path | None", bool], Task]


def _digits(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    from .digits import digits

    _no_path(spec)
    part = size_of_part
    return digits(**read_settings(spec, {"seed": whole, "valid": part, "test": part, "train": part}), spec=spec.text)


def _cifar10(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    from .images.specs import cifar10

    return cifar10(spec, data_dir, show)


def _images(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    from .images.specs import images

    return images(spec, data_dir, show)


def _imagenet(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    from .images.specs import imagenet

    return imagenet(spec, data_dir, show)


def _table(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    from .tables.specs import table

    return table(spec, data_dir, show)


def _regression(spec: Spec, data_dir: str | Path | None, show: bool) -> Task:
    from .random_regression import regression

    try:
        seed = whole(spec.path)
    except ValueError:
        raise TaskError(f"task {spec.text[:120]!r}: expected regression:SEED, a whole number, as in regression:7") from None
    settings: dict[str, Any] = {key: _plain(value) for key, value in spec.settings.items()}
    return regression(seed, **settings)


#: Name of a task → what loads it; modules are imported when they are needed.
_LOADERS: dict[str, Loader] = {
    "cifar10": _cifar10,
    "digits": _digits,
    "imagenet": _imagenet,
    "images": _images,
    "regression": _regression,
    "table": _table,
}
#: How each is written, for errors and help.
FORMS = {
    "digits": "digits",
    "cifar10": "cifar10, or cifar10:FOLDER",
    "imagenet": "imagenet:FOLDER",
    "images": "images:FOLDER",
    "regression": "regression:SEED",
    "table": "table:FILE?target=COLUMN",
}


def names() -> tuple[str, ...]:
    """The tasks that `load` knows.

    >>> names()
    ('cifar10', 'digits', 'imagenet', 'images', 'regression', 'table')
    """
    return tuple(sorted(_LOADERS))


def load(spec: str, *, data_dir: str | Path | None = None, progress: bool = True) -> Task:
    """The task that ``spec`` names: ``NAME``, ``NAME:PATH``, with settings after ``?`` as ``key=value&…``.

    - ``digits``: 1,797 handwritten digits, 8×8; nothing to download
    - ``cifar10``: fetched into ``data_dir`` (default: the user's cache); ``cifar10:FOLDER``: where it is already
    - ``images:FOLDER``: class folders of images of any size, or train/ and test/ with such folders
    - ``imagenet:FOLDER``: train/ and val/ class folders, decoded on the way, random resized crops
    - ``table:FILE?target=COLUMN``: CSV, Parquet or ARFF; classification or regression, as the target is
    - ``regression:SEED``: a random regression task

    Settings of all: ``seed``, and ``valid``, ``test``, ``train``, each a share (``0.2``, ``20%``) or a number of samples
    (``cifar10`` and ``imagenet`` have a test part already); ``shots``, so many training samples of each class. Images:
    ``size`` (``64``, or ``48x64``: height × width), ``channels`` (1 or 3), ``scaling`` (``train``, ``imagenet`` or
    ``none``), ``broken`` (``refuse`` or ``skip``), ``memory``
    (``8G``; images that decode to more are streamed). Tables: see `netloom.tasks.from_frame`. The path in ``spec`` of the
    result is absolute. ``progress`` shows bars on a terminal. Raises `TaskError` for what it does not know or cannot read.

    >>> load("digits?seed=1").hash == load("digits").hash
    False
    >>> load("digits?valid=100&test=10%")
    <Task digits: 1×8×8, 10 classes, 1517 train, 100 valid, 180 test>
    """
    if not isinstance(spec, str):
        raise TaskError(f"a task is named by a string such as 'digits', not {spec!r}")
    parts = split_spec(spec)
    if parts.name not in _LOADERS:
        near = difflib.get_close_matches(parts.name, _LOADERS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        listing = f"there is: {'; '.join(FORMS.values())}; for your own data: nl.tasks.from_arrays(x, y)"
        raise TaskError(f"unknown task {parts.name[:80]!r}; {hint}{listing}")
    shots = parts.settings.pop("shots", None)
    task = _LOADERS[parts.name](_absolute(parts), data_dir, progress)
    return task if shots is None else _with_shots(task, shots)


def _with_shots(task: Task, shots: str) -> Task:
    from .few_shot import few_shot

    try:
        count = whole(shots)
    except ValueError:
        raise TaskError(f"task {task.spec[:120]!r}: shots = {shots[:80]!r}; expected a whole number from 1") from None
    return few_shot(task, count)


def _absolute(spec: Spec) -> Spec:
    """The same with an absolute path, so that a search can be resumed from another folder."""
    if not spec.path or spec.name in ("digits", "regression"):
        return spec
    path = os.path.abspath(os.path.expanduser(spec.path))
    return spec._replace(path=path, text=f"{spec.name}:{path}" + spec.text[len(spec.name) + 1 + len(spec.path) :])


def _no_path(spec: Spec) -> None:
    if spec.path:
        raise TaskError(f"task {spec.text[:120]!r}: {spec.name} takes no path; settings come after '?', as {spec.name}?seed=1")


def _plain(text: str) -> int | float | str:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
