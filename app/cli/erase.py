"""`clicktrace erase`: take one person out of journal, store and control database, search for what is left, and say what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from app.cli.api_client import ApiClient, Key, Url
from app.cli.exit_codes import FAILED
from app.cli.output import Json, print_json, print_table
from app.run_state import lock, running
from app.settings import Settings, load_settings
from collectors.match_keys import email_sha256
from core.clock import now_ms, to_rfc3339
from core.control.engine import open_control
from core.erasure.audit import Audit
from core.erasure.identifiers import Subject, subject
from core.erasure.result import ErasureInfo, Preview
from core.errors import Invalid

app = typer.Typer(help="Erasure of people.")
POLL_S: Final = 1.0


@app.command()
def erase(
    visitor: Annotated[str, typer.Option(help="Visitor ID (the cookie ct_vid).")] = "",
    order: Annotated[str, typer.Option(help="Order ID.")] = "",
    email: Annotated[str, typer.Option(help="E-mail address; only its hash leaves this command.")] = "",
    email_sha256: Annotated[str, typer.Option("--email-sha256", help="SHA-256 of the e-mail address.")] = "",
    click: Annotated[str, typer.Option(help="Click ID.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until it is done; 0 = do not wait.")] = 900.0,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Erase one person by one key; everything that key leads to goes with it, for good. Exit code 1 when it is not done in time."""
    who = _who(visitor=visitor, order=order, email=email, email_sha256=email_sha256, click=click)
    with _carried_out(url=url, key=key) as (preview, start, look):
        found = preview(who)
        if dry_run:
            _print_preview(found, json=json)
            return
        if not yes:
            _print_preview(found, json=False)
            typer.confirm("Erase all of it? It cannot be brought back.", abort=True)
        info = _awaited(start(who), look, wait_s=wait, quiet=json)
    print_json(info) if json else _print_info(info)
    if info.state != "done" and wait:
        raise typer.Exit(FAILED)


@app.command()
def erasures(
    forget_node: Annotated[
        str,
        typer.Option("--forget-node", help="A machine that is gone for good with its journal: wait for it no more."),
    ] = "",
    json: Json = False,
) -> None:
    """The erasures so far, newest first: who asked when, what was done, what the search found. No personal value is kept."""
    settings = load_settings()
    control = open_control(settings.control.url, settings.data_dir)
    audit = Audit(control, node="", clock=now_ms)
    if forget_node:
        audit.forget_node(forget_node)
    found = audit.all()
    control.dispose()
    if json:
        print_json(found)
        return
    rows = [
        [each.erasure_id, to_rfc3339(each.asked_at), each.by, each.subject, each.state, _lines(each), _open_nodes(each)]
        for each in found
    ]
    columns = ["erasure", "asked", "by", "named by", "state", "lines", "waits for"]
    print_table(columns, rows, empty="Nobody was erased so far.", whole={"erasure"})


def _who(*, email: str, email_sha256: str, **keys: str) -> Subject:
    given = {"visitor_id": keys["visitor"], "order_id": keys["order"], "click_id": keys["click"]}
    given["email_sha256"] = email_sha256 or (_hashed(email) if email else "")
    named = {name: value for name, value in given.items() if value}
    if len(named) != 1 or (email and email_sha256):
        raise Invalid(
            "bad_value", "name the person by exactly one of --visitor, --order, --email, --email-sha256, --click"
        )
    ((name, value),) = named.items()
    return subject(name, value)


def _hashed(address: str) -> str:
    digest = email_sha256(address)
    if not digest:
        raise Invalid("bad_value", "--email takes an address such as name@example.org")
    return digest


Steps = tuple[Callable[[Subject], Preview], Callable[[Subject], ErasureInfo], Callable[[str], ErasureInfo]]


