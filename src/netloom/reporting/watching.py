"""The page of a running search, served on this machine alone, that follows the search while it is read."""

from __future__ import annotations

import json
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..errors import StoreError
from ..store import Store
from .compact import page_data
from .page import render
from .parts import parts
from .summary import summarize

#: Addresses of this machine; whatever else a browser says it asked for is somebody else's page (DNS rebinding).
LOCAL = ("127.0.0.1", "localhost", "::1")
#: Seconds between two looks at the store, and of silence after which a page is told that the server lives.
LOOK_SECONDS, BEAT_SECONDS = 1.0, 15.0
#: Large runs are looked at more rarely: so that news take this share of a processor at most, but at the latest after seconds.
_SHARE, _LONGEST_SECONDS = 0.25, 10.0


class Watcher:
    """What is known of a run, made anew when the store has news of it. For several threads.

    ``version`` rises with the news.
    """

    def __init__(self, store: Store, run: str | None = None, look_seconds: float = LOOK_SECONDS) -> None:
        self.store, self.run, self.look_seconds = store, run, look_seconds
        self.version, self.status = 0, ""
        self._mark: Any = None
        self._changed = threading.Condition()
        self._made: tuple[int, bytes] | None = None
        self._seconds = 0.0
        #: Held while the store is read, so that nobody closes it meanwhile.
        self._reading = threading.Lock()
        self._ended = threading.Event()
        self.look()

    def look(self) -> bool:
        """Whether the store has news since the last look; wakes those who wait for them."""
        with self._reading:
            if self.closed:
                return False
            run = self.run if self.run is not None else self._latest()
            mark = (run, self.store.run(run)["status"], self.store.counts()["proposals"])
        with self._changed:
            if mark == self._mark:
                return False
            self._mark, self.status = mark, mark[1]
            self.version += 1
            self._changed.notify_all()
        return True

    def _latest(self) -> str:
        ids = self.store.run_ids()
        if not ids:
            url = self.store.shown_url
            raise StoreError(f"store {url} has no runs to watch; begin with: netloom search --store {url}")
        return ids[-1]

    def wait(self, version: int, seconds: float) -> int:
        """The version, as soon as it is another one than ``version``, at the latest after some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.version != version or self.closed, seconds)
            return self.version

    @property
    def closed(self) -> bool:
        return self._ended.is_set()

    def close(self) -> None:
        """Let all who wait go; afterwards the store is not read any more."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()
        with self._reading:
            pass

    def follow(self) -> None:
        """Look until closed; rarer where making the page takes long."""
        while not self._ended.wait(max(self.look_seconds, min(self._seconds / _SHARE, _LONGEST_SECONDS))):
            try:
                self.look()
            except StoreError:
                # A store that is busy or gone for a while is looked at again; the page shows what was last known.
                continue

    def page(self) -> bytes:
        """The whole page."""
        version = self.version  # first: what comes in the meantime is news to the page, too
        with self._reading:
            self._check_open()
            return render(summarize(self.store, self._mark[0]), self.store, live=version).encode()

    def news(self) -> bytes:
        """What the page needs to bring itself up to date, as JSON; made once for each version, however many ask."""
        with self._reading:
            self._check_open()
            version = self.version
            if self._made is None or self._made[0] != version:
                begun = time.thread_time()
                summary = summarize(self.store, self._mark[0])
                document = {"data": page_data(summary), "parts": parts(summary, self.store)}
                self._made = version, json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
                self._seconds = time.thread_time() - begun
            return self._made[1]

    def _check_open(self) -> None:
        if self.closed:
            raise StoreError("this report is no longer served")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int, watcher: Watcher) -> None:
        self.watcher = watcher
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who left in the middle is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        made = {"/": ("text/html", self.server.watcher.page), "/data": ("application/json", self.server.watcher.news)}
        if not self._asked_here():
            return self._send(HTTPStatus.FORBIDDEN, "text/plain", b"this report is for this machine alone\n")
        if path in made:
            kind, make = made[path]
            try:
                return self._send(HTTPStatus.OK, kind, make())
            except StoreError as error:
                return self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n".encode())
        if path == "/events":
            return self._events()
        if path == "/favicon.ico":
            return self._send(HTTPStatus.NO_CONTENT, "image/x-icon", b"")
        return self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there is / alone\n")

    def _asked_here(self) -> bool:
        """Whether the request is for this machine's own address, and comes from no other page."""
        if _host_of(self.headers.get("Host", "")) not in LOCAL:
            return False
        origin = self.headers.get("Origin")
        return origin is None or _host_of(origin.partition("://")[2]) in LOCAL

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        """Tell of news as they come (server-sent events), until the reader leaves."""
        watcher = self.server.watcher
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        asked = self.path.rpartition("=")[2]
        version = int(asked) if asked.isascii() and asked.isdigit() else -1
        self._tell("status", watcher.status)
        while not watcher.closed:
            current = watcher.wait(version, BEAT_SECONDS)
            self._tell("status", watcher.status)
            if current != version:
                self._tell("news", str(current))
            version = current

    def _tell(self, event: str, data: str) -> None:
        self.wfile.write(f"event: {event}\ndata: {' '.join(data.split())}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody wants a line for each request."""


def _host_of(place: str) -> str:
    """The name in ``NAME:PORT`` or ``[ADDRESS]:PORT``."""
    return place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0].lower()


class Watch:
    """A server of the live page of a run at `url`, for this machine alone; in a thread of its own until closed.

    >>> import urllib.request
    >>> store = Store()
    >>> store.add_run("r", {"task_name": "digits"}, {})
    >>> with Watch(store, port=0) as watch:
    ...     b"Search on digits" in urllib.request.urlopen(watch.url).read()
    True
    """

    def __init__(
        self, store: Store, run: str | None = None, *, host: str = "127.0.0.1", port: int = 8765,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:  # fmt: skip
        if host not in LOCAL:
            raise StoreError(
                f"a report is served on this machine alone: host {host!r} is not one of {', '.join(LOCAL)}; to read it "
                "elsewhere copy the file that 'netloom report --out DIR' writes, or forward the port (ssh -L)"
            )
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65536:
            raise StoreError(f"port = {port!r}; expected a number from 1 to 65535, or 0 for any that is free")
        self.watcher = Watcher(store, run, look_seconds)
        try:
            self._server = _Server("127.0.0.1" if host == "localhost" else host, port, self.watcher)
        except OSError as error:
            raise StoreError(
                f"port {port} of {host} cannot be used ({error.strerror or error}); give another one, or 0"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}/"
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._serve, self.watcher.follow)]
        for thread in self._threads:
            thread.start()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def wait(self) -> None:
        """Serve until interrupted."""
        while self._threads[0].is_alive():
            self._threads[0].join(0.5)

    def close(self) -> None:
        """Stop serving."""
        self.watcher.close()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
