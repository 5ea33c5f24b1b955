"""The whole loop on real components: a release breaks a form on one device, and the money stops flowing into it until it is mended.

One run of the demo's `bad-deploy` story (about six minutes), with a real Prometheus scraping /metrics, a real Alertmanager, a real webhook
receiver, the real google-ads client and a buyer who follows the message's link; the tests look at what it left behind.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from app.demo.alert_receiver import AlertReceiver
from app.demo.checker import differences
from app.demo.director import BUYER, Director
from app.demo.outcome import Outcome, outcome_of
from app.demo.processes import Child, clicktrace
from app.demo.scenarios import Expectation, draw_plan
from app.demo.stage import Stage, StageOptions
from app.demo.story import Story
from app.demo.truth import Truth, read_truth
from app.demo.watch import Observed, SeenAction, SeenIncident
from app.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SEED = 4
READY_S = 60.0


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """What one run left behind."""

    truth: Truth
    observed: Observed
    outcome: Outcome
    #: Answers of Prometheus to instant queries, by query.
    prometheus: dict[str, list[dict[str, Any]]]
    #: `clicktrace trace` of a click whose order failed, as people read it.
    journey_text: str
    journey: dict[str, Any]
    log: str

    @property
    def expected(self) -> Expectation:
        return self.truth.plan.expected

    @property
    def incident(self) -> SeenIncident:
        return next(i for i in self.observed.incidents.values() if i.verdict == self.expected.verdict)

    def action_of(self, campaign: str) -> SeenAction:
        return next(action for action in self.observed.actions.values() if action.target == campaign)

    def steps_of(self, campaign: str) -> list[str]:
        return [entry["step"] for entry in self.observed.ledgers[self.action_of(campaign).action_id]]


QUERIES = (
    "up{job='clicktrace'}",
    "clicktrace_leader",
    "count({__name__=~'clicktrace_.*'})",
)


def start_prometheus(folder: Path, *, target: int) -> tuple[Child, int]:
    binary = shutil.which("prometheus")
    assert binary, "install it: apt-get install prometheus (make test does)"
    port = free_port()
    job = {"job_name": "clicktrace", "scrape_interval": "5s", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    folder.mkdir(parents=True)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": [job]}), "utf-8")
    arguments = [
        f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    return Child("prometheus", [binary, *arguments], log=folder / "prometheus.log"), port


def ask_prometheus(port: int, query: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, trust_env=False)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
    return found


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("loop")
    story = Story()
    options = StageOptions(data_dir=folder / "demo", seed=SEED, any_ports=True)
    with (
        AlertReceiver(on_alert=story.alert) as receiver,
        Stage(options, receiver=receiver, progress=story.setup) as stage,
    ):
        assert stage.alertmanager, "install it: apt-get install prometheus-alertmanager (make test does)"
        stage.start()
        prometheus, port = start_prometheus(folder / "prometheus", target=stage.ports.monitor)
        try:
            plan = draw_plan("bad-deploy", stage.world, stage.past, now=stage.history_end)
            director = Director(stage, plan, story=story, receiver=receiver, approval="link", minutes=9)
            director.run()
            observed = director.watch.observed
            truth = read_truth(folder / "demo" / "truth.json")
            yield Loop(
                truth=truth, observed=observed, outcome=outcome_of(truth, observed),
                prometheus={query: ask_prometheus(port, query) for query in QUERIES},
                **_journey(stage, observed), log=(stage.logs / "clicktrace-up.log").read_text("utf-8"),
            )  # fmt: skip
        finally:
            prometheus.stop()


def _journey(stage: Stage, observed: Observed) -> dict[str, Any]:
    traces = [trace for incident in observed.incidents.values() for trace in incident.at_worst.get("traces", [])]
    if not traces:
        return {"journey_text": "", "journey": {}}
    click_id = traces[0]["click_id"]
    printed = subprocess.run(
        clicktrace("trace", click_id), env=stage.environment(), capture_output=True, text=True, timeout=60, check=True
    )
    return {"journey_text": printed.stdout, "journey": stage.command("trace", click_id, "--json")}


def test_the_product_tells_the_truth(loop: Loop) -> None:
    assert differences(loop.truth, loop.observed) == []


def test_the_system_is_ready_within_a_minute(loop: Loop) -> None:
    assert loop.outcome.ready_s <= READY_S, loop.outcome.steps


def test_an_incident_opens_within_two_minutes_of_the_onset_with_the_right_device_and_page(loop: Loop) -> None:
    assert loop.incident.first_seen - loop.truth.onset <= 120_000
    assert loop.incident.at_worst["scope"] == loop.expected.scope


def test_the_guilty_release_stands_before_the_innocent_one(loop: Loop) -> None:
    first = loop.incident.at_worst["deploys"][0]
    assert (first["service"], first["version"]) == (loop.expected.deploy_service, loop.expected.deploy_version)


def test_form_errors_are_evidence_and_the_cost_is_named_per_hour(loop: Loop) -> None:
    worst = loop.incident.at_worst
    assert any("form" in evidence["name"] or "error" in evidence["name"] for evidence in worst["evidence"])
    assert worst["cost"]["wasted_per_hour_micros"] > 0
    assert worst["cost"]["currency"] == "USD"
    assert loop.outcome.wasted_per_hour_said == pytest.approx(loop.outcome.lost_per_hour, rel=0.6)


def test_three_traces_of_failed_paid_clicks_exist_as_failed_spans(loop: Loop) -> None:
    assert loop.observed.failed_traces >= 3
    assert len({trace["trace_id"] for trace in loop.incident.at_worst["traces"]}) >= 3


def test_the_message_came_through_alertmanager_with_link_and_dollars(loop: Loop) -> None:
    first = loop.observed.alerts[0]
    assert "Alertmanager" in first.caller
    assert first.labels["alertname"] == "ConversionIncident"
    assert first.annotations["verdict"] in loop.expected.verdict
    assert float(first.annotations["dollars_per_hour"]) > 0
    assert any(alert.annotations.get("approve_url") for alert in loop.observed.alerts)


def test_google_and_meta_pause_after_the_buyers_approval_and_the_ledger_shows_every_step(loop: Loop) -> None:
    assert {campaign.split(":")[0] for campaign in loop.expected.pause} == {"google", "meta"}
    for campaign in loop.expected.pause:
        steps = loop.steps_of(campaign)
        order = [steps.index(step) for step in ("proposed", "approved", "intent", "call", "read_back")]
        assert order == sorted(order), steps
        assert loop.action_of(campaign).decided_by == BUYER
        changes = [change["status"] for change in loop.observed.mutations if change["campaign"] == campaign]
        assert changes == ["paused", "enabled"]


def test_microsoft_is_told_to_be_paused_by_hand(loop: Loop) -> None:
    for campaign in loop.expected.by_hand:
        assert "by_hand" in loop.action_of(campaign).states
    assert any(alert.labels["alertname"] == "PauseByHand" for alert in loop.observed.alerts)


def test_after_the_fix_campaigns_resume_and_the_alert_resolves(loop: Loop) -> None:
    assert loop.incident.state == "closed"
    assert loop.incident.recovered_at > loop.truth.fixed
    for campaign in loop.expected.pause:
        assert loop.action_of(campaign).state == "returned"
    resolved = [alert for alert in loop.observed.alerts if alert.status == "resolved"]
    assert "ConversionIncident" in {alert.labels["alertname"] for alert in resolved}


def test_prometheus_scrapes_the_monitor(loop: Loop) -> None:
    assert [result["value"][1] for result in loop.prometheus["up{job='clicktrace'}"]] == ["1"]
    assert [result["value"][1] for result in loop.prometheus["clicktrace_leader"]] == ["1"]
    assert int(loop.prometheus["count({__name__=~'clicktrace_.*'})"][0]["value"][1]) > 20


def test_the_journey_of_a_failed_click_is_whole(loop: Loop) -> None:
    journey = loop.journey
    assert [hit["http_status"] for hit in journey["hits"]] == [302]
    assert {"page_view", "form_start", "form_submit", "form_error"} <= {touch["name"] for touch in journey["touches"]}
    assert any(span["http_status"] == 500 for span in journey["spans"])
    assert journey["spend"]["cost"]
    assert loop.expected.deploy_version in {deploy["version"] for deploy in journey["deploys"]}
    for text in (journey["click_id"], "page_view", "form_error", loop.expected.deploy_service):
        assert text in loop.journey_text


def test_the_whole_story_takes_at_most_six_minutes_with_its_history(loop: Loop) -> None:
    whole_s = (loop.truth.ended - loop.truth.doors_open) / 1000 + loop.outcome.ready_s
    assert whole_s <= 360


def test_the_products_log_holds_no_error(loop: Loop) -> None:
    assert [line for line in loop.log.splitlines() if "error" in line.lower() and "0 errors" not in line] == []
