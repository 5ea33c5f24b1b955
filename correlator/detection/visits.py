"""Shares of what browsers tell: landings per click, visits that go on, forms that are submitted. Each by its complement, so that it rises.

A trial is counted once, `GRACE_MS` of its kind after it became known: until then a missing touch says nothing, and one that is later than
that is late in the history as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import pyarrow
import pyarrow.compute as compute

from correlator.detection.shares import ShareKey, hourly_spread, share_name

Row = dict[str, Any]
#: Key, hits, trials.
Counted = tuple[ShareKey, float, float]

#: A page view is told within seconds; a visit that goes on, and a form that is submitted, within minutes.
GRACE_MS: Final = {"unlanded": 60_000, "bounced": 300_000, "unsubmitted": 300_000}


def unlanded(rows: Iterable[Row]) -> list[Counted]:
    """Clicks without a page view, by campaign and by page and device."""
    return [counted for row in rows for counted in _both("unlanded", row, row["clicks"] - row["landed"], row["clicks"])]


def bounced(rows: Iterable[Row]) -> list[Counted]:
    """Landings that nothing followed, by campaign and by page and device."""
    return [
        counted
        for row in rows
        if row["landed"]
        for counted in _both("bounced", row, row["landed"] - row["engaged"], row["landed"])
    ]


def unsubmitted(rows: Iterable[Row]) -> list[Counted]:
    """Forms that were begun and not submitted, by page and device."""
    return [
        (ShareKey("unsubmitted", "", row["page"], row["device"]), row["begun"] - row["submitted"], row["begun"])
        for row in rows
        if row["page"]
    ]


def _both(kind: str, row: Row, hits: float, trials: float) -> list[Counted]:
    found = [(ShareKey(kind, row["campaign"]), hits, trials)]
    if row["page"]:
        found.append((ShareKey(kind, "", row["page"], row["device"]), hits, trials))
    return found


class Usual(NamedTuple):
    """What shares usually are: (share, trials) and the spread of their hourly values, by the key's name."""

    shares: dict[str, tuple[float, float]]
    spreads: dict[str, float]


def usual_visits(landings: pyarrow.Table, forms: pyarrow.Table) -> Usual:
    """The usual shares from the columns of detection_history_landings and detection_history_forms, which are by the hour."""
    found = Usual({}, {})
    lost = landings.append_column("unlanded", compute.subtract(landings["clicks"], landings["landed"]))
    lost = lost.append_column("bounced", compute.subtract(landings["landed_late"], landings["engaged"]))
    for kind, trials in (("unlanded", "clicks"), ("bounced", "landed_late")):
        _take_up(found, lost, kind, trials, ["campaign"])
        _take_up(found, lost, kind, trials, ["page", "device"])
    given_up = forms.append_column("unsubmitted", compute.subtract(forms["begun"], forms["submitted"]))
    _take_up(found, given_up, "unsubmitted", "begun", ["page", "device"])
    return found


def _take_up(found: Usual, table: pyarrow.Table, kind: str, trials: str, grain: Sequence[str]) -> None:
    hourly = table.group_by([*grain, "hour"]).aggregate([(kind, "sum"), (trials, "sum")])
    hourly = hourly.filter(compute.greater(hourly[f"{trials}_sum"], 0))
    bad, asked = (compute.cast(hourly[f"{name}_sum"], pyarrow.float64()) for name in (kind, trials))
    columns = {"hits": bad, "trials": asked, "scatter": compute.divide(compute.multiply(bad, bad), asked)}
    columns |= {"squares": compute.multiply(asked, asked)}
    for name, values in columns.items():
        hourly = hourly.append_column(name, values)
    sums = hourly.group_by(list(grain)).aggregate([(name, "sum") for name in columns] + [("hour", "count")])
    for row in sums.to_pylist():
        subject, route, device = row.get("campaign", ""), row.get("page", ""), row.get("device", "")
        if not subject and not route:
            continue
        name = share_name(ShareKey(kind, subject, route, device))
        found.shares[name] = usual_share(row["hits_sum"], row["trials_sum"])
        spread = hourly_spread(
            row["hits_sum"],
            row["trials_sum"],
            hours=row["hour_count"],
            scatter=row["scatter_sum"],
            squares=row["squares_sum"],
        )
        if spread is not None:
            found.spreads[name] = spread


def usual_share(hits: float, trials: float) -> tuple[float, float]:
    """(share, trials); no share is exactly 0 or 1."""
    return (float(hits) + 0.5) / (float(trials) + 1), float(trials)
