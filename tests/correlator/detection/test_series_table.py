"""Which CSV files are read as a series, and what each refusal says."""

from __future__ import annotations

import io

import numpy as np
import pytest

from core.errors import Invalid
from correlator.detection.series.table import Table, read_table, write_scored


def read(text: str) -> Table:
    return read_table(io.StringIO(text))


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-01T00:00:01Z",
        "2026-01-01T01:00:01+01:00",
        "2026-01-01 00:00:01",
        "1767225601",
        "1767225601.0",
        "1767225601000",
        "1767225601000000",
        "1767225601000000000",
    ],
)
def test_a_time_may_be_iso_8601_or_a_number_since_1970(moment: str) -> None:
    assert read(f"timestamp,value\n{moment},1\n").series.times_ms.tolist() == [1_767_225_601_000]


def test_a_rate_is_read_from_successes_and_trials() -> None:
    series = read("timestamp,successes,trials\n1,5,20\n2,0,0\n3,,7\n").series
    assert series.trials is not None
    assert series.trials.tolist() == [20, 0, 0]
    assert series.values[0] == 0.25
    assert np.isnan(series.values[1:]).all()


@pytest.mark.parametrize("word", ["", " ", "NaN", "null", "NA", "inf"])
def test_a_missing_value_is_no_error(word: str) -> None:
    table = read(f"timestamp,value\n1,2\n2,{word}\n")
    assert table.missing == 1


def test_columns_have_any_order_and_case_and_others_are_left_alone() -> None:
    table = read("\ufeffhost;Value ;TimeStamp\nweb;1.5;10\nweb;2.5;20\n")
    assert table.series.values.tolist() == [1.5, 2.5]


def test_rows_out_of_order_are_put_in_time_order_and_counted() -> None:
    table = read("timestamp,value\n3,30\n1,10\n2,20\n2,21\n")
    assert table.series.values.tolist() == [10, 20, 21, 30]
    assert (table.order.tolist(), table.disordered) == ([1, 2, 3, 0], 1)


@pytest.mark.parametrize(
    ("text", "reason", "said"),
    [
        ("", "no_header", "empty"),
        ("timestamp,value\n", "no_rows", "no rows"),
        ("timestamp,val\n1,2\n", "unknown_column", "no column"),
        ("time,value\n1,2\n", "unknown_column", "timestamp"),
        ("timestamp,value\n1,2\n3\n", "short_row", "line 3"),
        ("timestamp,value\n1,2\n\nyesterday,2\n", "bad_timestamp", "'yesterday'"),
        ("timestamp,value\nnan,2\n", "bad_timestamp", "line 2"),
        ("timestamp,value\n1,2\n2,many\n", "bad_number", "line 3: 'many'"),
        ("timestamp,successes,trials\n1,-2,5\n", "negative_count", "line 2"),
    ],
)
def test_a_file_that_is_no_series_is_refused_with_its_line(text: str, reason: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(text)
    assert refused.value.reason == reason
    assert said in str(refused.value)


def test_the_file_comes_back_with_the_scores_behind_its_columns() -> None:
    out = io.StringIO()
    text = 'timestamp;note;value\n1;"a;b";2\n\n2;c;3\n'
    write_scored(io.StringIO(text), out, scores=np.array([0.0, 0.75]))
    assert out.getvalue() == 'timestamp;note;value;anomaly_score\n1;"a;b";2;0.000000\n2;c;3;0.750000\n'


def test_a_score_column_from_before_is_replaced() -> None:
    out = io.StringIO()
    write_scored(io.StringIO("timestamp,anomaly_score,value\n1,0.9,2\n"), out, scores=np.array([0.25]))
    assert out.getvalue() == "timestamp,value,anomaly_score\n1,2,0.250000\n"
