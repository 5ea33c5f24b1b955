"""What a pause is worth: pure arithmetic on an incident's figures. Rates are fractions of clicks, money is micros per hour."""

from __future__ import annotations

import msgspec

from core.incidents import AffectedCampaign, IncidentPayload
from core.metric_catalogue import value


class PauseBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What a pause saves in the broken part of a campaign and gives up in the healthy part, micros per hour."""

    saved_micros: int
    given_up_micros: int


def pause_balance(campaign: AffectedCampaign, incident: IncidentPayload) -> PauseBalance | None:
    """The economics of pausing a whole campaign for a fault that touches `scope_share` of it; None without a break-even.

    A unit of spend at conversion rate r earns r / break_even units of margin, so the broken part loses spend x (1 - r / b) and the
    healthy part earns spend x (baseline / b - 1). r is the scope's drop laid on the campaign's own baseline: one campaign alone sees
    a handful of conversions in the first minutes, and its answer would flip with every one of them.
    """
    if not campaign.break_even_rate:
        return None
    kept = value("rate_to_baseline", rate=incident.rate, baseline_rate=incident.baseline_rate)
    rate = campaign.rate if kept is None or campaign.baseline_rate <= 0 else campaign.baseline_rate * kept
    inside = campaign.exposed_per_hour_micros
    share = min(max(campaign.scope_share, 0.0), 1.0)
    outside = inside * (1 - share) / share if share > 0 else 0.0
    saved = inside * (1 - _to_break_even(rate, campaign))
    given_up = max(outside * (_to_break_even(campaign.baseline_rate, campaign) - 1), 0.0)
    return PauseBalance(saved_micros=round(saved), given_up_micros=round(given_up))


def upper_rate(campaign: AffectedCampaign, payload: IncidentPayload) -> float | None:
    """Upper limit of a campaign's conversion rate inside the scope, as a fraction; None when nothing bounds it.

    One campaign of a scope sees too few clicks for a limit of its own within minutes, while the scope as a whole has been tested: so
    the scope's always-valid limit, as a share of its baseline, is laid on the campaign's own baseline. The campaign's own limit counts
    when it is tighter. (Each is a 95 % limit; together they are at least a 90 % one, which `lower_to_break_even` backs up by letting
    the campaign's own figures speak against a pause.)
    """
    limits = []
    if campaign.clicks > 0:
        limits.append(campaign.rate_high)
    kept = value("rate_to_baseline", rate=payload.rate_high, baseline_rate=payload.baseline_rate)
    if kept is not None and campaign.baseline_rate > 0:
        limits.append(campaign.baseline_rate * kept)
    return min(limits) if limits else None


def _to_break_even(rate: float, campaign: AffectedCampaign) -> float:
    return value("rate_to_break_even", rate=rate, break_even_rate=campaign.break_even_rate) or 0.0
