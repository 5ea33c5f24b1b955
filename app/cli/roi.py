"""`clicktrace roi`: what was earned on what was spent, by campaign or another dimension, and why a cost per lead changed since it was shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table
from app.cli.reports import (
    SETTLED_WITHIN,
    AsOf,
    Campaign,
    Client,
    Grain,
    Since,
    Until,
    clock,
    interval,
    money,
    names_in,
    percent,
    print_footer,
    read_all,
    share_known,
)

app = typer.Typer(help="Return on spend.", no_args_is_help=True)

By = Annotated[
    str, typer.Option(help="campaign, ad_group, creative, keyword, device, page, country, variant or client.")
]
BridgeFrom = Annotated[
    str,
    typer.Option(
        "--bridge-from",
        help="A moment: why the cost per lead that was live then is another one now, cause by cause.",
    ),
]
#: The causes of `correlator.bridge` as people say them.
_CAUSES = {
    "spend_restated": "spend told since",
    "learned_later": "leads learned later",
    "elsewhere": "leads that belong elsewhere by now",
    "counted_twice": "leads counted twice",
    "rejected": "leads rejected",
    "returns_pending": "returns that were pending",
    "missing_cost": "missing cost category",
}


@app.command()
def roi(
    since: Since = "",
    until: Until = "",
    as_of: AsOf = "",
    grain: Grain = "",
    by: By = "campaign",
    campaign: Campaign = "",
    client: Client = "",
    bridge_from: BridgeFrom = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Live and settled return on spend, the channel's and the business's."""
    asked = {"from": since, "to": until, "as_of": as_of, "campaign": campaign, "client": client}
    asked |= {"live_at": bridge_from} if bridge_from else {"grain": grain, "by": by}
    query = {name: text for name, text in asked.items() if text}
    with ApiClient(url=url, key=key) as api:
        found = api.call("GET", "/roi/bridge", params=query) if bridge_from else read_all(api, "/roi", "rows", query)
    if json:
        print_json(found)
    elif bridge_from:
        _print_bridge(found["bridge"])
        print_footer(found)
    else:
        _print_rows(found)
        print_footer(found)


class _Column(NamedTuple):
    """`wanted`: only shown when a row has something to say there."""

    title: str
    cell: Callable[[dict[str, Any]], str]
    wanted: bool = False


_COLUMNS = (
    _Column("from", lambda row: clock(row["since"])),
    _Column("clicks", lambda row: str(row["clicks"])),
    _Column("rate (95 %)", lambda row: interval(row["conversion_rate"])),
    _Column("spend", lambda row: _paid(row, row["cost"]["spend"])),
    _Column("", lambda row: _basis(row)),
    _Column("conv.", lambda row: str(row["outcome"]["conversions"])),
    _Column("known", lambda row: _known(row), wanted=True),
    _Column("value", lambda row: _paid(row, row["outcome"]["value"])),
    _Column("ROAS", lambda row: _ratio(row["live"]["roas"])),
    _Column("per conv.", lambda row: _paid(row, row["live"]["cost_per_conversion"])),
    _Column("per qualified lead", lambda row: _paid(row, row["live"]["cost_per_qualified_lead"]), wanted=True),
    _Column("per new customer", lambda row: _customer(row), wanted=True),
    _Column("breaks even", lambda row: _break_even(row), wanted=True),
    _Column("settled ROAS", lambda row: _ratio(row["settled"]["roas"])),
    _Column("costs", lambda row: _of(row, "business", "costs"), wanted=True),
    _Column("business ROI", lambda row: percent(_get(row, "business", "roi")), wanted=True),
    _Column("settled business ROI", lambda row: percent(_get(row, "business", "settled_roi")), wanted=True),
    _Column("spend by clicks", lambda row: _of(row, "apportioned", "spend"), wanted=True),
    _Column("per conv. by clicks", lambda row: _of(row, "apportioned", "cost_per_conversion"), wanted=True),
)


