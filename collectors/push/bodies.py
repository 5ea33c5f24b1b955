"""From one JSON object to one record: pure, one refusal with its word per defect.

A body has the record's field names (design §9) with three differences that spare the sender our internal units: `ts` and
`bucket` are RFC 3339 with a zone, money is a decimal string beside `currency`, platform IDs (`gclid` …) are keys of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from collectors import fact_ids
from core.clock import DAY_MS, parse_rfc3339
from core.errors import Invalid, Refusal
from core.identity import IDENTITY_PARAMETERS, MATCH_PARAMETERS, is_click_id, is_qualified, qualified
from core.money import check_currency, to_micros
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


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of all bodies: a field that is not declared is refused, since a typing error would be lost silently."""


class ConversionBody(_Body):
    conversion_id: str
    type: str
    ts: str
    status: ConversionStatus = "captured"
    origin: Origin = "backend"
    value: str = "0"
    currency: str = ""
    click_id: str = ""
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
    visitor_id: str = ""
    order_id: str = ""
    crm_id: str = ""
    email_sha256: str = ""
    phone_sha256: str = ""
    client: str = ""
    page: str = ""
    user_agent: str = ""
    attributes: dict[str, str] = {}


class SpendBody(_Body):
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


class CampaignBody(_Body):
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


class DeployBody(_Body):
    service: str
    version: str
    ts: str
    change: Change = "deploy"
    author: str = ""
    link: str = ""
    description: str = ""


class ImpressionBody(_Body):
    platform: str
    campaign: str
    ts: str
    account: str = ""
    impression_id: str = ""
    visitor_id: str = ""
    hashed_id: str = ""


class GaugeBody(_Body):
    service: str
    name: str
    value: float
    ts: str
    attributes: dict[str, str] = {}


Body = TypeVar("Body", bound=_Body)
Build = Callable[[bytes, int], Record]


def conversion(raw: bytes, now: int) -> Conversion:
    body = _decode(raw, ConversionBody)
    ids = _platform_ids(body)
    value = _money(body.value, "value")
    if value and not body.currency:
        raise Invalid("missing_field", "currency: an amount needs its ISO 4217 code, e.g. EUR")
    return Conversion(
        ts=_time(body.ts, "ts", now=now),
        source=SOURCE,
        fact_id=fact_ids.conversion(
            client=body.client,
            origin=body.origin,
            type=_present(body.type, "type"),
            conversion_id=_present(body.conversion_id, "conversion_id"),
        ),
        conversion_id=body.conversion_id,
        type=body.type,
        status=body.status,
        origin=body.origin,
        value_micros=value,
        currency=_currency(body.currency),
        click_id=_click_id(body.click_id),
        platform_ids=ids,
        visitor_id=_visitor_id(body.visitor_id),
        order_id=body.order_id,
        crm_id=body.crm_id,
        email_sha256=_sha256(body.email_sha256, "email_sha256"),
        phone_sha256=_sha256(body.phone_sha256, "phone_sha256"),
        client=body.client,
        page=body.page,
        user_agent=body.user_agent,
        attributes=_attributes(body.attributes),
    )


def spend(raw: bytes, now: int) -> Spend:
    body = _decode(raw, SpendBody)
    platform, account, campaign = _campaign(body.campaign, platform=body.platform, account=body.account)
    ts = _time(body.bucket, "bucket", now=now)
    if not 60 <= body.bucket_s <= 31 * 86_400:
        raise Invalid("bad_value", f"bucket_s: {body.bucket_s} is not between 60 seconds and 31 days")
    return Spend(
        ts=ts,
        source=SOURCE,
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
        cost_micros=_money(body.cost, "cost"),
        currency=_currency(_present(body.currency, "currency")),
        ad_group=body.ad_group,
        creative=body.creative,
        keyword=body.keyword,
        device=body.device,
        clicks=_count(body.clicks, "clicks"),
        impressions=_count(body.impressions, "impressions"),
        platform_conversions=body.platform_conversions,
    )


def campaign(raw: bytes, now: int) -> Campaign:
    body = _decode(raw, CampaignBody)
    platform, account, identifier = _campaign(body.campaign, platform=body.platform, account=body.account)
    return Campaign(
        ts=_time(body.ts, "ts", now=now) if body.ts else now,
        source=SOURCE,
        fact_id=fact_ids.campaign(campaign=identifier, source=SOURCE),
        campaign=identifier,
        platform=platform,
        account=account,
        name=body.name,
        status=body.status,
        client=body.client,
        owner=body.owner,
        currency=_currency(body.currency),
        daily_budget_micros=_money(body.daily_budget, "daily_budget"),
        target_cpl_micros=_money(body.target_cpl, "target_cpl"),
        target_roas=body.target_roas,
        break_even_rate=body.break_even_rate,
        margin_micros=_money(body.margin, "margin"),
        cpc_micros=_money(body.cpc, "cpc"),
        parallel_tracking=body.parallel_tracking,
        launched=_time(body.launched, "launched", now=now) if body.launched else 0,
    )


def deploy(raw: bytes, now: int) -> Deploy:
    body = _decode(raw, DeployBody)
    ts = _time(body.ts, "ts", now=now)
    service = _present(body.service, "service")
    return Deploy(
        ts=ts,
        source=SOURCE,
        fact_id=fact_ids.deploy(service=service, version=body.version, change=body.change, ts=ts),
        service=service,
        version=body.version,
        change=body.change,
        author=body.author,
        link=body.link,
        description=body.description,
    )


