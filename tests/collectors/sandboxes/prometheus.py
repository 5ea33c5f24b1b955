"""A Prometheus as far as range queries go: one series per sample that happened, in the words of its HTTP API.

"HTTP API" (prometheus.io/docs/prometheus/latest/querying/api), sections "Format overview", "Range queries" and "Range vectors". The
real server is in tests/collectors/prometheus/test_real_prometheus.py; this one can misbehave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.demo.ad_account import Behaviour
from core.records import Gauge, Record
from tests.collectors.sandboxes.base import Answer, Request, Sandbox, bearer
from tests.collectors.sandboxes.cases import Case

STEP_MS = 60_000
MAX_POINTS = 11_000


class PrometheusSandbox(Sandbox):
    """`samples` are (minute in ms, number, value); the query `orders` answers them all."""

    def __init__(self, directory: Path, *, clock: Callable[[], int]) -> None:
        super().__init__(behaviour=Behaviour(report_lag_s=0.0, restate_share=0.0), clock=clock)
        self.samples: list[tuple[int, int, float]] = []
        self.warnings: list[str] = []
        self.credentials_file = directory / "token"
        self.credentials_file.write_text("let-me-in\n")

    def answer(self, request: Request) -> Answer:
        if bearer(request.headers) != "let-me-in":
            return Answer(status=401, body=b"Unauthorized")
        if request.path != "/api/v1/query_range" or request.method != "POST":
            return Answer(status=404, body=b"404 page not found")
        asked = request.form
        start, end, step = (int(asked[name]) for name in ("start", "end", "step"))
        if (end - start) // step + 1 > MAX_POINTS:
            return self._refusal("exceeded maximum resolution of 11,000 points per timeseries.")
        if asked["query"] != "orders":
            return self._refusal('invalid parameter "query": 1:1: parse error: unexpected end of input')
        return Answer(
            body={
                "status": "success",
                "data": {"resultType": "matrix", "result": self._result(start * 1000, end * 1000)},
                **({"warnings": self.warnings} if self.warnings else {}),
            }
        )

    def _result(self, start: int, end: int) -> list[dict[str, Any]]:
        return [
            {
                "metric": {"__name__": "orders", "number": str(number), "service": "shop"},
                "values": [[at // 1000, f"{value:g}"]],
            }
            for at, number, value in self.samples
            if start <= at <= end
        ]

    def _refusal(self, error: str) -> Answer:
        return Answer(status=400, body={"status": "error", "errorType": "bad_data", "error": error})


class PrometheusCase(Case):
    """For the suite over all sources: a gauge has the value `number` for a minute."""

    section = "prometheus"
    lag_s = 60
    restates = True

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        super().__init__(directory, clock)
        self.sandbox = PrometheusSandbox(directory, clock=clock)

    def settings(self) -> dict[str, Any]:
        connection = {
            "name": "main",
            "client": "acme",
            "endpoint": self.sandbox.endpoint,
            "credentials_file": str(self.sandbox.credentials_file),
            "gauges": [{"name": "orders", "query": "orders"}],
        }
        return {"connections": [connection]}

    def add(self, number: int, *, ts: int) -> None:
        self.sandbox.samples.append((ts // STEP_MS * STEP_MS, number, float(number)))

    def seen(self, records: Sequence[Record]) -> list[int]:
        return [int(each.attributes["number"]) for each in records if isinstance(each, Gauge)]

    def restate(self, number: int) -> None:
        self.sandbox.samples = [
            (at, each, value + 0.5 if each == number else value) for at, each, value in self.sandbox.samples
        ]

    def lock_out(self) -> None:
        self.sandbox.credentials_file.write_text("wrong")

    def let_in(self) -> None:
        self.sandbox.credentials_file.write_text("let-me-in\n")
