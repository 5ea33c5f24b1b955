"""How often the explanation was right, over the incidents that the detector saw, with its own onsets (theory.md 4.2.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from app.evaluate.scoring import lower_bound, share

Run = Mapping[str, Any]

#: What should be said of each cause. A failing redirect is judged by whether its clicks pass through it.
EXPECTED: Final[Mapping[str, str]] = {
    "bad deploy": "site_failing",
    "page latency": "site_slow",
    "form errors in one browser": "site_failing",
    "tracking outage": "tracking_broken",
    "feed lag": "platform_data_late",
    "bot traffic": "traffic_changed",
    "targeting change": "traffic_changed",
    "mix shift": "traffic_changed",
    "stock-out": "demand_changed",
    "market demand": "demand_changed",
}
#: Verdicts that say that sales are lost on the site or on the way to it.
REAL: Final = ("site_failing", "site_slow", "redirect_failing")
#: Sales go on: a pause is wrong whatever the figures say.
NEVER_PAUSED: Final = ("tracking outage", "feed lag")
#: A suspect is blamed from this probability on.
BLAMED: Final = 0.5


def expected_of(run: Run) -> str:
    """The verdict that is right; empty where nothing happened."""
    if run["law"] == "hits":
        return "redirect_failing" if run["through_redirect"] else "tracking_broken"
    return EXPECTED.get(run["cause"], "")


def cause_figures(incidents: Sequence[Run]) -> dict[str, Any]:
    """Verdicts, scopes, onsets and suspects against the truth."""
    told = [(run, run["explained"]) for run in incidents if run["explained"] is not None and expected_of(run)]
    rank = [_rank(run, said) for run, said in told]
    real = [said for run, said in told if expected_of(run) in REAL]
    outages = [said for run, said in told if run["cause"] == "tracking outage"]
    innocent = [said for run, said in told if said["guilty"] is None]
    guilty = [said for run, said in told if said["guilty"] is not None]
    return {
        "explained": len(told),
        "top_1": share(sum(r < 1 for r in rank), len(rank)),
        "top_3": share(sum(r < 3 for r in rank), len(rank)),
        "top_1_by_cause": _macro(told),
        "outage_taken_for_real": share(sum(_said(s) in REAL for s in outages), len(outages)),
        "real_taken_for_outage": share(sum(_said(s) == "tracking_broken" for s in real), len(real)),
        "innocent_deploy_blamed": share(sum(_blames(s) is not None for s in innocent), len(innocent)),
        "guilty_deploy_named": share(sum(_blames(s) == s["guilty"] for s in guilty), len(guilty)),
        "scope_exact": share(sum(said["scope_exact"] for _, said in told), len(told)),
        "onset_error_minutes": round(float(np.median([abs(s["onset_error"]) for _, s in told])), 2) if told else None,
        "pauses": _pauses([(run, run["explained"]) for run in incidents if run["explained"] is not None]),
        "confusion": _confusion(told),
    }


def _rank(run: Run, said: Run) -> int:
    names = [verdict for verdict, _ in said["verdicts"]]
    return names.index(expected_of(run))


def _said(said: Run) -> str:
    return str(said["verdicts"][0][0])


def _blames(said: Run) -> str | None:
    suspect = said["suspect"]
    return str(suspect[0]) if suspect is not None and suspect[1] >= BLAMED else None


def _macro(told: Sequence[tuple[Run, Run]]) -> dict[str, float]:
    """Share of top-1 by cause; their mean is the macro average."""
    found: dict[str, float] = {}
    for cause in sorted({run["cause"] for run, _ in told}):
        own = [(run, said) for run, said in told if run["cause"] == cause]
        found[cause] = round(sum(_rank(run, said) == 0 for run, said in own) / len(own), 3)
    return found


def _pauses(told: Sequence[tuple[Run, Run]]) -> dict[str, Any]:
    """Campaigns that the shipped rule asked to pause: right where going on would have lost money."""
    asked = [right for _, said in told for _, right in said["paused"]]
    unsold = [said for run, said in told if run["cause"] in NEVER_PAUSED]
    return {
        "precision": share(sum(asked), len(asked)),
        "precision_lower_95": lower_bound(sum(asked), len(asked)),
        "asked_in_outages_and_late_feeds": share(sum(bool(said["paused"]) for said in unsold), len(unsold)),
    }


def _confusion(told: Sequence[tuple[Run, Run]]) -> dict[str, dict[str, int]]:
    """Cause -> verdict -> how often, most frequent first."""
    counts: dict[str, Counter[str]] = {}
    for run, said in told:
        counts.setdefault(run["cause"], Counter())[_said(said)] += 1
    return {cause: dict(said.most_common()) for cause, said in sorted(counts.items())}
