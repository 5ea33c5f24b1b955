"""The measurement of `clicktrace detect`: its labels, its measures, and that the detector is better than the simple rules."""

from __future__ import annotations

import numpy as np
import pytest

from app.bench.series.faults import FAULTS, KINDS, POSSIBLE, labelled
from app.bench.series.measures import at_threshold, average_precision, episodes, tolerant_precision
from app.bench.series.rules import RULES
from app.bench.series.run import run


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_the_same_from_the_same_seed_and_its_labels_say_what_was_done(kind: str) -> None:
    one, same = labelled(kind, seed=7), labelled(kind, seed=7)
    assert np.array_equal(one.values, same.values)
    assert one.anomalous.any()
    assert {name for name, _, _ in one.faults} <= set(POSSIBLE[kind]) <= set(FAULTS)
    assert not labelled(kind, seed=7, clean=True).anomalous.any()


def test_the_simple_rules_are_causal_as_well() -> None:
    series = labelled("traffic", seed=3)
    for rule in RULES.values():
        whole = rule(series)
        assert whole.shape == series.values.shape
        assert whole[int(series.faults[0][1])] != 0


def test_the_areas_are_one_for_a_perfect_score_and_the_share_for_a_blind_one() -> None:
    truth = np.zeros(100, dtype=np.bool_)
    truth[40:50] = True
    assert average_precision(truth.astype(float), anomalous=truth) == 1.0
    assert average_precision(np.zeros(100), anomalous=truth) == pytest.approx(0.1)
    assert tolerant_precision(np.zeros(100), anomalous=truth, longest=10) > 0.1


def test_incidents_count_once_and_an_echo_is_neither_right_nor_wrong() -> None:
    truth = np.zeros(400, dtype=np.bool_)
    truth[100:110] = True
    scores = np.zeros(400)
    scores[[103, 105, 130, 300, 310]] = 1.0
    assert episodes(scores >= 0.5) == [(103, 106), (130, 131), (300, 311)]
    counted = at_threshold(scores, anomalous=truth, threshold=0.5)
    assert counted == {"anomalies": 1, "found": 1, "false": 1, "delay_rows": 3.0}


@pytest.mark.long
def test_the_detector_is_better_than_the_simple_rules_at_their_best() -> None:
    rules = run(series=3, first_seed=9_000)["rules"]
    ours = rules.pop("clicktrace")
    assert all(ours["pr_auc"] > 1.5 * other["pr_auc"] for other in rules.values())
    assert all(ours["f1"] > other["f1"] for other in rules.values())
    assert ours["false_per_1000_clean_rows"] < 0.5
