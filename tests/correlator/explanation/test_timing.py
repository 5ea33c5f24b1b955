from typing import Any

import numpy as np

from correlator.explanation.timing import find_onset

START = 1_790_000_040_000
TRUE = START + 60 * 10_000


def onset_of(window: Any) -> Any:
    return find_onset(window, np.ones(len(window.cells), dtype=bool), before=window.end)


def test_onset_of_a_broken_checkout_is_found_within_twenty_seconds(window: Any) -> None:
    found = onset_of(window(kind="arrival", keeps=lambda c: 0.2))
    assert abs(found.at - TRUE) <= 20_000
    assert found.low <= TRUE <= found.high


def test_arrival_and_cohort_are_told_apart(window: Any) -> None:
    arrival = onset_of(window(kind="arrival", keeps=lambda c: 0.1, per_bucket=60, failed=lambda c: 0.05))
    cohort = onset_of(window(kind="cohort", keeps=lambda c: 0.1, per_bucket=60, failed=lambda c: 0.05))
    assert (arrival.hypothesis, cohort.hypothesis) == ("arrival", "cohort")
    assert arrival.arrival_against_cohort > 1.5 > -1.5 > cohort.arrival_against_cohort


def test_failing_traces_sharpen_the_onset(window: Any) -> None:
    dull = onset_of(window(buckets=66, keeps=lambda c: 0.6, per_bucket=5))
    sharp = onset_of(window(buckets=66, keeps=lambda c: 0.6, per_bucket=5, failed=lambda c: 0.3))
    assert sharp.high - sharp.low < dull.high - dull.low
    assert abs(sharp.at - TRUE) <= 10_000


def test_onset_of_lost_hits(window: Any) -> None:
    found = onset_of(window(lost=lambda c: 0.8))
    assert abs(found.at - TRUE) <= 10_000


def test_an_onset_lies_before_the_alarm(window: Any) -> None:
    w = window(keeps=lambda c: 0.2)
    found = find_onset(w, np.ones(len(w.cells), dtype=bool), before=TRUE - 100_000)
    assert found.at < TRUE - 100_000
