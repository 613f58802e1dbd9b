"""A headless Chromium, driven through the WebDriver protocol with the standard library alone."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

import pytest

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
LOGS = {"browser": "ALL", "performance": "ALL"}
MISSING = "needs Debian's packages chromium and chromium-driver"
SECONDS = 60.0


class Browser:
    """One window; a context that ends its own processes.

    Arguments:
        profile: an empty folder for the browser's own files.
        flags: more of them, such as `--force-dark-mode`.
    """

    def __init__(self, profile: Path, *flags: str) -> None:
        assert DRIVER is not None
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._url = f"http://127.0.0.1:{self._port()}"
        options = {"binary": BROWSER, "args": [*FLAGS, f"--user-data-dir={profile}", *flags]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": LOGS}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._url += f"/session/{session['sessionId']}"

    def _port(self) -> int:
        """The free port that the driver chose, from what it prints."""
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return int(found[1])
        raise RuntimeError("chromedriver did not start")

    def open(self, page: Path, width: int = 1280, height: int = 900) -> None:
        """Show a file in a window of that many CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self._call("POST", "/url", {"url": page.resolve().as_uri()})

    def devtools(self, command: str, **given: Any) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": given})

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives."""
        return self._call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        """Replace what a field or a list holds, as a user would."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.run(
            f"({field}.value = {json.dumps(text)}, ['input', 'change'].forEach("
            f"each => {field}.dispatchEvent(new Event(each, {{bubbles: true}}))))"
        )

    def complaints(self) -> list[str]:
        """Errors and warnings on the console since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """Addresses that pages asked for since the last call, without what is inside the page."""
        entries = self._call("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [one["params"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent if not one["request"]["url"].startswith("data:")]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """The window as a PNG, or the `whole` page."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed."""
        printed = self.devtools("Page.printToPDF", printBackground=False, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(printed["data"]))

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read())["value"]

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(SECONDS)
            assert self._driver.stdout is not None
            self._driver.stdout.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A window; without Chromium the test is skipped."""
    if DRIVER is None or BROWSER is None:
        pytest.skip(MISSING)
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
