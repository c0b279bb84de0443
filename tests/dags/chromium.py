"""A headless Chromium, driven by its own protocol: open an address, press keys, ask the page, look at it."""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

# Debian's name, and that of others.
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_SECONDS = 60.0
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Browser:
    """One tab. Each method waits until it is done."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._numbers, self._session = connection, count(1), ""
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.tell("Page.enable")

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._connection.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            answer = json.loads(self._connection.recv(timeout=_SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])

    def ask(self, script: str) -> Any:
        """Return the value of an expression on the page."""
        found = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression on the page is true."""
        end = time.monotonic() + _SECONDS
        while not self.ask(f"Boolean({script})"):
            assert time.monotonic() < end, (script, self.ask("document.body.innerText"))
            time.sleep(0.05)

    def open(self, address: str) -> None:
        """Open an address, and wait until it is loaded."""
        assert "errorText" not in self.tell("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.tell("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key."""
        code = {"key": key, "windowsVirtualKeyCode": _KEYS[key], **({"text": "\r"} if key == "Enter" else {})}
        self.tell("Input.dispatchKeyEvent", type="keyDown", **code)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **code)

    def forget(self) -> None:
        """Log out: forget every cookie."""
        self.tell("Network.clearBrowserCookies")

    def look(self, path: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Write the window as a PNG."""
        self.size(width, height, dark=dark)
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))

    def size(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Give the window a size, and light or dark colors."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start a Chromium that keeps everything in a folder, and end it."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen([str(PROGRAM), *options], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        said = (re.search(r"listening on (ws://\S+)", line) for line in process.stderr)
        address = next(found[1] for found in said if found)
        with connect(address, max_size=None) as connection:
            yield Browser(connection)
            connection.send(json.dumps({"id": 0, "method": "Browser.close"}))
            process.wait(_SECONDS)
    finally:
        process.kill()
        process.wait()
