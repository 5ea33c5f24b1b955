"""`clicktrace uploads` and `clicktrace doctor` over a sent log and both sandboxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from app import doctor
from app.cli.main import app
from app.settings import load_settings
from core.control.engine import open_control
from tests.uploads.events import event
from uploads.decisions import Decision
from uploads.sent_log import SentLog
from uploads.upload import Change

NOW = 1_790_000_000_000


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One upload of each kind: sent, skipped, refused, and one that may have arrived."""
    monkeypatch.setenv("CLICKTRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    engine = open_control("", tmp_path / "data")
    log = SentLog(engine)
    reasons = {1: "", 2: "consent_unknown", 3: "", 4: ""}
    decisions = [Decision(event=event(n), reason=reason, not_before=NOW) for n, reason in reasons.items()]
    log.decide(decisions, destination="google-shop", now=NOW)
    claimed = {one.event_id: one for one in log.claim(log.due("google-shop", now=NOW, limit=9), batch_id="b", now=NOW)}
    log.settle(
        [
            Change(upload=claimed["o-1"], state="sent"),
            Change(upload=claimed["o-3"], state="dead", reason="refused", detail="INVALID_GCLID"),
            Change(upload=claimed["o-4"], state="dead", reason="outcome_unknown"),
        ],
        now=NOW,
    )
    engine.dispose()
    return tmp_path / "data"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["uploads", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(*arguments: str) -> list[tuple[str, str, str]]:
    return sorted(
        (one["event_id"], one["state"], one["reason"]) for one in json.loads(run("list", "--json", *arguments))
    )


def test_the_sent_log_can_be_read_whole_and_in_part(data_dir: Path) -> None:
    assert shown() == [
        ("o-1", "sent", ""), ("o-2", "skipped", "consent_unknown"), ("o-3", "dead", "refused"), ("o-4", "dead", "outcome_unknown"),
    ]  # fmt: skip
    assert shown("--state", "dead", "--state", "sent") == [
        ("o-1", "sent", ""), ("o-3", "dead", "refused"), ("o-4", "dead", "outcome_unknown"),
    ]  # fmt: skip
    assert shown("--reason", "refused") == [("o-3", "dead", "refused")]
    assert shown("--conversion", "o-2") == [("o-2", "skipped", "consent_unknown")]
    (first,) = json.loads(run("list", "--json", "--conversion", "o-1"))
    assert (first["value"], first["currency"], first["ts"]) == ("59.90", "EUR", "2026-09-21T14:12:20.000Z")
    assert "gclid" not in run("list", "--json").lower().replace("invalid_gclid", "")


@pytest.mark.parametrize("command", ["list", "redrive"])
def test_a_destination_that_does_not_exist_is_refused(command: str, data_dir: Path) -> None:
    result = CliRunner().invoke(app, ["uploads", command, "--destination", "gogle-shop"])
    assert "unknown_destination: there is no destination gogle-shop; did you mean google-shop?" in str(result.exception)


def test_a_state_that_does_not_exist_is_refused() -> None:
    result = CliRunner().invoke(app, ["uploads", "list", "--state", "lost"])
    assert "unknown_state" in str(result.exception)


def test_counts_say_how_many_and_why(data_dir: Path) -> None:
    found = {(one["state"], one["reason"]): one["uploads"] for one in json.loads(run("counts", "--json"))}
    assert found == {
        ("sent", ""): 1, ("skipped", "consent_unknown"): 1, ("dead", "refused"): 1, ("dead", "outcome_unknown"): 1,
    }  # fmt: skip
    assert "google-shop" in run("counts")


def test_redrive_leaves_what_may_have_arrived_unless_told(data_dir: Path) -> None:
    assert json.loads(run("redrive", "--json")) == {"redriven": 1}
    assert shown("--state", "pending") == [("o-3", "pending", "")]
    assert json.loads(run("redrive", "--json")) == {"redriven": 0}
    assert json.loads(run("redrive", "--unknown", "--json")) == {"redriven": 1}
    assert shown("--state", "dead") == []


def test_one_upload_can_be_driven_again(data_dir: Path) -> None:
    (refused,) = json.loads(run("list", "--json", "--reason", "refused"))
    assert json.loads(run("redrive", refused["upload_id"], "--json")) == {"redriven": 1}


def findings(tmp_path: Path, to_google: Any, to_meta: Any, **more: Any) -> dict[str, tuple[str, str]]:
    def connection(destination: Any) -> dict[str, Any]:
        return json.loads(destination.config.model_dump_json(exclude_defaults=True))

    settings = {
        "uploads": {
            "enabled": True,
            "google_data_manager": {"connections": [connection(to_google())]},
            "meta_conversions": {"connections": [connection(to_meta())]},
        },
        **more,
    }
    file = tmp_path / "clicktrace.yaml"
    file.write_text(yaml.safe_dump(settings))
    found = doctor._uploads(load_settings(file, environ={"CLICKTRACE_DATA_DIR": str(tmp_path / "data")}), None)
    return {one.check: (one.state, one.text) for one in found}


def test_doctor_tries_every_destination_and_reports_nothing(
    tmp_path: Path, to_google: Any, to_meta: Any, data_manager: Any, meta: Any
) -> None:
    found = findings(tmp_path, to_google, to_meta)
    assert [state for state, _ in found.values()] == ["ok", "ok"]
    assert (data_manager.counted, meta.counted) == ({}, {})
    meta.token = "EAABother"
    found = findings(tmp_path, to_google, to_meta)
    assert found["uploads meta-shop"][0] == "problem"
    assert "EAAB" not in found["uploads meta-shop"][1]
    tests = [{"platform": "google", "account": data_manager.account, "sandbox": True}]
    assert findings(tmp_path, to_google, to_meta, accounts=tests)["uploads google-shop"][0] == "warning"
