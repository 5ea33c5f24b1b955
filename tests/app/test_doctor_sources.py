"""`clicktrace doctor` tries each configured source over its wire, and says what to mend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import doctor
from app.doctor_sources import changes, sources
from app.finding import Finding
from app.settings import Settings, load_settings
from collectors import registry
from collectors.config import CollectorsConfig
from core.clock import MINUTE_MS, now_ms
from core.vendors.config import AccountConfig
from correlator.freshness import Oddity, SourceFreshness
from tests.collectors.every_source import SECTIONS, TOY, TOY_CASE, TOY_SOURCE, WithToy, secrets_of, settings_of
from tests.collectors.sandboxes.cases import CASES, Case, build_case
from tests.collectors.toy.sandbox import ToyCase

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Any) -> Iterator[ToyCase]:
    monkeypatch.setitem(registry.SOURCES, TOY, TOY_SOURCE)
    (tmp_path / "toy").mkdir()
    case = ToyCase(tmp_path / "toy", clock)
    case.start()
    yield case
    case.stop()


@pytest.fixture(params=SECTIONS)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Every source that the product can read, with its vendor on loopback."""
    monkeypatch.setitem(registry.SOURCES, TOY, TOY_SOURCE)
    monkeypatch.setitem(CASES, TOY, TOY_CASE)
    made = build_case(request.param, tmp_path / request.param, now_ms)
    made.start()
    yield made
    made.stop()


def installation(case: Case, tmp_path: Path) -> Settings:
    settings = load_settings(None, environ={"CLICKTRACE_DATA_DIR": str(tmp_path / "data")})
    given = settings_of(case)
    collectors: CollectorsConfig = WithToy.model_validate({given.section: given.values})
    accounts = tuple(AccountConfig.model_validate(account) for account in given.accounts)
    return settings.model_copy(update={"collectors": collectors, "accounts": accounts})


def tried(case: Case, settings: Settings) -> Finding:
    """What doctor says of the case's own source; of an account's spend and campaigns, the account's check says it."""
    if case.reads in ("google_ads:", "meta_ads:"):
        (found,) = doctor._accounts(settings, None)
        return found
    return only([one for one in sources(settings, None) if one.check.startswith(f"source {settings_of(case).reads}")])


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


def test_every_source_is_tried_over_its_wire(case: Case, tmp_path: Path) -> None:
    """That it answers, that it is not reached, and that it refuses us: each time without its credentials, and with what to do."""
    settings, known = installation(case, tmp_path), secrets_of(case)
    if case.history:
        case.add(7, ts=now_ms() - 5 * MINUTE_MS)
    finding = tried(case, settings)
    assert (finding.state, finding.mend) == ("ok", ""), finding.text
    if not case.vendor:
        return
    case.lock_out()
    refused = tried(case, settings)
    case.let_in()
    case.stop()
    away = tried(case, settings)
    assert (refused.state, away.state) == ("problem", "problem")
    assert "try again later" in away.mend
    named = [word for word in refused.mend.split() if word.endswith("README.md")]
    assert named, refused.mend
    assert case.section == TOY or "permissions" in (ROOT / named[0]).read_text("utf-8").lower()
    said = " ".join(one.text + one.mend for one in (finding, refused, away))
    assert not [secret for secret in known | secrets_of(case) if secret in said]


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
