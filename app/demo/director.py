"""Directs one run: healthy traffic, the fault at its moment, people's decisions, the fix, the end; and writes down the truth.

The director knows the plan and makes it happen in the world. What the product concludes it only watches, as anybody could.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from app.demo.alert_receiver import AlertReceiver, Received
from app.demo.approver import CouldNotDecide, decide
from app.demo.checker import INCIDENT_ALERT, main_incident
from app.demo.scenarios import Plan, Release
from app.demo.stage import Stage
from app.demo.story import Story
from app.demo.truth import Truth
from app.demo.visitors import Order
from app.demo.watch import SeenAction, SeenIncident, Watch

#: How a question is answered: by the buyer's own link in the demo's check, at the prompt, or not at all (automatic mode).
Approval = Literal["link", "ask", "automatic"]
LOOK_EVERY_S = 1.0
#: People read before they press.
READING_S = 3.0
#: From the pause to the fix: somebody mends it while the money is safe.
MENDING_S = 5.0
#: Without a pause to wait for: this long after the verdict the fault is mended.
MENDING_WITHOUT_PAUSE_S = 30.0
QUIET_S = 180.0
BUYER = "Robin, media buying"


class Director:
    """One run on a built stage. `ask` puts a question to the person at the terminal and returns the answer."""

    def __init__(
        self, stage: Stage, plan: Plan, *, story: Story, receiver: AlertReceiver, approval: Approval, minutes: float,
        ask: Callable[[str], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        self.truth = Truth(plan=plan, seconds=stage.seconds)
        self._stage = stage
        self._plan = plan
        self._story = story
        self._receiver = receiver
        self._approval = approval
        self._ask = ask
        self._deadline = time.monotonic() + minutes * 60
        self._onset_at = 0.0
        self._due: list[Release] = []
        self.watch = Watch(stage.product, tell=self._tell)

    def run(self) -> None:
        """The whole story; what was seen stays in `watch.observed`, what happened in `truth`."""
        self._open_doors()
        self._until(lambda: time.monotonic() >= self._onset_at, "the onset")
        self._break()
        if self._plan.expected.verdict:
            self._follow_incident()
        else:
            self._wait(QUIET_S)
        self._finish()

    # --- the script --------------------------------------------------------------------------------------------------------------

    def _open_doors(self) -> None:
        self._stage.open_doors(Order())
        self.truth.doors_open = _now()
        self.truth.cpu_at_start = self._stage.cpu_seconds()
        self._onset_at = time.monotonic() + self._plan.onset_after_s
        self._due = sorted(self._plan.innocent, key=lambda release: release.after_s)
        self._story.chapter("visitors come: about 60 clicks a second on 12 campaigns")

    def _break(self) -> None:
        self.truth.onset = _now()
        self.truth.counts_at_onset = dict(self._stage.counts)
        plan = self._plan
        if plan.scenario == "redirect-broken":
            self._stage.product.answer_of_links(plan.slugs, "unavailable")
        if plan.flood_per_s:
            self._stage.open_doors(Order(flood_per_s=plan.flood_per_s, flood_slugs=tuple(plan.slugs)))
        if plan.guilty is not None:
            self._stage.release(plan.guilty)
            self._announce(plan.guilty)

    def _follow_incident(self) -> None:
        """From the incident to the decision, the fix, and the end of it."""
        limit = self._plan.expected.within_s + 60
        if not self._until(lambda: self._incident() is not None, "the incident", limit_s=limit):
            return
        if self._plan.expected.pause:
            self._decide_pause()
        else:
            self._until(self._judged_rightly, "the verdict", limit_s=60)
            self._wait(MENDING_WITHOUT_PAUSE_S)
        self._mend()
        self._until(self._over, "the end of the incident", limit_s=300)

    def _decide_pause(self) -> None:
        """Wait for the question about every campaign that is lost, answer it, wait until the platforms confirm."""
        wanted = set(self._plan.expected.pause)
        if not self._until(lambda: wanted <= self._asked_for(), "the question whether to pause", limit_s=240):
            return
        if self._approval != "automatic":
            self._wait(READING_S)
            if not self._answer():
                return
        self.truth.acted = _now()
        self._until(lambda: wanted <= {a.target for a in self.watch.in_state("paused")}, "the pause", limit_s=60)
        self.truth.counts_at_action = dict(self._stage.counts)
        self._wait(MENDING_S)

    def _answer(self) -> bool:
        """The buyer's decision. Returns whether anything was approved."""
        if self._approval == "ask" and not self._ask("Pause the campaigns that lose sales?"):
            self._story.say("left running, as decided")
            return False
        url = self._until_link()
        if not url:
            return False
        try:
            count = decide(url, name=BUYER)
        except CouldNotDecide as problem:
            self.watch.look()
            if self.watch.in_state("approved", "acting", "paused"):  # somebody was faster in the console
                return True
            self._story.say(f"[red]{problem}")
            return False
        self._story.chapter(f"{BUYER} follows the link of the message and approves {count} pause(s)")
        return True

    def _until_link(self) -> str:
        """The newest approval link that a message carried."""

        def links() -> list[str]:
            return [a.annotations["approve_url"] for a in self._receiver.firing() if a.annotations.get("approve_url")]

        self._until(lambda: bool(links()), "a message with an approval link", limit_s=90)
        return links()[-1] if links() else ""

    def _mend(self) -> None:
        plan = self._plan
        if plan.scenario == "redirect-broken":
            self._stage.product.answer_of_links(plan.slugs, "redirect")
        if plan.flood_per_s:
            self._stage.open_doors(Order())
            self._story.chapter("the flood ends")
        if plan.fix is not None:
            self._stage.release(plan.fix)
            self._story.chapter(f"the fix is shipped: {plan.fix.service} {plan.fix.version}")
        self.truth.fixed = _now()

    def _finish(self) -> None:
        self.watch.look()
        observed = self.watch.observed
        observed.alerts = list(self._receiver.received)
        observed.mutations = self._stage.mutations()
        for action in observed.actions.values():
            history = self._stage.product.get(f"/api/v1/actions/{action.action_id}")
            observed.ledgers[action.action_id] = history["ledger"]
        incident = self._incident()
        if incident is not None:
            observed.failed_traces = failed_traces(self._stage, incident)
        self.truth.ended = _now()
        self.truth.cpu_at_end = self._stage.cpu_seconds()
        self.truth.counts_at_end = dict(self._stage.counts)
        self.truth.write(self._stage.options.data_dir / "truth.json")

    # --- waiting -----------------------------------------------------------------------------------------------------------------

    def _until(self, done: Callable[[], bool], what: str, *, limit_s: float = 600.0) -> bool:
        """Watch until `done`; whether it came in time. Innocent releases are shipped meanwhile, each at its moment."""
        limit = min(time.monotonic() + limit_s, self._deadline)
        while not done():
            if time.monotonic() > limit:
                self._story.say(f"[red]gave up waiting for {what}")
                return False
            self._ship_due()
            self._stage.check()
            self.watch.look()
            time.sleep(LOOK_EVERY_S)
        return True

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._until(lambda: time.monotonic() >= end, "nothing")

    def _ship_due(self) -> None:
        while self._due and time.monotonic() >= self._onset_at + self._due[0].after_s:
            release = self._due.pop(0)
            self._stage.release(release)
            self._announce(release)

    # --- what is seen ------------------------------------------------------------------------------------------------------------

    def _incident(self) -> SeenIncident | None:
        return main_incident(self._plan.expected, self.watch.observed, since=self.truth.onset)

    def _judged_rightly(self) -> bool:
        incident = self._incident()
        return incident is not None and incident.verdict == self._plan.expected.verdict

    def _asked_for(self) -> set[str]:
        states = ("awaiting",) if self._approval != "automatic" else ("approved", "acting", "paused")
        return {action.target for action in self.watch.in_state(*states)}

    def _over(self) -> bool:
        """The incident is closed, what was paused runs again, and the receiver was told."""
        incident = self._incident()
        closed = incident is not None and incident.state == "closed"
        waiting = self.watch.in_state("approved", "acting", "paused", "returning")
        told = any(alert.labels.get("alertname") == INCIDENT_ALERT for alert in self._receiver.resolved())
        return closed and not waiting and told

    def _announce(self, release: Release) -> None:
        self._story.say(f"shipped: {release.change} of {release.service} {release.version} by {release.author}")

    def _tell(self, kind: str, seen: Any) -> None:
        if isinstance(seen, SeenIncident | SeenAction):
            getattr(self._story, kind)(seen)

    def tell_alert(self, received: Received) -> None:
        self._story.alert(received)


def failed_traces(stage: Stage, incident: SeenIncident) -> int:
    """How many of the incident's trace IDs exist as failed spans of the click they name, by the product's own journey of that click."""
    found = 0
    for trace in incident.at_worst.get("traces", []):
        journey = stage.command("trace", trace["click_id"], "--json")
        spans = [span for span in journey.get("spans", []) if span["trace_id"] == trace["trace_id"]]
        found += any(span.get("status") == "error" or span.get("http_status", 0) >= 500 for span in spans)
    return found


def _now() -> int:
    return int(time.time() * 1000)
