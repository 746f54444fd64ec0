"""Generators as files: arrays and JSON in one safetensors file. Reading one never runs code."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GeneratorError, NetloomError
from ..graph.tensor_files import write_whole
from ..predict.saving import as_data as predictor_data
from ..predict.saving import from_data as predictor_of
from ..predict.targets import Targets
from .conditions import Conditions
from .families import Family
from .fitting import Settings, made_transformer
from .learned import Known, Learned

if TYPE_CHECKING:
    import os

    from ..spaces import Space
    from .token_generator import TokenGenerator
    from .transformer import TokenTransformer

Array = np.ndarray[Any, Any]

VERSION = 1
_MODEL, _GUIDE = "model.", "guide."
#: The largest number in the text of a space that a file may ask for: each would be worked out before anything is checked.
_LARGEST = 10_000_000_000
_MOST_PARTS = 1000
#: What reading data that somebody changed may raise.
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError, MemoryError)


def write(generator: TokenGenerator, path: str | os.PathLike[str]) -> Path:
    """See `TokenGenerator.save`."""
    from safetensors.numpy import save_file

    learned = generator.learned
    known, conditions = learned.known, learned.conditions
    arrays: dict[str, Array] = {_MODEL + name: value.numpy() for name, value in learned.model.state_dict().items()}
    arrays |= {
        "tokens": np.concatenate([np.array(sequence, dtype=np.int32) for sequence in known.sequences]),
        "lengths": np.array([len(sequence) for sequence in known.sequences], dtype=np.int32),
        "scores": known.scores, "costs": known.costs, "means": conditions.means, "deviations": conditions.deviations,
    }  # fmt: skip
    document: dict[str, Any] = {
        "generator": VERSION, "family": learned.family.as_data(), "hashes": known.hashes,
        "settings": asdict(generator.settings), "most_tokens": learned.most_tokens, "best": learned.best,
        "surprise": None if np.isnan(generator.surprise) else generator.surprise, "guide": None,
    }  # fmt: skip
    if learned.guide is not None:
        own, document["guide"] = predictor_data(learned.guide)
        arrays |= {_GUIDE + name: array for name, array in own.items()}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {"netloom": json.dumps(document)}
    return write_whole(path, lambda partial: save_file(contiguous, partial, metadata=header), "the generator", GeneratorError)


def load(path: str | os.PathLike[str], *, space: Space | str | None = None) -> TokenGenerator:
    """The generator of a file that `TokenGenerator.save` wrote; `GeneratorError` for any other file.

    ``space`` must be given where it was fitted in one of somebody's own: a file does not say what is to be imported.
    """
    from safetensors import SafetensorError, safe_open

    if Path(path).is_dir():
        raise GeneratorError(f"{str(path)!r} is a folder; give the file of a generator")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("netloom", "")
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError, TypeError) as error:
        raise GeneratorError(f"{str(path)!r} cannot be read as a generator: {error}") from None
    try:
        document = json.loads(text)
        if document["generator"] != VERSION:
            found = document["generator"]
            raise GeneratorError(f"{str(path)!r} is a generator of version {found!r}; this netloom reads {VERSION}")
        return _from_data(arrays, document, space)
    except GeneratorError:
        raise
    except (*_DAMAGE, NetloomError) as error:
        raise GeneratorError(f"{str(path)!r} is no generator that netloom wrote, or is damaged ({error!r:.300})") from None


def _from_data(arrays: dict[str, Array], document: dict[str, Any], space: Space | str | None) -> TokenGenerator:
    from .token_generator import TokenGenerator

    _check_text(str(document["family"]["space"]) if space is None else "")
    family = Family.from_data(document["family"], space)
    guide = None
    if document["guide"] is not None:
        own = {name.removeprefix(_GUIDE): array for name, array in arrays.items() if name.startswith(_GUIDE)}
        guide = predictor_of(own, document["guide"])
    made = TokenGenerator(
        family.space if family.space is not None else family.notation,
        predictor=None if guide is None else type(guide).__name__, **document["settings"],
    )  # fmt: skip
    vocabulary = len(family.notation.vocabulary)
    known = Known(_sequences(arrays, vocabulary), _hashes(document), arrays["scores"], arrays["costs"])
    if not len(known) == len(known.sequences) == len(known.scores) == len(known.costs):
        raise GeneratorError("the generator's sequences, hashes, scores and costs are not equally many")
    conditions = Conditions(Targets.of(known.scores), arrays["means"], arrays["deviations"])
    model = _model(arrays, made.settings, vocabulary, document["most_tokens"])
    made._learned = Learned(family, known, conditions, model, document["most_tokens"], guide, float(document["best"]))
    made.surprise = float("nan") if document["surprise"] is None else float(document["surprise"])
    return made


def _model(arrays: dict[str, Array], settings: Settings, vocabulary: int, most_tokens: int) -> TokenTransformer:
    """The transformer of a file; its sizes are held against the arrays before anything is made."""
    import torch

    state = {name.removeprefix(_MODEL): torch.from_numpy(a) for name, a in arrays.items() if name.startswith(_MODEL)}
    expected = [(vocabulary + 1, settings.width), (most_tokens + 1, settings.width)]
    found = [tuple(state[name].shape) for name in ("tokens.weight", "places.weight")]
    if found != expected or sum(name.endswith("merge.weight") for name in state) != settings.layers:
        raise GeneratorError(f"the generator's arrays have sizes {found}; its settings say {expected}")
    model = made_transformer(settings, vocabulary, most_tokens)
    model.load_state_dict(state)
    return model.eval()


def _check_text(spec: str) -> None:
    """`GeneratorError` for a space whose numbers are there to take all memory."""
    for name, number in re.findall(r"([A-Za-z_]+)=(\d+)", spec):
        most = _LARGEST if name.startswith("max_") else _MOST_PARTS if name in ("N", "conv_num", "lin_num") else 10**6
        if int(number) > most:
            raise GeneratorError(f"the space of the generator has {name} = {number}; refused above {most}")


def _sequences(arrays: dict[str, Array], vocabulary: int) -> list[list[int]]:
    tokens, lengths = arrays["tokens"], arrays["lengths"]
    if tokens.min(initial=0) < 0 or tokens.max(initial=0) >= vocabulary or lengths.min(initial=0) < 0:
        raise GeneratorError(f"the generator has tokens beyond its {vocabulary}")
    if int(lengths.sum()) != len(tokens):
        raise GeneratorError(f"the generator has {len(tokens)} tokens for sequences of {int(lengths.sum())}")
    ends = lengths.cumsum()
    return [tokens[end - length : end].tolist() for end, length in zip(ends, lengths)]


def _hashes(document: dict[str, Any]) -> list[str]:
    hashes = document["hashes"]
    if not isinstance(hashes, list) or not all(isinstance(hash, str) for hash in hashes):
        raise GeneratorError("the generator's hashes are no list of texts")
    return hashes
