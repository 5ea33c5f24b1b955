from typing import Any

import numpy as np
import pytest

from correlator.explanation.explain import Alarm, channels, find_scope
from correlator.explanation.scope import Channel, scan

START = 1_790_000_040_000
ONSET = START + 60 * 10_000


def scope_of(window: Any, kind: str = "conversions") -> dict[str, str]:
    return find_scope(window, ONSET, alarm=Alarm(kind, "all", {}, window.end))


def test_one_device_on_one_page(window: Any) -> None:
    broken = window(keeps=lambda c: 0.1 if (c.device, c.page) == ("mobile", "a.test/x") else 1.0, per_bucket=60)
    assert scope_of(broken) == {"device": "mobile", "page": "a.test/x"}


def test_a_device_is_named_rather_than_its_only_browser(window: Any) -> None:
    assert set(scope_of(window(keeps=lambda c: 0.3 if c.device == "mobile" else 1.0))) <= {"device", "browser"}


def test_everything_is_no_condition_at_all(window: Any) -> None:
    assert scope_of(window(keeps=lambda c: 0.2)) == {}


def test_one_campaign(window: Any) -> None:
    assert scope_of(window(keeps=lambda c: 0.1 if c.campaign == "meta:2:1" else 1.0, per_bucket=60)) == {
        "campaign": "meta:2:1"
    }


def test_several_campaigns_with_nothing_in_common_are_listed(window: Any) -> None:
    chosen = {"google:1:1", "meta:2:2", "meta:2:1"}
    broken = window(lost=lambda c: 1.0 if c.campaign in chosen else 0.0)
    assert scope_of(broken, "lost") == {"campaign": ",".join(sorted(chosen))}


def test_failing_traces_show_the_scope_before_conversions_can(window: Any) -> None:
    inside = lambda c: (c.device, c.page) == ("mobile", "a.test/y")  # noqa: E731 - said twice below
    broken = window(buckets=63, keeps=lambda c: 0.2 if inside(c) else 1.0, failed=lambda c: 0.4 if inside(c) else 0.0)
    assert scope_of(broken) == {"device": "mobile", "page": "a.test/y"}


def test_a_flooded_campaign(window: Any) -> None:
    assert scope_of(window(growth=lambda c: 10.0 if c.campaign == "google:1:2" else 1.0)) == {"campaign": "google:1:2"}


def test_a_healthy_window_gains_little_from_any_condition(window: Any) -> None:
    healthy = window()
    found = scan(
        {name: healthy.values(name) for name in ("campaign", "device", "page")},
        channels(healthy, 60, kind="conversions"),
    )
    assert found[0].gain < 8


def test_the_exact_combination_is_found_in_most_random_faults() -> None:
    random = np.random.default_rng(8)
    values = {
        "campaign": [f"c{i}" for i in range(10) for _ in range(15)],
        "device": [f"d{i}" for _ in range(10) for i in range(3) for _ in range(5)],
        "page": [f"p{i}" for _ in range(30) for i in range(5)],
    }
    right = 0
    for _ in range(60):
        names = list(random.choice(list(values), random.integers(1, 3), replace=False))
        truth = {name: (str(random.choice(sorted(set(values[name])))),) for name in names}
        inside = np.all([np.asarray(values[n]) == v[0] for n, v in truth.items()], axis=0)
        due = random.uniform(3, 12, 150)
        seen = random.poisson(np.where(inside, 0.4 * due, due)).astype(float)
        right += scan(values, [Channel("drop", seen, due)])[0].scope == truth
    assert right >= 42  # 0.70


@pytest.mark.parametrize("kind", ["drop", "share", "rise"])
def test_what_goes_the_other_way_gains_nothing(kind: str) -> None:
    hits, trials = {"drop": (30.0, 20.0), "share": (0.0, 50.0), "rise": (5.0, 20.0)}[kind]
    [best] = scan({"device": ["mobile"]}, [Channel(kind, np.asarray([hits]), np.asarray([trials]), 0.1)])
    assert best.score == 0
