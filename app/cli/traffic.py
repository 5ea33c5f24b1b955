"""`clicktrace traffic`: clicks and conversions of a running monitor, flagged and unflagged side by side, by the word that flags them."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table
from app.cli.reports import Campaign, Client, Grain, Since, Until, read_all

app = typer.Typer(help="Traffic quality.", no_args_is_help=True)

COLUMNS = ("campaign", "from", "hits", "clicks", "flagged", "share", "by word", "conv.", "flagged", "by word")


@app.command()
def traffic(
    since: Since = "",
    until: Until = "",
    grain: Grain = "",
    campaign: Campaign = "",
    client: Client = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Bots and fraud: which clicks and conversions are flagged, and why. Nothing flagged is left out of any count."""
    asked = {"from": since, "to": until, "grain": grain, "campaign": campaign, "client": client}
    with ApiClient(url=url, key=key) as api:
        found = read_all(api, "/traffic", "rows", {name: text for name, text in asked.items() if text})
    if json:
        print_json(found)
        return
    print_table(COLUMNS, [_row(row) for row in found["rows"]], empty="Nothing happened in this period.")
    say = Console().print
    say(f"Behaviour is judged through {_minute(found['judged_through'])}.", highlight=False)
    for state in found["lists"]:
        say(escape(list_sentence(state)), highlight=False, soft_wrap=True)


def list_sentence(state: dict[str, Any]) -> str:
    """What a person should know of a list that flags rest on."""
    word, path = state["word"], state["path"]
    if state["state"] == "not_set":
        return f"No list of data-centre networks is set (correlator.traffic.datacenter_networks): {word} never occurs."
    if state["state"] == "ok":
        return f"{word}: {path}, {state['entries']} entries, of {_minute(state['changed'])}."
    return f"{word}: {path} is {state['state']}. {state['problem']}".rstrip()


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    share = row["flagged_share"]
    return (
        escape(row["campaign"] or "(no campaign)"),
        _minute(row["since"]),
        str(row["hits"]),
        str(row["clicks"]),
        str(row["flagged_clicks"]),
        "" if share is None else f"{share * 100:.1f} %",
        _words(row["hits_by_flag"]),
        str(row["conversions"]),
        str(row["flagged_conversions"]),
        _words(row["conversions_by_flag"]),
    )


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "never"
