"""GET and POST /api/v1/postback: what affiliate networks and trackers call when a click has become something.

The key stands in the path (`/api/v1/postback/<key>`), in the parameter `key`, or in the header `Authorization: Bearer <key>`; of
several the first of these counts. A key in an address ends up in other people's logs, so there only keys count that can do nothing else (scope `postback` alone).

One postback: the caller's address is within its rate -> the key is known -> its sender may call from there -> parameters are read ->
they are one step in the life of a conversion (`collectors.postback.life`) -> journal. Answers other than 2xx changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from collectors.base import Journal
from collectors.door import Door, require_network
from collectors.metrics import POSTBACKS
from collectors.postback.config import PostbackConfig, SenderConfig
from collectors.postback.life import Life, step
from collectors.postback.lives import Lives
from collectors.postback.parameters import NAMES, Postback, read
from core.clock import Clock, now_ms
from core.errors import ClicktraceError, Forbidden, Invalid, Refusal, Unauthorized
from core.principal import Principal

MAX_PARAMETERS: Final = 100
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
#: Scopes of a key in the header that may report conversions.
_SCOPES: Final = frozenset({"postback", "ingest", "admin"})
_IN_ADDRESS: Final = frozenset({"postback"})
UNKNOWN: Final = "unknown"

#: For the API's documentation: our name of each parameter, and the other names it is known under.
DOCUMENTED: Final = [
    {"name": ours, "in": "query", "schema": {"type": "string"}, "description": " or ".join(names)}
    for ours, names in NAMES.items()
]
KEY_IN_PATH: Final = {"name": "key", "in": "path", "required": True, "schema": {"type": "string"}}

#: Given a key, who holds it; None when it is unknown or revoked.
CheckKey = Callable[[str], Principal | None]


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`result` is an outcome of `collectors.postback.life`, or `left_out` for a status that the settings ignore."""

    result: str
    id: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A postback as it came. `bearer` is the key of the header, `in_address` that of path or query."""

    parameters: Mapping[str, str]
    address: str
    bearer: str = ""
    in_address: str = ""


class Desk:
    """Takes postbacks, in worker threads. Thread-safe."""

    def __init__(
        self, journal: Journal, *, check_key: CheckKey, lives: Lives, config: PostbackConfig, clock: Clock
    ) -> None:
        self._journal = journal
        self._check_key = check_key
        self._lives = lives
        self._senders = {sender.key: sender for sender in config.senders}
        self._clock = clock

    def principal(self, call: Call) -> Principal:
        """Who sends; from here on a refusal is counted under its name.

        Raises:
            Unauthorized: `missing_key`, `wrong_key`.
        """
        key = call.in_address or call.bearer
        if not key:
            raise Unauthorized("missing_key", "no key: in the path, as the parameter key, or as Authorization: Bearer")
        principal = self._check_key(key)
        if principal is None:
            raise Unauthorized("wrong_key", "this key is unknown or revoked; list keys: clicktrace keys list")
        return principal

    def sender(self, call: Call, principal: Principal) -> SenderConfig:
        """What holds for the sender, if its key may be used so and from there.

        Raises:
            Forbidden: `wrong_scope`, `forbidden_address`.
        """
        if call.in_address and principal.scopes != _IN_ADDRESS:
            raise Forbidden("wrong_scope", "a key in an address may have the scope postback only; revoke this one")
        if not principal.scopes & _SCOPES:
            raise Forbidden("wrong_scope", "this key lacks the scope postback")
        sender = self._senders.get(principal.name) or SenderConfig(key=principal.name)
        require_network(call.address, sender.networks)
        return sender

    def take(self, call: Call, principal: Principal, sender: SenderConfig) -> Answer:
        """One step in the life of a conversion.

        Raises:
            Invalid: the postback cannot be understood.
            JournalError: nothing was written; the sender should try again.
        """
        now = self._clock()
        client = client_of(call.parameters.get("client", ""), principal)
        postback = read(call.parameters, sender, client=client, now=now)
        if postback is None:
            return Answer(result="left_out")
        return self._advance(postback, sender, now=now)

    def _advance(self, postback: Postback, sender: SenderConfig, *, now: int) -> Answer:
        def write(life: Life) -> None:
            self._journal.append_many([life.conversion])

        taken = self._lives.advance(
            postback.conversion.fact_id,
            lambda life: step(life, postback, policy=sender.duplicates),
            write=write,
            now=now,
        )
        conversion = taken.life.conversion if taken.life else postback.conversion
        return Answer(result=taken.outcome, id=conversion.conversion_id)


def client_of(named: str, principal: Principal) -> str:
    """The client whose conversion it is.

    Raises:
        Invalid: `missing_field`: the key has several clients and the postback names none.
        Forbidden: `forbidden_client`.
    """
    if not named and len(principal.clients) == 1:
        return next(iter(principal.clients))
    if not named and principal.clients:
        raise Invalid("missing_field", f"client: this key writes for {', '.join(sorted(principal.clients))}")
    if not principal.sees(named):
        raise Forbidden("forbidden_client", "client: this key may not write for it")
    return named


def build_router(
    journal: Journal,
    *,
    door: Door,
    check_key: CheckKey,
    lives: Lives,
    config: PostbackConfig,
    clock: Clock = now_ms,
) -> APIRouter:
    """/api/v1/postback and /api/v1/postback/{key}.

    Args:
        check_key: whom a key belongs to.
        lives: what is known of conversions that came by postback.
    """
    router = APIRouter(prefix="/api/v1", tags=["ingest"])
    desk = Desk(journal, check_key=check_key, lives=lives, config=config, clock=clock)

    async def postback(request: Request) -> Response:
        """What a tracker or an affiliate network calls when a click has become something. The key may also be a parameter, `key`, or
        `Authorization: Bearer`."""
        label = UNKNOWN
        try:
            address = door.admit(request)
            body = await door.body(request, max_bytes=config.max_body_bytes)
            call = call_of(request, body, address=address, key=request.path_params.get("key", ""))
            principal = await run_in_threadpool(desk.principal, call)
            label = principal.name
            sender = desk.sender(call, principal)
            answer = await run_in_threadpool(desk.take, call, principal, sender)
        except ClicktraceError as error:
            POSTBACKS.labels(label, error.reason if isinstance(error, Refusal) else "failed").inc()
            raise
        POSTBACKS.labels(label, answer.result).inc()
        headers = {"Cache-Control": "no-store"}
        return Response(msgspec.json.encode(answer), media_type=JSON, headers=headers)

    for path in ("/postback", "/postback/{key}"):
        for method in ("GET", "POST"):
            router.add_api_route(
                path,
                postback,
                methods=[method],
                summary="A server-to-server postback",
                operation_id=f"postback_{method.lower()}{'_key' if 'key' in path else ''}",
                openapi_extra={"parameters": [*DOCUMENTED, *([KEY_IN_PATH] if "key" in path else [])]},
                responses={401: {"description": "no key, or a wrong one"}, 403: {"description": "not from there"}},
            )
    return router


def call_of(request: Request, body: bytes, *, address: str, key: str) -> Call:
    """The call with its parameters; those of the address win over those of the body.

    Raises:
        Invalid: `malformed` (400), `too_many_items`, `unsupported_media_type` (415).
    """
    query = parameters_of(request.scope["query_string"])
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return Call(
        parameters=parameters_of_body(body, media_type=media_type) | query,
        address=address,
        bearer=bearer.strip() if scheme.lower() == "bearer" else "",
        in_address=key or query.get("key", ""),
    )


def parameters_of(encoded: bytes) -> dict[str, str]:
    """Form-encoded parameters; of one that comes twice the first counts.

    Raises:
        Invalid: `too_many_items`.
    """
    try:
        pairs = parse_qsl(encoded.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Invalid("too_many_items", f"more than {MAX_PARAMETERS} parameters", status=413) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def parameters_of_body(body: bytes, *, media_type: str) -> dict[str, str]:
    """The parameters of a body: a form, or a JSON object of texts and numbers."""
    if not body:
        return {}
    if media_type == FORM:
        return parameters_of(body)
    if media_type != JSON:
        raise Invalid("unsupported_media_type", f"Content-Type: send {FORM} or {JSON}", status=415)
    try:
        # Numbers as they were written: 59.90 must not become 59.9000000001.
        found = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return {name: _text(bytes(raw)) for name, raw in list(found.items())[:MAX_PARAMETERS]}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("malformed", f"the body is not a JSON object of texts and numbers: {error}", status=400) from None


def _text(raw: bytes) -> str:
    value: Any = msgspec.json.decode(raw, type=str | int | float | bool | None)
    if value is None:
        return ""
    return value if isinstance(value, str) else raw.decode()
