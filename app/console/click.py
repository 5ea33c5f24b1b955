"""One click's journey: the hits, what the browser and the servers saw, what became of it, what it cost, and what changed nearby."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from app.console import components, wording
from app.console.components import Cell
from correlator.journey import Hit, Journey, JourneyConversion, NearbyDeploy, SpanNode, TouchPoint

NO_CAMPAIGN = "no campaign"


def show(journey: Journey, *, now: int) -> None:
    """The whole page."""
    _head(journey, now=now)
    _conversions(journey.conversions, now=now)
    _hits(journey.hits, now=now)
    _touches(journey.touches, start=journey.at_ms)
    _spans(journey.spans, start=journey.at_ms)
    _deploys(journey.deploys, now=now)


def _head(journey: Journey, *, now: int) -> None:
    with components.card("alarm" if journey.lost else ""):
        with ui.element("div").classes("ct-row"):
            if journey.lost:
                components.chip("lost: no redirect was answered", "bad")
            components.chip(
                "ordered" if journey.conversions else "no conversion", "good" if journey.conversions else ""
            )
            components.text(f"{wording.clock_time(journey.at_ms, now=now)} UTC", "ct-soft ct-small")
        components.text(f"Click {journey.click_id}", "ct-h1 ct-mono")
        components.text(journey.campaign_name or journey.campaign or NO_CAMPAIGN, "ct-sentence")
        with ui.element("div").classes("ct-figures"):
            components.figure("Campaign", journey.campaign or NO_CAMPAIGN, note=journey.platform)
            device = journey.hits[0].device if journey.hits else ""
            components.figure("Device", device or wording.BLANK, note=journey.hits[0].browser if journey.hits else "")
            spend = journey.spend
            cost = wording.money(spend.cost_micros, spend.currency) if spend is not None else wording.BLANK
            basis = f"{spend.basis}: the hour's spend by its clicks" if spend is not None else "not reported yet"
            components.figure("Cost of this click", cost, note=basis)
            components.figure("Conversions", str(len(journey.conversions)))


def _conversions(conversions: Sequence[JourneyConversion], *, now: int) -> None:
    if not conversions:
        return
    columns = [("Time (UTC)", False), ("What", False), ("Status", False), ("Matched by", False), ("Value", True)]
    rows = [
        [
            Cell(text=wording.clock_time(one.at_ms, now=now)),
            Cell(text=f"{one.type} {one.conversion_id}", note=one.origin),
            Cell(text=one.status, note=_doubts(one)),
            Cell(text=one.method.replace("_", " "), note=f"confidence {wording.percent(one.confidence)}"),
            Cell(text=wording.money(one.value_micros, one.currency), number=True),
        ]
        for one in conversions
    ]
    with components.card():
        components.heading("Conversions")
        components.table(columns, rows)


def _doubts(one: JourneyConversion) -> str:
    doubts = [f"duplicate of {one.duplicate_of}"] if one.duplicate_of else []
    return ", ".join(doubts + [word.replace("_", " ") for word in one.flags])


def _hits(hits: Sequence[Hit], *, now: int) -> None:
    columns = [("Time (UTC)", False), ("Link", False), ("Answer", False), ("Took", True), ("Page", False)]
    with components.card():
        components.heading("Hits on the link")
        components.table(columns, [_hit(hit, now=now) for hit in hits])


def _hit(hit: Hit, *, now: int) -> list[Cell]:
    flags = [word.replace("_", " ") for word in (hit.flag, *hit.bot_signals, *hit.behaviour)]
    return [
        Cell(text=wording.clock_time(hit.at_ms, now=now), note=", ".join(flag for flag in flags if flag)),
        Cell(text=hit.link, note=" > ".join(hit.routing)),
        Cell(text=str(hit.http_status), note=hit.reason.replace("_", " ")),
        Cell(text=f"{hit.duration_us / 1000:.2f} ms", number=True),
        Cell(text=hit.page, note=f"from {hit.referrer_host}" if hit.referrer_host else ""),
    ]


def _touches(touches: Sequence[TouchPoint], *, start: int) -> None:
    with components.card():
        components.heading("On the site")
        if not touches:
            components.text("The browser sent nothing for this click.", "ct-soft")
            return
        columns = [("After the click", True), ("What", False), ("Page", False), ("Detail", False)]
        rows = [
            [
                Cell(text=wording.span(touch.at_ms - start), number=True),
                Cell(text=touch.name.replace("_", " ")),
                Cell(text=touch.page),
                Cell(text=", ".join(f"{name} {value}" for name, value in touch.attributes.items())),
            ]
            for touch in touches
        ]
        components.table(columns, rows)


def _spans(spans: Sequence[SpanNode], *, start: int) -> None:
    with components.card():
        components.heading("In the servers")
        if not spans:
            components.text("No span of this click was received.", "ct-soft")
            return
        columns = [("After the click", True), ("Span", False), ("Service", False), ("Took", True), ("Result", False)]
        components.table(columns, [_span(span, start=start) for span in spans])


def _span(span: SpanNode, *, start: int) -> list[Cell]:
    result = str(span.http_status or "") or ("" if span.status in ("", "unset") else span.status)
    return [
        Cell(text=wording.span(span.at_ms - start), number=True),
        Cell(text=f"{'· ' * span.depth}{span.name}", note=span.route if span.route not in span.name else ""),
        Cell(text=span.service, note=span.version),
        Cell(text=f"{span.duration_us / 1000:,.1f} ms", number=True),
        Cell(text=result, note=span.error),
    ]


def _deploys(deploys: Sequence[NearbyDeploy], *, now: int) -> None:
    if not deploys:
        return
    columns = [("Time (UTC)", False), ("Change", False), ("From the click", False), ("By", False)]
    rows = [
        [
            Cell(text=wording.clock_time(deploy.at_ms, now=now)),
            Cell(text=f"{deploy.service} {deploy.version}".strip(), note=deploy.change, href=deploy.link),
            Cell(text=_relative(deploy.before_s)),
            Cell(text=deploy.author),
        ]
        for deploy in deploys
    ]
    with components.card():
        components.heading("Changes nearby")
        components.table(columns, rows)


def _relative(before_s: float) -> str:
    length = wording.span(round(abs(before_s) * 1000))
    return f"{length} before" if before_s >= 0 else f"{length} after"
