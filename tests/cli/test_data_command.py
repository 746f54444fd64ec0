"""``netloom data``: what it lists, shows, fetches and clears."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netloom import tasks
from netloom.cli.main import main


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETLOOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, red in (("cat", 250), ("dog", 5)):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(15):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            pixels[:, :, 0] = red
            Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{number}.png")
    return tmp_path / "pets"


def test_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["data", "ls"]) == 0
    said = capsys.readouterr().out
    for word in ("digits", "images:FOLDER", "table:FILE?target=COLUMN", "pennfudan", "not fetched", str(tmp_path / "cache")):
        assert word in said
    (tmp_path / "mine" / "pennfudan" / "PennFudanPed").mkdir(parents=True)
    assert main(["data", "ls", "--json", "--data-dir", str(tmp_path / "mine")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["fetched"]["pennfudan"] == str(tmp_path / "mine" / "pennfudan") and facts["fetched"]["cifar10"] is None


def test_show_a_classification(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "digits"]) == 0
    said = capsys.readouterr().out
    task = tasks.load("digits")
    for word in ("digits, classification: 1×8×8", "1,077 train, 360 valid, 360 test", task.hash, "█"):
        assert word in said
    assert main(["data", "show", "digits", "digits?seed=1", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["hash"] == task.hash != second["hash"] and first["samples"] == {"train": 1077, "valid": 360, "test": 360}
    assert first["classes"] == {str(n): int((task.train.y == n).sum()) for n in range(10)}


def test_show_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("size,city,id,price\n" + "".join(f"{n},{'AB'[n % 2]},house {n},{1000 + n / 7}\n" for n in range(120)))
    assert main(["data", "show", f"table:{path}?target=price"]) == 0
    said = capsys.readouterr().out
    for word in ("t, regression", "target      price: mean 10", "city  categorical", "id    dropped: text that names rows"):
        assert word in said
    assert main(["data", "show", f"table:{path}?target=price", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["columns"]["size"] == "numeric" and facts["features"] == ["size", "city_A", "city_B"]
    assert abs(facts["targets"]["price"]["mean"] - 1008.5) < 3


def test_a_picture_has_a_row_for_each_class(capsys: pytest.CaptureFixture[str], pets: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    for setting in ("", "?memory=0"):
        assert main(["data", "show", f"images:{pets}{setting}", "--picture", str(out)]) == 0
        said = capsys.readouterr().out
        assert "2, samples in the train part" in said and (("decoded on the way" in said) == bool(setting))
        sheet = np.asarray(Image.open(out)).astype(int)
        # Cats have red 250, dogs 5, in the upper and the lower half; pictures are at the right of the names.
        upper, lower = sheet[4 : sheet.shape[0] // 2 - 4, -200:-8, 0], sheet[sheet.shape[0] // 2 + 4 : -4, -200:-8, 0]
        assert np.abs(np.median(upper) - 250) <= 3 and np.abs(np.median(lower) - 5) <= 3
    assert "not worked out" in said
    assert main(["data", "show", f"images:{pets}?memory=0", "--hash"]) == 0
    assert tasks.load(f"images:{pets}?memory=0").hash in capsys.readouterr().out
    assert main(["data", "show", "digits", "--picture", str(out)]) == 0
    assert Image.open(out).size[0] > 400


def test_clear_takes_decoded_data_alone(capsys: pytest.CaptureFixture[str], pets: Path, cache: Path) -> None:
    assert main(["data", "show", f"images:{pets}"]) == 0
    (cache / "data").mkdir()
    (cache / "data" / "kept").write_text("fetched")
    assert list((cache / "decoded").glob("*"))
    assert main(["data", "clear"]) == 0
    assert "MiB of decoded data removed" in capsys.readouterr().out
    assert not list((cache / "decoded").glob("*")) and (cache / "data" / "kept").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show"], "data show needs a SPEC, such as digits"),
        (["fetch"], "data fetch needs a NAME: cifar10, pennfudan"),
        (["fetch", "cifar"], "did you mean 'cifar10'"),
        (["fetch", "ghn", "--file", "ghn2_cifar"], "did you mean 'ghn2_cifar10.pt'"),
        (["fetch", "ghn", "--mirror", "ftp://x"], "begins with http"),
        (["ls", "digits"], "did you mean: netloom data show digits?"),
        (["show", "digit"], "did you mean 'digits'"),
        (["show", "digits", "--picture", "a.txt"], "expected a file that ends with .png"),
        (["show", "digits", "digits", "--picture", "a.png"], "--picture shows one task"),
        (["show", "regression:1", "--picture", "a.png"], "a picture needs images"),
        (["show", "digits", "--picture", "none/a.png"], "cannot write 'none/a.png'"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *words]) == 2
    said = capsys.readouterr().err
    assert message in said and said.startswith("netloom data: ") and said.count("\n") == 1


def test_help_teaches_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    said = capsys.readouterr().out
    for word in (
        "ls ",
        "show SPEC",
        "fetch NAME",
        "clear",
        "--data-dir",
        "--mirror",
        "--picture",
        "--json",
        "table:FILE?target=COLUMN",
    ):
        assert word in said


def test_clearing_touches_the_cache_alone(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "decoded").mkdir(parents=True)
    (cache / "decoded" / "a").write_text("kept")
    assert main(["data", "clear", "--data-dir", str(tmp_path)]) == 2
    assert "leave the option out" in capsys.readouterr().err and (cache / "decoded" / "a").exists()
