from __future__ import annotations

from app.doctor_retention import lookback_beyond_clicks, overdue, retention
from app.settings import load_settings
from core.clock import DAY_MS
from core.store.retention import Kept
from correlator.config import CorrelatorConfig

NOW = 1_790_000_000_000


def test_it_says_how_long_everything_is_kept() -> None:
    (found,) = retention(load_settings(environ={}), None)
    assert (found.check, found.state) == ("retention", "ok")
    assert found.text.startswith("raw journal 35 days; touch 400 days")
    assert found.text.endswith("for good: click, conversion, platform_click")


def test_what_should_be_gone_and_is_not_is_a_problem() -> None:
    def kept(age_days: int) -> list[Kept]:
        return [Kept(table="touch", days=40, oldest=NOW - age_days * DAY_MS, rows=9, due=3 if age_days > 40 else 0)]

    assert overdue(kept(30), now=NOW) == []
    assert overdue(kept(48), now=NOW) == [], "a week may come together first"
    (found,) = overdue(kept(60), now=NOW)
    assert (found.state, found.text) == ("problem", "kept longer than said: 3 rows of touch, the oldest 60 days old")


def test_a_conversion_that_looks_further_back_than_clicks_are_kept_is_told() -> None:
    assert lookback_beyond_clicks(CorrelatorConfig(), click_days=0) == []
    assert lookback_beyond_clicks(CorrelatorConfig(), click_days=10_000) == []
    (found,) = lookback_beyond_clicks(CorrelatorConfig(), click_days=1)
    assert found.state == "warning"
    assert "looks further back" in found.text
