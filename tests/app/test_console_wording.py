from __future__ import annotations

from typing import Any

import pytest

from app.console import wording
from app.console.data import Watching, visible
from app.console.incidents import quiet_sentence
from app.console.series import Marker, Series, expected_per_minute, normalised
from app.console.timeline import chart_options, trailing_mean
from app.monitor import source_age
from core.clock import MINUTE_MS
from core.principal import Principal
from correlator.freshness import SourceFreshness

from .console_payload import ONSET, payload


@pytest.mark.parametrize(
    ("micros", "currency", "shown"),
    [
        (1_234_500_000, "USD", "$1,234"),
        (59_900_000, "EUR", "€59.90"),
        (-59_900_000, "EUR", "−€59.90"),
        (5_000_000, "CHF", "5.00 CHF"),
        (0, "USD", "$0.00"),
        (None, "USD", "–"),
    ],
)  # fmt: skip
def test_money_is_short_and_an_unknown_amount_is_no_zero(micros: int | None, currency: str, shown: str) -> None:
    assert wording.money(micros, currency) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (-5, "0 s"), (42_000, "42 s"), (95_000, "1 min 35 s"), (12 * MINUTE_MS + 5_000, "12 min"),
        (135 * MINUTE_MS, "2 h 15 min"), (24 * 60 * MINUTE_MS, "1 d"), (26 * 60 * MINUTE_MS, "1 d 2 h"),
    ],
)  # fmt: skip
def test_a_length_of_time_has_its_two_largest_units(ms: int, shown: str) -> None:
    assert wording.span(ms) == shown


@pytest.mark.parametrize(
    ("ts", "shown"),
    [(ONSET - 42_000, "42 s before onset"), (ONSET + 180_000, "3 min after onset"), (ONSET + 10, "at onset")],
)
def test_a_change_is_placed_from_the_onset(ts: int, shown: str) -> None:
    assert wording.relative_to_onset(ts, ONSET) == shown


def test_nothing_to_do_says_what_is_watched_and_how_completely() -> None:
    watching = Watching(campaigns=12, clicks_last_hour=4321)
    said = quiet_sentence(watching, complete_through=ONSET, now=ONSET)
    assert said == "Watching 12 campaigns, complete through 14:14:00 UTC. 4,321 clicks in the last hour."


def test_an_empty_installation_says_what_to_do_first() -> None:
    assert "clicktrace links add" in quiet_sentence(
        Watching(campaigns=0, clicks_last_hour=0), complete_through=0, now=ONSET
    )


def test_expected_conversions_follow_their_clicks_by_the_delay_law() -> None:
    assert expected_per_minute([100, 0, 0], rate=0.1, delay=[0.5, 0.3, 0.2]) == pytest.approx([5.0, 3.0, 2.0])
    assert expected_per_minute([100, 100, 100, 100], rate=0.1, delay=[0.5, 0.5]) == pytest.approx(
        [5.0, 10.0, 10.0, 10.0]
    )


def test_without_history_conversions_are_expected_at_once() -> None:
    assert normalised([0, 0]) == [1.0]
    assert normalised([3, 1]) == [0.75, 0.25]


def test_a_trailing_mean_begins_with_what_there_is() -> None:
    assert trailing_mean([3, 6, 9, 0], width=3) == [3.0, 4.5, 6.0, 5.0]


def test_the_chart_marks_onset_and_deploys() -> None:
    deploys = [Marker(ts=ONSET - 42_000, label="shop 1.4.2")]
    start = ONSET - 2 * MINUTE_MS
    options = chart_options(
        Series(start=start, clicks=[9, 9], observed=[3, 1], expected=[3.0, 3.0], deploys=deploys), payload()
    )
    marks = options["series"][-1]["markLine"]["data"]
    assert [(mark["xAxis"], mark["label"]["formatter"]) for mark in marks] == [
        (ONSET, "onset"),
        (ONSET - 42_000, "shop 1.4.2"),
    ]
    assert options["series"][0]["data"] == [(start, 3.0), (start + MINUTE_MS, 3.0)]


@pytest.mark.parametrize(("clients", "sees"), [([], True), (["acme"], True), (["other"], False)])
def test_a_key_sees_the_incidents_of_its_clients_only(clients: list[str], sees: bool) -> None:
    principal = Principal(name="x", scopes=frozenset({"read"}), clients=frozenset(clients))
    assert visible(payload(), principal) is sees


def test_what_the_console_watches_does_not_wait_for_a_platforms_report() -> None:
    told: dict[str, Any] = {"state": "on_time", "lag_s": 1.0, "documented_lag_s": 1, "read_at_ms": ONSET}
    behind = {"journal": 0, "google_ads:1": 180, "google_conversions:1": 900, "stripe:shop": 20}
    ages = [
        source_age(SourceFreshness(source=name, complete_through_ms=ONSET - late * MINUTE_MS, **told))
        for name, late in behind.items()
    ]
    assert [(age.name, age.complete_through) for age in ages if age.live] == [("Clicks and orders", ONSET)]
    assert {age.state for age in ages} == {"ok"}, "a documented lag is not late"
