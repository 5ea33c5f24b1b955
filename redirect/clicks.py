"""From a hit on a known link to its Click: who, which campaign, under which identity."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from core.identity import derive_from_values
from core.personal import holds_email
from redirect import bots, params, privacy
from redirect import request as fields
from redirect.live_link import LiveLink
from redirect.params import Parameters
from redirect.plan import Decision
from redirect.privacy import Networks
from redirect.request import Request

_MAX_REFERRER: Final = 512
_HOST: Final = re.compile(rb"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
_encode = msgspec.json.Encoder().encode
#: Hex digits of randomness one hit may use: click ID, visitor ID, hit span ID.
ENTROPY_CHARS: Final = 80

_ID_PLATFORMS: Final[dict[bytes, str]] = {
    b"gclid": "google",
    b"dclid": "google",
    b"gbraid": "google",
    b"wbraid": "google",
    b"msclkid": "microsoft",
    b"fbclid": "meta",
    b"ttclid": "tiktok",
    b"twclid": "x",
    b"li_fat_id": "linkedin",
}


class Visit:
    """What a hit says about its visitor, decided once and used by the record and by the answer."""

    __slots__ = ("click_id", "consent", "forgets", "new_visitor", "parallel", "private", "visitor_id")

    def __init__(self, request: Request, link: LiveLink, parameters: Parameters, entropy: str) -> None:
        cookie, gpc = request.fields[fields.COOKIE], request.fields[fields.SEC_GPC]
        # Nothing said is nothing to decide: most people come for the first time, from a browser without an opinion.
        silent = not (cookie or gpc or parameters.consent)
        self.consent = (
            privacy.NOT_STATED
            if silent
            else privacy.decide_consent(gpc=gpc, parameter=parameters.consent, cookie=cookie)
        )
        self.private = not silent and privacy.refused(self.consent)
        self.new_visitor = False
        #: The visitor refuses and still has our cookie from before: it is taken back.
        self.forgets = False
        self.visitor_id = ""
        derived = None
        if not self.private:
            derived = derive_from_values(parameters.ids) if parameters.ids else None
            self.visitor_id = privacy.visitor_from_cookie(cookie) if cookie else ""
            if not self.visitor_id:
                self.visitor_id = entropy[32:64]
                self.new_visitor = True
        elif privacy.VISITOR_COOKIE in cookie:
            self.forgets = True
        self.click_id = derived[0] if derived else entropy[:32]
        self.parallel = is_parallel(request, link, parameters)


def is_parallel(request: Request, link: LiveLink, parameters: Parameters) -> bool:
    """True for a background call: the buyer is already on the page. A navigation is never one, whatever the link says."""
    if request.fields[fields.SEC_FETCH_MODE] == b"navigate":
        return False
    if link.parallel or parameters.values.get(b"ct_parallel") == b"1":
        return True
    # sendBeacon and <a ping> send POST; fetch with keepalive has an empty destination.
    return (
        request.method == b"POST"
        or request.fields[fields.SEC_FETCH_DEST] == b"empty"
        or bool(request.fields[fields.PING_TO])
    )


def encode(
    request: Request,
    link: LiveLink,
    decision: Decision,
    parameters: Parameters,
    visit: Visit,
    *,
    networks: Networks,
    now: int,
    hit_id: str,
    duration_us: int,
) -> bytes:
    """The Click of one hit as its journal line begins (`core.records.Click` as JSON, without the writer's envelope).

    It is put together from what was encoded before, per link, network and user agent: building the struct and encoding it whole
    costs 1.3 us more, a tenth of a redirect (docs/benchmarks.md). Tests read it back as a Click. Without consent it keeps no
    identifier: no platform ID, no visitor, no network hash.
    """
    header = request.fields
    network, network_and_hash = networks.describe(request.address)
    referrer = header[fields.REFERER]
    private = visit.private
    visitor = f',"visitor_id":"{visit.visitor_id}"' if visit.visitor_id else ""
    return b"".join((
        decision.target.record,
        f',"ts":{now},"click_id":"{visit.click_id}","hit_id":"{hit_id}","duration_us":{duration_us}{visitor}'.encode(),
        network if private else network_and_hash,
        bots.members(header[fields.USER_AGENT], header[fields.ACCEPT], header[fields.CLIENT_HINTS]),
        _referrer(referrer[:_MAX_REFERRER]) if referrer else b"",
        _said(link, parameters, private=private) if parameters is not params.NONE else link.ids,
        _unusual(visit, request.method) if visit.consent or visit.parallel or request.method != b"GET" else b"",
        _routing(decision.trace) if decision.trace else b"",
        b"}",
    ))  # fmt: skip


def _said(link: LiveLink, parameters: Parameters, *, private: bool) -> bytes:
    """What the query says about the click, over what the link's definition says."""
    values = parameters.values
    said: dict[str, object] = {}
    campaign = link.campaign
    if values:
        campaign = params.qualified_or(values.get(b"ct_campaign"), campaign)
        ad_group = params.qualified_or(values.get(b"ct_ad_group"), link.ad_group)
        creative = params.qualified_or(values.get(b"ct_creative"), link.creative)
        keyword = params.text_or(values.get(b"ct_keyword"), "")
        platform = campaign.partition(":")[0] if campaign else link.platform or _platform_of(parameters.ids)
        said = {
            "platform": platform,
            "campaign": campaign,
            "ad_group": ad_group,
            "creative": creative,
            "keyword": keyword,
        }
    elif not campaign and not link.platform and parameters.ids:
        said = {"platform": _platform_of(parameters.ids), "ad_group": link.ad_group, "creative": link.creative}
    if parameters.utm:
        said["utm"] = parameters.utm
    if parameters.ids and not private:
        said["platform_ids"] = _platform_ids(parameters.ids)
    own = b"" if "platform" in said else link.ids
    return own + (b"," + _encode(said)[1:-1] if said else b"")


def _unusual(visit: Visit, method: bytes) -> bytes:
    consent = b',"consent":"%b"' % visit.consent.encode() if visit.consent else b""
    parallel = b',"parallel":true' if visit.parallel else b""
    return consent + parallel + (b',"method":"POST"' if method == b"POST" else b"")


@lru_cache(maxsize=4096)
def _routing(trace: tuple[str, ...]) -> bytes:
    return b',"routing":' + _encode(trace)


@lru_cache(maxsize=4096)
def _referrer(referrer: bytes) -> bytes:
    host = referrer_host(referrer)
    return b',"referrer_host":' + _encode(host) if host else b""


def referrer_host(referrer: bytes) -> str:
    """The host of a Referer header, lower-case, without port and credentials; "" when it names none (`eva%40x.example`)."""
    rest = referrer.partition(b"://")[2]
    for mark in b"/", b"?", b"#":
        rest = rest.partition(mark)[0]
    host = rest.rpartition(b"@")[2].lower()
    if not host.startswith(b"["):
        host = host.partition(b":")[0]
    return host.decode() if _HOST.fullmatch(host) else ""


def _platform_of(ids: dict[bytes, bytes]) -> str:
    for name, value in ids.items():
        if value:
            return _ID_PLATFORMS[name]
    return ""


def _platform_ids(ids: dict[bytes, bytes]) -> dict[str, str]:
    """The platform's IDs; one that holds an e-mail address is none of the platform's, and is not recorded."""
    texts = {name.decode(): value.decode("utf-8", "replace") for name, value in ids.items() if value}
    return {name: text for name, text in texts.items() if not holds_email(text)}
