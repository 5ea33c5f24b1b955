"""Three weeks of the past, written as journal lines with their own `known_at`, for `clicktrace import journal`.

Vectorised: a day is drawn as numpy columns by the law of `app.demo.world`, and its lines are made by formatting templates over those
columns. The same fields are written as the product writes live. 0.9 M clicks and about 2.2 M lines take a few seconds of CPU.

    python -m app.demo.history > part.ndjson    with a `HistoryJob` as JSON on standard input
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.demo import world as w
from app.demo.past_facts import campaign_lines, deploy_lines, past_deploys, service_lines, spend_lines
from app.demo.user_agents import BROWSERS, DeviceName
from core.records import SCHEMA_VERSION

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
SLOT_MS = 600_000
#: Rates wander from day to day by this much (standard deviation of the logarithm), as they do anywhere.
DAY_SD = 0.02
#: Service minutes are kept for the last days only, as any telemetry store would.
SERVICE_DAYS = 2
#: Milliseconds until each kind is known: a click at once, a browser event and an order after their way.
TOUCH_LAG_MS, ORDER_LAG_MS = 400, 700
NETWORKS = 3_000


class Cells:
    """Every combination of link, device and browser with its share and rate, and its constant part of each line."""

    def __init__(self, world: w.World) -> None:
        shares, rates, self.clicks, self.touches, self.spend_keys, self.service_keys = [], [], [], [], [], []
        self.values: list[int] = []
        for link in world.links:
            mix = link.campaign.device_mix
            for device, part in zip(w.DEVICES, mix, strict=True):
                for browser in BROWSERS[device]:
                    shares.append(link.share * part * browser.share)
                    rates.append(world.rate(link, device))
                    self.clicks.append(_click_constants(world, link, browser.user_agent))
                    self.touches.append(f'"page":"{world.page_id(link.page)}","user_agent":"{browser.user_agent}"')
                    self.values.append(link.campaign.order_value_micros)
                    self.spend_keys.append((link.campaign.campaign, device))
                    self.service_keys.append((link.page, device))
        self.cumulative = np.cumsum(np.array(shares) / sum(shares))
        self.rates = np.array(rates)


def _click_constants(world: w.World, link: w.Link, user_agent: str) -> str:
    parallel = ',"parallel":true' if link.campaign.parallel else ""
    return (
        # The links of today are made when the product runs; what was imported of the past knows them by their slugs.
        f'"link_id":"{link.slug}","link_version":1,"slug":"{link.slug}","domain":"","http_status":302,"reason":"redirected",'
        f'"page":"{world.page_id(link.page)}","platform":"{link.campaign.platform}","campaign":"{link.campaign.campaign}",'
        f'"user_agent":"{user_agent}"{parallel}'
    )


class Day:
    """The columns of one day's paid clicks; arrays are aligned by click."""

    def __init__(self, cells: Cells, rng: np.random.Generator, *, start: int, end: int) -> None:
        self.ts = _arrival_times(rng, start, end, per_s=w.HISTORY_CLICKS_PER_S)
        n = len(self.ts)
        self.cell: Ints = np.searchsorted(cells.cumulative, rng.random(n))
        self.click_ids = hex_ids(n, 16)
        self.season = rate_seasons(self.ts) * np.exp(rng.normal(0, DAY_SD))
        self.orders: Flags = rng.random(n) < cells.rates[self.cell] * self.season
        self.landed: Flags = self.orders | (rng.random(n) < w.LANDING_SHARE)
        self.started: Flags = self.orders | (self.landed & (rng.random(n) < w.FORM_START_SHARE))
        self.refused: Flags = self.started & ~self.orders & (rng.random(n) < w.FORM_ERROR_SHARE)
        self.delay_ms: Ints = (delays_s(rng, n) * 1000).astype(np.int64)


def _arrival_times(rng: np.random.Generator, start: int, end: int, *, per_s: float) -> Ints:
    """Sorted event times of a Poisson process with the weekly season."""
    slots = np.arange(start, end, SLOT_MS)
    lengths = np.minimum(slots + SLOT_MS, end) - slots
    volume = np.array([w.volume_season(w.hour_of_week(slot + SLOT_MS / 2)) for slot in slots])
    counts = rng.poisson(per_s * volume * lengths / 1000)
    times = np.repeat(slots, counts) + (rng.random(counts.sum()) * np.repeat(lengths, counts)).astype(np.int64)
    return np.sort(times)


