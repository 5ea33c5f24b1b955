"""`clicktrace doctor` tries each configured source over its wire, and says what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.doctor_sources import changes, sources
from app.finding import Finding
from app.settings import Settings, load_settings
from collectors import registry
from collectors.config import CollectorsConfig
from correlator.freshness import Oddity, SourceFreshness
from tests.collectors.every_source import TOY, TOY_SOURCE, WithToy, settings_of
from tests.collectors.toy.sandbox import ToyCase


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Any) -> Iterator[ToyCase]:
    monkeypatch.setitem(registry.SOURCES, TOY, TOY_SOURCE)
    (tmp_path / "toy").mkdir()
    case = ToyCase(tmp_path / "toy", clock)
    case.start()
    yield case
    case.stop()


def installation(case: ToyCase, tmp_path: Path) -> Settings:
    settings = load_settings(None, environ={"CLICKTRACE_DATA_DIR": str(tmp_path / "data")})
    collectors: CollectorsConfig = WithToy.model_validate({TOY: settings_of(case).values})
    return settings.model_copy(update={"collectors": collectors})


def only(found: list[Finding]) -> Finding:
    (finding,) = found
    return finding


def test_a_source_that_answers_is_fine(shop: ToyCase, tmp_path: Path) -> None:
    finding = only(sources(installation(shop, tmp_path), None))
    assert (finding.check, finding.state) == ("source toy:shop", "ok")
    assert "answers" in finding.text


def test_wrong_credentials_are_a_problem_that_names_the_page_with_the_permissions(
    shop: ToyCase, tmp_path: Path
) -> None:
    shop.lock_out()
    finding = only(sources(installation(shop, tmp_path), None))
    assert finding.state == "problem"
    assert "401" in finding.text
    assert "collectors/toy/README.md" in finding.mend
    assert "toy-token-of-somebody-else" not in finding.text


@pytest.mark.parametrize(("switch", "word"), [("quota_errors", "interval_s"), ("outage", "try again later")])
def test_what_ends_by_itself_is_said_to(shop: ToyCase, tmp_path: Path, switch: str, word: str) -> None:
    setattr(shop.behaviour, switch, 100)
    finding = only(sources(installation(shop, tmp_path), None))
    assert finding.state == "problem"
    assert word in finding.mend


def test_a_source_with_a_defect_does_not_hide_the_others(shop: ToyCase, tmp_path: Path) -> None:
    settings = installation(shop, tmp_path)
    toy = settings.collectors.toy  # type: ignore[attr-defined]  # the toy is no setting of the product
    second = toy.connections[0].model_copy(update={"name": "broken", "endpoint": "http://[nonsense"})
    toys = toy.model_copy(update={"connections": (second, *toy.connections)})
    settings = settings.model_copy(update={"collectors": settings.collectors.model_copy(update={TOY: toys})})
    states = {finding.check: finding.state for finding in sources(settings, None)}
    assert states == {"source toy:broken": "problem", "source toy:shop": "ok"}


def test_nothing_configured_is_nothing_to_say(tmp_path: Path) -> None:
    assert sources(load_settings(None, environ={"CLICKTRACE_DATA_DIR": str(tmp_path)}), None) == []


def test_what_the_reader_found_changed_is_a_warning() -> None:
    odd = Oddity(finding="null_rate", detail="cost empty in 60 % of rows, usually 1 %")
    told = SourceFreshness(
        source="toy:shop",
        state="on_time",
        complete_through_ms=1,
        lag_s=1.0,
        documented_lag_s=1,
        read_at_ms=1,
        reading="complete",
        findings=(odd,),
    )
    finding = only(changes("toy:shop", told))
    assert (finding.state, finding.check) == ("warning", "source toy:shop")
    assert "null_rate: cost empty in 60 %" in finding.text
    assert changes("toy:shop", None) == []
