"""A version of a service that spans name for the first time is a deploy: its marker is made here, once.

1. A service seen for the first time is learned: what it runs then was deployed before we looked, so it makes no marker.
2. After that, each version that was never seen of it makes one, at the start of its earliest span.
3. None is made for a version that somebody reported (`POST /api/v1/deploys`, `clicktrace mark`, GitHub): the report says more.
4. What was seen is remembered in the control database, so neither a restart nor a canary that comes and goes makes another. A rollback to
   a version seen before makes none: report it.

Names come from outside: a service that puts a build or host name into its version may make `MARKS_PER_HOUR` markers an hour, the rest is
counted; versions of a service and services are remembered up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final, Protocol

import msgspec
import structlog

from collectors import fact_ids
from collectors.metrics import OTLP_VERSIONS
from collectors.versions import Reads
from core.clock import DAY_MS, HOUR_MS
from core.errors import StoreError
from core.records import Deploy

log = structlog.get_logger(__name__)

MARKS_PER_HOUR: Final = 6
MAX_VERSIONS: Final = 1_000
MAX_SERVICES: Final = 1_000
#: Pairs of service and version that need no look into the memory.
MAX_KNOWN: Final = 10_000
_SERVICES: Final = "versions"
_REPORTED: Final = "SELECT count() AS found FROM deploy WHERE service = {service:String} AND version = {version:String}"


class Memory(Protocol):
    """`core.control.checkpoints.Checkpoints` of the part "otlp"."""

    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, value: bytes) -> None: ...


class Reported(Protocol):
    """Whether somebody said that this version was deployed. Raises StoreError when it cannot be told now."""

    def __call__(self, service: str, version: str, /) -> bool: ...


class StoreDeploys:
    """A `Reported` over the store."""

    def __init__(self, store: Reads) -> None:
        self._store = store

    def __call__(self, service: str, version: str, /) -> bool:
        [row] = self._store.rows(_REPORTED, {"service": service, "version": version})
        return bool(row["found"])


class Seen(msgspec.Struct):
    """What is remembered of one service: its versions, newest last, and when its latest markers were made (ms)."""

    versions: list[str]
    marked: list[int] = []


#: (service, version) -> start of its earliest span (ms).
FirstSeen = dict[tuple[str, str], int]


class NewVersions:
    """Not thread-safe: the receiver's worker owns it."""

    def __init__(self, memory: Memory, reported: Reported) -> None:
        self._memory = memory
        self._reported = reported
        self._known: set[tuple[str, str]] = set()
        self._waiting: FirstSeen = {}
        self._unsaved: dict[str, Seen] = {}
        self._answered: set[tuple[str, str]] = set()

    def add(self, found: Mapping[tuple[str, str], int]) -> None:
        """Versions that spans named."""
        for key, start in found.items():
            if key[1] and key not in self._known:
                self._waiting[key] = min(start, self._waiting.get(key, start))

    def markers(self, *, now: int) -> list[Deploy]:
        """Markers of what is new. They are made again until `saved` says that they stand in the journal."""
        made: list[Deploy] = []
        by_service: dict[str, dict[str, int]] = {}
        for (service, version), start in self._waiting.items():
            by_service.setdefault(service, {})[version] = start
        for service, starts in by_service.items():
            seen = self._recall(service)
            if seen is None:
                self._learn(service, starts)
            else:
                made += self._of(service, seen, starts, now=now)
        return made

    def saved(self) -> None:
        """Remember what `markers` answered for."""
        for service, seen in self._unsaved.items():
            self._memory.put(_name(service), msgspec.msgpack.encode(seen))
        if len(self._known) > MAX_KNOWN:
            self._known.clear()  # read again when it is named again
        self._known |= self._answered
        for key in self._answered:
            self._waiting.pop(key, None)
        self._unsaved.clear()
        self._answered.clear()

    def _of(self, service: str, seen: Seen, starts: Mapping[str, int], *, now: int) -> Iterable[Deploy]:
        versions, marked = list(seen.versions), [at for at in seen.marked if now - at < HOUR_MS]
        before = set(seen.versions)
        for version, start in sorted(starts.items(), key=lambda each: each[1]):
            outcome = "seen" if version in before else self._outcome(service, version, marks=len(marked))
            if outcome == "unknown":
                continue  # the store does not answer: it waits
            self._answered.add((service, version))
            if outcome == "seen":
                continue
            OTLP_VERSIONS.labels(outcome).inc()
            versions.append(version)
            if outcome == "marked":
                marked.append(now)
                yield _marker(service, version, start=start, now=now)
        if len(versions) > len(seen.versions):
            self._unsaved[service] = Seen(versions=versions[-MAX_VERSIONS:], marked=marked)

    def _outcome(self, service: str, version: str, *, marks: int) -> str:
        if marks >= MARKS_PER_HOUR:
            return "too_many"
        try:
            return "reported" if self._reported(service, version) else "marked"
        except StoreError as error:
            log.warning("not told whether a version was reported", service=service, version=version, error=str(error))
            return "unknown"

    def _learn(self, service: str, starts: Mapping[str, int]) -> None:
        self._answered.update((service, version) for version in starts)
        room = self._has_room()
        OTLP_VERSIONS.labels("learned" if room else "no_room").inc(len(starts))
        if room:
            self._unsaved[service] = Seen(versions=list(starts)[-MAX_VERSIONS:])

    def _recall(self, service: str) -> Seen | None:
        saved = self._memory.get(_name(service))
        return msgspec.msgpack.decode(saved, type=Seen) if saved else None

    def _has_room(self) -> bool:
        """Whether one more service is remembered; the count is kept beside them."""
        saved = self._memory.get(_SERVICES)
        services = int(saved) if saved else 0
        if services >= MAX_SERVICES:
            return False
        self._memory.put(_SERVICES, b"%d" % (services + 1))
        return True


def _marker(service: str, version: str, *, start: int, now: int) -> Deploy:
    """One key whenever and wherever it is made: two receivers that see a version at once make versions of one fact."""
    return Deploy(
        ts=min(max(start, now - DAY_MS), now),
        source="otlp",
        fact_id=fact_ids.seen_version(service=service, version=version),
        service=service,
        version=version,
        change="deploy",
        description="First seen in spans.",
    )


def _name(service: str) -> str:
    return f"{_SERVICES}:{sha256(service.encode('utf-8', 'surrogatepass')).hexdigest()}"