def rate_seasons(ts: Ints) -> Floats:
    """`world.rate_season` over many times, from a table at every ten minutes of the week."""
    table = np.array([w.rate_season(i / 6) for i in range(1008)])
    return table[((ts / SLOT_MS + 432) % 1008).astype(np.int64)]


def delays_s(rng: np.random.Generator, n: int) -> Floats:
    """`world.delay_s`, n times."""
    drawn = rng.lognormal(np.log(w.DELAY_MEDIAN_S), w.DELAY_SIGMA, n)
    while (late := drawn > w.DELAY_MAX_S).any():
        drawn[late] = rng.lognormal(np.log(w.DELAY_MEDIAN_S), w.DELAY_SIGMA, late.sum())
    return drawn


def hex_ids(n: int, size: int) -> list[str]:
    """n random identifiers of `size` bytes. Not from the seed: nothing is decided by them."""
    text = os.urandom(n * size).hex()
    return [text[i : i + 2 * size] for i in range(0, 2 * size * n, 2 * size)]


def picked(values: Sequence[str], index: Ints) -> list[str]:
    return [values[i] for i in index.tolist()]


def lines_of(template: str, *columns: Sequence[object]) -> bytes:
    """The template filled with each row of the columns."""
    return "".join(map(template.__mod__, zip(*columns, strict=True))).encode()


ENVELOPE = f'"v":{SCHEMA_VERSION},"known_at":%d}}\n'
CLICK = (
    '{"kind":"click","ts":%d,"source":"redirect","click_id":"%s","hit_id":"%s",%s,"network":"%s","duration_us":%d,'
    + ENVELOPE
)
TOUCH = '{"kind":"touch","ts":%d,"source":"snippet","name":"%s","click_id":"%s",%s,' + ENVELOPE
ORGANIC_TOUCH = '{"kind":"touch","ts":%d,"source":"snippet","name":"page_view","visitor_id":"%s",%s,' + ENVELOPE
ORDER = (
    '{"kind":"conversion","ts":%d,"source":"push","fact_id":"conversion::backend:order:%s","conversion_id":"%s","type":"order",'
    '"status":"confirmed","origin":"backend","value_micros":%d,"currency":"'
    + w.CURRENCY
    + '"%s,"order_id":"%s",%s,'
    + ENVELOPE
)


def click_lines(cells: Cells, day: Day, rng: np.random.Generator) -> bytes:
    n = len(day.ts)
    networks = [f"{a}.{b}.{c}.0/24" for a, b, c in rng.integers(1, 224, (NETWORKS, 3)).tolist()]
    ts = day.ts.tolist()
    constants = picked(cells.clicks, day.cell)
    where = picked(networks, rng.integers(0, NETWORKS, n))
    return lines_of(CLICK, ts, day.click_ids, hex_ids(n, 8), constants, where, rng.integers(60, 160, n).tolist(), ts)


