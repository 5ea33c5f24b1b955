"""`clicktrace compare`: a campaign's hours against yesterday's, last week's, its trailing week, a control campaign and its target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table
from app.cli.reports import AsOf, Client, Until, clock, interval, money, names_in, print_footer, share_known

app = typer.Typer(help="Comparisons.", no_args_is_help=True)

Since = Annotated[str, typer.Option("--from", help="RFC 3339; default an hour before --to.")]
TITLES: Final = {
    "yesterday": "same hours yesterday",
    "last_week": "same hours last week",
    "trailing_7d": "mean of 7 days",
    "control": "as the control went",
    "target": "target",
}
MISSING: Final = {
    "overlaps": "the period is longer than that",
    "no_control": "no campaign goes like it, or there is too little history",
    "no_target": "nobody set one",
    "nothing_then": "nothing happened then",
}


@app.command()
def compare(
    campaign: Annotated[str, typer.Argument(help="Qualified ID: platform:account:id.")],
    since: Since = "",
    until: Until = "",
    as_of: AsOf = "",
    client: Client = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """A campaign's period (default: the last hour) against everything there is to compare it with."""
    asked = {"from": since, "to": until, "as_of": as_of, "client": client}
    with ApiClient(url=url, key=key) as api:
        found = api.call(
            "GET",
            f"/campaigns/{campaign}/comparison",
            params={name: text for name, text in asked.items() if text},
        )
    if json:
        print_json(found)
        return
    names = names_in([found, *(one for one in found["against"] if one["campaign"])])
    _say(f"[bold]{escape(names[found['campaign']])}[/]")
    columns = ["", "clicks", "rate (95 %)", "conv.", "spend", "value", "per conv.", "per lead", "ROAS"]
    rows = [(f"[bold]{clock(found['since'])} to {clock(found['until'])}[/]", *_now(found))]
    rows += [(_title(one, names), *_then(one)) for one in found["against"] if not one["missing"]]
    print_table(columns, rows, empty="", whole=("",))
    _say_what_is_behind(found)
    print_footer(found)


def _now(found: dict[str, Any]) -> tuple[str, ...]:
    return tuple(text for _, text in _cells(found["figures"], found["currency"]))


def _then(one: dict[str, Any]) -> tuple[str, ...]:
    """What it was then, and in brackets how far now lies from it."""
    changes = one["changes"]
    return tuple(
        f"{text} ({changes[name] * 100:+.0f} %)" if text and name in changes else text
        for name, text in _cells(one["figures"], one["currency"])
    )


def _cells(figures: dict[str, Any], currency: str) -> list[tuple[str, str]]:
    roas = figures["roas"]
    return [
        ("clicks", _number(figures["clicks"])),
        ("conversion_rate", interval(figures["conversion_rate"])),
        ("conversions", _number(figures["conversions"])),
        ("spend", money(figures["spend"], currency)),
        ("value", money(figures["value"], currency)),
        ("cost_per_conversion", money(figures["cost_per_conversion"], currency)),
        ("cost_per_lead", money(figures["cost_per_lead"], currency)),
        ("roas", "" if roas is None else f"{roas:.2f}"),
    ]


def _title(one: dict[str, Any], names: Mapping[str, str]) -> str:
    if one["name"] != "control":
        return TITLES[one["name"]]
    return f"{TITLES['control']}: {escape(names[one['campaign']])} ({one['score']:.2f})"


def _say_what_is_behind(found: dict[str, Any]) -> None:
    for one in found["against"]:
        if one["missing"]:
            _say(f"No {TITLES[one['name']]}: {MISSING[one['missing']]}.")
        elif one["apart"] is False and "conversion_rate" in one["changes"]:
            _say(f"The rate is not told apart from that of {TITLES[one['name']]} by so many clicks.")
    if found["adjusted"]:
        _say(
            f"Of the conversions {share_known(found['known'])} are known so far; changes are of what they should come to."
        )


def _number(count: float | None) -> str:
    return "" if count is None else f"{count:,.1f}".removesuffix(".0")


def _say(text: str) -> None:
    Console().print(text, highlight=False, soft_wrap=True)
