"""The same from chDB in the process, from a ClickHouse server over HTTP, and from our read-only protocol (port 8123) before such a server.

One rich day goes in, the whole monitor works on it on either side, every report is asked of all of them, and the answers are the same byte by
byte. The lists are made of the code: a route, a query file or a table that is not compared fails.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from alerts.config import AlertsConfig
from alerts.pipeline import Alerts
from app.auth import KeyAuthorization
from app.console.data import ConsoleData
from app.problems import install
from core.clock import HOUR_MS, MINUTE_MS, to_rfc3339
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.errors import Invalid
from core.journal.reader import decode_line
from core.journal.writer import JournalWriter
from core.metric_catalogue import catalogue
from core.metric_description import DURING
from core.metric_queries import query
from core.principal import Principal
from core.records import Kinds
from core.settings import JournalConfig, RetentionConfig, StoreConfig
from core.shipper import Shipper
from core.store import retention
from core.store.client import Store, open_store, protocol_connector
from core.store.read_server import build_read_app
from core.vendors.registry import open_account
from correlator import queries
from correlator.api import build_router
from correlator.config import CorrelatorConfig
from correlator.countries import look_up_countries
from correlator.daily_reconciliation import DailyReconciliation
from correlator.detection.aside import at_once
from correlator.detection.config import DetectionConfig
from correlator.detection.engine import Detection
from correlator.enrichment import look_up_networks
from correlator.exchange import without_rate
from correlator.reconciling_config import ReconciliationConfig
from correlator.traffic_quality import judge_new
from tests.clickhouse_server import Server, server
from tests.conftest import FakeClock
from tests.core.journal.test_versions import fixture
from tests.core.store.test_read_server import Served
from tests.correlator.conftest import CAMPAIGN, World
from tests.correlator.replaying import KNOWN_BY, MIDNIGHT, Line, Notebook, made_up_day
from tests.correlator.test_reports_api import tell_incident
from tests.databases import Databases

#: A minute of processor time; port 8123 and the store's own doors over HTTP are in tests/core/store/test_clickhouse_http.py for every day.
pytestmark = pytest.mark.long

NOW = KNOWN_BY + 7 * HOUR_MS
PERIOD = {"from": to_rfc3339(MIDNIGHT), "to": to_rfc3339(KNOWN_BY)}
PAST = {**PERIOD, "as_of": to_rfc3339(KNOWN_BY - 6 * HOUR_MS)}
#: Every route of the reports, with what it is asked.
QUESTIONS: dict[str, list[dict[str, str]]] = {
    "/campaigns": [{}],
    "/campaigns/{campaign}/timeline": [{**PERIOD, "grain": "1h"}],
    "/campaigns/{campaign}/comparison": [PERIOD],
    "/clicks/{click_id}": [{}],
    "/incidents": [PERIOD],
    "/incidents/{incident_id}": [{}],
    "/roi": [PERIOD, {**PERIOD, "by": "country", "grain": "1h"}, {**PAST, "by": "device", "client": "acme"}],
    "/roi/bridge": [{**PERIOD, "live_at": to_rfc3339(KNOWN_BY - 6 * HOUR_MS)}],
    "/attribution": [PERIOD, {**PAST, "by": "device"}],
    "/unmatched": [PERIOD],
    "/missing-conversions": [PERIOD],
    "/reconciliation": [{**PERIOD, "by": "campaign"}],
    "/reconciliation/findings": [PERIOD],
    "/freshness": [{}],
    "/traffic": [PERIOD],
    "/metrics": [{}],
    "/metrics/{name}": [{}],
}
#: Keeps rows in the store while it answers, so nobody who may only read can ask it.
KEEPS_ROWS = {"/attribution"}
ASKED = {"campaign": CAMPAIGN, "click_id": f"{1:032x}", "incident_id": "failing", "name": "roi"}
#: Told by the store's own clock, when rows were loaded.
LOADING_TIMES = {"click_delay", "counted_at", "touched_at", "judged_at", "loaded_at", "asked_at"}


class Side:
    """The whole monitor over one store, with a journal and a control database of its own and the same clock."""

    def __init__(self, store: Store, directory: Path, migrated: Path) -> None:
        (directory / "control").mkdir(parents=True)
        shutil.copy(migrated, directory / "control" / migrated.name)
        self.store, self.clock = store, FakeClock(KNOWN_BY)
        self.config = CorrelatorConfig(
            reporting_currency="USD", reconciliation=ReconciliationConfig(history_days=2, daily_at_h=6)
        )
        self.control = open_control("", directory / "control", migrate=False)
        self.journal = JournalWriter(directory / "journal", config=JournalConfig(), clock=self.clock, name="side")
        self.shipper = Shipper(store, self.control, directory / "journal", config=JournalConfig(), clock=self.clock)
        further: list[Any] = []
        self.world = World(store, self.control, self.journal, self, self.clock, self.config, further)
        told = {"clock": self.clock, "shipped_through": self.shipper.shipped_through}
        self.detection = Detection(
            store, self.journal, Checkpoints(self.control, "detection"), config=DetectionConfig(), money=self.config,
            aside=at_once, **told
        )  # fmt: skip
        further.append(("detection", self.detection.tick))
        self.reconciling = DailyReconciliation(store, config=self.config, shipped_through=self.shipper.shipped_through)
        self.alerts = Alerts(
            store, self.control, self.journal, config=AlertsConfig(), accounts=[], public_url="", open_account=open_account, **told
        )  # fmt: skip

    def __call__(self) -> None:
        self.journal.flush()
        while self.shipper.run_once().ranges:
            pass

    def bring(self, lines: list[Line], *, now: int) -> None:
        """Journal the lines, ship them, and let the monitor work until `now`."""
        for line in lines:
            self.clock.now = max(self.clock.now, line.known_at)
            self.journal.append(line.record, known_at=line.known_at)
        self.clock.now = now
        self.world.settle()
        self.alerts.tick(self.clock())
        while self.reconciling.tick(self.clock()):
            pass
        self()

    def look_up_networks(self, home: Path) -> None:
        """In files that a user brings; the same ones for both sides."""
        lists, countries = home / "lists.txt", home / "countries.mmdb"
        if not countries.exists():
            lists.write_text("198.51.100.0/24\n")
            writer = MMDBWriter(database_type="Test-Country")
            writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "DE"}})
            writer.to_db_file(str(countries))
        told = self.config.traffic.model_copy(update={"datacenter_networks": (str(lists),)})
        assert look_up_networks(self.store, config=told, since=0, now=NOW) > 2
        assert look_up_countries(self.store, database=str(countries), since=0, now=NOW) > 2

    def judge_all(self) -> None:
        """Traffic is judged for good once it lies 20 s by the store's own clock, which no test moves: so its stamps are."""
        older = ", ".join(f"{name} = {name} - INTERVAL 1 MINUTE" for name in ("counted_at", "touched_at", "judged_at"))
        self.store.command(f"ALTER TABLE traffic_window UPDATE {older} WHERE 1 SETTINGS mutations_sync = 1")
        while judge_new(self.store, config=self.config.traffic, now=NOW):
            pass

    def close(self) -> None:
        self.alerts.close()
        self.journal.close()
        self.control.dispose()


