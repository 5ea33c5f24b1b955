"""`clicktrace links` against a links API that really listens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import uvicorn
from fastapi import FastAPI, Header
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from app import problems
from app.cli.links import app
from core.errors import Refusal, Transient, Unauthorized
from core.principal import Principal, Scope
from redirect.links.api import build_router
from redirect.links.store import LinkStore

from ..live_worker import listening_socket


def authorize(_scope: Scope) -> Callable[..., Principal]:
    def check(authorization: Annotated[str, Header()] = "") -> Principal:
        if authorization != "Bearer right":
            raise Unauthorized("unknown_key", "no such key")
        return Principal(name="eva", scopes=frozenset(("links",)))

    return check


@pytest.fixture
def monitor(control: Engine) -> Iterator[str]:
    """The base URL of a listening links API."""
    served = FastAPI()
    problems.install(served)
    links = LinkStore(control, allowed_destinations=["shop.example"], base_url="https://go.example")
    served.include_router(build_router(links, authorize=authorize))
    sock = listening_socket()
    server = uvicorn.Server(uvicorn.Config(served, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    sock.close()


@pytest.fixture
def links(monitor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `clicktrace links …` with the right key in the environment."""
    monkeypatch.setenv("CLICKTRACE_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, key: str = "right") -> Result:
        return CliRunner().invoke(
            app, arguments, env={"CLICKTRACE_URL": monitor, "CLICKTRACE_KEY": key, "COLUMNS": "200"}
        )

    return run


def result(run: Result) -> Any:
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def test_add_show_edit_disable_and_history(links: Callable[..., Result]) -> None:
    added = result(
        links(
            "add", "spring", "https://shop.example/p", "--campaign", "google:1:2", "--tag", "a", "--tag", "b", "--json"
        )
    )
    assert (added["short_url"], added["tags"], added["parallel_tracking"]) == (
        "https://go.example/spring",
        ["a", "b"],
        True,
    )
    assert "{campaignid}" in added["tracking_template"]
    assert result(links("show", "spring", "--json")) == added
    edited = result(links("edit", "spring", "--answer", "unavailable", "--no-parallel", "--json"))
    assert (edited["answer"], edited["parallel_tracking"], edited["version"]) == ("unavailable", False, 2)
    assert result(links("disable", "spring", "--json"))["disabled"] is True
    assert result(links("disable", "spring", "--undo", "--json"))["disabled"] is False
    assert [change["author"] for change in result(links("show", "spring", "--history", "--json"))["changes"]] == [
        "eva"
    ] * 4


def test_people_read_tables(links: Callable[..., Result]) -> None:
    assert "There are no links yet" in links("list").output
    shown = links("add", "spring", "https://shop.example/p", "--platform", "meta", "--account", "7").output
    assert "https://go.example/spring?ct_campaign=meta:7:{{campaign.id}}" in shown
    links("add", "summer", "https://shop.example/q", "--tag", "hot")
    links("disable", "summer")
    listed = links("list", "--tag", "hot").output
    assert "summer" in listed
    assert "disabled" in listed
    assert "spring" not in listed
    assert "eva" in links("show", "spring", "--history").output


def test_a_refusal_keeps_its_reason(links: Callable[..., Result]) -> None:
    for run, reason in (
        (links("add", "spring", "https://evil.example/"), "destination_not_allowed"),
        (links("show", "none"), "unknown_link"),
        (links("list", key="wrong"), "unknown_key"),
    ):
        assert run.exit_code != 0
        assert isinstance(run.exception, Refusal)
        assert run.exception.reason == reason


def test_without_a_key_the_admin_key_of_the_data_directory_is_used(
    links: Callable[..., Result], tmp_path: Path
) -> None:
    missing = links("list", key="")
    assert isinstance(missing.exception, Unauthorized)
    assert missing.exception.reason == "no_key"
    (tmp_path / "admin.key").write_text("right\n")
    assert links("list", key="").exit_code == 0


def test_a_monitor_that_is_not_there_is_said_so(links: Callable[..., Result]) -> None:
    run = links("list", "--url", "http://127.0.0.1:1")
    assert isinstance(run.exception, Transient)
    assert "is the monitor running there?" in str(run.exception)
