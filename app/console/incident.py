"""One incident: what changed, why, what it costs, what was done and what to press."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element

from app.console import components, wording
from app.console.components import Cell
from app.console.data import ActionView, IncidentView
from app.console.incidents import CARD_KINDS, headline_figures, state_chip
from core.incidents import AffectedCampaign, FailedTrace, IncidentPayload, SuspectDeploy

HYPOTHESIS_WORDS = {
    "arrival": "clicks of every age stopped converting at once (checkout or tag)",
    "cohort": "only clicks since the onset convert less (page, redirect or audience)",
}
SHOWN_ALTERNATIVES = 0.02


def show_head(incident: IncidentView, *, now: int) -> None:
    """Title, sentence and the four figures."""
    payload = incident.payload
    with components.card(CARD_KINDS.get(incident.state, "")):
        with ui.element("div").classes("ct-row"):
            state_chip(incident.state)
            components.chip(wording.scope_words(payload.scope))
            onset = wording.clock_time(payload.onset, now=now)
            spread = wording.span(max(payload.onset_high - payload.onset, payload.onset - payload.onset_low))
            components.text(f"onset {onset} UTC ± {spread}", "ct-soft ct-small")
        components.text(payload.title, "ct-h1")
        components.text(payload.sentence, "ct-sentence")
        with ui.element("div").classes("ct-figures"):
            headline_figures(incident, now=now)
        through = wording.clock_time(payload.complete_through, now=now)
        components.text(f"These figures are complete through {through} UTC.", "ct-faint ct-small")
        if payload.recovery is not None and payload.recovery.text:
            components.text(payload.recovery.text, "ct-sentence")


def show_why(payload: IncidentPayload) -> None:
    """Verdict with its probability, alternatives, and the evidence."""
    with components.card():
        components.heading(f"Why: {wording.verdict_words(payload.verdict)}")
        if payload.hypothesis in HYPOTHESIS_WORDS:
            components.text(f"In time: {HYPOTHESIS_WORDS[payload.hypothesis]}.", "ct-soft ct-small")
        _alternatives(payload)
        with ui.element("div").classes("ct-list").style("margin-top:14px"):
            for index, evidence in enumerate(payload.evidence):
                with ui.element("div").classes("ct-item first" if index == 0 else "ct-item for"):
                    components.text(evidence.text)
                    components.text(_weight(evidence.verdict, evidence.log_likelihood), "ct-faint ct-small")


def _weight(verdict: str, nats: float) -> str:
    if not verdict:
        return ""
    side = "speaks for" if nats >= 0 else "speaks against"
    return f"{side} {wording.verdict_words(verdict)}"


def _alternatives(payload: IncidentPayload) -> None:
    ranked = sorted(payload.alternatives.items(), key=lambda item: -item[1])
    for verdict, probability in ranked or [(payload.verdict, payload.confidence)]:
        if probability < SHOWN_ALTERNATIVES and verdict != payload.verdict:
            continue
        with ui.element("div").classes("ct-row ct-small").style("margin-top:6px"):
            components.text(wording.verdict_words(verdict)).style("flex:0 0 10em")
            components.bar(probability)
            components.text(wording.percent(probability)).style("flex:0 0 3.5em;text-align:right")


def show_deploys(deploys: Sequence[SuspectDeploy], *, onset: int) -> None:
    """Changes that may have caused it, best first, each with its time seen from the onset."""
    with components.card():
        components.heading("Suspect changes")
        if not deploys:
            components.text("No change was reported near the onset.", "ct-soft")
        with ui.element("div").classes("ct-list"):
            for index, deploy in enumerate(deploys):
                _deploy(deploy, onset=onset, first=index == 0)


def _deploy(deploy: SuspectDeploy, *, onset: int, first: bool) -> None:
    with ui.element("div").classes("ct-item first" if first else "ct-item"):
        with ui.element("div").classes("ct-row"):
            name = f"{deploy.service} {deploy.version}".strip()
            components.link(name, deploy.link, "ct-link head") if deploy.link else components.text(name, "head")
            components.chip(deploy.change)
            components.text(wording.relative_to_onset(deploy.ts, onset), "ct-small ct-soft")
        components.text(f"{deploy.reason}{f' · by {deploy.author}' if deploy.author else ''}", "ct-small ct-soft")


def show_traces(traces: Sequence[FailedTrace], routes: Sequence[str], *, now: int) -> None:
    """Failing routes, and paid clicks whose own trace failed."""
    with components.card():
        components.heading("Failing routes and clicks")
        if not routes and not traces:
            components.text("No failing request of a paid click was seen in the scope.", "ct-soft")
        for route in routes:
            components.text(route, "ct-mono")
        with ui.element("div").classes("ct-list").style("margin-top:10px"):
            for trace in traces:
                with ui.element("div").classes("ct-item"):
                    components.link(trace.trace_id, f"/clicks/{trace.click_id}", "ct-link ct-mono")
                    status = f" · HTTP {trace.http_status}" if trace.http_status else ""
                    at = wording.clock_time(trace.ts, now=now)
                    components.text(f"{at} · {trace.service} {trace.route}{status}", "ct-small ct-soft")
                    if trace.error:
                        components.text(trace.error, "ct-small ct-soft")


CAMPAIGN_COLUMNS = [
    ("Campaign", False),
    ("Conversion rate", True),
    ("Usually", True),
    ("Conversions", True),
    ("Wasted / h", True),
    ("Exposed / h", True),
]


def show_campaigns(campaigns: Sequence[AffectedCampaign]) -> None:
    """Each affected campaign with its rate, interval and cost."""
    with components.card():
        components.heading("Affected campaigns")
        components.table(CAMPAIGN_COLUMNS, [_campaign_row(campaign) for campaign in campaigns])


def _campaign_row(campaign: AffectedCampaign) -> list[Cell]:
    notes = [campaign.campaign]
    if campaign.scope_share < 0.995:
        notes.append(f"{wording.percent(campaign.scope_share)} of its clicks are in the scope")
    if not campaign.loses_sales:
        notes.append("sales go on: buyers arrive past the redirect")
    break_even = campaign.break_even_rate
    return [
        Cell(text=campaign.name or campaign.campaign, note=" · ".join(notes)),
        Cell(
            text=wording.rate(campaign.rate), note=wording.interval(campaign.rate_low, campaign.rate_high), number=True
        ),
        Cell(
            text=wording.rate(campaign.baseline_rate),
            note=f"break-even {wording.rate(break_even)}" if break_even is not None else "break-even unknown",
            number=True,
        ),
        Cell(
            text=f"{wording.count(campaign.observed)} of {wording.count(campaign.expected)}",
            note=f"{wording.count(campaign.clicks)} clicks",
            number=True,
        ),
        Cell(text=wording.money(campaign.wasted_per_hour_micros, campaign.currency), number=True),
        Cell(text=wording.money(campaign.exposed_per_hour_micros, campaign.currency), number=True),
    ]


def show_ledger(actions: Sequence[ActionView], *, now: int) -> None:
    """Every step of every action, oldest first."""
    entries = sorted(
        ((entry, view.action) for view in actions for entry in view.entries), key=lambda pair: pair[0].entry
    )
    if not entries:
        return
    columns = [("Time (UTC)", False), ("Step", False), ("Campaign", False), ("By", False), ("Reason", False)]
    rows = [
        [
            Cell(text=wording.clock_time(entry.at, now=now)),
            Cell(text=entry.step.replace("_", " ")),
            Cell(text=action.name or action.target, note=action.target),
            Cell(text=entry.by),
            Cell(text=entry.reason.replace("_", " ")),
        ]
        for entry, action in entries
    ]
    with components.card():
        components.heading("Ledger")
        components.table(columns, rows)


def chart_card(options: dict[str, Any]) -> ui.echart:
    """The timeline; the returned chart is updated in place at every refresh."""
    with components.card():
        components.heading("Conversions a minute in the scope (UTC)")
        return ui.echart(options).classes("ct-chart")


def columns() -> tuple[Element, Element]:
    """The two columns of the page's lower half; one on a phone."""
    with ui.element("div").classes("ct-two"):
        left = ui.element("div").classes("ct-stack")
        right = ui.element("div").classes("ct-stack")
    return left, right