@contextmanager
def _carried_out(*, url: str, key: str) -> Iterator[Steps]:
    """(preview, start, look): by the running monitor, else by this process."""
    settings = load_settings()
    state = running(settings.data_dir)
    if url or (state is not None and "monitor" in state.ports):
        with ApiClient(url=url, key=key) as api:
            yield _by_api(api)
        return
    with _by_ourselves(settings) as steps:
        yield steps


def _by_api(api: ApiClient) -> Steps:
    def body(who: Subject) -> Mapping[str, Any]:
        return {who.name: who.value}

    return (
        lambda who: msgspec.convert(api.call("POST", "/erasures", json={**body(who), "dry_run": True}), Preview),
        lambda who: msgspec.convert(api.call("POST", "/erasures", json=body(who)), ErasureInfo),
        lambda erasure_id: msgspec.convert(api.call("GET", f"/erasures/{erasure_id}"), ErasureInfo),
    )


@contextmanager
def _by_ourselves(settings: Settings) -> Iterator[Steps]:
    """No monitor runs: this process opens store and journal. Redirect workers may go on writing."""
    from app.erasing import (
        Erasing,
    )  # imported late: the parts cost a second, and beside a monitor nothing of them is needed
    from app.parts import Base, Shipping

    held = lock(settings.data_dir, ["monitor", "shipper"])
    base = Base(settings, name="erase")
    shipping = Shipping(base)
    eraser = Erasing(base, shipping).eraser

    def look(erasure_id: str) -> ErasureInfo:
        shipping.ship_now()
        eraser.run_once(now_ms())
        return eraser.audit.one(erasure_id)

    try:
        shipping.ship_now()
        yield eraser.preview, lambda who: eraser.ask(who, by="command line"), look
    finally:
        shipping.stop()
        base.close()
        for file in held:
            file.close()


def _awaited(info: ErasureInfo, look: Callable[[str], ErasureInfo], *, wait_s: float, quiet: bool) -> ErasureInfo:
    """Look until it is done or the time is over; at least once, because without a monitor looking is what carries it out."""
    deadline = time.monotonic() + wait_s
    with Console(stderr=True, quiet=quiet).status("erasing") as status:
        while True:
            info = look(info.erasure_id)
            if info.state == "done" or time.monotonic() >= deadline:
                return info
            if info.state == "waiting":
                status.update(
                    "waiting for segments that are still being written; they rotate by themselves (journal.segment_max_age_s)"
                )
            time.sleep(POLL_S)


def _print_preview(found: Preview, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    typer.echo("This person is known by " + (_counts(found.identifiers) or "nothing"))
    rows = [[table, count] for table, count in sorted(found.store_rows.items())]
    print_table(["store table", "rows"], rows, empty="The store holds nothing of this person.")


def _print_info(info: ErasureInfo) -> None:
    typer.echo(f"Erasure {info.erasure_id}: {info.state}")
    for node in info.nodes:
        typer.echo(f"  {node.node}")
        typer.echo(
            f"    journal: {_counts(node.journal_lines) or 'nothing'} in {node.segments_rewritten} segments written anew"
        )
        typer.echo(f"    store: {_counts(node.store_rows) or 'nothing'}")
        typer.echo(f"    control database: {_counts(node.control_rows) or 'nothing'}")
        if node.segments_waiting:
            typer.echo(
                f"    {node.segments_waiting} segments are still being written: they follow by themselves when they rotate"
            )
        if node.proof is not None:
            proof = node.proof
            left = proof.journal.found + sum(proof.store_rows.values()) + sum(proof.control_rows.values())
            typer.echo(
                f"    searched {proof.journal.lines:,} lines of {proof.journal.segments} segments, every table of store and control"
                f" database: {left} found"
            )


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items()))


def _lines(info: ErasureInfo) -> int:
    return sum(sum(node.journal_lines.values()) for node in info.nodes)


def _open_nodes(info: ErasureInfo) -> str:
    return ", ".join(node.node for node in info.nodes if not node.done_at)
