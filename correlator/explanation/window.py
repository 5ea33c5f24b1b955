"""The facts around an incident, read from the store once and laid out as arrays by cell and time bucket.

A cell is campaign x device x page x browser. Everything after this module is arithmetic on these arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute

from core.clock import HOUR_MS, MINUTE_MS
from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.detection.baseline import BaselineModel
from correlator.detection.delay import LeafLaws, arrival_kernel
from correlator.detection.exposure import Leaf
from correlator.detection.history import run
from correlator.detection.streams import dimension
from correlator.exchange import Exchange, exchange_for, in_one_currency
from correlator.matching import EVERYTHING

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Stretch before the onset that is looked at: enough to know the usual level, short enough to be today.
LEAD_MS = 20 * MINUTE_MS
#: What took hours to show is looked at over hours: the conversions of older clicks are where it shows.
LONG_LEAD_MS = 6 * HOUR_MS
#: Change markers this long before the onset can still be its cause.
DEPLOY_LOOKBACK_MS = 2 * HOUR_MS
MOST_BUCKETS = 400
#: Days stray from the baseline by about 15 % (theory.md 4.1: 0 to 20 %): as well known as by so many conversions, 1 / 0.15 ** 2.
LEVEL_PRIOR = 40.0


class Cell(NamedTuple):
    """The smallest segment an explanation tells apart."""

    campaign: str
    device: str
    page: str
    browser: str

    @property
    def leaf(self) -> Leaf:
        return Leaf(self.campaign, self.device, self.page)


class CampaignFacts(NamedTuple):
    """What is known of a campaign; money in micros of `currency`, 0 or 0.0 = unknown."""

    campaign: str
    platform: str = ""
    account: str = ""
    name: str = ""
    client: str = ""
    currency: str = ""
    target_cpl_micros: int = 0
    break_even_rate: float = 0.0
    margin_micros: int = 0
    cpc_micros: int = 0
    parallel_tracking: bool = False


class Marker(NamedTuple):
    """A change marker."""

    service: str
    version: str
    change: str
    author: str
    link: str
    ts: int
    known_at: int


class ServiceMinute(NamedTuple):
    service: str
    route: str
    version: str
    device: str
    minute: int
    requests: int
    errors: int
    buckets: list[int]


class Window(NamedTuple):
    """Arrays are cells x buckets unless said otherwise; buckets start at `starts` and are `bucket_ms` wide."""

    start: int
    end: int
    bucket_ms: int
    cells: list[Cell]
    clicks: Array
    hits: Array
    lost: Array
    lost_parallel: Array
    expected: Array  # conversions expected in the bucket
    observed: Array  # conversions that happened in the bucket
    expected_by_click: Array  # expected by the window's end, by click time
    observed_by_click: Array
    expected_lost: Array  # what lost hits would have brought in the bucket, had they been answered
    unmatched: Array  # buckets
    traced: Array
    failed: Array
    slow: Array
    touches: dict[str, Array]  # name -> buckets
    clicked_touches: dict[str, Array]  # name -> buckets, those that know their click
    service: list[ServiceMinute]
    markers: list[Marker]
    rates: Array  # cells: baseline conversion rate now
    bases: list[str]  # cells: what the rate rests on
    campaigns: dict[str, CampaignFacts]

    @property
    def robots(self) -> Array:
        """Answered hits that are no new human click, cells x buckets."""
        return np.maximum(self.hits - self.lost - self.clicks, 0.0)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        return self.start + self.bucket_ms * np.arange(self.clicks.shape[1], dtype=np.int64)

    def bucket_of(self, ts: int) -> int:
        """The bucket that contains `ts`, clamped to the window."""
        return int(np.clip((ts - self.start) // self.bucket_ms, 0, self.clicks.shape[1] - 1))

    def values(self, name: str) -> list[str]:
        """Each cell's value of a dimension."""
        if name == "browser":
            return [cell.browser for cell in self.cells]
        return [dimension(cell.leaf, name) for cell in self.cells]

    def inside(self, scope: Mapping[str, str]) -> Mask:
        """Cells inside a scope; several values of a dimension are separated by commas."""
        chosen = np.ones(len(self.cells), dtype=np.bool_)
        for name, text in scope.items():
            wanted = set(text.split(","))
            chosen &= np.asarray([value in wanted for value in self.values(name)], dtype=np.bool_)
        return chosen


class Question(NamedTuple):
    """What the queries need to know besides the time."""

    types: Sequence[str]
    origin: str
    targets: dict[str, float]
    minimum_conversions: float


def levels(window: Window, first: int) -> tuple[Array, Array]:
    """How each cell's campaign converted before the bucket `first` against the baseline, and the conversions that this rests on.

    A day converts better or worse than the baseline without being an incident: what counts since an onset is the change. The level is
    shrunk towards 1 (the mean of a gamma posterior, theory.md 2.8); `LEVEL_PRIOR` conversions come on top of those that were seen.
    """
    names = np.unique(np.asarray([cell.campaign for cell in window.cells], dtype=object), return_inverse=True)[1]
    seen = np.bincount(names, window.observed[:, :first].sum(1))[names]
    due = np.bincount(names, window.expected[:, :first].sum(1))[names]
    share = window.expected[:, :first].sum(1) / np.maximum(due, 1e-9)
    return (LEVEL_PRIOR + seen) / (LEVEL_PRIOR + due), LEVEL_PRIOR + seen * share


