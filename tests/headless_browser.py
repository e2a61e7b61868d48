"""Opens a page in headless Chromium and listens: requests, console messages, what the page's script says.

Speaks the DevTools protocol over two pipes, so it needs nothing but a `chromium` on the PATH.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def find_chromium() -> str | None:
    """Give the path of Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One page in headless Chromium, in a window of so many pixels.

    It keeps the addresses that the page asked for (`requests`), those that did not load (`failures`), and
    errors and warnings of the console and exceptions (`messages`).
    """

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self.requests: list[str] = []
        self.failures: list[str] = []
        self.messages: list[str] = []
        self._profile = tempfile.mkdtemp(prefix="headless-")
        command_read, self._write = os.pipe()
        self._read, answer_write = os.pipe()
        options = [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe"),
            *(f"--user-data-dir={self._profile}", f"--window-size={width},{height}", "about:blank"),
        ]
        # Chromium reads commands from descriptor 3 and answers on 4
        redirect = f'exec "$0" "$@" 3<&{command_read} 4>&{answer_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", redirect, find_chromium(), *options],
            pass_fds=(command_read, answer_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_read)
        os.close(answer_write)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._addresses: dict[str, str] = {}
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, RuntimeError, TimeoutError):
            self._session = None
            self._call("Browser.close", timeout=10)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, path: str | os.PathLike[str]) -> None:
        """Open a file and wait until the page has loaded."""
        address = Path(path).resolve().as_uri()
        self._call("Page.navigate", url=address)
        self.wait_for(f"location.href == {json.dumps(address)} && document.readyState == 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Give the value of a JavaScript expression; promises are waited for."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, expression: str, timeout: float = 30) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + timeout
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {expression}")
            time.sleep(0.02)

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self._call("Input.dispatchKeyEvent", type=kind, key=key, **typed)

    def hover(self, selector: str) -> None:
        """Move the mouse over the middle of an element."""
        x, y = self.evaluate(
            f"(() => {{const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView();"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]})()"
        )
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the visible page in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def colour_scheme(self, name: str) -> None:
        """Prefer ``light`` or ``dark``."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def save_downloads(self, folder: str | os.PathLike[str]) -> None:
        """Let the page save files to a folder."""
        session, self._session = self._session, None
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=os.fspath(folder))
        self._session = session

    def screenshot(self, path: str | os.PathLike[str], *, whole: bool = False) -> None:
        """Write the visible or the whole page as PNG."""
        answer = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, timeout: float = 60, **parameters: Any) -> dict[str, Any]:
        """Send a command and give its result; events that come meanwhile are noted."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self._receive(lambda other: other.get("id") == number, timeout)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _receive(self, wanted: Callable[[dict[str, Any]], bool], timeout: float) -> dict[str, Any]:
        end = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._read, selectors.EVENT_READ)
            while True:
                while b"\0" in self._buffer:
                    raw, _, self._buffer = self._buffer.partition(b"\0")
                    message = json.loads(raw)
                    self._note(message)
                    if wanted(message):
                        return message
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError("Chromium does not answer.")
                part = os.read(self._read, 1 << 20)
                if not part:
                    raise RuntimeError("Chromium has ended.")
                self._buffer += part

    def _note(self, message: dict[str, Any]) -> None:
        """Keep what an event says about requests, the console and exceptions."""
        details = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self._addresses[details["requestId"]] = details["request"]["url"]
                self.requests.append(details["request"]["url"])
            case "Network.loadingFailed" if not details.get("canceled"):
                self.failures.append(self._addresses.get(details["requestId"], "?"))
            case "Runtime.consoleAPICalled" if details["type"] in ("error", "warning", "assert"):
                self.messages.append(json.dumps(details["args"]))
            case "Runtime.exceptionThrown":
                self.messages.append(json.dumps(details["exceptionDetails"]))
            case "Log.entryAdded" if details["entry"]["level"] in ("error", "warning"):
                self.messages.append(details["entry"]["text"])