def rich_day(world: World) -> list[Line]:
    """Every kind of fact: a made-up day, every field of every kind once, an incident that is open, a crowd from one network."""
    lines = made_up_day(world, Random(5))
    book = Notebook(world.clock)
    kept, world.journal = world.journal, book
    for number in range(40):
        world.click(KNOWN_BY - HOUR_MS + number * 1000, click_id=f"{100 + number:032x}", user_agent="curl/8.0")
    tell_incident(world, "failing", "23:30")
    tell_incident(world, "mended", "20:00", state="closed", known="21:00")
    world.journal = kept
    every = [decode_line(line, segment="s") for line in fixture(2)]
    once = [
        Line(record=one.record, known_at=one.envelope.known_at)
        for one in every
        if one.record.__struct_config__.tag != "incident"
    ]
    return [*once, *book.lines, *lines]


@pytest.fixture(scope="module")
def second_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("second")) as running:
        yield running


@pytest.fixture(scope="module")
def sides(
    databases: Databases, second_engine: Server, migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    """(chDB in this process, a server over HTTP), with the same lines and the same ticks."""
    home = tmp_path_factory.mktemp("sides")
    with ExitStack() as stack:
        far = open_store(StoreConfig(url=second_engine.url), home, database="far")
        stack.callback(far.close)
        both = [Side(stack.enter_context(databases.one()), home / "near", migrated), Side(far, home / "far", migrated)]
        lines = rich_day(both[0].world)
        both[0].clock.now = both[1].clock.now  # writing the day has moved it
        for side in both:
            stack.callback(side.close)
            side.bring(lines[:-30], now=KNOWN_BY)
            side.bring(lines[-30:], now=KNOWN_BY + MINUTE_MS)
            side.bring([], now=NOW)
            side.look_up_networks(home)
            side.judge_all()
        yield both[0], both[1]


@pytest.fixture(scope="module")
def protocol(sides: tuple[Side, Side], second_engine: Server) -> Iterator[Store]:
    """What port 8123 shows of a server."""
    served = Served(build_read_app(StoreConfig(url=second_engine.url), Path(), database="far"))
    reader = Store(protocol_connector(f"http://127.0.0.1:{served.port}/far", password=""), database="far")
    yield reader
    reader.close()
    served.stop()


def asking(store: Store, side: Side, config: CorrelatorConfig | None = None) -> TestClient:
    """The reports over a store that a side keeps."""
    app = FastAPI()
    install(app)
    router = build_router(
        store, authorize=KeyAuthorization(side.world.keys), shipped_through=side.shipper.shipped_through,
        worked_through=side.world.correlator.worked_through, config=config or side.config, clock=side.clock,
    )  # fmt: skip
    app.include_router(router)
    return TestClient(app, headers={"Authorization": f"Bearer {side.world.key}"})


def plain(value: Any) -> Any:
    """Without what is told by the store's own clock, and the names of segments."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in LOADING_TIMES | {"segment"}}
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", QUESTIONS)
def test_a_report_is_the_same(sides: tuple[Side, Side], protocol: Store, path: str) -> None:
    near, far = sides
    asked = [asking(near.store, near), asking(far.store, far)]
    if path not in KEEPS_ROWS:
        asked.append(asking(protocol, far))
    for question in QUESTIONS[path]:
        answers = [client.get(f"/api/v1{path.format(**ASKED)}", params=question) for client in asked]
        assert {answer.status_code for answer in answers} == {200}, [answer.text[:500] for answer in answers]
        for other in answers[1:]:
            assert plain(answers[0].json()) == plain(other.json())
            assert path == "/freshness" or answers[0].content == other.content, "the very bytes"


def tables(store: Store) -> dict[str, str]:
    """Table or view -> how all of it is read."""
    rows = store.rows("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
    ours = {str(row["name"]): str(row["engine"]) for row in rows if row["engine"] not in ("Null", "MaterializedView")}
    # A view with parameters of its own is read by the reports that bind them.
    unlike = retention.WORKING | {"store_identity", "schema_migration", "factor_of_day"}
    return {
        name: f"{name}(as_of={KNOWN_BY})" if "_as_of" in name else f"{name} FINAL" if "Replacing" in engine else name
        for name, engine in ours.items()
        if name not in unlike
    }


def test_every_table_and_view_holds_the_same_in_the_same_types(sides: tuple[Side, Side], protocol: Store) -> None:
    near, far = sides
    assert tables(near.store) == tables(far.store)
    empty = set()
    for name, readable in tables(near.store).items():
        found = [store.query(f"SELECT * FROM {readable}") for store in (near.store, far.store, protocol)]
        assert found[0].schema.equals(found[1].schema), name
        assert found[0].schema.equals(found[2].schema), name
        rows = [sorted(map(repr, plain(one.to_pylist(maps_as_pydicts="strict")))) for one in found]
        for other in rows[1:]:
            assert [pair for pair in zip(rows[0], other, strict=True) if pair[0] != pair[1]] == [], name
        if not rows[0]:
            empty.add(name)
    assert {*Kinds.BY_NAME}.isdisjoint(empty), "a kind that is not compared"
    assert empty <= {"hit_flag", "conversion_flag", "reconciliation_finding"}


def test_every_metric_that_is_a_query_is_the_same(sides: tuple[Side, Side]) -> None:
    bound = {"since": MIDNIGHT, "until": KNOWN_BY}
    asked = 0
    for name in catalogue().metrics:
        try:
            sql = query(name, during=DURING, by={})
        except Invalid:  # not of the store
            continue
        answers = [side.store.rows(sql, queries.bind(sql, bound)) for side in sides]
        assert repr(answers[0]) == repr(answers[1]), name
        asked += 1
    assert asked >= 10


def test_detection_and_console_see_the_same(sides: tuple[Side, Side]) -> None:
    everyone = Principal(name="reader", scopes=frozenset({"read"}), clients=())
    seen = []
    for side in sides:
        ledger = side.alerts.ledger
        console = ConsoleData(side.store, ledger, config=side.config, steering_origin="backend")
        now = side.clock()
        views = console.incidents(everyone, now=now)
        seen.append([side.detection.exposure_check()(), views, console.watching(everyone, now=now)])
        assert views
    assert repr(seen[0]) == repr(seen[1])


def test_money_in_no_currency_of_ours_is_the_same(sides: tuple[Side, Side]) -> None:
    told = [asking(side.store, side, CorrelatorConfig()).get("/api/v1/roi", params=PERIOD).content for side in sides]
    assert told[0] == told[1]
    lacking = [without_rate(side.store, side.config, now=NOW) for side in sides]
    assert lacking[0] == lacking[1]


_SLOT = re.compile(r"\{\{\w+\}\}")


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_every_query_file_went_over_http(sides: tuple[Side, Side], second_engine: Server) -> None:
    """A file counts as run when all its text between the slots stands in one statement that the server ran."""
    ran = [one_line(statement) for statement in second_engine.statements()]
    missing = []
    for name in queries.names():
        pieces = [one_line(piece) for piece in _SLOT.split(queries.text(name))]
        if not any(all(piece in statement for piece in pieces) for statement in ran):
            missing.append(name)
    assert " ".join(missing) == ""


def test_what_is_kept_long_enough_leaves_both(sides: tuple[Side, Side]) -> None:
    """Deletions are mutations, which a server may do later; ours wait."""
    config = RetentionConfig(touch=1, span=1, service=1, gauge=1, check=1, impression=1, upload=1)
    gone = [retention.apply(side.store, config, now=NOW + 400 * 24 * HOUR_MS) for side in sides]
    assert gone[0] == gone[1]
    assert gone[0]["touch"] > 0
    assert [side.store.rows("SELECT count() AS n FROM touch") for side in sides] == [[{"n": 0}]] * 2
