"""The correlator's settings: the conversion catalogue, look-back, bands and grains.

The catalogue says for each type of conversion what it is worth, how sure that is, who is believed when several report the same one,
and when two of them are one (design §5).
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from core.clock import DAY_MS
from core.money import to_micros
from core.records import ConversionStatus, Origin
from core.settings import Section
from correlator.attribution_config import AttributionConfig
from correlator.configured_cost import ConfiguredCost
from correlator.reconciling_config import ReconciliationConfig

LagClass = Literal["seconds", "minutes", "hours", "days", "weeks"]
#: After this long, practically every conversion of the class has come; a rate over younger clicks would be too low.
MATURITY_S: Final[dict[LagClass, int]] = {
    "seconds": 600,
    "minutes": 7_200,
    "hours": 86_400,
    "days": 7 * 86_400,
    "weeks": 30 * 86_400,
}
_QUALIFIED: Final[tuple[ConversionStatus, ...]] = ("qualified", "confirmed")
DuplicateKey = Literal["order_id", "crm_id", "email_sha256", "phone_sha256"]


class DuplicateRule(Section):
    """Two conversions of one type and origin with an equal key, closer than the window, are one: the later is the duplicate."""

    keys: list[DuplicateKey] = Field(default_factory=list, description="Which keys name the same person or order.")
    window_hours: float = Field(24.0, ge=0, description="Longest pause between two that still are one.")


class QualificationRule(Section):
    """What makes a conversion of the type qualified: its status, or what the sender says in one of its attributes."""

    statuses: list[ConversionStatus] = Field(
        default_factory=lambda: list(_QUALIFIED), description="Statuses in which it counts as qualified."
    )
    attribute: str = Field(
        "", description="Attribute of the conversion that says so, too; empty = only the status does."
    )
    values: list[str] = Field(default_factory=list, description="Values of that attribute that mean qualified.")

    @model_validator(mode="after")
    def _values_belong_to_an_attribute(self) -> QualificationRule:
        if bool(self.attribute) != bool(self.values):
            raise ValueError("attribute and values: give both or neither")
        return self


class ConversionType(Section):
    """One row of the conversion catalogue."""

    value_source: Literal["reported", "catalogue", "reported_or_catalogue"] = Field(
        "reported_or_catalogue",
        description="Where the value comes from: the record, the default below, or the default when the record has none.",
    )
    default_value: str = Field("0", description="Decimal value in the default currency.")
    margin_rate: float | None = Field(None, ge=0, le=1, description="Margin as a share of the value; empty = unknown.")
    confidence: float = Field(
        1.0, ge=0, le=1, description="How much of the value is believed before it is settled (shown beside it)."
    )
    lag_class: LagClass = Field("minutes", description="How long after the click it usually comes.")
    estimated_after_hours: float = Field(
        1.0, ge=0, description="Age from which its value counts as an estimate; before, it is captured and no more."
    )
    steers_live: bool = Field(False, description="May drive live decisions; others only the weekly ones.")
    return_window_days: float = Field(14.0, ge=0, description="Until it closes, the return rate is blank.")
    lookback_days: float = Field(90.0, gt=0, description="A click older than this does not get the credit.")
    authoritative_origin: Origin = Field("backend", description="Who is believed when several origins report the same.")
    makes_customer: bool = Field(
        False,
        description="Whoever makes one is a customer: the first of a person is a new customer's (cost per new customer).",
    )
    duplicates: DuplicateRule = Field(default_factory=lambda: DuplicateRule(), description="When two of them are one.")
    qualified: QualificationRule = Field(
        default_factory=lambda: QualificationRule(), description="What makes one qualified."
    )

    @model_validator(mode="after")
    def _value_is_money(self) -> ConversionType:
        to_micros(self.default_value)
        return self

    @property
    def default_value_micros(self) -> int:
        return to_micros(self.default_value)


def _default_catalogue() -> dict[str, ConversionType]:
    person: list[DuplicateKey] = ["crm_id", "email_sha256", "phone_sha256"]
    return {
        "order": ConversionType(
            value_source="reported",
            makes_customer=True,
            steers_live=True,
            lag_class="seconds",
            return_window_days=14,
            # One order number is one order however often it is sent; ten years stand for "ever".
            duplicates=DuplicateRule(keys=["order_id"], window_hours=87_600),
        ),
        "lead": ConversionType(
            default_value="0",
            confidence=0.5,
            steers_live=True,
            lag_class="seconds",
            return_window_days=14,
            duplicates=DuplicateRule(keys=person, window_hours=24),
        ),
        # Till, telephone, contract: told by file, days later, by nobody else.
        "sale": ConversionType(
            value_source="reported",
            makes_customer=True,
            lag_class="days",
            authoritative_origin="offline",
            duplicates=DuplicateRule(keys=["order_id"], window_hours=87_600),
        ),
    }


class TrafficConfig(Section):
    """Traffic quality: lists that the user brings, and from where on behaviour is flagged (docs/redirect.md)."""

    datacenter_networks: tuple[str, ...] = Field(
        (),
        description="Files that name networks of data centres: CIDRs one a line, AWS ip-ranges.json, Google cloud.json, Azure service"
        " tags, or an ASN database (.mmdb) whose organisations are compared with the kept list of hosters. Read again when they change.",
    )
    burst_clicks: int = Field(
        20, ge=2, description="Clicks of one network or address in ten minutes that may be a burst; fewer never are."
    )
    burst_factor: float = Field(5.0, gt=1, description="How many times the usual a burst is.")
    silent_clicks: int = Field(
        10, ge=2, description="Clicks of one source without any page view from which their silence is judged."
    )
    fastest_landing_ms: int = Field(
        20, ge=0, description="A page view sooner after its hit than this is no browser's; 0 = never flagged."
    )
    fastest_form_s: float = Field(
        1.0, ge=0, description="A form sent sooner after it was begun than this was not filled in by a person; 0 = off."
    )
    fastest_conversion_s: float = Field(
        1.0, ge=0, description="A conversion sooner after its click than this is no person's; 0 = never flagged."
    )
    spike_conversions: int = Field(
        5, ge=2, description="Conversions of one network in ten minutes that may be a spike; fewer never are."
    )
    repeated_conversions: int = Field(
        3,
        ge=2,
        description="Conversions with the same order, CRM, e-mail or phone key in ten minutes that are flagged.",
    )


class CorrelatorConfig(Section):
    """Matching, attribution, ROI and reconciliation."""

    default_currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="Currency of catalogue values.")
    reporting_currency: str = Field(
        "",
        pattern=r"^([A-Z]{3})?$",
        description="Spend, conversions and incidents are told in this currency at the day's rate; empty = each in its own.",
    )
    rate_age_days: int = Field(
        7, ge=0, le=366, description="A rate holds for this many days after its own, unless a newer one comes."
    )
    catalogue: dict[str, ConversionType] = Field(
        default_factory=_default_catalogue, description="Conversion types by name; a given one replaces the default's."
    )
    unlisted: ConversionType = Field(
        default_factory=ConversionType, description="What holds for types that the catalogue does not list."
    )
    costs: tuple[ConfiguredCost, ...] = Field(
        (), description="What the business pays besides the platforms: it counts in business ROI, never in channel ROI."
    )
    country_database: str = Field(
        "",
        description="A .mmdb file for figures by country (MaxMind, DB-IP, IPinfo), usually that of `redirect.country_database`. Replace it by"
        " renaming.",
    )
    clock_skew_s: float = Field(300.0, ge=0, description="A click may lie this long after its conversion.")
    late_after_s: float = Field(
        default=900.0, gt=0, description="A fact learned later than this after it happened restates its period."
    )
    learned_days: int = Field(
        56, ge=3, le=400, description="From so many past days is learned how much of a young period is known yet."
    )
    missing_share_at_most: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Modelled missing conversions are never more than this share of a campaign's observed ones.",
    )
    tick_interval_s: float = Field(10.0, gt=0, description="How often new rows are matched.")
    reconciliation_band: float = Field(
        0.02, ge=0, le=1, description="Difference between two systems that is accepted, as a share."
    )
    journey_deploy_window_s: float = Field(
        3600.0, ge=0, description="Change markers this close to a click are shown in its journey."
    )

    attribution: AttributionConfig = AttributionConfig()
    reconciliation: ReconciliationConfig = ReconciliationConfig()
    traffic: TrafficConfig = TrafficConfig()

    @property
    def clock_skew_ms(self) -> int:
        return round(self.clock_skew_s * 1000)

    def band_of(self, system: str) -> float:
        """Difference of a system from another that is accepted, as a share."""
        return self.reconciliation.bands.get(system, self.reconciliation_band)  # type: ignore[call-overload, no-any-return]

    def conversion_type(self, name: str) -> ConversionType:
        return self.catalogue.get(name, self.unlisted)

    @property
    def late_ms(self) -> int:
        return round(self.late_after_s * 1000)

    @property
    def maturity_ms(self) -> int:
        """Age (ms) from which a click counts as having had its chance to convert, by the slowest type that steers live."""
        return 1000 * max((MATURITY_S[self.catalogue[name].lag_class] for name in self.steering_types()), default=0)

    def customer_types(self) -> list[str]:
        """Types whose first of a person makes a new customer, sorted."""
        return sorted(name for name, entry in self.catalogue.items() if entry.makes_customer)

    def steering_types(self) -> list[str]:
        """Types that may drive live decisions, sorted."""
        return sorted(name for name, entry in self.catalogue.items() if entry.steers_live)


def days_ms(days: float) -> int:
    return round(days * DAY_MS)
