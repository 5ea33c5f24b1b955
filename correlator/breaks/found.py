"""What of a reconciliation is a break: a system or its sum outside the accepted band, a step whose ratio is not as usual. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from correlator.breaks.model import Break
from correlator.counted import Counts
from correlator.leaks import Leak
from correlator.systems import SystemCount


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A scope and bucket before its breaks are explained."""

    scope: str
    since_ms: int
    until_ms: int
    counts: Counts
    systems: list[SystemCount]
    leaks: list[Leak]


def breaks_of(tables: Sequence[Table]) -> list[Break]:
    """What a cause is looked for, table by table."""
    return [found for table in tables for found in (*_of_systems(table), *_of_steps(table))]


def _of_systems(table: Table) -> Iterator[Break]:
    believed = {one.type: one for one in table.systems if one.believed}
    for one in table.systems:
        true = believed.get(one.type)
        if true is None:
            continue
        counted = Break(
            scope=table.scope,
            since_ms=table.since_ms,
            until_ms=table.until_ms,
            kind="system",
            name=one.type,
            system=one.system,
            believed=true.system,
            count=one.conversions,
            expected=true.conversions,
        )
        if one.state == "outside":
            yield counted
        elif one.state in ("within", "few") and one.sums.within_band is False:
            own, right = one.sums.sum_micros or 0, one.sums.believed_micros or 0
            yield msgspec.structs.replace(counted, kind="sum", count=own, expected=right, currency=one.sums.currency)


def _of_steps(table: Table) -> Iterator[Break]:
    before = {leak.step: leak.count for leak in table.leaks}
    for leak in table.leaks:
        if leak.usual is not None and leak.state in ("low", "high"):
            yield Break(
                scope=table.scope,
                since_ms=table.since_ms,
                until_ms=table.until_ms,
                kind="step",
                name=leak.step,
                believed=leak.of,
                count=leak.count if leak.compared is None else leak.compared,
                expected=leak.usual.ratio * before[leak.of],
            )
