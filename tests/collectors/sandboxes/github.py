"""GitHub on the wire: deployments with their statuses, releases, ETags, rate limits, and signed webhooks.

GET /repos/{owner}/{repo}/deployments                    GET /repos/{owner}/{repo}/deployments/{id}/statuses
GET /repos/{owner}/{repo}/releases

Shapes by docs.github.com (REST API 2022-11-28: "Deployments", "Deployment statuses", "Releases", "Rate limits", "Using pagination",
"Best practices") and the payload examples of github.com/octokit/webhooks (`deployment_status`, `release` published; Nov 2026).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.demo.ad_account import Behaviour
from core.clock import HOUR_MS, now_ms, to_datetime
from core.records import Deploy, Record
from tests.collectors.sandboxes.base import Answer, Request, bearer
from tests.collectors.sandboxes.tokens import TokenCase, TokenSandbox

Json = dict[str, Any]
ROLLOUT_MS = 300_000
HOURLY_REQUESTS = 5_000


class GithubSandbox(TokenSandbox):
    """One repository."""

    token_prefix = "github_pat_"
    repository = "acme/shop"

    def __init__(
        self, directory: Path, *, behaviour: Behaviour | None = None, clock: Callable[[], int] = now_ms, port: int = 0
    ) -> None:
        super().__init__(directory, behaviour=behaviour, clock=clock, port=port)
        self.deployments: list[Json] = []
        self.statuses: dict[int, list[Json]] = {}
        self.releases: list[Json] = []
        #: Requests that counted for the rate limit; a 304 does not.
        self.counted = 0
        #: The token may do this, without a word for what it may not: GitHub answers 404 there.
        self.visible = True

    # --- what happens in the repository -------------------------------------------------------------------------------------------

    def deploy(self, number: int, *, ts: int, state: str = "success", **fields: Any) -> tuple[Json, Json]:
        """A deployment that reached `state` at `ts` (ms), created five minutes before; (deployment, status)."""
        created = _rfc3339(ts - ROLLOUT_MS)
        deployment = {
            "url": f"{self.endpoint}/repos/{self.repository}/deployments/{number}",
            "id": number,
            "node_id": f"DE_{number}",
            "sha": hashlib.sha1(str(number).encode()).hexdigest(),
            "ref": "main",
            "task": "deploy",
            "payload": {},
            "original_environment": "production",
            "environment": "production",
            "description": f"number {number}",
            "creator": {"login": "ann", "id": 1, "type": "User"},
            "created_at": created,
            "updated_at": created,
            "transient_environment": False,
            "production_environment": True,
        } | fields
        status = self.status(deployment, state=state, ts=ts)
        with self.lock:
            self.deployments.append(deployment)
            pending = self.status(deployment, state="in_progress", ts=ts - ROLLOUT_MS)
            # Newest first.
            self.statuses[number] = [status, pending]
        return deployment, status

    def status(self, deployment: Json, *, state: str, ts: int) -> Json:
        return {
            "url": f"{deployment['url']}/statuses/{ts}",
            "id": ts,
            "node_id": f"DES_{ts}",
            "state": state,
            "creator": {"login": "github-actions[bot]", "id": 2, "type": "Bot"},
            "description": "",
            "environment": deployment["environment"],
            "target_url": f"https://github.com/{self.repository}/actions/runs/{deployment['id']}",
            "log_url": f"https://github.com/{self.repository}/actions/runs/{deployment['id']}",
            "environment_url": "https://shop.example",
            "created_at": _rfc3339(ts),
            "updated_at": _rfc3339(ts),
        }

    def release(self, tag: str, *, ts: int, **fields: Any) -> Json:
        release = {
            "id": len(self.releases) + 1,
            "tag_name": tag,
            "target_commitish": "main",
            "name": f"Version {tag}",
            "draft": False,
            "prerelease": False,
            "html_url": f"https://github.com/{self.repository}/releases/tag/{tag}",
            "author": {"login": "bob", "id": 3, "type": "User"},
            "created_at": _rfc3339(ts - HOUR_MS),
            "published_at": _rfc3339(ts),
            "body": "",
        } | fields
        with self.lock:
            self.releases.append(release)
        return release

    def event(self, **fields: Any) -> bytes:
        """The body of a webhook about this repository."""
        name = self.repository.partition("/")[2]
        return json.dumps(
            {
                "action": "created",
                **fields,
                "repository": {"name": name, "full_name": self.repository},
                "sender": {"login": "ann"},
            }
        ).encode()

    def sign(self, body: bytes, *, secret: str = "") -> dict[str, str]:
        """The headers of a delivery."""
        digest = hmac.new((secret or self.secret).encode(), body, hashlib.sha256).hexdigest()
        return {
            "x-github-event": "deployment_status",
            "x-github-delivery": secrets.token_hex(16),
            "x-hub-signature-256": f"sha256={digest}",
            "content-type": "application/json",
        }

    # --- the API ------------------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") and bearer(request.headers) != self.token:
            return Answer(status=401, body={"message": "Bad credentials", "status": "401"})
        prefix = f"/repos/{self.repository}/"
        if not self.visible or not request.path.startswith(prefix):
            return Answer(status=404, body={"message": "Not Found", "status": "404"})
        with self.lock:
            rows = self._rows(request, request.path.removeprefix(prefix).split("/"))
            if rows is None:
                return Answer(status=404, body={"message": "Not Found", "status": "404"})
            return self._paged(request, rows)

    def quota_answer(self, request: Request) -> Answer:
        wait = {"retry-after": str(round(self.behaviour.retry_after_s))} if self.behaviour.retry_after_s else {}
        said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        return Answer(status=403, body={"message": said}, headers=wait)

    def error_answer(self, request: Request) -> Answer:
        return Answer(status=502, body={"message": "Server Error"})

    def _rows(self, request: Request, parts: Sequence[str]) -> list[Json] | None:
        if parts == ["deployments"]:
            wanted = request.query.get("environment", "")
            rows = [each for each in self.deployments if not wanted or each["environment"] == wanted]
            return sorted(rows, key=lambda each: each["created_at"], reverse=True)
        if parts == ["releases"]:
            return sorted(self.releases, key=lambda each: each["created_at"], reverse=True)
        if len(parts) == 3 and parts[2] == "statuses" and int(parts[1]) in self.statuses:
            shown = self.clock() - self.behaviour.report_lag_s * 1000
            return [each for each in self.statuses[int(parts[1])] if each["id"] <= shown]
        return None

    def _paged(self, request: Request, rows: Sequence[Json]) -> Answer:
        size = min(int(request.query.get("per_page", 30)), self.behaviour.page_size, 100)
        page = int(request.query.get("page", 1))
        part = list(rows[(page - 1) * size : page * size])
        etag = f'W/"{hashlib.sha256(json.dumps([part, len(rows)]).encode()).hexdigest()}"'
        if request.headers.get("if-none-match") == etag:
            return Answer(status=304, headers={"etag": etag} | self._limits())
        self.counted += 1
        headers = {"etag": etag} | self._limits()
        if page * size < len(rows):
            following = urlencode({**request.query, "page": page + 1})
            headers["link"] = (
                f'<{self.endpoint}{request.path}?{following}>; rel="next", <{self.endpoint}/x>; rel="last"'
            )
        return Answer(body=part, headers=headers)

    def _limits(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(HOURLY_REQUESTS),
            "x-ratelimit-remaining": str(HOURLY_REQUESTS - self.counted),
            "x-ratelimit-used": str(self.counted),
            "x-ratelimit-reset": str((self.clock() + HOUR_MS) // 1000),
            "x-ratelimit-resource": "core",
        }


class GithubCase(TokenCase):
    """For the suite over all sources: deployment `number` goes live."""

    section = "github"
    lag_s = 60
    make = GithubSandbox

    def start(self) -> None:
        self.behaviour.page_size = 10
        super().start()

    def settings(self) -> dict[str, Any]:
        return {"connections": [self.sandbox.connection(name="shop", repository=self.sandbox.repository)]}

    def add(self, number: int, *, ts: int) -> None:
        self.sandbox.deploy(number, ts=ts)

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [int(each.description.removeprefix("number ")) for each in records if isinstance(each, Deploy)]


def _rfc3339(ms: int) -> str:
    return to_datetime(ms).strftime("%Y-%m-%dT%H:%M:%SZ")
