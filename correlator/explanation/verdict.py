"""What happened: evidence in, probabilities over verdicts out (design §7.6). A pure function.

Each piece of evidence speaks for or against one verdict with a log-likelihood ratio in nats against "something we cannot name". No
single piece may decide alone: its weight is capped, because models of what failing looks like are never exact. "Unknown" keeps the
weight it starts with and wins where nothing fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from core.incidents import Evidence, Verdict

#: Nats that one observation may weigh.
CAP = 6.0
#: Log prior weights: how often each is the cause of an incident that detection finds, before looking; judged, not fitted.
PRIORS: dict[Verdict, float] = {
    Verdict.SITE_FAILING: math.log(0.20),
    Verdict.SITE_SLOW: math.log(0.12),
    Verdict.REDIRECT_FAILING: math.log(0.10),
    Verdict.TRACKING_BROKEN: math.log(0.15),
    Verdict.TRAFFIC_CHANGED: math.log(0.13),
    Verdict.DEMAND_CHANGED: math.log(0.05),
    Verdict.PLATFORM_DATA_LATE: math.log(0.05),
    Verdict.UNKNOWN: math.log(0.20),
}
#: What a named cause must have gained to be named at all: without any sign of it, it stays behind "unknown".
UNSUPPORTED = -2.0


def conclude(evidence: Iterable[Evidence]) -> dict[Verdict, float]:
    """Posterior probability of every verdict, likeliest first."""
    scores = {
        verdict: prior + (0.0 if verdict is Verdict.UNKNOWN else UNSUPPORTED) for verdict, prior in PRIORS.items()
    }
    for piece in evidence:
        scores[Verdict(piece.verdict)] += max(-CAP, min(CAP, piece.log_likelihood))
    top = max(scores.values())
    weights = {verdict: math.exp(score - top) for verdict, score in scores.items()}
    total = sum(weights.values())
    ranked = sorted(weights.items(), key=lambda item: item[1], reverse=True)
    return {verdict: weight / total for verdict, weight in ranked}
