"""`clicktrace rules` and `clicktrace actions` as a person runs them; actions against a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sqlalchemy import Engine
from typer.testing import CliRunner

from alerts.api import Desk, build_router
from alerts.approval import ApprovalLinks, Decisions
from alerts.ledger import Lease, Ledger
from alerts.state import ActionState
from app.auth import KeyAuthorization, KeyRing
from app.cli import actions, rules
from app.http import build_app
from app.ports import free_port
from core.errors import Conflict, Invalid, NotFound, Transient, Unauthorized
from tests.alerts.receiver import wait_for
from tests.alerts.test_stages import action
from tests.alerts.world import Clock

BAD = Path(__file__).parent / "bad_rules"


def run(app: Any, *arguments: str) -> tuple[int, str]:
    """Exit code and standard output; expected errors are raised, as `app.cli.main` is what turns them into messages."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    return result.exit_code, result.stdout


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLICKTRACE_DATA_DIR", str(tmp_path))


def test_the_shipped_rules_are_right_and_pass_their_tests() -> None:
    code, out = run(rules.app, "check", "--json")
    assert code == 0
    assert json.loads(out) == {
        "rules": [
            "conversion_incident",
            "destination_changed",
            "destination_failing",
            "pause_failing_campaigns",
            "pause_fixed_threshold",
            "redirect_latency",
        ],
        "problems": [],
    }
    code, out = run(rules.app, "test", "--json")
    answer = json.loads(out)
    assert (code, answer["failed"], answer["problems"]) == (0, [], [])
    assert answer["passed"] > 30


def test_bad_rules_are_all_named_and_the_command_fails() -> None:
    code, out = run(rules.app, "check", str(BAD), "--json")
    assert code == 1
    assert {problem.partition(":")[0] for problem in json.loads(out)["problems"]} == {
        p.name for p in BAD.glob("*.yaml")
    }


def test_a_rule_that_does_something_else_than_its_test_says_fails(tmp_path: Path) -> None:
    source = Path(rules.__file__).parents[2] / "alerts" / "rules" / "defaults"
    text = (source / "conversion_incident.yaml").read_text("utf-8").replace("[open, recovering]", "[open]")
    (tmp_path / "conversion_incident.yaml").write_text(text, "utf-8")
    tests = (source / "conversion_incident.test.yaml").read_text("utf-8")
    (tmp_path / "conversion_incident.test.yaml").write_text(tests, "utf-8")
    code, out = run(rules.app, "test", str(tmp_path), "--json")
    assert code == 1
    assert [each["case"] for each in json.loads(out)["failed"]] == ["goes on while it recovers"]


def test_a_rule_without_a_test_fails(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "rule: x\ndescription: d\nowner: o\nwatch: incident\nwhen: {fact: incident.state, equals: open}\nsteps: [{resume: {}}]\n"
    )
    code, out = run(rules.app, "test", str(tmp_path), "--json")
    assert code == 1
    assert json.loads(out)["problems"] == ["x.yaml: there is no x.test.yaml beside it"]


@pytest.fixture
def api(control: Engine, clock: Clock, tmp_path: Path) -> Iterator[list[str]]:
    """A server with one question; yields the options that reach it."""
    ledger = Ledger(control)
    ledger.propose(
        action(proposed_at=clock.now, expires_at=clock.now + 60_000), step="asked", payload={}, now=clock.now
    )
    links = ApprovalLinks(control, public_url="https://clicktrace.example")
    desk = Desk(ledger, Decisions(ledger), links, public_url="https://clicktrace.example", clock=clock)
    keys = KeyRing(control)
    app = build_app([build_router(desk, authorize=KeyAuthorization(keys))], max_body_bytes=10_000)
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    yield ["--url", f"http://127.0.0.1:{server.config.port}", "--key", keys.add("ann", scopes=["admin"])]
    server.should_exit = True
    thread.join(10)


def test_a_question_is_listed_shown_approved_once_and_verified(api: list[str]) -> None:
    [listed] = json.loads(run(actions.app, "list", "--json", *api)[1])
    assert (listed["state"], listed["target"], listed["spend_per_hour"]) == ("awaiting", "google:1:2", "60.00")
    code, out = run(actions.app, "show", listed["action_id"], *api)
    assert code == 0
    assert "awaiting" in out
    shown = json.loads(run(actions.app, "approve", listed["action_id"], "--json", *api)[1])
    assert (shown["state"], shown["decided_by"]) == ("approved", "ann")
    with pytest.raises(Conflict, match="already_approved"):
        run(actions.app, "approve", listed["action_id"], *api)
    assert run(actions.app, "reject", listed["action_id"], *api)[0] == 0
    assert json.loads(run(actions.app, "list", "--state", "awaiting", "--json", *api)[1]) == []
    assert "The ledger is sound." in run(actions.app, "verify", *api)[1]


def test_the_switches_are_flipped(api: list[str]) -> None:
    assert run(actions.app, "switch", "stop_pauses", "--on", *api) == (0, "on: stop_pauses\n")
    assert run(actions.app, "switch", "stop_pauses", "--off", *api) == (0, "on: none\n")


def test_wrong_use_is_said_in_the_products_words(api: list[str], tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="unknown_action"):
        run(actions.app, "show", "f" * 32, *api)
    with pytest.raises(Unauthorized):
        run(actions.app, "list", *api[:2], "--key", "wrong")
    with pytest.raises(Unauthorized, match="no_key"):
        run(actions.app, "list", *api[:2])
    with pytest.raises(Transient, match="is the monitor running"):
        run(actions.app, "list", "--url", f"http://127.0.0.1:{free_port()}", "--key", "k")
    with pytest.raises(Invalid, match="no_action"):
        run(actions.app, "undo", *api)


def test_a_broken_ledger_fails_the_command(api: list[str], control: Engine) -> None:
    ledger = Ledger(control)
    lease = Lease(
        target="google:1:2",
        action_id="a" * 32,
        platform="google",
        previous_status="enabled",
        started_at=1,
        expires_at=2,
    )
    approved = ledger.move(ledger.get("a" * 32), ActionState.APPROVED, step="approved", now=1)
    ledger.move(approved, ActionState.ACTING, step="intent", now=1, lease=lease, end_lease="lost")
    code, out = run(actions.app, "verify", "--json", *api)
    assert code == 1
    assert json.loads(out)["sound"] is False


def test_undo_direct_without_leases_says_so(control: Engine) -> None:
    code, out = run(actions.app, "undo", "--direct")
    assert code == 0
    assert "No lease is open" in out


def test_undo_direct_tells_which_campaign_could_not_be_given_back(control: Engine, clock: Clock) -> None:
    """The account is not configured here, so nobody can write to it: the command says so and fails."""
    ledger = Ledger(control)
    ledger.propose(action(ActionState.APPROVED), step="approved", payload={}, now=1)
    lease = Lease(
        target="google:1:2",
        action_id="a" * 32,
        platform="google",
        previous_status="enabled",
        started_at=1,
        expires_at=2,
    )
    acting = ledger.move(ledger.get("a" * 32), ActionState.ACTING, step="intent", now=1, lease=lease, deadline=1)
    ledger.move(acting, ActionState.PAUSED, step="read_back", now=1)
    Path("clicktrace.yaml").write_text("alerts: {act_deadline: 1s}\n", "utf-8")
    code, out = run(actions.app, "undo", "--direct", "--json")
    assert code == 1
    [told] = json.loads(out)
    assert (told["target"], told["ended"]) == ("google:1:2", False)
    assert "no client" in told["detail"]
