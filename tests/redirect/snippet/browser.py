"""A real headless Chromium, started once and spoken to over its debugging pipe; every visitor has a profile of their own.

The pipe (`--remote-debugging-pipe`: JSON, NUL-terminated, on descriptors 3 and 4) needs no port and no client library.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--ignore-certificate-errors",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)
PATIENCE_S = 20.0


def find_chromium() -> str:
    """The browser's command; fails with the package to install, because no test of the snippet may be skipped."""
    for name in CANDIDATES:
        found = shutil.which(name)
        if found:
            return found
    raise AssertionError("no Chromium found: apt-get install chromium")


class Refused(AssertionError):
    """The browser did not carry out a command; while a tab goes to another page that is nothing unusual."""


class Chromium:
    """One browser process. Names below `.test` lead to this machine."""

    def __init__(self, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = [find_chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._read_fd, self._write_fd = ours_in, ours_out
        self._rest = b""
        self._numbers = itertools.count(1)
        self._pages: dict[str, Page] = {}

    @contextlib.contextmanager
    def visitor(self) -> Iterator[Visitor]:
        """Somebody who was never here: no cookies, no storage; forgotten afterwards."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        try:
            yield Visitor(self, context)
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def call(self, method: str, *, session: str = "", **params: Any) -> dict[str, Any]:
        """One command and its result; what happens meanwhile is given to the pages it belongs to."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise Refused(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def attach(self, page: Page) -> None:
        self._pages[page.session] = page

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert wait([self._read_fd], max(deadline - time.monotonic(), 0)), "the browser did not answer in time"
            data = os.read(self._read_fd, 1 << 20)
            assert data, "the browser died"
            self._rest += data
        raw, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page.events.append(message)
        return message

    def stop(self) -> None:
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        os.close(self._write_fd)
        os.close(self._read_fd)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Visitor:
    """A profile of its own: cookies live in it from one page to the next."""

    def __init__(self, chromium: Chromium, context: str) -> None:
        self._chromium = chromium
        self._context = context

    def page(self, url: str = "", *, before: str = "") -> Page:
        """A new tab, gone to `url`.

        Args:
            before: a script that runs before those of every page the tab shows.
        """
        target = self._chromium.call("Target.createTarget", url="about:blank", browserContextId=self._context)
        answer = self._chromium.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self._chromium, answer["sessionId"])
        if before:
            page.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        if url:
            page.goto(url)
        return page

    def cookies(self) -> dict[str, dict[str, Any]]:
        """Every cookie of this visitor by name."""
        found = self._chromium.call("Storage.getCookies", browserContextId=self._context)["cookies"]
        return {cookie["name"]: cookie for cookie in found}


class Page:
    """One tab."""

    def __init__(self, chromium: Chromium, session: str) -> None:
        self._chromium = chromium
        self.session = session
        self.events: list[dict[str, Any]] = []
        chromium.attach(self)
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._chromium.call(method, session=self.session, **params)

    def goto(self, url: str) -> None:
        """Navigate and wait for the load event."""
        seen = len(self.events)
        answer = self.call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer.get('errorText')}"
        self.loaded(since=seen)

    def loaded(self, *, since: int) -> None:
        """Wait until a load event came after the event of that number."""
        self._wait(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events[since:]), "load")

    def run(self, script: str) -> Any:
        """The value of a script (a promise is awaited), as if a person had just touched the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, f"{script}: {answer.get('exceptionDetails')}"
        return answer["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a script's value is true."""
        self._wait(lambda: bool(self.run(condition)), condition)

    def press(self, selector: str) -> None:
        """A real mouse click on the middle of the first such element."""
        at = self.run(f"(r => ({{x: r.x + r.width / 2, y: r.y + r.height / 2}}))(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")  # fmt: skip
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def complaints(self) -> list[str]:
        """Uncaught exceptions and what the browser itself logged (violations of a policy, refused requests)."""
        found = [e["params"]["exceptionDetails"] for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        logged = [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"]
        return [one.get("exception", {}).get("description", one["text"]) for one in found] + logged

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self._holds(condition):
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(0.01)

    def _holds(self, condition: Callable[[], bool]) -> bool:
        try:
            self.call("Page.getNavigationHistory")  # takes in what has happened meanwhile
            return condition()
        except Refused:
            return False
