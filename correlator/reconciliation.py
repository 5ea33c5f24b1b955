"""Where the systems' counts differ, and at which step clicks and sales get lost.

Two tables per bucket. `systems`: how many conversions of a type each origin counts, beside the origin the catalogue believes.
`leaks`: billed clicks, hits, clicks, sessions as the site's analytics counts them, landings, form starts and submits, then conversions by
origin; the difference and ratio of each step to the one before.

An origin is counted by its single conversions where they were sent to us, else by the totals it tells (tallies): never by both.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec

from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.performance import read_report, report_params
from correlator.period import Question

#: The way a conversion is told on: who counts it first stands first.
ORIGINS: Final = ("platform", "analytics", "backend", "crm", "offline")
SESSION: Final = "session"
_TOUCHES: Final = {"page_view": "landings", "form_start": "form_starts", "form_submit": "form_submits"}


class SystemCount(msgspec.Struct, frozen=True, kw_only=True):
    """One system's count of a type against the believed one. `share` = difference / believed count."""

    type: str
    system: str
    conversions: int
    believed: bool
    difference: int | None
    share: float | None
    within_band: bool | None
    duplicates: int


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """One step and what was lost (negative) or gained since the step before it; blank where a step was not counted at all."""

    step: str
    count: int
    difference: int | None
    ratio: float | None
    within_band: bool | None


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    since_ms: int
    until_ms: int
    band: float
    systems: list[SystemCount]
    leaks: list[Leak]


def reconciliation(store: Store, config: CorrelatorConfig, question: Question) -> list[Reconciliation]:
    """One per bucket of the question's grain (the whole period without one), in order of time."""
    params = report_params(config, question)

    def rows(name: str) -> dict[int, list[dict[str, Any]]]:
        return _by_bucket(read_report(store, name, params, question=question))

    systems, traffic, costs, touches, tallies = (
        rows(name)
        for name in (
            "system_from_match",
            "traffic_from_click",
            "cost_from_spend",
            "step_from_touch",
            "tally_in_period",
        )
    )
    told = _told(systems, tallies, config=config)
    return [
        Reconciliation(
            since_ms=bucket,
            until_ms=min(bucket + question.bucket_ms, question.until),
            band=config.reconciliation_band,
            systems=_systems(told.get(bucket, []), config=config),
            leaks=leak_table(
                [
                    *_clicks(costs.get(bucket, []), traffic.get(bucket, [])),
                    *_sessions(tallies.get(bucket, [])),
                    *_site_steps(touches.get(bucket, [])),
                ],
                _by_origin(told.get(bucket, [])),
                band=config.reconciliation_band,
            ),
        )
        for bucket in sorted({*told, *traffic, *costs, *touches})
    ]


def _told(
    systems: dict[int, list[dict[str, Any]]], tallies: dict[int, list[dict[str, Any]]], *, config: CorrelatorConfig
) -> dict[int, list[dict[str, Any]]]:
    """Single conversions, and totals of the types that we know where an origin sends no single ones in the whole period."""
    sent = {(row["type"], row["origin"]) for rows in systems.values() for row in rows}
    known = {*config.catalogue, *(type_ for type_, _ in sent)}
    found = defaultdict(list, {bucket: list(rows) for bucket, rows in systems.items()})
    for bucket, rows in tallies.items():
        for row in rows:
            if row["type"] in known and (row["type"], row["origin"]) not in sent:
                total = {
                    "type": row["type"],
                    "origin": row["origin"],
                    "conversions": round(row["count"]),
                    "duplicates": 0,
                }
                found[bucket].append(total)
    return found


def leak_table(funnel: list[tuple[str, int]], chains: dict[str, list[tuple[str, int]]], *, band: float) -> list[Leak]:
    """Differences step by step. The band is asked only inside a chain, whose systems count the same thing."""
    found = [_leak(step, count, before, band=None) for (step, count), before in _with_previous(funnel)]
    for type_, chain in sorted(chains.items()):
        found += [
            _leak(f"{type_} ({system})", count, before, band=band) for (system, count), before in _with_previous(chain)
        ]
    return found


def _leak(step: str, count: int, before: int | None, *, band: float | None) -> Leak:
    difference = None if before is None else count - before
    ratio = None if not before else count / before
    within = None if ratio is None or band is None else abs(ratio - 1) <= band
    return Leak(step=step, count=count, difference=difference, ratio=ratio, within_band=within)


def _with_previous(steps: list[tuple[str, int]]) -> list[tuple[tuple[str, int], int | None]]:
    counts: list[int | None] = [None, *(count for _, count in steps)]
    return list(zip(steps, counts, strict=False))


def _systems(rows: list[dict[str, Any]], *, config: CorrelatorConfig) -> list[SystemCount]:
    believed = {
        row["type"]: int(row["conversions"])
        for row in rows
        if row["origin"] == config.conversion_type(row["type"]).authoritative_origin
    }
    return [_system(row, believed.get(row["type"]), config=config) for row in rows]


def _system(row: dict[str, Any], believed: int | None, *, config: CorrelatorConfig) -> SystemCount:
    count = int(row["conversions"])
    difference = None if believed is None else count - believed
    share = difference / believed if difference is not None and believed else None
    return SystemCount(
        type=row["type"],
        system=row["origin"],
        conversions=count,
        believed=row["origin"] == config.conversion_type(row["type"]).authoritative_origin,
        difference=difference,
        share=share,
        within_band=None if share is None else abs(share) <= config.reconciliation_band,
        duplicates=int(row["duplicates"]),
    )


def _clicks(costs: list[dict[str, Any]], traffic: list[dict[str, Any]]) -> list[tuple[str, int]]:
    billed = [("billed_clicks", round(sum(float(row["platform_clicks"]) for row in costs)))] if costs else []
    hits = sum(int(row["hits"]) for row in traffic)
    clicks = sum(int(row["clicks"]) for row in traffic)
    return [*billed, ("hits", hits), ("clicks", clicks)]


def _sessions(tallies: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Sessions of campaigns, where the site's analytics is read."""
    counts = [float(row["count"]) for row in tallies if row["type"] == SESSION]
    return [("sessions", round(sum(counts)))] if counts else []


def _site_steps(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    counts = {row["name"]: int(row["clicks"]) for row in rows}
    return [(step, counts[name]) for name, step in _TOUCHES.items() if name in counts]


def _by_origin(rows: list[dict[str, Any]]) -> dict[str, list[tuple[str, int]]]:
    chains: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: ORIGINS.index(row["origin"])):
        chains[row["type"]].append((row["origin"], int(row["conversions"])))
    return chains


def _by_bucket(rows: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[int(row["bucket"])].append(row)
    return found
