"""Exports overlap: tomorrow's file has today's rows, too. What came before changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collectors.files.importer import Importer
from core.clock import DAY_MS, parse_rfc3339
from core.control.checkpoints import Checkpoints
from tests.collectors.test_files import write_csv

NOW = parse_rfc3339("2026-09-21T00:00:00Z")
TS = "2026-09-01T10:00:00Z"
ROWS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "conversions": (
        "conversion",
        {"conversion_id": "o-{n}", "type": "order", "status": "confirmed", "value": "10", "currency": "EUR", "ts": TS},
        {"value": "12"},
    ),
    "sales": ("conversion", {"sale_id": "s-{n}", "value": "10", "currency": "EUR", "ts": TS}, {"value": "12"}),
    "spend": (
        "spend",
        {"platform": "google", "account": "1", "campaign": "{n}", "bucket": TS, "bucket_s": "3600", "cost": "10", "currency": "EUR"},
        {"cost": "12"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_tomorrows_export_brings_only_what_is_new_or_changed_in_it(
    journal: Any, control: Any, store: Any, ship: Any, tmp_path: Path, kind: str
) -> None:
    table, row, correction = ROWS[kind]
    amount = "cost_micros" if table == "spend" else "value_micros"

    def rows(*numbers: int) -> list[dict[str, str]]:
        return [{name: text.format(n=n) for name, text in row.items()} for n in numbers]

    def take(day: int, given: list[dict[str, str]]) -> list[int]:
        """The amounts that count after the import."""
        path = write_csv(tmp_path / f"export-{day}.csv", given)
        Importer(journal, Checkpoints(control, "imports"), now=NOW + day * DAY_MS).run(kind, path)
        ship()
        found = store.rows(f"SELECT {amount} AS amount FROM {table}_current ORDER BY fact_id")
        return [each["amount"] // 1_000_000 for each in found]

    def known_then() -> list[dict[str, Any]]:
        """Every field but where the line lies: of equal lines the newest is shown."""
        facts: list[dict[str, Any]] = store.rows(
            f"SELECT * EXCEPT (segment, o) FROM {table}_as_of(as_of={NOW}) ORDER BY fact_id"
        )
        return facts

    assert take(0, rows(1, 2)) == [10, 10]
    as_known = known_then()
    assert take(1, rows(1, 2, 3)) == [10, 10, 10]
    assert known_then()[:2] == as_known
    changed = [rows(1)[0] | correction, *rows(2, 3)]
    assert take(2, changed) == [12, 10, 10]
