"""One click's whole journey: hits with their routing, what the browser reported, spans, conversions, its share of the spend, deploys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from core.clock import HOUR_MS, MINUTE_MS
from core.errors import Invalid, NotFound
from core.identity import is_click_id
from core.metric_catalogue import amount
from core.store.client import Store
from correlator import queries
from correlator.campaign_rows import campaign_rows
from correlator.cells import read_cells
from correlator.config import CorrelatorConfig
from correlator.life import LifeStep, Worth, lives, worth
from correlator.past import matched
from correlator.performance import performances
from correlator.period import Question
from correlator.report_queries import named_where_needed, read_report, report_params
from correlator.side_by_side import in_turn, side_by_side

#: A later hit of the same click ID from the same network within this time is the same person loading again; else the ID is reused.
REUSE_AFTER_MS: Final = 30 * MINUTE_MS


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One request for the link. `flag`: "" starts the click, "repeat" the same person again, "reused_id" somebody else or much later."""

    at_ms: int
    flag: str
    hit_id: str
    link: str
    link_id: str
    link_version: int
    http_status: int
    reason: str
    duration_us: int
    routing: list[str]
    page: str
    variant: str
    device: str
    browser: str
    network: str
    referrer_host: str
    parallel: bool
    #: Words seen on the spot, and those that its behaviour earned it since (correlator/traffic_words.py).
    bot_signals: list[str]
    behaviour: list[str]
    platform_id_names: list[str]


