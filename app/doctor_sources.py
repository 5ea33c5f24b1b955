"""`clicktrace doctor`: tries every source that is configured, and tells what its reader found changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from app.finding import Finding
from app.reading import open_reader
from app.run_state import RunState
from app.settings import Settings
from collectors.base import Probed, Source
from collectors.registry import AD_PLATFORMS, build_sources
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS, now_ms
from core.errors import ClicktraceError, QuotaExceeded, SourceError
from correlator.freshness import SourceFreshness, read_sources
from correlator.period import Question

#: A source is tried for this long; sources are tried side by side.
TRIAL_S = 8.0
TRIED_AT_ONCE = 8


def sources(settings: Settings, state: RunState | None) -> list[Finding]:
    """One finding for each source that is read; of an ad account, the account's own check tells whether it lets us in."""
    now = now_ms()
    accounts = {section for section, _ in AD_PLATFORMS.values()}
    built = build_sources(settings.collectors, settings.accounts)
    told = _told(settings, state, now=now) if built else {}
    with ThreadPoolExecutor(TRIED_AT_ONCE) as pool:
        tried = pool.map(partial(_tried, now=now), [one for one in built if one.name.partition(":")[0] not in accounts])
        found = [finding for finding in tried if finding is not None]
    for source in built:
        source.close()
    return found + [changed for source in built for changed in changes(source.name, told.get(source.name))]


def _tried(source: Source, *, now: int) -> Finding:
    name = f"source {source.name}"
    try:
        return Finding(check=name, state="ok", text=try_source(source, now=now))
    except SourceError as error:
        return Finding(check=name, state="problem", text=error.detail[:300], mend=mend(source, error))
    except Exception as error:  # noqa: BLE001 - a defect of one source must not hide the others
        text = f"defect: {type(error).__name__}: {error}"[:300]
        return Finding(check=name, state="problem", text=text, mend="report it with this line")


def try_source(source: Source, *, now: int) -> str:
    """Ask the source for little, write nothing; answers what it gave.

    Raises:
        SourceError: it does not answer, or refuses.
    """
    if isinstance(source, Probed):
        return source.probe(now=now, deadline_s=TRIAL_S)
    described = source.describe(now=now, deadline_s=TRIAL_S / 2)
    if described.records:
        return f"answers; {len(described.records)} described"
    until = now - source.config.documented_lag_s * 1000
    read = source.fetch(Window(since=until - HOUR_MS, until=until), now=now, deadline_s=TRIAL_S / 2)
    return f"answers; {len(read.records)} row(s) in its last complete hour"


def mend(source: Source, error: SourceError) -> str:
    folder = type(source).__module__.split(".")[-2]
    if isinstance(error, QuotaExceeded):
        return f"wait; a longer collectors.{folder}.interval_s asks less of the quota"
    if error.retryable:
        return (
            "try again later; check that this machine reaches the vendor, and the connection's endpoint if one is set"
        )
    return look_up(folder)


def look_up(folder: str) -> str:
    """Where it says how to mend a permanent error, which may be of the credentials or of the settings."""
    return f"mend what it says; collectors/{folder}/README.md names what the source needs, and its least permissions"


def _told(settings: Settings, state: RunState | None, *, now: int) -> dict[str, SourceFreshness]:
    """What readers told last, by source; nothing when the store cannot be asked, which is another check's matter."""
    if not settings.store.url and state is None and not (settings.data_dir / "store").exists():
        return {}
    try:
        store = open_reader(settings)
        try:
            question = Question(since=now - DAY_MS, until=now, now=now)
            return {source.source: source for source in read_sources(store, question)}
        finally:
            store.close()
    except ClicktraceError:
        return {}


def changes(name: str, told: SourceFreshness | None) -> list[Finding]:
    """What the reader found changed in the source's answers, when it told last."""
    if told is None or not told.findings:
        return []
    text = "; ".join(f"{one.finding}: {one.detail}" for one in told.findings)
    mend = "compare with what the vendor announced; docs/collectors.md says what each word means and when it ends by itself"
    return [Finding(check=f"source {name}", state="warning", text=f"changed: {text}"[:500], mend=mend)]
