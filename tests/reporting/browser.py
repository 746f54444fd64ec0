"""Headless Chromium, driven over a pipe with the DevTools protocol: pages are opened, clicked and photographed for real."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
ABSENT = "no Chromium on this machine; Debian's package chromium has it"

#: Quiet, without a screen, a profile of its own, and asking nobody for anything.
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1",
    "--remote-debugging-pipe", "--disable-dev-shm-usage", "--no-proxy-server",
)  # fmt: skip


class Browser:
    """One page of Chromium. ``errors`` are what its console, its scripts and its security policy complained of."""

    def __init__(self, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        assert PROGRAM is not None, ABSENT
        self._profile = tempfile.TemporaryDirectory(prefix="netloom-chromium-", ignore_cleanup_errors=True)
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def wire() -> None:
            # Chromium reads commands from descriptor 3 and answers on 4; theirs may have these very numbers.
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self._process = subprocess.Popen(
            [PROGRAM, *_FLAGS, f"--user-data-dir={self._profile.name}", f"--window-size={width},{height}", "about:blank"],
            preexec_fn=wire, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._read, self._write = ours_in, ours_out
        self._buffer, self._number = b"", 0
        self._events: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.look(width, height, dark)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()

    # -- the protocol ----------------------------------------------------------------------------------------------
    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Do something and give the answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            answer = self._next(until)
            if answer is not None and answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
        raise TimeoutError(f"{method}: no answer in 60 seconds")

    def _next(self, until: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            data = os.read(self._read, 1 << 20)
            if not data:
                raise RuntimeError("Chromium has ended")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method", ""), message.get("params", {})
        if method:
            self._events.append(message)
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(arg.get("value", arg.get("description", ""))) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())

    # -- what a person does ----------------------------------------------------------------------------------------
    def look(self, width: int, height: int, dark: bool = False) -> None:
        """Set the size of the window, and whether the reader prefers dark pages."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, where: str | Path) -> None:
        """Open a file or an address, and wait until it has loaded and said that it is ready."""
        self._events.clear()
        self.call("Page.navigate", url=where.resolve().as_uri() if isinstance(where, Path) else where)
        self.wait("document.readyState === 'complete' && performance.getEntriesByName('ready').length > 0")

    def run(self, script: str) -> Any:
        """The value of an expression; what it throws is an error."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 30.0) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > until:
                raise TimeoutError(f"not in {seconds:g} seconds: {condition}; errors: {self.errors}")
            time.sleep(0.05)

    def pause(self, seconds: float) -> None:
        """Let the page work, and take note of what it says."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._next(until)

    def move(self, x: float, y: float, click: bool = False) -> None:
        """Move the mouse, and click."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        if click:
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def photograph(self, path: Path, whole: bool = True) -> Path:
        """A picture of the whole page, or of what is in the window."""
        if whole:
            height = int(self.run("document.documentElement.scrollHeight"))
            width = int(self.run("document.documentElement.clientWidth"))
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        else:
            taken = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))
        return path
