"""The checker: silent when the product's story is the truth, and one sentence for every way in which it is not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from app.demo.alert_receiver import Received
from app.demo.checker import differences
from app.demo.outcome import closing_rows, hours_until_morning, outcome_of
from app.demo.scenarios import Expectation, Plan, Release
from app.demo.truth import Truth
from app.demo.watch import Observed, SeenAction, SeenIncident

ONSET = 1_794_824_700_000
GOOGLE, META, MICROSOFT = "google:1:11", "meta:2:22", "microsoft:3:33"
SCOPE = {"device": "mobile", "page": "shop.localhost:8090/p"}


def truth(**changes: Any) -> Truth:
    expected = Expectation(
        verdict="site_failing", scope=SCOPE, deploy_service="orders", deploy_version="3.2.0", pause=[GOOGLE, META],
        may_pause=[GOOGLE, META], by_hand=[MICROSOFT], within_s=120, failed_traces=3,
    )  # fmt: skip
    plan = Plan(scenario="bad-deploy", seed=1, onset_after_s=60, guilty=Release(service="orders", version="3.2.0", after_s=0),
                expected=expected)  # fmt: skip
    made = Truth(
        plan=plan, onset=ONSET, acted=ONSET + 110_000, fixed=ONSET + 130_000, ended=ONSET + 300_000,
        counts_at_onset={"wasted_micros": 1_000_000}, counts_at_action={"wasted_micros": 111_000_000},
        counts_at_end={"wasted_micros": 121_000_000}, seconds={"all": 40.0},
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def incident(**changes: Any) -> SeenIncident:
    payload = {
        "title": "Orders fail", "onset": ONSET - 5_000, "scope": SCOPE, "cost": {"wasted_per_hour_micros": 3_500_000_000},
        "deploys": [{"service": "orders", "version": "3.2.0"}, {"service": "web", "version": "1.0.0"}],
    }  # fmt: skip
    made = SeenIncident(
        incident_id="i1", first_seen=ONSET + 80_000, state="closed", verdict="site_failing", verdict_since=ONSET + 80_000,
        opened=ONSET + 78_000, onset=ONSET - 5_000, scope=SCOPE, payload=payload, at_worst=payload,
        recovered_at=ONSET + 200_000, closed_at=ONSET + 290_000,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def action(target: str, *states: str) -> SeenAction:
    return SeenAction(
        action_id=f"a-{target}", incident_id="i1", target=target, kind="pause_campaign", state=states[-1], mode="approve",
        decided_by="Robin", states={state: ONSET + 90_000 + i * 10_000 for i, state in enumerate(states)},
    )  # fmt: skip


def observed(**changes: Any) -> Observed:
    ledger_way = ("awaiting", "approved", "acting", "paused", "returning", "returned")
    actions = [action(GOOGLE, *ledger_way), action(META, *ledger_way), action(MICROSOFT, "by_hand")]
    changes_seen = [{"campaign": c, "status": s, "at": 1} for s in ("paused", "enabled") for c in (GOOGLE, META)]
    resolved = Received(
        at=1, status="resolved", labels={"alertname": "ConversionIncident"}, annotations={}, caller="Alertmanager"
    )
    made = Observed(
        incidents={"i1": incident()}, actions={a.action_id: a for a in actions}, alerts=[resolved], mutations=changes_seen,
        failed_traces=3,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def test_the_true_story_has_no_differences() -> None:
    assert differences(truth(), observed()) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"verdict": "traffic_changed"}, "expected verdict site_failing, found traffic_changed"),
        ({"first_seen": ONSET + 121_000}, "expected the incident within 120 s of the onset, it took 121 s"),
        ({"first_seen": ONSET - 1}, "expected an incident with verdict site_failing, found site_failing"),
    ],
)
def test_a_wrong_incident_is_named(changed: dict[str, Any], sentence: str) -> None:
    assert sentence in differences(truth(), observed(incidents={"i1": incident(**changed)}))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"onset": ONSET + 61_000}, "expected the onset within 60 s of the truth, it is +61 s off"),
        ({"scope": {"device": "mobile"}}, f"expected scope page={SCOPE['page']}, found {{'device': 'mobile'}}"),
        ({"deploys": [{"service": "web", "version": "1.0.0"}]},
         "expected orders 3.2.0 first among the suspects, found web 1.0.0"),
        ({"deploys": []}, "expected orders 3.2.0 first among the suspects, found none"),
    ],
)  # fmt: skip
def test_a_wrong_explanation_is_named(changed: dict[str, Any], sentence: str) -> None:
    wrong = incident(at_worst={**incident().at_worst, **changed})
    assert differences(truth(), observed(incidents={"i1": wrong})) == [sentence]


def test_a_false_alarm_and_a_second_verdict_are_named() -> None:
    early = incident(incident_id="i0", first_seen=ONSET - 10_000)
    other = incident(incident_id="i2", verdict="tracking_broken")
    found = differences(truth(), observed(incidents={"i0": early, "i1": incident(), "i2": other}))
    assert found == [
        "a false alarm before the onset: Orders fail (site_failing)",
        "a second incident with another verdict: Orders fail (tracking_broken)",
    ]


def test_missing_and_unwanted_actions_are_named() -> None:
    stranger = action("google:1:99", "awaiting")
    kept = {k: a for k, a in observed().actions.items() if a.target != META} | {stranger.action_id: stranger}
    found = differences(truth(), observed(actions=kept))
    assert found == [
        f"expected a pause to be asked for {META}, it was not",
        "a pause was asked for google:1:99, which should be left alone",
    ]


def test_a_platform_that_was_not_told_or_not_given_back_is_named() -> None:
    never = [change for change in observed().mutations if change["campaign"] != META]
    assert differences(truth(), observed(mutations=never)) == [
        f"expected {META} to be paused on its platform, it never was"
    ]
    stuck = [change for change in observed().mutations if change["status"] == "paused"]
    assert differences(truth(), observed(mutations=stuck)) == [
        f"expected {target} to run again after the fix, its platform says paused" for target in (GOOGLE, META)
    ]


def test_a_pause_without_approval_and_an_alert_that_never_ends_are_named() -> None:
    unasked = differences(truth(acted=0), observed())
    assert unasked == [f"{target} was paused although nobody approved" for target in (GOOGLE, META)]
    assert differences(truth(), observed(alerts=[])) == [
        "expected the alert to resolve after the fix, no receiver was told"
    ]


def test_an_incident_that_never_closes_is_named() -> None:
    assert differences(truth(), observed(incidents={"i1": incident(state="recovering")})) == [
        "expected the incident to close after the fix, it is recovering"
    ]


def test_too_few_failed_traces_are_named() -> None:
    assert differences(truth(), observed(failed_traces=2)) == [
        "expected 3 traces of failed paid clicks, found 2 that exist as failed spans"
    ]


def test_silence_is_expected_of_an_innocent_deploy() -> None:
    quiet = truth(plan=Plan(scenario="quiet", seed=1, onset_after_s=60))
    assert differences(quiet, Observed()) == []
    assert differences(quiet, observed(actions={})) == [
        "expected silence, but an incident opened: Orders fail (site_failing)"
    ]


def test_the_closing_table_tells_times_and_money() -> None:
    outcome = outcome_of(truth(), observed())
    assert outcome.as_expected
    assert (outcome.detect_s, outcome.ask_s, outcome.act_s, outcome.recover_s) == (80.0, 90.0, 120.0, 70.0)
    assert outcome.lost == 120.0
    assert outcome.lost_per_hour == pytest.approx(110 / 110 * 3600)
    assert dict(closing_rows(outcome))["time to detect"] == "1:20 min"


def test_nothing_is_noticed_before_nine_in_the_morning() -> None:
    late = datetime(2026, 11, 20, 22, 0).astimezone()
    assert hours_until_morning(int(late.timestamp() * 1000)) == pytest.approx(11)
    early = datetime(2026, 11, 20, 8, 30).astimezone()
    assert hours_until_morning(int(early.timestamp() * 1000)) == pytest.approx(0.5)
