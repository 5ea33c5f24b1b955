"""Spend that the platforms do not tell by a dimension, shared by clicks: a model, in a column of its own, never in the spend.

Each campaign's untold spend of a bucket goes to its values in proportion to their clicks there, exact to the micro. Where it has no clicks it
stays under `NOT_TOLD`. Over all rows the apportioned spend is the spend.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec

from correlator.apportion import apportion
from correlator.cells import Cell, Cells
from correlator.dimensions import NOT_TOLD


class Apportioned(msgspec.Struct, frozen=True, kw_only=True):
    """The live figures of a row with its modelled part of the untold spend."""

    spend_micros: int
    roi: float | None
    roas: float | None
    cost_per_conversion_micros: int | None
    cost_per_lead_micros: int | None


def apportioned_spend(found: Cells) -> dict[tuple[str, int, str], int]:
    """Micros to add by (value, bucket, currency), less than nothing where they are taken from; {} when all spend is told."""
    added: dict[tuple[str, int, str], int] = defaultdict(int)
    clicked = _clicked(found)
    for (value, bucket, campaign), cell in sorted(found.cells.items()):
        if value == NOT_TOLD:
            for currency, micros in sorted(cell.spent().items()):
                _share(added, micros, clicked.get((bucket, campaign), []), bucket=bucket, currency=currency)
    return dict(added)


def _clicked(found: Cells) -> dict[tuple[int, str], list[tuple[str, Cell]]]:
    values: dict[tuple[int, str], list[tuple[str, Cell]]] = defaultdict(list)
    for (value, bucket, campaign), cell in sorted(found.cells.items()):
        if value != NOT_TOLD and cell.clicks:
            values[bucket, campaign].append((value, cell))
    return values


def _share(
    added: dict[tuple[str, int, str], int],
    micros: int,
    values: list[tuple[str, Cell]],
    *,
    bucket: int,
    currency: str,
) -> None:
    parts = apportion(micros, [cell.clicks for _, cell in values])
    for (value, _), part in zip(values, parts, strict=True):
        added[value, bucket, currency] += part
    added[NOT_TOLD, bucket, currency] -= sum(parts)
