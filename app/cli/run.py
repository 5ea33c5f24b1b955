"""`clicktrace up`, and its parts alone."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from app import logs
from app.settings import Settings, load_settings, require_server
from core.settings import data_path

app = typer.Typer(help="Run the product or one of its parts.")


@app.command()
def up() -> None:
    """Run redirect workers and monitor; restart what dies; stop cleanly on SIGTERM."""
    _supervise(load_settings(), parts=["redirect", "monitor"], role="up")


@app.command()
def redirect() -> None:
    """Run the redirect workers alone (their journal needs `clicktrace ship` or a monitor on this machine)."""
    _supervise(load_settings(), parts=["redirect"], role="redirect")


@app.command()
def monitor() -> None:
    """Run the monitor alone: shipper, collectors, correlator, alerts, HTTP API and console."""
    _supervise(load_settings(), parts=["monitor"], role="monitor")


@app.command()
def ship() -> None:
    """Ship this machine's journal to a ClickHouse server (cluster)."""
    settings = load_settings()
    require_server(settings, "ship")
    _supervise(settings, parts=["ship"], role="ship")


@app.command()
def ingest() -> None:
    """Run push endpoints and collectors alone; this machine's `ship` sends on what they journal (cluster)."""
    settings = load_settings()
    require_server(settings, "ingest")
    _supervise(settings, parts=["ingest"], role="ingest")


def _supervise(settings: Settings, *, parts: list[str], role: str) -> None:
    from app.up import Supervisor  # imported late: the refusals above need none of it

    data_path(settings.data_dir, "run")  # refused before anything is set up for running
    logs.configure(level=settings.telemetry.log_level, form=settings.telemetry.log_format, process=role)
    console = Console(stderr=True, highlight=False)
    sys.exit(Supervisor(settings, parts=parts, role=role, say=console.print).run())
