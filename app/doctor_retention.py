"""Doctor's look at how long facts about people are kept, and whether that is really done."""

from __future__ import annotations

from app.finding import Finding
from app.reading import open_reader
from app.run_state import RunState
from app.settings import Settings
from core.clock import DAY_MS, now_ms
from core.errors import ClicktraceError
from core.settings import FOREVER
from core.store.retention import SLACK_DAYS, Kept, state
from correlator.config import CorrelatorConfig

#: A row may stay until a week has come together, and the daily round may just have been.
LATE_DAYS = SLACK_DAYS + 2


def retention(settings: Settings, running: RunState | None) -> list[Finding]:
    """What is kept how long by the settings; beside a running monitor, or with a server, also what is there."""
    short = lookback_beyond_clicks(settings.correlator, click_days=settings.retention.click)
    if running is None and not settings.store.url:
        return [*short, Finding(check="retention", state="ok", text=_told(settings))]
    try:
        store = open_reader(settings)
        try:
            found = state(store, settings.retention, now=now_ms())
        finally:
            store.close()
    except ClicktraceError as error:
        return [
            *short,
            Finding(check="retention", state="warning", text=f"cannot be read: {error}", mend="see the engine"),
        ]
    return [*short, *overdue(found, now=now_ms()), Finding(check="retention", state="ok", text=_told(settings))]


def overdue(found: list[Kept], *, now: int) -> list[Finding]:
    """Tables that hold what should be gone."""
    late = [
        f"{kept.due:,} rows of {kept.table}, the oldest {(now - kept.oldest) // DAY_MS} days old"
        for kept in found
        if kept.due and kept.oldest is not None and now - kept.oldest > (kept.days + LATE_DAYS) * DAY_MS
    ]
    if not late:
        return []
    mend = "the leading monitor deletes them once a day: look for `periodic work failed` with name=retention in its log"
    return [Finding(check="retention", state="problem", text="kept longer than said: " + "; ".join(late), mend=mend)]


def lookback_beyond_clicks(config: CorrelatorConfig, *, click_days: int) -> list[Finding]:
    """Conversions that look further back than clicks are kept."""
    if click_days == FOREVER:
        return []
    far = sorted(name for name, entry in config.catalogue.items() if entry.lookback_days > click_days)
    if not far:
        return []
    text = f"clicks are kept {click_days} days, and {', '.join(far)} looks further back"
    mend = "keep clicks longer (retention.click), or shorten lookback_days in correlator.catalogue"
    return [Finding(check="retention", state="warning", text=text, mend=mend)]


def _told(settings: Settings) -> str:
    days = settings.retention.days()
    limited = ", ".join(f"{name} {count} days" for name, count in days.items() if count != FOREVER)
    good = ", ".join(name for name, count in days.items() if count == FOREVER)
    said = [f"raw journal {settings.journal.keep_days} days", limited, f"for good: {good}" if good else ""]
    return "; ".join(part for part in said if part)
