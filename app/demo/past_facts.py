"""The slower facts of the past: what the campaigns cost, which changes were shipped, how the shop's services did."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.demo import world as w
from app.demo.user_agents import DeviceName
from core.records import SCHEMA_VERSION

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
#: Platforms report hours late.
SPEND_LAG_MS = 3 * HOUR_MS
SOURCES: dict[w.Platform, str] = {"google": "google_ads", "meta": "meta_ads", "microsoft": "push"}
#: Deploys a day: a shop that ships.
DEPLOYS_PER_DAY = 3
AUTHORS = ("mira", "jonas", "adaeze", "tomasz")

#: Seconds a healthy page and a healthy order take: lognormal median and sigma.
PAGE_SECONDS = (0.045, 0.45)
ORDER_SECONDS = (0.090, 0.40)
#: Upper bounds of the duration histogram, as docs/instrumenting.md states them.
BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def _line(fields: dict[str, object], *, known_at: int) -> bytes:
    return msgspec.json.encode({**fields, "v": SCHEMA_VERSION, "known_at": known_at}) + b"\n"


def spend_lines(world: w.World, ts: Ints, keys: list[tuple[str, DeviceName]], *, history_end: int) -> bytes:
    """Cost by campaign, device and hour of one day's clicks.

    Meta's report by the hour knows no device. The hour in which the history ends is left out: the platforms report it as a whole
    when it has been lived.
    """
    campaigns = {c.campaign: c for c in world.campaigns}
    counts: Counter[tuple[str, str, int]] = Counter()
    for (campaign, device), hour in zip(keys, (ts // HOUR_MS * HOUR_MS).tolist(), strict=True):
        counts[(campaign, "" if campaigns[campaign].platform == "meta" else device, hour)] += 1
    out = []
    for (campaign, shown_device, hour), clicks in counts.items():
        c = campaigns[campaign]
        if hour == history_end // HOUR_MS * HOUR_MS:
            continue
        fields: dict[str, object] = {
            "kind": "spend", "ts": hour, "source": SOURCES[c.platform],
            "fact_id": f"spend:{campaign}:{hour}:3600:{shown_device}:::", "platform": c.platform, "account": w.ACCOUNTS[c.platform],
            "campaign": campaign, "bucket_s": 3600, "cost_micros": clicks * c.cpc_micros, "currency": w.CURRENCY, "device": shown_device,
            "clicks": clicks, "impressions": clicks * 40,
        }  # fmt: skip
        out.append(_line(fields, known_at=min(hour + HOUR_MS + SPEND_LAG_MS, history_end)))
    return b"".join(out)


class PastDeploy(msgspec.Struct, frozen=True, kw_only=True):
    ts: int
    service: str
    version: str
    author: str

    @property
    def change(self) -> str:
        return change_of(self.service)


def change_of(service: str) -> str:
    return "cdn" if service == w.MEDIA else "deploy"


def version_of(service: str, number: int) -> str:
    """Every service counts its own releases."""
    return f"{2 + len(service) % 5}.{number // 10}.{number % 10}"


def past_deploys(seed: int, *, start: int, end: int) -> list[PastDeploy]:
    """What the shop shipped in the past, all of it innocent, oldest first."""
    rng = random.Random(f"deploys {seed}")
    times = sorted(rng.randrange(start, end) for _ in range(DEPLOYS_PER_DAY * (end - start) // DAY_MS))
    numbers: Counter[str] = Counter()
    found = []
    for ts in times:
        service = rng.choice((w.WEB, w.ORDERS, w.MEDIA))
        numbers[service] += 1
        version = version_of(service, numbers[service])
        found.append(PastDeploy(ts=ts, service=service, version=version, author=rng.choice(AUTHORS)))
    return found


def running_version(deploys: list[PastDeploy], service: str, *, at: int) -> str:
    """The version of a service that runs at a time."""
    shipped = [d.version for d in deploys if d.service == service and d.ts <= at]
    return shipped[-1] if shipped else version_of(service, 0)


def next_version(deploys: list[PastDeploy], service: str, *, step: int = 1) -> str:
    """The version number that the next release of a service will carry."""
    return version_of(service, sum(d.service == service for d in deploys) + step)


def deploy_lines(deploys: list[PastDeploy], *, start: int, end: int) -> bytes:
    """The change markers of one day."""
    out = []
    for d in deploys:
        if not start <= d.ts < end:
            continue
        fields: dict[str, object] = {
            "kind": "deploy", "ts": d.ts, "source": "push", "fact_id": f"deploy:{d.service}:{d.version}:{d.change}:{d.ts}",
            "service": d.service, "version": d.version, "change": d.change, "author": d.author,
        }  # fmt: skip
        out.append(_line(fields, known_at=d.ts + 1_500))
    return b"".join(out)


def campaign_lines(world: w.World, *, at: int) -> bytes:
    """What the buyers say of their campaigns, once, when the history begins."""
    return b"".join(_line({"kind": "campaign", **campaign_facts(c), "ts": at, "source": "push",
                           "fact_id": f"campaign:{c.campaign}:push", "launched": at}, known_at=at)
                    for c in world.campaigns)  # fmt: skip


def campaign_facts(c: w.DemoCampaign) -> dict[str, object]:
    return {
        "campaign": c.campaign, "platform": c.platform, "account": w.ACCOUNTS[c.platform], "name": c.name, "status": "enabled",
        "owner": "buying team", "currency": w.CURRENCY, "daily_budget_micros": 4_000 * 1_000_000, "break_even_rate": round(c.break_even, 5),
        "margin_micros": c.margin_micros, "cpc_micros": c.cpc_micros, "parallel_tracking": c.parallel,
    }  # fmt: skip


def service_lines(
    rng: np.random.Generator,
    ts: Ints,
    pages: list[tuple[w.Page, DeviceName]],
    landed: Flags,
    orders: Flags,
    delay_ms: Ints,
    *,
    deploys: list[PastDeploy],
) -> bytes:
    """Service minutes of one day: page requests of those who landed, order requests of those who ordered."""
    page_s = rng.lognormal(np.log(PAGE_SECONDS[0]), PAGE_SECONDS[1], len(ts))
    order_s = rng.lognormal(np.log(ORDER_SECONDS[0]), ORDER_SECONDS[1], len(ts))
    failed = rng.random(len(ts)) < w.ORDER_FAILURE_SHARE
    minutes: dict[tuple[str, str, str, int], list[tuple[float, bool]]] = {}
    for i in np.flatnonzero(landed).tolist():
        page, device = pages[i]
        minutes.setdefault((w.WEB, page.route, device, int(ts[i]) // MINUTE_MS), []).append((float(page_s[i]), False))
    for i in np.flatnonzero(orders).tolist():
        page, device = pages[i]
        minute = int(ts[i] + delay_ms[i]) // MINUTE_MS
        minutes.setdefault((w.ORDERS, page.submit_route, device, minute), []).append(
            (float(order_s[i]), bool(failed[i]))
        )
    return b"".join(_service_line(key, requests, deploys) for key, requests in minutes.items())


def _service_line(
    key: tuple[str, str, str, int], requests: list[tuple[float, bool]], deploys: list[PastDeploy]
) -> bytes:
    service, route, device, minute = key
    seconds = [s for s, _ in requests]
    counts = np.bincount(np.searchsorted(BOUNDS_S, seconds), minlength=len(BOUNDS_S) + 1)
    at = minute * MINUTE_MS
    version = running_version(deploys, service, at=at)
    fields: dict[str, object] = {
        "kind": "service", "ts": at, "source": "otlp", "service": service, "route": route, "version": version, "requests": len(requests),
        "errors": sum(bad for _, bad in requests), "buckets": counts.tolist(), "duration_sum_s": round(sum(seconds), 4), "device": device,
    }  # fmt: skip
    return _line(fields, known_at=at + MINUTE_MS + 5_000)
