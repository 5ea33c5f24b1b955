"""Whether a store that is dropped comes back the same from its journal: every table, derived ones, incidents and decisions included.

1. Days of a shop are written by the journal's own writers, minute by minute, and shipped and worked on as they come, as a running monitor does.
2. Each table is counted and summed up, and a few answers are taken; then `clicktrace journal rebuild-store` drops the store and fills it again.
3. The monitor works on it as after a restart, at the same moment, until nothing is left to do; everything is summed up and asked again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from app.bench.checksums import Sum, checksums, differing
from app.bench.days import LINES_A_CLICK, Days
from app.bench.sides import peak_rss_bytes
from app.conclusions import Conclusions
from app.parts import Base, Shipping
from app.settings import Settings
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, now_ms
from core.errors import ClicktraceError
from core.journal.admin import verify
from core.journal.dead_letter import waiting
from core.journal.writer import JournalWriter
from core.records import Click, Touch
from core.settings import JournalConfig
from core.store.client import Store
from correlator import queries
from correlator.arrivals import OVERLAP_MS
from correlator.attribution import attribution
from correlator.config import CorrelatorConfig
from correlator.incident_list import incidents
from correlator.past import matched
from correlator.period import Question
from correlator.reconciling_config import ReconciliationConfig
from correlator.roi import roi
from correlator.traffic_quality import rule_params

#: How often the monitor works on what came, in hours of the journal: most facts are restated after they were worked on.
ROUND_H: Final = 12
#: Rounds in which a monitor must be done with whatever waits.
MOST_ROUNDS: Final = 500
CLICKTRACE: Final = str(Path(sys.executable).parent / "clicktrace")
REBUILD_S: Final = 3600


def run(
    *, lines: int, days: int, rebuild: Callable[[Path], int] | None = None, wait: Callable[[Store], None] | None = None
) -> dict[str, object]:
    """What was written, how long it took, and which tables and answers are not the same afterwards.

    Args:
        rebuild: drops and refills the store of a data directory; how many lines it loaded. Default: the command.
        wait: returns when what was just loaded counts as settled. Default: when the time for it is over.
    """
    ends = now_ms() // DAY_MS * DAY_MS
    clock = _Clock(ends - days * DAY_MS)
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        directory = Path(scratch)
        start = partial(_Monitor, directory, clock, days=days, wait=wait or _wait)
        with closing(start()) as monitor:
            shop = Days(begins=clock(), clicks_a_minute=lines / LINES_A_CLICK / days / 1440)
            written = _live(monitor, shop, until=ends)
        watch.lap("write_ship_tick_s")
        # Started anew on both sides: a start takes up incidents that only the journal remembers.
        before = _state(start, days=days)
        watch.lap("restart_and_sum_s")
        loaded = (rebuild or _command)(directory)
        watch.lap("rebuild_s")
        after = _state(start, days=days)
        watch.lap("tick_and_sum_s")
        disk = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    return {
        "lines": written,
        "lines_loaded": loaded,
        "days": days,
        **watch.laps,
        "peak_rss_mib": peak_rss_bytes() >> 20,
        "disk_mib": disk >> 20,
        "answers": sorted(before.answers),
        "rows": {table: one.rows for table, one in before.sums.items()},
        "missed": missed(before, after),
    }


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A store once nothing is left to do: its tables, what people are answered, and where it does not agree with its journal."""

    store_id: str
    sums: dict[str, Sum]
    answers: dict[str, bytes]
    troubles: list[str] = []


def _state(start: Callable[[], _Monitor], *, days: int) -> State:
    with closing(start()) as monitor:
        monitor.settle()
        store, control = monitor.base.store, monitor.base.control
        bad = [f"{len(found)} dead letters: {found[0].detail}"] if (found := waiting(control)) else []
        verified = verify(monitor.base.journal_dir, store, control)
        bad += [f"{one.segment}: {one.lines} lines and {one.rows} rows of {one.kind}" for one in verified.mismatches]
        return State(
            store_id=store.store_id,
            sums=checksums(store, reconciled_days=days),
            answers=monitor.answers(days),
            troubles=bad,
        )


def missed(before: State, after: State) -> list[str]:
    """What is not the same, or not proven by a run that had none of it."""
    found = [*before.troubles, *after.troubles, *differing(before.sums, after.sums)]
    found += [f"another answer: {name}" for name in before.answers if before.answers[name] != after.answers[name]]
    found += ["the store was not dropped"] if before.store_id == after.store_id else []
    empty = [table for table, one in before.sums.items() if not one.rows and table not in MAY_BE_EMPTY]
    return found + [f"nothing in {table}: not proven" for table in empty]


