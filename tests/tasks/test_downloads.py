"""Downloads from a server of this machine that breaks off, lies and disappears."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from netloom import tasks
from netloom.errors import DownloadError, TaskError
from netloom.tasks.downloads import CATALOGUE, RemoteData, RemoteFile, fetch, is_fetched, transfer
from netloom.tasks.downloads.checksums import checksum
from tests.tasks.serving import Faulty

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    running = Faulty()
    running.files["data.bin"] = CONTENT
    yield running
    running.stop()


def remote(server: Faulty, name: str = "data.bin", checksum: str = SHA256, holds: str = "") -> RemoteFile:
    return RemoteFile(name, (f"{server.url}/{name}",), checksum, holds)


# -- one file ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["sha256", "md5", "git", ""])
def test_a_file_arrives_whole_and_is_not_fetched_twice(kind: str, server: Faulty, tmp_path: Path) -> None:
    known = {
        "sha256": SHA256,
        "md5": f"md5:{hashlib.md5(CONTENT).hexdigest()}",
        "git": f"git:{hashlib.sha1(b'blob 300000' + bytes(1) + CONTENT).hexdigest()}",
        "": "",
    }
    path = transfer.download(remote(server, checksum=known[kind]), tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT and [entry.name for entry in path.parent.iterdir() if entry.name[0] != "."] == [
        "data.bin"
    ]
    server.stop()
    assert transfer.download(remote(server, checksum=known[kind]), path.parent) == path
    assert len(server.requests) == 1


def test_an_interrupted_transfer_goes_on_where_it_stopped(server: Faulty, tmp_path: Path) -> None:
    server.cuts = [100_000, 50_000, 1]
    path = transfer.download(remote(server), tmp_path)
    assert path.read_bytes() == CONTENT
    starts = [int(asked[6:-1]) if asked else 0 for _, asked in server.requests]
    assert starts[0] == 0 and 0 < starts[1] <= 100_000 and starts == sorted(starts) and len(starts) >= 3


@pytest.mark.parametrize(("ranges", "tags"), [(False, True), (True, False), (False, False)])
def test_servers_that_cannot_go_on_start_again(ranges: bool, tags: bool, server: Faulty, tmp_path: Path) -> None:
    server.ranges, server.tags, server.cuts = ranges, tags, [100_000]
    for known in (SHA256, ""):
        path = transfer.download(remote(server, checksum=known), tmp_path / known[:3])
        assert path.read_bytes() == CONTENT


def test_a_file_that_changed_on_the_server_is_not_glued_to_its_old_beginning(server: Faulty, tmp_path: Path) -> None:
    unpinned = remote(server, checksum="")
    server.files["data.bin"] = b"old" * 50_000
    server.cuts, server.answers = [60_000], [200, 404]
    with pytest.raises(DownloadError, match="it answers 404"):
        transfer.download(unpinned, tmp_path)
    assert (tmp_path / "data.bin.part").stat().st_size == 60_000
    server.files["data.bin"] = CONTENT
    assert transfer.download(unpinned, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=60000-"


def test_nothing_is_left_to_fetch(server: Faulty, tmp_path: Path) -> None:
    """Killed between the last byte and the new name."""
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert transfer.download(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.requests == [("data.bin", "bytes=300000-")]


def test_a_wrong_beginning_is_thrown_away_and_all_of_it_fetched(server: Faulty, tmp_path: Path) -> None:
    for beginning in (b"x" * 1000, b"x" * 300_000, b"x" * 400_000):
        (tmp_path / "data.bin.part").write_bytes(beginning)
        path = transfer.download(remote(server), tmp_path)
        assert path.read_bytes() == CONTENT
        path.unlink()


def test_errors_that_pass_are_waited_for(server: Faulty, tmp_path: Path) -> None:
    server.answers = [503, 429, 500]
    assert transfer.download(remote(server), tmp_path).read_bytes() == CONTENT
    server.answers = [503] * 10
    (tmp_path / "data.bin").unlink()
    with pytest.raises(DownloadError, match="it answers 503"):
        transfer.download(remote(server), tmp_path)


def test_corrupted_files_are_refused_and_not_kept(server: Faulty, tmp_path: Path) -> None:
    server.files["data.bin"] = CONTENT[:1000] + b"!" + CONTENT[1001:]
    with pytest.raises(DownloadError, match=rf"not the file that was published: its SHA-256 is .*, expected {SHA256[7:]}"):
        transfer.download(remote(server), tmp_path)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name not in (".lock", "cache")] == []
    server.files["data.bin"] = CONTENT
    assert transfer.download(remote(server), tmp_path).read_bytes() == CONTENT


def test_another_address_is_tried(server: Faulty, tmp_path: Path) -> None:
    server.files["bad/data.bin"] = b"x" * 10
    urls = (f"{server.url}/none/data.bin", f"{server.url}/bad/data.bin", f"{server.url}/data.bin")
    assert transfer.download(RemoteFile("data.bin", urls, SHA256), tmp_path).read_bytes() == CONTENT


def test_without_a_network_the_error_says_what_to_do(server: Faulty, tmp_path: Path) -> None:
    file = remote(server)
    server.stop()
    begin = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        transfer.download(file, tmp_path)
    assert time.monotonic() - begin < 5
    said = str(caught.value)
    assert file.urls[0] in said and str(tmp_path) in said and "put it into" in said and "Connection refused" in said
    # Done by hand, it is checked as if it had been fetched.
    (tmp_path / "data.bin").write_bytes(CONTENT)
    assert transfer.download(file, tmp_path).read_bytes() == CONTENT
    (tmp_path / "data.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError, match="is not the file that was published.*Remove it"):
        transfer.download(file, tmp_path)


def test_folders_that_cannot_be_written(server: Faulty, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DownloadError, match="cannot write into"):
        transfer.download(remote(server), tmp_path / "file")


# -- data sets -----------------------------------------------------------------------------------------------------
def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_archives_are_unpacked_once(server: Faulty, tmp_path: Path) -> None:
    server.files["PennFudanPed.zip"] = zipped({"PennFudanPed/PNGImages/1.png": b"one", "PennFudanPed/readme.txt": b"two"})
    assert not is_fetched("pennfudan", tmp_path)
    folder = fetch("pennfudan", tmp_path, mirror=server.url)
    assert folder == tmp_path / "pennfudan" and (folder / "PennFudanPed" / "PNGImages" / "1.png").read_bytes() == b"one"
    assert is_fetched("pennfudan", tmp_path)
    server.stop()
    assert fetch("pennfudan", tmp_path, mirror=server.url) == folder
    assert len(server.requests) == 1


def test_a_data_set_of_several_files(server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files |= {"a.bin": b"a", "b.bin": b"b", "c.bin": b"c"}
    files = tuple(remote(server, name, "") for name in server.files if name != "data.bin")
    monkeypatch.setitem(CATALOGUE, "made", RemoteData("made", "made up", "nobody", files[:2], files[2:]))
    folder = fetch("made", tmp_path)
    assert sorted(path.name for path in folder.glob("*.bin")) == ["a.bin", "b.bin"]
    assert sorted(path.name for path in fetch("made", tmp_path, everything=True).glob("*.bin")) == ["a.bin", "b.bin", "c.bin"]
    assert [p.name for p in fetch("made", tmp_path / "one", files=("c.bin",)).glob("*.bin")] == ["c.bin"]
    with pytest.raises(DownloadError, match="made has no file 'd.bin'"):
        fetch("made", tmp_path, files=("d.bin",))
    with pytest.raises(DownloadError, match="did you mean 'made'"):
        fetch("mad", tmp_path)
    with pytest.raises(DownloadError, match="begins with http"):
        fetch("made", tmp_path / "two", mirror="file:///etc")


def test_cifar10_from_a_mirror_must_be_the_published_one(server: Faulty, cache: Path) -> None:
    server.files["cifar-10-python.tar.gz"] = CONTENT
    with pytest.raises(DownloadError, match="expected 6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"):
        fetch("cifar10", mirror=server.url)
    assert not list(cache.rglob("*.tar.gz*"))


def test_loading_cifar10_without_a_network_names_address_and_folder(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy that is not there stands for a network that is not there.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    for settings, folder in (({}, cache / "data"), ({"data_dir": tmp_path / "mine"}, tmp_path / "mine")):
        with pytest.raises(TaskError) as caught:
            tasks.load("cifar10", **settings)  # type: ignore[arg-type]
        said = str(caught.value)
        assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in said and str(folder / "cifar10") in said


def test_a_download_that_is_killed_goes_on(server: Faulty, tmp_path: Path) -> None:
    """kill -9 in the middle of a real process, then the same command again."""
    server.files["ghn3tm8.pt"] = CONTENT
    server.seconds_per_block = 0.05
    command = [sys.executable, "-m", "netloom", "data", "fetch", "ghn", "--file", "ghn3tm8.pt"]
    command += ["--data-dir", str(tmp_path), "--mirror", server.url]
    partial = tmp_path / "ghn" / "ghn3tm8.pt.part"
    running = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "src"})
    deadline = time.monotonic() + 60
    while not (partial.is_file() and partial.stat().st_size > 0):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    here = partial.stat().st_size
    assert 0 < here < len(CONTENT)
    server.seconds_per_block = 0.0
    subprocess.run(command, env={**os.environ, "PYTHONPATH": "src"}, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert (tmp_path / "ghn" / "ghn3tm8.pt").read_bytes() == CONTENT
    assert server.requests[-1] == ("ghn3tm8.pt", f"bytes={here}-")


# -- archives ------------------------------------------------------------------------------------------------------
def tarred(members: list[tarfile.TarInfo], content: bytes = b"evil") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            member.size = len(content) if member.isfile() else 0
            archive.addfile(member, io.BytesIO(content) if member.isfile() else None)
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tar.gz", tarred([member("../evil")]), "'../evil' leads out of the folder"),
        ("a.tar.gz", tarred([member("held/../../evil")]), "leads out of the folder"),
        ("a.tar.gz", tarred([member("/tmp/evil")]), "leads out of the folder"),
        ("a.tar.gz", tarred([member("held", tarfile.SYMTYPE, "/etc"), member("held/passwd")]), "no plain file but a link"),
        ("a.tar.gz", tarred([member("held", tarfile.LNKTYPE, "/etc/passwd")]), "no plain file but a link"),
        ("a.tar.gz", tarred([member("held", tarfile.CHRTYPE)]), "no plain file but a link or device"),
        ("a.tar.gz", tarred([member("held"), member("held")]), "File exists"),
        ("a.tar.gz", tarred([member("other")]), "holds no 'held'"),
        ("a.tar.gz", tarred([]), "holds no 'held'"),
        ("a.tar.gz", tarred([member("held")])[:-20], "no readable archive"),
        ("a.tar.gz", b"not an archive", "no readable archive"),
        ("a.zip", zipped({"../evil": b"x"}), "leads out of the folder"),
        ("a.zip", zipped({"/evil": b"x"}), "leads out of the folder"),
        ("a.zip", zipped({"c:\\evil": b"x"}), "leads out of the folder"),
        ("a.zip", zipped({"held": b"x"})[:-30], "no readable archive"),
        ("a.tar.gz", tarred([member("held")], b"\0" * 10_000_000), "more than 200 times its size"),
    ],
    ids=range(16),  # archives hold the time at which they were made
)
def test_archives_that_are_refused(
    name: str, content: bytes, message: str, server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[name] = content
    monkeypatch.setitem(CATALOGUE, "made", RemoteData("made", "made up", "nobody", (remote(server, name, "", "held"),)))
    with pytest.raises(DownloadError, match=message):
        fetch("made", tmp_path / "data")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if "cache" not in path.parts}
    assert left == {"data", "data/made", "data/made/.lock", f"data/made/{name}"} and not Path("/tmp/evil").exists()


def test_links_in_zip_files_are_refused(server: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("held")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
    server.files["a.zip"] = buffer.getvalue()
    monkeypatch.setitem(CATALOGUE, "made", RemoteData("made", "made up", "nobody", (remote(server, "a.zip", "", "held"),)))
    with pytest.raises(DownloadError, match="'held' is no plain file"):
        fetch("made", tmp_path)


def test_every_entry_of_the_catalogue_is_complete() -> None:
    for name, data in CATALOGUE.items():
        assert data.name == name and data.title and data.source and data.files
        for file in (*data.files, *data.more):
            kind, _, digest = file.checksum.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32, "git": 40, "": 0}[kind], file
            assert file.urls and all(url.startswith("https://") and url.endswith(f"/{file.name}") for url in file.urls)


def test_checksums_are_those_of_git_and_hashlib(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    assert checksum("git", path) == "ce013625030ba8dba906f756967f9e9ca394464a"  # what `git hash-object` says
    assert checksum("md5", path) == "b1946ac92492d2347c6235b4d2611184"