def read_campaigns(store: Store, *, money: CorrelatorConfig, now: int) -> dict[str, CampaignFacts]:
    """All campaigns by qualified ID, their amounts at today's rates in one currency each (`exchange.in_one_currency`)."""
    rows = run(store, "explanation_campaigns", {}).to_pylist()
    exchange = exchange_for(rows, store, money, at=now, as_of=EVERYTHING)
    return {row["campaign"]: _facts(row, exchange, reporting=money.reporting_currency) for row in rows}


def _facts(row: dict[str, Any], exchange: Exchange, *, reporting: str) -> CampaignFacts:
    told = in_one_currency(row, exchange, reporting=reporting)
    own = {name: row[name] for name in CampaignFacts._fields if name in row}
    return CampaignFacts(**own)._replace(
        currency=told.currency,
        cpc_micros=told.cost_per_click_micros or 0,
        # An amount that no rate leads from is as good as unknown: nothing may be decided by it.
        margin_micros=told.margin_micros or 0,
        target_cpl_micros=told.target_cpl_micros or 0,
    )


def read_window(
    store: Store,
    model: BaselineModel,
    *,
    start: int,
    end: int,
    question: Question,
    campaigns: dict[str, CampaignFacts],
) -> Window:
    """Everything between `start` and `end`. The bucket is 10 s, or wider where that would be more than `MOST_BUCKETS`."""
    bucket_ms = bucket_for(end - start)
    start -= start % bucket_ms
    params = _params(model, question, start=start, end=end, bucket_ms=bucket_ms)
    return lay_out_window(
        {name: run(store, f"explanation_{name}", params) for name in ("hits", "conversions", "traces", "touches")},
        model,
        start=start,
        end=end,
        bucket_ms=bucket_ms,
        question=question,
        campaigns=campaigns,
        service=[ServiceMinute(**row) for row in run(store, "explanation_service", params).to_pylist()],
        markers=read_markers(store, start=start - DEPLOY_LOOKBACK_MS, end=end),
    )


