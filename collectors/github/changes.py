"""From GitHub's deployments and releases to change markers: pure, and the same whether they were asked for or came by webhook.

Shapes: REST API "Deployments", "Deployment statuses", "Releases" (version 2022-11-28); webhook events `deployment_status`, `release`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from collectors import fact_ids
from collectors.github.config import GithubConnection
from core.records import Change, Deploy

#: The status that means: it is live. `inactive` ends an older one, the others never went live.
LIVE: Final = "success"
SHORT_SHA: Final = 7
MAX_TEXT: Final = 500


#: RFC 3339 with a zone; another text does not fit the shape.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class User(msgspec.Struct, frozen=True, kw_only=True):
    login: str = ""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    sha: str
    ref: str
    created_at: Moment
    environment: str = ""
    task: str = ""
    description: str | None = None
    creator: User | None = None
    #: What whoever deployed added; a `version` in it is the version.
    payload: Any = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    created_at: Moment
    description: str | None = None
    log_url: str | None = None
    target_url: str | None = None


class Release(msgspec.Struct, frozen=True, kw_only=True):
    tag_name: str
    html_url: str = ""
    name: str | None = None
    draft: bool = False
    prerelease: bool = False
    published_at: Moment | None = None
    author: User | None = None


def deployed(deployment: Deployment, status: Status, connection: GithubConnection) -> Deploy | None:
    """The marker of a deployment that went live; None for another state or environment."""
    wanted = not connection.environments or deployment.environment in connection.environments
    if status.state != LIVE or not wanted:
        return None
    return marker(
        connection,
        version=version_of(deployment, connection),
        ts=ms(status.created_at),
        change="rollback" if "rollback" in deployment.task.lower() else connection.change,
        author=deployment.creator.login if deployment.creator else "",
        link=status.log_url or status.target_url or f"https://github.com/{connection.repository}/deployments",
        description=deployment.description or status.description or "",
    )


def released(release: Release, connection: GithubConnection) -> Deploy | None:
    """The marker of a published release; None for drafts and pre-releases."""
    if release.draft or release.prerelease or not release.published_at:
        return None
    return marker(
        connection,
        version=release.tag_name,
        ts=ms(release.published_at),
        change=connection.change,
        author=release.author.login if release.author else "",
        link=release.html_url,
        description=release.name or "",
    )


def marker(
    connection: GithubConnection, *, version: str, ts: int, change: Change, author: str, link: str, description: str
) -> Deploy:
    service = connection.service or connection.repository.partition("/")[2]
    return Deploy(
        ts=ts,
        source=source_name(connection),
        fact_id=fact_ids.deploy(service=service, version=version, change=change, ts=ts),
        service=service,
        version=version,
        change=change,
        author=author[:MAX_TEXT],
        # Only what can be opened in a browser becomes a link in messages.
        link=link if link.startswith(("https://", "http://")) else "",
        description=description.replace("\x00", "")[:MAX_TEXT],
    )


def version_of(deployment: Deployment, connection: GithubConnection) -> str:
    named = deployment.payload.get("version") if isinstance(deployment.payload, dict) else None
    if isinstance(named, str) and named:
        return named[:MAX_TEXT]
    if connection.version == "ref":
        return deployment.ref
    return deployment.sha[:SHORT_SHA] if connection.version == "short_sha" else deployment.sha


def source_name(connection: GithubConnection) -> str:
    return f"github:{connection.name}"


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
