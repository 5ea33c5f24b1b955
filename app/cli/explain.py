"""`clicktrace explain CAMPAIGN [--at T]`: what changed at a campaign, why, what it costs and what to do."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json
from core.clock import parse_rfc3339, to_datetime, to_rfc3339
from core.errors import Invalid
from core.identity import is_qualified
from core.money import MICROS

app = typer.Typer(help="What changed at a campaign.", no_args_is_help=True)

#: With --at, incidents that were open this long around the moment.
AROUND_MS = 2 * 3_600_000
#: Evidence and deploys shown to a person; --json has all.
SHOWN = 5


@app.command()
def explain(
    campaign: Annotated[str, typer.Argument(help="Qualified campaign, <platform>:<account>:<id>.")],
    at: Annotated[str, typer.Option("--at", help="RFC 3339; what was going on then. Default: now.")] = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """The campaign's incidents: what changed, the evidence, the deploys that may have caused it, the cost, what to do."""
    if not is_qualified(campaign):
        raise Invalid("bad_campaign", f"{campaign}: write <platform>:<account>:<id>, e.g. google:1234567890:987")
    with ApiClient(url=url, key=key) as api:
        answer = api.call("GET", "/incidents", params={"campaign": campaign, **period(at)})
    found = [entry for entry in answer["incidents"] if concerns(entry, campaign)]
    if json:
        print_json({"campaign": campaign, "at": at or None, "incidents": found})
        return
    console = Console()
    if not found:
        console.print(f"Nothing unusual is known of {escape(campaign)}{f' around {at}' if at else ''}.")
    for entry in found:
        for line in lines_of(entry, campaign):
            console.print(escape(line), highlight=False)


def period(at: str) -> dict[str, str]:
    """Query parameters for the time around `at`, or for the API's own recent past.

    Raises:
        Invalid: `at` is not a time with a zone.
    """
    if not at:
        return {}
    try:
        moment = parse_rfc3339(at)
    except ValueError as error:
        raise Invalid("bad_time", f"--at: {error}") from None
    return {"from": to_rfc3339(moment - AROUND_MS), "to": to_rfc3339(moment + 1)}


def concerns(entry: dict[str, Any], campaign: str) -> bool:
    """Whether the campaign is among those affected (an API that does not filter would show all)."""
    return any(affected["campaign"] == campaign for affected in entry["payload"]["campaigns"])


def lines_of(entry: dict[str, Any], campaign: str) -> list[str]:
    """One incident as lines of plain text."""
    p = entry["payload"]
    own = next(c for c in p["campaigns"] if c["campaign"] == campaign)
    lines = [f"{p['title']} [{entry['state']}, {p['confidence']:.0%} sure]", f"  {p['sentence']}"]
    lines.append(
        f"  this campaign: {own['observed']} conversions where {own['expected']:.0f} were expected; rate {own['rate']:.2%}"
        f" (95 % limits {own['rate_low']:.2%} to {own['rate_high']:.2%}), usually {own['baseline_rate']:.2%};"
        f" {own['wasted_per_hour_micros'] / MICROS:,.0f} of {own['exposed_per_hour_micros'] / MICROS:,.0f} {own['currency']} an hour"
    )
    if not own["loses_sales"]:
        lines.append("  it loses no sales: do not pause it")
    lines += [f"  for: {e['text']}" for e in p["evidence"] if e["verdict"] == p["verdict"] and e["log_likelihood"] > 0][
        :SHOWN
    ]
    lines += [
        f"  deploy {number}: {d['change']} {d['service']} {d['version']} at {_time(d['ts'])} ({d['score']:.0%}: {d['reason']})"
        for number, d in enumerate(p["deploys"][:SHOWN], start=1)
    ]
    lines += [f"  failed trace: {t['trace_id']} {t['service']} {t['route']} {t['error']}".rstrip() for t in p["traces"]]
    if p.get("recovery"):
        lines.append(f"  {p['recovery']['text']}")
    return lines


def _time(ms: int) -> str:
    return f"{to_datetime(ms):%H:%M:%S} UTC"
