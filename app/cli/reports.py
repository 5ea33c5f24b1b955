"""`clicktrace trace | freshness`: the result tables of a running monitor, for people or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.api_client import ApiClient, Key, Url
from app.cli.output import Json, print_json, print_table

app = typer.Typer(help="Result tables.", no_args_is_help=True)

#: A share this close to one is not worth a sentence.
SETTLED_WITHIN = 0.005

Since = Annotated[str, typer.Option("--from", help="RFC 3339; default a day before --to.")]
Until = Annotated[str, typer.Option("--to", help="RFC 3339; default now.")]
AsOf = Annotated[str, typer.Option("--as-of", help="Answer with what was known at this moment.")]
Grain = Annotated[str, typer.Option(help="1m, 15m, 1h or 1d; default the whole period.")]
Campaign = Annotated[str, typer.Option(help="Only this qualified campaign.")]
Client = Annotated[str, typer.Option(help="Only this client.")]


@app.command()
def trace(
    click_id: Annotated[str, typer.Argument(help="32 lower-case hex digits.")],
    as_of: AsOf = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """One click's journey: hits, what the browser reported, spans, conversions, its share of the spend, deploys nearby."""
    with ApiClient(url=url, key=key) as api:
        found = api.call("GET", f"/clicks/{click_id}", params={"as_of": as_of})
    if json:
        print_json(found)
    else:
        _print_journey(found)


@app.command()
def freshness(as_of: AsOf = "", url: Url = "", key: Key = "", json: Json = False) -> None:
    """How complete every source is."""
    with ApiClient(url=url, key=key) as api:
        found = api.call("GET", "/freshness", params={"as_of": as_of})
    if json:
        print_json(found)
        return
    _print_sources(found["sources"])
    kinds = [(k["kind"], clock(k["newest_event"]), _seconds(k["age_s"]), k["lines"]) for k in found["kinds"]]
    print_table(
        ["kind", "newest event", "learned ago", "lines (24 h)"], kinds, empty="No line was learned in the last day."
    )
    delay = found["click_delay"]["p95_s"]
    if delay is not None:
        _say(f"A click is in the store within {delay:.2f} s (95 %).")
    _print_figures(found)
    _print_fills(found["fills"])


def _print_sources(sources: list[dict[str, Any]]) -> None:
    """A row a source, and below the table what is wrong with those that are not well."""
    rows = [
        (
            s["source"],
            _state(s["state"]),
            clock(s["complete_through"]),
            _seconds(s["lag_s"]) if s["complete_through"] else "",
            _seconds(s["documented_lag_s"]),
            s["reading"],
            _quota(s["quota"]),
        )
        for s in sources
    ]
    columns = ["source", "state", "complete through", "behind", "documented lag", "reader", "quota used"]
    print_table(columns, rows, empty="", whole=("source",))
    for s in sources:
        again = f"; tried again {clock(s['next_attempt'])}" if s["next_attempt"] else ""
        if s["detail"]:
            _say(f"{escape(s['source'])}: {escape(s['detail'])}{again}")
        for odd in s["findings"]:
            _say(f"{escape(s['source'])} changed: {odd['finding']}: {escape(odd['detail'])}")


def _print_figures(found: dict[str, Any]) -> None:
    """How far each figure is complete, and which source it waits for."""
    rows = [(f["figure"].replace("_", " "), clock(f["complete_through"]), f["slowest"]) for f in found["figures"]]
    print_table(["figure", "complete through", "waits for"], rows, empty="", whole=("waits for",))
    _say(
        "Return and cost per conversion rest on clicks, conversions and spend: "
        f"complete through {clock(found['complete_through'])}."
    )


def _print_fills(fills: list[dict[str, Any]]) -> None:
    """How much of each source's facts is known at some ages, as past days had it."""
    ages = sorted(
        {age for fill in fills for age in fill["known_by_age"]},
        key=lambda age: (age[-1:] != "m", age[-1:] != "h", int(age[:-1])),
    )
    rows = [
        (
            " ".join(word for word in (fill["kind"], fill["name"], f"({fill['source']})") if word),
            *(percent(fill["known_by_age"].get(age)) for age in ages),
            fill["days"],
        )
        for fill in fills
    ]
    if rows:
        print_table(["known after", *ages, "days"], rows, empty="", whole=("known after",))


def _quota(quota: dict[str, Any] | None) -> str:
    if quota is None:
        return ""
    resets = f", resets {clock(quota['resets_at'])}" if quota["resets_at"] else ""
    return f"{quota['used']:,.0f} of {quota['limit']:,.0f} {quota['unit']}{resets}"


def read_all(api: ApiClient, path: str, field: str, query: dict[str, str]) -> dict[str, Any]:
    """A paged answer as one: the first page's head with the rows of all pages."""
    answers = list(_pages(api, path, query))
    rows = [row for answer in answers for row in answer[field]]
    return {**answers[0], field: rows, "next_cursor": None}


