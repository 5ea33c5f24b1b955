"""`clicktrace missing`: conversions that consent and blockers hid, modelled, beside those that were observed."""

from __future__ import annotations

from typing import Any, Final

import typer
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table
from app.cli.reports import AsOf, Campaign, Client, Since, Until, interval, names_in, print_footer, read_all

app = typer.Typer(help="Missing conversions.", no_args_is_help=True)

WHY: Final = {
    "": "",
    "no_clicks": "",
    "too_few_clicks": "too few clicks",
    "no_difference": "no difference that shows",
    "observed_share": "held at the stated share",
    "unattributed": "held at what found no click",
}
COLUMNS: Final = (
    "campaign", "rate of clicks seen", "observed", "missing (modelled)", "consent declined", "", "no page view", "", "limit",
)  # fmt: skip


@app.command()
def missing(
    since: Since = "",
    until: Until = "",
    as_of: AsOf = "",
    campaign: Campaign = "",
    client: Client = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Conversions hidden by consent and blockers, modelled conservatively; no other figure contains them."""
    asked = {"from": since, "to": until, "as_of": as_of, "campaign": campaign, "client": client}
    with ApiClient(url=url, key=key) as api:
        found = read_all(api, "/missing-conversions", "rows", {name: text for name, text in asked.items() if text})
    if json:
        print_json(found)
        return
    names = names_in(found["rows"])
    print_table(
        COLUMNS, [_row(row, names) for row in found["rows"]], empty="No click of this period had its chance to convert."
    )
    print_footer(found)


def _row(row: dict[str, Any], names: dict[str, str]) -> tuple[str, ...]:
    return (
        escape(names.get(row["campaign"], row["campaign"]) or "(no campaign)"),
        interval(row["seen_rate"]),
        str(row["observed"]),
        _modelled(row),
        *(cell for name in ("consent", "blockers") for cell in _group(row[name])),
        f"{row['limit']:.1f} {WHY[row['capped']]}".rstrip(),
    )


def _group(group: dict[str, Any]) -> tuple[str, str]:
    return f"{group['converted']} of {group['clicks']}", WHY[group["refusal"]] or _modelled(group)


def _modelled(of: dict[str, Any]) -> str:
    return f"{of['modelled']:.1f} ({of['low']:.1f} to {of['high']:.1f})" if of["high"] else ""
