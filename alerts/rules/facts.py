"""The facts that conditions may name, with their types: a closed list, so that a misspelt one is found before it matters.

Incident and campaign facts come from `core.incidents`; rates are fractions, money is in currency units, times in seconds. A fact that
is not known is None, and a condition on it is neither true nor false.
"""

from __future__ import annotations

from alerts.economics import pause_balance, upper_rate
from core.incidents import AffectedCampaign, IncidentPayload
from core.metric_catalogue import value
from core.money import MICROS

FactValue = bool | float | str | None
Facts = dict[str, FactValue]

#: name -> (type, meaning)
INCIDENT_FACTS: dict[str, tuple[type, str]] = {
    "incident.state": (str, "open, recovering or closed"),
    "incident.verdict": (str, "what happened, e.g. site_failing"),
    "incident.direction": (str, "drop or rise"),
    "incident.hypothesis": (str, "arrival, cohort or unknown"),
    "incident.confidence": (float, "posterior of the verdict, 0 to 1"),
    "incident.clicks": (float, "exposure-weighted clicks since onset in the scope"),
    "incident.expected": (float, "conversions expected since onset"),
    "incident.observed": (float, "conversions seen since onset"),
    "incident.lost_share": (float, "estimated share of conversions lost"),
    "incident.rate_to_baseline": (float, "estimated rate / baseline rate"),
    "incident.rate_high_to_baseline": (float, "upper always-valid limit of the rate / baseline rate"),
    "incident.wasted_per_hour": (float, "wasted spend per hour, currency units"),
    "incident.exposed_per_hour": (float, "exposed spend per hour, currency units"),
    "incident.age_s": (float, "seconds since the onset"),
    "incident.infrastructure_healthy": (bool, "no service in the scope is failing or slow"),
    "incident.recovered": (bool, "the recovery probe says the fault is gone"),
}

CAMPAIGN_FACTS: dict[str, tuple[type, str]] = {
    "campaign.id": (str, "qualified campaign ID"),
    "campaign.platform": (str, "google, meta, microsoft, …"),
    "campaign.client": (str, "tenant"),
    "campaign.parallel_tracking": (bool, "the browser goes straight to the page"),
    "campaign.loses_sales": (bool, "buyers of this campaign are lost, not only their tracking"),
    "campaign.clicks": (float, "exposure-weighted clicks since onset"),
    "campaign.expected": (float, "conversions expected since onset"),
    "campaign.observed": (float, "conversions seen since onset"),
    "campaign.scope_share": (float, "share of its clicks that the fault touches"),
    "campaign.pause_gain_per_hour": (
        float,
        "what pausing saves less what it gives up, currency units; unknown without a margin",
    ),
    "campaign.wasted_per_hour": (float, "wasted spend per hour, currency units"),
    "campaign.break_even_rate": (float, "cost per click / margin per conversion; unknown without a margin"),
    "campaign.upper_to_baseline": (float, "upper limit of its rate / its baseline"),
    "campaign.upper_to_break_even": (float, "upper limit of its rate / its break-even; unknown without a margin"),
    "campaign.lower_to_break_even": (float, "lower limit of its own rate / its break-even"),
}

REDIRECT_FACTS: dict[str, tuple[type, str]] = {
    "redirect.hits": (float, "hits on known links in the window"),
    "redirect.p50_s": (float, "median time to answer, seconds"),
    "redirect.p95_s": (float, "95th percentile of the time to answer, seconds"),
    "redirect.p99_s": (float, "99th percentile of the time to answer, seconds"),
    "redirect.lost_share": (float, "hits not answered by a redirect / hits"),
}

DESTINATION_FACTS: dict[str, tuple[type, str]] = {
    "destination.watched": (float, "pages of the host that links lead to"),
    "destination.failing": (float, "of these, pages that do not work"),
    "destination.changed": (float, "of these, pages that are not what they were"),
    "destination.care": (float, "of these, pages that work but need somebody's care"),
}

CATALOGUE: dict[str, tuple[type, str]] = {**INCIDENT_FACTS, **CAMPAIGN_FACTS, **REDIRECT_FACTS, **DESTINATION_FACTS}


def incident_facts(payload: IncidentPayload, *, state: str, now: int) -> Facts:
    """Facts of a whole incident."""
    return {
        "incident.state": state,
        "incident.verdict": payload.verdict,
        "incident.direction": payload.direction,
        "incident.hypothesis": payload.hypothesis,
        "incident.confidence": payload.confidence,
        "incident.clicks": payload.clicks,
        "incident.expected": payload.expected,
        "incident.observed": float(payload.observed),
        "incident.lost_share": payload.lost_share,
        "incident.rate_to_baseline": value("rate_to_baseline", rate=payload.rate, baseline_rate=payload.baseline_rate),
        "incident.rate_high_to_baseline": value(
            "rate_to_baseline", rate=payload.rate_high, baseline_rate=payload.baseline_rate
        ),
        "incident.wasted_per_hour": payload.cost.wasted_per_hour_micros / MICROS,
        "incident.exposed_per_hour": payload.cost.exposed_per_hour_micros / MICROS,
        "incident.age_s": (now - payload.onset) / 1000,
        "incident.infrastructure_healthy": payload.infrastructure_healthy,
        "incident.recovered": payload.recovery is not None and payload.recovery.recovered,
    }


def campaign_facts(campaign: AffectedCampaign, payload: IncidentPayload) -> Facts:
    """Facts of one campaign inside an incident."""
    upper = upper_rate(campaign, payload)
    balance = pause_balance(campaign, payload)
    return {
        "campaign.id": campaign.campaign,
        "campaign.platform": campaign.platform,
        "campaign.client": campaign.client,
        "campaign.parallel_tracking": campaign.parallel_tracking,
        "campaign.loses_sales": campaign.loses_sales,
        "campaign.clicks": campaign.clicks,
        "campaign.expected": campaign.expected,
        "campaign.observed": float(campaign.observed),
        "campaign.scope_share": campaign.scope_share,
        "campaign.pause_gain_per_hour": (balance.saved_micros - balance.given_up_micros) / MICROS if balance else None,
        "campaign.wasted_per_hour": campaign.wasted_per_hour_micros / MICROS,
        "campaign.break_even_rate": campaign.break_even_rate or None,
        "campaign.upper_to_baseline": value("rate_to_baseline", rate=upper, baseline_rate=campaign.baseline_rate),
        "campaign.upper_to_break_even": value(
            "rate_to_break_even", rate=upper, break_even_rate=campaign.break_even_rate
        ),
        "campaign.lower_to_break_even": value(
            "rate_to_break_even", rate=campaign.rate_low, break_even_rate=campaign.break_even_rate
        ),
    }
