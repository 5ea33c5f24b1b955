"""`clicktrace bench detector` on a fleet of sixty streams."""

import pytest

from app.bench import detector


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    return detector.run(campaigns=4, clicks_a_minute=60.0, minutes=2, seed=3)


def test_a_restart_changes_no_bit_of_the_next_minute(figures: dict[str, object]) -> None:
    assert figures["the_same_after_a_restart"] is True


def test_too_few_streams_are_no_measurement(figures: dict[str, object]) -> None:
    assert any("streams, at least" in miss for miss in figures["missed"])  # type: ignore[attr-defined]  # a list of sentences


def test_every_bound_that_is_missed_is_named() -> None:
    kept = {"streams": 10_000, "the_same_after_a_restart": True, **detector.AT_MOST}
    assert detector.missed(kept) == []
    for name in detector.AT_MOST:
        assert len(detector.missed({**kept, name: detector.AT_MOST[name] * 1.01})) == 1
    assert len(detector.missed({**kept, "the_same_after_a_restart": False})) == 1