def _print_rows(found: dict[str, Any]) -> None:
    rows, by = found["rows"], found["by"]
    shown = [column for column in _COLUMNS if not column.wanted or any(column.cell(row) for row in rows)]
    names = names_in(rows, field="name") if by == "campaign" else {}
    table = [(_name(row, by, names), *(column.cell(row) for column in shown)) for row in rows]
    titles = [by.replace("_", " "), *(column.title for column in shown)]
    print_table(titles, table, empty="Nothing happened in this period.")
    _say_what_is_blank(rows)


def _say_what_is_blank(rows: Sequence[dict[str, Any]]) -> None:
    """Types whose conversions nobody said the worth of, where that leaves a return blank."""
    unpriced = sorted({name for row in rows for name in row["outcome"]["unvalued_by_type"] if _is_blank(row)})
    if unpriced:
        _say(
            f"No return where nobody said what conversions are worth: {', '.join(unpriced)}"
            " (a value in the record, or correlator.catalogue.<type>.default_value)."
        )


def _is_blank(row: dict[str, Any]) -> bool:
    return row["live"]["roas"] is None and float(row["outcome"]["value"]) == 0


def _name(row: dict[str, Any], by: str, names: Mapping[str, str]) -> str:
    return escape(names.get(row[by], row[by]) or f"(no {by.replace('_', ' ')})")


def _basis(row: dict[str, Any]) -> str:
    cost, outcome = row["cost"], row["outcome"]
    words = [{"modelled": "modelled", "both": "part modelled"}.get(cost["basis"], "")]
    words += [] if cost["told"] else ["not told by this"]
    # Money that no rate leads from is in none of the sums, and said so.
    missing = sorted({*cost["other_currencies"], *outcome["other_currencies"]})
    words += [f"no rate for {', '.join(missing)}"] if missing else []
    return ", ".join(word for word in words if word)


def _known(row: dict[str, Any]) -> str:
    """Of a period too young to be complete, how much is known yet."""
    told = row["standing"]["known"]
    return "" if told is None or abs(told["share"] - 1) < SETTLED_WITHIN else share_known(told)


def _customer(row: dict[str, Any]) -> str:
    high, low = row["live"]["cost_per_new_customer"], row["live"]["cost_per_new_customer_low"]
    if high is None or high == low:
        return _paid(row, high)
    return f"{_paid(row, low)} to {_paid(row, high)}"


def _break_even(row: dict[str, Any]) -> str:
    limits = row["break_even"]
    verdict = {True: "pays", False: "loses", None: ""}[limits["pays"]]
    at = [f"at {percent(limits['rate'])}" if limits["rate"] is not None else "", verdict]
    return " ".join(word for word in at if word)


def _get(row: dict[str, Any], layer: str, name: str) -> Any:
    return None if row[layer] is None else row[layer][name]


def _of(row: dict[str, Any], layer: str, name: str) -> str:
    return _paid(row, _get(row, layer, name))


def _paid(row: dict[str, Any], amount: str | None) -> str:
    return money(amount, row["cost"]["currency"])


def _print_bridge(found: dict[str, Any]) -> None:
    currency = found["currency"]
    rows = [("as shown live", clock(found["live"]["at"]), "", "", money(found["live"]["cost_per_lead"], currency))]
    for step in found["steps"]:
        cause = _CAUSES[step["cause"]] + (f": {step['category']}" if step["category"] else "")
        leads = f"{step['leads']:+d}" if step["leads"] else ""
        amount = money(step["amount"], currency) if float(step["amount"]) else ""
        rows.append((cause, leads, amount, _signed(step["effect"], currency), ""))
    rows.append(("now", clock(found["now"]["at"]), "", "", money(found["now"]["cost_per_lead"], currency)))
    print_table([f"cost per {found['type']}", f"{found['type']}s", "amount", "effect", ""], rows, empty="")
    if found["pending_leads"]:
        _say(f"{found['pending_leads']} may still come back: their return window is open.")


def _signed(amount: str | None, currency: str) -> str:
    return "" if amount is None else f"{float(amount):+,.2f} {currency}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _say(text: str) -> None:
    Console().print(text, highlight=False, soft_wrap=True)
