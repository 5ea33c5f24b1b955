"""What becomes of the conversions that Meta counts, over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.demo.ad_account import Behaviour
from app.demo.meta_reports import CountedAction
from app.demo.meta_sandbox import MetaSandbox
from collectors.base import Fetched
from collectors.config import CollectorsConfig
from collectors.registry import build_sources
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS, parse_rfc3339
from core.records import Tally
from core.vendors.config import AccountConfig

#: 11:00 in Berlin.
NOW = parse_rfc3339("2026-11-20T10:00:00Z")
TODAY = parse_rfc3339("2026-11-20T00:00:00+01:00")
ZONE = "Europe/Berlin"


@pytest.fixture
def meta(tmp_path: Path) -> Iterator[MetaSandbox]:
    behaviour = Behaviour(report_lag_s=0, restate_share=0.0)
    with MetaSandbox(tmp_path, timezone=ZONE, behaviour=behaviour, clock=lambda: NOW) as sandbox:
        yield sandbox


Read = Callable[..., Fetched]


@pytest.fixture
def read(meta: MetaSandbox) -> Iterator[Read]:
    """One read of the conversions, with changes to their settings."""
    made: list[Any] = []

    def once(**changes: Any) -> Fetched:
        account = AccountConfig(
            platform="meta",
            account=meta.account.account,
            client="acme",
            timezone=ZONE,
            endpoint=meta.endpoint,
            credentials_file=str(meta.credentials_file),
        )
        config = CollectorsConfig.model_validate({"meta_ads": {"conversions": changes}})
        made.extend(build_sources(config, [account]))
        window = Window(since=NOW - 4 * HOUR_MS, until=NOW)
        found: Fetched = made[-1].fetch(window, now=NOW, deadline_s=10)
        return found

    yield once
    for source in made:
        source.close()


def tallies(fetched: Fetched) -> dict[str, Tally]:
    assert (fetched.invalid, fetched.failed) == (0, 0), fetched.detail
    return {record.name: record for record in fetched.records if isinstance(record, Tally)}


def test_an_account_is_read_for_spend_and_conversions() -> None:
    def names(section: dict[str, Any]) -> list[str]:
        config = CollectorsConfig.model_validate({"meta_ads": section})
        return [source.name for source in build_sources(config, [AccountConfig(platform="meta", account="act_1")])]

    assert names({}) == ["meta_ads:1", "meta_conversions:1"]
    assert names({"conversions": {"enabled": False}}) == ["meta_ads:1"]
    assert names({"enabled": False}) == []


def test_a_sale_that_meta_tells_under_five_names_is_counted_once(meta: MetaSandbox, read: Read) -> None:
    meta.reports.actions += [
        CountedAction(campaign="11", ts=NOW, count=2, value=59.9),
        CountedAction(campaign="11", ts=NOW, event="lead"),
    ]
    found = tallies(read())
    assert found.keys() == {"order", "lead"}, "clicks on the ad are among the actions, too, and not read"
    order = found["order"]
    assert (order.count, order.value_micros, order.currency) == (2.0, 59_900_000, "USD")
    assert (order.origin, order.account, order.campaign) == ("platform", "meta:2345678901", "meta:2345678901:11")
    assert (order.ts, order.bucket_s, order.source) == (TODAY, 86_400, "meta_conversions")
    assert (order.client, order.reported_as) == ("acme", "omni_purchase")
    assert (found["lead"].count, found["lead"].reported_as) == (1.0, "")


def test_the_first_action_in_the_settings_that_meta_tells_is_the_one_that_counts(meta: MetaSandbox, read: Read) -> None:
    pixel, everywhere = "offsite_conversion.fb_pixel_purchase", "omni_purchase"
    meta.reports.actions += [
        CountedAction(campaign="11", ts=NOW, event=everywhere, count=5),
        CountedAction(campaign="11", ts=NOW, event=pixel, count=3),
        CountedAction(campaign="12", ts=NOW, event=pixel, count=1),
    ]

    def told(fetched: Fetched) -> dict[str, tuple[float, str]]:
        return {tally.campaign[-2:]: (tally.count, tally.reported_as) for tally in fetched.records}  # type: ignore[union-attr]

    assert told(read()) == {"11": (5.0, everywhere), "12": (1.0, pixel)}
    assert told(read(types={pixel: "order", everywhere: "order"})) == {"11": (3.0, pixel), "12": (1.0, pixel)}


def test_names_of_one_sale_may_be_laid_side_by_side_as_types_of_their_own(meta: MetaSandbox, read: Read) -> None:
    meta.reports.actions.append(CountedAction(campaign="11", ts=NOW, count=4))
    types = {"omni_purchase": "order", "purchase": "online order"}
    assert {name: tally.count for name, tally in tallies(read(types=types)).items()} == {
        "order": 4.0,
        "online order": 4.0,
    }


def test_a_complete_answer_says_of_which_days_nothing_is_missing(meta: MetaSandbox, read: Read) -> None:
    meta.reports.actions += [CountedAction(campaign="11", ts=NOW), CountedAction(campaign="12", ts=NOW)]
    whole = read().whole
    assert whole is not None
    assert (whole.origin, whole.account) == ("platform", "meta:2345678901")
    assert (whole.since, whole.until) == (TODAY, TODAY + DAY_MS)
    meta.account.behaviour.malformed_rows = 1
    fetched = read()
    assert (len(fetched.records), fetched.invalid, fetched.whole) == (1, 1, None)


def test_a_table_of_no_actions_is_refused_because_nothing_would_be_counted() -> None:
    with pytest.raises(ValueError, match=r"conversions\.types"):
        CollectorsConfig.model_validate({"meta_ads": {"conversions": {"types": {}}}})


def test_conversions_are_read_again_for_28_days() -> None:
    config = CollectorsConfig().meta_ads.conversions
    assert config.restatement_s == 28 * 86_400
    assert config.window_s > config.restatement_s, "in one job"
