"""A world around one source, for the suite over all of them: its sandbox, a runner on it, and the means to restart the latter."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from collectors.base import Fetched, Journal, Source, SourceStatus
from collectors.config import CollectorsConfig
from collectors.reading import Checkpoint
from collectors.registry import AD_PLATFORM_PARTS, AD_PLATFORMS, SOURCES, build_sources
from collectors.runner import Runner
from collectors.versions import Reads, Versions
from collectors.windows import Window
from core.clock import HOUR_MS
from core.control.checkpoints import Checkpoints
from core.records import Reading, Record, Watermark
from core.retry import RetryPolicy
from core.vendors.config import AccountConfig
from tests.collectors.sandboxes.cases import CASES, Case
from tests.collectors.sandboxes.parrot import port_of, secrets_in
from tests.collectors.toy.config import ToyConfig

#: The source that the tests add (tests/collectors/toy).
TOY = "toy"
TOY_SOURCE = "tests.collectors.toy.collector:ToySource"
TOY_CASE = "tests.collectors.toy.sandbox:ToyCase"
SECTIONS = sorted({*CASES, TOY})
#: The beginning of an answer that is as long as nobody waits.
ENDLESS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{"
QUICK = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.002)


def registered() -> set[str]:
    """Every source that the product can read, by the names of its cases."""
    platforms = {platform: section for platform, (section, _) in AD_PLATFORMS.items()}
    parts = {f"{platforms[platform]}.{name}" for platform, found in AD_PLATFORM_PARTS.items() for name, _ in found}
    return {*SOURCES, *platforms.values(), *parts} - {TOY}


class WithToy(CollectorsConfig):
    """The settings as they are with one source more."""

    toy: ToyConfig = ToyConfig()


class Parts(msgspec.Struct, frozen=True):
    """What a runner works with."""

    journal: Journal
    control: Engine
    store: Reads | None
    clock: Any


def schedule(case: Case) -> dict[str, Any]:
    """The same schedule for every source, so that the suite knows when what is read."""
    return {
        "interval_s": 900,
        "documented_lag_s": case.lag_s,
        "recent_s": 86_400,
        "restatement_s": 3 * 86_400,
        "restatement_interval_s": 6 * 3600,
        "backfill_s": 2 * 86_400,
        "window_s": 86_400,
        "deadline_s": 20,
        "call_timeout_s": 5,
    }


class Settings(msgspec.Struct):
    """A case's settings as they travel to another process. `reads` is how the source's name begins."""

    section: str
    reads: str
    values: dict[str, Any]
    accounts: list[dict[str, Any]]


def settings_of(case: Case, **changes: Any) -> Settings:
    accounts = [account.model_dump(mode="json") for account in case.accounts()]
    values = case.configured(schedule(case) | changes)
    return Settings(section=case.section, reads=case.reads or f"{case.section}:", values=values, accounts=accounts)


def source_of(settings: Settings) -> Source:
    """The source that the settings are about; of an account that is read for several things, that one."""
    config = WithToy.model_validate({settings.section: settings.values})
    accounts = [AccountConfig.model_validate(account) for account in settings.accounts]
    wanted = [source for source in build_sources(config, accounts) if source.name.startswith(settings.reads)]
    assert len(wanted) == 1, f"{len(wanted)} sources begin with {settings.reads}"
    return wanted[0]


def written_by(case: Case, records: list[Record]) -> list[Record]:
    """The case's own records among those of several."""
    return [record for record in records if record.source.partition(":")[0] in (case.section, case.reads.rstrip(":"))]


def runner_of(
    sources: list[Source], parts: Parts, *, concurrency: int = 4, checkpoints: Checkpoint | None = None
) -> Runner:
    return Runner(
        sources,
        parts.journal,
        checkpoints or Checkpoints(parts.control, "collectors", clock=parts.clock),
        versions=Versions(parts.store, clock=parts.clock),
        policy=QUICK,
        clock=parts.clock,
        concurrency=concurrency,
    )


class World:
    """One source."""

    def __init__(self, case: Case, parts: Parts, journaled: Callable[[], list[Record]]) -> None:
        self.case = case
        self.clock = parts.clock
        self._parts = parts
        self._journaled = journaled
        self.runner = self.make()

    def make(self, **changes: Any) -> Runner:
        """A runner as after a restart; `changes` are to its schedule."""
        return runner_of([source_of(settings_of(self.case, **changes))], self._parts)

    def restart(self, **changes: Any) -> None:
        self.runner.stop()
        self.runner = self.make(**changes)

    @property
    def status(self) -> SourceStatus:
        (status,) = self.runner.statuses()
        return status

    @property
    def state(self) -> str:
        return self.status.state

    def add(self, number: int, *, ago_h: float = 0.0) -> None:
        self.case.add(number, ts=self.clock.now - round(ago_h * HOUR_MS))

    def run(self, *, after_s: float = 0.0) -> None:
        self.clock.advance(round(after_s * 1000))
        self.runner.run_once(self.clock.now)

    def break_after(self, *, windows: int) -> None:
        """The vendor is away once so many windows were read, until `behaviour.outage` is taken back."""
        (reader,) = self.runner._readers.values()
        fetch = reader.source.fetch
        left = iter(range(windows))

        def counted(window: Window, *, now: int, deadline_s: float) -> Fetched:
            self.case.behaviour.outage = next(left, None) is None
            return fetch(window, now=now, deadline_s=deadline_s)

        reader.source.fetch = counted  # type: ignore[method-assign]  # as if the vendor went away by itself

    def seen(self) -> list[int]:
        return self.case.seen(self.facts())

    def facts(self) -> list[Record]:
        return [record for record in self._journaled() if not isinstance(record, Watermark | Reading)]

    def marks(self) -> list[Watermark]:
        return [record for record in self._journaled() if isinstance(record, Watermark)]

    def told(self) -> list[str]:
        """How the source did, as the journal tells."""
        return [record.state for record in self._journaled() if isinstance(record, Reading)]


@contextlib.contextmanager
def endless_listener(endpoint: str, *, says: bytes) -> Iterator[None]:
    """Something on a sandbox's port that accepts connections, says this, and then one byte more and one more, without an end. With
    nothing to say it never says a word."""
    over = threading.Event()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port_of(endpoint)))
        listener.listen(16)
        if says:
            threading.Thread(target=_drip, args=(listener, says, over), daemon=True).start()
        yield
        over.set()


def _drip(listener: socket.socket, says: bytes, over: threading.Event) -> None:
    listener.settimeout(0.05)
    calls: list[socket.socket] = []
    while not over.is_set():
        with contextlib.suppress(TimeoutError, OSError):
            calls.append(listener.accept()[0])
            calls[-1].sendall(says)
        for call in calls:
            with contextlib.suppress(OSError):
                call.sendall(b" ")
    for call in calls:
        call.close()


def secrets_of(case: Case) -> set[str]:
    """What is secret in the files that the settings name."""
    texts = [msgspec.json.encode(case.settings()), *(account.model_dump_json().encode() for account in case.accounts())]
    named = {word for text in texts for word in text.decode().split('"') if word.startswith(str(case.directory))}
    return secrets_in(Path(name) for name in named if Path(name).is_file())


def eventually(what: Callable[[], bool], *, within_s: float = 15.0) -> None:
    ends = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < ends, "not within the time"
        time.sleep(0.02)
