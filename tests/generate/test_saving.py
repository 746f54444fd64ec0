"""Files of generators: the same generator comes back, and nothing but a generator does."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netloom as nl
from netloom.errors import GeneratorError
from netloom.generate import TokenGenerator, load
from tests.generate.test_token_generator import SMALL, SPACES, drawn, size_scores


def fitted(name: str, **settings: Any) -> tuple[TokenGenerator, list[nl.Graph]]:
    space = SPACES[name]()
    graphs = drawn(space, 30)
    return TokenGenerator(space, **{**SMALL, "steps": 20, "predictor": "Trees", **settings}).fit(
        graphs, size_scores(graphs)
    ), graphs


def hashes(generator: TokenGenerator) -> list[str]:
    return [graph.hash for graph in generator.sample(5, seed=4)]


@pytest.mark.parametrize("name", ["mlp", "conv", "nasbench201"])
def test_a_generator_comes_back(name: str, tmp_path: Path) -> None:
    generator, graphs = fitted(name)
    path = generator.save(tmp_path / "generator.safetensors")
    other = load(path)
    assert hashes(other) == hashes(generator) and other.settings == generator.settings
    assert np.allclose(other.predict(graphs), generator.predict(graphs))
    more = drawn(SPACES[name](), 10, seed=9)
    generator.refit(more, size_scores(more))
    assert hashes(other.refit(more, size_scores(more))) == hashes(generator)


def test_a_space_of_ones_own_has_to_be_given(tmp_path: Path) -> None:
    generator, _ = fitted("function", predictor=None)
    path = generator.save(tmp_path / "own.safetensors")
    with pytest.raises(GeneratorError, match="space of somebody's own.*load.path, space="):
        load(path)
    assert hashes(load(path, space=generator.space)) == hashes(generator)  # type: ignore[arg-type]


class Exploit:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code of a file was executed')",)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, safe_open, save_file

    generator, _ = fitted("mlp")
    path = generator.save(tmp_path / "generator.safetensors")
    whole = path.read_bytes()
    arrays = load_file(path)
    with safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["netloom"])
    for content in (b"", pickle.dumps(Exploit()), whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(GeneratorError):
            load(path)
    width = {**document["settings"], "width": 10**9}
    family = document["family"]
    for changed, other in (
        ({"generator": 99}, {}), ({"settings": width}, {}), ({"most_tokens": 10**9}, {}), ({"hashes": ["x"]}, {}),
        ({"family": {**family, "space": "os:system"}}, {}), ({"family": {**family, "vocabulary": ["a"]}}, {}),
        ({"family": {**family, "space": family["space"].replace("layers=1", "layers=99999999999")}}, {}),
        ({"settings": {**document["settings"], "surprise": 1}}, {}), ({"guide": {"kind": "os"}}, {}),
        ({}, {"tokens": arrays["tokens"] + 1000}), ({}, {"model.tokens.weight": np.zeros((2, 2), np.float32)}),
        ({}, {"scores": arrays["scores"][1:]}),
    ):  # fmt: skip
        save_file({**arrays, **other}, path, metadata={"netloom": json.dumps({**document, **changed})})
        with pytest.raises(GeneratorError):
            load(path)
    save_file(arrays, path)
    with pytest.raises(GeneratorError, match="is no generator that netloom wrote"):
        load(path)
    with pytest.raises(GeneratorError, match="cannot be written"):
        generator.save(tmp_path / "missing" / "generator.safetensors")
