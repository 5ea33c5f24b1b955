"""Natural keys: one documented form per kind, the same whether a fact is pushed, pulled or imported.

    conversion   conversion:<client>:<origin>:<type>:<conversion_id>
    spend        spend:<campaign>:<bucket start, ms>:<bucket_s>:<device>:<ad_group>:<creative>:<keyword>
    impression   impression:<campaign>:<impression_id>, or impression:<campaign>:<ts>:<visitor_id or hashed_id>
    campaign     campaign:<campaign>:<source>
    deploy       deploy:<service>:<version>:<change>:<ts>
    ... found in a platform's change history   change:<campaign, or account>:<change>:<minute, ms>
    tally        tally:<origin>:<account>:<name>:<bucket start, ms>:<bucket_s>:<device>:<campaign>
    platform_click   platform_click:<platform>:<account>:<click_id>
    rate         rate:<source>:<base>:<currency>:<day start, ms>

A part that holds ``:`` or ``%`` is percent-escaped there, so that two different facts never share a key; only the qualified
campaign ID keeps its two colons. A campaign's key ends with who says it, because the platform knows its state and budget and a
person knows its margin and targets: one must not erase the other.
"""

from __future__ import annotations


def escape(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A") if ":" in part or "%" in part else part


def conversion(*, client: str, origin: str, type: str, conversion_id: str) -> str:
    return f"conversion:{escape(client)}:{origin}:{escape(type)}:{escape(conversion_id)}"


def spend(
    *,
    campaign: str,
    ts: int,
    bucket_s: int,
    device: str = "",
    ad_group: str = "",
    creative: str = "",
    keyword: str = "",
) -> str:
    grain = ":".join(escape(part) for part in (device, ad_group, creative, keyword))
    return f"spend:{campaign}:{ts}:{bucket_s}:{grain}"


def impression(*, campaign: str, impression_id: str = "", ts: int = 0, person: str = "") -> str:
    tail = escape(impression_id) if impression_id else f"{ts}:{escape(person)}"
    return f"impression:{campaign}:{tail}"


def campaign(*, campaign: str, source: str) -> str:
    return f"campaign:{campaign}:{escape(source)}"


def deploy(*, service: str, version: str, change: str, ts: int) -> str:
    return f"deploy:{escape(service)}:{escape(version)}:{change}:{ts}"


def seen_version(*, service: str, version: str) -> str:
    return f"deploy:{escape(service)}:{escape(version)}:seen"


def gauge(*, source: str, series: str, ts: int) -> str:
    return f"gauge:{source}:{series}:{ts}"


def service_minute(*, source: str, series: str, ts: int) -> str:
    return f"service:{source}:{series}:{ts}"


def platform_change(*, service: str, change: str, minute: int) -> str:
    return f"change:{service}:{change}:{minute}"


def tally(*, origin: str, account: str, name: str, ts: int, bucket_s: int, device: str = "", campaign: str = "") -> str:
    return f"tally:{origin}:{escape(account)}:{escape(name)}:{ts}:{bucket_s}:{escape(device)}:{campaign}"


def platform_click(*, platform: str, account: str, click_id: str) -> str:
    return f"platform_click:{platform}:{escape(account)}:{click_id}"


def rate(*, source: str, base: str, currency: str, ts: int) -> str:
    return f"rate:{source}:{base}:{currency}:{ts}"
