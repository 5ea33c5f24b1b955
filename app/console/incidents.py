"""The start page: open incidents as cards, closed ones as a list, and a calm sentence when there is nothing to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

from app.console import components, wording
from app.console.components import Cell
from app.console.data import IncidentView, Watching

STATE_KINDS = {"open": "bad", "recovering": "warn", "closed": "good"}
CARD_KINDS = {"open": "alarm", "recovering": "mending"}


def show(
    incidents: Sequence[IncidentView],
    *,
    waiting: Mapping[str, int],
    watching: Watching,
    complete_through: int,
    now: int,
) -> None:
    """The whole list; called again at every refresh."""
    live = [incident for incident in incidents if incident.state != "closed"]
    closed = [incident for incident in incidents if incident.state == "closed"]
    if live:
        for incident in live:
            _card(incident, waiting=waiting.get(incident.incident_id, 0), now=now)
    else:
        _nothing(watching, complete_through=complete_through, now=now)
    if closed:
        _closed(closed, now=now)


def state_chip(state: str) -> None:
    components.chip(wording.STATE_WORDS.get(state, state), STATE_KINDS.get(state, ""))


def _card(incident: IncidentView, *, waiting: int, now: int) -> None:
    payload = incident.payload
    with components.card(CARD_KINDS.get(incident.state, "")):
        with ui.element("div").classes("ct-row"):
            state_chip(incident.state)
            components.chip(wording.verdict_words(payload.verdict))
            if waiting:
                components.chip("waits for your decision" if waiting == 1 else f"{waiting} decisions wait", "warn")
            components.text(f"since {wording.clock_time(payload.onset, now=now)} UTC", "ct-soft ct-small")
        components.link(payload.title, f"/incidents/{incident.incident_id}", "ct-title")
        components.text(payload.sentence, "ct-sentence")
        with ui.element("div").classes("ct-figures"):
            headline_figures(incident, now=now)


def headline_figures(incident: IncidentView, *, now: int) -> None:
    """What it costs, and how much is missing."""
    payload, cost = incident.payload, incident.payload.cost
    low, high = cost.wasted_per_hour_low_micros, cost.wasted_per_hour_high_micros
    components.figure(
        "Wasted per hour",
        wording.money(cost.wasted_per_hour_micros, cost.currency),
        note=f"{wording.money(low, cost.currency)} to {wording.money(high, cost.currency)}",
        kind="bad" if incident.state == "open" else "",
    )
    components.figure(
        "Exposed per hour",
        wording.money(cost.exposed_per_hour_micros, cost.currency),
        note="reported by the platform" if cost.spend_basis == "platform" else "modelled from live clicks",
    )
    components.figure(
        "Conversions since onset",
        f"{wording.count(payload.observed)} of {wording.count(payload.expected)}",
        note=f"lost {wording.percent(payload.lost_share)}"
        f" ({wording.percent(payload.lost_share_low)} to {wording.percent(payload.lost_share_high)})",
    )
    ended = incident.closed if incident.state == "closed" and incident.closed else now
    components.figure(
        "Lasting" if incident.state != "closed" else "Lasted",
        wording.span(ended - payload.onset),
        note=f"detected {wording.span(payload.detected - payload.onset)} after onset",
    )


def _nothing(watching: Watching, *, complete_through: int, now: int) -> None:
    with components.card("ct-empty"):
        components.text("✓", "mark")
        components.text("No incident", "ct-h1")
        components.text(quiet_sentence(watching, complete_through=complete_through, now=now), "ct-soft")


def quiet_sentence(watching: Watching, *, complete_through: int, now: int) -> str:
    """`Watching 12 campaigns, complete through 10:32:10 UTC.`"""
    noun = "campaign" if watching.campaigns == 1 else "campaigns"
    through = f", complete through {wording.clock_time(complete_through, now=now)} UTC" if complete_through else ""
    if not watching.clicks_last_hour:
        return f"No click in the last hour{through}. Add a link with: clicktrace links add"
    return f"Watching {watching.campaigns} {noun}{through}. {watching.clicks_last_hour:,} clicks in the last hour."


def _closed(incidents: Sequence[IncidentView], *, now: int) -> None:
    columns = [("Began (UTC)", False), ("What", False), ("Verdict", False), ("Lasted", True), ("Wasted", True)]
    with components.card():
        components.heading("Closed in the last 30 days")
        components.table(columns, [_closed_row(incident, now=now) for incident in incidents])


def _closed_row(incident: IncidentView, *, now: int) -> list[Cell]:
    payload = incident.payload
    return [
        Cell(text=wording.clock_time(payload.onset, now=now)),
        Cell(text=payload.title, href=f"/incidents/{incident.incident_id}"),
        Cell(text=wording.verdict_words(payload.verdict)),
        Cell(text=wording.span((incident.closed or incident.known_at) - payload.onset), number=True),
        Cell(text=wording.money(payload.cost.wasted_micros, payload.cost.currency), number=True),
    ]
