"""Doctor's look at erasures: whether any is still open, and whether the control database knows all that the journal tells of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.finding import Finding
from app.reading import open_reader
from app.run_state import RunState
from app.settings import Settings
from core.clock import HOUR_MS, now_ms
from core.control.engine import open_control
from core.erasure.audit import Audit
from core.erasure.identifiers import Pseudonyms
from core.erasure.recalled import Recalled, recalled, unknown_here
from core.erasure.result import ErasureInfo
from core.erasure.tombstones import known_secret
from core.errors import ClicktraceError

CHECK: Final = "erasures"
#: Segments that were being written rotate within minutes (`journal.segment_max_age_s`), and the monitor goes on every 10 s.
LATE_MS: Final = HOUR_MS


def erasures(settings: Settings, state: RunState | None) -> list[Finding]:
    """From the control database; what the journal remembers beside it, only where the store may be asked."""
    control = open_control(settings.control.url, settings.data_dir, migrate=False)
    try:
        asked = Audit(control, node="", clock=now_ms).all()
        lacking = _lacking(settings, state, control)
    except SQLAlchemyError:
        return []  # no database yet, or none that answers: the check of the control database says which
    except ClicktraceError as error:
        text = f"what the journal remembers of erasures cannot be read: {error}"
        return [Finding(check=CHECK, state="warning", text=text, mend="see the engine")]
    finally:
        control.dispose()
    return [*unfinished(asked, now=now_ms()), *forgotten(lacking)] or [_all_done(asked)]


def unfinished(asked: Sequence[ErasureInfo], *, now: int) -> list[Finding]:
    """Erasures that should be done by now, with the machines they wait for."""
    late = [one for one in asked if one.state != "done" and now - one.asked_at > LATE_MS]
    if not late:
        return []
    oldest = min(one.asked_at for one in late)
    nodes = sorted({node.node for one in late for node in one.nodes if not node.done_at})
    text = f"{len(late)} not finished, the oldest asked for {(now - oldest) // HOUR_MS} hours ago; waiting for {', '.join(nodes)}"
    mend = "start `clicktrace up` or `ship` there: it goes on by itself; gone for good: clicktrace erasures --forget-node NAME"
    return [Finding(check=CHECK, state="problem", text=text, mend=mend)]


def forgotten(lacking: Recalled) -> list[Finding]:
    """Erasures that the control database does not know: it is older than the journal."""
    found: list[Finding] = []
    if lacking.again:
        text = f"the control database does not know {len(lacking.again)} erasures of the journal: it is older, and the people stand in it again"
        mend = "a running monitor erases them again within the hour, or at its next start"
        found.append(Finding(check=CHECK, state="problem", text=text, mend=mend))
    if lacking.untold:
        text = f"{len(lacking.untold)} erasures of the journal were made with a secret that the control database lost: they cannot be repeated"
        mend = "put back a control database that has it, or erase these people again by name"
        found.append(Finding(check=CHECK, state="problem", text=text, mend=mend))
    return found


def _lacking(settings: Settings, state: RunState | None, control: Engine) -> Recalled:
    """The embedded engine has one owner: without a running monitor it is left alone."""
    if state is None and not settings.store.url:
        return Recalled(again=[], untold=[])
    store = open_reader(settings)
    try:
        secret = known_secret(control)
        return recalled(unknown_here(store, control), secret=Pseudonyms(secret).mark if secret else "")
    finally:
        store.close()


def _all_done(asked: Sequence[ErasureInfo]) -> Finding:
    open_ = sum(one.state != "done" for one in asked)
    text = f"{len(asked)} so far, {open_} under way" if open_ else f"{len(asked)} so far, all done"
    return Finding(check=CHECK, state="ok", text=text)
