"""Made-up days of every kind of fact, and ways to bring the same lines into a store: in any order, over several segments, twice, with
restarts anywhere. What stands in the store afterwards, and what is answered as known at a time, must not depend on the way."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, to_rfc3339
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.identity import derive
from core.journal.writer import JournalWriter
from core.records import Record, Touch
from core.settings import JournalConfig
from core.shipper import Shipper
from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.engine import Correlator
from correlator.steps import STEPS
from tests.correlator.conftest import CAMPAIGN, World, moment

MIDNIGHT = moment("00:00")
#: When the last line was known; answers are asked for from then on.
KNOWN_BY = MIDNIGHT + DAY_MS
CAMPAIGNS = (CAMPAIGN, "google:1:3", "")
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0", "curl/8.0", "")
#: Rows that say when something was done here rather than what was told: other ways, other times.
_OWN_TIMES = {"conversion_match": "matched_at", "user_agent_dim": "parsed_at"}
DERIVED = ("conversion_match", "user_agent_dim", "repeated_click", "conversion_key", "click_key")
PERIOD = {"from": to_rfc3339(MIDNIGHT), "to": to_rfc3339(KNOWN_BY)}
#: Every report that is answered as known at a time, with what it is asked for.
REPORTS: dict[str, dict[str, str]] = {
    "/roi": {**PERIOD, "grain": "1h"},
    "/attribution": PERIOD,
    "/reconciliation": PERIOD,
    "/unmatched": PERIOD,
    f"/campaigns/{CAMPAIGN}/timeline": {**PERIOD, "grain": "1h"},
    "/campaigns": {},
    f"/clicks/{derive('gclid', b'A')}": {},
}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One journal line to be: the record, and when it was learned (ms)."""

    record: Record
    known_at: int


class Notebook:
    """Takes records where a journal would."""

    def __init__(self, clock: Any) -> None:
        self.clock, self.lines = clock, []

    def append(self, record: Record, *, known_at: int | None = None) -> None:
        self.lines.append(Line(record=record, known_at=self.clock.now if known_at is None else known_at))


