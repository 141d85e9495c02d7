"""Debian's own Firefox, driven by Marionette: the protocol it speaks itself, below WebDriver.

Playwright drives a Firefox of its own alone, and no package registry has geckodriver's program.
"""

import itertools
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.functional.conftest import until

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
# The key under which WebDriver (section 12.1) hands elements over.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# The state of each download, as Firefox's own list of them has it.
_DOWNLOADS = """
const [done] = arguments;
const { Downloads } = ChromeUtils.importESModule("resource://gre/modules/Downloads.sys.mjs");
Downloads.getList(Downloads.ALL).then((list) => list.getAll()).then((all) => done(all.map((one) => (
  { path: one.target.path, succeeded: one.succeeded, failed: !!one.error, stopped: one.stopped }
))));
"""


class FirefoxError(Exception):
    """What Firefox says is wrong."""


class Firefox:
    """One window. It saves what is downloaded in `folder` without asking."""

    def __init__(self, port: int, folder: Path, base: str) -> None:
        self.folder, self._base = folder, base
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._sock.makefile("rb")
        self._numbers = itertools.count(1)
        self._before = 0
        self._read()
        self.do("WebDriver:NewSession", capabilities={"alwaysMatch": {}})

    def do(self, command: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = json.dumps([0, number, command, parameters]).encode()
        self._sock.sendall(b"%d:%b" % (len(message), message))
        _, answered, error, result = self._read()
        assert answered == number
        if error:
            raise FirefoxError(f"{command}: {error['error']}: {error['message']}")
        return result

    def _read(self) -> Any:
        size = b""
        while (byte := self._file.read(1)) != b":":
            assert byte, "Firefox has ended"
            size += byte
        return json.loads(self._file.read(int(size)))

    def close(self) -> None:
        self._file.close()
        self._sock.close()

    def goto(self, path: str) -> None:
        self.do("WebDriver:Navigate", url=self._base + path)

    def sign_in(self, user: str, password: str) -> None:
        self.goto("/accounts/login/")
        self.type("#id_username", user)
        self.type("#id_password", password)
        self.click("main button")
        assert self.sees("Exports", "h1")

    def find(self, css: str) -> str:
        found = self.do("WebDriver:FindElement", using="css selector", value=css)
        element: str = found["value"][ELEMENT]
        return element

    def text(self, css: str = "body") -> str:
        found: str = self.do("WebDriver:GetElementText", id=self.find(css))["value"]
        return found

    def click(self, css: str) -> None:
        self.do("WebDriver:ElementClick", id=self.find(css))

    def type(self, css: str, text: str) -> None:
        self.do("WebDriver:ElementSendKeys", id=self.find(css), text=text)

    def run(self, script: str) -> Any:
        """In the page, whatever its content security policy."""
        return self.do("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def run_until_done(self, script: str, *arguments: Any, context: str = "content") -> Any:
        """The same, for a script that calls its last argument with the result."""
        self.do("Marionette:SetContext", value=context)
        try:
            return self.do("WebDriver:ExecuteAsyncScript", script=script, args=list(arguments))[
                "value"
            ]
        finally:
            self.do("Marionette:SetContext", value="content")

    def set(self, name: str, value: Any) -> None:
        """A preference."""
        kind = {bool: "Bool", int: "Int", str: "Char"}[type(value)]
        told = f"Services.prefs.set{kind}Pref({json.dumps(name)}, {json.dumps(value)});"
        self.run_until_done(f"{told} arguments[0]();", context="chrome")

    def sees(self, text: str, css: str = "body", seconds: float = 20) -> bool:
        """Whether it is there before long."""

        def there() -> bool:
            try:
                return text in self.text(css)
            except FirefoxError:
                return False

        return until(there, seconds)

    def download(self, css: str) -> None:
        """Clicks on what leads to a download."""
        self._before = len(self._downloads())
        self.click(css)

    def _downloads(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.run_until_done(_DOWNLOADS, context="chrome")
        return rows

    def downloaded(self, seconds: float = 30) -> Path | None:
        """The file of that download once it has ended; None where Firefox says that it failed."""
        ended: list[dict[str, Any]] = []

        def has_ended() -> bool:
            # By its number: what failed leaves its path to the next one.
            ended[:] = self._downloads()[self._before :]
            return bool(ended) and (ended[0]["succeeded"] or ended[0]["failed"])

        assert until(has_ended, seconds), f"it does not end: {ended}"
        return Path(ended[0]["path"]) if ended[0]["succeeded"] else None


@contextmanager
def running(folder: Path, base: str) -> Iterator[Firefox]:
    """A Firefox with a profile of its own. `base` is the address that paths follow."""
    assert FIREFOX is not None
    profile, saved = folder / "profile", folder / "saved"
    profile.mkdir()
    saved.mkdir()
    preferences = {
        "marionette.port": 0,
        "browser.download.folderList": 2,
        "browser.download.dir": str(saved),
        "browser.download.useDownloadDir": True,
        "browser.download.always_ask_before_handling_new_types": False,
        "browser.shell.checkDefaultBrowser": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "app.update.disabledForTesting": True,
    }
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in preferences.items()]
    (profile / "user.js").write_text("".join(lines))
    process = subprocess.Popen(
        [
            FIREFOX, "--headless", "--marionette", "--remote-allow-system-access",
            "--no-remote", "--profile", str(profile),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = profile / "MarionetteActivePort"
        assert until(lambda: port.exists() and port.read_text(), 60), "Firefox did not start"
        window = Firefox(int(port.read_text()), saved, base)
        yield window
        window.close()
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
