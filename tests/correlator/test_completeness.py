"""A figure is complete through the slowest of its own sources, and of no other's."""

from __future__ import annotations

import importlib

import msgspec
import pytest

from collectors.registry import AD_PLATFORM_PARTS, AD_PLATFORMS, SOURCES
from correlator.completeness import BRINGS, RECONCILED, brings, figures, joined

NOW = 1000


class Told(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    complete_through_ms: int


def sources(**behind: int) -> list[Told]:
    """`google_ads__1=180`: google_ads:1 is 180 behind; the journal is 1 behind unless it is said."""
    given = {"journal": 1, **behind}
    return [Told(source=name.replace("__", ":"), complete_through_ms=NOW - late) for name, late in given.items()]


def slowest(found: list[Told], *, accounts: set[tuple[str, str]] | None = None) -> dict[str, str]:
    return {one.figure: one.slowest for one in figures(found, accounts=accounts)}


def test_spend_does_not_wait_for_what_the_platform_counts_as_conversions() -> None:
    found = sources(google_ads__1=180, google_conversions__1=900, google_clicks__1=950, google_changes__1=960)
    assert slowest(found) == {
        "clicks": "journal",
        "conversions": "journal",
        "spend": "google_ads:1",
        "tallies": "google_conversions:1",
        "click_campaigns": "google_clicks:1",
        "services": "journal",
        "changes": "google_changes:1",
    }
    assert joined(figures(found)).complete_through_ms == NOW - 180
    assert joined(figures(found), of=RECONCILED).complete_through_ms == NOW - 900


def test_conversions_wait_for_the_systems_that_are_asked_for_them() -> None:
    assert slowest(sources(stripe__shop=20, hubspot__sales=60))["conversions"] == "hubspot:sales"


def test_a_figure_that_no_source_brings_is_absent() -> None:
    assert set(slowest(sources())) == {"clicks", "conversions", "services", "changes"}


def test_a_source_that_was_never_complete_holds_nothing_up() -> None:
    assert (
        slowest([*sources(google_ads__1=180), Told(source="meta_ads:2", complete_through_ms=0)])["spend"]
        == "google_ads:1"
    )


def test_a_journal_that_shipped_nothing_holds_everything_up() -> None:
    assert joined(figures(sources(journal=NOW, google_ads__1=180))).complete_through_ms == 0


def test_a_campaign_waits_for_its_own_account_only() -> None:
    found = sources(
        google_ads__1=180, meta_ads__2=500, google_conversions__1=900, meta_conversions__2=950, ga4__shop=700
    )
    mine = slowest(found, accounts={("google", "1")})
    assert (mine["spend"], mine["tallies"]) == ("google_ads:1", "google_conversions:1")
    assert slowest(found, accounts={("meta", "2")})["spend"] == "meta_ads:2"
    assert slowest(found)["spend"] == "meta_ads:2"


def test_what_is_no_ad_account_concerns_every_campaign() -> None:
    mine = slowest(sources(stripe__shop=20, ga4__shop=700), accounts={("google", "1")})
    assert (mine["conversions"], mine["tallies"]) == ("stripe:shop", "ga4:shop")


def test_a_source_that_nobody_described_holds_up_whatever_it_may_bring() -> None:
    assert brings("toy:1") == {"conversions", "spend"}


def kinds() -> list[str]:
    parts = [where.split(":") for parts in AD_PLATFORM_PARTS.values() for _, where in parts]
    read = [str(getattr(importlib.import_module(module), name).kind) for module, name in parts]
    return sorted({*SOURCES, *(section for section, _ in AD_PLATFORMS.values()), *read})


@pytest.mark.parametrize("kind", kinds())
def test_every_source_says_which_figure_it_is_for(kind: str) -> None:
    assert kind in BRINGS or brings(kind) == {"spend"}
