"""Many networks into a file: what is in it, that nothing but the command decides it, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import netloom as nl
from netloom.errors import FormatError, SpaceError
from netloom.spaces import Conv, Samples, read_samples, sample_many, sampling, sampling_parts
from netloom.spaces.sampling_parts import Parts

SMALL = Conv(input_shape=(1, 4, 4), conv_num=1, lin_num=1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces are given up early, so that tests of that are quick."""
    monkeypatch.setattr(sampling, "_PATIENCE", 300)
    monkeypatch.setattr(sampling, "_PATIENCE_EACH", 150)
    monkeypatch.setattr(sampling, "_LOOKED_AT", 20)


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_parts, "PART", 20)


class Few:
    """Three networks, one of which is rare; counts its draws."""

    spec = ""

    def __init__(self) -> None:
        self.drawn = 0

    def sample(self, rng: np.random.Generator) -> nl.Graph:
        self.drawn += 1
        x = nl.input(4)
        width = int(rng.choice([2, 3, 5], p=[0.5, 0.49, 0.01]))
        return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, width)), 2))

    def contains(self, graph: nl.Graph) -> bool:
        return True


class Broken(Few):
    def sample(self, rng: np.random.Generator) -> nl.Graph:
        if rng.random() < 0.02:
            raise ZeroDivisionError("no luck")
        return super().sample(rng)


def test_networks_are_those_of_the_draws_each_once(tmp_path: Path, short_parts: None) -> None:
    samples = sample_many(SMALL, 300, seed=3, out=tmp_path / "nets.parquet")
    seen: dict[str, int] = {}
    index = 0
    while len(seen) < 300:
        graph = SMALL.sample(np.random.default_rng([3, index]))
        seen.setdefault(graph.hash, index)
        index += 1
    assert samples.hashes == list(seen) and samples.records["index"] == list(seen.values())
    assert samples.settings["draws"] == index and not samples.is_short
    assert index > 300, "no duplicate was drawn: the test shows nothing"


@pytest.mark.parametrize("name", ["nets.parquet", "nets.jsonl", "nets.txt"])
@pytest.mark.parametrize("form", ["text", "json", None])
def test_every_file_reads_back_as_the_graphs(tmp_path: Path, short_parts: None, name: str, form: str | None) -> None:
    if name.endswith(".txt") and form == "json":
        with pytest.raises(SpaceError, match="ends in .jsonl or .parquet"):
            sample_many(SMALL, 5, out=tmp_path / name, form=form)
        return
    written = sample_many(SMALL, 12, out=tmp_path / name, form=form)
    samples = read_samples(tmp_path / name)
    assert samples.form == (form or ("json" if name.endswith("l") else "text"))
    assert samples.records == written.records and samples.settings == written.settings
    for i, graph in enumerate(samples):
        expected = SMALL.sample(np.random.default_rng([0, samples.records["index"][i]]))
        assert graph == expected == samples[i] and graph.hash == samples.hashes[i]
        numbers = tuple(samples.records[column][i] for column in ("num_params", "flops", "num_nodes", "depth"))
        assert numbers == (graph.num_params, graph.flops, len(graph) - 1, len(graph) - 1)
    assert samples[2:4] == [samples[2], samples[3]] and list(samples.frame()["hash"]) == samples.hashes
    assert not os.path.exists(tmp_path / f"{name}.parts")


