"""The two state machines, pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.state import FINAL, LEASED, TRANSITIONS, ActionState, RuleProgress, RuleState, advance, check_transition
from core.errors import Conflict


def run(windows: list[bool | None], *, needed: int) -> RuleState:
    progress = RuleProgress()
    for now, holds in enumerate(windows):
        progress = advance(progress, holds=holds, needed=needed, now=now)
    return progress.state


@pytest.mark.parametrize(
    ("windows", "state"),
    [
        ([True, True, True], "firing"),
        ([True, True, False], "inactive"),
        ([True, False, True, True], "pending"),
        ([True, True, None, True], "firing"),
        ([None, None, None], "inactive"),
        ([True, True, True, None], "firing"),
        ([True, True, True, False], "resolved"),
        ([True, True, True, False, True], "pending"),
        ([], "inactive"),
    ],
)
def test_windows_in_a_row_fire_and_an_incomplete_one_neither_counts_nor_resets(
    windows: list[bool | None], state: str
) -> None:
    assert run(windows, needed=3) == state


@given(st.lists(st.sampled_from([True, False, None])), st.integers(1, 4))
def test_incomplete_windows_never_matter(windows: list[bool | None], needed: int) -> None:
    assert run(windows, needed=needed) == run([each for each in windows if each is not None], needed=needed)


def test_since_is_when_the_state_was_entered() -> None:
    first = advance(RuleProgress(), holds=True, needed=1, now=5)
    assert advance(first, holds=True, needed=1, now=9).since == 5


def test_every_state_has_its_transitions_and_final_ones_have_none() -> None:
    assert set(TRANSITIONS) == set(ActionState)
    assert {state for state, after in TRANSITIONS.items() if not after} == FINAL


def test_nothing_that_may_be_paused_can_end_without_the_platform_having_been_read() -> None:
    """From a leased state an action ends only in those states that a read-back leads to."""
    ends = {after for state in LEASED for after in TRANSITIONS[state]} & FINAL
    assert ends == {ActionState.RETURNED, ActionState.RELEASED, ActionState.FAILED}


def test_a_forbidden_transition_names_the_state() -> None:
    with pytest.raises(Conflict) as raised:
        check_transition(ActionState.REJECTED, ActionState.APPROVED)
    assert raised.value.reason == "already_rejected"
