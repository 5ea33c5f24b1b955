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


def told(missing: list[str], *, reporting: str, days: int) -> list[Finding]:
    """What is said of the currencies without a rate."""
    if missing:
        text = f"{', '.join(missing)} cannot be told in {reporting}: no rate of the last {days} days"
        return [Finding(check="rates", state="problem", text=text, mend=_MEND)]
    return [Finding(check="rates", state="ok", text=f"all money of the last 30 days can be told in {reporting}")]
