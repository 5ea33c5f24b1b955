"""Conversions that we could not match, modelled: people who declined consent, and those whose browser blocks the page's script.

A click whose landing page we saw converts at a rate that we observe. Clicks that we could not follow are taken to convert like them, and what
their group lacks is modelled, never added to what is observed. Conservatively:

1. Only where enough clicks were seen, and where the two rates are told apart (Newcombe's 95 % limits leave out zero).
2. Of clicks without a page view nobody knows how many just left: their lower limit is zero.
3. Never more than a stated share of what was observed, nor than the campaign's part, by clicks not followed, of the conversions that
   found no click at all: those are the ones that can be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig
from correlator.intervals import Interval, difference, wilson
from correlator.period import Question
from correlator.report_queries import matches, report_params, visible_to

#: Why nothing is modelled of a group.
Refusal = Literal["", "no_clicks", "too_few_clicks", "no_difference"]
#: What held the modelled number down.
Cap = Literal["", "observed_share", "unattributed"]
#: Clicks that were seen; from fewer no rate is carried over to others.
LEAST_SEEN: Final = 100


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Clicks that could not be followed, those of them that a conversion was matched to all the same, and what is modelled besides."""

    clicks: int
    converted: int
    modelled: float
    low: float
    high: float
    refusal: Refusal


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign. `observed` = clicks with a matched conversion in all groups; `limit` = the most that may be modelled."""

    campaign: str
    seen_clicks: int
    seen_rate: Interval | None
    observed: int
    consent: Group
    blockers: Group
    modelled: float
    low: float
    high: float
    limit: float
    capped: Cap


def missing(store: Store, config: CorrelatorConfig, question: Question) -> list[Missing]:
    """Every campaign with clicks in the period that had their chance to convert, by name."""
    parts = {"visible": visible_to(question)["visible"], "period": queries.text("period"), "matches": matches(question)}
    rows = queries.read(store, queries.compose("reach_from_click", parts), report_params(config, question))
    hidden = sum(int(row["declined"]) + int(row["unseen"]) for row in rows)
    return [model(row, hidden_everywhere=hidden, share=config.missing_share_at_most) for row in rows if row["shown"]]


def model(row: dict[str, Any], *, hidden_everywhere: int, share: float) -> Missing:
    """One row of reach_from_click.sql.

    Args:
        hidden_everywhere: clicks of all campaigns that could not be followed.
        share: of the observed conversions, that modelled ones may not exceed.
    """
    seen = wilson(int(row["seen_sold"]), int(row["seen"])) if int(row["seen"]) >= LEAST_SEEN else None
    consent = _group(seen, int(row["declined"]), int(row["declined_sold"]), landed=True)
    blockers = _group(seen, int(row["unseen"]), int(row["unseen_sold"]), landed=False)
    observed = int(row["seen_sold"]) + consent.converted + blockers.converted
    hidden = consent.clicks + blockers.clicks
    limits: list[tuple[float, Cap]] = [
        (share * observed, "observed_share"),
        (int(row["unattributed"]) * hidden / hidden_everywhere if hidden_everywhere else 0.0, "unattributed"),
    ]
    limit, word = min(limits)
    wanted = consent.modelled + blockers.modelled
    held = [_held(group, limit, of=wanted) for group in (consent, blockers)]
    return Missing(
        campaign=str(row["campaign"]),
        seen_clicks=int(row["seen"]),
        seen_rate=seen,
        observed=observed,
        consent=held[0],
        blockers=held[1],
        modelled=_sum(held, "modelled"),
        low=_sum(held, "low"),
        high=min(limit, _sum(held, "high")),
        limit=limit,
        capped=word if wanted > limit else "",
    )


def _group(seen: Interval | None, clicks: int, converted: int, *, landed: bool) -> Group:
    """What a group lacks to the rate of the clicks seen. `landed`: its people certainly reached the page."""
    rate = wilson(converted, clicks)
    if seen is None or rate is None:
        return _nothing(clicks, converted, "too_few_clicks" if clicks else "no_clicks")
    lacks = difference(seen, rate)
    if lacks.low <= 0:
        return _nothing(clicks, converted, "no_difference")
    return Group(
        clicks=clicks,
        converted=converted,
        modelled=clicks * lacks.rate,
        low=clicks * lacks.low if landed else 0.0,
        high=clicks * lacks.high,
        refusal="",
    )


def _nothing(clicks: int, converted: int, refusal: Refusal) -> Group:
    return Group(clicks=clicks, converted=converted, modelled=0.0, low=0.0, high=0.0, refusal=refusal)


def _held(group: Group, limit: float, *, of: float) -> Group:
    """The group's part of what may be modelled, when all groups together want `of`."""
    factor = min(1.0, limit / of) if of > 0 else 1.0
    modelled = group.modelled * factor
    return msgspec.structs.replace(group, modelled=modelled, low=min(group.low, modelled), high=min(group.high, limit))


def _sum(groups: Sequence[Group], name: str) -> float:
    return sum(float(getattr(group, name)) for group in groups)
