"""`clicktrace actions`: what was proposed, decided and done on the ad platforms; approve, reject, give back."""

from __future__ import annotations

from getpass import getuser
from typing import Annotated, Any

import typer

from alerts.actions.undo import Undone, end_all_leases
from app.cli.api_client import ApiClient, Key, Url
from app.cli.exit_codes import FAILED
from app.cli.output import Json, print_json, print_table
from app.settings import Settings, load_settings
from core.control.engine import open_control
from core.errors import Invalid
from core.journal.writer import JournalWriter
from core.vendors.registry import open_account

app = typer.Typer(help="Pauses and other actions: list, approve, undo.", no_args_is_help=True)

ActionId = Annotated[str, typer.Argument(help="The action's ID, from `clicktrace actions list`.")]
State = Annotated[list[str] | None, typer.Option(help="Only in this state, e.g. awaiting; repeat for several.")]


@app.command("list")
def list_actions(
    state: State = None,
    incident: Annotated[str, typer.Option(help="Only of this incident.")] = "",
    campaign: Annotated[str, typer.Option(help="Only of this qualified campaign.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 100,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Actions, newest first."""
    query: dict[str, Any] = {"incident": incident, "campaign": campaign, "limit": limit, "state": state or []}
    with ApiClient(url=url, key=key) as api:
        found = api.call("GET", "/actions", params=query)["actions"]
    if json:
        print_json(found)
        return
    rows = [(a["action_id"], a["name"] or a["target"], a["state"], a["reason"], a["proposed_at"]) for a in found]
    print_table(["action", "campaign", "state", "why", "proposed"], rows, empty="No action was proposed yet.")


@app.command()
def show(action_id: ActionId, url: Url = "", key: Key = "", json: Json = False) -> None:
    """One action, every guard's finding, and its ledger."""
    with ApiClient(url=url, key=key) as api:
        _print_action(api.call("GET", f"/actions/{action_id}"), json=json)


@app.command()
def approve(action_id: ActionId, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Agree to an action, under the name of your key."""
    _decide("approve", action_id, url=url, key=key, json=json)


@app.command()
def reject(action_id: ActionId, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Leave the campaign running."""
    _decide("reject", action_id, url=url, key=key, json=json)


@app.command()
def keep(action_id: ActionId, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Keep a campaign paused for good: nothing returns it by itself any more."""
    _decide("keep", action_id, url=url, key=key, json=json)


@app.command()
def undo(
    action_id: Annotated[str, typer.Argument(help="The action's ID; without it, and with --direct, every lease.")] = "",
    direct: Annotated[
        bool, typer.Option("--direct", help="Without the monitor: write to the ad platforms from this process.")
    ] = False,
    kept: Annotated[bool, typer.Option("--kept", help="With --direct: also what people keep paused.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Give a campaign back now; with --direct, end every lease without the monitor."""
    if direct:
        _undo_direct(action_id, include_kept=kept, json=json)
    elif action_id:
        _decide("undo", action_id, url=url, key=key, json=json)
    else:
        raise Invalid("no_action", "name an action, or use --direct to end every lease without the monitor")


@app.command()
def switch(
    name: Annotated[str, typer.Argument(help="stop_pauses, or stop_returns (which stops both).")],
    on: Annotated[bool, typer.Option("--on/--off", help="Stop, or let go again.")],
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """The two emergency switches: stop pauses, or pauses and automatic returns."""
    with ApiClient(url=url, key=key) as api:
        answer = api.call("PUT", f"/actions/switches/{name}", json={"on": on})
    if json:
        print_json(answer)
    else:
        typer.echo(f"on: {', '.join(answer['on']) or 'none'}")


@app.command()
def verify(url: Url = "", key: Key = "", json: Json = False) -> None:
    """Check that the ledger tells one consistent story."""
    with ApiClient(url=url, key=key) as api:
        answer = api.call("GET", "/actions/verify")
    if json:
        print_json(answer)
    else:
        print_table(["problem"], [(each,) for each in answer["problems"]], empty="The ledger is sound.")
    if not answer["sound"]:
        raise typer.Exit(FAILED)


def _decide(verb: str, action_id: str, *, url: str, key: str, json: bool) -> None:
    with ApiClient(url=url, key=key) as api:
        _print_action(api.call("POST", f"/actions/{action_id}/{verb}"), json=json)


def _undo_direct(action_id: str, *, include_kept: bool, json: bool) -> None:
    settings = load_settings()
    control = open_control(settings.control.url, settings.data_dir)
    journal = JournalWriter(settings.data_dir / "journal", config=settings.journal, name="undo")
    try:
        undone = end_all_leases(
            control,
            config=settings.alerts,
            accounts=settings.accounts,
            open_account=open_account,
            by=getuser(),
            journal=journal,
            action_ids=[action_id] if action_id else [],
            include_kept=include_kept,
        )
    finally:
        journal.close()
        control.dispose()
    _print_undone(undone, settings, json=json)


def _print_undone(undone: list[Undone], settings: Settings, *, json: bool) -> None:
    if json:
        print_json(undone)
    else:
        rows = [(each.target, each.state, each.detail) for each in undone]
        print_table(["campaign", "state", "detail"], rows, empty=f"No lease is open in {settings.data_dir}.")
    if not all(each.ended or each.detail.startswith("kept") for each in undone):
        raise typer.Exit(FAILED)


def _print_action(action: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(action)
        return
    shown = (
        "action_id",
        "target",
        "state",
        "reason",
        "waits_for",
        "mode",
        "rule",
        "incident_id",
        "decided_by",
        "error",
    )
    rows: list[tuple[str, object]] = [(name.replace("_", " "), action[name]) for name in shown if action[name]]
    print_table(["", ""], rows, empty="")
    typer.echo(f"\n{action['sentence']}\n{action['pause_cost']}\n")
    findings = [(f["guard"], f["reason"], f["text"]) for f in action["findings"] if f["reason"]]
    print_table(["guard", "finding", ""], findings, empty="Every guard let it pass.")
    lines = [(entry["at"], entry["step"], entry["reason"], entry["by"]) for entry in action["ledger"]]
    print_table(["at", "step", "why", "by"], lines, empty="")
