from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine

from app.leadership import Leadership

if TYPE_CHECKING:
    from ..conftest import FakeClock


def lease(engine: Engine, holder: str, clock: FakeClock) -> Leadership:
    return Leadership(engine, "correlator", holder=holder, lease_s=30, clock=clock)


def test_one_leads_and_the_other_stands_by(control: Engine, clock: FakeClock) -> None:
    first, second = lease(control, "a", clock), lease(control, "b", clock)
    assert first.hold()
    assert not second.hold()
    assert (first.remaining_s(), second.remaining_s()) == (30.0, 0.0)


def test_a_standby_takes_over_when_the_lease_runs_out(control: Engine, clock: FakeClock) -> None:
    first, second = lease(control, "a", clock), lease(control, "b", clock)
    assert first.hold()
    clock.advance(30_001)
    assert second.hold()
    assert not first.hold()


def test_renewing_keeps_the_lease(control: Engine, clock: FakeClock) -> None:
    first, second = lease(control, "a", clock), lease(control, "b", clock)
    for _ in range(5):
        assert first.hold()
        clock.advance(20_000)
        assert not second.hold()


def test_a_restarted_monitor_leads_again_at_once(control: Engine, clock: FakeClock) -> None:
    assert lease(control, "a", clock).hold()
    assert lease(control, "a", clock).hold()


def test_a_released_lease_is_free_at_once(control: Engine, clock: FakeClock) -> None:
    first, second = lease(control, "a", clock), lease(control, "b", clock)
    assert first.hold()
    first.release()
    assert second.hold()
