"""`clicktrace demo`: the whole system on a simulated world. The only module that knows the world, and only when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import Json, print_json
from core.errors import Invalid

app = typer.Typer(help="The whole system on a simulated world, incident included.")


@app.callback(invoke_without_command=True)
def demo(
    scenario: Annotated[
        str,
        typer.Option(help="bad-deploy, slow-page, redirect-broken, tracking-outage, bot-flood or quiet."),
    ] = "bad-deploy",
    seed: Annotated[
        int | None, typer.Option(help="Draws onset, page, device, campaigns, size. Default: a new one.")
    ] = None,
    auto: Annotated[
        bool, typer.Option("--auto", help="Pause without asking: possible only in sandbox accounts.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="No questions; exit non-zero when the product's story differs from the truth."),
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Default: ./demo-data; with --check a temporary one.")] = None,
    minutes: Annotated[float, typer.Option(min=1, help="Give up after this long.")] = 10.0,
    days: Annotated[
        int, typer.Option(min=4, help="Days of history; fewer start faster and make a coarser baseline.")
    ] = 21,
    json: Json = False,
) -> None:
    """Three weeks of history, sixty clicks a second, a fault, and what the product makes of it. No account, no network."""
    from app.demo.run import DemoOptions, run_demo
    from app.demo.scenarios import NAMES

    name = next((known for known in NAMES if known == scenario), None)
    if name is None:
        raise Invalid("unknown_scenario", f"{scenario!r}: one of {', '.join(NAMES)}")
    options = DemoOptions(
        scenario=name, seed=seed, automatic=auto, check=check, interactive=sys.stdin.isatty() and not json, data_dir=data_dir, minutes=minutes, days=days,
        quiet=json,
    )  # fmt: skip
    outcome = run_demo(options, ask=_ask, keep_running=_keep_running)
    if json:
        print_json(outcome)
    if check and not outcome.as_expected:
        raise typer.Exit(1)


def _ask(question: str) -> bool:
    return typer.confirm(f"       {question} (or decide in the console)", default=True)


def _keep_running() -> None:
    """Leave everything up, so that the console can be looked at."""
    typer.prompt("       The system goes on running. Press Enter to stop it", default="", show_default=False)