def told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Names by ID; the ID stands beside a name that several campaigns have."""
    times = Counter(names.values())
    return {campaign: name if times[name] == 1 else f"{name} ({campaign})" for campaign, name in names.items()}


def names_in(rows: Iterable[Mapping[str, Any]], *, field: str = "campaign_name") -> dict[str, str]:
    """What to call the campaigns of an answer that has their names in it, by qualified ID."""
    found = {row["campaign"]: row[field] or row["campaign"] for row in rows if row["campaign"]}
    return told_apart(found)


def _pages(api: ApiClient, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        answer = api.call("GET", path, params={**query, "cursor": cursor, "limit": "1000"})
        yield answer
        cursor = answer["next_cursor"]


def _query(**texts: str) -> dict[str, str]:
    names = {"since": "from", "until": "to"}
    return {names.get(name, name): text for name, text in texts.items() if text}


def print_footer(found: dict[str, Any]) -> None:
    complete = found["complete_through"]
    parts = ", ".join(f"{name} {clock(moment)}" for name, moment in complete.items() if name != "all")
    known = f" Known by {clock(found['as_of'])}." if found["as_of"] else ""
    _say(f"Complete through {clock(complete['all'])} ({parts}).{known}")
    if sentence := known_share(found["standing"]):
        _say(sentence)
    if found["kept_from"]:
        _say(
            f"Before {clock(found['kept_from'])} not everything is kept any more (retention): figures of then are too small."
        )


def known_share(standing: dict[str, Any]) -> str:
    """How much of the least complete figure is known at its age; "" when all is, or nothing was learned of it yet."""
    told = standing["known"]
    if told is None or abs(told["share"] - 1) < SETTLED_WITHIN:
        return ""
    return (
        f"Usually {share_known(told)} of the {standing['least']} of a period this young is known"
        f" (learned from {told['days']} days)."
    )


def share_known(told: dict[str, float]) -> str:
    return f"{told['share'] * 100:.0f} % ({told['low'] * 100:.0f} to {told['high'] * 100:.0f})"


def _print_journey(found: dict[str, Any]) -> None:
    campaign = found["campaign_name"] or found["campaign"] or "no campaign"
    _say(f"[bold]Click {found['click_id']}[/]  {clock(found['at'])}  {escape(campaign)}")
    events = sorted(_journey_events(found), key=lambda event: event[0])
    rows = [(clock(at), what, escape(text)) for at, what, text in events]
    print_table(["when (UTC)", "what", ""], rows, empty="")
    if found["spans"]:
        _say("\n[bold]Spans[/]")
        print_table(["span", "service", "duration", "status"], [_span_row(span) for span in found["spans"]], empty="")
    spend = found["spend"]
    if spend:
        cost = money(spend["cost"], spend["currency"])
        hour = money(spend["hour_spend"], spend["currency"])
        _say(
            f"\nIts share of the spend: {cost} ({hour} in the hour / {spend['hour_clicks']} clicks, {spend['basis']})."
        )
    if not found["conversions"]:
        _say("\nNo conversion belongs to this click so far.")
    if found["no_longer_kept"]:
        _say(f"\nOf its time no longer kept (retention): {', '.join(found['no_longer_kept'])}.")


def _journey_events(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for hit in found["hits"]:
        yield hit["at"], f"hit {hit['flag']}".strip(), _hit_text(hit)
    for touch in found["touches"]:
        yield touch["at"], touch["name"], touch["page"]
    for conversion in found["conversions"]:
        value = money(conversion["value"], conversion["currency"])
        sure = f"matched by {conversion['method']}, confidence {percent(conversion['confidence'])}"
        sure += f"; {_stage(conversion['worth'])}"
        if conversion["flags"]:
            sure += f"; flagged {', '.join(conversion['flags'])}"
        yield (
            conversion["at"],
            conversion["type"],
            f"{conversion['conversion_id']} {conversion['status']} {value}; {sure}",
        )
    for deploy in found["deploys"]:
        yield deploy["at"], deploy["change"], f"{deploy['service']} {deploy['version']} {deploy['author']}".strip()


def _stage(worth: dict[str, Any]) -> str:
    """How far the value can be believed; what the window has not closed over is not told as a figure."""
    closes = worth["window_closes"][:10]
    if worth["stage"] == "settled":
        return f"settled {money(worth['settled'], worth['currency'])}"
    if worth["stage"] == "estimated":
        return f"estimated {money(worth['estimated'], worth['currency'])}, settles {closes}"
    return "captured, settles " + closes if worth["stage"] == "captured" else "counts nowhere"


def _hit_text(hit: dict[str, Any]) -> str:
    way = " > ".join(hit["routing"])
    client = " ".join(part for part in (hit["device"], hit["browser"]) if part)
    answer = f"{hit['link']} answered {hit['http_status']} in {hit['duration_us']} us ({hit['reason']})"
    flags = ", ".join([*hit["bot_signals"], *hit["behaviour"]])
    return "; ".join(part for part in (answer, way, client, hit["page"], flags and f"flagged {flags}") if part)


def _span_row(span: dict[str, Any]) -> tuple[str, ...]:
    name = "  " * span["depth"] + (span["route"] or span["name"])
    status = span["error"] or (str(span["http_status"]) if span["http_status"] else span["status"])
    colour = "red" if span["error"] or span["status"] == "error" or span["http_status"] >= 500 else "green"
    return (
        escape(name),
        escape(span["service"]),
        f"{span['duration_us'] / 1000:.1f} ms",
        f"[{colour}]{escape(status)}[/]",
    )


def _say(text: str) -> None:
    Console().print(text, highlight=False, soft_wrap=True)


def clock(moment: str | None) -> str:
    return moment[:19].replace("T", " ") if moment else "never"


def money(amount: str | None, currency: str) -> str:
    """Two decimals are enough for people; `--json` has all of them."""
    return "" if amount is None else f"{float(amount):,.2f} {currency}".rstrip()


def percent(share: float | None) -> str:
    """A share as people read it, empty when there is none."""
    return "" if share is None else f"{share * 100:.1f} %"


def interval(rate: dict[str, float] | None) -> str:
    return "" if rate is None else f"{rate['rate'] * 100:.2f} % ({rate['low'] * 100:.2f} to {rate['high'] * 100:.2f})"


def _state(state: str) -> str:
    colour = {"on_time": "green", "late": "yellow", "stalled": "red", "silent": "dim"}[state]
    return f"[{colour}]{state.replace('_', ' ')}[/]"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
