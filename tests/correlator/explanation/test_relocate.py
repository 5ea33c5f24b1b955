"""What the first minute of a fault left open is found once more is seen: when it began, and where."""

from __future__ import annotations

from typing import Any

import pytest

from correlator.explanation.explain import Alarm, Located, locate, relocate

START = 1_790_000_040_000
BUCKET = 10_000
TRUE = START + 60 * BUCKET
SCOPE = {"device": "mobile", "page": "a.test/x"}


def broken(window: Any, *, buckets: int, per_bucket: float, keeps: float) -> Any:
    """Orders from mobile devices fail on one page, from bucket 60 on."""
    inside = lambda c: (c.device, c.page) == tuple(SCOPE.values())  # noqa: E731 - handed on at once
    return window(buckets=buckets, per_bucket=per_bucket, keeps=lambda c: keeps if inside(c) else 1.0)


def width(located: Located) -> int:
    return located.onset.high - located.onset.low


@pytest.mark.parametrize(("per_bucket", "keeps"), [(8, 0.1), (15, 0.3), (25, 0.1)])
def test_a_wide_onset_and_scope_become_narrow(window: Any, per_bucket: float, keeps: float) -> None:
    alarm = Alarm("conversions", "fleet", {}, START + 63 * BUCKET)
    first = locate(broken(window, buckets=63, per_bucket=per_bucket, keeps=keeps), alarm)
    assert first.scope == {}
    assert width(first) >= 600_000, "half a minute of a small fault says little"
    later = relocate(broken(type(window)(), buckets=90, per_bucket=per_bucket, keeps=keeps), alarm, first)
    assert later.scope == SCOPE
    assert width(later) <= 60_000
    assert later.onset.low <= TRUE <= later.onset.high


def test_an_onset_is_not_looked_for_before_what_the_first_look_allowed(window: Any) -> None:
    alarm = Alarm("conversions", "fleet", {}, START + 68 * BUCKET)
    first = locate(broken(window, buckets=68, per_bucket=40, keeps=0.1), alarm)
    assert (first.scope, first.onset.at) == (SCOPE, TRUE)
    seen = broken(type(window)(), buckets=90, per_bucket=40, keeps=0.1)
    held = first._replace(onset=first.onset._replace(low=TRUE + 30_000, at=TRUE + 30_000))
    assert relocate(seen, alarm, held).onset.low >= TRUE + 30_000
    assert relocate(seen, alarm, first).onset.at == TRUE


def test_what_was_placed_well_stays_where_it_is(window: Any) -> None:
    alarm = Alarm("conversions", "fleet", {}, START + 68 * BUCKET)
    first = locate(broken(window, buckets=68, per_bucket=40, keeps=0.1), alarm)
    later = relocate(broken(type(window)(), buckets=90, per_bucket=40, keeps=0.1), alarm, first)
    assert (later.scope, later.onset.at) == (first.scope, first.onset.at)
