"""Compares what the product said with what really happened. Pure: two values in, sentences out; no sentence = as expected."""

from __future__ import annotations

from collections.abc import Iterator

from app.demo.scenarios import Expectation
from app.demo.truth import Truth
from app.demo.watch import Observed, SeenAction, SeenIncident

#: States in which a pause was at least asked for.
ASKED = ("awaiting", "approved", "acting", "paused", "returning", "returned", "released", "unconfirmed", "failed")
#: The alert that stands for an incident as a whole.
INCIDENT_ALERT = "ConversionIncident"
#: The product may place the onset this much too early or too late.
ONSET_TOLERANCE_S = 60.0


def differences(truth: Truth, observed: Observed) -> list[str]:
    """How the product's story differs from the truth, as sentences."""
    expected = truth.plan.expected
    if not expected.verdict:
        return list(_silence(observed))
    incident = main_incident(expected, observed, since=truth.onset)
    if incident is None:
        others = ", ".join(i.verdict for i in observed.incidents.values()) or "none"
        return [f"expected an incident with verdict {expected.verdict}, found {others}"]
    found = [*_early(truth, observed), *_others(expected, incident, observed)]
    found += [*_verdict(expected, incident), *_time(truth, incident), *_scope(expected, incident)]
    found += [*_deploy(expected, incident), *_traces(expected, observed), *_actions(truth, observed)]
    return [*found, *_resolution(incident, observed)]


def main_incident(expected: Expectation, observed: Observed, *, since: int) -> SeenIncident | None:
    """The first incident after the onset, one with the right verdict before any other."""
    later = sorted((i for i in observed.incidents.values() if i.first_seen >= since), key=lambda i: i.first_seen)
    return next((i for i in later if i.verdict == expected.verdict), later[0] if later else None)


def _silence(observed: Observed) -> Iterator[str]:
    for incident in observed.incidents.values():
        yield f"expected silence, but an incident opened: {incident.payload['title']} ({incident.verdict})"
    for action in observed.actions.values():
        yield f"expected no action, but {action.kind} of {action.target} is {action.state}"


def _early(truth: Truth, observed: Observed) -> Iterator[str]:
    for incident in observed.incidents.values():
        if incident.first_seen < truth.onset:
            yield f"a false alarm before the onset: {incident.payload['title']} ({incident.verdict})"


def _others(expected: Expectation, main: SeenIncident, observed: Observed) -> Iterator[str]:
    for incident in observed.incidents.values():
        if incident.incident_id != main.incident_id and incident.verdict != expected.verdict:
            yield f"a second incident with another verdict: {incident.payload['title']} ({incident.verdict})"


def _verdict(expected: Expectation, incident: SeenIncident) -> Iterator[str]:
    if incident.verdict != expected.verdict:
        yield f"expected verdict {expected.verdict}, found {incident.verdict}"


def _time(truth: Truth, incident: SeenIncident) -> Iterator[str]:
    took = (incident.first_seen - truth.onset) / 1000
    if took > truth.plan.expected.within_s:
        yield f"expected the incident within {truth.plan.expected.within_s:.0f} s of the onset, it took {took:.0f} s"
    off = (incident.at_worst["onset"] - truth.onset) / 1000
    if abs(off) > ONSET_TOLERANCE_S:
        yield f"expected the onset within {ONSET_TOLERANCE_S:.0f} s of the truth, it is {off:+.0f} s off"


def _scope(expected: Expectation, incident: SeenIncident) -> Iterator[str]:
    scope = incident.at_worst["scope"]
    for dimension, value in expected.scope.items():
        if scope.get(dimension) != value:
            yield f"expected scope {dimension}={value}, found {scope or 'everything'}"


def _deploy(expected: Expectation, incident: SeenIncident) -> Iterator[str]:
    if not expected.deploy_service:
        return
    deploys = incident.at_worst.get("deploys", [])
    wanted = (expected.deploy_service, expected.deploy_version)
    first = (deploys[0]["service"], deploys[0]["version"]) if deploys else None
    if first != wanted:
        yield f"expected {' '.join(wanted)} first among the suspects, found {' '.join(first) if first else 'none'}"


def _traces(expected: Expectation, observed: Observed) -> Iterator[str]:
    if observed.failed_traces < expected.failed_traces:
        yield f"expected {expected.failed_traces} traces of failed paid clicks, found {observed.failed_traces} that exist as failed spans"


def _actions(truth: Truth, observed: Observed) -> Iterator[str]:
    expected = truth.plan.expected
    asked = {action.target for action in observed.actions.values() if was_asked(action)}
    for target in sorted(set(expected.pause) - asked):
        yield f"expected a pause to be asked for {target}, it was not"
    for target in sorted(asked - set(expected.pause) - set(expected.may_pause)):
        yield f"a pause was asked for {target}, which should be left alone"
    told = {action.target for action in observed.actions.values() if "by_hand" in action.states}
    for target in sorted(set(expected.by_hand) - told):
        yield f"expected people to be told to pause {target} by hand, they were not"
    yield from _outcome(truth, observed)


def _outcome(truth: Truth, observed: Observed) -> Iterator[str]:
    """Everything that was paused was really paused, and runs again after the fix."""
    paused = {str(change["campaign"]) for change in observed.mutations if change["status"] == "paused"}
    if not truth.acted:
        for target in sorted(paused):
            yield f"{target} was paused although nobody approved"
        return
    for target in sorted(set(truth.plan.expected.pause) - paused):
        yield f"expected {target} to be paused on its platform, it never was"
    for target in sorted(paused):
        last = [change["status"] for change in observed.mutations if change["campaign"] == target][-1]
        if last != "enabled":
            yield f"expected {target} to run again after the fix, its platform says {last}"


def _resolution(incident: SeenIncident, observed: Observed) -> Iterator[str]:
    if incident.state != "closed":
        yield f"expected the incident to close after the fix, it is {incident.state}"
    if not any(a.status == "resolved" and a.labels.get("alertname") == INCIDENT_ALERT for a in observed.alerts):
        yield "expected the alert to resolve after the fix, no receiver was told"


def was_asked(action: SeenAction) -> bool:
    return any(state in action.states for state in ASKED)