def made_up_day(world: World, random: Random) -> list[Line]:
    """About ninety facts of one day, several of them restated, each learned at a moment of its own; in the order of learning."""
    notebook = Notebook(world.clock)
    kept, world.journal = world.journal, notebook
    clicks = [derive("gclid", b"A"), derive("gclid", b"B"), *(f"{number:032x}" for number in range(1, 6))]
    for tell in (_clicks, _conversions, _money, _counts, _rest):
        tell(world, random, clicks)
    world.journal = kept
    times = sorted(random.sample(range(1, DAY_MS // 1000), len(notebook.lines)))
    random.shuffle(notebook.lines)
    return [
        Line(record=line.record, known_at=MIDNIGHT + at * 1000) for line, at in zip(notebook.lines, times, strict=True)
    ]


def _at(random: Random) -> int:
    return MIDNIGHT + random.randrange(DAY_MS // MINUTE_MS) * MINUTE_MS


def _clicks(world: World, random: Random, clicks: list[str]) -> None:
    for _ in range(18):
        world.click(
            _at(random), click_id=random.choice(clicks), visitor_id=random.choice(["", "a" * 32, "b" * 32]),
            campaign=random.choice(CAMPAIGNS), user_agent=random.choice(AGENTS), client=random.choice(["", "acme"]),
            network=random.choice(["192.0.2.0/24", "198.51.100.0/24"]), http_status=random.choice([302, 302, 503]),
            platform_ids=random.choice([{}, {"gbraid": "G"}]),
        )  # fmt: skip


def _conversions(world: World, random: Random, clicks: list[str]) -> None:
    for _ in range(26):
        world.conversion(
            _at(random), conversion_id=str(random.randrange(9)), type=random.choice(["order", "lead", "demo"]),
            origin=random.choice(["backend", "backend", "analytics"]), client=random.choice(["", "acme"]),
            status=random.choice(["captured", "qualified", "confirmed", "rejected", "returned"]),
            click_id=random.choice(["", *clicks]), visitor_id=random.choice(["", "a" * 32]),
            platform_ids=random.choice([{}, {"gclid": "A"}, {"gbraid": "G"}, {"gclid": "{gclid}"}]),
            order_id=random.choice(["", "o1", "o2"]), crm_id=random.choice(["", "c1"]), email_sha256=random.choice(["", "e1", "e2"]),
            value_micros=random.randrange(100) * 333_333, currency=random.choice(["USD", "EUR"]),
            attributes=random.choice([{}, {"stage": "sql"}]),
        )  # fmt: skip


def _money(world: World, random: Random, clicks: list[str]) -> None:
    for _ in range(10):
        hour = f"{random.randrange(4) * 3:02d}:00"
        world.spend(
            hour, random.randrange(50), known="", campaign=random.choice(CAMPAIGNS[:2]), clicks=random.randrange(9)
        )
    for through in ("06:00", "12:00", "23:00"):
        world.watermark(through, known="23:30")
    for _ in range(3):
        world.rate("USD", 1 + random.random(), known="15:00")
    for source in ("google_ads", "push", "push"):
        world.campaign(
            "01:00",
            source=source,
            name=random.choice("ab"),
            client=random.choice(["", "acme"]),
            margin_micros=random.randrange(9),
        )


def _counts(world: World, random: Random, clicks: list[str]) -> None:
    for _ in range(4):
        hour = f"{random.randrange(2) * 5:02d}:00"
        world.tally(hour, random.choice(["lead", "session"]), random.randrange(9), known="20:00")
    world.watermark("20:00", known="21:00", source="ga4:1")
    for _ in range(3):
        world.platform_click(random.choice(clicks), known="13:00", campaign=random.choice(CAMPAIGNS[:2]))


def _rest(world: World, random: Random, clicks: list[str]) -> None:
    for name in ("page_view", "form_start", "form_submit", "page_view"):
        world.tell(
            Touch(ts=_at(random), source="snippet", name=name, click_id=random.choice(clicks), page="shop.example/p")
        )
    for version in "12":
        world.deploy("05:00", version, author=random.choice("xy"), fact_id="deploy:shop")
    world.span("06:00", click_id=clicks[0], trace_id=clicks[0], span_id="1" * 16)


class Replay:
    """One way of the lines into an emptied store; a control database and a journal of its own."""

    def __init__(self, store: Store, directory: Path, migrated: Path, clock: Any, config: CorrelatorConfig) -> None:
        empty(store)
        directory.mkdir()
        self.store, self.clock, self.config = store, clock, config
        self._directory, self._migrated = directory, migrated
        self._controls: list[Engine] = []
        self.control = self._new_control()
        self._writers = [
            JournalWriter(directory / "journal", config=JournalConfig(), clock=clock, name=f"writer{number}")
            for number in range(3)
        ]
        clock.now = KNOWN_BY + HOUR_MS
        self.world = World(store, self.control, self._writers[0], self, clock, config)
        self.shipper = self._new_shipper(self.control)

    def in_order(self, lines: Sequence[Line]) -> None:
        """All lines in one segment, one tick."""
        for line in lines:
            self._writers[0].append(line.record, known_at=line.known_at)
        self.settle()

    def anyhow(self, lines: Sequence[Line], random: Random) -> None:
        """The lines in any order over three segments; in between they are shipped, the correlator is stopped in the middle of a tick, made
        anew, its clock goes back, and what was shipped is sent again by a shipper that knows of nothing."""
        shuffled = random.sample(lines, len(lines))
        for line in shuffled:
            random.choice(self._writers).append(line.record, known_at=line.known_at)
            if random.random() < 0.04:
                random.choice([self.settle, self._half_a_tick, self._send_again, self._clock_goes_back])()
        self.settle()

    def settle(self) -> None:
        self.clock.advance(1000)
        self._ship(self.shipper)
        self.world.correlator.tick(self.clock())

    def _half_a_tick(self) -> None:
        """A process that dies after some of the steps; the next one finds its checkpoints."""
        self._ship(self.shipper)
        checkpoints = Checkpoints(self.control, "correlator")
        cut = STEPS[: 1 + self.clock.now % len(STEPS)]
        Correlator(
            self.store, self._writers[0], checkpoints, config=self.config, clock=self.clock, steps=cut, later=()
        ).tick()

    def _send_again(self) -> None:
        self._ship(self.shipper)
        self._ship(self._new_shipper(self._new_control()))

    def _clock_goes_back(self) -> None:
        self.settle()
        self.clock.advance(-600_000)

    def _new_control(self) -> Engine:
        path = self._directory / f"control{len(self._controls)}"
        path.mkdir()
        shutil.copy(self._migrated, path / self._migrated.name)
        self._controls.append(open_control("", path, migrate=False))
        return self._controls[-1]

    def _new_shipper(self, control: Engine) -> Shipper:
        return Shipper(self.store, control, self._directory / "journal", config=JournalConfig(), clock=self.clock)

    def _ship(self, shipper: Shipper) -> None:
        for writer in self._writers:
            writer.flush()
        while shipper.run_once().ranges:
            pass

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
        for control in self._controls:
            control.dispose()

    # --- what came of it -----------------------------------------------------------------------------------------------------
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The derived tables without the times at which this machine worked."""
        return {
            table: self.store.rows(
                f"SELECT * {f'EXCEPT ({_OWN_TIMES[table]}) ' if table in _OWN_TIMES else ''}FROM {table} FINAL ORDER BY ALL"
            )
            for table in DERIVED
        }

    def answers(self, reports: Sequence[str], as_of: int | None = None) -> dict[str, Any]:
        """Reports as known at `as_of` (ms; None = now)."""
        known = {} if as_of is None else {"as_of": to_rfc3339(as_of)}
        return {path: self._ask(path, {**REPORTS[path], **known}) for path in reports}

    def _ask(self, path: str, query: dict[str, str]) -> Any:
        client: TestClient = self.world.client
        answer = client.get(f"/api/v1{path}", params=query, headers={"Authorization": f"Bearer {self.world.key}"})
        assert answer.status_code in (200, 404), answer.text
        return answer.json()


def differences(one: Any, other: Any, *, place: str = "") -> list[str]:
    """Where two answers differ, by the way to each place; what a person needs to see of answers of some thousand lines."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(key, one.get(key), other.get(key)) for key in {**one, **other}]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(at), mine, yours) for at, (mine, yours) in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [f"{place}: {one} and {other}"[:400]]
    return [found for key, mine, yours in pairs for found in differences(mine, yours, place=f"{place}.{key}")]


def empty(store: Store) -> None:
    used = "SELECT DISTINCT table FROM system.parts WHERE database = currentDatabase() AND active AND table NOT IN ('schema_migration', 'store_identity')"
    for row in store.rows(used):
        store.command(f"TRUNCATE TABLE {row['table']}")
