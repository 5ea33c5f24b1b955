"""Days of a shop as a production journal has them: every kind of line, in the order it was learned, with facts told again and changed later.

All of it follows from a seed. The proportions are those of a shop that buys its traffic: a page view for four of five clicks, a conversion for
forty, spans of one click in five, services by the minute, spend by campaign and hour, told three times.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any, Final

import msgspec

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.identity import derive
from core.incidents import Cost, IncidentPayload
from core.records import (
    DURATION_BOUNDS_S,
    Baseline,
    Campaign,
    Canary,
    Check,
    Click,
    Conversion,
    ConversionStatus,
    Decision,
    Deploy,
    Erasure,
    Gauge,
    Impression,
    Incident,
    PlatformClick,
    Rate,
    Reading,
    Record,
    Service,
    Span,
    Spend,
    Tally,
    Touch,
    Upload,
    Watermark,
)

CAMPAIGNS: Final = 200
#: Lines that a minute has for each click, as the mix below makes them; measured, and good enough to meet a number of lines within a few percent.
LINES_A_CLICK: Final = 2.62
PAGES: Final = tuple(f"shop.example/p/{number}" for number in range(60))
AGENTS: Final = tuple(
    f"Mozilla/5.0 (iPhone; CPU iPhone OS {14 + number % 5}_{number // 5} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    f"Version/{14 + number % 5}.{number // 5} Mobile/15E148 Safari/604.1"
    if number % 2
    else f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{80 + number}.0.0.0 Safari/537.36"
    for number in range(80)
)
_LIVES: Final[dict[str, tuple[ConversionStatus, ...]]] = {
    "order": ("captured", "confirmed", "returned", "refunded"),
    "lead": ("captured", "qualified", "confirmed", "rejected"),
}


def campaign_of(number: int) -> str:
    return f"google:1:{1_000_000 + number}"


class Days:
    """Lines minute by minute; `minute` gives what is learned in one, in any order within it."""

    def __init__(self, *, begins: int, clicks_a_minute: float, seed: int = 1) -> None:
        self._begins = begins
        self._clicks_a_minute = clicks_a_minute
        self._random = Random(seed)
        self._number = count(1)
        #: Facts that are told later: (when, order, record).
        self._later: list[tuple[int, int, Record]] = []
        self._recent: list[Click] = []

    def minute(self, at: int) -> list[Record]:
        """Everything learned in the minute that begins at `at` (ms)."""
        records: list[Record] = [*self._first(at)] if at == self._begins else []
        for _ in range(self._so_many(self._clicks_a_minute)):
            records += self._visit(at)
        records += self._each_minute(at)
        if at % HOUR_MS == 0:
            records += self._each_hour(at)
        while self._later and self._later[0][0] < at + MINUTE_MS:
            records.append(heapq.heappop(self._later)[2])
        return records

    def _tell_later(self, at: int, record: Record) -> None:
        heapq.heappush(self._later, (at, next(self._number), record))

    def _so_many(self, mean: float) -> int:
        """A whole number with this mean."""
        return int(mean) + (self._random.random() < mean % 1)

    def _hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    # --- people ----------------------------------------------------------------------------------------------------------------
    def _visit(self, at: int) -> Iterator[Record]:
        click = self._click(at)
        yield click
        draw = self._random.random()
        if draw < 0.8:
            yield self._touch(click, "page_view", 1500)
        if draw < 0.15:
            yield self._touch(click, "form_start", 9000)
        if draw < 0.2:
            yield from self._trace(click)
        if draw < 0.025:
            yield self._touch(click, "form_submit", 60_000)
            self._conversion(click, at)

    def _click(self, at: int) -> Click:
        random, number = self._random, int(CAMPAIGNS * self._random.random() ** 3)
        if self._recent and random.random() < 0.01:  # a shared address: the same click again
            seen = random.choice(self._recent)
            return msgspec.structs.replace(
                seen, ts=at + random.randrange(MINUTE_MS), hit_id=self._hex(16), network=self._network()
            )
        gclid = f"Cj0K{self._hex(40)}"
        campaign = campaign_of(number)
        click = Click(
            ts=at + random.randrange(MINUTE_MS), source="redirect", click_id=derive("gclid", gclid.encode()), hit_id=self._hex(16),
            link_id=f"link{number}", link_version=1 + number % 3, slug=f"s{number}", domain="go.example",
            http_status=503 if random.random() < 0.002 else 302, reason="redirected", duration_us=60 + random.randrange(400),
            page=PAGES[number % len(PAGES)], client=f"client-{number % 20}", platform="google", campaign=campaign,
            ad_group=f"{campaign}-{random.randrange(5)}", creative=f"{campaign}-c{random.randrange(10)}",
            platform_ids={"gclid": gclid} if random.random() < 0.9 else {"gbraid": f"G{random.randrange(50_000)}"},
            utm={"utm_source": "google", "utm_medium": "cpc"}, visitor_id=self._hex(32), user_agent=random.choice(AGENTS),
            network=self._network(), network_hash=self._hex(16), consent="granted" if random.random() < 0.8 else "",
        )  # fmt: skip
        self._recent = [*self._recent[-200:], click]
        return click

    def _network(self) -> str:
        return f"198.51.{self._random.randrange(250)}.0/24"

    def _touch(self, click: Click, name: str, delay_ms: int) -> Touch:
        ts = click.ts + 1 + self._random.randrange(2 * delay_ms)
        return Touch(
            ts=ts, source="snippet", name=name, click_id=click.click_id, visitor_id=click.visitor_id,
            session_id=click.hit_id, page=click.page, duration_ms=self._random.randrange(3000), user_agent=click.user_agent,
        )  # fmt: skip

    def _trace(self, click: Click) -> Iterator[Span]:
        root = self._hex(16)
        for name, parent in (("GET /p", ""), ("SELECT stock", root)):
            yield Span(
                ts=click.ts + 400, source="otlp", click_id=click.click_id, trace_id=click.click_id,
                span_id=root if not parent else self._hex(16), parent_span_id=parent, service="shop", name=name,
                duration_us=900 + self._random.randrange(90_000), status="ok", kind_of="server", version="v1", route="/p",
                http_status=200, attributes={"host": f"web-{self._random.randrange(4)}"},
            )  # fmt: skip

    def _conversion(self, click: Click, at: int) -> None:
        """Its whole life: each state a version of the same fact, learned minutes to days later; some told twice, some of nobody known."""
        random, number = self._random, next(self._number)
        type_ = "order" if random.random() < 0.7 else "lead"
        keys: dict[str, Any] = random.choice(
            [
                {"click_id": click.click_id}, {"click_id": click.click_id}, {"platform_ids": click.platform_ids},
                {"visitor_id": click.visitor_id}, {"email_sha256": f"{number % 5000:064x}"}, {"crm_id": f"crm-{number % 900}"}, {},
            ]
        )  # fmt: skip
        # Now and then faster than a person could be.
        ts = click.ts + (400 if random.random() < 0.03 else random.randrange(2 * HOUR_MS))
        told = ts + 1500
        for status in _LIVES[type_][: random.choice([1, 2, 2, 2, 3, 4])]:
            fact = Conversion(
                ts=ts, source="push", fact_id=f"conversion::backend:{type_}:{number}", conversion_id=str(number), type=type_,
                status=status, origin="backend", value_micros=(9_990_000 + number % 90_000_000) if type_ == "order" else 0,
                currency=("USD", "EUR", "CHF")[number % 3], order_id=f"o{number}" if type_ == "order" else "",
                client=click.client, user_agent=click.user_agent, **keys,
            )  # fmt: skip
            self._tell_later(told, fact)
            if random.random() < 0.1:
                self._tell_later(told + HOUR_MS, fact)
            told += random.randrange(MINUTE_MS, 2 * DAY_MS)
        if random.random() < 0.3:
            self._tell_later(ts + 3 * HOUR_MS, _seen_by_analytics(fact, number))
            self._tell_later(ts + HOUR_MS, _upload(fact))
            self._tell_later(ts + 5 * HOUR_MS, _told_by_platform(click))

    # --- machines and money ----------------------------------------------------------------------------------------------------
    def _each_minute(self, at: int) -> Iterator[Record]:
        for number in range(self._so_many(self._clicks_a_minute / 20)):
            requests = 1 + self._random.randrange(90)
            yield Service(
                ts=at, source="otlp", service="shop", route=f"/p/{number}", version="v1", requests=requests,
                errors=int(self._random.random() < 0.05), buckets=[0, 0, requests, *[0] * (len(DURATION_BOUNDS_S) - 2)],
                duration_sum_s=requests * 0.02,
            )  # fmt: skip
        yield Gauge(ts=at, source="otlp", service="shop", name="queue_depth", value=self._random.random() * 50)
        yield Impression(
            ts=at, source="pixel", fact_id=f"impression:{at}", platform="meta", campaign="meta:2:1", visitor_id=self._hex(32)
        )  # fmt: skip
        yield Canary(
            ts=at,
            source="canary",
            click_id=self._hex(32),
            step="click" if at // MINUTE_MS % 2 else "touch",
            http_status=302,
        )

    def _each_hour(self, at: int) -> Iterator[Record]:
        for number in range(CAMPAIGNS):
            cost = 100_000 + self._random.randrange(3_000_000)
            for after, share in ((2, 0.9), (8, 1.0), (30, 1.02)):  # reported, completed, restated
                self._tell_later(at + after * HOUR_MS, _spend(number, at, round(cost * share)))
        yield from _sources(at)
        yield from self._incident(at)
        yield Deploy(
            ts=at, source="push", fact_id=f"deploy:shop:{at}", service="shop", version=str(at), change="deploy", author="mira"
        )  # fmt: skip

    def _incident(self, at: int) -> Iterator[Record]:
        """One that opened, recovered and closed within three hours, with what was decided about it."""
        name = f"incident-{at}"
        payload = _payload(name, at)
        for hour, state in enumerate(("open", "recovering", "closed")):
            when = at + hour * HOUR_MS
            self._tell_later(
                when,
                Incident(
                    ts=when, source="correlator", fact_id=f"incident:{name}", incident_id=name, state=state, onset=at - MINUTE_MS,  # type: ignore[arg-type] # one of the three
                    opened=at, verdict="site_failing", scope={"page": PAGES[0]}, closed=when if state == "closed" else 0, payload=payload,
                ),
            )  # fmt: skip
        for step, state in enumerate(("proposed", "approved", "done", "undone")):
            when = at + step * 20 * MINUTE_MS
            self._tell_later(
                when,
                Decision(
                    ts=when, source="alerts", fact_id=f"decision:{name}", action_id=f"action-{at}", incident_id=name,
                    rule="pause_on_drop", state=state, target=campaign_of(0), by="mira", payload={"step": step},
                ),
            )  # fmt: skip
        yield Baseline(
            ts=at, source="correlator", fact_id="baseline:all", stream="all", payload={"rate": self._random.random()}
        )

    def _first(self, at: int) -> Iterator[Record]:
        for number in range(CAMPAIGNS):
            yield Campaign(
                ts=at, source="google_ads", fact_id=f"campaign:{campaign_of(number)}:google_ads", campaign=campaign_of(number),
                platform="google", account="1", name=f"Campaign {number}", status="enabled", client=f"client-{number % 20}",
                currency="USD", margin_micros=20_000_000,
            )  # fmt: skip
        yield Erasure(
            ts=at, source="erasure", fact_id="erasure:1", subject="visitor_id", digests=["d" * 64], untils=[at]
        )


def _spend(number: int, at: int, cost: int) -> Spend:
    campaign = campaign_of(number)
    return Spend(
        ts=at, source="google_ads", fact_id=f"spend:{campaign}:{at}", platform="google", account="1", campaign=campaign,
        bucket_s=3600, cost_micros=cost, currency="USD", clicks=1 + number % 30, impressions=1000 + cost % 999,
    )  # fmt: skip


def _sources(at: int) -> Iterator[Record]:
    """How far each source is, how it does, and what it counted."""
    yield Watermark(ts=at, source="google_ads", complete_through=at - 2 * HOUR_MS, documented_lag_s=10_800)
    yield Reading(ts=at, source="google_ads", state="complete", last_success=at, interval_s=3600)
    yield Tally(
        ts=at - HOUR_MS, source="ga4", fact_id=f"tally:ga4:1:session:{at}", origin="analytics", account="ga4:1", name="session",
        bucket_s=3600, count=at // HOUR_MS % 977, campaign=campaign_of(at // HOUR_MS % CAMPAIGNS),
    )  # fmt: skip
    yield Check(
        ts=at,
        source="watch",
        url=f"https://{PAGES[0]}",
        host="shop.example",
        state="ok",
        holds_until=at + HOUR_MS,
        statuses=[200],
    )
    if at % DAY_MS == 0:
        for currency, rate in (("EUR", 0.9), ("CHF", 0.95)):
            day = at - DAY_MS
            yield Rate(
                ts=day,
                source="ecb",
                fact_id=f"rate:ecb:USD:{currency}:{day}",
                base="USD",
                currency=currency,
                rate=rate + day % 7 / 100,
            )


def _seen_by_analytics(fact: Conversion, number: int) -> Conversion:
    return msgspec.structs.replace(
        fact, source="ga4", origin="analytics", status="captured", fact_id=f"conversion::analytics:{fact.type}:{number}"
    )  # fmt: skip


def _upload(fact: Conversion) -> Upload:
    return Upload(
        ts=fact.ts + HOUR_MS, source="google", fact_id=f"upload:{fact.fact_id}", destination="google:1", target="7", conversion=fact.fact_id,
        event_id=fact.conversion_id, state="sent", client=fact.client, value_micros=fact.value_micros, currency=fact.currency, attempts=1,
    )  # fmt: skip


def _told_by_platform(click: Click) -> PlatformClick:
    day = click.ts - click.ts % DAY_MS
    return PlatformClick(
        ts=day, source="google_clicks", fact_id=f"platform_click:google:1:{click.click_id}", click_id=click.click_id, platform="google",
        account="1", campaign=click.campaign, bucket_s=86_400,
    )  # fmt: skip


def _payload(incident: str, at: int) -> dict[str, object]:
    """A quarter of a page's orders lost, as explained."""
    cost = Cost(
        currency="USD", exposed_micros=90_000_000, wasted_micros=at % 10_000_019, exposed_per_hour_micros=30_000_000,
        wasted_per_hour_micros=8_000_000, wasted_per_hour_low_micros=6_000_000, wasted_per_hour_high_micros=9_500_000,
    )  # fmt: skip
    payload = IncidentPayload(
        incident_id=incident, title="Orders fell on one page", sentence="Orders fell by a quarter after a deploy.", verdict="site_failing",
        confidence=0.93, alternatives={"site_failing": 0.93, "unknown": 0.07}, direction="drop", hypothesis="arrival",
        scope={"page": PAGES[0]}, stream=f"page:{PAGES[0]}", onset=at - MINUTE_MS, onset_low=at - 2 * MINUTE_MS, onset_high=at, detected=at,
        complete_through=at, expected=40.5, observed=30, lost_share=0.26, lost_share_low=0.1, lost_share_high=0.4, clicks=1620.0,
        baseline_rate=0.025, rate=0.0185, rate_low=0.012, rate_high=0.024, cost=cost,
    )  # fmt: skip
    told: dict[str, object] = msgspec.to_builtins(payload)
    return told
