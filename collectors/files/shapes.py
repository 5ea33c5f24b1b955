"""Kinds that only come by file: what a tracker, a tag manager or a metrics store exports. Columns have the record's field names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from typing import Final, Literal

import msgspec

from collectors import fact_ids
from collectors.match_keys import email_sha256, phone_sha256
from collectors.push import bodies
from collectors.push.bodies import ConversionBody, FieldsOf, PlatformIdFields, Shape
from core.clock import floor_minute, parse_rfc3339
from core.errors import Invalid
from core.identity import derive_from_values
from core.pages import normalise_page
from core.records import DURATION_BOUNDS_S, Click, Conversion, ConversionStatus, Rate, Service, Touch

UTM: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id")


class ClickRow(FieldsOf):
    """A hit on a link as another tracker logged it. Without a click_id it is derived from the platform ID, as the redirect does."""

    ts: str
    click_id: str = ""
    platform: str = ""
    account: str = ""
    campaign: str = ""
    ad_group: str = ""
    creative: str = ""
    keyword: str = ""
    link_id: str = ""
    slug: str = ""
    domain: str = ""
    page: str = ""
    variant: str = ""
    client: str = ""
    http_status: int = 302
    gclid: str = ""
    msclkid: str = ""
    dclid: str = ""
    fbclid: str = ""
    ttclid: str = ""
    twclid: str = ""
    gbraid: str = ""
    wbraid: str = ""
    li_fat_id: str = ""
    platform_ids: dict[str, str] = msgspec.field(default_factory=dict)
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    utm_id: str = ""
    visitor_id: str = ""
    user_agent: str = ""
    referrer_host: str = ""
    parallel: bool = False


class TouchRow(FieldsOf):
    """A browser event."""

    ts: str
    name: str
    click_id: str = ""
    visitor_id: str = ""
    session_id: str = ""
    page: str = ""
    value: float = 0.0
    duration_ms: int = 0
    user_agent: str = ""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


class ServiceRow(FieldsOf):
    """A minute of a service's route. Without `buckets` all requests count at their mean duration."""

    ts: str
    service: str
    route: str
    requests: int
    errors: int = 0
    duration_sum_s: float = 0.0
    version: str = ""
    device: str = ""
    buckets: list[int] = msgspec.field(default_factory=list)


class SaleRow(PlatformIdFields, kw_only=True):
    """A sale that no browser saw: till, telephone, contract. Raw addresses and numbers are hashed here and go no further."""

    sale_id: str
    ts: str
    value: str
    currency: str
    type: str = "sale"
    status: ConversionStatus = "confirmed"
    order_id: str = ""
    crm_id: str = ""
    email: str = ""
    phone: str = ""
    email_sha256: str = ""
    phone_sha256: str = ""
    click_id: str = ""
    visitor_id: str = ""
    client: str = ""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


class RateRow(FieldsOf):
    """What one unit of `base` was worth in `currency` on a day, by the company's own book or by the central bank."""

    date: str
    currency: str
    rate: float
    base: str = "EUR"
    quoted_by: Literal["own", "ecb"] = "own"


def click(row: ClickRow, *, now: int, source: str) -> Click:
    """A click with a hit ID that the same row always gets."""
    ids = bodies.platform_ids(row)
    digest = sha256(msgspec.json.encode(row)).digest()
    derived = derive_from_values({name.encode(): value.encode() for name, value in ids.items()})
    click_id = bodies.click_id(row.click_id) or (derived[0] if derived else digest[:16].hex())
    campaign = row.campaign
    if campaign and row.platform and row.account:
        campaign = bodies.campaign_of(campaign, platform=row.platform, account=row.account)[2]
    return Click(
        ts=bodies.event_time(row.ts, "ts", now=now),
        source=source,
        click_id=click_id,
        hit_id=digest[16:24].hex(),
        link_id=row.link_id,
        link_version=0,
        slug=row.slug,
        domain=row.domain,
        http_status=_between(row.http_status, "http_status", 100, 599),
        reason="imported",
        duration_us=0,
        page=normalise_page(row.page),
        variant=row.variant,
        client=row.client,
        platform=row.platform,
        campaign=campaign,
        ad_group=row.ad_group,
        creative=row.creative,
        keyword=row.keyword,
        platform_ids=ids,
        utm={name: getattr(row, name) for name in UTM if getattr(row, name)},
        visitor_id=bodies.visitor_id(row.visitor_id),
        user_agent=row.user_agent,
        referrer_host=row.referrer_host,
        parallel=row.parallel,
    )


def touch(row: TouchRow, *, now: int, source: str) -> Touch:
    return Touch(
        ts=bodies.event_time(row.ts, "ts", now=now),
        source=source,
        name=bodies.present(row.name, "name"),
        click_id=bodies.click_id(row.click_id),
        visitor_id=bodies.visitor_id(row.visitor_id),
        session_id=row.session_id,
        page=normalise_page(row.page),
        value=row.value,
        duration_ms=_between(row.duration_ms, "duration_ms", 0, 2**32 - 1),
        user_agent=row.user_agent,
        attributes=bodies.attributes(row.attributes),
    )


def service(row: ServiceRow, *, now: int, source: str) -> Service:
    requests = bodies.count(row.requests, "requests")
    buckets = row.buckets or _at_the_mean(requests, row.duration_sum_s)
    if len(buckets) != len(DURATION_BOUNDS_S) + 1 or sum(buckets) != requests or min(buckets) < 0:
        raise Invalid("bad_value", f"buckets: {len(DURATION_BOUNDS_S) + 1} counts that add up to requests are needed")
    return Service(
        ts=floor_minute(bodies.event_time(row.ts, "ts", now=now)),
        source=source,
        service=bodies.present(row.service, "service"),
        route=row.route,
        version=row.version,
        requests=requests,
        errors=_between(row.errors, "errors", 0, requests),
        buckets=buckets,
        duration_sum_s=row.duration_sum_s,
        device=row.device,
    )


def sale(row: SaleRow, *, now: int, source: str) -> Conversion:
    """The sale as a conversion of origin `offline`."""
    fields = msgspec.structs.asdict(row)
    number, email, phone = fields.pop("sale_id"), fields.pop("email"), fields.pop("phone")
    fields["email_sha256"] = row.email_sha256 or email_sha256(email)
    fields["phone_sha256"] = row.phone_sha256 or phone_sha256(phone)
    body = ConversionBody(conversion_id=number, origin="offline", **fields)
    return bodies.conversion(body, now=now, source=source)


def rate(row: RateRow, *, now: int, source: str) -> Rate:
    """The rate of a day of the calendar, which begins at midnight UTC. (`source`, the file, says less than who quotes it.)"""
    try:
        ts = parse_rfc3339(f"{date.fromisoformat(row.date).isoformat()}T00:00:00Z")
    except ValueError:
        raise Invalid("bad_value", f"date: {row.date!r} is not a day such as 2026-11-20") from None
    if ts > now + bodies.MAX_AHEAD_MS:
        raise Invalid("bad_value", f"date: {row.date} lies more than a day in the future")
    base, currency = bodies.currency(row.base), bodies.currency(bodies.present(row.currency, "currency"))
    if not 0 < row.rate < math.inf or base == currency:
        raise Invalid("bad_value", f"rate: {row.rate} {currency} for one {base} is no rate")
    key = fact_ids.rate(source=row.quoted_by, base=base, currency=currency, ts=ts)
    return Rate(ts=ts, source=row.quoted_by, fact_id=key, base=base, currency=currency, rate=row.rate)


def _at_the_mean(requests: int, duration_sum_s: float) -> list[int]:
    mean = duration_sum_s / requests if requests else 0.0
    buckets = [0] * (len(DURATION_BOUNDS_S) + 1)
    buckets[sum(mean > bound for bound in DURATION_BOUNDS_S)] = requests
    return buckets


def _between(value: int, name: str, low: int, high: int) -> int:
    if not low <= value <= high:
        raise Invalid("bad_value", f"{name}: {value} is not between {low} and {high}")
    return value


#: Kind of `clicktrace import` -> shape of its rows.
KINDS: Final[Mapping[str, Shape]] = {
    "clicks": Shape(body=ClickRow, build=click),
    "touches": Shape(body=TouchRow, build=touch),
    "services": Shape(body=ServiceRow, build=service),
    "sales": Shape(body=SaleRow, build=sale),
    "rates": Shape(body=RateRow, build=rate),
    **bodies.SHAPES,
}
