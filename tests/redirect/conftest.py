"""Fixtures of the redirect tests: real workers on real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.control.engine import open_control
from redirect.config import RedirectConfig
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore

from .live_worker import ALLOWED, ProcessWorker, ThreadWorker, link, listening_socket
from .snippet.browser import Chromium, Visitor

Start = Callable[..., ThreadWorker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Start]:
    """Start a worker in a thread: `start_worker(link(…), …, idle_timeout_s=1)`."""
    running: list[ThreadWorker] = []

    def start(*definitions: LinkDefinition, **settings: Any) -> ThreadWorker:
        data_dir = tmp_path / f"data-{len(running)}"
        data_dir.mkdir()
        control = open_control("", data_dir)
        config = RedirectConfig.model_validate({"allowed_destinations": ALLOWED, "drain_timeout_s": 2, **settings})
        store = LinkStore(control, allowed_destinations=config.allowed_destinations)
        for definition in definitions:
            store.add(definition, author="test")
        running.append(ThreadWorker(config, data_dir=data_dir, control=control, sock=listening_socket()))
        return running[-1]

    yield start
    for worker in running:
        worker.stop()
        worker.control.dispose()


@pytest.fixture
def worker(start_worker: Start) -> ThreadWorker:
    """A worker with one plain link, `spring`."""
    return start_worker(link())


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., ProcessWorker]]:
    """Start a worker in a process of its own."""
    running: list[ProcessWorker] = []

    def start(*definitions: LinkDefinition, **settings: Any) -> ProcessWorker:
        control = open_control("", tmp_path)
        config = RedirectConfig.model_validate({"allowed_destinations": ALLOWED, **settings})
        store = LinkStore(control, allowed_destinations=config.allowed_destinations)
        for definition in definitions:
            store.add(definition, author="test")
        running.append(ProcessWorker(config, data_dir=tmp_path, control=control, sock=listening_socket()))
        return running[-1]

    yield start
    for process in running:
        process.stop()
        process.control.dispose()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One real browser for all tests of this process."""
    running = Chromium(tmp_path_factory.mktemp("chromium"))
    yield running
    running.stop()


@pytest.fixture
def visitor(chromium: Chromium) -> Iterator[Visitor]:
    """Somebody with a fresh profile."""
    with chromium.visitor() as fresh:
        yield fresh
