"""Erasure of people as the monitor runs it: the loop that carries it out, and /api/v1/erasures for administrators."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Body, Depends
from fastapi.concurrency import run_in_threadpool

from app.leadership import installation_name
from app.parts import Base, Shipping
from core.erasure.eraser import Eraser
from core.erasure.identifiers import SUBJECTS, Subject, subject
from core.errors import Forbidden, Invalid
from core.principal import Authorize, Principal
from core.schedule import Periodic

INTERVAL_S: Final = 10.0


class Erasing:
    """Of one process that ships: it erases in its own journal, in the store and in the control database."""

    def __init__(self, base: Base, shipping: Shipping) -> None:
        self.eraser = Eraser(
            base.store,
            base.control,
            base.journal_dir,
            base.journal,
            node=installation_name(base.settings.data_dir),
            paused=shipping.shipper.paused,
            clock=base.clock,
            settled=base.settled,
        )
        self.loop = Periodic("erasure", self.eraser.run_once, interval_s=INTERVAL_S, clock=base.clock)
        self.router = build_router(self, shipping, authorize=base.authorize)

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        self.loop.stop()


def build_router(erasing: Erasing, shipping: Shipping, *, authorize: Authorize) -> APIRouter:
    """Erase, and look at what was erased. Only for `admin` keys of all clients: a person's facts know no client."""
    router = APIRouter(prefix="/api/v1/erasures", tags=["erasures"])
    administers = Depends(authorize("admin"))
    audit = erasing.eraser.audit

    @router.post("", status_code=202)
    async def erase(body: Annotated[dict[str, Any], Body()], principal: Principal = administers) -> dict[str, Any]:
        """Exactly one of visitor_id, order_id, email_sha256, click_id; with `dry_run` true, only what would go."""
        _of_all_clients(principal)
        dry_run, who = asked(body)

        def answer() -> object:
            shipping.ship_now()  # what was journaled so far decides what belongs to the person
            if dry_run:
                return erasing.eraser.preview(who)
            taken_up = erasing.eraser.ask(who, by=principal.name)
            erasing.loop.poke()
            return taken_up

        return _plain(await run_in_threadpool(answer))

    @router.get("")
    def list_erasures(principal: Principal = administers) -> dict[str, Any]:
        _of_all_clients(principal)
        return {"erasures": [_plain(each) for each in audit.all()]}

    @router.get("/{erasure_id}")
    def one_erasure(erasure_id: str, principal: Principal = administers) -> dict[str, Any]:
        _of_all_clients(principal)
        return _plain(audit.one(erasure_id))

    return router


def asked(body: dict[str, Any]) -> tuple[bool, Subject]:
    """(whether nothing is to be done yet, whom).

    Raises:
        Invalid: `bad_body`, `unknown_subject` or `bad_value`.
    """
    dry_run = body.pop("dry_run", False)
    if len(body) != 1 or not isinstance(dry_run, bool) or not all(isinstance(value, str) for value in body.values()):
        raise Invalid(
            "bad_body", f"send exactly one of {', '.join(SUBJECTS)} as a string, and dry_run as true or false"
        )
    ((name, value),) = body.items()
    return dry_run, subject(name, value)


def _of_all_clients(principal: Principal) -> None:
    if principal.clients:
        raise Forbidden(
            "missing_scope", f"the key {principal.name!r} is for some clients only; erasing needs one for all"
        )


def _plain(value: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain
