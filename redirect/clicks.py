"""From a hit on a known link to its Click: who, which campaign, under which identity."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from core.identity import derive_from_values
from core.records import Click
from redirect import params, privacy
from redirect import request as fields
from redirect.live_link import STATUS, LiveLink
from redirect.params import Parameters
from redirect.privacy import Networks
from redirect.request import Request

SOURCE: Final = "redirect"
MAX_USER_AGENT: Final = 512
_MAX_REFERRER: Final = 512
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

    __slots__ = ("click_id", "consent", "new_visitor", "parallel", "visitor_id")

    def __init__(self, request: Request, link: LiveLink, parameters: Parameters, entropy: str) -> None:
        cookie = request.fields[fields.COOKIE]
        self.consent = privacy.decide_consent(
            gpc=request.fields[fields.SEC_GPC], parameter=parameters.consent, cookie=cookie
        )
        self.new_visitor = False
        self.visitor_id = ""
        derived = None
        if not privacy.refused(self.consent):
            derived = derive_from_values(parameters.ids) if parameters.ids else None
            self.visitor_id = privacy.visitor_from_cookie(cookie) if cookie else ""
            if not self.visitor_id:
                self.visitor_id = entropy[32:64]
                self.new_visitor = True
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


def build(
    request: Request,
    link: LiveLink,
    parameters: Parameters,
    visit: Visit,
    *,
    networks: Networks,
    now: int,
    hit_id: str,
    duration_us: int,
) -> Click:
    """The record of one hit. Without consent it keeps no identifier: no platform ID, no visitor, no network hash."""
    network, network_hash = networks.describe(request.address)
    header = request.fields
    agent = header[fields.USER_AGENT]
    campaign, ad_group, creative, keyword = link.campaign, link.ad_group, link.creative, ""
    if parameters.values:
        values = parameters.values
        campaign = params.qualified_or(values.get(b"ct_campaign"), campaign)
        ad_group = params.qualified_or(values.get(b"ct_ad_group"), ad_group)
        creative = params.qualified_or(values.get(b"ct_creative"), creative)
        keyword = params.text_or(values.get(b"ct_keyword"), "")
    private = privacy.refused(visit.consent)
    return Click(
        ts=now,
        source=SOURCE,
        click_id=visit.click_id,
        hit_id=hit_id,
        link_id=link.link_id,
        link_version=link.version,
        slug=link.slug,
        domain=link.domain,
        http_status=STATUS[link.outcome],
        reason=link.outcome,
        duration_us=duration_us,
        page=link.page,
        client=link.client,
        platform=campaign.partition(":")[0] if campaign else link.platform or _platform_of(parameters.ids),
        campaign=campaign,
        ad_group=ad_group,
        creative=creative,
        keyword=keyword,
        platform_ids=_platform_ids(parameters.ids) if parameters.ids and not private else {},
        utm=parameters.utm,
        visitor_id=visit.visitor_id,
        user_agent=_agent(agent[:MAX_USER_AGENT]),
        network=network,
        network_hash="" if private else network_hash,
        referrer_host=referrer_host(header[fields.REFERER]),
        consent=visit.consent,
        parallel=visit.parallel,
        bot_signals=[] if agent else ["no_user_agent"],
    )


def referrer_host(referrer: bytes) -> str:
    """The host of a Referer header, lower-case, without port and credentials; "" when there is none."""
    return _referrer_host(referrer[:_MAX_REFERRER]) if referrer else ""


@lru_cache(maxsize=4096)
def _referrer_host(referrer: bytes) -> str:
    rest = referrer.partition(b"://")[2]
    for mark in b"/", b"?", b"#":
        rest = rest.partition(mark)[0]
    host = rest.rpartition(b"@")[2].lower()
    if not host.startswith(b"["):
        host = host.partition(b":")[0]
    return host[:253].decode("ascii", "replace")


@lru_cache(maxsize=4096)
def _agent(user_agent: bytes) -> str:
    return user_agent.decode("utf-8", "replace")


def _platform_of(ids: dict[bytes, bytes]) -> str:
    for name, value in ids.items():
        if value:
            return _ID_PLATFORMS[name]
    return ""


def _platform_ids(ids: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode("utf-8", "replace") for name, value in ids.items() if value}
