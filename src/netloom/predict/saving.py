"""Predictors as files: arrays and JSON in one safetensors file. Reading one never runs code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import PredictorError
from ..graph.tensor_files import write_whole
from .targets import Targets
from .transfer import PREFIX, Prior

if TYPE_CHECKING:
    import os

    from .predictor import Predictor

VERSION = 3
#: Entry points of other packages' predictors, by kind.
PLUGINS = "netloom.predictors"
_TARGETS = ("targets.values", "targets.learned")


def write(predictor: Predictor, path: str | os.PathLike[str]) -> Path:
    """See `Predictor.save`."""
    from safetensors.numpy import save_file

    arrays, data = as_data(predictor)
    if predictor._examples or predictor._reference is not None:
        arrays["reference.features"], arrays["reference.predictions"] = predictor.reference()
    header = {"netloom": json.dumps({"predictor": VERSION, **data})}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return write_whole(path, lambda partial: save_file(contiguous, partial, metadata=header), "the predictor", PredictorError)


def load(path: str | os.PathLike[str]) -> Predictor:
    """The predictor of a file that `Predictor.save` wrote; `PredictorError` for any other file."""
    from safetensors import SafetensorError, safe_open

    if Path(path).is_dir():
        raise PredictorError(f"{str(path)!r} is a folder; give the file of a predictor")
    try:
        with safe_open(path, framework="numpy") as file:
            document = (file.metadata() or {}).get("netloom", "")
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise PredictorError(f"{str(path)!r} cannot be read as a predictor: {error}") from None
    try:
        data = json.loads(document)
        if data["predictor"] != VERSION:
            raise PredictorError(f"{str(path)!r} is a predictor of version {data['predictor']!r}; this netloom reads {VERSION}")
        reference = [arrays.pop(name) for name in ("reference.features", "reference.predictions") if name in arrays]
        predictor = from_data(arrays, data)
        predictor._reference = (reference[0], reference[1]) if len(reference) == 2 else None
        predictor._file = str(path)
        return predictor
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        if isinstance(error, PredictorError):
            raise
        raise PredictorError(f"{str(path)!r} is no predictor that netloom wrote, or is damaged ({error!r})") from None


def as_data(predictor: Predictor) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and JSON data of a fitted predictor."""
    targets = predictor.targets
    arrays, data = predictor._state()
    settings = {"kind": predictor.kind, "types": predictor._types, "fidelity": predictor._fidelity, "state": data}
    if predictor._prior is not None:
        before, settings["prior"] = predictor._prior.as_data()
        arrays = arrays | before
    return {**arrays, "targets.values": targets.values, "targets.learned": targets.learned}, settings


def _kind(name: str) -> type[Predictor]:
    """The class of a kind: netloom's own, or of an entry point of another package that is installed."""
    from importlib.metadata import entry_points

    from . import KINDS

    if name in KINDS:
        return KINDS[name]
    for plugin in entry_points(group=PLUGINS, name=str(name)):
        found: type[Predictor] = plugin.load()
        return found
    raise PredictorError(f"unknown kind of predictor {str(name)[:80]!r}; there is: {', '.join(KINDS)}")


def from_data(arrays: dict[str, Any], data: dict[str, Any]) -> Predictor:
    """The predictor of what `as_data` gave."""
    predictor = _kind(data["kind"])()
    predictor._types = [tuple(tuple(shape) for shape in shapes) for shapes in data["types"]]
    predictor._fidelity = data["fidelity"]
    predictor._targets = Targets(arrays["targets.values"], arrays["targets.learned"])
    if "prior" in data:
        predictor._prior = Prior.from_data(arrays, data["prior"])
        arrays = {name: array for name, array in arrays.items() if not name.startswith(PREFIX)}
    predictor._restore({name: array for name, array in arrays.items() if name not in _TARGETS}, data["state"])
    return predictor