#: Only filled from files that the user brings.
MAY_BE_EMPTY: Final = frozenset({"network_country", "network_dim"})


def _live(monitor: _Monitor, shop: Days, *, until: int) -> int:
    """Write minute by minute and let the monitor work every `ROUND_H`; how many lines were written."""
    written = 0
    redirect = JournalWriter(
        monitor.base.journal_dir, config=monitor.base.settings.journal, clock=monitor.clock, name="redirect"
    )
    try:
        for minute in range(monitor.clock(), until, MINUTE_MS):
            records = shop.minute(minute)
            monitor.clock.now = minute + MINUTE_MS
            written += redirect.append_many(one for one in records if isinstance(one, Click | Touch))
            written += monitor.base.journal.append_many(one for one in records if not isinstance(one, Click | Touch))
            if (minute + MINUTE_MS) % (ROUND_H * HOUR_MS) == 0:
                redirect.flush()
                monitor.work()
    finally:
        redirect.close()
    return written


def _command(directory: Path) -> int:
    """`clicktrace journal rebuild-store`, as a person runs it."""
    environment = {**os.environ, "CLICKTRACE_DATA_DIR": str(directory)}
    done = subprocess.run(
        [CLICKTRACE, "journal", "rebuild-store", "--yes", "--json"],
        env=environment, capture_output=True, text=True, timeout=REBUILD_S,
    )  # fmt: skip
    if done.returncode:
        raise ClicktraceError(f"rebuild-store failed: {done.stderr[-500:]}")
    return int(json.loads(done.stdout)["lines"])


def _wait(_store: Store) -> None:
    """A window of traffic is judged for good once its newest row is this old by the store's own clock."""
    time.sleep(OVERLAP_MS / 1000 + 1)


class _Clock:
    """Where the journal's time stands, in ms."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class _Stopwatch:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self._since = round(now - self._since, 1), now


class _Monitor:
    """The monitor's own parts over one data directory, worked by hand."""

    def __init__(self, directory: Path, clock: _Clock, *, days: int, wait: Callable[[Store], None]) -> None:
        # Days before the first one have nothing to reconcile.
        reconciling = ReconciliationConfig(history_days=days)
        # By size, as under load: at their usual age a quiet journal's segments hold a hundred lines.
        journal = JournalConfig(segment_max_age_s=ROUND_H * 3600)
        settings = Settings(
            data_dir=directory, journal=journal, correlator=CorrelatorConfig(reconciliation=reconciling)
        )
        self.base = Base(settings, name="monitor", clock=clock)
        self.clock = clock
        self._wait = wait
        self._shipping = Shipping(self.base)
        self._conclusions = Conclusions(self.base, self._shipping)

    def work(self) -> None:
        """Ship, tick, evaluate and reconcile until nothing is left to do at this moment.

        Raises:
            ClicktraceError: something always is.
        """
        now = self.clock()
        for _ in range(MOST_ROUNDS):
            self.base.journal.flush()
            self._shipping.ship_now()
            self._conclusions.correlator.tick(now)
            if not self._traffic_waits(now):
                break
        else:
            raise ClicktraceError(f"the monitor is not done after {MOST_ROUNDS} rounds")
        self._conclusions.alerts.tick(now)
        while self._conclusions.reconciling.tick(now):
            pass
        self._shipping.ship_now()

    def settle(self) -> None:
        """Work until all is done, and again when what was loaded counts as settled."""
        self.work()
        self._wait(self.base.store)
        self.work()

    def answers(self, days: int) -> dict[str, bytes]:
        """What people ask for, now and as known in the middle of the time."""
        now, config = self.clock(), self.base.settings.correlator
        question = Question(since=now - days * DAY_MS, until=now, now=now)
        found = {"incidents": msgspec.json.encode(incidents(self.base.store, question))}
        for name, as_of in (("now", None), ("as_of", now - days * DAY_MS // 2)):
            with matched(self.base.store, config, msgspec.structs.replace(question, as_of=as_of)) as known:
                found[f"roi_{name}"] = msgspec.json.encode(roi(self.base.store, config, known))
                found[f"attribution_{name}"] = msgspec.json.encode(attribution(self.base.store, config, known))
        return found

    def _traffic_waits(self, now: int) -> bool:
        due = f"{queries.text('traffic_due_window')} LIMIT 1"
        return bool(
            queries.read(self.base.store, due, {**rule_params(self.base.settings.correlator.traffic), "now": now})
        )

    def close(self) -> None:
        self._conclusions.stop()
        self.base.close()