def impression(raw: bytes, now: int) -> Impression:
    body = _decode(raw, ImpressionBody)
    platform, _account, identifier = _campaign(body.campaign, platform=body.platform, account=body.account)
    ts = _time(body.ts, "ts", now=now)
    person = body.visitor_id or body.hashed_id
    if not (person or body.impression_id):
        raise Invalid("missing_field", "impression_id: needed when there is no visitor_id or hashed_id")
    return Impression(
        ts=ts,
        source=SOURCE,
        fact_id=fact_ids.impression(campaign=identifier, impression_id=body.impression_id, ts=ts, person=person),
        platform=platform,
        campaign=identifier,
        visitor_id=_visitor_id(body.visitor_id),
        hashed_id=body.hashed_id,
    )


def gauge(raw: bytes, now: int) -> Gauge:
    body = _decode(raw, GaugeBody)
    return Gauge(
        ts=_time(body.ts, "ts", now=now),
        source=SOURCE,
        service=_present(body.service, "service"),
        name=_present(body.name, "name"),
        value=body.value,
        attributes=_attributes(body.attributes),
    )


#: Path segment below /api/v1 -> how an item of it becomes a record.
BUILDERS: Final[Mapping[str, Build]] = {
    "conversions": conversion,
    "spend": spend,
    "deploys": deploy,
    "impressions": impression,
    "gauges": gauge,
    "campaigns": campaign,
}


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


def _decode(raw: bytes, body_type: type[Body]) -> Body:
    try:
        body = msgspec.json.decode(raw, type=body_type)
    except msgspec.MsgspecError as error:
        raise refusal_of(error) from None
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if isinstance(value, str):
            check_text(value, name)
    return body


def check_text(value: str, name: str) -> None:
    """Raise for text that is too long or holds what no line of text may hold (lone surrogates, NUL)."""
    if len(value) > MAX_TEXT:
        raise Invalid("bad_value", f"{name}: longer than {MAX_TEXT} characters")
    if "\x00" in value:
        raise Invalid("bad_value", f"{name}: holds a NUL character")


def _present(value: str, name: str) -> str:
    if not value:
        raise Invalid("missing_field", f"{name}: may not be empty")
    return value


def _time(text: str, name: str, *, now: int) -> int:
    try:
        ts = parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise Invalid("bad_value", f"{name}: {error}") from None
    if ts < MIN_TS:
        raise Invalid("bad_value", f"{name}: {text} lies before the year 2000")
    if ts > now + MAX_AHEAD_MS:
        raise Invalid("bad_value", f"{name}: {text} lies more than a day in the future")
    return ts


def _money(text: str, name: str) -> int:
    try:
        return to_micros(text)
    except ValueError as error:
        raise Invalid("bad_value", f"{name}: {error}") from None


def _currency(code: str) -> str:
    try:
        return check_currency(code) if code else ""
    except ValueError as error:
        raise Invalid("bad_value", f"currency: {error}") from None


def _count(value: int, name: str) -> int:
    if not 0 <= value < 2**32:
        raise Invalid("bad_value", f"{name}: {value} is not a count")
    return value


def _click_id(text: str) -> str:
    if text and not is_click_id(text):
        raise Invalid("bad_value", "click_id: not 32 lower-case hex digits (the value of ct_click)")
    return text


def _visitor_id(text: str) -> str:
    if text and not is_click_id(text):
        raise Invalid("bad_value", "visitor_id: not 32 lower-case hex digits (the value of the cookie ct_vid)")
    return text


def _sha256(text: str, name: str) -> str:
    lowered = text.lower()
    if text and not _HEX_64.match(lowered):
        # A plain address sent by mistake must not reach the journal, nor this message.
        raise Invalid("bad_value", f"{name}: not a SHA-256 in hex; hash the trimmed, lower-case value")
    return lowered


def _attributes(values: dict[str, str]) -> dict[str, str]:
    if len(values) > MAX_ATTRIBUTES:
        raise Invalid("bad_value", f"attributes: more than {MAX_ATTRIBUTES}")
    for name, value in values.items():
        check_text(name, "attributes")
        check_text(value, f"attributes.{name[:64]}")
    return values


def _platform_ids(body: ConversionBody) -> dict[str, str]:
    unknown = sorted(set(body.platform_ids) - set(PLATFORM_IDS))
    if unknown:
        raise Invalid("unknown_field", f"platform_ids.{unknown[0]}: known are {', '.join(PLATFORM_IDS)}")
    own = {name: getattr(body, name) for name in PLATFORM_IDS}
    merged = {**body.platform_ids, **{name: value for name, value in own.items() if value}}
    for name, value in merged.items():
        if not 0 < len(value) <= 512:
            raise Invalid("bad_value", f"{name}: empty or longer than 512 characters")
    return merged


def _campaign(text: str, *, platform: str, account: str) -> tuple[str, str, str]:
    """(platform, account, qualified campaign) from a qualified ID, or from the platform's own ID beside platform and account."""
    _present(text, "campaign")
    if is_qualified(text):
        own_platform, own_account, _ = text.split(":")
        if (platform or own_platform, account or own_account) != (own_platform, own_account):
            raise Invalid("bad_value", f"campaign: {text} contradicts platform or account")
        return own_platform, own_account, text
    if ":" in text:
        raise Invalid("bad_value", f"campaign: {text} is neither <platform>:<account>:<id> nor the platform's own ID")
    _present(platform, "platform")
    _present(account, "account")
    if ":" in platform or ":" in account:
        raise Invalid("bad_value", "platform and account may not hold a colon")
    return platform, account, qualified(platform, account, text)
