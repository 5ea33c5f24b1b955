"""`clicktrace uploads`: the sent log of conversions that go out, and dead letters that are to be sent again."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Engine

from app.cli.output import Json, print_json, print_table
from app.settings import load_settings
from core.clock import now_ms, to_rfc3339
from core.control.engine import open_control
from core.errors import Invalid, NotFound
from core.money import to_decimal
from core.near import hint
from uploads.sent_log import SentLog
from uploads.states import STATES
from uploads.upload import Upload

app = typer.Typer(
    help="Conversions that are reported to ad platforms: the sent log, dead letters.", no_args_is_help=True
)

Destination = Annotated[str, typer.Option(help="Only of this destination.")]


@app.command("list")
def list_uploads(
    destination: Destination = "",
    state: Annotated[
        list[str] | None, typer.Option(help=f"Only in this state: {', '.join(STATES)}. Repeatable.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Only for this reason, e.g. consent_unknown.")] = "",
    conversion: Annotated[str, typer.Option(help="Only of this conversion (its fact ID) or event ID.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 100,
    json: Json = False,
) -> None:
    """What went out, what waits, what was left out and what failed, newest first."""
    states = state or []
    unknown = [each for each in states if each not in STATES]
    if unknown:
        raise Invalid("unknown_state", f"{', '.join(unknown)}: states are {', '.join(STATES)}")
    control = _control(destination)
    found = SentLog(control).find(
        destination=destination, states=states, reason=reason, conversion=conversion, limit=limit
    )
    control.dispose()
    if json:
        print_json([_shown(upload) for upload in found])
        return
    columns = ["upload", "destination", "target", "event ID", "state", "why", "tries", "since"]
    print_table(columns, [_row(upload) for upload in found], empty="Nothing was reported or left out so far.")


@app.command()
def counts(json: Json = False) -> None:
    """How many uploads of each destination are in which state, and why."""
    control = _control()
    found = SentLog(control).counts()
    control.dispose()
    if json:
        print_json(found)
        return
    rows = [(one.destination, one.state, one.reason, one.uploads, to_rfc3339(one.oldest)) for one in found]
    print_table(["destination", "state", "why", "uploads", "oldest"], rows, empty="The sent log is empty.")


@app.command()
def redrive(
    upload: Annotated[
        str, typer.Argument(help="One upload, from `clicktrace uploads list`; else all dead letters.")
    ] = "",
    destination: Destination = "",
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Also those that may have arrived: the platform may count them twice."),
    ] = False,
    json: Json = False,
) -> None:
    """Let dead letters be sent again by the next round of the monitor."""
    control = _control(destination)
    log = SentLog(control)
    if upload and not log.find(upload_id=upload, limit=1):
        raise NotFound("unknown_upload", f"there is no upload {upload}: clicktrace uploads list")
    driven = log.redrive(destination=destination, upload_id=upload, include_unknown=unknown, now=now_ms())
    control.dispose()
    if json:
        print_json({"redriven": driven})
    else:
        typer.echo(f"{driven} dead letter(s) wait to be sent again.")


def _control(destination: str = "") -> Engine:
    """The control database.

    Raises:
        Invalid: `unknown_destination`: no destination is called that, and nothing was ever sent to one.
    """
    settings = load_settings()
    control = open_control(settings.control.url, settings.data_dir)
    if destination:
        known = {each.name for each in settings.uploads.connections()} | {
            each.destination for each in SentLog(control).counts()
        }
        if destination not in known:
            said = hint(destination, known) or "; none is configured (uploads)"
            raise Invalid("unknown_destination", f"there is no destination {destination}{said}")
    return control


def _row(upload: Upload) -> list[object]:
    why = f"{upload.reason}: {upload.detail}" if upload.detail else upload.reason
    since = to_rfc3339(upload.updated_at)
    return [
        upload.upload_id, upload.destination, upload.target, upload.event_id, upload.state, why, upload.attempts, since
    ]  # fmt: skip


def _shown(upload: Upload) -> dict[str, object]:
    """An upload for machines: times as RFC 3339, money as people write it."""
    return {
        "upload_id": upload.upload_id,
        "destination": upload.destination,
        "target": upload.target,
        "conversion": upload.conversion,
        "event_id": upload.event_id,
        "client": upload.client,
        "state": upload.state,
        "reason": upload.reason,
        "detail": upload.detail,
        "ts": to_rfc3339(upload.event_ts),
        "value": to_decimal(upload.value_micros),
        "currency": upload.currency,
        "attempts": upload.attempts,
        "request_id": upload.request_id,
        "decided": to_rfc3339(upload.decided_at),
        "updated": to_rfc3339(upload.updated_at),
    }
