"""From one JSON object to one record: pure, one refusal with its word per defect.

A body has the record's field names (design §9) with three differences that spare the sender our internal units: `ts` and
`bucket` are RFC 3339 with a zone, money is a decimal string beside `currency`, platform IDs (`gclid` …) are keys of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec

from collectors import fact_ids
from core.clock import DAY_MS, parse_rfc3339
from core.errors import Invalid, Refusal
from core.identity import IDENTITY_PARAMETERS, MATCH_PARAMETERS, is_click_id, is_qualified, qualified
from core.money import check_currency, to_micros
from core.pages import normalise_page
from core.records import (
    Campaign,
    Change,
    Conversion,
    ConversionStatus,
    Deploy,
    Gauge,
    Impression,
    Origin,
    Record,
    Spend,
)

SOURCE = "push"
PLATFORM_IDS: Final = IDENTITY_PARAMETERS + MATCH_PARAMETERS
#: Clocks of senders differ; more than a day ahead is a unit or year mistake.
MAX_AHEAD_MS = DAY_MS
#: 2000-01-01: an earlier event is seconds sent as milliseconds, or an empty date.
MIN_TS = 946_684_800_000
MAX_TEXT = 2_048
MAX_ATTRIBUTES = 64

_HEX_64 = re.compile(r"^[0-9a-f]{64}$")
_own_platform_ids = attrgetter(*PLATFORM_IDS)


class FieldsOf(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all bodies: a field that is not declared is refused, since a typing error would be lost silently."""


class PlatformIdFields(FieldsOf, kw_only=True):
    """The platforms' click IDs as fields of their own, and as a map."""

    gclid: str = ""
    msclkid: str = ""
    dclid: str = ""
    fbclid: str = ""
    ttclid: str = ""
    twclid: str = ""
    gbraid: str = ""
    wbraid: str = ""
    li_fat_id: str = ""
    platform_ids: dict[str, str] = {}


class ConversionBody(PlatformIdFields, kw_only=True):
    conversion_id: str
    type: str
    ts: str
    status: ConversionStatus = "captured"
    origin: Origin = "backend"
    value: str = "0"
    currency: str = ""
    click_id: str = ""
    visitor_id: str = ""
    order_id: str = ""
    crm_id: str = ""
    email_sha256: str = ""
    phone_sha256: str = ""
    client: str = ""
    page: str = ""
    user_agent: str = ""
    attributes: dict[str, str] = {}


class SpendBody(FieldsOf):
    """`campaign` is the platform's own ID, or already qualified; `account` may then be left out."""

    platform: str
    campaign: str
    bucket: str
    bucket_s: int
    cost: str
    currency: str
    account: str = ""
    ad_group: str = ""
    creative: str = ""
    keyword: str = ""
    device: str = ""
    clicks: int = 0
    impressions: int = 0
    platform_conversions: float = 0.0


class CampaignBody(FieldsOf):
    """What a person or a system knows of a campaign; fields left out say nothing."""

    campaign: str
    ts: str = ""
    platform: str = ""
    account: str = ""
    name: str = ""
    status: str = ""
    client: str = ""
    owner: str = ""
    currency: str = ""
    daily_budget: str = "0"
    target_cpl: str = "0"
    target_roas: float = 0.0
    break_even_rate: float = 0.0
    margin: str = "0"
    cpc: str = "0"
    parallel_tracking: bool = False
    launched: str = ""


class DeployBody(FieldsOf):
    service: str
    version: str
    ts: str
    change: Change = "deploy"
    author: str = ""
    link: str = ""
    description: str = ""


class ImpressionBody(FieldsOf):
    platform: str
    campaign: str
    ts: str
    account: str = ""
    impression_id: str = ""
    visitor_id: str = ""
    hashed_id: str = ""


class GaugeBody(FieldsOf):
    service: str
    name: str
    value: float
    ts: str
    attributes: dict[str, str] = {}


def conversion(body: ConversionBody, *, now: int, source: str) -> Conversion:
    ids = platform_ids(body)
    value = money(body.value, "value")
    if value and not body.currency:
        raise Invalid("missing_field", "currency: an amount needs its ISO 4217 code, e.g. EUR")
    return Conversion(
        ts=event_time(body.ts, "ts", now=now),
        source=source,
        fact_id=fact_ids.conversion(
            client=body.client,
            origin=body.origin,
            type=present(body.type, "type"),
            conversion_id=present(body.conversion_id, "conversion_id"),
        ),
        conversion_id=body.conversion_id,
        type=body.type,
        status=body.status,
        origin=body.origin,
        value_micros=value,
        currency=currency(body.currency),
        click_id=click_id(body.click_id),
        platform_ids=ids,
        visitor_id=visitor_id(body.visitor_id),
        order_id=body.order_id,
        crm_id=body.crm_id,
        email_sha256=sha256(body.email_sha256, "email_sha256"),
        phone_sha256=sha256(body.phone_sha256, "phone_sha256"),
        client=body.client,
        page=normalise_page(body.page),
        user_agent=body.user_agent,
        attributes=attributes(body.attributes),
    )


