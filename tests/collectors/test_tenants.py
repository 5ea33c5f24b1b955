"""Two clients on one installation, with the same numbers at the same vendor: neither counts for the other, and one's trouble is its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.demo.meta_sandbox import MetaSandbox
from collectors import registry
from collectors.registry import build_sources
from core.clock import HOUR_MS
from core.records import Campaign, Conversion, Record
from core.vendors.config import AccountConfig
from tests.collectors.every_source import TOY, TOY_CASE, TOY_SOURCE, Parts, WithToy, runner_of, settings_of
from tests.collectors.sandboxes.ad_accounts import campaigns, late_and_restating
from tests.collectors.sandboxes.cases import CASES, Case, build_case

CLIENTS = ("acme", "zenith")


@pytest.fixture(params=["stripe", "hubspot", "meta_ads", TOY])
def cases(request: pytest.FixtureRequest, tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Case]]:  # fmt: skip
    monkeypatch.setitem(registry.SOURCES, TOY, TOY_SOURCE)
    monkeypatch.setitem(CASES, TOY, TOY_CASE)
    made = [build_case(request.param, tmp_path / client, clock) for client in CLIENTS]
    if request.param == "meta_ads":
        made[1].sandbox = MetaSandbox(
            tmp_path / "zenith", account="77", campaigns=campaigns(), behaviour=late_and_restating(), clock=clock
        )
    for case in made:
        case.start()
    yield made
    for case in made:
        case.stop()


def sources(cases: list[Case]) -> list[Any]:
    """One section with a connection, or an account, for each client."""
    settings = [settings_of(case) for case in cases]
    for one, client in zip(settings, CLIENTS, strict=True):
        for each in (*one.values.get("connections", ()), *one.accounts):
            each["client"] = client
        for each in one.values.get("connections", ()):
            each["name"] = client
    together = settings[0].values | {
        "connections": [each for one in settings for each in one.values.get("connections", ())]
    }
    if not together["connections"]:
        del together["connections"]
    accounts = [AccountConfig.model_validate(each) for one in settings for each in one.accounts]
    built = build_sources(WithToy.model_validate({settings[0].section: together}), accounts)
    return [source for source in built if source.name.startswith(settings[0].reads)]


def clients_of(records: list[Record]) -> dict[str, str]:
    """Fact -> whose it is: what it says itself, else its campaign's."""
    owners = {record.campaign: record.client for record in records if isinstance(record, Campaign)}
    facts = {record.fact_id: record for record in records if hasattr(record, "fact_id")}
    return {
        fact_id: record.client if isinstance(record, Campaign | Conversion) else owners[record.campaign]
        for fact_id, record in facts.items()
    }


def test_the_same_numbers_of_two_clients_are_facts_of_their_own(
    cases: list[Case], journal: Any, control: Any, clock: Any, journaled: Callable[[], list[Record]]
) -> None:
    for case in cases:
        case.add(7, ts=clock.now - 5 * HOUR_MS)
    runner = runner_of(sources(cases), Parts(journal, control, None, clock))
    runner.run_once(clock.now)
    runner.stop()
    assert {status.state for status in runner.statuses()} == {"complete"}
    facts = [record for record in journaled() if hasattr(record, "fact_id")]
    assert sorted(cases[0].seen(facts)) == [7, 7]
    owned = list(clients_of(facts).values())
    assert owned.count("acme") == owned.count("zenith") == len(facts) / 2


def test_a_client_whose_credentials_are_wrong_leaves_the_other(
    cases: list[Case], journal: Any, control: Any, clock: Any, journaled: Callable[[], list[Record]]
) -> None:
    for case in cases:
        case.add(7, ts=clock.now - 5 * HOUR_MS)
    cases[0].lock_out()
    runner = runner_of(sources(cases), Parts(journal, control, None, clock))
    runner.run_once(clock.now)
    runner.stop()
    assert sorted(status.state for status in runner.statuses()) == ["complete", "stopped"]
    facts = [record for record in journaled() if hasattr(record, "fact_id")]
    assert set(clients_of(facts).values()) == {"zenith"}
