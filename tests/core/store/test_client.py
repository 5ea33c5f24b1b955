"""The store answers, limits hold, and nothing but our own errors comes out of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import BadRows, StoreError
from core.settings import StoreConfig
from core.store.client import Store, open_store


def test_values_come_back_in_python_types(store: Store) -> None:
    (row,) = store.rows(
        "SELECT {n:Int64} AS n, {s:String} AS s, map('a', 1) AS m, toFixedString('ab', 2) AS f, [1, 2] AS l,"
        " fromUnixTimestamp64Milli({t:Int64}, 'UTC') AS t, toLowCardinality('x') AS c, NULL AS z",
        {"n": 5, "s": "it's \\ a\nline", "t": 1_790_000_000_123},
    )
    assert row["t"] == datetime(2026, 9, 21, 14, 13, 20, 123_000, UTC)
    assert {name: value for name, value in row.items() if name != "t"} == {
        "n": 5,
        "s": "it's \\ a\nline",
        "m": {"a": 1},
        "f": b"ab",
        "l": [1, 2],
        "c": "x",
        "z": None,
    }
    assert store.query("SELECT 1 AS a WHERE 0").num_rows == 0
    assert store.rows("SELECT 1 AS a WHERE 0") == []


def test_derived_rows_are_inserted_by_column(store: Store) -> None:
    store.command("CREATE TABLE t (a Int64, b String, c DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY a")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    store.insert("t", ["a", "b", "c"], [[1, "x", moment], [2, "y", moment]])
    store.insert("t", ["a", "b"], [])
    assert store.rows("SELECT * FROM t ORDER BY a")[0] == {"a": 1, "b": "x", "c": moment}


def test_threads_query_at_the_same_time(store: Store) -> None:
    answers: list[object] = []

    def work(number: int) -> None:
        answers.extend(row["n"] for row in store.rows("SELECT {n:Int64} AS n, sleep(0.2)", {"n": number}))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, answers)) == ["0", "1", "2", "3"]


def test_a_query_is_stopped_at_its_time_and_memory_limits(engine_dir: Path, store: Store) -> None:
    limits = StoreConfig(max_query_seconds=1, max_query_memory_bytes=2**26)
    limited = open_store(limits, engine_dir, database=store.database)
    begun = time.monotonic()
    with pytest.raises(StoreError, match="TIMEOUT_EXCEEDED"):
        limited.query("SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sin(number))")
    assert time.monotonic() - begun < 10
    with pytest.raises(StoreError, match="MEMORY_LIMIT_EXCEEDED"):
        limited.query("SELECT groupArray(number) FROM numbers(50000000)")
    limited.close()


LEAKS: list[tuple[str, Callable[[Store], object], type[StoreError]]] = [
    ("syntax", lambda s: s.query("SELEC 1"), StoreError),
    ("unknown table", lambda s: s.rows("SELECT * FROM nowhere"), StoreError),
    ("unknown column", lambda s: s.command("ALTER TABLE click DROP COLUMN nothing"), StoreError),
    ("missing parameter", lambda s: s.query("SELECT {a:Int64}"), StoreError),
    ("wrong parameter", lambda s: s.query("SELECT {a:Int64}", {"a": "x"}), StoreError),
    ("unknown setting", lambda s: s.query("SELECT 1", settings={"no_such_setting": 1}), StoreError),
    ("unknown insert setting", lambda s: s.raw_insert("inbox_click", b"{}", settings={"no_such": 1}), StoreError),
    ("bad row", lambda s: s.raw_insert("inbox_click", b'{"ts":"x"}'), BadRows),
    ("not json", lambda s: s.raw_insert("inbox_click", b"\x00\xff"), BadRows),
    ("too long an id", lambda s: s.raw_insert("inbox_click", b'{"click_id":"' + b"0" * 64 + b'"}'), BadRows),
    ("wrong shape", lambda s: s.raw_insert("inbox_touch", b'{"attributes":[1]}'), BadRows),
    ("bad escape", lambda s: s.raw_insert("inbox_click", b'{"slug":"\\ud800"}'), BadRows),
    ("bad array", lambda s: s.raw_insert("inbox_click", b'{"routing":"9"}'), BadRows),
    ("bad map", lambda s: s.raw_insert("inbox_touch", b'{"attributes":{"a":"b"\x11'), BadRows),
    ("division", lambda s: s.query("SELECT throwIf(1, 'no')"), StoreError),
    ("wrong format", lambda s: s.raw_insert("inbox_click", b"{}", fmt="NoSuchFormat"), StoreError),
    ("no such inbox", lambda s: s.raw_insert("inbox_nothing", b"{}"), StoreError),
    ("wrong column", lambda s: s.insert("click", ["nothing"], [[1]]), StoreError),
    ("wrong python type", lambda s: s.insert("click", ["o"], [["x"]]), StoreError),
    ("ragged rows", lambda s: s.insert("click", ["o", "segment"], [[1], [2, "x"]]), StoreError),
    ("unknown database", lambda s: s.query("SELECT * FROM nowhere.click"), StoreError),
]


@pytest.mark.parametrize(("call", "kind"), [case[1:] for case in LEAKS], ids=[case[0] for case in LEAKS])
def test_only_our_own_errors_leave_the_store(
    store: Store, call: Callable[[Store], object], kind: type[StoreError]
) -> None:
    with pytest.raises(StoreError) as error:
        call(store)
    assert type(error.value) is kind, error.value
    assert error.value.__cause__ is not None
    assert store.rows("SELECT 1 AS a") == [{"a": 1}], "and the store goes on"


def test_an_answer_is_never_mixed_with_that_of_a_query_that_failed_midway(store: Store) -> None:
    for _ in range(3):
        with pytest.raises(StoreError):
            store.query("SELECT throwIf(number = 3, 'no') FROM numbers(5)")
        assert store.query("SELECT 1 AS a").to_pylist() == [{"a": 1}]


def test_a_closed_store_says_so(engine_dir: Path, store: Store) -> None:
    other = open_store(StoreConfig(), engine_dir, database=store.database)
    other.close()
    other.close()
    with pytest.raises(StoreError, match="closed"):
        other.query("SELECT 1")


def test_a_server_that_does_not_answer_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_store(StoreConfig(url="http://127.0.0.1:1/default"), tmp_path)


def test_a_second_engine_directory_in_one_process_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_store(StoreConfig(), tmp_path / "other")
