"""A server on this machine that fails as real ones do."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Faulty:
    """Files by name, and what goes wrong with the next answers.

    ``cuts``: after so many bytes of the answer the connection ends; ``answers``: codes given instead of the file (200: the
    file). One of each is used up by every request. ``requests`` notes (name, Range header).
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.answers: list[int] = []
        self.requests: list[tuple[str, str | None]] = []
        self.ranges = True
        self.tags = True
        self.seconds_per_block = 0.0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _handler(faulty: Faulty) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            name, asked = self.path.lstrip("/"), self.headers.get("Range")
            faulty.requests.append((name, asked))
            code = faulty.answers.pop(0) if faulty.answers else 200
            if code != 200:
                self.send_error(code)
                return
            content = faulty.files.get(name)
            if content is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.md5(content).hexdigest()}"'
            start = self._start(content, asked, tag)
            if start is None:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            if faulty.tags:
                self.send_header("ETag", tag)
            self.end_headers()
            self._send(content[start:])

        def _start(self, content: bytes, asked: str | None, tag: str) -> int | None:
            """Where the answer begins; None: behind the end."""
            if asked is None or not faulty.ranges or self.headers.get("If-Range", tag) != tag:
                return 0
            found = re.fullmatch(r"bytes=(\d+)-", asked)
            start = int(found[1]) if found else 0
            return start if start < len(content) else None

        def _send(self, content: bytes) -> None:
            end = min(faulty.cuts.pop(0), len(content)) if faulty.cuts else len(content)
            step = 1 << 14
            for place in range(0, end, step):
                self.wfile.write(content[place : min(place + step, end)])
                time.sleep(faulty.seconds_per_block)
            if end < len(content):
                self.wfile.flush()
                self.connection.close()

    return Handler
