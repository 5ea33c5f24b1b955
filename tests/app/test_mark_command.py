"""`clicktrace mark` against the real push endpoint on a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from app.auth import KeyAuthorization, KeyRing
from app.cli.main import load_command
from app.cli.mark import app as command
from app.http import build_app
from collectors.config import PushConfig
from collectors.push.api import build_router
from collectors.versions import Versions
from core.errors import Forbidden, Invalid
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.records import Deploy
from tests.collectors.internet import served

Mark = Callable[..., Result]
AT = "2026-09-21T14:10:00Z"


@pytest.fixture
def mark(journal: Any, control: Engine, clock: Any) -> Iterator[Mark]:
    """The command with a key for everything; `clients` makes it one of a tenant."""
    keys = KeyRing(control)
    made = {(): keys.add("ci", scopes=["ingest"]), ("acme",): keys.add("tenant", scopes=["ingest"], clients=["acme"])}
    versions = Versions(None, clock=clock)
    router = build_router(
        journal,
        authorize=KeyAuthorization(keys),
        versions=versions,
        client_of=lambda platform, account: "",
        config=PushConfig(),
        clock=clock,
    )
    with served(build_app([router], max_body_bytes=2**20)) as port:

        def run(*arguments: str, clients: tuple[str, ...] = ()) -> Result:
            environment = {"CLICKTRACE_URL": f"http://127.0.0.1:{port}", "CLICKTRACE_KEY": made[clients]}
            return CliRunner().invoke(command, arguments, env=environment)

        yield run


def test_a_change_is_marked_once_however_often_it_is_said(mark: Mark, journal_dir: Any) -> None:
    said = [
        "shop",
        "1.4.2",
        "--at",
        AT,
        "--author",
        "ann",
        "--link",
        "https://ci.example/1",
        "--description",
        "new form",
    ]
    assert mark(*said).stdout == f"deploy of shop 1.4.2 at {AT}\n"
    assert mark(*said).stdout == f"deploy of shop 1.4.2 at {AT} (known already)\n"
    (record,) = [line.record for segment in list_segments(journal_dir) for line in iter_lines(segment.path)]
    assert record == Deploy(
        ts=1_789_999_800_000,
        source="push",
        fact_id="deploy:shop:1.4.2:deploy:1789999800000",
        service="shop",
        version="1.4.2",
        change="deploy",
        author="ann",
        link="https://ci.example/1",
        description="new form",
    )


@pytest.mark.parametrize("change", ["rollback", "cdn", "config", "tag", "creative", "budget"])
def test_every_kind_of_change_has_its_word(mark: Mark, change: str) -> None:
    answer = json.loads(mark("google:1:2", "v2", "--change", change, "--at", AT, "--json").stdout)
    assert (answer["status"], answer["change"], answer["service"]) == (201, change, "google:1:2")


def test_what_is_refused_says_why(mark: Mark) -> None:
    bad_time = mark("shop", "1", "--at", "noon").exception
    assert isinstance(bad_time, Invalid)
    assert bad_time.reason == "bad_value"
    of_a_tenant = mark("shop", "1", "--at", AT, clients=("acme",)).exception
    assert isinstance(of_a_tenant, Forbidden)
    assert of_a_tenant.reason == "forbidden_client"
    assert mark("shop", "1", "--change", "weather").exit_code == 2


def test_the_command_is_in_the_table() -> None:
    assert load_command("mark").name == "mark"
