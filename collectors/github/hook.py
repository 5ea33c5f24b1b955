"""GitHub's webhook: `deployment_status` and `release`, signed with X-Hub-Signature-256 ("Validating webhook deliveries").

Nothing that is signed says when it was sent, and the delivery's ID is a header outside of the signature. So a replay is told by the
body: every status and every release has IDs of its own, and two deliveries never have equal bodies.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs

import msgspec

from collectors.github import changes
from collectors.github.changes import Deployment, Release, Status
from collectors.github.config import GithubConfig, GithubConnection
from collectors.hooks.base import Delivery, HookRequest, hmac_sha256, read_secrets, same_as_any
from core.errors import Invalid, Unauthorized
from core.records import Record

HEADER: Final = "x-hub-signature-256"
#: A webhook of the content type application/x-www-form-urlencoded wraps the JSON in this parameter.
_FORM: Final = b"payload="


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    full_name: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the events that we know. Which it is, its fields tell: the event's name is not signed."""

    action: str = ""
    repository: Repository | None = None
    deployment: Deployment | None = None
    deployment_status: Status | None = None
    release: Release | None = None


class GithubHook:
    """One connection of `collectors.github`."""

    kind = "github"

    def __init__(self, connection: GithubConnection, *, config: GithubConfig) -> None:
        self._connection = connection

    def verify(self, request: HookRequest, *, now: int) -> Delivery:
        given = request.headers.get(HEADER, "")
        if not given:
            raise Unauthorized("missing_signature", f"no {HEADER}: give the webhook a secret")
        secrets = read_secrets(self._connection.webhook_secret_file)
        expected = [f"sha256={hmac_sha256(secret, request.body).hex()}" for secret in secrets]
        if not same_as_any([given.strip()], expected):
            raise Unauthorized("bad_signature", "not signed with a secret of this hook")
        return Delivery(delivery_id=sha256(request.body).hexdigest(), sent_at=now)

    def records(self, body: bytes, *, now: int) -> list[Record]:
        event = decode(body)
        connection = self._connection
        name = event.repository.full_name if event.repository else ""
        if name.lower() != connection.repository.lower():
            return []  # an organisation's webhook tells of all its repositories
        marker = None
        if event.deployment and event.deployment_status and "deployments" in connection.reads:
            marker = changes.deployed(event.deployment, event.deployment_status, connection)
        elif event.release and "releases" in connection.reads and event.action in ("published", "released"):
            marker = changes.released(event.release, connection)
        return [marker] if marker else []


def decode(body: bytes) -> Event:
    """The event of a body, JSON or a form with JSON in it.

    Raises:
        Invalid: `malformed` (400), `bad_value`.
    """
    if body.startswith(_FORM):
        body = parse_qs(body.decode("latin-1")).get("payload", [""])[0].encode("utf-8", "replace")
    try:
        return msgspec.json.decode(body, type=Event)
    except msgspec.ValidationError as error:
        raise Invalid("bad_value", f"not as GitHub documents its events: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("malformed", f"the body is not JSON: {error}", status=400) from None
