"""A browser without a window, told what to do through a pipe by Chromium's own protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def found() -> str | None:
    """Where a Chromium is on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """The one page of a browser; errors of its console are kept in `errors`."""

    def __init__(self, write: int, read: int):
        self._write, self._read, self._rest, self._number = write, read, b"", 0
        self._session: str | None = None
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and what it answers."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(180)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _next(self, seconds: float) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        self._keep_errors(message)
        return message

    def _keep_errors(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
        elif message.get("method") == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.errors.append(" ".join(str(a.get("value")) for a in told["args"]))

    def size(self, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size, and whether the person prefers dark colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, address: str, until: str) -> None:
        """Open an address and wait until an expression holds."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.wait(until)

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript, awaited."""
        done = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"]["exception"]["description"])
        return done["result"].get("value")

    def wait(self, expression: str, seconds: float = 90) -> None:
        """Wait until an expression holds."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(RuntimeError):  # the page is just changing
                if self.run(f"Boolean({expression})"):
                    return
            if time.monotonic() > end:
                text = self.run("document.body?.innerText.slice(0, 600)")
                raise TimeoutError(f"{expression} does not hold; the page says:\n{text}")
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press and release a key where the focus is."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def screenshot(self, path: str | os.PathLike, kind: str = "png") -> None:
        """Write what is seen."""
        seen = self.call(
            "Page.captureScreenshot", format=kind, **{"quality": 80} if kind != "png" else {}
        )
        Path(path).write_bytes(base64.b64decode(seen["data"]))


@contextlib.contextmanager
def browser(program: str, folder: Path) -> Iterator[Page]:
    """A fresh browser that keeps its own files in `folder`."""
    there, back = os.pipe(), os.pipe()

    def as_three_and_four() -> None:
        mine = [os.dup(there[0]), os.dup(back[1])]
        os.dup2(mine[0], 3)
        os.dup2(mine[1], 4)

    process = subprocess.Popen(
        [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run"),
            *("--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=as_three_and_four,
    )
    os.close(there[0])
    os.close(back[1])
    try:
        yield Page(there[1], back[0])
    finally:
        process.terminate()
        process.wait(10)
        os.close(there[1])
        os.close(back[0])