def spend(body: SpendBody, *, now: int, source: str) -> Spend:
    platform, account, campaign = campaign_of(body.campaign, platform=body.platform, account=body.account)
    ts = event_time(body.bucket, "bucket", now=now)
    if not 60 <= body.bucket_s <= 31 * 86_400:
        raise Invalid("bad_value", f"bucket_s: {body.bucket_s} is not between 60 seconds and 31 days")
    return Spend(
        ts=ts,
        source=source,
        fact_id=fact_ids.spend(
            campaign=campaign,
            ts=ts,
            bucket_s=body.bucket_s,
            device=body.device,
            ad_group=body.ad_group,
            creative=body.creative,
            keyword=body.keyword,
        ),
        platform=platform,
        account=account,
        campaign=campaign,
        bucket_s=body.bucket_s,
        cost_micros=money(body.cost, "cost"),
        currency=currency(present(body.currency, "currency")),
        ad_group=body.ad_group,
        creative=body.creative,
        keyword=body.keyword,
        device=body.device,
        clicks=count(body.clicks, "clicks"),
        impressions=count(body.impressions, "impressions"),
        platform_conversions=body.platform_conversions,
    )


def campaign(body: CampaignBody, *, now: int, source: str) -> Campaign:
    platform, account, identifier = campaign_of(body.campaign, platform=body.platform, account=body.account)
    return Campaign(
        ts=event_time(body.ts, "ts", now=now) if body.ts else now,
        source=source,
        fact_id=fact_ids.campaign(campaign=identifier, source=source),
        campaign=identifier,
        platform=platform,
        account=account,
        name=body.name,
        status=body.status,
        client=body.client,
        owner=body.owner,
        currency=currency(body.currency),
        daily_budget_micros=money(body.daily_budget, "daily_budget"),
        target_cpl_micros=money(body.target_cpl, "target_cpl"),
        target_roas=body.target_roas,
        break_even_rate=body.break_even_rate,
        margin_micros=money(body.margin, "margin"),
        cpc_micros=money(body.cpc, "cpc"),
        parallel_tracking=body.parallel_tracking,
        launched=event_time(body.launched, "launched", now=now) if body.launched else 0,
    )


def deploy(body: DeployBody, *, now: int, source: str) -> Deploy:
    ts = event_time(body.ts, "ts", now=now)
    service = present(body.service, "service")
    return Deploy(
        ts=ts,
        source=source,
        fact_id=fact_ids.deploy(service=service, version=body.version, change=body.change, ts=ts),
        service=service,
        version=body.version,
        change=body.change,
        author=body.author,
        link=body.link,
        description=body.description,
    )


def impression(body: ImpressionBody, *, now: int, source: str) -> Impression:
    platform, _account, identifier = campaign_of(body.campaign, platform=body.platform, account=body.account)
    ts = event_time(body.ts, "ts", now=now)
    person = body.visitor_id or body.hashed_id
    if not (person or body.impression_id):
        raise Invalid("missing_field", "impression_id: needed when there is no visitor_id or hashed_id")
    return Impression(
        ts=ts,
        source=source,
        fact_id=fact_ids.impression(campaign=identifier, impression_id=body.impression_id, ts=ts, person=person),
        platform=platform,
        campaign=identifier,
        visitor_id=visitor_id(body.visitor_id),
        hashed_id=body.hashed_id,
    )


