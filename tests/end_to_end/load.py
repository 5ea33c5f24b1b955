"""A load generator that keeps its own log: one line for every click that was answered with a redirect."""

from __future__ import annotations

import http.client
import threading
import time
from urllib.parse import urlsplit
from uuid import uuid4

from core.identity import derive


class Load:
    """Threads that click one link with an ID of their own each time; `answered` holds the click IDs of all 302s."""

    def __init__(self, url: str, *, threads: int = 4, per_second: float = 400.0) -> None:
        self._url = urlsplit(url)
        self._pause_s = threads / per_second
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._answered: dict[str, float] = {}
        self.failed = 0
        self._threads = [threading.Thread(target=self._click, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(40)

    @property
    def answered(self) -> dict[str, float]:
        """Click ID -> when its 302 arrived (monotonic seconds)."""
        with self._lock:
            return dict(self._answered)

    def _click(self) -> None:
        connection = None
        due = time.monotonic()
        while not self._stopping.is_set():
            due = max(due + self._pause_s, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))
            gclid = uuid4().hex
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=30)
                connection.request("GET", f"{self._url.path}?gclid={gclid}")
                answer = connection.getresponse()
                location = answer.getheader("Location", "")
                answer.read()
            except (OSError, http.client.HTTPException):
                # Not answered: the click may or may not be in the journal, and counts for neither side.
                self.failed += 1
                connection = None
                continue
            self._note(answer.status, location, gclid)

    def _note(self, status: int, location: str, gclid: str) -> None:
        click_id = derive("gclid", gclid.encode())
        if status == 302 and f"ct_click={click_id}" in location:
            with self._lock:
                self._answered[click_id] = time.monotonic()
        else:
            self.failed += 1
