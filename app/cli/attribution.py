"""`clicktrace attribution`: what each campaign (or ad group, device, …) gets of the conversions, all models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table
from app.cli.reports import AsOf, Campaign, Client, Since, Until, names_in, percent, print_footer, read_all
from correlator.dimensions import DIMENSIONS, NONE

app = typer.Typer(help="Attribution.", no_args_is_help=True)

By = Annotated[
    str,
    typer.Option(help=f"By what: {', '.join(DIMENSIONS)}."),
]
Model = Annotated[str, typer.Option(help="Only this: last_click, first_click, linear, time_decay or position_based.")]


@app.command()
def attribution(
    since: Since = "",
    until: Until = "",
    as_of: AsOf = "",
    by: By = "campaign",
    model: Model = "",
    campaign: Campaign = "",
    client: Client = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Which campaigns the conversions belong to, model by model, how surely, and what helped without being last."""
    asked = {
        "from": since,
        "to": until,
        "as_of": as_of,
        "by": by,
        "model": model,
        "campaign": campaign,
        "client": client,
    }
    with ApiClient(url=url, key=key) as api:
        found = read_all(api, "/attribution", "rows", {name: text for name, text in asked.items() if text})
    if json:
        print_json(found)
        return
    names = names_in(found["rows"]) if found["by"] == "campaign" else {}
    models = [name for name in found["models"] if model in ("", name)]
    columns = [found["by"].replace("_", " "), "type", *_words(models), "assisted", "matched by", "confidence"]
    print_table(
        columns,
        _rows(found["rows"], models=models, by=found["by"], names=names),
        empty="No conversions in this period.",
    )
    unmatched = found["unmatched"]
    if unmatched["share"]:
        count = f"{unmatched['unmatched']:g} of {unmatched['conversions']:g}"
        Console().print(f"{count} found no click ({percent(unmatched['share'])}).", highlight=False, soft_wrap=True)
    print_footer(found)


def _words(models: Sequence[str]) -> list[str]:
    return [name.replace("_", " ") for name in models]


def _rows(
    rows: Sequence[dict[str, Any]], *, models: Sequence[str], by: str, names: dict[str, str]
) -> list[tuple[str, ...]]:
    """One line for what the answer has a row a model of."""
    lines: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for row in rows:
        lines.setdefault((row[by], row["type"], row["origin"], row["currency"]), {})[row["model"]] = row
    return [_line(line, models=models, by=by, names=names) for _, line in sorted(lines.items())]


def _line(line: dict[str, dict[str, Any]], *, models: Sequence[str], by: str, names: dict[str, str]) -> tuple[str, ...]:
    # What only helped has nothing by the last click, but a method all the same.
    first = next((line[name] for name in models if line[name]["by_method"]), line[models[0]])
    methods = ", ".join(f"{name} {count:g}" for name, count in first["by_method"].items())
    assisted = _cell(first["assisted"], first["assisted_value"], first["currency"]) if first["assisted"] else ""
    offline = " (offline)" if first["origin"] == "offline" else ""
    return (
        escape(names.get(first[by], first[by]) or ("(unattributed)" if by == "campaign" else NONE)),
        escape(first["type"]) + offline,
        *(_cell(line[name]["conversions"], line[name]["value"], line[name]["currency"]) for name in models),
        assisted,
        methods,
        percent(first["confidence"]),
    )


def _cell(count: float, value: str, currency: str) -> str:
    """Two decimals are enough for people; `--json` has all of them."""
    return f"{count:,.2f}".rstrip("0").rstrip(".") + f"\n{float(value):,.2f} {currency}".rstrip()
