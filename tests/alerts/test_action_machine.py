"""Pause, approve, expire, crash, resume, people's interference, in any order: what must always hold.

The machine drives `Acting`, `Decisions` and `PauseCampaign` over a real control database against an account in memory; only the incident's
state is set by hand, as the correlator would conclude it.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerts.acting import Acting
from alerts.actions.base import Action
from alerts.actions.pause_campaign import PauseCampaign
from alerts.actions.platforms import Platforms
from alerts.approval import Decisions
from alerts.config import AlertsConfig, GuardsConfig
from alerts.ledger import Ledger
from alerts.observations import IncidentView, Observations, SourceState
from alerts.proposals import Proposals
from alerts.rules.load import load_rules
from alerts.state import FINAL, LEASED, ActionState
from alerts.verify import verify
from core.clock import MINUTE_MS
from core.control.engine import open_control
from core.errors import Conflict
from core.incidents import Recovery
from core.vendors.config import AccountConfig
from tests.alerts.world import INCIDENT_ID, FaultyPlatform, affected, incident_payload, permanent, transient

START = 1_790_000_000_000
TARGET = "google:1:2"
RULE = next(each for each in load_rules() if each.rule == "pause_failing_campaigns")


class Died(BaseException):
    """The process ends here: nothing after it runs."""


class DyingPlatform(FaultyPlatform):
    """Raises `Died` before or after the write when told to, and counts by whom the campaign was switched."""

    def __init__(self) -> None:
        super().__init__("google", "1", campaigns=["2"])
        self.die = ""

    def set_status(self, campaign: str, status: str, *, deadline_s: float) -> None:
        if self.die == "before":
            raise Died
        super().set_status(campaign, status, deadline_s=deadline_s)
        if self.die == "after":
            raise Died


class PauseMachine(RuleBasedStateMachine):
    @initialize(automatic=st.booleans())
    def begin(self, automatic: bool) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.control = open_control("", Path(self.folder.name))
        self.ledger = Ledger(self.control)
        self.platform = DyingPlatform()
        self.now = START
        self.state, self.verdict, self.recovered = "open", "site_failing", False
        self.config = AlertsConfig(
            mode="automatic" if automatic else "approve",
            approval_expires="20m",
            lease="30m",
            guards=GuardsConfig(max_spend_share_per_hour=1.0, cool_down="10m"),
        )
        self.restart()
        self.tick()

    def clock(self) -> int:
        return self.now

    def restart(self) -> None:
        """A new process: everything is built anew over the same control database."""
        account = AccountConfig(platform="google", account="1", sandbox=True)
        platforms = Platforms([account], lambda _: self.platform)
        self.decisions = Decisions(self.ledger)
        self.proposals = Proposals(self.ledger, platforms, config=self.config)
        pause = PauseCampaign(self.ledger, platforms, config=self.config, clock=self.clock)
        self.acting = Acting(self.ledger, pause, self.proposals, rules=[RULE], config=self.config, clock=self.clock)

    def observed(self) -> Observations:
        recovery = Recovery(recovered=True, text="back") if self.recovered else None
        payload = incident_payload(now=self.now, verdict=self.verdict, recovery=recovery, campaigns=[affected()])
        view = IncidentView(incident_id=INCIDENT_ID, state=self.state, opened=START, closed=0, payload=payload)
        return Observations(
            now=self.now,
            incidents={INCIDENT_ID: view},
            sources={"google_ads:1": SourceState(complete_through=self.now)},
            origins={"backend": self.now},
            live_spend_micros={TARGET: 60e6},
        )

    def tick(self) -> None:
        observed = self.observed()
        if self.state == "open" and self.verdict == "site_failing" and not self.recovered:
            self.proposals.propose(RULE, observed.incidents[INCIDENT_ID], observed)
        self.acting.act(observed)

    @property
    def actions(self) -> list[Action]:
        return self.ledger.find()

    # --- what happens; every event is followed by a tick, as in life -------------------------------------------------------------
    def later(self, seconds: int = 10) -> None:
        self.now += seconds * 1000
        self.tick()

    @rule(seconds=st.sampled_from([10, 66, 600, 1300, 1900]))
    def time_passes(self, seconds: int) -> None:
        self.later(seconds)

    @rule(where=st.sampled_from(["before", "after"]), approve=st.booleans())
    def the_process_dies_at_its_next_call(self, where: str, approve: bool) -> None:
        if approve:
            self.break_again()
            self.approve_all()
        self.platform.die = where
        with contextlib.suppress(Died):
            self.later()
        self.platform.die = ""
        self.restart()
        self.later()

    def break_again(self) -> None:
        self.state, self.recovered, self.verdict = "open", False, "site_failing"
        self.later(660)

    @rule()
    def a_person_approves(self) -> None:
        self.approve_all()
        self.later()

    def approve_all(self) -> None:
        for action in self.ledger.find(states=[ActionState.AWAITING]):
            with contextlib.suppress(Conflict):
                self.decisions.approve(action, by="Ann", via="key", now=self.now)

    @rule(verb=st.sampled_from(["reject", "undo", "keep"]))
    def a_person_says_otherwise(self, verb: str) -> None:
        for action in self.actions[:1]:
            with contextlib.suppress(Conflict):
                if verb == "keep":
                    self.decisions.keep(action, by="Ann", now=self.now)
                else:
                    getattr(self.decisions, verb)(action, by="Ann", via="key", now=self.now)
        self.later()

    @rule(fault=st.sampled_from(["before", "after", "read", "permanent", "ignored"]), times=st.integers(1, 9))
    def the_platform_misbehaves(self, fault: str, times: int) -> None:
        self.break_again()
        self.platform.ignore_writes = fault == "ignored"
        match fault:
            case "before":
                self.platform.before_write += [transient()] * times
            case "after":
                self.platform.after_write += [transient("timeout")] * times
            case "read":
                self.platform.on_read += [transient("unreadable")] * times
            case "permanent":
                self.platform.before_write.append(permanent())
        self.approve_all()
        self.later()

    @rule()
    def the_fault_is_mended(self) -> None:
        self.state, self.recovered = "recovering", True
        self.later()

    @rule(broken=st.booleans())
    def the_incident_closes_and_may_open_again(self, broken: bool) -> None:
        self.state = "closed"
        self.later()
        if broken:
            self.break_again()

    @rule()
    def the_verdict_turns_out_to_be_another(self) -> None:
        self.verdict = "tracking_broken"
        self.later()
        self.verdict = "site_failing"
        self.later(660)

    @rule(status=st.sampled_from(["enabled", "enabled", "paused", "removed"]))
    def a_person_changes_the_campaign(self, status: str) -> None:
        if self.platform.statuses[TARGET] != status:
            self.platform.statuses[TARGET] = status
            self.platform.writes.append((TARGET, f"person:{status}"))
        self.later(310)

    @rule(name=st.sampled_from(["stop_pauses", "stop_returns"]), seconds=st.sampled_from([10, 1900]))
    def a_switch_is_on_for_a_while(self, name: str, seconds: int) -> None:
        self.ledger.set_switch(name, on=True, by="Ann", now=self.now)
        before = list(self.platform.writes)
        self.later(seconds)
        written = [status for _, status in self.platform.writes[len(before) :]]
        wanted_back = any(action.return_reason == "undone" for action in self.actions)
        assert "paused" not in written, "a pause although pauses are stopped"
        assert name == "stop_pauses" or "enabled" not in written or wanted_back, "a return although returns are stopped"
        self.ledger.set_switch(name, on=False, by="Ann", now=self.now)

    # --- what must always hold ---------------------------------------------------------------------------------------------------
    @invariant()
    def the_ledger_tells_one_story(self) -> None:
        assert verify(self.ledger) == []

    @invariant()
    def at_most_one_action_owns_the_campaign(self) -> None:
        assert len([each for each in self.actions if each.state in LEASED]) <= 1
        assert len([each for each in self.actions if each.state not in FINAL]) <= 1

    @invariant()
    def no_action_pauses_twice(self) -> None:
        for action in self.actions:
            steps = [entry for entry in self.ledger.entries(action.action_id) if entry.step == "call"]
            assert len([entry for entry in steps if entry.reason == "ok"]) <= 1

    @invariant()
    def what_we_paused_has_an_owner(self) -> None:
        """If the last hand on the campaign was ours and it is paused, a lease is open."""
        ours = self.platform.writes and self.platform.writes[-1] == (TARGET, "paused")
        if ours and self.platform.statuses[TARGET] == "paused":
            assert self.ledger.leases(), "paused by us, and nobody will give it back"

    @invariant()
    def we_only_switch_on_what_we_paused(self) -> None:
        if any(action.return_reason == "undone" for action in self.actions):
            return  # a person said so, whoever had paused it
        ours = [status for _, status in self.platform.writes]
        for index, status in enumerate(ours):
            if status == "enabled":
                assert "paused" in ours[:index], "switched on without ever having paused it"

    @invariant()
    def nothing_is_written_without_enough_people(self) -> None:
        for action in self.actions:
            steps = [entry.step for entry in self.ledger.entries(action.action_id)]
            if "intent" in steps:
                assert "approved" in steps[: steps.index("intent")]
                assert action.mode == "automatic" or action.approvals

    def teardown(self) -> None:
        if hasattr(self, "control"):
            self.settles_in_the_end()
            self.control.dispose()
            self.folder.cleanup()

    def settles_in_the_end(self) -> None:
        """With platform, switches and incident quiet, everything that is not kept by a person comes to an end."""
        self.state, self.recovered = "closed", True
        self.platform.ignore_writes = False
        for faults in (self.platform.before_write, self.platform.after_write, self.platform.on_read):
            faults.clear()
        if self.platform.statuses[TARGET] == "removed":
            return
        for name in ("stop_pauses", "stop_returns"):
            self.ledger.set_switch(name, on=False, by="Ann", now=self.now)
        for _ in range(8):
            self.now += 2 * MINUTE_MS
            self.tick()
        kept = {lease.action_id for lease in self.ledger.leases() if lease.kept_by}
        left = [each for each in self.actions if each.state not in FINAL and each.action_id not in kept]
        assert left == []
        assert all(each.state is ActionState.PAUSED for each in self.actions if each.action_id in kept)


TestPauseMachine = PauseMachine.TestCase
TestPauseMachine.settings = settings(
    max_examples=18, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
