"""The life of an incident, and its record in the journal.

    open ──(fault gone)──> recovering ──(quiet period)──> closed
      ^                        │
      └──────(relapse)─────────┘

`IncidentRun` is what is remembered between ticks; `next_state` is the pure decision; `IncidentBook` reads the facts, asks for the
explanation, applies the decision and journals what changed, so that a rebuilt store has every incident again with its ID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from core.clock import HOUR_MS, MINUTE_MS, to_datetime
from core.incidents import IncidentPayload, Recovery, Verdict
from core.records import Incident, Record
from core.store.client import Store
from correlator.detection.baseline import BaselineModel
from correlator.detection.config import DetectionConfig
from correlator.detection.exposure import Leaf
from correlator.detection.history import run
from correlator.explanation.evidence import lost_shares
from correlator.explanation.explain import (
    Alarm,
    Case,
    Located,
    build_payload,
    locate,
    relocate,
    route_changes,
    too_short,
)
from correlator.explanation.recovery import (
    Watched,
    Witness,
    conversion_witness,
    first_full_minute,
    judge,
    redirect_witness,
    service_witness,
    traffic_witness,
)
from correlator.explanation.service_health import Change, worst_of
from correlator.explanation.timing import Onset
from correlator.explanation.traffic import hits_a_second
from correlator.explanation.window import LEAD_MS, LONG_LEAD_MS, CampaignFacts, Question, Window, lead_ms, read_window

State = Literal["open", "recovering", "closed"]
SOURCE = "correlator"

#: While an incident is this young its scope may still be corrected, and its verdict a little longer; later, pauses and fixes would
#: make the comparison of before and after one of apples and pears.
SCOPE_SETTLES_MS = 3 * MINUTE_MS
VERDICT_SETTLES_MS = 5 * MINUTE_MS
#: Alarms with an onset this close to an open incident's are the same incident seen by another stream.
SAME_ONSET_MS = 15 * MINUTE_MS
#: An incident that neither recovers nor relapses is the new normal after this long.
LONGEST_MS = 72 * HOUR_MS
#: A failing route opens an incident only with this many failed traces of paid clicks, or conversions that fall along, or so much patience.
PAID_TRACES = 3
SUPPORT_NATS = 2.0
PATIENCE_MINUTES = 3


class Journal(Protocol):
    """Where incidents are recorded."""

    def append(self, record: Record, *, known_at: int | None = None) -> None: ...


class IncidentRun(msgspec.Struct, kw_only=True):
    """What is remembered of an incident that is not closed."""

    incident_id: str
    state: State
    opened: int
    alarm: Alarm
    payload: IncidentPayload
    leaves: set[tuple[str, str, str]] = set()
    shares: set[tuple[str, str, str, str]] = set()
    changes: list[Change] = []
    lost_usual: float = 0.0
    lost_failing: float = 0.0
    hits_usual: float = 0.0  # a second
    hits_failing: float = 0.0
    kept: float = 1.0
    recovered_at: int = 0
    journaled_at: int = 0
    journaled_mark: str = ""

    @property
    def located(self) -> Located:
        p = self.payload
        return Located(dict(p.scope), Onset(p.onset, p.onset_low, p.onset_high, p.hypothesis, 0.0, 0.0))


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What every question to the store needs."""

    model: BaselineModel
    question: Question
    campaigns: dict[str, CampaignFacts]
    now: int
    through: int


def next_state(run_: IncidentRun, witness: Witness | None, *, now: int, quiet_period_ms: int) -> State:
    """The pure decision about an incident's life."""
    if now - run_.opened >= LONGEST_MS:
        return "closed"
    if witness is None:
        return "open"
    if run_.state == "recovering" and now - run_.recovered_at >= quiet_period_ms:
        return "closed"
    return "recovering"


