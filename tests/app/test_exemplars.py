"""A real Prometheus scrapes /metrics: the exemplars of the histograms arrive in it with their traces."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.demo.processes import Child
from app.metrics import build_router
from app.ports import free_port
from core.click_telemetry import ClickTelemetry
from core.clock import now_ms
from core.records import Click, Envelope, Line
from tests.core.lines import click

SCRAPE_S = "500ms"


@contextlib.contextmanager
def monitor(registry: CollectorRegistry) -> Iterator[int]:
    """/metrics as the monitor serves it; the port."""
    app = FastAPI()
    app.include_router(build_router(registry))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield port
    server.should_exit = True
    thread.join(10)


@contextlib.contextmanager
def prometheus(folder: Path, *, target: int) -> Iterator[int]:
    """A Prometheus that keeps exemplars and scrapes the target; its port."""
    binary = shutil.which("prometheus")
    assert binary, "install it: apt-get install prometheus (make test does)"
    job = {"job_name": "clicktrace", "scrape_interval": SCRAPE_S, "scrape_timeout": SCRAPE_S}
    config = {"scrape_configs": [job | {"static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), "utf-8")
    port = free_port()
    arguments = [
        f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage",
    ]  # fmt: skip
    child = Child("prometheus", [binary, *arguments], log=folder / "prometheus.log")
    try:
        yield port
    finally:
        child.stop()


def exemplars(port: int, metric: str) -> list[dict[str, Any]]:
    """Exemplars that Prometheus has of a metric's buckets; none while it is still starting."""
    now = time.time()
    try:
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/query_exemplars",
            params={"query": f"{metric}_bucket", "start": str(now - 600), "end": str(now + 60)},
            trust_env=False,
        )
    except httpx.TransportError:
        return []
    if answer.status_code != 200:
        return []
    return [exemplar for series in answer.json()["data"] for exemplar in series["exemplars"]]


def hit(number: int, *, duration_us: int, http_status: int = 302) -> Line:
    now = now_ms()
    record: Click = click(number, ts=now - 1500, duration_us=duration_us, http_status=http_status)
    return Line(segment="s", envelope=Envelope(v=1, known_at=now - 1400, o=0), record=record)


@pytest.mark.timeout(120)
def test_prometheus_keeps_the_trace_of_a_click_in_each_bucket(tmp_path: Path) -> None:
    telemetry = ClickTelemetry()
    registry = CollectorRegistry()
    registry.register(telemetry.metrics)
    fast, slow, lost = (hit(1, duration_us=60), hit(2, duration_us=40_000), hit(3, duration_us=9, http_status=503))
    telemetry.observe("click", [fast, slow, lost])
    with monitor(registry) as target, prometheus(tmp_path, target=target) as port:
        deadline = time.monotonic() + 60
        while len(found := exemplars(port, "clicktrace_click_duration_seconds")) < 3:
            assert time.monotonic() < deadline, (tmp_path / "prometheus.log").read_text("utf-8")[-2000:]
            time.sleep(0.1)
        lags = {metric: exemplars(port, metric) for metric in ("clicktrace_journal_lag_seconds", "clicktrace_shipper_lag_seconds")}  # fmt: skip
        plain = httpx.get(f"http://127.0.0.1:{target}/metrics", trust_env=False)
    values = {exemplar["labels"]["trace_id"]: float(exemplar["value"]) for exemplar in found}
    assert values == {click(1).click_id: 0.00006, click(2).click_id: 0.04, click(3).click_id: 0.000009}
    assert all(time.time() - exemplar["timestamp"] < 120 for exemplar in found)
    assert all(lags.values())
    assert "trace_id" not in plain.text, "who does not accept OpenMetrics gets no exemplars"
