"""One suite over every registered webhook, through the door: who signed it, when, and whether it came before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from collectors.hooks.registry import HOOKS
from collectors.refusals import REASONS
from core.clock import HOUR_MS
from tests.collectors.internet import PUBLIC_URL, SECRET, Internet, open_internet, secret_file, signature
from tests.collectors.sandboxes.github import GithubSandbox
from tests.collectors.sandboxes.hubspot import HubspotSandbox
from tests.collectors.sandboxes.stripe import StripeSandbox

#: (body, when it is signed in ms) -> the headers of the call.
Sign = Callable[[bytes, int], dict[str, str]]


class Sender(msgspec.Struct):
    """Whoever calls: what they say, how they sign it, and how we know them."""

    body: bytes
    sign: Sign
    connection: dict[str, Any]
    sandbox: Any = None
    #: GitHub signs no time: a replay is told by the body alone.
    says_when: bool = True


def github(folder: Path, clock: Any) -> Sender:
    sandbox = GithubSandbox(folder, clock=clock)
    deployment, status = sandbox.deploy(7, ts=clock.now - HOUR_MS)
    body = sandbox.event(deployment=deployment, deployment_status=status)
    connection = sandbox.connection(repository=sandbox.repository, service="shop")
    return Sender(body, lambda signed, _at: sandbox.sign(signed), connection, sandbox, says_when=False)


def stripe(folder: Path, clock: Any) -> Sender:
    sandbox = StripeSandbox(folder, clock=clock)
    sandbox.charge(metadata={"order_id": "o-1"})
    sign = lambda signed, at: {"stripe-signature": sandbox.sign(signed, at=at // 1000)}  # noqa: E731 - one line of a table
    return Sender(json.dumps(sandbox.last_event()).encode(), sign, sandbox.connection(), sandbox)


def hubspot(folder: Path, clock: Any) -> Sender:
    sandbox = HubspotSandbox(folder, clock=clock)
    body = sandbox.events(("contact.creation", sandbox.contact()))
    url = f"{PUBLIC_URL}/api/v1/hooks/hook"
    return Sender(
        body, lambda signed, at: sandbox.sign("POST", url, signed, at=at), sandbox.connection(currency="EUR"), sandbox
    )


def generic(folder: Path, clock: Any) -> Sender:
    body = b'{"conversion_id":"o-1","type":"order","status":"confirmed","ts":"2026-09-21T14:10:00Z","value":"1","currency":"EUR"}'

    def sign(signed: bytes, at: int) -> dict[str, str]:
        digest = signature(signed, at_s=at // 1000, secret=SECRET)
        return {"x-clicktrace-timestamp": str(at // 1000), "x-clicktrace-signature": f"sha256={digest}"}

    return Sender(body, sign, {"webhook_secret_file": secret_file(folder)})


SENDERS = {"github": github, "stripe": stripe, "hubspot": hubspot, "generic": generic}


@pytest.fixture(params=sorted(SENDERS))
def sender(request: Any, tmp_path: Path, clock: Any) -> Any:
    folder = tmp_path / "sender"
    folder.mkdir()
    found = SENDERS[request.param](folder, clock)
    found.connection |= {"name": "hook"}
    if found.sandbox is None:
        yield request.param, found
        return
    found.connection.setdefault("webhook_secret_file", str(found.sandbox.secret_file))
    with found.sandbox:
        found.connection["endpoint"] = found.sandbox.endpoint
        yield request.param, found


@pytest.fixture
def deliver(sender: Any, journal: Any, control: Engine, clock: Any) -> Callable[..., str]:
    """`written`, or the word of the refusal. Each call is another process: nothing is remembered but in the control database."""

    def call(body: bytes, headers: dict[str, str]) -> str:
        section, found = sender
        sections: dict[str, Any] = {section: {"connections": [found.connection]}}
        internet: Internet = open_internet(journal, control, clock=clock, **sections)
        said = internet.call("hook", body, **headers).json()
        assert "result" in said or said["reason"] in REASONS
        return str(said.get("result") or said["reason"])

    return call


def test_every_hook_has_a_sender() -> None:
    assert set(SENDERS) == set(HOOKS)


def test_what_is_signed_is_written_once_and_its_replay_is_refused(
    sender: Any, deliver: Callable[..., str], journaled: Any, clock: Any
) -> None:
    _, found = sender
    headers = found.sign(found.body, clock.now)
    assert deliver(found.body, headers) == "written"
    clock.advance(60_000)
    assert deliver(found.body, headers) == "replayed"
    assert len(journaled()) == 1


def test_what_is_signed_by_somebody_else_or_changed_on_its_way_is_refused(
    sender: Any, deliver: Callable[..., str], journaled: Any, clock: Any
) -> None:
    _, found = sender
    headers = found.sign(found.body, clock.now)
    assert deliver(found.body + b" ", headers) == "bad_signature"
    Path(found.connection["webhook_secret_file"]).write_text("the-secret-of-another-installation")
    assert deliver(found.body, headers) == "bad_signature"
    assert deliver(found.body, {}) == "missing_signature"
    assert journaled() == []


@pytest.mark.parametrize("away_ms", [-301_000, 301_000])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(
    sender: Any, deliver: Callable[..., str], journaled: Any, clock: Any, away_ms: int
) -> None:
    _, found = sender
    told = deliver(found.body, found.sign(found.body, clock.now + away_ms))
    assert told == ("stale_timestamp" if found.says_when else "written")
    assert len(journaled()) == (0 if found.says_when else 1)
