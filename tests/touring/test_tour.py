"""The tour and its ablation, run for real on few candidates."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import netloom as nl
from netloom.cli.main import main
from netloom.errors import SearchError
from netloom.touring import STEPS, Ablation, Run, Tour, ablate, tour
from netloom.touring.chart import chart
from netloom.touring.tour_page import page

SMALL = {"epochs": 1, "batch_size": 128}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    told: list[str] = []
    made = tour("digits", budget=3, directory=tmp_path_factory.mktemp("tour"), recipe=SMALL, tell=told.append)
    assert [line[0] for line in told] == sorted(line[0] for line in told) and {line[0] for line in told} == set("12345")
    yield made


def test_a_tour_has_all_its_stages(found: Tour) -> None:
    assert len(found.predicted) >= 2 and all(each.why or each.seconds > 0 for each in found.predicted)
    trained, grown, pruned, again = found.sized
    assert grown.change is not None and grown.change < 1e-4 and grown.num_params > trained.num_params
    assert pruned.flops <= 0.5 * trained.flops and again.num_params == pruned.num_params
    assert set(found.ablation.steps) | set(found.ablation.left_out) == {step.name for step in STEPS}
    assert found.task.test_reads <= 1 + len(found.rivals)
    assert nl.load_network(found.page.parent / "best.safetensors").graph.hash == found.best_graph.hash


def test_its_page_shows_gains_losses_and_what_was_left_out(found: Tour) -> None:
    text = found.page.read_text()
    assert "<script" not in text and "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    for step in STEPS:
        assert step.name in text
    for why in found.ablation.left_out.values():
        assert why in text
    assert found.report.is_file() and "report/index.html" in text
    numbers = json.loads((found.page.parent / "tour.json").read_text())
    assert numbers["test_score"] == found.test_score and set(numbers["ablation"]) == set(found.ablation.steps)


def test_the_same_tour_again_trains_nothing_again(found: Tour) -> None:
    again = tour("digits", budget=3, directory=found.page.parent, recipe=SMALL)
    assert [run.run_id for run in again.ablation.runs] == [run.run_id for run in found.ablation.runs]
    assert again.ablation.runs == found.ablation.runs


def test_a_network_of_ones_own_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).standard_normal((120, 3))
    lines = [f"{a},{b},{c},{2 * a - b}" for a, b, c in rows.round(3)]
    (tmp_path / "table.csv").write_text("a,b,c,y\n" + "\n".join(lines))
    x = nl.input(3)
    (tmp_path / "net.json").write_text(nl.Graph(x, nl.linear(nl.relu(nl.linear(x, 8)), 1)).to_json())
    data = f"table:{tmp_path / 'table.csv'}?target=y"
    words = ["tour", str(tmp_path / "net.json"), "--task", data, "--budget", "2", "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["num_params"] == 41 and Path(said["page"]).is_file()
    written = [each for each in said["predicted_weights"] if each["part"] == "Netformer"]
    assert written[0]["score"] > written[0]["random_score"]


def test_what_a_tour_is_not_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = nl.tasks.from_arrays(np.zeros((60, 4, 5), np.float32), np.arange(60) % 2, name="series")
    with pytest.raises(SearchError, match="images and tables; samples of task 'series' are 4×5"):
        tour(task, budget=2, directory=tmp_path)
    assert main(["tour", "digits", "--task", "digits", "--out", str(tmp_path)]) == 2
    assert "both data" in capsys.readouterr().err


def test_steps_of_an_ablation_share_nothing(tmp_path: Path) -> None:
    steps = [STEPS[0], STEPS[2]]
    found = ablate(
        nl.tasks.load("digits"), "conv?max_macs=20000", tmp_path, budget="4 epochs", seeds=(0, 1), steps=steps, recipe=SMALL
    )  # fmt: skip
    assert found.unit == "epochs of training" and len(found.runs) == 4
    assert all(run.spent[-1] == 4 for run in found.runs)  # nothing was free because another run had it
    gain = found.gain("+ inheritance")
    assert gain is not None and gain[1] is not None
    assert gain[0] == pytest.approx(np.mean(found.final("+ inheritance")) - np.mean(found.final("random")))


def drawn(gains: list[float]) -> Ablation:
    runs = []
    for place, step in enumerate(STEPS[:3]):
        for seed in range(3):
            best = 0.5 + sum(gains[: place + 1]) + 0.001 * seed
            runs.append(Run(step.name, seed, "r", (1.0, 2.0, 3.0), (0.3, 0.4, best)))
    return Ablation("digits", "3 epochs", "epochs of training", "accuracy", tuple(runs), {})


def test_curves_hold_between_candidates() -> None:
    run = Run("random", 0, "r", (1.0, 2.0), (0.5, 0.7))
    assert run.at([0.5, 1.0, 1.9, 2.0, 9.0]).tolist()[1:] == [0.5, 0.5, 0.7, 0.7] and np.isnan(run.at([0.5]))[0]


@pytest.mark.parametrize("narrow", [False, True])
def test_a_chart_says_losses_as_plainly_as_gains(narrow: bool) -> None:
    picture = chart(drawn([0.0, 0.1, -0.05]), narrow=narrow, standalone=True)
    tree = ElementTree.fromstring(picture)
    words = {(e.get("class"), (e.text or "").strip()) for e in tree.iter() if e.tag.endswith("tspan")}
    assert ("good", "+0.100 ± 0.000") in words and ("bad", "-0.050 ± 0.000") in words
    sizes = [float(v) for v in tree.get("viewBox", "").split()[2:]]
    for element in tree.iter():
        if element.tag.endswith("text"):
            assert 0 <= float(element.get("x", "")) <= sizes[0] and 0 <= float(element.get("y", "")) <= sizes[1]


def test_whatever_comes_from_outside_is_escaped(found: Tour) -> None:
    from dataclasses import replace

    task = replace(found.task, name="<b>digits</b>")
    text = page(replace(found, task=task))
    assert "<b>digits" not in text and "&lt;b&gt;digits" in text


def test_a_hypernetwork_that_comes_with_netloom_takes_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as one is shipped for a task, the step of predicted weights is there, and the tour shows what it predicts."""
    from netloom.ghn import loading
    from netloom.touring.stages import predicted_weights

    ghn = nl.ghn.GHN2(max_shape=(16, 16, 7, 7), num_classes=10, hid=8)
    ghn.about["task"] = "digits"
    ghn.save(tmp_path / "digits.safetensors")
    monkeypatch.setattr(loading, "SHIPPED", tmp_path)
    digits = nl.tasks.load("digits")
    assert STEPS[3].without(digits) == "" and STEPS[3].without(nl.tasks.load("regression:3"))
    found = ablate(
        digits, "conv?max_macs=20000", tmp_path / "runs", budget=9, steps=[STEPS[3]], recipe={"epochs": 2, "batch_size": 128}
    )  # fmt: skip
    with nl.Store(f"sqlite:///{tmp_path / 'runs' / 'predicted-weights-0.db'}") as store:
        rows = store.proposals(found.runs[0].run_id)
    raced = [edit["race"] for edit in rows["edit"] if isinstance(edit, dict) and "race" in edit]
    assert any("ghn" in race for race in raced) and all("random" in race for race in raced)
    x = nl.input(1, 8, 8)
    graph = nl.Graph(x, nl.linear(nl.flatten(nl.relu(nl.conv2d(x, 8, kernel=3))), 10))
    first = predicted_weights(graph, digits, 0)[0]
    assert first.part == "hypernetwork" and not first.why and 0 < first.seconds < 5 and first.num_params == graph.num_params
