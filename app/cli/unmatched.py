"""`clicktrace unmatched`: conversions of a running monitor that found no click, by who told them and why."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table
from app.cli.reports import AsOf, Client, Since, Until, print_footer, read_all

app = typer.Typer(help="Conversions without a click.", no_args_is_help=True)

COLUMNS = ("origin", "source", "type", "conversions", "no click", "share (95 %)", "why")


@app.command()
def unmatched(
    since: Since = "",
    until: Until = "",
    as_of: AsOf = "",
    client: Client = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Which conversions found no click, by who told them and why; what a wrong set-up explains comes with the way to mend it."""
    asked = {"from": since, "to": until, "as_of": as_of, "client": client}
    with ApiClient(url=url, key=key) as api:
        found = read_all(api, "/unmatched", "rows", {name: text for name, text in asked.items() if text})
    if json:
        print_json(found)
        return
    print_table(COLUMNS, [_row(row) for row in found["rows"]], empty="No conversions in this period.")
    say = Console().print
    for word in sorted({word for row in found["rows"] for word in row["by_reason"]}):
        say(f"{word}: {found['reasons'][word]}.", highlight=False, soft_wrap=True)
    for fault in found["faults"]:
        say(f"[yellow]{escape(fault_sentence(fault))}[/]", highlight=False, soft_wrap=True)
    print_footer(found)


def fault_sentence(fault: dict[str, Any]) -> str:
    """What is wrong with a source, and what to do."""
    which = f"{fault['conversions']} of {fault['of']} {fault['type']}s of {fault['source']} found no click"
    return f"{which} because of {fault['reason']} ({fault['meaning']}); {fault['mend']}."


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    share = row["share"]
    limits = "" if share is None else f"{share['rate']:.1%} ({share['low']:.1%} to {share['high']:.1%})"
    why = ", ".join(f"{word} {count}" for word, count in row["by_reason"].items())
    return (
        row["origin"],
        escape(row["source"]),
        escape(row["type"]),
        str(row["conversions"]),
        str(row["unmatched"]),
        limits,
        why,
    )
