"""A report is compared over both engines, or the suite says so every day; the comparison itself takes a minute (test_both_engines.py)."""

from __future__ import annotations

from typing import Any

from tests.correlator.test_both_engines import ASKED, QUESTIONS


def test_every_route_of_the_reports_is_asked_of_both_engines(world: Any) -> None:
    paths = world.app.openapi()["paths"]
    assert {f"/api/v1{path}" for path in QUESTIONS} == set(paths)
    assert all(path.format(**ASKED) for path in QUESTIONS)