class IncidentBook:
    """All incidents that are not closed."""

    def __init__(self, store: Store, journal: Journal, *, config: DetectionConfig) -> None:
        self._store = store
        self._journal = journal
        self._config = config
        self.runs: dict[str, IncidentRun] = {}
        self._patience: dict[str, int] = {}

    # --- asked by detection --------------------------------------------------------------------------------------------------

    def raise_alarm(self, alarm: Alarm, facts: Facts) -> IncidentRun | None:
        """Open an incident, or add the alarm to the one it belongs to. None = held until it proves to concern paid clicks."""
        window = self._window(alarm.detected - LEAD_MS, facts)
        if not window.cells:
            return None
        if too_short(window, alarm):
            window = self._window(alarm.detected - LONG_LEAD_MS, facts)
        located = locate(window, alarm)
        known = self._same(located, window)
        if known is not None:
            known.leaves |= leaves_inside(window, {**located.scope})
            return known
        if alarm.kind in ("errors", "slow", "bounced", "unsubmitted") and not self._concerns_paid_clicks(
            alarm, window, located
        ):
            return None
        self._patience.pop(alarm.stream, None)
        opened = self._open(alarm, window, located, facts)
        self.runs[opened.incident_id] = opened
        self._record(opened, facts.now)
        return opened

    def follow(self, facts: Facts) -> tuple[list[str], list[IncidentRun]]:
        """Bring every incident up to date; IDs of those that were journaled, and the ones that closed."""
        changed: list[str] = []
        closed: list[IncidentRun] = []
        for run_ in list(self.runs.values()):
            self._refresh(run_, facts)
            if self._worth_recording(run_, facts.now):
                self._record(run_, facts.now)
                changed.append(run_.incident_id)
            if run_.state == "closed":
                closed.append(self.runs.pop(run_.incident_id))
        return changed, closed

    def masked(self) -> set[tuple[str, str, str]]:
        """Leaves that are inside an incident and so out of every stream."""
        return set().union(*(run_.leaves for run_ in self.runs.values())) if self.runs else set()

    def mask_new_leaves(self, leaves: Sequence[Leaf]) -> None:
        """Leaves that appeared later inside a known scope belong to it."""
        for run_ in self.runs.values():
            run_.leaves |= {_key(leaf) for leaf in leaves if _inside(leaf, run_.payload.scope)}

    # --- life ----------------------------------------------------------------------------------------------------------------

    def _open(self, alarm: Alarm, window: Window, located: Located, facts: Facts) -> IncidentRun:
        incident_id = "inc-" + sha256(f"{alarm.stream}:{alarm.detected}".encode()).hexdigest()[:20]
        payload = self._explain(window, Case(incident_id, alarm), located, facts)
        run_ = IncidentRun(incident_id=incident_id, state="open", opened=facts.now, alarm=alarm, payload=payload)
        self._remember(run_, window, facts)
        return run_

    def _remember(self, run_: IncidentRun, window: Window, facts: Facts) -> None:
        """Keep what the recovery test will compare with."""
        p = run_.payload
        inside, first = window.inside(p.scope), window.bucket_of(p.onset)
        run_.leaves |= leaves_inside(window, p.scope)
        run_.changes = worst_of(run_.changes, route_changes(window, facts.model, p.onset))[:5]
        run_.kept = p.observed / p.expected if p.expected > 0 else 1.0
        lost, hits = window.lost[inside].sum(0), window.hits[inside].sum(0)
        run_.lost_usual, run_.lost_failing = lost_shares(lost, hits, first)
        usual, failing = hits_a_second(window, inside, first)
        run_.hits_usual, run_.hits_failing = usual, max(run_.hits_failing, failing)

    def _refresh(self, run_: IncidentRun, facts: Facts) -> None:
        """One tick of one incident.

        1. While open: figures anew; scope and verdict too while it is young.
        2. Ask the witnesses whether the fault is gone.
        3. Decide the state; figures stand still from the recovery on.
        """
        lead = lead_ms(run_.payload.onset, run_.payload.detected)
        window = self._window(run_.payload.onset - lead, facts)
        if run_.state == "open":
            self._update_figures(run_, window, facts)
        witness = self._witness(run_, window, facts)
        before = run_.state
        run_.state = next_state(run_, witness, now=facts.now, quiet_period_ms=self._config.quiet_period_s * 1000)
        if run_.state == "recovering" and before == "open":
            run_.recovered_at = facts.now
        run_.payload = msgspec.structs.replace(run_.payload, recovery=_recovery(run_, witness, window))

    def _update_figures(self, run_: IncidentRun, window: Window, facts: Facts) -> None:
        age = facts.now - run_.payload.detected
        located = run_.located
        if age <= SCOPE_SETTLES_MS:
            located = relocate(window, run_.alarm, located)
        settled = age > VERDICT_SETTLES_MS
        payload = self._explain(
            window,
            Case(run_.incident_id, run_.alarm, run_.payload),
            located,
            facts,
            verdict=Verdict(run_.payload.verdict) if settled else None,
        )
        run_.payload = _with_conclusions_of(payload, run_.payload) if settled else payload
        if not settled:
            self._remember(run_, window, facts)

    def _witness(self, run_: IncidentRun, window: Window, facts: Facts) -> Witness | None:
        p = run_.payload
        inside = window.inside(p.scope)
        since = first_full_minute(p.detected)
        if facts.through < since:
            return None
        direct: Witness | None = None
        if p.verdict in (Verdict.SITE_FAILING.value, Verdict.SITE_SLOW.value) and run_.changes:
            residual = _residual(window, inside, p.onset)
            direct = service_witness(window.service, run_.changes, not_before=since, residual=residual)
        elif p.verdict == Verdict.TRAFFIC_CHANGED.value and run_.hits_failing > 2 * run_.hits_usual:
            watched = Watched(run_.hits_usual, run_.hits_failing)
            direct = traffic_witness(window, inside, watched, not_before=since)
        elif run_.lost_failing - run_.lost_usual >= 0.05:
            watched = Watched(run_.lost_usual, run_.lost_failing)
            direct = redirect_witness(window, inside, watched, not_before=since)
        conversions = conversion_witness(
            window, inside, kept=run_.kept, not_before=since, dispersion=facts.model.dispersion
        )
        return judge(direct, conversions, recovered=run_.state == "recovering")

    # --- help ----------------------------------------------------------------------------------------------------------------

    def _window(self, start: int, facts: Facts) -> Window:
        return read_window(
            self._store,
            facts.model,
            start=start,
            end=facts.through,
            question=facts.question,
            campaigns=facts.campaigns,
        )

    def _explain(
        self, window: Window, case: Case, located: Located, facts: Facts, *, verdict: Verdict | None = None
    ) -> IncidentPayload:
        return build_payload(
            self._store, facts.model, window, case=case, located=located, question=facts.question, verdict=verdict
        )

    def _same(self, located: Located, window: Window) -> IncidentRun | None:
        """The open incident that this alarm is another sign of: same time, or a place it has in common."""
        leaves = leaves_inside(window, located.scope)
        for run_ in self.runs.values():
            close = abs(located.onset.at - run_.payload.onset) <= SAME_ONSET_MS
            if close or leaves & run_.leaves:
                return run_
        return None

    def _concerns_paid_clicks(self, alarm: Alarm, window: Window, located: Located) -> bool:
        """Whether what fails is what paid clicks meet: failing traces of theirs, conversions that fall along, or patience is over."""
        first, inside = window.bucket_of(located.onset.at), window.inside(located.scope)
        bad = window.failed if alarm.kind == "errors" else window.slow
        before = bad[:, :first].sum() / max(window.traced[:, :first].sum(), 1)
        after, trials = bad[inside][:, first:].sum(), window.traced[inside][:, first:].sum()
        if after >= PAID_TRACES and after / max(trials, 1) > 2 * before + 0.05:
            return True
        seen, due = window.observed[inside][:, first:].sum(), window.expected[inside][:, first:].sum()
        if seen < due and (seen * np.log(max(seen, 1e-9) / due) if seen else 0.0) - (seen - due) >= SUPPORT_NATS:
            return True
        self._patience[alarm.stream] = self._patience.get(alarm.stream, 0) + 1
        return self._patience[alarm.stream] > PATIENCE_MINUTES

    def _worth_recording(self, run_: IncidentRun, now: int) -> bool:
        due = now - run_.journaled_at >= self._config.refresh_incident_s * 1000
        return _mark(run_) != run_.journaled_mark or (run_.state == "open" and due)

    def _record(self, run_: IncidentRun, now: int) -> None:
        self._journal.append(
            Incident(
                ts=now,
                source=SOURCE,
                fact_id=f"incident:{run_.incident_id}",
                incident_id=run_.incident_id,
                state=run_.state,
                onset=run_.payload.onset,
                opened=run_.opened,
                verdict=run_.payload.verdict,
                scope=run_.payload.scope,
                closed=now if run_.state == "closed" else 0,
                payload=msgspec.to_builtins(run_.payload),
            )
        )
        run_.journaled_at, run_.journaled_mark = now, _mark(run_)

    # --- restart -------------------------------------------------------------------------------------------------------------

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(list(self.runs.values()))

    def restore(self, saved: bytes | None, *, now: int) -> None:
        """Take up the checkpoint, corrected by what the journal says: it may be newer than the checkpoint."""
        runs = msgspec.msgpack.decode(saved, type=list[IncidentRun]) if saved else []
        self.runs = {run_.incident_id: run_ for run_ in runs}
        for row in run(self._store, "detection_incidents", {"start": now - LONGEST_MS}).to_pylist():
            if row["state"] == "closed":
                self.runs.pop(row["incident_id"], None)
            elif row["incident_id"] not in self.runs:
                adopted = _adopt(row)
                self.runs[adopted.incident_id] = adopted


