"""How many conversions of a type each system counts and for how much, beside the one that the catalogue believes: pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from core.metric_catalogue import value
from correlator.breaks.currency import in_currency
from correlator.config import CorrelatorConfig
from correlator.counted import ORIGINS, Counts, Told
from correlator.exchange import Exchange

#: believed = the others are held against it; alone = the believed one counted nothing; few = outside the band by too few to look for a cause.
Agreement = Literal["believed", "alone", "within", "few", "outside"]


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Money by currency as the system told it, and in `currency` beside the believed one's; blank where either tells none."""

    told_micros: dict[str, int]
    currency: str
    sum_micros: int | None
    believed_micros: int | None
    difference_micros: int | None
    share: float | None
    within_band: bool | None


class SystemCount(msgspec.Struct, frozen=True, kw_only=True):
    """One system's count of a type against the believed one. `share` = difference / believed count: the variance."""

    type: str
    system: str
    conversions: int
    believed: bool
    difference: int | None
    share: float | None
    band: float
    within_band: bool | None
    state: Agreement
    duplicates: int
    sums: Sums


def systems_of(counts: Counts, *, config: CorrelatorConfig, exchange: Exchange) -> list[SystemCount]:
    """Every system that counted, by type, in the order in which a conversion is told on."""
    keys = sorted(counts.told, key=lambda key: (key[0], ORIGINS.index(key[1])))
    return [_system(key, counts, config=config, exchange=exchange) for key in keys]


def believed_system(type_: str, *, config: CorrelatorConfig) -> str:
    return config.conversion_type(type_).authoritative_origin


def rates_to(currency: str, names: set[str], exchange: Exchange) -> dict[str, float]:
    """What one unit of each currency is worth in `currency`; 0.0 = no rate leads there."""
    million = 1_000_000
    found = {}
    for name in names:
        worth = exchange.convert(million, sold=name, bought=currency)
        found[name] = 0.0 if worth is None else worth / million
    return found


def main_currency(sums: dict[str, int]) -> str:
    """The currency that most is told in; of equals the first by name."""
    return max(sorted(sums), key=lambda name: abs(sums[name]), default="")


def _system(key: tuple[str, str], counts: Counts, *, config: CorrelatorConfig, exchange: Exchange) -> SystemCount:
    type_, system = key
    told = counts.told[key]
    true = counts.told.get((type_, believed_system(type_, config=config)))
    is_believed = system == believed_system(type_, config=config)
    band = config.band_of(system)
    difference = None if true is None else round(told.conversions) - round(true.conversions)
    share = (
        None
        if true is None
        else value("reconciliation_variance", counted=round(told.conversions), believed=round(true.conversions))
    )
    within = None if share is None else abs(share) <= band
    return SystemCount(
        type=type_,
        system=system,
        conversions=round(told.conversions),
        believed=is_believed,
        difference=difference,
        share=share,
        band=band,
        within_band=within,
        state=_agreement(difference, within, is_believed=is_believed, least=config.reconciliation.least_difference),
        duplicates=told.duplicates,
        sums=_sums(told, true, band=band, exchange=exchange),
    )


def _agreement(difference: int | None, within: bool | None, *, is_believed: bool, least: int) -> Agreement:
    if is_believed:
        return "believed"
    if difference is None:
        return "alone"
    if within:
        return "within"
    return "outside" if abs(difference) >= least else "few"


def _sums(told: Told, true: Told | None, *, band: float, exchange: Exchange) -> Sums:
    if true is None or not told.sums or not true.sums:
        return Sums(
            told_micros=told.sums,
            currency="",
            sum_micros=None,
            believed_micros=None,
            difference_micros=None,
            share=None,
            within_band=None,
        )
    currency = main_currency(true.sums)
    rates = rates_to(currency, {*told.sums, *true.sums}, exchange)
    own, right = round(in_currency(told.sums, rates)), round(in_currency(true.sums, rates))
    share = value("reconciliation_variance", counted=own, believed=right)
    return Sums(
        told_micros=told.sums,
        currency=currency,
        sum_micros=own,
        believed_micros=right,
        difference_micros=own - right,
        share=share,
        within_band=None if share is None else abs(share) <= band,
    )