class TouchPoint(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    name: str
    page: str
    session_id: str
    value: float
    duration_s: float
    attributes: dict[str, str]


class SpanNode(msgspec.Struct, frozen=True, kw_only=True):
    """A span in the order in which a person reads the trace: parents before children; `depth` 0 has no parent that we know."""

    at_ms: int
    depth: int
    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    name: str
    route: str
    version: str
    duration_us: int
    status: str
    http_status: int
    error: str


class JourneyConversion(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    known_ms: int
    fact_id: str
    conversion_id: str
    type: str
    status: str
    origin: str
    value_micros: int
    currency: str
    method: str
    confidence: float
    duplicate_of: str
    qualified: bool
    #: Why it may be no person's (correlator/traffic_words.py).
    flags: list[str]
    worth: Worth
    life: list[LifeStep]


class SpendShare(msgspec.Struct, frozen=True, kw_only=True):
    """What this click cost: its hour's spend of the campaign divided by the hour's clicks. `basis` as in `performance.Cost`."""

    cost_micros: int
    currency: str
    basis: str
    hour_spend_micros: int
    hour_clicks: int


class NearbyDeploy(msgspec.Struct, frozen=True, kw_only=True):
    """A change marker near the click; `before_s` seconds before it (negative: after)."""

    at_ms: int
    before_s: float
    service: str
    version: str
    change: str
    author: str
    link: str
    description: str


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    click_id: str
    at_ms: int
    client: str
    platform: str
    campaign: str
    campaign_name: str
    ad_group: str
    creative: str
    keyword: str
    visitor_id: str
    lost: bool
    hits: list[Hit]
    touches: list[TouchPoint]
    spans: list[SpanNode]
    conversions: list[JourneyConversion]
    spend: SpendShare | None
    deploys: list[NearbyDeploy]


def journey(store: Store, config: CorrelatorConfig, click_id: str, question: Question) -> Journey:
    """The journey of a click as known at the question's moment.

    Raises:
        Invalid: `bad_click_id`.
        NotFound: `unknown_click`, there is none, or it belongs to a client the question may not see.
    """
    if not is_click_id(click_id):
        raise Invalid("bad_click_id", "click_id: 32 lower-case hex digits")
    hits = queries.read(store, queries.text("hit_from_click"), {"click_id": click_id, "as_of": question.known_by})
    if not hits:
        raise NotFound("unknown_click", f"there is no click {click_id}")
    first = hits[0]
    found = _beside(store, config, click_id, hits=hits, question=question)
    facts = found["facts"][0] if found["facts"] else {}
    client = str(first["client"] or facts.get("client", ""))
    if question.clients and client not in question.clients:
        raise NotFound("unknown_click", f"there is no click {click_id}")
    at = int(first["ts"])
    judged = {(row["segment"], row["o"]): row["flags"] for row in found["judged"]}
    agents = {row["user_agent"]: row for row in found["agents"]}
    return Journey(
        click_id=click_id,
        at_ms=at,
        client=client,
        platform=str(first["platform"]),
        campaign=str(first["campaign"]),
        campaign_name=str(facts.get("name", "")),
        ad_group=str(first["ad_group"]),
        creative=str(first["creative"]),
        keyword=str(first["keyword"]),
        visitor_id=str(first["visitor_id"]),
        lost=all(int(hit["http_status"]) >= 400 for hit in hits),
        hits=[
            _hit(hit, first, agent=agents.get(hit["user_agent"], {}), flags=judged.get((hit["segment"], hit["o"]), []))
            for hit in hits
        ],
        touches=[_touch(row) for row in found["touches"]],
        spans=span_tree(found["spans"]),
        conversions=found["conversions"],
        spend=found["spend"],
        deploys=[_deploy(row, at=at) for row in found["deploys"]],
    )


def hit_flag(hit: dict[str, Any], first: dict[str, Any]) -> str:
    """Which of the three a hit is, against the first hit of its click ID."""
    if hit["hit_id"] == first["hit_id"] and hit["ts"] == first["ts"]:
        return ""
    elsewhere = hit["network"] != first["network"] or hit["network_hash"] != first["network_hash"]
    return "reused_id" if elsewhere or int(hit["ts"]) - int(first["ts"]) > REUSE_AFTER_MS else "repeat"


def span_tree(rows: list[dict[str, Any]]) -> list[SpanNode]:
    """Spans depth first, children by start time; a span whose parent is not here begins a tree, a loop is shown once."""
    children: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    here = {(row["trace_id"], row["span_id"]) for row in rows}
    roots: list[dict[str, Any]] = []
    for row in rows:
        parent = (row["trace_id"], row["parent_span_id"])
        (children[parent] if parent in here and parent[1] != row["span_id"] else roots).append(row)
    found: list[SpanNode] = []
    seen: set[tuple[str, str]] = set()
    # Spans in a loop of parents hang below no root; they follow at the end.
    stack = [(row, 0) for row in reversed([*roots, *rows])]
    while stack:
        row, depth = stack.pop()
        place = (row["trace_id"], row["span_id"])
        if place not in seen:
            seen.add(place)
            found.append(_span(row, depth))
            stack += [(child, depth + 1) for child in reversed(children[place])]
    return found


def _beside(
    store: Store, config: CorrelatorConfig, click_id: str, *, hits: list[dict[str, Any]], question: Question
) -> Mapping[str, Any]:
    """Everything else that is known of a click whose hits are found, by name: none of it waits for another."""
    first = hits[0]
    at, campaign = int(first["ts"]), str(first["campaign"])
    question = named_where_needed(store, question)
    near = round(config.journey_deploy_window_s * 1000)
    params = {
        "click_id": click_id,
        "as_of": question.known_by,
        "judged": int(question.as_of is None),
        "since": at - near,
        "until": at + near,
        "segments": sorted({str(hit["segment"]) for hit in hits}),
        "os": sorted({int(hit["o"]) for hit in hits}),
        "agents": sorted({str(hit["user_agent"]) for hit in hits}),
    }

    def rows(name: str) -> Callable[[], Any]:
        return lambda: queries.read(store, queries.text(name), params)

    jobs: dict[str, Callable[[], Any]] = {
        "spend": lambda: _spend(store, config, campaign=campaign, at=at, question=question),
        "conversions": lambda: _conversions(store, config, click_id, since=at, question=question),
        "facts": lambda: _campaign_facts(store, campaign, question),
        "deploys": rows("deploy_nearby"),
        "touches": rows("touch_of_click"),
        "spans": rows("span_of_click"),
        "judged": rows("hit_judged"),
        "agents": rows("agent_of_hit"),
    }
    return side_by_side(jobs, lambda name: jobs[name]())


def _campaign_facts(store: Store, campaign: str, question: Question) -> list[dict[str, Any]]:
    # Whoever may see the click may see what its campaign is called.
    asked = msgspec.structs.replace(question, campaign=campaign, clients=())
    return campaign_rows(store, asked) if campaign else []


def _conversions(
    store: Store, config: CorrelatorConfig, click_id: str, *, since: int, question: Question
) -> list[JourneyConversion]:
    # As clocks differ, a conversion may lie a little before its click, or ahead of us. Who may see the click may see what belongs to it.
    skew = config.clock_skew_ms
    asked = msgspec.structs.replace(question, since=since - skew, until=question.until + skew, clients=())
    # Most clicks have none, and asking what one is worth is planned ten times as long as asking whether there is one.
    if asked.as_of is None and not queries.read(store, queries.text("click_converted"), {"click_id": click_id}):
        return []
    params = {**report_params(config, asked), "click_id": click_id, "judged": int(asked.as_of is None)}
    with matched(store, config, asked) as known:
        rows = read_report(store, "conversion_of_click", params, question=known)
    facts = {"fact_ids": [row["fact_id"] for row in rows], "as_of": asked.known_by}
    states = lives(queries.read(store, queries.text("state_of_conversion"), facts) if rows else [])
    return [
        JourneyConversion(
            at_ms=int(row["ts"]),
            known_ms=int(row["known_at"]),
            fact_id=row["fact_id"],
            conversion_id=row["conversion_id"],
            type=row["type"],
            status=row["status"],
            origin=row["origin"],
            value_micros=int(row["value_micros"]),
            currency=row["currency"],
            method=row["method"],
            confidence=round(float(row["confidence"]), 4),
            duplicate_of=row["duplicate_of"],
            qualified=bool(row["qualified"]),
            flags=[str(word) for word in row["flags"]],
            worth=worth(row, at=asked.at, entry=config.conversion_type(row["type"])),
            life=states[row["fact_id"]],
        )
        for row in rows
    ]


def _spend(store: Store, config: CorrelatorConfig, *, campaign: str, at: int, question: Question) -> SpendShare | None:
    if not campaign:
        return None
    hour = at - at % HOUR_MS
    asked = msgspec.structs.replace(question, since=hour, until=hour + HOUR_MS, grain_ms=0, campaign=campaign)
    cells = read_cells(store, config, asked, outcomes=False, together=in_turn)
    found = [row for row in performances(cells, config, asked) if row.clicks and row.cost.spend_micros]
    if not found:
        return None
    cost, clicks = found[0].cost, found[0].clicks
    return SpendShare(
        cost_micros=amount("cost_per_click", spend=cost.spend_micros, clicks=clicks) or 0,
        currency=cost.currency,
        basis=cost.basis,
        hour_spend_micros=cost.spend_micros,
        hour_clicks=clicks,
    )


def _hit(row: dict[str, Any], first: dict[str, Any], *, agent: dict[str, Any], flags: list[str]) -> Hit:
    return Hit(
        at_ms=int(row["ts"]),
        flag=hit_flag(row, first),
        hit_id=row["hit_id"],
        link=f"{row['domain']}/{row['slug']}",
        link_id=row["link_id"],
        link_version=int(row["link_version"]),
        http_status=int(row["http_status"]),
        reason=row["reason"],
        duration_us=int(row["duration_us"]),
        # A link that has no choice writes no trace: its hit went to the one destination.
        routing=[str(step) for step in row["routing"]] or (["destination"] if row["reason"] == "redirected" else []),
        page=row["page"],
        variant=row["variant"],
        device=agent.get("device", ""),
        browser=agent.get("browser", ""),
        network=row["network"],
        referrer_host=row["referrer_host"],
        parallel=bool(row["parallel"]),
        bot_signals=[str(signal) for signal in row["bot_signals"]],
        behaviour=[str(word) for word in flags],
        platform_id_names=[str(name) for name in row["platform_id_names"]],
    )


def _touch(row: dict[str, Any]) -> TouchPoint:
    return TouchPoint(
        at_ms=int(row["ts"]),
        name=row["name"],
        page=row["page"],
        session_id=row["session_id"],
        value=float(row["value"]),
        duration_s=int(row["duration_ms"]) / 1000,
        attributes=dict(row["attributes"]),
    )


def _span(row: dict[str, Any], depth: int) -> SpanNode:
    return SpanNode(
        at_ms=int(row["ts"]),
        depth=depth,
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_span_id=row["parent_span_id"],
        service=row["service"],
        name=row["name"],
        route=row["route"],
        version=row["version"],
        duration_us=int(row["duration_us"]),
        status=row["status"],
        http_status=int(row["http_status"]),
        error=row["error"],
    )


def _deploy(row: dict[str, Any], *, at: int) -> NearbyDeploy:
    return NearbyDeploy(
        at_ms=int(row["ts"]),
        before_s=(at - int(row["ts"])) / 1000,
        service=row["service"],
        version=row["version"],
        change=row["change"],
        author=row["author"],
        link=row["link"],
        description=row["description"],
    )
