"""`clicktrace metrics`: what every figure means, how it is worked out, who answers for it and what to do when it is out of order."""

from __future__ import annotations

from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.output import Json, print_json, print_table
from core.errors import Invalid
from core.metric_catalogue import Tier
from core.metric_description import Described, describe, described, limit

app = typer.Typer(help="The metric catalogue.", no_args_is_help=True)


@app.command("list")
def list_metrics(
    tier: Annotated[str, typer.Option(help="Only real-time, operational, strategic or financial ones.")] = "",
    json: Json = False,
) -> None:
    """Every metric with its formula, and who owns it; `metrics show` says the rest."""
    if tier not in ("", *get_args(Tier)):
        raise Invalid("unknown_tier", f"--tier: one of {', '.join(get_args(Tier))}")
    found = [metric for metric in described() if tier in ("", metric.tier)]
    if json:
        print_json({"metrics": found})
        return
    rows = [(metric.name, metric.tier, metric.owner, metric.unit, metric.formula) for metric in found]
    columns = ["metric", "tier", "owner", "unit", "formula"]
    print_table(columns, rows, empty="No metric has this tier.", whole=columns[:4])


@app.command()
def show(name: Annotated[str, typer.Argument(help="As `metrics list` names it.")], json: Json = False) -> None:
    """One metric: what it is made of, what is counted and what is not, and the same formula as SQL and PromQL."""
    found = describe(name)
    if json:
        print_json(found)
    else:
        _print(found)


def _print(metric: Described) -> None:
    console = Console()

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(f"[bold]{escape(metric.title)}[/]  {metric.name} = {escape(metric.formula)}  ({metric.unit}, {metric.tier})")
    say(escape(metric.meaning))
    rows = [(one.name, one.title, escape(one.filters), one.counted_by or one.report) for one in metric.quantities]
    print_table(["made of", "", "counted", "from"], rows, empty="", whole=("made of",))
    for label, text in _facts(metric):
        say(f"[bold]{label}[/]  {escape(text)}")


def _facts(metric: Described) -> list[tuple[str, str]]:
    runbook = f"runbooks/{metric.runbook}.md" if metric.runbook else ""
    facts = [
        ("Sources", ", ".join(metric.sources)),
        ("Owner", metric.owner),
        ("Out of order", limit(metric.threshold)),
        ("Told", ", ".join(metric.told)),
        ("What to do", metric.response),
        ("Runbook", runbook),
        ("SQL", metric.sql),
        ("PromQL", metric.promql),
    ]
    return [(label, text) for label, text in facts if text]