def test_a_parquet_file_says_how_it_was_drawn_to_any_reader(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    sample_many("conv?conv_num=1", 3, seed=5, max_params=10**6, out=tmp_path / "nets.parquet")
    table = pq.read_table(tmp_path / "nets.parquet")
    assert table.column_names == ["index", "hash", "num_params", "flops", "num_nodes", "depth", "text"]
    settings = json.loads(table.schema.metadata[b"netloom"])
    assert settings["space"].startswith("conv?") and settings["seed"] == 5 and settings["max_params"] == 10**6
    assert settings["netloom"] == nl.__version__ and nl.spaces.load(settings["space"]).max_params == 10**6  # type: ignore[attr-defined]


def test_depth_is_the_longest_path(short_parts: None) -> None:
    class Branched(Few):
        def sample(self, rng: np.random.Generator) -> nl.Graph:
            x = nl.input(4)
            return nl.Graph(x, nl.relu(nl.linear(x, 4)) + nl.linear(x, 4))

        def contains(self, graph: nl.Graph) -> bool:
            return True

    records = sample_many(Branched(), 1).records
    assert records["num_nodes"] == [4] and records["depth"] == [3]


def test_the_number_of_processes_changes_no_byte(tmp_path: Path) -> None:
    name = "nets.parquet"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    n = 300
    sample_many(SMALL, n, out=tmp_path / "one" / name)
    sample_many(SMALL, n, out=tmp_path / "two" / name, processes=2)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_what_was_drawn_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_parts: None) -> None:
    sample_many(SMALL, 70, out=tmp_path / "whole.jsonl")
    drawn: list[int] = []

    def stopping(space: object, number: int, settings: object) -> object:
        drawn.append(number)
        if len(drawn) in (2, 4):
            raise KeyboardInterrupt
        return real(space, number, settings)  # type: ignore[arg-type]

    real = sampling.draw_part
    monkeypatch.setattr(sampling, "draw_part", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            sample_many(SMALL, 70, out=tmp_path / "nets.jsonl")
        assert not (tmp_path / "nets.jsonl").exists()
    sample_many(SMALL, 70, out=tmp_path / "nets.jsonl")
    assert drawn[:5] == [0, 1, 1, 2, 2] and len(set(drawn)) == len(drawn) - 2
    assert (tmp_path / "nets.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    drawn.clear()
    again = sample_many(SMALL, 70, out=tmp_path / "nets.jsonl")
    assert drawn == [] and len(again) == 70


def test_a_full_disk_is_said_and_sampling_goes_on_when_there_is_room(tmp_path: Path, short_parts: None) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limits[1]))
    try:
        with pytest.raises(SpaceError, match=r"cannot write '.*nets.jsonl.parts/0+.json': .*; make room"):
            sample_many(SMALL, 70, out=tmp_path / "nets.jsonl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sample_many(SMALL, 70, out=tmp_path / "nets.jsonl").hashes == sample_many(SMALL, 70).hashes


@pytest.mark.parametrize("name", ["settings.json", "00000000.json"])
@pytest.mark.parametrize("content", ["", '{"index": [0', "[]", "{}"])
def test_a_damaged_beginning_is_named(tmp_path: Path, short_parts: None, name: str, content: str) -> None:
    folder = tmp_path / "nets.jsonl.parts"
    folder.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(SpaceError, match=f"{name}' is damaged; remove it"):
        sample_many(SMALL, 30, out=tmp_path / "nets.jsonl")
    (folder / name).unlink()
    assert len(sample_many(SMALL, 30, out=tmp_path / "nets.jsonl")) == 30


def test_other_samples_are_never_mixed_in(tmp_path: Path, short_parts: None) -> None:
    out = tmp_path / "nets.parquet"
    sample_many(SMALL, 5, out=out)
    before = out.read_bytes()
    for other in ({"seed": 1}, {"n": 6}, {"max_flops": 10**6}, {"form": "json"}, {"space": Conv()}):
        asked = {"space": SMALL, "n": 5, **other}
        with pytest.raises(SpaceError, match=f"holds other samples: {next(iter(other))} = "):
            sample_many(**asked, out=out)  # type: ignore[arg-type]
    (tmp_path / "table.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(FormatError, match="is no file of samples"):
        sample_many(SMALL, 5, out=tmp_path / "table.jsonl")
    assert out.read_bytes() == before and (tmp_path / "table.jsonl").read_text() == '{"a": 1}\n'


def test_the_beginning_of_other_samples_is_kept_apart(tmp_path: Path, short_parts: None) -> None:
    from netloom.spaces.sampling import _settings

    out = str(tmp_path / "nets.parquet")
    settings = _settings(SMALL, SMALL, 5, 0, None, None, "text")
    parts = Parts(out, settings)
    with pytest.raises(SpaceError, match="another process is writing"):
        sample_many(SMALL, 5, out=out)
    parts.close()
    with pytest.raises(SpaceError, match="holds the beginning of other samples: seed = 0 where 1 is asked for"):
        sample_many(SMALL, 5, seed=1, out=out)
    assert len(sample_many(SMALL, 5, out=out)) == 5


@pytest.mark.parametrize("part", [20, 70, 500])
def test_a_space_of_few_networks_gives_all_it_has(impatient: None, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(sampling_parts, "PART", part)
    space = Few()
    samples = sample_many(space, 10)
    assert len(samples) == 3 and samples.is_short and sorted(g.num_params for g in samples) == [16, 23, 37]
    last = samples.records["index"][-1]
    assert samples.settings["draws"] == last + 1 + 450 <= space.drawn < last + 451 + part


def test_the_draw_that_fails_is_named(tmp_path: Path) -> None:
    index = next(i for i in range(1000) if np.random.default_rng([0, i]).random() < 0.02)
    with pytest.raises(SpaceError, match=f"draw {index} of .*Broken failed: ZeroDivisionError: no luck"):
        sample_many(Broken(), 3)


def test_caps_leave_draws_out_of_any_space(impatient: None, short_parts: None) -> None:
    samples = sample_many(Few(), 3, max_params=23)
    assert sorted(g.num_params for g in samples) == [16, 23] and samples.is_short
    with pytest.raises(SpaceError, match=r"none of 300 draws .* within max_params = 5: the smallest of 20 has 16 param"):
        sample_many(Few(), 1, max_params=5)
    with pytest.raises(SpaceError, match="max_params = 5 admits no network: the smallest has"):
        sample_many("conv", 1, max_params=5)


def test_a_space_that_cannot_travel_says_so() -> None:
    class Local(Few):
        pass

    with pytest.raises(SpaceError, match="cannot be sent to other processes"):
        sample_many(Local(), 1, processes=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "n = 0"), ({"n": 2.5}, "n = 2.5"), ({"seed": -1}, "seed = -1"), ({"processes": 0}, "processes = 0"),
        ({"max_params": -1}, "max_params = -1"), ({"form": "yaml"}, "form = 'yaml'"),
        ({"out": "nets.csv"}, "must end in .parquet, .jsonl, .txt"), ({"out": "/no/such/folder/nets.jsonl"}, "cannot write"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(nl.NetloomError, match=message):
        sample_many(SMALL, **{"n": 3, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["nets.parquet", "nets.jsonl", "nets.txt"])
@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"{}\n", b"[1, 2]\n", b"\xff\xfe\x00", b"# netloom samples {}\n\n# network 3\n"]
)
def test_other_files_are_no_samples(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError):
        read_samples(tmp_path / name)


def test_samples_know_their_columns() -> None:
    with pytest.raises(FormatError, match="without the column 'index'"):
        Samples({}, {"hash": []})
    with pytest.raises(FormatError, match="No such file"):
        read_samples("none.parquet")


@given(n=st.integers(1, 2000), number=st.integers(0, 40))
def test_parts_follow_one_another(n: int, number: int) -> None:
    part, following = sampling_parts.draws_of(number, n), sampling_parts.draws_of(number + 1, n)
    assert 1 <= len(part) <= len(following) <= sampling_parts.PART and following.start == part.stop
    assert sampling_parts.draws_of(0, n) == range(min(n, sampling_parts.PART))


def test_files_of_many_rows_have_groups_of_one_size(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from netloom.spaces.samples import write_samples

    row = {"index": 1, "hash": "nl1:", "num_params": 2, "flops": 3, "num_nodes": 4, "depth": 4, "text": "netloom 1\n"}
    for counts, groups in (((7_000, 7_000, 7_000), [10_000, 10_000, 1_000]), ((20_000,), [10_000, 10_000]), ((5,), [5])):
        tables = ({name: [value] * count for name, value in row.items()} for count in counts)
        write_samples(str(tmp_path / "many.parquet"), {"form": "text"}, tables, str(tmp_path / "unfinished"))
        found = pq.ParquetFile(tmp_path / "many.parquet").metadata
        assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == groups
