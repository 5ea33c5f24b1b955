"""The account's change history as change markers: what people and rules did to a campaign, beside what deploys did to the site.

One marker for each campaign, kind of change and minute, because a bulk upload changes thousands of ads at once (README.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from collectors import fact_ids
from collectors.ad_platform import AdPlatformPart
from collectors.base import Fetched
from collectors.bearer_api import Deadline
from collectors.google_ads.config import GoogleChangesConfig
from collectors.windows import Window
from core.clock import MINUTE_MS
from core.money import to_decimal
from core.records import Change as Kind
from core.records import Deploy, Record
from core.vendors.google_ads import GoogleAdsAccount
from core.vendors.google_ads_reports import CHANGES_REACH_MS, Change, changes

#: Resource type of the change history -> what people call it. A type that is not listed is told by its own name.
WORDS: Final[dict[str, str]] = {
    "CAMPAIGN": "campaign",
    "CAMPAIGN_BUDGET": "budget",
    "CAMPAIGN_CRITERION": "targeting",
    "AD_GROUP": "ad group",
    "AD_GROUP_CRITERION": "keyword or audience",
    "AD_GROUP_BID_MODIFIER": "bid modifier",
    "AD": "ad",
    "AD_GROUP_AD": "ad",
}
_BUDGETS: Final = frozenset({"CAMPAIGN_BUDGET"})
_CREATIVES: Final = frozenset(
    {
        "AD", "AD_GROUP_AD", "ASSET", "ASSET_SET", "ASSET_SET_ASSET", "CAMPAIGN_ASSET", "CAMPAIGN_ASSET_SET", "AD_GROUP_ASSET",
        "CUSTOMER_ASSET", "FEED", "FEED_ITEM", "CAMPAIGN_FEED", "AD_GROUP_FEED",
    }
)  # fmt: skip
_DONE: Final = {"CREATE": "created", "REMOVE": "removed", "UPDATE": "changed"}
#: Phrases in a marker's version, fields in its description; what is beyond is counted.
MOST: Final = 3
MOST_FIELDS: Final = 12

Key = tuple[str, Kind, int]


class GoogleChangesSource(AdPlatformPart[GoogleAdsAccount, GoogleChangesConfig]):
    kind = "google_changes"

    def fetch(self, window: Window, *, now: int, deadline_s: float) -> Fetched:
        """The markers of the window, as far back as Google keeps its history."""
        since = max(window.since, now - CHANGES_REACH_MS)
        if since >= window.until:
            return Fetched(records=[])
        report = changes(
            self._account,
            since_ms=since,
            until_ms=window.until,
            left_s=Deadline(self.name, deadline_s).left_s,
        )
        records: list[Record] = [self._marker(key, group) for key, group in grouped(report.rows).items()]
        return Fetched(records=records, invalid=report.invalid, detail=report.detail)

    def _marker(self, key: Key, group: list[Change]) -> Deploy:
        campaign, change, minute = key
        # What concerns no single campaign (a shared budget, an asset of the account) is the account's.
        service = campaign or f"{self._account.platform}:{self._account.account}"
        authors = {each.author for each in group if each.author}
        return Deploy(
            ts=min(each.ts for each in group),
            source=self.kind,
            fact_id=fact_ids.platform_change(service=service, change=change, minute=minute),
            service=service,
            version=summary(group),
            change=change,
            author=", ".join(sorted(authors)) if self._own.authors else "",
            description=details(group),
        )


def kind_of(resource: str) -> Kind:
    """What kind of change it is to us: budget, creative, or config for status, targeting, bids and all else."""
    if resource in _BUDGETS:
        return "budget"
    return "creative" if resource in _CREATIVES else "config"


def grouped(entries: Iterable[Change]) -> dict[Key, list[Change]]:
    """The entries of one campaign, kind and minute together, oldest first."""
    found: dict[Key, list[Change]] = {}
    for entry in sorted(entries, key=lambda entry: entry.ts):
        minute = entry.ts - entry.ts % MINUTE_MS
        found.setdefault((entry.campaign, kind_of(entry.resource), minute), []).append(entry)
    return found


def summary(group: list[Change]) -> str:
    """What happened, in words that stand beside the campaign: "daily budget 50.00 to 80.00; 12 ads created"."""
    spoken = [phrase for entry in group if (phrase := _transition(entry))]
    counts = Counter(
        (WORDS.get(entry.resource, entry.resource.lower().replace("_", " ")), _DONE.get(entry.operation, "changed"))
        for entry in group
        if not _transition(entry)
    )
    spoken += [f"{word} {done}" if n == 1 else f"{n} x {word} {done}" for (word, done), n in sorted(counts.items())]
    unique = list(dict.fromkeys(spoken))
    more = f"; {len(unique) - MOST} more" if len(unique) > MOST else ""
    return "; ".join(unique[:MOST]) + more


def details(group: list[Change]) -> str:
    """Through what it was done, and which fields it touched."""
    through = sorted({entry.client.lower().replace("_", " ") for entry in group if entry.client})
    fields = sorted({field for entry in group for field in entry.fields})
    shown = ", ".join(fields[:MOST_FIELDS]) + (
        f" and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else ""
    )
    return "; ".join(part for part in (", ".join(through), shown) if part)


def _transition(entry: Change) -> str:
    """From what to what, where the change is about a status or a daily budget."""
    if not entry.after:
        return ""
    if entry.resource == "CAMPAIGN_BUDGET":
        before, after = (to_decimal(int(value)) if value else "none" for value in (entry.before, entry.after))
        return f"daily budget {before} to {after}"
    word = "" if entry.resource == "CAMPAIGN" else f"{WORDS.get(entry.resource, '')} "
    return f"{word}{entry.before.lower() or 'new'} to {entry.after.lower()}"
