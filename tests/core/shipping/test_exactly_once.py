"""Whatever dies, wherever, and however the journal grows meanwhile: every line is in the store exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event

from core.control.engine import open_control
from core.control.tables import ship_ranges
from core.errors import StoreError
from core.journal.reader import iter_lines, list_segments
from core.journal.segment import compress, is_final
from core.journal.writer import JournalWriter
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.store.client import Store, open_store
from tests.core.lines import click, order, touch

KINDS = ("click", "touch", "conversion")


class Died(BaseException):
    """The process ended here; nothing after it ran."""


class Fate:
    """Ends the process at the n-th step that can be ended at: before and after each insert, query and commit."""

    def __init__(self) -> None:
        self.left = -1
        self.passed = 0

    def step(self) -> None:
        self.passed += 1
        if self.left == 0:
            raise Died
        self.left -= 1


class MortalStore(Store):
    """The real store, in a process that may die around each of its calls, or be told that the store refuses."""

    fate: Fate
    refusals: int = 0

    def raw_insert(
        self, table: str, data: bytes, *, fmt: str = "JSONEachRow", settings: Mapping[str, object] | None = None
    ) -> None:
        self.fate.step()
        if self.refusals > 0:
            self.refusals -= 1
            raise StoreError("the store is full")
        super().raw_insert(table, data, fmt=fmt, settings=settings)
        self.fate.step()

    def query(self, sql: str, params: object = None, *, settings: object = None) -> object:  # type: ignore[override] # passes through
        self.fate.step()
        return super().query(sql, params, settings=settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fate() -> Fate:
    return Fate()


@pytest.fixture(scope="module")
def mortal(engine_dir: Path, fate: Fate) -> Iterator[MortalStore]:
    opened = open_store(StoreConfig(), engine_dir, database="test_exactly_once")
    opened.__class__ = MortalStore
    assert isinstance(opened, MortalStore)
    opened.fate = fate
    yield opened
    fate.left = -1
    opened.command("DROP DATABASE test_exactly_once SYNC")
    opened.close()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, fate: Fate) -> Iterator[Engine]:
    engine = open_control("", tmp_path_factory.mktemp("ledger"))
    event.listen(engine, "commit", lambda _connection: fate.step())
    yield engine
    engine.dispose()


def offsets(store: Store, directory: Path) -> dict[str, list[tuple[str, int]]]:
    """(segment, offset) of every row of this journal, by kind."""
    names = ", ".join(f"'{segment.name}'" for segment in list_segments(directory)) or "''"
    return {
        kind: [
            (str(row["segment"]), int(str(row["o"])))
            for row in store.rows(f"SELECT segment, o FROM {kind} WHERE segment IN ({names}) ORDER BY segment, o")
        ]
        for kind in KINDS
    }


def written(directory: Path) -> dict[str, list[tuple[str, int]]]:
    """The same of every line of the journal."""
    found: dict[str, list[tuple[str, int]]] = {kind: [] for kind in KINDS}
    for segment in list_segments(directory):
        for line in iter_lines(segment.path):
            kind = type(line.record).__struct_config__.tag
            found[str(kind)].append((segment.name, line.envelope.o))
    return {kind: sorted(places) for kind, places in found.items()}


def drain(shipper: Shipper) -> None:
    while shipper.run_once().ranges:
        pass


RECORDS = {"click": click, "touch": touch, "conversion": order}
appends = st.lists(st.sampled_from(["click", "click", "touch", "conversion"]), min_size=0, max_size=12)
turns = st.lists(
    st.tuples(appends, st.integers(0, 1), st.integers(-1, 40), st.integers(0, 2), st.booleans()), min_size=1, max_size=6
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(turns=turns, range_bytes=st.sampled_from([1, 400, 1_500, 8 << 20]))
def test_every_line_is_loaded_once_through_deaths_refusals_and_growth(
    turns: Sequence[tuple[list[str], int, int, int, bool]],
    range_bytes: int,
    mortal: MortalStore,
    ledger: Engine,
    fate: Fate,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    writers = [JournalWriter(directory, config=JournalConfig()) for _ in range(2)]

    def make() -> Shipper:
        return Shipper(mortal, ledger, directory, config=JournalConfig(), range_bytes=range_bytes)

    shipper: Shipper | None = None
    number = 0
    for kinds, who, dies_at, refusals, seal in turns:
        for kind in kinds:
            writers[who].append(RECORDS[kind](number))
            number += 1
        if seal:
            writers[who].close()
            writers[who] = JournalWriter(directory, config=JournalConfig())
        fate.left, mortal.refusals = dies_at, refusals
        try:
            shipper = shipper or make()
            shipper.run_once()
        except Died:
            shipper = None
        except StoreError:
            pass
        finally:
            fate.left, mortal.refusals = -1, 0
    for writer in writers:
        writer.close()
    drain(make())
    assert offsets(mortal, directory) == written(directory)
    drain(make())
    assert offsets(mortal, directory) == written(directory)


def test_death_at_each_single_step_while_the_journal_grows(
    mortal: MortalStore, ledger: Engine, fate: Fate, tmp_path: Path
) -> None:
    deaths = 0
    for step in range(200):
        directory = tmp_path / str(step)
        writer = JournalWriter(directory, config=JournalConfig())
        writer.append_many([click(1), order(2), touch(3), click(4)])
        fate.left = step
        try:
            Shipper(mortal, ledger, directory, config=JournalConfig()).run_once()
        except Died:
            deaths += 1
        finally:
            fate.left = -1
        # The cut that was recorded ends in the middle of what is there now.
        writer.append_many([click(5), order(6)])
        drain(Shipper(mortal, ledger, directory, config=JournalConfig()))
        assert offsets(mortal, directory) == written(directory), f"after a death at step {step}"
        writer.close()
        if deaths == step:  # this run came to its end: there is no later step to die at
            break
    # Two looks at the store, three inserts with a step on either side, the count, two commits.
    assert deaths >= 11
    assert deaths < 200, "the run never came to its end"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_wiped_store_is_filled_again_from_the_kept_segments(
    store: Store,
    control: Engine,
    journal: JournalWriter,
    journal_dir: Path,
    clock: Callable[[], int],
    compressed: bool,
) -> None:
    def make() -> Shipper:
        return Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock, range_bytes=1_000)

    journal.append_many([click(number) for number in range(50)])
    drain(make())
    before, old = offsets(store, journal_dir), store.store_id
    if compressed:
        journal.close()
        for segment in list_segments(journal_dir):
            assert is_final(segment)
            compress(segment)
    store.wipe()
    assert store.store_id != old
    assert offsets(store, journal_dir)["click"] == []
    drain(make())
    assert offsets(store, journal_dir) == before == written(journal_dir)


@pytest.mark.parametrize("forgotten", ["everything", "the last ranges"])
def test_a_control_database_that_is_lost_or_older_than_the_store_doubles_nothing(
    store: Store, control: Engine, journal: JournalWriter, journal_dir: Path, forgotten: str
) -> None:
    def make(range_bytes: int) -> Shipper:
        return Shipper(store, control, journal_dir, config=JournalConfig(), range_bytes=range_bytes)

    journal.append_many([click(number) for number in range(20)])
    drain(make(1_000))
    with control.begin() as connection:
        if forgotten == "everything":
            connection.execute(delete(ship_ranges))
        else:
            connection.execute(
                ship_ranges.update().values(end=list(iter_lines(list_segments(journal_dir)[0].path))[7].envelope.o)
            )
    journal.append_many([click(number) for number in range(20, 30)])
    drain(make(1_300))
    assert offsets(store, journal_dir) == written(journal_dir)


def test_a_resend_after_the_tokens_are_forgotten_loads_only_what_is_missing(
    store: Store, control: Engine, journal: JournalWriter, journal_dir: Path, clock: Callable[[], int]
) -> None:
    """A block that went in, a death before its confirmation, and so much shipped since that no token can be relied on."""
    journal.append_many([click(number) for number in range(20)])
    first = Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock)
    first.run_once()
    with control.begin() as connection:
        connection.execute(
            ship_ranges.update().values(confirmed_at=None, recorded_at=ship_ranges.c.recorded_at - 10**7)
        )
        row = connection.execute(ship_ranges.select()).one()
        connection.execute(
            ship_ranges.insert().values(
                {**row._mapping, "segment": "x", "confirmed_at": clock(), "recorded_at": clock()}
            )
        )
    store.command("ALTER TABLE click MODIFY SETTING non_replicated_deduplication_window = 1")
    store.raw_insert("inbox_click", b'{"o":1,"ts":1,"known_at":1}', settings={"log_comment": "another"})
    store.command("ALTER TABLE click DELETE WHERE o > 3000 SETTINGS mutations_sync = 1")
    drain(Shipper(store, control, journal_dir, config=JournalConfig(), clock=clock))
    assert offsets(store, journal_dir) == written(journal_dir)
