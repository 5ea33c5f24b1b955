"""What vendors document of lag, restatement and reach is what a source does as it is installed, and stands on its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors import registry
from collectors.config import CollectorsConfig
from collectors.source_config import SourceConfig
from collectors.windows import Position, advance, complete_through, older, plan
from core.clock import DAY_MS, HOUR_MS

COLLECTORS = Path(registry.__file__).parent
NOW = 1_790_000_000_000 // HOUR_MS * HOUR_MS
HOUR_S, DAY_S = 3600, 86_400

#: Section -> seconds that its data are late, days that its figures move, days that the first read goes back. As the vendors' pages say that
#: the source's README names; reach as they keep it, or as much as is worth its quota.
DOCUMENTED = {
    "google_ads": (3 * HOUR_S, 3, 90),
    "google_ads.conversions": (15 * HOUR_S, 30, 90),
    "google_ads.changes": (180, 0, 29),
    "google_ads.clicks": (3 * HOUR_S, 0, 89),
    "meta_ads": (HOUR_S, 28, 90),
    "meta_ads.conversions": (HOUR_S, 28, 90),
    "ga4": (12 * HOUR_S, 7, 90),
    "hubspot": (300, 0, 90),
    "stripe": (60, 30, 90),
    "github": (60, 0, 90),
    "prometheus": (90, 0, 1),
}


def installed(section: str) -> SourceConfig:
    found: SourceConfig | CollectorsConfig = CollectorsConfig()
    for name in section.split("."):
        found = getattr(found, name)
    assert isinstance(found, SourceConfig)
    return found


def read(position: Position, config: SourceConfig, *, now: int) -> Position:
    planned = plan(position, config, now=now)
    for window in planned:
        position = advance(position, window, config, last=window is planned[-1], now=now)
    return position


@pytest.mark.parametrize("section", DOCUMENTED)
def test_a_source_is_read_by_what_its_vendor_documents(section: str) -> None:
    lag_s, moves_days, reach_days = DOCUMENTED[section]
    config = installed(section)
    first = plan(Position(), config, now=NOW)
    assert (first[0].since, first[-1].until) == (NOW - min(reach_days, 30) * DAY_MS, NOW)
    position = read(Position(), config, now=NOW)
    assert complete_through(position, config) == NOW - lag_s * 1000
    rest = older(position, config, now=NOW)
    assert (rest[-1].since if rest else first[0].since) == NOW - reach_days * DAY_MS
    # Within a day all that may have moved was asked for again; in between only what is recent.
    due = NOW + DAY_MS
    if moves_days:
        assert plan(position, config, now=due)[0].since == due - moves_days * DAY_MS
    assert plan(read(position, config, now=due), config, now=due + HOUR_MS)[0].since >= due - 3 * DAY_MS


@pytest.mark.parametrize("section", sorted({*registry.SOURCES, *(name for name, _ in registry.AD_PLATFORMS.values())}))
def test_the_page_of_a_source_says_what_it_needs_and_what_was_not_verified(section: str) -> None:
    page = (COLLECTORS / section / "README.md").read_text("utf-8").lower()
    for word in ("permissions", "lag", "restate", "time zone", "not verified"):
        assert word in page, f"{section}: {word}"
    assert "quota" in page or "limits" in page
