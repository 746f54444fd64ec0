"""What a training starts from: files, predicted weights, noise and orthogonal ones."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import netloom as nl
from netloom.errors import FormatError, HypernetworkError, NetloomError


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 10))


class Exploit:
    def __reduce__(self) -> Any:
        return os.mkdir, ("exploited",)


def test_noise_follows_its_seed_and_spares_the_classifier() -> None:
    first, again, other, plain = (layers() for _ in range(4))
    for model, seed in ((first, 3), (again, 3), (other, 4)):
        assert nl.ghn.prepare(model, beta=0.1, from_layer=2, seed=seed) == 1
    assert torch.equal(first[1].weight, again[1].weight) and not torch.equal(first[1].weight, other[1].weight)
    assert torch.equal(first[0].weight, plain[0].weight) and torch.equal(first[2].weight, plain[2].weight)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beta": "x"}, "beta = 'x'; expected a number from 0"),
        ({"beta": float("nan")}, "beta = nan; expected a number from 0"),
        ({"beta": 1.0, "from_layer": 2.5}, "from_layer = 2.5; expected a whole number"),
        ({"beta": 1.0, "from_layer": 3}, "from_layer = 3, but the network has 3 layers, the last its classifier"),
        ({"beta": 1.0, "seed": "a"}, "seed = 'a'; expected a whole number"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(HypernetworkError, match=said):
        nl.ghn.prepare(layers(), **options)


def test_starts_from_a_file_by_its_path(tmp_path: Path) -> None:
    source, model = layers(), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 7))
    torch.save({"state_dict": source.state_dict()}, tmp_path / "weights.pt")
    told = nl.ghn.initialise(model, tmp_path / "weights.pt")
    assert "4 of 6 tensors from" in told[0] and torch.equal(model[1].weight, source[1].weight)


@pytest.mark.parametrize("how", ["", "ghn:", None, 3])
def test_what_is_no_start(how: Any) -> None:
    with pytest.raises(HypernetworkError, match="expected random, ghn:FILE, or a file of tensors"):
        nl.ghn.initialise(layers(), how, torch.zeros(1, 4))


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.pt").write_text("hello, this is text and no tensors")
    Path("exploit.pt").write_bytes(pickle.dumps(Exploit(), protocol=4))
    for name in ("text.pt", "exploit.pt"):
        with pytest.raises(FormatError, match="cannot be read as tensors alone"):
            nl.ghn.initialise(layers(), name)
    with pytest.raises(NetloomError, match="there is no such file"):
        nl.ghn.initialise(layers(), "absent.pt")
    assert not Path("exploited").exists()
