"""`clicktrace doctor`."""

from __future__ import annotations

import typer
from rich.console import Console

from app.cli.exit_codes import FAILED
from app.cli.output import Json, print_json
from app.doctor import examine
from app.finding import Finding
from app.settings import load_settings

app = typer.Typer(help="Check this installation and say how to mend it.")
MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "problem": "[bold red]problem[/]"}


@app.command()
def doctor(json: Json = False) -> None:
    """Check settings, credentials, reachability, clock, disk and engine; exit code 1 when something does not work."""
    found = examine(load_settings())
    if json:
        print_json({"ok": not _broken(found), "findings": found})
    else:
        _show(found)
    if _broken(found):
        raise typer.Exit(FAILED)


def _broken(found: list[Finding]) -> bool:
    return any(finding.state == "problem" for finding in found)


def _show(found: list[Finding]) -> None:
    console = Console(highlight=False)
    for finding in found:
        console.print(f"{MARKS[finding.state]:<8} {finding.check}: ", end="")
        console.print(finding.text, markup=False)
        if finding.mend:
            console.print(f"         -> {finding.mend}", markup=False, style="dim")