def lay_out_window(
    tables: Mapping[str, pyarrow.Table],
    model: BaselineModel,
    *,
    start: int,
    end: int,
    bucket_ms: int,
    question: Question,
    campaigns: dict[str, CampaignFacts],
    service: list[ServiceMinute],
    markers: list[Marker],
) -> Window:
    """The arrays from what was read: `tables` has hits, conversions, traces and touches, with the columns of explanation_<name>.sql."""
    grid = _Grid(start, bucket_ms, -(-(end - start) // bucket_ms), _cells(tables))
    clicks, lost = grid.fill(tables["hits"], "clicks"), grid.fill(tables["hits"], "lost")
    rates, bases = _rates(grid.cells, model, question)
    weight = rates[:, None] * model.season(grid.starts + bucket_ms / 2)[None, :]
    is_matched = pyarrow.compute.equal(tables["conversions"].column("matched"), 1)
    matched = tables["conversions"].filter(is_matched)
    # Older clicks are outside the window, so are their conversions: otherwise something would be observed that is not expected.
    matched = matched.filter(pyarrow.compute.greater_equal(matched.column("click_bucket"), start))
    touches, clicked = _touches(tables["touches"], grid)
    laws = model.leaf_laws([cell.leaf for cell in grid.cells])
    arrived = laws.mean_shares(end - grid.starts - bucket_ms, (end - grid.starts).astype(np.float64))[laws.of]
    return Window(
        start=start,
        end=end,
        bucket_ms=bucket_ms,
        cells=grid.cells,
        clicks=clicks,
        hits=grid.fill(tables["hits"], "hits"),
        lost=lost,
        lost_parallel=grid.fill(tables["hits"], "lost_parallel"),
        expected=_arrivals(clicks * weight, laws, bucket_ms),
        observed=grid.fill(matched, "conversions"),
        expected_by_click=clicks * weight * arrived,
        observed_by_click=grid.fill(matched, "conversions", at="click_bucket"),
        expected_lost=_arrivals(lost * weight, laws, bucket_ms),
        unmatched=grid.total(tables["conversions"].filter(pyarrow.compute.invert(is_matched)), "conversions"),
        traced=grid.fill(tables["traces"], "traced"),
        failed=grid.fill(tables["traces"], "failed"),
        slow=grid.fill(tables["traces"], "slow"),
        touches=touches,
        clicked_touches=clicked,
        service=service,
        markers=markers,
        rates=rates,
        bases=bases,
        campaigns=campaigns,
    )


def bucket_for(span_ms: int) -> int:
    """Width of the buckets of a window: 10 s, or wider where that would be more than `MOST_BUCKETS`."""
    widths = (10_000, MINUTE_MS, 10 * MINUTE_MS, 6 * HOUR_MS)
    return next((width for width in widths if span_ms / width <= MOST_BUCKETS), widths[-1])


def lead_ms(onset: int, detected: int) -> int:
    """How long before an onset the facts are wanted: as long as it took to be seen, for slow things show in the conversions of old clicks."""
    return int(np.clip(detected - onset, LEAD_MS, LONG_LEAD_MS))


def read_markers(store: Store, *, start: int, end: int) -> list[Marker]:
    """Change markers in [start, end], oldest first."""
    return [Marker(**row) for row in run(store, "explanation_deploys", {"start": start, "end": end}).to_pylist()]


def slow_routes(model: BaselineModel) -> dict[str, float]:
    """ "service|route" -> seconds above which a span is slow, the highest bound of its devices."""
    bounds: dict[str, float] = {}
    for key, bound in model.bounds_s.items():
        _, service, route, _ = key.split("|", 3)
        name = f"{service}|{route}"
        bounds[name] = max(bounds.get(name, 0.0), bound)
    return bounds


def trace_params(model: BaselineModel) -> dict[str, object]:
    """The bounds as two parallel arrays, as the queries take them."""
    bounds = slow_routes(model)
    return {"routes": list(bounds), "bounds_us": [round(bound * 1e6) for bound in bounds.values()]}


def _params(model: BaselineModel, question: Question, *, start: int, end: int, bucket_ms: int) -> dict[str, object]:
    return {
        "start": start,
        "end": end,
        "bucket_ms": bucket_ms,
        "types": list(question.types),
        "origin": question.origin,
        **trace_params(model),
    }


class _Grid(NamedTuple):
    start: int
    bucket_ms: int
    buckets: int
    cells: list[Cell]

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        return self.start + self.bucket_ms * np.arange(self.buckets, dtype=np.int64)

    def fill(self, table: pyarrow.Table, column: str, *, at: str = "bucket") -> Array:
        index = {cell: row for row, cell in enumerate(self.cells)}
        filled = np.zeros((len(self.cells), self.buckets))
        names = zip(*(table.column(name).to_pylist() for name in Cell._fields), strict=True)
        rows = np.asarray([index[Cell(*name)] for name in names], dtype=np.int64)
        np.add.at(filled, (rows, self.positions(table.column(at))), _floats(table.column(column)))
        return filled

    def total(self, table: pyarrow.Table, column: str) -> Array:
        filled = np.zeros(self.buckets)
        np.add.at(filled, self.positions(table.column("bucket")), _floats(table.column(column)))
        return filled

    def positions(self, column: pyarrow.ChunkedArray) -> npt.NDArray[np.int64]:
        at = (np.asarray(column.to_pylist(), dtype=np.int64) - self.start) // self.bucket_ms
        clipped: npt.NDArray[np.int64] = np.clip(at, 0, self.buckets - 1)
        return clipped


def _floats(column: pyarrow.ChunkedArray) -> Array:
    return np.asarray(column.to_pylist(), dtype=np.float64)


def _cells(tables: Mapping[str, pyarrow.Table]) -> list[Cell]:
    found: set[Cell] = set()
    for name in ("hits", "conversions", "traces"):
        columns = (tables[name].column(field).to_pylist() for field in Cell._fields)
        found.update(Cell(*values) for values in zip(*columns, strict=True))
    return sorted(found)


def _rates(cells: Sequence[Cell], model: BaselineModel, question: Question) -> tuple[Array, list[str]]:
    rates = [
        model.rate(c.leaf, targets=question.targets, minimum_conversions=question.minimum_conversions) for c in cells
    ]
    browsers = [model.browsers.get(cell.browser, 1.0) for cell in cells]
    return np.asarray([r.value * b for r, b in zip(rates, browsers, strict=True)]), [r.basis for r in rates]


def _arrivals(weighted: Array, laws: LeafLaws, bucket_ms: int) -> Array:
    """Expected arrivals by bucket: weighted clicks convolved with the delay law of their cell."""
    expected = np.zeros_like(weighted)
    if weighted.size == 0:
        return expected
    for number, law in enumerate(laws.laws):
        own = laws.of == number
        kernel = arrival_kernel(law, bucket_ms=bucket_ms, buckets=weighted.shape[1])
        expected[own] = np.maximum(_convolved(weighted[own], kernel), 0.0)
    return expected


def _convolved(rows: Array, kernel: Array) -> Array:
    """Each row convolved with the kernel, cut to the row's length; numpy's transform, for `scipy.signal` takes 0.3 s to import."""
    length = rows.shape[1] + len(kernel) - 1
    both = np.fft.rfft(rows, length, axis=1) * np.fft.rfft(kernel, length)
    convolved: Array = np.fft.irfft(both, length, axis=1)[:, : rows.shape[1]]
    return convolved


def _touches(table: pyarrow.Table, grid: _Grid) -> tuple[dict[str, Array], dict[str, Array]]:
    total: dict[str, Array] = {}
    clicked: dict[str, Array] = {}
    for name in sorted(set(table.column("name").to_pylist())):
        own = table.filter(pyarrow.compute.equal(table.column("name"), name))
        total[name], clicked[name] = grid.total(own, "touches"), grid.total(own, "of_clicks")
    return total, clicked