def gauge(body: GaugeBody, *, now: int, source: str) -> Gauge:
    return Gauge(
        ts=event_time(body.ts, "ts", now=now),
        source=source,
        service=present(body.service, "service"),
        name=present(body.name, "name"),
        value=body.value,
        attributes=attributes(body.attributes),
    )


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A body and how it becomes a record: ``build(body, now=…, source=…)``, `now` for the checks of event times."""

    body: type[Any]
    build: Callable[..., Record]


#: Path segment below /api/v1, and kind of `clicktrace import` -> its shape.
SHAPES: Final[Mapping[str, Shape]] = {
    "conversions": Shape(body=ConversionBody, build=conversion),
    "spend": Shape(body=SpendBody, build=spend),
    "deploys": Shape(body=DeployBody, build=deploy),
    "impressions": Shape(body=ImpressionBody, build=impression),
    "gauges": Shape(body=GaugeBody, build=gauge),
    "campaigns": Shape(body=CampaignBody, build=campaign),
}


def from_json(shape: Shape, raw: bytes, *, now: int, source: str = SOURCE) -> Record:
    """The record of one JSON object.

    Raises:
        Refusal: with a word of the closed list.
    """
    try:
        body = msgspec.json.decode(raw, type=shape.body)
    except msgspec.MsgspecError as error:
        raise refusal_of(error) from None
    # No text is longer than the JSON that holds it, and a NUL can only stand there escaped: most items need no closer look.
    if len(raw) > MAX_TEXT or b"\\u0000" in raw:
        check_texts(msgspec.structs.asdict(body))
    return shape.build(body, now=now, source=source)


def from_row(shape: Shape, row: Mapping[str, object], *, now: int, source: str, short: bool = False) -> Record:
    """The record of one row of a table, whose cells may all be text; `short` = their length and kind were looked at before.

    Raises:
        Refusal: with a word of the closed list.
    """
    try:
        body = msgspec.convert(row, shape.body, strict=False)
    except msgspec.ValidationError as error:
        raise refusal_of(error) from None
    if not short:
        check_texts(row)
    return shape.build(body, now=now, source=source)


def refusal_of(error: msgspec.MsgspecError) -> Refusal:
    """The refusal that a decoding error stands for; msgspec names field and path in its message."""
    text = str(error)
    if "unknown field" in text:
        return Invalid("unknown_field", text)
    if "missing required field" in text:
        return Invalid("missing_field", text)
    if text.startswith("Expected `object`") and "- at" not in text:
        return Invalid("not_an_object", text)
    return Invalid("bad_value", text)


def check_texts(values: Mapping[str, object]) -> None:
    """Raise for a text that no line may hold, by the name it has here.

    Raises:
        Invalid: `bad_value`.
    """
    for value in values.values():
        if isinstance(value, str) and (len(value) > MAX_TEXT or "\x00" in value):
            check_text(value, next(name for name, held in values.items() if held is value))


def check_text(value: str, name: str) -> None:
    """Raise for text that is too long or holds what no line of text may hold (lone surrogates, NUL)."""
    if len(value) > MAX_TEXT:
        raise Invalid("bad_value", f"{name}: longer than {MAX_TEXT} characters")
    if "\x00" in value:
        raise Invalid("bad_value", f"{name}: holds a NUL character")


def present(value: str, name: str) -> str:
    if not value:
        raise Invalid("missing_field", f"{name}: may not be empty")
    return value


def event_time(text: str, name: str, *, now: int) -> int:
    try:
        ts = parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise Invalid("bad_value", f"{name}: {error}") from None
    if ts < MIN_TS:
        raise Invalid("bad_value", f"{name}: {text} lies before the year 2000")
    if ts > now + MAX_AHEAD_MS:
        raise Invalid("bad_value", f"{name}: {text} lies more than a day in the future")
    return ts


def money(text: str, name: str) -> int:
    try:
        return to_micros(text)
    except ValueError as error:
        raise Invalid("bad_value", f"{name}: {error}") from None


def currency(code: str) -> str:
    try:
        return check_currency(code) if code else ""
    except ValueError as error:
        raise Invalid("bad_value", f"currency: {error}") from None


def count(value: int, name: str) -> int:
    if not 0 <= value < 2**32:
        raise Invalid("bad_value", f"{name}: {value} is not a count")
    return value


def click_id(text: str) -> str:
    if text and not is_click_id(text):
        raise Invalid("bad_value", "click_id: not 32 lower-case hex digits (the value of ct_click)")
    return text


def visitor_id(text: str) -> str:
    if text and not is_click_id(text):
        raise Invalid("bad_value", "visitor_id: not 32 lower-case hex digits (the value of the cookie ct_vid)")
    return text


def sha256(text: str, name: str) -> str:
    if not text:
        return ""
    lowered = text.lower()
    if not _HEX_64.match(lowered):
        # A plain address sent by mistake must not reach the journal, nor this message.
        raise Invalid("bad_value", f"{name}: not a SHA-256 in hex; hash the trimmed, lower-case value")
    return lowered


def attributes(values: dict[str, str]) -> dict[str, str]:
    if not values:
        return values
    if len(values) > MAX_ATTRIBUTES:
        raise Invalid("bad_value", f"attributes: more than {MAX_ATTRIBUTES}")
    for name, value in values.items():
        check_text(name, "attributes")
        check_text(value, f"attributes.{name[:64]}")
    return values


def platform_ids(body: Any) -> dict[str, str]:
    """The platform IDs of a body that has a field for each, and `platform_ids`."""
    own = _own_platform_ids(body)
    if not body.platform_ids and not any(own):
        return {}
    unknown = sorted(set(body.platform_ids) - set(PLATFORM_IDS))
    if unknown:
        raise Invalid("unknown_field", f"platform_ids.{unknown[0]}: known are {', '.join(PLATFORM_IDS)}")
    merged = {**body.platform_ids, **{name: value for name, value in zip(PLATFORM_IDS, own, strict=True) if value}}
    for name, value in merged.items():
        if not 0 < len(value) <= 512:
            raise Invalid("bad_value", f"{name}: empty or longer than 512 characters")
    return merged


def campaign_of(text: str, *, platform: str, account: str) -> tuple[str, str, str]:
    """(platform, account, qualified campaign) from a qualified ID, or from the platform's own ID beside platform and account."""
    present(text, "campaign")
    if is_qualified(text):
        own_platform, own_account, _ = text.split(":")
        if (platform or own_platform, account or own_account) != (own_platform, own_account):
            raise Invalid("bad_value", f"campaign: {text} contradicts platform or account")
        return own_platform, own_account, text
    if ":" in text:
        raise Invalid("bad_value", f"campaign: {text} is neither <platform>:<account>:<id> nor the platform's own ID")
    present(platform, "platform")
    present(account, "account")
    if ":" in platform or ":" in account:
        raise Invalid("bad_value", "platform and account may not hold a colon")
    return platform, account, qualified(platform, account, text)
