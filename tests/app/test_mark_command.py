"""`clicktrace mark` against the real push endpoint on a real socket."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
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
from core.clock import now_ms
from core.errors import Forbidden, Invalid
from core.journal.reader import iter_lines
from core.journal.segment import list_segments
from core.records import Deploy
from tests.collectors.internet import served

AT = "2026-09-21T14:10:00Z"


class Mark:
    """The command against one monitor; `clients` chooses the key of a tenant."""

    def __init__(self, url: str, keys: dict[tuple[str, ...], str]) -> None:
        self._keys = keys
        self.environment = {"CLICKTRACE_URL": url, "CLICKTRACE_KEY": keys[()]}

    def __call__(self, *arguments: str, clients: tuple[str, ...] = ()) -> Result:
        return CliRunner().invoke(command, arguments, env=self.environment | {"CLICKTRACE_KEY": self._keys[clients]})


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
        yield Mark(f"http://127.0.0.1:{port}", made)


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


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_documented_calls_mark_what_they_say_and_fail_when_refused(
    mark: Mark, journal_dir: Any, clock: Any
) -> None:
    """Every call of docs/collectors.md, as a shell runs it."""
    clock.now = now_ms()
    page = Path("docs/collectors.md").read_text()
    calls = re.findall(r"curl -fsS \"\$(?:CLICKTRACE_)?URL/api/v1/deploys\".*?20\[01\]'", page, re.DOTALL)
    assert len(calls) == 3
    key, url = mark.environment["CLICKTRACE_KEY"], mark.environment["CLICKTRACE_URL"]
    named = {
        "URL": url,
        "KEY": key,
        "VERSION": "1.4.2",
        "RUN_URL": "https://ci.example/1",
        "GITHUB_SHA": "902ba3cda18838",
    }
    named |= {
        "GITHUB_ACTOR": "ann",
        "GITLAB_USER_LOGIN": "bob",
        "CI_COMMIT_SHORT_SHA": "77de68d",
        "CI_PIPELINE_URL": "https://ci.example/2",
    }
    for call in calls:
        # YAML folds the lines of GitLab's script into one.
        script = re.sub(r"(?<!\\)\n\s*", " ", call)
        ran = subprocess.run(
            ["bash", "-c", script],
            env=os.environ | mark.environment | named,
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert ran.returncode == 0, ran.stderr + ran.stdout
    refused = subprocess.run(
        ["bash", "-c", calls[0]],
        env=os.environ | mark.environment | named | {"VERSION": "x" * 3_000},
        capture_output=True,
    )
    assert refused.returncode != 0
    records = [line.record for segment in list_segments(journal_dir) for line in iter_lines(segment.path)]
    assert [(record.service, record.version, record.author) for record in records if isinstance(record, Deploy)] == [
        ("checkout", "1.4.2", ""), ("shop", "902ba3c", "ann"), ("shop", "77de68d", "bob"),
    ]  # fmt: skip


def test_the_command_is_in_the_table() -> None:
    assert load_command("mark").name == "mark"
