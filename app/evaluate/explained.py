"""The shipped explanation, driven through its pure doors on what the simulated world knows around an alarm.

In the product's order: where and when at the alarm, again once the scope has settled, and the verdict once it has. The figures of an incident,
its sentences and the rules that act on it are not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow

from app.evaluate.paused import PauseRule
from app.evaluate.shipped import CONFIG, MINUTE_MS, Watch
from app.evaluate.shipped import Alarm as Fired
from app.evaluate.surroundings import BUCKETS, Surroundings
from app.evaluate.telemetry import SERVICE
from core.incidents import Verdict
from core.records import DURATION_BOUNDS_S
from correlator.explanation.explain import Alarm, Case, Located, locate, relocate, suspects_of, tell, too_short, weigh
from correlator.explanation.window import (
    LEAD_MS,
    LONG_LEAD_MS,
    CampaignFacts,
    Marker,
    Question,
    ServiceMinute,
    Window,
    bucket_for,
    lay_out_window,
    lead_ms,
)

Array = npt.NDArray[np.float64]
#: What is known between two minutes.
Around = Callable[[int, int], Surroundings]

LEAD_MIN: Final = LEAD_MS // MINUTE_MS
LONG_LEAD_MIN: Final = LONG_LEAD_MS // MINUTE_MS
#: Minutes after the alarm at which the product lets scope and verdict stand.
SETTLED_MIN: Final = 5
BUCKET_MS: Final = MINUTE_MS // BUCKETS
#: Minutes after the alarm at which the pause rule is asked, until it fires.
PAUSE_LOOKS: Final = (5, 10, 20, 30)
#: Where requests usually lie, and where slow ones do, among the histogram's bounds.
FAST_S, SLOW_S = 0.2, 4.0


class Explained(NamedTuple):
    """What the product would say: verdicts, likeliest first, with their probabilities; scope; onset in minutes; suspects with their scores."""

    verdicts: list[tuple[str, float]]
    scope: dict[str, str]
    onset: float
    suspects: list[tuple[str, float]]  # service:version, score
    paused_at: float | None  # the first minute looked at in which the shipped rule asks for a pause
    paused: list[str]


class Explainer:
    """For one world: its leaves, its campaigns, and the baseline that its detector learned."""

    def __init__(
        self, watch: Watch, leaves: list[tuple[str, str, str]], *, start: int, campaigns: Sequence[CampaignFacts]
    ) -> None:
        self._watch = watch
        self._leaves = leaves
        self._epoch = start * MINUTE_MS
        self._question = Question(
            types=CONFIG.steering_types,
            origin=CONFIG.steering_origin,
            targets=watch.targets,
            minimum_conversions=CONFIG.minimum_conversions,
        )
        self._campaigns = {facts.campaign: facts for facts in campaigns}
        self._rule = PauseRule()

    def explain(self, fired: Fired, around: Around, *, last: int) -> Explained:
        """What is said of an alarm; `around` gives what is known between two minutes, `last` is the last minute there is."""
        model = self._watch.model
        alarm = Alarm(fired.kind, fired.stream, fired.scope, self._epoch + fired.minute * MINUTE_MS)
        window = self._window(around(fired.minute - LEAD_MIN, fired.minute))
        if too_short(window, alarm):
            window = self._window(around(fired.minute - LONG_LEAD_MIN, fired.minute))
        located = locate(window, alarm)
        since = (located.onset.at - lead_ms(located.onset.at, alarm.detected) - self._epoch) // MINUTE_MS
        window = self._window(around(since, min(fired.minute + SETTLED_MIN, last)))
        located = relocate(window, alarm, located)
        found = weigh(window, model, located, proven={})
        inside = window.inside(located.scope)
        touched = frozenset(cell.campaign for cell, chosen in zip(window.cells, inside, strict=True) if chosen)
        suspects = suspects_of(window, located.onset, found.verdict, found.changes, campaigns=touched)
        paused_at, paused = self._pause(alarm, located, found.verdict, around, since, fired.minute, last)
        return Explained(
            [(verdict.value, probability) for verdict, probability in found.posterior.items()],
            located.scope,
            (located.onset.at - self._epoch) / MINUTE_MS,
            [(f"{s.service}:{s.version}", s.score) for s in suspects],
            paused_at,
            paused,
        )

    def _pause(
        self, alarm: Alarm, located: Located, verdict: Verdict, around: Around, since: int, minute: int, last: int
    ) -> tuple[float | None, list[str]]:
        """When the shipped rule would first ask for a pause, and of what; the verdict has settled."""
        for look in dict.fromkeys(min(minute + later, last) for later in PAUSE_LOOKS):
            window = self._window(around(since, look))
            found = weigh(window, self._watch.model, located, proven={})
            told = tell(window, case=Case("evaluated", alarm), located=located, found=found, verdict=verdict)
            asked = self._rule.asks_for(told, origin=CONFIG.steering_origin, now=window.end)
            if asked:
                return float(look), asked
        return None, []

    def _window(self, seen: Surroundings) -> Window:
        start = self._epoch + seen.start * MINUTE_MS
        length = seen.clicks.shape[1]
        minutes = length // BUCKETS
        bucket_ms = bucket_for(length * BUCKET_MS)
        return lay_out_window(
            self._tables(seen, start, bucket_ms),
            self._watch.model,
            start=start,
            end=start + length * BUCKET_MS,
            bucket_ms=bucket_ms,
            question=self._question,
            campaigns=self._campaigns,
            service=[row for m in range(minutes) for row in _service(seen, m, start)],
            markers=[
                _marker(d.service, d.version, d.change, self._epoch + round(d.at * MINUTE_MS)) for d in seen.deploys
            ],
        )

    def _tables(self, seen: Surroundings, start: int, bucket_ms: int) -> dict[str, pyarrow.Table]:
        return {
            "hits": self._by_cell(
                start, bucket_ms, hits=seen.hits, lost=seen.lost, clicks=seen.clicks, lost_parallel=seen.lost_parallel
            ),
            "traces": self._by_cell(start, bucket_ms, traced=seen.traced, failed=seen.failed, slow=seen.slow),
            "conversions": self._conversions(seen),
            "touches": _touches(seen, start),
        }

    def _by_cell(self, start: int, bucket_ms: int, **columns: Array) -> pyarrow.Table:
        """One row for every cell and bucket that has any."""
        columns = {name: _wider(values, bucket_ms // BUCKET_MS) for name, values in columns.items()}
        row, at = np.nonzero(np.sum(list(columns.values()), axis=0))
        told = self._cells(row)
        return pyarrow.table(
            {**told, "bucket": start + at * bucket_ms, **{name: values[row, at] for name, values in columns.items()}}
        )

    def _cells(self, rows: npt.NDArray[Any]) -> dict[str, list[str]]:
        nobody = ("", "desktop", "")
        leaves = [self._leaves[row] if row >= 0 else nobody for row in rows.tolist()]
        return {
            "campaign": [leaf[0] for leaf in leaves],
            "device": [leaf[1] for leaf in leaves],
            "page": [leaf[2] for leaf in leaves],
            "browser": ["chrome"] * len(leaves),
        }

    def _conversions(self, seen: Surroundings) -> pyarrow.Table:
        told = seen.conversions
        matched = told.tracked & (told.segment >= 0)
        happened, clicked = (
            self._epoch + (np.floor(times * BUCKETS)).astype(np.int64) * BUCKET_MS
            for times in (told.happens, told.clicked)
        )
        return pyarrow.table(
            {
                **self._cells(np.where(matched, told.segment, -1)),
                "bucket": happened,
                "click_bucket": np.where(matched, clicked, 0),
                "matched": matched.astype(np.uint8),
                "conversions": np.ones(len(happened), dtype=np.int64),
            }
        )


def _wider(values: Array, times: int) -> Array:
    """Sums of so many neighbouring buckets; the last may hold fewer."""
    starts = np.arange(0, values.shape[1], times)
    sums: Array = np.add.reduceat(values, starts, axis=1)
    return sums


def _touches(seen: Surroundings, start: int) -> pyarrow.Table:
    rows: list[tuple[str, int, float, float]] = []
    for name, count, of_clicks in (
        ("page_view", seen.views, seen.views_of_clicks),
        ("form_error", seen.form_errors, np.zeros_like(seen.form_errors)),
    ):
        for at in np.flatnonzero(count).tolist():
            rows.append((name, start + at * BUCKET_MS, float(count[at]), float(of_clicks[at])))
    return pyarrow.table(dict(zip(("name", "bucket", "touches", "of_clicks"), zip(*rows, strict=True), strict=True)))


def _service(seen: Surroundings, minute: int, start: int) -> list[ServiceMinute]:
    found = []
    for (route, device), requests in seen.requests.items():
        count = int(requests[minute])
        if count:
            slow = min(int(seen.waits[route, device][minute]), count) if (route, device) in seen.waits else 0
            buckets = [0] * (len(DURATION_BOUNDS_S) + 1)
            buckets[int(np.searchsorted(DURATION_BOUNDS_S, FAST_S))] = count - slow
            buckets[int(np.searchsorted(DURATION_BOUNDS_S, SLOW_S))] += slow
            errors = int(seen.errors[route, device][minute])
            found.append(
                ServiceMinute(SERVICE, route, "now", device, start + minute * MINUTE_MS, count, errors, buckets)
            )
    return found


def _marker(service: str, version: str, change: str, at: int) -> Marker:
    return Marker(service, version, change, "", "", at, at)


def facts_of(name: str, *, parallel: bool, cpc_dollars: float, margin_dollars: float) -> CampaignFacts:
    """A campaign as the explanation knows it."""
    platform, account, _ = name.split(":")
    return CampaignFacts(
        name, platform, account, currency="USD", margin_micros=round(margin_dollars * 1e6),
        cpc_micros=round(cpc_dollars * 1e6), parallel_tracking=parallel, break_even_rate=cpc_dollars / margin_dollars,
    )  # fmt: skip


def same_place(scope: dict[str, str], leaves: list[tuple[str, str, str]]) -> npt.NDArray[np.bool_]:
    """Which leaves a told scope holds; values of a dimension are separated by commas."""
    dimensions: dict[str, Callable[[tuple[str, str, str]], str]] = {
        "campaign": lambda leaf: leaf[0],
        "device": lambda leaf: leaf[1],
        "page": lambda leaf: leaf[2],
        "platform": lambda leaf: leaf[0].split(":")[0],
        "account": lambda leaf: leaf[0].rpartition(":")[0],
        "browser": lambda leaf: "chrome",
    }
    return np.asarray(
        [all(dimensions[name](leaf) in text.split(",") for name, text in scope.items()) for leaf in leaves],
        dtype=np.bool_,
    )
