"""Ranking networks that nobody trained, and the papers' tables beside what is measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.errors import HypernetworkError
from netloom.ghn.candidates import Candidates
from netloom.ghn.published import TABLES
from netloom.ghn.reproducing import reproduce
from tests.ghn.networks import small

DATA = "digits?train=80&valid=64&test=40"


def candidates(split: str = "search", channels: int | None = 8) -> Candidates:
    return Candidates(nl.tasks.load(DATA), split, channels=channels)


def test_the_best_come_first_with_names_that_mean_them() -> None:
    ghn = small(max_shape=(8, 8, 3, 3), hid=8)
    found = nl.ghn.rank(ghn, candidates(), range(4), max_samples=64)
    assert sorted(row.number for row in found) == [0, 1, 2, 3]
    assert [row.accuracy for row in found] == sorted((row.accuracy for row in found), reverse=True)
    from netloom.cli.networks import load_for

    assert load_for(found[0].name, nl.tasks.load(DATA)).hash == found[0].hash
    alone = nl.ghn.evaluate(ghn, [candidates()[found[0].number]], DATA, max_samples=64)
    assert alone.top1[0] == found[0].accuracy


def test_a_ranking_goes_on_after_it_was_cut(tmp_path: Path) -> None:
    ghn, file = small(max_shape=(8, 8, 3, 3), hid=8), tmp_path / "ranks.jsonl"
    whole = nl.ghn.rank(ghn, candidates(), range(3), max_samples=64, file=file)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], lines[3][:20]]))
    seen: list[str] = []
    again = nl.ghn.rank(ghn, candidates(), range(3), max_samples=64, file=file, on_network=lambda _, row: seen.append(row.name))
    assert again == whole and len(seen) == 3 and file.read_text().splitlines() == lines
    with pytest.raises(HypernetworkError, match="ranks other networks, by another hypernetwork or other data"):
        nl.ghn.rank(ghn, candidates(channels=16), range(3), max_samples=64, file=file)


def test_files_that_are_no_rankings(tmp_path: Path) -> None:
    ghn, file = small(max_shape=(8, 8, 3, 3), hid=8), tmp_path / "ranks.jsonl"
    first = nl.ghn.rank(ghn, candidates(), [1], max_samples=64, file=file)
    file.write_text(file.read_text() + '[1]\n{"number": 2}\n5\n')
    assert nl.ghn.rank(ghn, candidates(), [1], max_samples=64, file=file) == first
    with pytest.raises(HypernetworkError, match="cannot be read as a ranking"):
        nl.ghn.rank(ghn, candidates(), [1], file=tmp_path)
    with pytest.raises(HypernetworkError, match="max_samples = 0"):
        nl.ghn.rank(ghn, candidates(), [1], max_samples=0)
    with pytest.raises(HypernetworkError, match="seed = -1; expected a whole number from 0"):
        Candidates(nl.tasks.load(DATA), space="mlp", seed=-1)


def test_a_network_that_fails_is_last(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mixed:
        spec = "mixed"

        def sample(self, rng: object) -> nl.Graph:
            x = nl.input(3, 8, 8)  # the images have one channel
            return nl.Graph(x, nl.linear(nl.flatten(x), 10))

    found = nl.ghn.rank(small(), Candidates(nl.tasks.load(DATA), space=Mixed()), [0])
    assert math.isnan(found[0].accuracy) and found[0].error


def test_rank_prints_a_name_to_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small(max_shape=(8, 8, 3, 3), hid=8).save(tmp_path / "ghn.safetensors")
    out, best = tmp_path / "ranks.jsonl", tmp_path / "best.json"
    begin = ["ghn", "rank", str(file), "--task", DATA, "-n", "3", "--top", "2", "--channels", "8", "--samples", "64", "--quiet"]
    assert main([*begin, "--out", str(out), "--best", str(best)]) == 0
    shown = capsys.readouterr().out
    assert "--recipe darts-600" in shown and "deepnets1m:search/" in shown and len(shown.splitlines()) == 3
    assert main([*begin, "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["networks"] == 3 and len(document["top"]) == 2
    assert nl.Graph.from_json(best.read_text()).hash == document["top"][0]["hash"]


def test_random_initialisation_is_a_baseline() -> None:
    found = nl.ghn.evaluate(None, candidates("test").among([0, 1]), DATA)
    assert all(0 <= accuracy < 0.5 for accuracy in found.top1) and not found.errors


# -- reproduce -------------------------------------------------------------------------------------------------------------
def test_published_tables_say_what_is_absent(tmp_path: Path) -> None:
    found = reproduce(data_dir=tmp_path)
    text = found.to_markdown()
    assert "| ghn2_cifar10 | published | 67.5 ± 0.4 | 66.9 ± 0.3 | 64.0 ± 1.1 |" in text
    assert "the file ghn2_cifar10.pt and the images of CIFAR-10; `netloom ghn eval ghn2_cifar10 --task cifar10" in text
    assert all(len(row.values) == 7 for table in TABLES for row in table.rows)


def test_a_hypernetwork_at_hand_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small(max_shape=(8, 8, 3, 3), hid=8).save(tmp_path / "mine.safetensors")
    options = ["--task", DATA, "-n", "1", "--channels", "8", "--samples", "40", "--quiet", "--json"]
    assert main(["ghn", "reproduce", str(file), *options]) == 0
    table = json.loads(capsys.readouterr().out)["tables"][0]
    names = [row["name"] for row in table["rows"]]
    assert names == ["mine.safetensors", "random initialisation"]
    assert all(0 <= float(row["measured"]["test"]) <= 100 for row in table["rows"])
