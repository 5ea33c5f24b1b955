"""GitHub: what is asked for and what comes by webhook are the same change markers, at little cost of the rate limit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import Engine

from collectors.config import CollectorsConfig
from collectors.github.api import error_of
from collectors.github.collector import GithubSource
from collectors.github.config import GithubConfig, GithubConnection
from collectors.github.hook import GithubHook
from collectors.hooks.base import HookRequest
from collectors.refusals import REASONS
from collectors.registry import build_sources
from collectors.versions import Versions
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS
from core.errors import Permanent, QuotaExceeded, Refusal
from core.records import Deploy
from tests.collectors.internet import Internet, open_internet
from tests.collectors.sandboxes.base import Answer, Request
from tests.collectors.sandboxes.github import GithubSandbox

NOW = 1_789_999_800_000
DEADLINE_S = 20.0


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GithubSandbox]:
    with GithubSandbox(tmp_path, clock=lambda: NOW) as sandbox:
        sandbox.behaviour.page_size = 10
        yield sandbox


def connection(github: GithubSandbox, **fields: Any) -> GithubConnection:
    named = {"name": "shop", "repository": github.repository, "endpoint": github.endpoint}
    files = {"credentials_file": str(github.credentials_file), "webhook_secret_file": str(github.secret_file)}
    return GithubConnection.model_validate(named | files | fields)


@pytest.fixture
def source(github: GithubSandbox) -> Iterator[Callable[..., GithubSource]]:
    opened = []

    def build(**fields: Any) -> GithubSource:
        opened.append(GithubSource(connection(github, **fields), config=GithubConfig()))
        return opened[-1]

    yield build
    for each in opened:
        each.close()


def read(source: GithubSource, *, since: int = NOW - 30 * DAY_MS, until: int = NOW) -> list[Any]:
    fetched = source.fetch(Window(since=since, until=until), now=NOW, deadline_s=DEADLINE_S)
    assert (fetched.failed, fetched.invalid) == (0, 0), fetched.detail
    return list(fetched.records)


# --- what a marker is -----------------------------------------------------------------------------------------------------------


def test_a_deployment_that_went_live_is_a_marker_at_that_moment(github: GithubSandbox, source: Any) -> None:
    deployment, status = github.deploy(7, ts=NOW - HOUR_MS)
    assert read(source()) == [
        Deploy(
            ts=NOW - HOUR_MS,
            source="github:shop",
            fact_id=f"deploy:shop:{deployment['sha'][:7]}:deploy:{NOW - HOUR_MS}",
            service="shop",
            version=deployment["sha"][:7],
            change="deploy",
            author="ann",
            link=status["log_url"],
            description="number 7",
        )
    ]


def test_what_did_not_go_live_or_elsewhere_is_none(github: GithubSandbox, source: Any) -> None:
    for number, state in enumerate(("failure", "error", "inactive", "queued"), start=1):
        github.deploy(number, ts=NOW - HOUR_MS, state=state)
    github.deploy(9, ts=NOW - HOUR_MS, environment="staging")
    assert read(source()) == []
    assert len(read(source(environments=[]))) == 1


def test_only_what_went_live_within_the_window_counts(github: GithubSandbox, source: Any) -> None:
    for hours in (1, 2, 3):
        github.deploy(hours, ts=NOW - hours * HOUR_MS)
    found = read(source(), since=NOW - 2 * HOUR_MS, until=NOW - HOUR_MS)
    assert [each.description for each in found] == ["number 2"]


def test_a_slow_rollout_is_found_by_when_it_ended(github: GithubSandbox, source: Any) -> None:
    github.deploy(1, ts=NOW - HOUR_MS, created_at="2026-09-21T02:00:00Z")  # twelve hours before
    assert len(read(source(), since=NOW - 2 * HOUR_MS)) == 1


@pytest.mark.parametrize(
    ("settings", "fields", "expected"),
    [
        ({}, {"ref": "v1.4"}, ("shop", "902ba3c", "deploy")),
        ({"version": "ref"}, {"ref": "v1.4"}, ("shop", "v1.4", "deploy")),
        ({"version": "sha"}, {}, ("shop", "902ba3cda1883801594b6e1b452790cc53948fda", "deploy")),
        ({}, {"payload": {"version": "1.4.2"}}, ("shop", "1.4.2", "deploy")),
        ({}, {"payload": '{"version": 3}'}, ("shop", "902ba3c", "deploy")),
        ({"service": "checkout", "change": "config"}, {}, ("checkout", "902ba3c", "config")),
        ({}, {"task": "deploy:rollback"}, ("shop", "902ba3c", "rollback")),
    ],
)
def test_service_version_and_kind_of_change(
    github: GithubSandbox, source: Any, settings: dict[str, Any], fields: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    github.deploy(7, ts=NOW - HOUR_MS, **fields)
    (found,) = read(source(**settings))
    assert (found.service, found.version, found.change) == expected


def test_published_releases_are_markers_where_that_is_going_live(github: GithubSandbox, source: Any) -> None:
    github.release("1.4.2", ts=NOW - HOUR_MS)
    github.release("1.5.0-rc1", ts=NOW - HOUR_MS, prerelease=True)
    github.release("1.6.0", ts=NOW - HOUR_MS, draft=True, published_at=None)
    (found,) = read(source(reads=["releases"]))
    assert (found.version, found.author, found.ts) == ("1.4.2", "bob", NOW - HOUR_MS)
    assert found.link.endswith("/releases/tag/1.4.2")
    assert read(source()) == []


def test_a_link_that_no_browser_opens_is_none(github: GithubSandbox, source: Any) -> None:
    _, status = github.deploy(7, ts=NOW - HOUR_MS)
    status["log_url"] = "javascript:alert(1)"
    assert read(source())[0].link == ""


# --- what it costs --------------------------------------------------------------------------------------------------------------


def test_pages_are_followed_to_the_end_and_no_further_than_needed(github: GithubSandbox, source: Any) -> None:
    for hours in range(1, 36):
        github.deploy(hours, ts=NOW - hours * DAY_MS)
    assert len(read(source(), since=NOW - 40 * DAY_MS)) == 35
    github.requests.clear()
    assert len(read(source(), since=NOW - 3 * DAY_MS)) == 3
    assert [each.path for each in github.requests if each.path.endswith("/deployments")] == [
        "/repos/acme/shop/deployments"
    ] * 2


def test_a_second_read_of_the_same_costs_nothing_of_the_rate_limit(github: GithubSandbox, source: Any) -> None:
    for hours in (1, 2, 100):
        github.deploy(hours, ts=NOW - hours * HOUR_MS)
    reader = source(reads=["deployments", "releases"])
    first = read(reader)
    counted, asked = github.counted, len(github.requests)
    assert reader.quota().used == counted == 5  # two listings, three deployments
    assert read(reader) == first
    assert github.counted == counted
    # The old deployment is not even asked for again.
    assert len(github.requests) - asked == 4
    github.deploy(5, ts=NOW - 5 * HOUR_MS)
    assert len(read(reader)) == 4


def test_a_deployment_that_was_deleted_meanwhile_costs_only_itself(github: GithubSandbox, source: Any) -> None:
    github.deploy(1, ts=NOW - HOUR_MS)
    github.deploy(2, ts=NOW - 2 * HOUR_MS)
    del github.statuses[1]
    assert [each.description for each in read(source())] == ["number 2"]


def test_rows_of_another_shape_are_counted_and_cost_only_themselves(github: GithubSandbox, source: Any) -> None:
    github.deploy(1, ts=NOW - HOUR_MS)
    github.deploy(2, ts=NOW - HOUR_MS, created_at="yesterday")
    window = Window(since=NOW - DAY_MS, until=NOW)
    fetched = source().fetch(window, now=NOW, deadline_s=DEADLINE_S)
    assert (len(fetched.records), fetched.invalid) == (1, 1)
    assert "2 has another shape" in fetched.detail


def test_the_token_never_goes_to_another_host(github: GithubSandbox, source: Any) -> None:
    class Elsewhere(GithubSandbox):
        def answer(self, request: Request) -> Answer:
            link = '<https://evil.example/repos/acme/shop/deployments?page=2>; rel="next"'
            return Answer(body=[], headers={"link": link})

    with Elsewhere(github.credentials_file.parent / "elsewhere", clock=lambda: NOW) as elsewhere:
        reader = source(endpoint=elsewhere.endpoint)
        with pytest.raises(Permanent, match="another address than endpoint"):
            read(reader)


def test_a_trial_says_what_can_be_read(github: GithubSandbox, source: Any) -> None:
    assert source().probe(now=NOW, deadline_s=5) == "reads deployments of acme/shop"
    github.visible = False
    with pytest.raises(Permanent, match="may not see it"):
        source().probe(now=NOW, deadline_s=5)


def test_a_public_repository_needs_no_token(github: GithubSandbox, source: Any) -> None:
    github.deploy(1, ts=NOW - HOUR_MS)
    assert len(read(source(credentials_file=""))) == 1
    assert all("authorization" not in request.headers for request in github.requests)


ERRORS = {
    "primary limit": (
        403,
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1789999860"},
        "API rate limit exceeded",
        60.0,
    ),
    "primary limit as 429": (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1789999800"}, "", 1.0),
    "secondary limit": (403, {"x-ratelimit-remaining": "9"}, "You have exceeded a secondary rate limit", 60.0),
    "secondary limit with a time": (429, {"retry-after": "17"}, "You have exceeded a secondary rate limit", 17.0),
    "no permission": (
        403,
        {"x-accepted-github-permissions": "deployments=read"},
        "Resource not accessible",
        "deployments=read",
    ),
    "wrong token": (401, {}, "Bad credentials", "credentials_file"),
    "renamed": (
        301,
        {"location": "https://api.github.com/repositories/1"},
        "Moved Permanently",
        "repository was renamed",
    ),
    "unknown": (404, {}, "Not Found", "no such repository"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_githubs_errors_are_told_apart(name: str) -> None:
    status, headers, message, expected = ERRORS[name]
    error = error_of(httpx.Response(status, headers=headers, json={"message": message}), source="github:x", now=NOW)
    if isinstance(expected, float):
        assert isinstance(error, QuotaExceeded)
        assert error.retry_after_s == expected
    else:
        assert isinstance(error, Permanent)
        assert str(expected) in error.detail


def test_other_errors_follow_the_general_rule() -> None:
    assert error_of(httpx.Response(502, text="<html>"), source="github:x", now=NOW) is None


# --- the webhook ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def internet(github: GithubSandbox, journal: Any, control: Engine, clock: Any) -> Callable[..., Internet]:
    def build(*, versions: Versions | None = None, **fields: Any) -> Internet:
        section = {"connections": [connection(github, **fields)]}
        return open_internet(journal, control, clock=clock, versions=versions, github=section)

    return build


def deliver(internet: Internet, github: GithubSandbox, body: bytes, **headers: str) -> tuple[int, str]:
    answer = internet.call("shop", body, **(github.sign(body) | headers))
    said = answer.json()
    assert answer.status_code == 200 or said["reason"] in REASONS
    return answer.status_code, str(said.get("result") or said["reason"])


def went_live(github: GithubSandbox, number: int = 7, **fields: Any) -> bytes:
    deployment, status = github.deploy(number, ts=NOW - HOUR_MS, **fields)
    return github.event(deployment=deployment, deployment_status=status)


def test_the_documented_example_of_a_signature_is_accepted(github: GithubSandbox) -> None:
    github.secret_file.write_text("It's a Secret to Everybody")
    hook = GithubHook(connection(github), config=GithubConfig())
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = HookRequest(method="POST", url="https://x", headers={"x-hub-signature-256": known}, body=b"Hello, World!")
    assert hook.verify(request, now=NOW).expires_at == 0
    changed = HookRequest(method="POST", url="https://x", headers=dict(request.headers), body=b"Hello, world!")
    with pytest.raises(Refusal, match="bad_signature"):
        hook.verify(changed, now=NOW)


def test_a_webhook_and_a_read_make_the_same_fact(
    github: GithubSandbox, source: Any, internet: Any, journaled: Any, clock: Any
) -> None:
    versions = Versions(None, clock=clock)
    body = went_live(github)
    assert deliver(internet(versions=versions), github, body) == (200, "written")
    records = read(source())
    assert records == journaled()
    assert versions.unchanged(records) == [True]


def test_a_replay_is_refused_whatever_its_unsigned_headers_say(
    github: GithubSandbox, internet: Any, journaled: Any, clock: Any
) -> None:
    body, door = went_live(github), internet()
    assert deliver(door, github, body) == (200, "written")
    clock.advance(3 * DAY_MS)
    assert deliver(door, github, body, x_github_delivery="another") == (409, "replayed")
    assert len(journaled()) == 1


@pytest.mark.parametrize(
    ("headers", "word"),
    [({"x-hub-signature-256": ""}, "missing_signature"), ({"x-hub-signature-256": "sha256=00"}, "bad_signature")],
)
def test_an_unsigned_event_is_refused(
    github: GithubSandbox, internet: Any, journaled: Any, headers: dict[str, str], word: str
) -> None:
    assert deliver(internet(), github, went_live(github), **headers) == (401, word)
    assert journaled() == []


def test_events_that_mark_nothing_are_taken_and_written_nowhere(
    github: GithubSandbox, internet: Any, journaled: Any
) -> None:
    door = internet()
    deployment, status = github.deploy(1, ts=NOW - HOUR_MS, state="failure")
    release = github.release("1.0", ts=NOW - HOUR_MS)
    bodies = [
        json.dumps({"zen": "Design for failure.", "hook_id": 1}).encode(),
        github.event(deployment=deployment),
        github.event(deployment=deployment, deployment_status=status),
        github.event(action="published", release=release),  # releases are not read here
        went_live(github, 2).replace(b'"acme/shop"', b'"acme/other"'),
    ]
    assert [deliver(door, github, body) for body in bodies] == [(200, "nothing")] * len(bodies)
    assert journaled() == []


def test_a_published_release_comes_by_webhook_too(github: GithubSandbox, internet: Any, journaled: Any) -> None:
    door, release = internet(reads=["releases"]), github.release("1.4.2", ts=NOW - HOUR_MS)
    said = [
        deliver(door, github, github.event(action=action, release=release))
        for action in ("created", "published", "released")
    ]
    assert said == [(200, "nothing"), (200, "written"), (200, "unchanged")]
    assert [record.version for record in journaled()] == ["1.4.2"]


def test_a_webhook_may_send_forms(github: GithubSandbox, internet: Any, journaled: Any) -> None:
    body = urlencode({"payload": went_live(github, description="Größe & Preis").decode()}).encode()
    assert deliver(internet(), github, body) == (200, "written")
    assert journaled()[0].description == "Größe & Preis"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "malformed")),
        (b"payload=%7B", (400, "malformed")),
        (b"payload=", (400, "malformed")),
        (b"[]", (422, "bad_value")),
        (
            b'{"repository": {"full_name": "acme/shop"}, "release": {"tag_name": "1", "published_at": "soon"}}',
            (422, "bad_value"),
        ),
    ],
)
def test_a_signed_body_of_another_shape_is_refused_by_its_word(
    github: GithubSandbox, internet: Any, body: bytes, expected: tuple[int, str]
) -> None:
    assert deliver(internet(), github, body) == expected


def test_a_connection_may_be_webhook_only_or_read_only(github: GithubSandbox, internet: Any) -> None:
    def sources(**fields: Any) -> list[str]:
        config = CollectorsConfig.model_validate({"github": {"connections": [connection(github, **fields)]}})
        return [source.name for source in build_sources(config, [])]

    assert (sources(), sources(pull=False)) == (["github:shop"], [])
    assert deliver(internet(pull=False), github, went_live(github)) == (200, "written")
    assert deliver(internet(webhook_secret_file=""), github, went_live(github)) == (404, "unknown_hook")
