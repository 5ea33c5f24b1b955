from typing import Any

import pytest

from core.incidents import Verdict
from correlator.explanation.deploys import rank_deploys
from correlator.explanation.service_health import Change, VersionShare
from correlator.explanation.timing import Onset
from correlator.explanation.window import Marker

MINUTE = 60_000
AT = 1_790_000_040_000
ONSET = Onset(AT, AT - 10_000, AT + 10_000, "arrival", 5.0, 50.0)
FAILING = Change("errors", "orders", "POST /order", "mobile", 0.01, 0.8, 200, 60.0)


def marker(service: str, *, minutes_before: float, version: str = "2", change: str = "deploy") -> Marker:
    return Marker(service, version, change, "ann", "", round(AT - minutes_before * MINUTE), AT)


def rank(
    *markers: Marker,
    verdict: Verdict = Verdict.SITE_FAILING,
    changes: Any = (FAILING,),
    versions: Any = None,
    campaigns: frozenset[str] = frozenset(),
) -> list[Any]:
    seen = frozenset({"orders", "web"})
    return rank_deploys(
        markers, ONSET, verdict, changes=changes, versions=versions or {}, services=seen, campaigns=campaigns
    )


def test_the_deploy_of_the_failing_service_comes_first() -> None:
    ranked = rank(marker("web", minutes_before=0.5), marker("orders", minutes_before=1))
    assert [d.service for d in ranked] == ["orders", "web"]
    assert ranked[0].score > 0.9
    assert ranked[1].score < 0.05


def test_a_deploy_after_the_onset_cannot_have_caused_it() -> None:
    ranked = rank(marker("orders", minutes_before=-1, version="3"), marker("orders", minutes_before=1))
    assert [d.version for d in ranked] == ["2", "3"]
    assert "after the onset" in ranked[1].reason
    assert ranked[1].score < 0.001


def test_a_marker_alone_is_weak_evidence() -> None:
    [alone] = rank(marker("web", minutes_before=3), changes=())
    assert alone.score < 0.3


def test_of_two_deploys_of_one_service_the_one_whose_version_fails_comes_first() -> None:
    versions = {
        "orders": [
            VersionShare("1", AT - 9 * MINUTE, 0.01, 90),
            VersionShare("2", AT - MINUTE, 0.8, 90),
            VersionShare("0", AT, 0.0, 0),
        ]
    }
    ranked = rank(
        marker("orders", minutes_before=0.6, version="1"),
        marker("orders", minutes_before=2, version="2"),
        versions=versions,
    )
    assert ranked[0].version == "2"


def test_a_tag_change_is_the_usual_cause_of_broken_tracking() -> None:
    ranked = rank(
        marker("web", minutes_before=1),
        marker("shop-tags", minutes_before=2, change="tag"),
        verdict=Verdict.TRACKING_BROKEN,
        changes=(),
    )
    assert ranked[0].change == "tag"


def test_a_deploy_does_not_bring_robots() -> None:
    [deploy] = rank(marker("web", minutes_before=0.2), verdict=Verdict.TRAFFIC_CHANGED, changes=())
    assert deploy.score < 0.05


@pytest.mark.parametrize("minutes", [1, 10, 60])
def test_the_nearer_of_two_alike_comes_first(minutes: float) -> None:
    ranked = rank(
        marker("orders", minutes_before=minutes, version="a"),
        marker("orders", minutes_before=minutes * 3 + 1, version="b"),
    )
    assert ranked[0].version == "a"


def test_no_markers_no_suspects() -> None:
    assert rank() == []


def test_healthy_routes_do_not_clear_a_tag_change_when_tracking_broke() -> None:
    ranked = rank(
        marker("media", minutes_before=0, change="cdn"),
        marker("web", minutes_before=0.3, change="tag"),
        verdict=Verdict.TRACKING_BROKEN,
        changes=(),
    )
    assert [d.service for d in ranked] == ["web", "media"]
    assert "routes" not in ranked[0].reason


@pytest.mark.parametrize(
    ("service", "suspected"),
    [("google:1:2", True), ("google:1", True), ("google:1:3", False), ("google:11", False), ("meta:1:2", False)],
)
def test_a_change_on_a_platform_is_suspected_for_its_own_campaigns_only(service: str, suspected: bool) -> None:
    [found] = rank(
        marker(service, minutes_before=2, version="daily budget 50.00 to 80.00", change="budget"),
        verdict=Verdict.TRAFFIC_CHANGED,
        changes=(),
        campaigns=frozenset({"google:1:2"}),
    )
    assert (found.score > 0.5) == suspected
    assert (found.score < 0.05) != suspected
    assert ("another campaign" in found.reason) != suspected


def test_a_change_of_one_campaign_is_weak_where_many_are_affected() -> None:
    campaigns = frozenset(f"google:1:{n}" for n in range(10))
    [alone] = rank(
        marker("google:1:2", minutes_before=2, change="config"),
        verdict=Verdict.DEMAND_CHANGED,
        changes=(),
        campaigns=campaigns,
    )
    assert "9 campaigns are affected that it does not touch" in alone.reason
    [whole] = rank(
        marker("google:1", minutes_before=2, change="config"),
        verdict=Verdict.DEMAND_CHANGED,
        changes=(),
        campaigns=campaigns,
    )
    assert whole.score > alone.score


def test_a_campaign_s_settings_break_no_page() -> None:
    [found] = rank(
        marker("google:1:2", minutes_before=2, change="config"), changes=(), campaigns=frozenset({"google:1:2"})
    )
    assert "a config change does not do this" in found.reason
