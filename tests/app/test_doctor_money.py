"""Doctor names the currencies that cannot be told, and only when somebody wants them told in one."""

from __future__ import annotations

from pathlib import Path

from app.doctor_money import rates, told
from app.settings import Settings


def test_without_a_reporting_currency_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert rates(Settings(data_dir=tmp_path), None) == []


def test_a_currency_without_a_rate_is_a_problem_with_its_mend() -> None:
    [found] = told(["TRY", "USD"], reporting="EUR", days=7)
    assert (found.state, found.check) == ("problem", "rates")
    assert found.text.startswith("TRY, USD cannot be told in EUR")
    assert "clicktrace import rates" in found.mend
    assert told([], reporting="EUR", days=7)[0].state == "ok"
