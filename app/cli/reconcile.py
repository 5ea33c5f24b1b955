"""`clicktrace reconcile`: where a running monitor's systems differ, at which step clicks get lost, and what is likely behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table
from app.cli.reports import (
    AsOf,
    Campaign,
    Client,
    Grain,
    Since,
    Until,
    clock,
    names_in,
    percent,
    print_footer,
    read_all,
)

app = typer.Typer(help="Reconciliation.", no_args_is_help=True)

ByCampaign = Annotated[bool, typer.Option("--by-campaign", help="A table for each campaign, too.")]
Found = Annotated[
    bool, typer.Option("--found", help="What the daily runs found of the days in the period, instead of counting now.")
]
_LEAKS = ("step", "count", "difference", "of the step before", "usually", "")
_SYSTEMS = ("type", "system", "conversions", "against the believed", "share", "band", "sum", "")
#: States of a step that are worth a word, with how loud it is.
_STATES = {"low": "red", "high": "red", "usual": "green", "few": "dim", "unlearned": "dim"}
_WORDS = {"low": "unusually low", "high": "unusually high", "few": "too few to judge", "unlearned": "not learned yet"}


@app.command()
def reconcile(
    since: Since = "",
    until: Until = "",
    as_of: AsOf = "",
    grain: Grain = "",
    campaign: Campaign = "",
    client: Client = "",
    by_campaign: ByCampaign = False,
    found: Found = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Where the systems' counts differ, at which step clicks and sales get lost, and what is likely behind it."""
    asked = {"from": since, "to": until, "as_of": as_of, "campaign": campaign, "client": client}
    if not found:
        asked |= {"grain": grain, "by": "campaign" if by_campaign else ""}
    path, field = ("/reconciliation/findings", "findings") if found else ("/reconciliation", "tables")
    with ApiClient(url=url, key=key) as api:
        answer = read_all(api, path, field, {name: text for name, text in asked.items() if text})
    if json:
        print_json(answer)
    elif found:
        _print_found(answer["findings"])
    else:
        _print_tables(answer)


def _print_tables(answer: dict[str, Any]) -> None:
    names = names_in(answer["tables"])
    for table in answer["tables"]:
        whose = "" if table["campaign"] is None else f" {escape(names.get(table['campaign'], '(no campaign)'))}"
        _say(f"[bold]{clock(table['since'])} to {clock(table['until'])}{whose}[/]")
        print_table(_LEAKS, [_leak(leak) for leak in table["leaks"]], empty="")
        _say_what_waits(table["leaks"])
        others = [_system(one) for one in table["systems"] if not one["believed"]]
        if others:
            print_table(_SYSTEMS, others, empty="")
        for one in table["breaks"]:
            _print_break(one)
    if not answer["tables"]:
        _say("Nothing happened in this period.")
    print_footer(answer)


def _print_found(findings: Sequence[dict[str, Any]]) -> None:
    """Kept findings, day by day."""
    names = names_in(findings)
    day = ""
    for finding in findings:
        if finding["since"] != day:
            day = finding["since"]
            _say(f"[bold]{day[:10]}[/] as known by {clock(finding['known_by'])}")
        whose = "all campaigns" if finding["campaign"] is None else names.get(finding["campaign"], "no campaign")
        _print_break(finding["found"], whose=f"{escape(whose)}: ")
    if not findings:
        _say("The daily runs found nothing outside its band in these days.")


def _print_break(one: dict[str, Any], *, whose: str = "") -> None:
    _say(f"[yellow]{whose}{break_sentence(one)}[/]")
    for cause in one["causes"]:
        if cause["cause"] == "unexplained":
            _say("  no cause that we know fits: compare single conversions of both sides")
            continue
        _say(
            f"  {cause['cause'].replace('_', ' ')} (accounts for {_share(cause['share'])}): {escape(_evidence(cause))}"
        )


def break_sentence(one: dict[str, Any]) -> str:
    """What does not agree, in one sentence."""
    if one["kind"] == "sum":
        return f"{one['name']}: {one['system']} tells {one['sum']} {one['currency']}, {one['against']} {one['expected_sum']}."
    count, expected = f"{one['count']:,.0f}", f"{one['expected']:,.0f}"
    if one["kind"] == "step":
        return f"{one['name']}: {count} where {expected} would be usual for {one['against'].replace('_', ' ')}."
    return f"{one['name']}: {one['system']} counts {count}, {one['against']} {expected}."


def _evidence(cause: dict[str, Any]) -> str:
    return "; ".join(cause["evidence"])


def _say_what_waits(leaks: Sequence[dict[str, Any]]) -> None:
    """A ratio is of the hours that both sides have told."""
    for leak in leaks:
        if leak["told_through"]:
            of, step = leak["of"].replace("_", " "), leak["step"].replace("_", " ")
            _say(
                f"{of} are complete through {clock(leak['told_through'])}: {leak['compared']:,} {step} of before then are held against them."
            )


def _leak(leak: dict[str, Any]) -> tuple[object, ...]:
    usual = leak["usual"]
    usually = (
        "" if usual is None else f"{percent(usual['ratio'])} ({percent(usual['low'])} to {percent(usual['high'])})"
    )
    difference = "" if leak["difference"] is None else f"{leak['difference']:+d}"
    words = (_band(leak["within_band"]), _state(leak["state"]))
    return leak["step"], leak["count"], difference, percent(leak["ratio"]), usually, " ".join(filter(None, words))


def _system(one: dict[str, Any]) -> tuple[object, ...]:
    difference = "" if one["difference"] is None else f"{one['difference']:+d}"
    sums = one["sums"]
    money = "" if sums["share"] is None else f"{float(sums['difference']):+,.2f} {sums['currency']}"
    band = _band(one["within_band"])
    return (
        one["type"],
        one["system"],
        one["conversions"],
        difference,
        percent(one["share"]),
        percent(one["band"]),
        money,
        band,
    )


def _state(state: str) -> str:
    """A step that is as usual, or has nothing before it, needs no word."""
    return f"[{_STATES[state]}]{_WORDS[state]}[/]" if state in _WORDS else ""


def _band(within: bool | None) -> str:
    return "" if within is None else "[green]within the band[/]" if within else "[red]outside the band[/]"


def _share(share: float) -> str:
    return f"{share:.0%} of it"


def _say(text: str) -> None:
    Console().print(text, highlight=False, soft_wrap=True)
