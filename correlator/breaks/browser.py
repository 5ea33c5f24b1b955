"""Causes that lie in the visitor's browser: consent, blockers, a tag that is down, parameters that got lost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from correlator.breaks.model import Break, Cause, Hour, Signs, cause_of, clock

#: Systems that learn of a conversion from the visitor's browser.
BROWSER_SIDE: Final = frozenset({"analytics", "platform"})
#: Steps that the snippet in the visitor's browser reports.
SITE_STEPS: Final = frozenset({"landings", "form_starts", "form_submits"})
#: Steps whose count depends on who may be recognised.
RECOGNISED: Final = SITE_STEPS | {"sessions"}
#: Nothing where so much was expected happens by chance once in a thousand (exp(-7)).
_EXPECTED: Final = 7.0
#: Clicks from which a share of them is worth comparing, and the change of it that is.
_LEAST_CLICKS: Final = 100
_LEAST_CHANGE: Final = 0.02


def consent(found: Break, signs: Signs) -> Cause | None:
    """People who refused consent buy, but their browsers may not tell. For a step: more refuse than before."""
    if found.kind == "system" and found.system in BROWSER_SIDE:
        refused, total = sum(hour.refused for hour in signs.sold), sum(hour.conversions for hour in signs.sold)
        said = (
            f"{refused} of {total} conversions come from clicks that refused consent; {found.system} may not see them"
        )
        return cause_of("consent", -refused, found, said)
    if found.kind == "step" and found.name in RECOGNISED:
        now, usual = _refused(signs.hours), _refused(signs.before)
        if now is None or usual is None or now - usual < _LEAST_CHANGE:
            return None
        said = f"{now:.1%} of the clicks refused consent, {usual:.1%} in the seven days before"
        return cause_of("consent", -(now - usual) / (1 - usual) * found.expected, found, said)
    return None


def blockers(found: Break, signs: Signs) -> Cause | None:
    """Conversions of clicks that no page ever reported, in hours in which the tag works: browsers that block it."""
    if found.kind != "system" or found.system not in BROWSER_SIDE:
        return None
    dark = {hour.at_ms for hour in dark_hours(signs)}
    light = [hour for hour in signs.sold if hour.at_ms not in dark]
    unseen, total = sum(hour.unseen for hour in light), sum(hour.conversions for hour in light)
    # Where most are never seen, the tag is not on the page at all.
    if unseen * 2 > total:
        return None
    said = f"{unseen} of {total} conversions come from clicks whose browser never reported a page view, consent not refused"
    return cause_of("blockers", -unseen, found, said)


def tag_outage(found: Break, signs: Signs) -> Cause | None:
    """Clicks go on, and for hours no page reports anything, with or without a click ID."""
    dark = dark_hours(signs)
    if not dark:
        return None
    clicks = sum(hour.clicks for hour in dark)
    said = f"no page view in {len(dark)} h from {clock(dark[0].at_ms)} on, while {clicks} clicks came"
    if found.kind == "step" and found.name in SITE_STEPS:
        share = clicks / sum(hour.clicks for hour in signs.hours)
        return cause_of("tag_outage", -share * found.expected, found, said)
    if found.kind == "system" and found.system in BROWSER_SIDE:
        at = {hour.at_ms for hour in dark}
        missed = sum(hour.conversions for hour in signs.sold if hour.at_ms in at)
        return cause_of("tag_outage", -missed, found, said, f"{missed} conversions happened in these hours")
    return None


def parameters_stripped(found: Break, signs: Signs) -> Cause | None:
    """Page views go on, but no longer carry the click ID: something on the way drops the parameters."""
    if found.kind != "step" or found.name not in RECOGNISED:
        return None
    usual = _recognised(signs.before)
    hours = [hour for hour in signs.hours if _is_stripped(hour, usual)]
    if not hours:
        return None
    views, kept = sum(hour.views for hour in hours), sum(hour.views_with_click for hour in hours)
    clicks = sum(hour.clicks for hour in hours) / max(1, sum(hour.clicks for hour in signs.hours))
    said = f"from {clock(hours[0].at_ms)} on {kept} of {views} page views carry a click ID, {usual:.0%} in the seven days before"
    watched = [f"the destination watch saw the click ID lost on {page}" for page in signs.lost_on]
    amount = -clicks * (1 - kept / (views * usual)) * found.expected
    return cause_of("parameters_stripped", amount, found, said, *watched)


def dark_hours(signs: Signs) -> list[Hour]:
    """Hours in which clicks came and no page reported a thing, where otherwise enough of them do, in order."""
    light = [hour for hour in (*signs.before, *signs.hours) if hour.views]
    clicks = sum(hour.clicks for hour in light)
    rate = sum(hour.landed for hour in light) / clicks if clicks else 0.0
    return [hour for hour in signs.hours if not hour.views and hour.clicks * rate >= _EXPECTED]


def _is_stripped(hour: Hour, usual: float) -> bool:
    """Far fewer views of this hour carry a click ID than usual, and by chance hardly ever."""
    expected = usual * hour.views
    return expected >= _EXPECTED and hour.views_with_click < expected / 2


def _recognised(hours: Sequence[Hour]) -> float:
    views = sum(hour.views for hour in hours)
    return sum(hour.views_with_click for hour in hours) / views if views else 0.0


def _refused(hours: Sequence[Hour]) -> float | None:
    clicks = sum(hour.clicks for hour in hours)
    return sum(hour.refused for hour in hours) / clicks if clicks >= _LEAST_CLICKS else None
