"""Tracking templates per ad platform: what to paste there so that every click carries its qualified IDs.

The platform expands its macros at click time. No platform has a macro for the account, so it is written out. Parameters are those of
`redirect.params`; a macro that was not expanded counts as absent, and the link's own definition steps in.

| platform | campaign | ad group | creative | keyword | click ID |
| --- | --- | --- | --- | --- | --- |
| google | `{campaignid}` | `{adgroupid}` | `{creative}` | `{keyword}` | `{gclid}` |
| meta | `{{campaign.id}}` | `{{adset.id}}` | `{{ad.id}}` | | `fbclid`, added by Meta |
| microsoft | `{CampaignId}` | `{AdGroupId}` | `{AdId}` | `{keyword}` | `{msclkid}` |
| tiktok | `__CAMPAIGN_ID__` | `__AID__` | `__CID__` | | `__CLICKID__` |

Where the macros are documented (looked up 2026-11-20): Google "Set up tracking with ValueTrack parameters"
(support.google.com/google-ads/answer/6305348); Microsoft "What tracking or URL parameters can I use?"
(help.ads.microsoft.com/apex/index/3/en/56799); TikTok "Third Party Tracking" (ads.tiktok.com/help/article?aid=6669666107177041925) and
"TikTok Click ID" (ads.tiktok.com/help/article/tiktok-click-id), which appends `ttclid` itself since 2022, and the first one counts; Meta's
as trackers show them (doc.eulerian.com, "Understanding how end-to-end dynamic trafficking works").

Under parallel tracking every URL of the chain must be HTTPS and every redirect a server's own
(developers.google.com/adwords/api/docs/guides/click-tracking): a link on a domain of its own is written with https, the others need
a `redirect.public_url` that begins so. We add one hop and no more.
"""

from __future__ import annotations

from typing import Final

import msgspec

from core.identity import is_qualified, split_qualified
from redirect.links.model import LinkDefinition


class Macros(msgspec.Struct, frozen=True, kw_only=True):
    """What a platform writes in place of each ID; `extra` are further parameters, ready to append."""

    campaign: str
    ad_group: str
    creative: str
    extra: tuple[str, ...] = ()


# Google and Microsoft refuse a template that does not name the landing page ({lpurl}); ours knows it already and swallows it.
MACROS: Final[dict[str, Macros]] = {
    "google": Macros(
        campaign="{campaignid}",
        ad_group="{adgroupid}",
        creative="{creative}",
        extra=("ct_keyword={keyword}", "gclid={gclid}", "ct_lpurl={lpurl}"),
    ),
    "meta": Macros(campaign="{{campaign.id}}", ad_group="{{adset.id}}", creative="{{ad.id}}"),
    "microsoft": Macros(
        campaign="{CampaignId}",
        ad_group="{AdGroupId}",
        creative="{AdId}",
        extra=("ct_keyword={keyword}", "msclkid={msclkid}", "ct_lpurl={lpurl}"),
    ),
    "tiktok": Macros(campaign="__CAMPAIGN_ID__", ad_group="__AID__", creative="__CID__", extra=("ttclid=__CLICKID__",)),
}


def short_url(definition: LinkDefinition, *, base_url: str) -> str:
    """The address people click; a link's own domain speaks HTTPS, the redirect's base is as configured."""
    base = f"https://{definition.domain}" if definition.domain else base_url
    return f"{base}/{definition.slug}"


def tracking_template(definition: LinkDefinition, *, base_url: str) -> str:
    """What to paste into the ad platform; "" when the platform has no macros we know or the account is not known."""
    macros = MACROS.get(definition.platform)
    account = definition.account or _account_of(definition.campaign)
    if macros is None or not account:
        return ""
    prefix = f"{definition.platform}:{account}:"
    parameters = (
        f"ct_campaign={prefix}{macros.campaign}",
        f"ct_ad_group={prefix}{macros.ad_group}",
        f"ct_creative={prefix}{macros.creative}",
        *macros.extra,
    )
    return f"{short_url(definition, base_url=base_url)}?{'&'.join(parameters)}"


def _account_of(campaign: str) -> str:
    return split_qualified(campaign)[1] if is_qualified(campaign) else ""
