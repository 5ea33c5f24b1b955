"""The day's conversions joined with the clicks they name, from data on disk to the result: our store, DuckDB and pandas on Parquet.

All three answer the same question over the same rows, in processes of their own that take turns: conversions of the newest day by campaign
and type, with their value, by the click ID that they carry. Opening the engine and importing a library do not count for anybody; reading from
disk does. Memory is what the query itself adds to its process at most. DuckDB and pandas read the same Parquet files.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from app.bench import world
from app.bench.sides import Side, forget_peak, peak_rss_bytes, sides
from app.bench.world import World
from core.clock import DAY_MS, now_ms
from core.settings import StoreConfig
from core.store.client import Store, open_store

#: How many times faster than pandas at least, and how many times as long as DuckDB at most.
AT_LEAST_PANDAS: Final = 5.0
AT_MOST_DUCKDB: Final = 1.2
SIDES: Final = ("clicktrace", "duckdb", "pandas")

JOIN: Final = """
SELECT toString(c.campaign) AS campaign, toString(v.type) AS type, count() AS conversions, sum(v.value_micros) AS value_micros
FROM (SELECT click_id, campaign FROM click WHERE ts >= {since:DateTime64(3, 'UTC')}) AS c
INNER JOIN
(
    SELECT click_id, type, value_micros FROM conversion
    WHERE ts >= {day:DateTime64(3, 'UTC')} AND click_id != toFixedString('', 16)
) AS v ON v.click_id = c.click_id
GROUP BY campaign, type
"""

DUCKDB: Final = """
SELECT c.campaign, v.type, count(*) AS conversions, sum(v.value_micros) AS value_micros
FROM read_parquet('{clicks}') c
JOIN read_parquet('{conversions}') v USING (click_id)
WHERE c.ts >= {since} AND v.ts >= {day}
GROUP BY ALL
"""


def run(*, clicks_a_day: int, days: int, rounds: int) -> dict[str, object]:
    """Milliseconds and memory of the three, medians over rounds in turn, and the ratios.

    Raises:
        RuntimeError: a side failed, or two of them answered differently.
    """
    with tempfile.TemporaryDirectory(prefix="clicktrace-bench-") as scratch:
        ends = now_ms()
        _prepare_once(scratch, ends=ends, clicks_a_day=clicks_a_day, days=days)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
        made = [Side(prepare, name=name, directory=scratch, ends=ends, days=days) for name in SIDES]
        with sides(*made):
            for side in made:
                side.prepared()
            for turn in range(rounds + 1):
                for name, side in zip(SIDES, made, strict=True):
                    figures = side.turn()
                    if turn:  # the first one reads what the page cache does not have
                        found[name].append(figures)
    answers = {name: figures[0]["answer"] for name, figures in found.items()}
    if len({tuple(answer) for answer in answers.values()}) != 1:
        raise RuntimeError(f"the three do not agree: {answers}")
    return {
        "clicks": clicks_a_day * days,
        "conversions_joined": answers["clicktrace"][0],
        "rounds": rounds,
        **_figures(found),
    }


def _figures(found: dict[str, list[dict[str, Any]]]) -> dict[str, object]:
    took = {name: round(median(turn["ms"] for turn in turns), 1) for name, turns in found.items()}
    memory = {name: round(median(turn["memory_bytes"] for turn in turns) / 2**20, 1) for name, turns in found.items()}
    faster = round(took["pandas"] / took["clicktrace"], 1)
    slower = round(took["clicktrace"] / took["duckdb"], 2)
    missed = []
    if faster < AT_LEAST_PANDAS:
        missed.append(f"{faster} times faster than pandas, at least {AT_LEAST_PANDAS}")
    if slower > AT_MOST_DUCKDB:
        missed.append(f"{slower} times as long as DuckDB, at most {AT_MOST_DUCKDB}")
    if memory["clicktrace"] >= memory["pandas"]:
        missed.append(f"{memory['clicktrace']} MiB beside {memory['pandas']} of pandas")
    return {
        **{f"{name}_ms": took[name] for name in SIDES},
        **{f"{name}_mib": memory[name] for name in SIDES},
        "faster_than_pandas": faster,
        "times_duckdb": slower,
        "missed": missed,
    }


def _prepare_once(directory: str, *, ends: int, clicks_a_day: int, days: int) -> None:
    """Fill the store and write what it holds as Parquet, in a process that is gone before anything is measured."""
    with sides(Side(prepare_data, directory=directory, ends=ends, clicks_a_day=clicks_a_day, days=days)) as made:
        made[0].prepared()
        made[0].turn()


def prepare_data(*, directory: str, ends: int, clicks_a_day: int, days: int) -> Callable[[], dict[str, Any]]:
    """The store in `directory`; the function writes clicks.parquet and conversions.parquet beside it."""
    store = open_store(StoreConfig(max_query_seconds=3600), Path(directory))
    traffic = World(ends=ends, days=days, clicks_a_day=clicks_a_day, conversions_a_day=clicks_a_day * 28 // 1100)
    world.fill(store, traffic)

    def turn() -> dict[str, Any]:
        for table, columns in (
            ("click", "lower(hex(click_id)) AS click_id, toString(campaign) AS campaign"),
            (
                "conversion",
                "lower(hex(click_id)) AS click_id, toString(type) AS type, value_micros",
            ),
        ):
            _write(
                store,
                f"SELECT toUnixTimestamp64Milli({table}.ts) AS ts, {columns} FROM {table}",
                f"{directory}/{table}s.parquet",
            )
        store.close()
        return {}

    return turn


def _write(store: Store, sql: str, path: str) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(store.query(sql), path)


def prepare(*, name: str, directory: str, ends: int, days: int) -> Callable[[], dict[str, Any]]:
    """One of the three, its engine open and its libraries imported; the function answers once."""
    day = ends - DAY_MS
    since = ends - days * DAY_MS
    ask = {"clicktrace": _clicktrace, "duckdb": _duckdb, "pandas": _pandas}[name](directory, since, day)

    def turn() -> dict[str, Any]:
        gc.collect()
        before = forget_peak()
        began = time.perf_counter()
        rows = ask()
        ms = (time.perf_counter() - began) * 1000
        counted, value = sum(row[2] for row in rows), sum(row[3] for row in rows)
        return {"ms": ms, "memory_bytes": peak_rss_bytes() - before, "answer": [int(counted), int(value), len(rows)]}

    return turn


Ask = Callable[[], list[tuple[Any, ...]]]


def _clicktrace(directory: str, since: int, day: int) -> Ask:
    store = open_store(StoreConfig(), Path(directory))
    params = {"since": since / 1000, "day": day / 1000}
    return lambda: [tuple(row.values()) for row in store.query(JOIN, params).to_pylist()]


def _duckdb(directory: str, since: int, day: int) -> Ask:
    import duckdb

    connection = duckdb.connect()
    sql = DUCKDB.format(
        clicks=f"{directory}/clicks.parquet", conversions=f"{directory}/conversions.parquet", since=since, day=day
    )
    return lambda: connection.execute(sql).fetchall()


def _pandas(directory: str, since: int, day: int) -> Ask:
    import pandas

    def ask() -> list[tuple[Any, ...]]:
        clicks = pandas.read_parquet(f"{directory}/clicks.parquet", columns=["ts", "click_id", "campaign"])
        conversions = pandas.read_parquet(
            f"{directory}/conversions.parquet", columns=["ts", "click_id", "type", "value_micros"]
        )
        # Named twice, a day's conversions are few: the large side is looked up, not copied.
        joined = conversions[conversions["ts"] >= day].merge(clicks[clicks["ts"] >= since], on="click_id")
        totals = joined.groupby(["campaign", "type"])["value_micros"].agg(["size", "sum"])
        return [(*key, *row) for key, row in zip(totals.index, totals.to_numpy().tolist(), strict=True)]

    return ask
