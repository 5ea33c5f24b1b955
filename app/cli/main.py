"""The `clicktrace` command: one table of commands, each module imported only when its command runs.

Importing every part would cost a second before `clicktrace --help` says a word. The table holds the sentence that the help shows.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from app.cli.exit_codes import FAILED, exit_code
from app.failures import sentence
from core.errors import ClicktraceError
from core.version import VERSION

RUN, LOOK, ACT, CARE = "Run", "Look", "Act", "Care"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command lives. `pick` names one command of the module's Typer app; without it the whole app is the command."""

    module: str
    sentence: str
    panel: str
    pick: str = ""


COMMANDS: dict[str, Command] = {
    "demo": Command(
        module="app.cli.demo", sentence="The whole system on a simulated world, incident included.", panel=RUN
    ),
    "up": Command(
        module="app.cli.run", pick="up", sentence="Run redirect workers and monitor, restart what dies.", panel=RUN
    ),
    "redirect": Command(module="app.cli.run", pick="redirect", sentence="Run the redirect workers alone.", panel=RUN),
    "monitor": Command(module="app.cli.run", pick="monitor", sentence="Run the monitor alone.", panel=RUN),
    "ship": Command(
        module="app.cli.run", pick="ship", sentence="Ship this machine's journal to a ClickHouse server.", panel=RUN
    ),
    "ingest": Command(
        module="app.cli.run", pick="ingest", sentence="Run push endpoints and collectors alone (cluster).", panel=RUN
    ),
    "trace": Command(
        module="app.cli.reports", pick="trace", sentence="One click's journey, from the 302 to the order.", panel=LOOK
    ),
    "explain": Command(
        module="app.cli.explain",
        pick="explain",
        sentence="What changed at a campaign, why, and what to do.",
        panel=LOOK,
    ),
    "localize": Command(
        module="app.cli.localize",
        pick="localize",
        sentence="Which attribute combinations explain a gap in any table.",
        panel=LOOK,
    ),
    "roi": Command(module="app.cli.roi", pick="roi", sentence="Live and settled return on spend.", panel=LOOK),
    "attribution": Command(
        module="app.cli.attribution",
        pick="attribution",
        sentence="Which campaigns the conversions belong to, model by model.",
        panel=LOOK,
    ),
    "compare": Command(
        module="app.cli.compare",
        pick="compare",
        sentence="A campaign against yesterday, last week, a control, its target.",
        panel=LOOK,
    ),
    "missing": Command(
        module="app.cli.missing",
        pick="missing",
        sentence="Conversions hidden by consent and blockers, modelled.",
        panel=LOOK,
    ),
    "detect": Command(
        module="app.cli.detect", pick="detect", sentence="An anomaly score for each row of any series.", panel=LOOK
    ),
    "reconcile": Command(
        module="app.cli.reconcile", pick="reconcile", sentence="Where the systems' counts differ.", panel=LOOK
    ),
    "freshness": Command(
        module="app.cli.reports", pick="freshness", sentence="How complete every source is.", panel=LOOK
    ),
    "unmatched": Command(
        module="app.cli.unmatched", pick="unmatched", sentence="Conversions that found no click, and why.", panel=LOOK
    ),
    "traffic": Command(
        module="app.cli.traffic", pick="traffic", sentence="Bots and fraud: what is flagged, and why.", panel=LOOK
    ),
    "metrics": Command(
        module="app.cli.metrics", sentence="The metric catalogue: what every figure means, and its formula.", panel=LOOK
    ),
    "links": Command(module="app.cli.links", sentence="The short links that campaigns use.", panel=ACT),
    "rules": Command(module="app.cli.rules", sentence="Check and test the rules.", panel=ACT),
    "actions": Command(module="app.cli.actions", sentence="Pauses and other actions: list, approve, undo.", panel=ACT),
    "mark": Command(
        module="app.cli.mark", pick="mark", sentence="Mark a change: deploy, rollback, CDN, tag, creative.", panel=ACT
    ),
    "import": Command(module="app.cli.imports", sentence="Import history from CSV, NDJSON or Parquet.", panel=ACT),
    "uploads": Command(
        module="app.cli.uploads", sentence="Conversions reported to ad platforms: sent log, dead letters.", panel=ACT
    ),
    "erase": Command(
        module="app.cli.erase", pick="erase", sentence="Erase a person everywhere, and search what is left.", panel=CARE
    ),
    "erasures": Command(
        module="app.cli.erase", pick="erasures", sentence="Who was erased when, and what the search found.", panel=CARE
    ),
    "keys": Command(module="app.cli.keys", sentence="API keys, and links that sign in to the console.", panel=CARE),
    "doctor": Command(
        module="app.cli.doctor", pick="doctor", sentence="Check this installation and say how to mend it.", panel=CARE
    ),
    "journal": Command(
        module="app.cli.journal", sentence="The journal: state, checks, rebuilding the store.", panel=CARE
    ),
    "evaluate": Command(
        module="app.cli.evaluate",
        sentence="The detector against simulated incidents, beside the optimum and the simple rules.",
        panel=CARE,
    ),
    "bench": Command(module="app.cli.bench", sentence="Measure the redirect or the ingestion.", panel=CARE),
}


class LazyGroup(TyperGroup):
    """Shows the table in the help; imports a command's module when the command is used."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: MutableMapping[str, Any] = {
            name: TyperCommand(name=name, help=command.sentence, rich_help_panel=command.panel, callback=None)
            for name, command in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """The real command behind a line of the table."""
    command = COMMANDS[name]
    group = typer.main.get_group(importlib.import_module(command.module).app)
    found = group.commands[command.pick] if command.pick else group
    found.name = name
    return found


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def root(
    config: Annotated[
        Path | None, typer.Option(help="Configuration file; else CLICKTRACE_CONFIG, else ./clicktrace.yaml.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Clicktrace watches advertising money the way an observability stack watches servers."""
    if config is not None:
        os.environ["CLICKTRACE_CONFIG"] = str(config)


def main() -> None:
    """Entry point: an expected error is one clear message and an exit code, never a traceback."""
    try:
        app()
    except ClicktraceError as error:
        _say(str(error))
        sys.exit(exit_code(error))
    except Exception as error:  # the disk's and the databases' own errors come untranslated
        said = sentence(error)
        if not said:
            raise  # a bug of ours: whoever reports it needs all of it
        _say(said)
        sys.exit(FAILED)


def _say(text: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {_escaped(text)}", highlight=False, soft_wrap=True)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
