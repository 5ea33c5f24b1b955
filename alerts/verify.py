"""Checks that the ledger tells one consistent story: `clicktrace actions verify`. Finds, never mends."""

from __future__ import annotations

from itertools import pairwise

from alerts.actions.base import Action
from alerts.ledger import Entry, Lease, Ledger
from alerts.state import LEASED, TRANSITIONS, ActionState

#: A step that may only stand after another one.
_NEEDS_BEFORE = {
    "call": "intent",
    "read_back": "intent",
    "return_call": "return_intent",
    "return_read_back": "return_intent",
    "return_intent": "read_back",
}


def verify(ledger: Ledger) -> list[str]:
    """Every inconsistency as a sentence that names the action; empty = the ledger is sound."""
    entries: dict[str, list[Entry]] = {}
    for entry in ledger.entries():
        entries.setdefault(entry.action_id, []).append(entry)
    actions = {action.action_id: action for action in ledger.find()}
    leases = {lease.action_id: lease for lease in ledger.leases()}
    problems = [f"{action_id}: has ledger lines but is no action" for action_id in sorted(entries.keys() - actions)]
    for action in actions.values():
        problems += _verify_action(action, entries.get(action.action_id, []), leases.get(action.action_id))
    problems += [f"{action_id}: has an open lease but is no action" for action_id in sorted(leases.keys() - actions)]
    return problems


def _verify_action(action: Action, entries: list[Entry], lease: Lease | None) -> list[str]:
    if not entries or entries[0].step != "proposed":
        return [f"{action.action_id}: its first ledger line is not the proposal"]
    problems = [*_order(entries), *_transitions(entries)]
    if entries[-1].payload.get("state") != str(action.state):
        problems.append(f"the ledger ends with {entries[-1].payload.get('state')}, the action is {action.state}")
    if (action.state in LEASED) != (lease is not None):
        problems.append(f"it is {action.state} {'without' if lease is None else 'with'} an open lease")
    return [f"{action.action_id}: {problem}" for problem in problems]


def _order(entries: list[Entry]) -> list[str]:
    seen: set[str] = set()
    problems = []
    for entry in entries:
        before = _NEEDS_BEFORE.get(entry.step)
        if before and before not in seen:
            problems.append(f"line {entry.entry} is {entry.step} without {before} before it")
        seen.add(entry.step)
    return problems


def _transitions(entries: list[Entry]) -> list[str]:
    states = [ActionState(str(entry.payload.get("state"))) for entry in entries]
    return [
        f"it went from {before} to {after}"
        for before, after in pairwise(states)
        if before is not after and after not in TRANSITIONS[before]
    ]