def touch_lines(cells: Cells, day: Day) -> Iterator[bytes]:
    """Page views, form starts and submits, and refused fields, each at its moment on the way to the order."""
    for name, who, after in (
        ("page_view", day.landed, np.full(len(day.ts), 350)),
        ("form_start", day.started, day.delay_ms // 2),
        ("form_error", day.refused, day.delay_ms),
        ("form_submit", day.orders, day.delay_ms - 100),
    ):
        ts = (day.ts + after)[who]
        ids = [click_id for click_id, yes in zip(day.click_ids, who.tolist(), strict=True) if yes]
        constants = picked(cells.touches, day.cell[who])
        yield lines_of(TOUCH, ts.tolist(), [name] * len(ids), ids, constants, (ts + TOUCH_LAG_MS).tolist())


def order_lines(cells: Cells, day: Day, rng: np.random.Generator) -> bytes:
    """Orders of paid clicks."""
    who = day.orders & (rng.random(len(day.ts)) >= w.ORDER_FAILURE_SHARE)
    ids = [f',"click_id":"{click_id}"' for click_id, yes in zip(day.click_ids, who.tolist(), strict=True) if yes]
    return _orders(cells, rng, ts=(day.ts + day.delay_ms)[who], cell=day.cell[who], ids=ids)


def organic_lines(cells: Cells, rng: np.random.Generator, *, start: int, end: int) -> Iterator[bytes]:
    """People who come without an advertisement: page views under a visitor ID, orders without a click."""
    ts = _arrival_times(rng, start, end, per_s=w.HISTORY_CLICKS_PER_S * w.ORGANIC_PER_CLICK)
    cell: Ints = np.searchsorted(cells.cumulative, rng.random(len(ts)))
    constants = picked(cells.touches, cell)
    yield lines_of(ORGANIC_TOUCH, (ts + 350).tolist(), hex_ids(len(ts), 16), constants, (ts + 750).tolist())
    who = rng.random(len(ts)) < cells.rates[cell] * rate_seasons(ts)
    order_ts = (ts + delays_s(rng, len(ts)) * 1000).astype(np.int64)[who]
    yield _orders(cells, rng, ts=order_ts, cell=cell[who], ids=[""] * int(who.sum()))


def _orders(cells: Cells, rng: np.random.Generator, *, ts: Ints, cell: Ints, ids: list[str]) -> bytes:
    orders = [f"o-{text}" for text in hex_ids(len(ts), 6)]
    values = (np.array(cells.values)[cell] * rng.lognormal(-0.02, 0.2, len(ts)) / 10_000).astype(np.int64) * 10_000
    constants = picked(cells.touches, cell)
    known_at = (ts + ORDER_LAG_MS).tolist()
    return lines_of(ORDER, ts.tolist(), orders, orders, values.tolist(), ids, orders, constants, known_at)


def day_bounds(start: int, end: int) -> list[tuple[int, int]]:
    return [(at, min(at + DAY_MS, end)) for at in range(start, end, DAY_MS)]


def write_day(out: BinaryIO, world: w.World, cells: Cells, index: int, *, start: int, end: int) -> tuple[int, int]:
    """One day of history; `start` and `end` are those of the whole history. Returns (clicks, orders with a click)."""
    day_start, day_end = day_bounds(start, end)[index]
    rng = np.random.default_rng([world.seed, 1, index])
    day = Day(cells, rng, start=day_start, end=day_end)
    out.write(click_lines(cells, day, rng))
    for chunk in touch_lines(cells, day):
        out.write(chunk)
    out.write(order_lines(cells, day, rng))
    for chunk in organic_lines(cells, rng, start=day_start, end=day_end):
        out.write(chunk)
    keys: list[tuple[str, DeviceName]] = [cells.spend_keys[i] for i in day.cell.tolist()]
    out.write(spend_lines(world, day.ts, keys, history_end=end))
    deploys = past_deploys(world.seed, start=start, end=end)
    out.write(deploy_lines(deploys, start=day_start, end=day_end))
    if day_end > end - SERVICE_DAYS * DAY_MS:
        pages = [cells.service_keys[i] for i in day.cell.tolist()]
        out.write(service_lines(rng, day.ts, pages, day.landed, day.orders, day.delay_ms, deploys=deploys))
    if index == 0:
        out.write(campaign_lines(world, at=start))
    return len(day.ts), int(day.orders.sum())


def clicks_of_last_hour(world: w.World, *, start: int, end: int) -> dict[str, int]:
    """Clicks by `<campaign>|<device>` of the hour in which the history ends, for the platforms to charge."""
    cells = Cells(world)
    index = len(day_bounds(start, end)) - 1
    day = Day(cells, np.random.default_rng([world.seed, 1, index]), start=day_bounds(start, end)[index][0], end=end)
    last = day.cell[day.ts >= end // HOUR_MS * HOUR_MS]
    return dict(Counter("|".join(cells.spend_keys[i]) for i in last.tolist()))


class HistoryJob(msgspec.Struct, frozen=True, kw_only=True):
    """What one generating process writes: the days with these indices."""

    seed: int
    site: str
    start: int
    end: int
    days: list[int]


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=HistoryJob)
    world = w.draw_world(job.seed, site=job.site)
    cells = Cells(world)
    for index in job.days:
        write_day(sys.stdout.buffer, world, cells, index, start=job.start, end=job.end)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
