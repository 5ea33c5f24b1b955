"""Doctor's look at money: whether everything that is spent and sold can be told in the reporting currency."""

from __future__ import annotations

from app.finding import Finding
from app.reading import open_reader
from app.run_state import RunState
from app.settings import Settings
from core.clock import now_ms
from core.errors import ClicktraceError
from correlator.exchange import without_rate

_MEND = "import the European Central Bank's file (clicktrace import rates eurofxref-hist.zip), or an own table of rates"


def rates(settings: Settings, state: RunState | None) -> list[Finding]:
    """Nothing without a reporting currency; asks the running monitor, since the embedded engine has one owner."""
    reporting = settings.correlator.reporting_currency
    if not reporting or (state is None and not settings.store.url):
        return []
    try:
        store = open_reader(settings)
        try:
            missing = without_rate(store, settings.correlator, now=now_ms())
        finally:
            store.close()
    except ClicktraceError as error:
        return [Finding(check="rates", state="warning", text=f"rates cannot be read: {error}", mend="see the engine")]
    return told(missing, reporting=reporting, days=settings.correlator.rate_age_days)


def worth(settings: Settings, _state: RunState | None) -> list[Finding]:
    """Types that steer live decisions and are worth nothing unless their records say so: a return over them would be of -100 %."""
    catalogue = settings.correlator.catalogue
    unpriced = [
        name
        for name in settings.correlator.steering_types()
        if catalogue[name].value_source != "reported" and not catalogue[name].default_value_micros
    ]
    if not unpriced:
        return [Finding(check="values", state="ok", text="every type that steers has a value, its own or the record's")]
    text = f"{', '.join(unpriced)}: the catalogue says no value; without revenue in the records, return on spend stays blank"
    mend = "set correlator.catalogue.<type>.default_value to what one is worth to you on average"
    return [Finding(check="values", state="warning", text=text, mend=mend)]


def told(missing: list[str], *, reporting: str, days: int) -> list[Finding]:
    """What is said of the currencies without a rate."""
    if missing:
        text = f"{', '.join(missing)} cannot be told in {reporting}: no rate of the last {days} days"
        return [Finding(check="rates", state="problem", text=text, mend=_MEND)]
    return [Finding(check="rates", state="ok", text=f"all money of the last 30 days can be told in {reporting}")]
