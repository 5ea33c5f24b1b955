"""Where a gap comes from: combinations of attribute values in tables whose causes are known."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli.localize import app
from core.errors import Invalid

COUNTRIES = ("DE", "FR", "GB", "US", "NL")
DEVICES = ("desktop", "mobile", "tablet")
PAGES = ("home", "cart", "sale", "blog")
Row = tuple[str, str, str, float, float]


def _rows(*, kept: dict[tuple[str, ...], float], mean: float = 200.0, seed: int = 1, noise: float = 0.0) -> list[Row]:
    """A row per country, device and page; `kept` maps values to the share that is left where all of them hold."""
    rng = np.random.default_rng(seed)
    rows = []
    for leaf in product(COUNTRIES, DEVICES, PAGES):
        expected = float(mean * rng.uniform(0.3, 3))
        due = expected * np.prod([share for values, share in kept.items() if set(values) <= set(leaf)])
        seen = float(rng.poisson(due)) if noise == 0 else float(due * (1 + rng.normal(0, noise)))
        rows.append((*leaf, seen, round(expected, 3)))
    return rows


def _file(folder: Path, rows: list[Row], *, header: str = "country,device,page,seen,due", separator: str = ",") -> Path:
    path = folder / "table.csv"
    lines = [header.replace(",", separator), *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _located(path: Path, *options: str) -> list[dict[str, Any]]:
    asked = options or ("--actual", "seen", "--expected", "due")
    answer = CliRunner().invoke(app, [str(path), *asked, "--json"], catch_exceptions=False)
    assert answer.exit_code == 0
    causes: list[dict[str, Any]] = msgspec.json.decode(answer.stdout)
    return causes


def _named(path: Path, *options: str) -> list[dict[str, str]]:
    return [cause["attributes"] for cause in _located(path, *options)]


def test_names_one_cause_as_simply_as_it_can_be_said(tmp_path: Path) -> None:
    rows = _rows(kept={("mobile",): 0.6})
    causes = _located(_file(tmp_path, rows))
    assert [cause["attributes"] for cause in causes] == [{"device": "mobile"}]
    seen = sum(row[3] for row in rows if row[1] == "mobile")
    due = sum(row[4] for row in rows if row[1] == "mobile")
    assert causes[0]["actual"] == pytest.approx(seen)
    assert causes[0]["expected"] == pytest.approx(due)
    assert causes[0]["deviation"] == pytest.approx(seen / due - 1)
    gap = sum(row[4] - row[3] for row in rows)
    assert causes[0]["share"] == pytest.approx((due - seen) / gap)
    assert causes[0]["rows"] == len(COUNTRIES) * len(PAGES)
    assert 0.5 < causes[0]["probability"] <= 1
    assert causes[0]["log_likelihood_ratio"] > causes[0]["score"] > 0


def test_tells_several_causes_of_different_sizes_drops_and_rises_apart(tmp_path: Path) -> None:
    rows = _rows(kept={("FR", "mobile"): 0.3, ("GB",): 0.8, ("US", "sale"): 1.8})
    named = _named(_file(tmp_path, rows))
    assert sorted(map(str, named)) == sorted(
        map(str, [{"country": "FR", "device": "mobile"}, {"country": "GB"}, {"country": "US", "page": "sale"}])
    )


def test_two_of_three_devices_are_not_called_all_of_them(tmp_path: Path) -> None:
    named = _named(_file(tmp_path, _rows(kept={("FR", "mobile"): 0.4, ("FR", "tablet"): 0.4})))
    assert sorted(map(str, named)) == sorted(
        map(str, [{"country": "FR", "device": "mobile"}, {"country": "FR", "device": "tablet"}])
    )


def test_a_drop_of_everything_is_said_of_everything(tmp_path: Path) -> None:
    kept: dict[tuple[str, ...], float] = {(country,): 0.7 for country in COUNTRIES}
    assert _named(_file(tmp_path, _rows(kept=kept))) == [{}]


@pytest.mark.parametrize("noise", [0.0, 0.06])
def test_nothing_is_named_where_nothing_is_wrong(tmp_path: Path, noise: float) -> None:
    path = _file(tmp_path, _rows(kept={}, noise=noise))
    assert _located(path) == []
    told = CliRunner().invoke(app, [str(path), "--actual", "seen", "--expected", "due"])
    assert "Nothing stands out" in told.stdout


def test_forecasts_off_by_several_per_cent_everywhere_hide_no_cause_and_make_none(tmp_path: Path) -> None:
    rows = _rows(kept={("NL", "cart"): 0.5}, noise=0.08)
    assert _named(_file(tmp_path, rows)) == [{"country": "NL", "page": "cart"}]


def test_a_ratio_is_not_fooled_by_a_change_in_mix(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    lines = ["country;device;page;sales;due;clicks;planned"]
    for country, device, page in product(COUNTRIES, DEVICES, PAGES):
        planned = int(rng.integers(2000, 20000))
        clicks = planned // 4 if country == "DE" else planned
        rate = 0.01 if device == "mobile" else 0.03
        kept = 0.5 if (country, device) == ("US", "desktop") else 1.0
        lines.append(
            f"{country};{device};{page};{rng.binomial(clicks, rate * kept)};{planned * rate};{clicks};{planned}"
        )
    path = tmp_path / "ratio.csv"
    path.write_text("\n".join(lines))
    options = ["--actual", "sales", "--expected", "due", "--actual-total", "clicks", "--expected-total", "planned"]
    (cause,) = _located(path, *options)
    assert cause["attributes"] == {"country": "US", "device": "desktop"}
    assert cause["actual"] == pytest.approx(cause["actual_count"] / cause["actual_total"])
    assert cause["expected"] == pytest.approx(0.03)


def test_a_high_success_ratio_is_judged_by_its_failures(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    lines = ["country,device,page,ok,due,requests,planned"]
    for country, device, page in product(COUNTRIES, DEVICES, PAGES):
        rate = 0.94 if (country, page) == ("FR", "cart") else 0.99
        lines.append(f"{country},{device},{page},{rng.binomial(3000, rate)},{3000 * 0.99},3000,3000")
    path = tmp_path / "ok.csv"
    path.write_text("\n".join(lines))
    options = ["--actual", "ok", "--expected", "due", "--actual-total", "requests", "--expected-total", "planned"]
    assert _named(path, *options) == [{"country": "FR", "page": "cart"}]


def test_odd_cells_are_read_for_what_they_mean(tmp_path: Path) -> None:
    rows = [row if row[1] != "tablet" else (*row[:3], "", row[4]) for row in _rows(kept={})]
    rows += [("ZZ", device, page, 90.0, 0.0) for device in DEVICES for page in PAGES]
    rows += [("", "desktop", "home", 0.0, 0.0)]
    path = _file(tmp_path, rows)  # type: ignore[arg-type]
    named = _named(path)
    assert {"device": "tablet"} in named
    assert {"country": "ZZ"} in named
    told = CliRunner().invoke(app, [str(path), "--actual", "seen", "--expected", "due"]).stdout
    assert "20 empty cells in seen were read as 0" in told
    assert "of which nothing was expected" in told


def test_negative_values_and_rows_of_one_combination_are_added_up(tmp_path: Path) -> None:
    rows = _rows(kept={("FR", "mobile"): 0.4}, noise=0.02)
    loss = [(*row[:3], -row[3], -row[4]) for row in rows]
    halves = [(*row[:3], row[3] / 2, row[4] / 2) for row in loss for _ in range(2)]
    assert _named(_file(tmp_path, halves)) == [{"country": "FR", "device": "mobile"}]


def test_only_the_named_attributes_are_looked_at_and_top_cuts_the_list(tmp_path: Path) -> None:
    path = _file(tmp_path, _rows(kept={("FR", "mobile"): 0.2, ("US", "blog"): 0.2}), separator="\t")
    measure = ("--actual", "seen", "--expected", "due")
    assert all("page" not in named for named in _named(path, *measure, "--attributes", "country,device"))
    assert len(_named(path, *measure, "--top", "1")) == 1


@pytest.mark.parametrize(
    ("text", "options", "reason", "says"),
    [
        ("a,seen,due\nx,1,2\n", ("--actual", "sen"), "no_column", "a, seen, due"),
        ("a,seen,due\nx,1,two\n", (), "not_a_number", "row 2, column due"),
        ("a,seen,due\nx,inf,2\n", (), "not_a_number", "column seen"),
        ("a,seen,due\nx,1\n", (), "ragged_row", "row 2 has 2 cells"),
        ("a,a,seen,due\nx,y,1,2\n", (), "same_column", "rename"),
        ("a,seen,due\n", (), "no_rows", "header"),
        ("seen,due\n1,2\n", (), "no_attributes", "attribute"),
        ("a,seen,due\nx,1,0\n", (), "no_expectation", "due is 0"),
        ("a,seen,due,n\nx,1,2,3\n", ("--actual-total", "n"), "total_missing", "--expected-total"),
        ("a,seen,due\nx,1,2\n", ("--expected", "seen"), "same_column", "different columns"),
        (
            "a,seen,due,n,m\nx,1,2,-3,4\n",
            ("--actual-total", "n", "--expected-total", "m"),
            "negative_total",
            "0 or more",
        ),
        ("", (), "no_header", "first line"),
    ],
)
def test_wrong_input_is_refused_with_how_to_mend_it(
    tmp_path: Path, text: str, options: tuple[str, ...], reason: str, says: str
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(Invalid) as refused:
        CliRunner().invoke(app, [str(path), "--actual", "seen", "--expected", "due", *options], catch_exceptions=False)
    assert refused.value.reason == reason
    assert says in str(refused.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe\x00,\x81")
    for path, reason in ((tmp_path / "none.csv", "no_file"), (binary, "not_text")):
        with pytest.raises(Invalid) as refused:
            CliRunner().invoke(app, [str(path), "--actual", "a", "--expected", "b"], catch_exceptions=False)
        assert refused.value.reason == reason


def test_what_is_left_around_a_cause_is_a_cause_of_its_own(tmp_path: Path) -> None:
    path = _file(tmp_path, _rows(kept={("FR",): 0.8, ("FR", "mobile"): 0.1}, mean=2000.0))
    assert _named(path) == [{"country": "FR", "device": "mobile"}, {"country": "FR"}]
