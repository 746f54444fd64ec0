"""What people see of a training: lines, pictures, and which precision "auto" is."""

from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from netloom.errors import FormatError
from netloom.training import Epoch
from netloom.training.curve_drawing import _ticks, curve_svg, draw_curve
from netloom.training.precision import multiplies_bfloat16, resolve
from netloom.training.progress import Display, duration, epoch_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def curve(epochs: int) -> list[Epoch]:
    return [Epoch(i, 2 / i, 2.5 / i, 1 - 0.5 / i, float(i), 1 - 0.4 / i) for i in range(1, epochs + 1)]


# -- lines ---------------------------------------------------------------------------------------------------------
def test_a_line_for_every_epoch_and_the_callback_is_still_told() -> None:
    stream, told = io.StringIO(), []
    with Display(True, 12, 5, "r2", stream) as display:
        assert not display.shows_steps
        call = display.on_epoch(lambda epoch: told.append(epoch.epoch) or epoch.epoch == 2)
        assert [call(point) for point in curve(2)] == [False, True]
    assert told == [1, 2]
    assert stream.getvalue().splitlines()[1] == "epoch  2/12  loss 1.0000  r2: training 0.8000, validation 0.7500  2.0 s"


def test_on_a_terminal_the_running_epoch_has_a_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    from netloom.training import progress

    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    stream = Terminal()
    with Display(True, 3, 10, "accuracy", stream) as display:
        assert display.shows_steps
        for step in range(1, 4):
            now[0] += 1.0
            display.on_step(step)
        assert stream.getvalue().endswith("\r\x1b[2Kepoch 1/3  step 3/10  about 27 s left")
        display.on_epoch(None)(curve(1)[0])
        assert stream.getvalue().splitlines()[-1].startswith("epoch 1/3  loss") or "\x1b[2Kepoch 1/3  loss" in stream.getvalue()
    quiet = Terminal()
    with Display(False, 3, 10, "accuracy", quiet) as display:
        display.on_epoch(None)(curve(1)[0])
    assert quiet.getvalue() == "" and not display.shows_steps


def test_lines_without_a_training_score_and_durations() -> None:
    assert "training" not in epoch_line(Epoch(1, 0.5, 0.5, 0.9, 1.0), 1, "score")
    assert [duration(s) for s in (3.4, 59.6, 61, 3600, 7860)] == ["3 s", "1 min 0 s", "1 min 1 s", "1 h 0 min", "2 h 11 min"]


# -- pictures ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("epochs", [1, 2, 7, 200])
def test_curves_are_drawn_within_their_frames(epochs: int) -> None:
    root = ET.fromstring(curve_svg(curve(epochs), score_name="a<b", title='"x" & y'))
    space = "{http://www.w3.org/2000/svg}"
    frames = [e for e in root.iter(f"{space}rect") if e.get("class") == "g"]
    lines = [e for e in root.iter(f"{space}path") if e.get("fill") == "none"]
    assert len(frames) == 2 and len(lines) == 4
    for i, line in enumerate(lines):
        frame = frames[i // 2]
        left, top, width, height = (float(frame.get(k, "")) for k in ("x", "y", "width", "height"))
        points = [tuple(map(float, p.split())) for p in line.get("d", "")[1:].split(" L")]
        assert len(points) == epochs
        assert all(left - 0.1 <= x <= left + width + 0.1 and top - 0.1 <= y <= top + height + 0.1 for x, y in points)


def test_pictures_are_written_by_suffix(tmp_path: Path) -> None:
    assert draw_curve(curve(3), tmp_path / "c.svg").read_text().startswith("<svg")
    assert draw_curve(curve(3), tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    missing = [Epoch(1, math.nan, math.nan, math.nan, 1.0)]
    assert draw_curve(missing, tmp_path / "n.svg").exists()
    for name, points, message in (
        ("c.pdf", curve(1), "written as .svg or .png, not '.pdf'"),
        ("c.svg", [], "has no epoch"),
        ("none/c.svg", curve(1), "there is no directory"),
    ):
        with pytest.raises(FormatError, match=message):
            draw_curve(points, tmp_path / name)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.31, 0.94), (2, 2), (0, 0), (-3, 1e6), (1e-9, 2e-9)])
def test_ticks_are_few_round_and_enclose(low: float, high: float) -> None:
    ticks = _ticks(low, high)
    assert 2 <= len(ticks) <= 8 and ticks[0] <= low and ticks[-1] >= high
    assert ticks == sorted(set(ticks))


# -- precision -----------------------------------------------------------------------------------------------------
def test_auto_is_what_the_processor_does_faster() -> None:
    assert resolve("auto", "cpu") == ("bfloat16" if multiplies_bfloat16() else "float32")
    assert [resolve(name, "cpu") for name in ("float32", "bfloat16", "float16")] == ["float32", "bfloat16", "float16"]
    assert resolve("auto", torch.device("meta")) == "float32"
