"""The live page: for this machine alone, and with news of a search while it runs."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import netloom as nl
from netloom.errors import StoreError
from netloom.reporting.watching import Watch
from netloom.store import EvaluationKey, EvaluationRecord, Lineage, Store
from tests.reporting.browser import Browser
from tests.reporting.synthetic import SETTINGS, fill


def graph(width: int) -> nl.Graph:
    x = nl.input(4)
    return nl.Graph(x, nl.linear(nl.relu(nl.linear(x, width)), 2))


def tell(store: Store, ask: int, score: float, run: str = "run", parents: tuple[str, ...] = ()) -> nl.Graph:
    made = graph(ask + 1)
    stored = store.record(made, EvaluationKey(made.hash, "t", "r", seed=0, fidelity=2), EvaluationRecord("ok", score, 1.0))
    came = Lineage(parents, {"kind": "widen"} if parents else None, proposed_by="random")
    store.add_proposal(run, ask, stored.id, reused=False, elapsed=float(ask), lineage=came)
    return made


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as made:
        made.add_run("run", SETTINGS, {})
        tell(made, 0, 0.5)
        yield made


@pytest.fixture
def watch(store: Store) -> Iterator[Watch]:
    with Watch(store, port=0, look_seconds=0.05) as made:
        yield made


def asked(watch: Watch, path: str, **headers: str) -> tuple[int, bytes]:
    place = urlsplit(watch.url)
    connection = http.client.HTTPConnection(str(place.hostname), int(place.port or 0), timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def events(answer: Any) -> Iterator[tuple[str, str]]:
    """(event, data) of a stream of server-sent events."""
    kind = ""
    for line in answer:
        name, _, value = line.decode().strip().partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, value


def test_page_and_data_are_served(watch: Watch) -> None:
    status, page = asked(watch, "/")
    assert status == 200 and b"connect-src 'self'" in page and b"startLive()" in page
    status, data = asked(watch, "/data")
    news = json.loads(data)
    assert status == 200 and news["data"]["evaluations"]["score"] == [0.5] and "0.5000" in news["parts"]["tiles"]
    assert asked(watch, "/elsewhere")[0] == 404 and asked(watch, "/../../etc/passwd")[0] == 404


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example:80"}, {"Origin": "https://evil.example"}]
)
@pytest.mark.parametrize("path", ["/", "/data", "/events"])
def test_requests_that_were_meant_for_others_are_refused(watch: Watch, path: str, headers: dict[str, str]) -> None:
    """A page elsewhere may point a name of its own at this machine; what it asks for is not given."""
    status, body = asked(watch, path, **headers)
    assert status == 403 and b"0.5" not in body


def test_own_names_are_known(watch: Watch) -> None:
    port = urlsplit(watch.url).port
    for name in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:80", "LOCALHOST"):
        assert asked(watch, "/data", Host=name, Origin=f"http://{name}")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "example.org", "192.168.1.4", "::", ""])
def test_other_machines_are_refused(store: Store, host: str) -> None:
    with pytest.raises(StoreError, match="served on this machine alone"):
        Watch(store, host=host, port=0)


def test_what_cannot_be_served_is_refused(store: Store, watch: Watch) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        Watch(store, port=urlsplit(watch.url).port or 0)
    with pytest.raises(StoreError, match="expected a number from 1 to 65535"):
        Watch(store, port=70_000)
    with pytest.raises(StoreError, match="no run 'x'"):
        Watch(store, "x", port=0)
    with pytest.raises(StoreError, match="no runs to watch"):
        Watch(Store(), port=0)


def test_news_come_as_they_are_stored(store: Store, watch: Watch) -> None:
    with urllib.request.urlopen(f"{watch.url}events?version=1", timeout=60) as answer:
        stream = events(answer)
        assert next(stream) == ("status", "running")
        tell(store, 1, 0.75)
        assert [next(stream), next(stream)] == [("status", "running"), ("news", "2")]
        assert json.loads(asked(watch, "/data")[1])["data"]["evaluations"]["score"] == [0.5, 0.75]
        store.update_run("run", status="finished", seconds=5.0)
        assert next(stream) == ("status", "finished")


def test_a_stream_that_missed_something_is_told_at_once(store: Store, watch: Watch) -> None:
    with urllib.request.urlopen(f"{watch.url}events?version=0", timeout=60) as answer:
        stream = events(answer)
        assert [next(stream), next(stream), next(stream)][2] == ("news", "1")


def test_a_run_that_is_deleted_is_told(store: Store) -> None:
    store.add_run("other", SETTINGS, {})
    with Watch(store, "run", port=0, look_seconds=60) as watch:
        store.delete_run("run")
        status, said = asked(watch, "/data")
        assert status == 503 and b"no run 'run'" in said


def test_the_latest_run_is_followed(store: Store, watch: Watch) -> None:
    with urllib.request.urlopen(f"{watch.url}events?version=1", timeout=60) as answer:
        stream = events(answer)
        next(stream)
        store.add_run("later", SETTINGS, {})
        tell(store, 5, 0.25, "later")
        assert any(kind == "news" for kind, _ in (next(stream), next(stream)))
    while json.loads(asked(watch, "/data")[1])["data"]["run"]["id"] != "later":
        pass


def test_closing_lets_everybody_go(store: Store) -> None:
    watch = Watch(store, port=0, look_seconds=0.05)
    with urllib.request.urlopen(f"{watch.url}events?version=1", timeout=60) as answer:
        watch.close()
        assert b"event" in answer.read()
    with pytest.raises(OSError):
        asked(watch, "/")


def test_the_page_follows_and_its_reader_stays_where_they_are(browser: Browser) -> None:
    with Store() as store:
        run = fill(store, 80)
        store.update_run(run, status="running", seconds=60.0)
        with Watch(store, port=0, look_seconds=0.05) as watch:
            browser.open(watch.url)
            browser.wait("byId('live').textContent === 'live'")
            before = browser.run("RUN.evaluations.length")
            browser.run("sortBy(view.columns.find((c) => c.key === 'ask')); byId('table-frame').scrollTop = 500")
            browser.run("byId('table-frame').scrollIntoView(); go(1)")
            browser.pause(0.5)  # charts that came into sight are drawn
            top = browser.run("byId('table-frame').getBoundingClientRect().top")
            browser.run("openDetail(RUN.candidates[3])")
            made = tell(store, 1000, 0.9999, run, (browser.run("RUN.best.hash"),))
            browser.wait(f"RUN.evaluations.length === {before + 1}")
            browser.wait("byId('part-tiles').textContent.includes('0.9999')")
            assert browser.run("[view.key, byId('table-frame').scrollTop, byId('detail').open]") == ["ask", 500, True]
            # What is read stays in its place, whatever grows above it.
            assert abs(browser.run("byId('table-frame').getBoundingClientRect().top") - top) < 4
            assert browser.run("RUN.best.hash") == made.hash and made.hash in browser.run("byId('part-best').textContent")
            assert browser.run("byId('part-picture').querySelectorAll('svg').length") == 1
            store.update_run(run, status="finished", seconds=61.0)
            browser.wait("byId('live').textContent === 'finished'")
            browser.run("byId('detail').close()")
        browser.wait("byId('live').className === 'live off'")
        browser.call("Page.navigate", url="about:blank")
        browser.pause(0.2)
        # The browser notes that the server, which was closed, is gone.
        browser.errors[:] = [error for error in browser.errors if "ERR_" not in error and "EventSource" not in error]