def leaves_inside(window: Window, scope: Mapping[str, str]) -> set[tuple[str, str, str]]:
    """Leaves of the window's cells inside a scope."""
    return {_key(window.cells[row].leaf) for row in np.flatnonzero(window.inside(scope))}


def _key(leaf: Leaf) -> tuple[str, str, str]:
    return leaf.campaign, leaf.device, leaf.page


def _inside(leaf: Leaf, scope: Mapping[str, str]) -> bool:
    """A leaf cannot tell browsers apart: a scope by browser contains all its leaves."""
    own = {
        **leaf._asdict(),
        "platform": leaf.campaign.split(":", 1)[0],
        "account": leaf.campaign.rsplit(":", 1)[0],
    }
    return all(own[name] in text.split(",") for name, text in scope.items() if name in own)


def _residual(window: Window, inside: npt.NDArray[np.bool_], onset: int) -> float:
    """Clicks of the scope in the last three minutes against its level around the onset."""
    hits = window.hits[inside].sum(0)
    span = max(1, 3 * MINUTE_MS // window.bucket_ms)
    first = window.bucket_of(onset)
    then = hits[max(0, first - span // 3) : first + span // 3]
    return float(hits[-span:].mean() / max(then.mean(), 1e-9)) if then.size else 1.0


def _adopt(row: Mapping[str, object]) -> IncidentRun:
    """An incident that only the journal remembers. What the recovery test compares with comes from its payload."""
    payload = msgspec.json.decode(str(row["payload"]), type=IncidentPayload)
    return IncidentRun(
        incident_id=payload.incident_id,
        state="recovering" if row["state"] == "recovering" else "open",
        opened=int(str(row["opened"])),
        alarm=Alarm("conversions", payload.stream, dict(payload.scope), payload.detected),
        payload=payload,
        kept=1 - payload.lost_share,
        recovered_at=payload.recovery.since if payload.recovery is not None else 0,
    )


def _with_conclusions_of(fresh: IncidentPayload, settled: IncidentPayload) -> IncidentPayload:
    """Fresh figures with the reasons as they were settled."""
    return msgspec.structs.replace(
        fresh,
        confidence=settled.confidence,
        alternatives=settled.alternatives,
        evidence=settled.evidence,
        deploys=settled.deploys,
        traces=settled.traces or fresh.traces,
        routes=settled.routes,
        infrastructure_healthy=settled.infrastructure_healthy,
    )


def _recovery(run_: IncidentRun, witness: Witness | None, window: Window) -> Recovery | None:
    if witness is None:
        told = run_.payload.recovery is not None
        return Recovery(recovered=False, text="It failed again after having recovered.") if told else None
    marker = max(
        (m for m in window.markers if run_.payload.onset < m.ts <= witness.since + MINUTE_MS),
        key=lambda m: m.ts,
        default=None,
    )
    deploy = f"{marker.service} {marker.version}" if marker is not None else ""
    after = f", after {marker.change} {deploy}" if marker is not None else ""
    text = f"Back to normal since {to_datetime(witness.since):%H:%M} UTC{after}: {witness.text}."
    return Recovery(recovered=True, text=text, since=witness.since, deploy=deploy)


def _mark(run_: IncidentRun) -> str:
    """What counts as a material change: state, verdict, scope, first deploy, loss by tenths, recovery."""
    p = run_.payload
    first = f"{p.deploys[0].service} {p.deploys[0].version}" if p.deploys else ""
    recovered = p.recovery.recovered if p.recovery is not None else None
    return f"{run_.state}|{p.verdict}|{sorted(p.scope.items())}|{first}|{round(p.lost_share, 1)}|{recovered}|{len(p.traces)}"
