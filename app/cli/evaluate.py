"""`clicktrace evaluate`: the shipped detector against simulated incidents, with the reference and the rules that people write first."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from app.cli.output import Json, print_json, print_table

app = typer.Typer(help="The detector against simulated incidents.")


@app.callback(invoke_without_command=True)
def evaluate(
    full: Annotated[
        bool, typer.Option("--full", help="500 campaign-months, 2,000 incidents and the stresses; resumable.")
    ] = False,
    seeds: Annotated[
        str, typer.Option(help="Fleets by number, as 1000-1100 or 1000,1005. Below 1000 are the development seeds.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    state: Annotated[
        Path | None, typer.Option(help="Where results are kept as they come; with --full ./evaluate-state.jsonl.")
    ] = None,
    json: Json = False,
) -> None:
    """Delays beside the optimum and the simple rules at the same measured rate of false alarms, first in an idealised world, then in a realistic one."""
    from app.evaluate.plan import FULL, QUICK, seeds_of
    from app.evaluate.report import figures
    from app.evaluate.run import run
    from app.evaluate.shipped import CONFIG
    from core.version import VERSION

    plan = FULL if full else QUICK
    if seeds:
        plan = msgspec.structs.replace(plan, seeds=seeds_of(seeds))
    began = time.monotonic()
    kept = state or (Path("evaluate-state.jsonl") if full else None)
    results = run(plan, workers=workers, state=kept, progress=_progress(began))
    measured = {
        "parameters": {
            "version": VERSION,
            "plan": msgspec.to_builtins(plan),
            "workers": workers,
            "detector": CONFIG.model_dump(),
            "seconds": round(time.monotonic() - began, 1),
        },
        **figures(plan, results),
    }
    if json:
        print_json(measured)
    else:
        _print(msgspec.to_builtins(measured))


def _progress(began: float) -> Callable[[int, int, str], None]:
    console = Console(stderr=True)

    def show(done: int, total: int, name: str) -> None:
        console.print(f"{done}/{total} {name}, {time.monotonic() - began:.0f} s", highlight=False)

    return show


def _print(measured: dict[str, Any]) -> None:
    for world in measured["idealised"]:
        _print_idealised(world)
    if "realistic" in measured:
        _print_realistic(measured["realistic"], measured["stresses"])
    typer.echo("\nNot measured here:")
    for what in measured["not_measured"]:
        typer.echo(f"  {what}")
    typer.echo(f"\n{measured['parameters']['plan']}; {measured['parameters']['seconds']} s")


def _print_idealised(world: dict[str, Any]) -> None:
    typer.echo(
        f"\nIdealised world, {world['clicks_per_minute']} clicks/min at {world['rate']:.1%}: minutes, mean (median/p95)"
    )
    drops = world["drops"]
    rows: list[list[object]] = [
        ["optimum at 1 a month", "1", *(d["optimum_at_one_a_month"] for d in drops)],
        ["optimum at the measured rate", "", *(d["optimum_at_measured_rate"] for d in drops)],
        ["shipped detector", _rate(world["false_alarms"]), *(_delays(d["shipped"]) for d in drops)],
        ["  / optimum at the measured rate", "", *(d["ratio"] for d in drops)],
        ["  / optimum at 1 a month", "", *(d["ratio_at_one_a_month"] for d in drops)],
    ]
    for rule, levels in world["rules"].items():
        for which, level in levels.items():
            name = f"{rule}{', matched' if which == 'matched' else ''} ({level['threshold']:.3g})"
            rows.append([name, _rate(level["false_alarms"]), *(_delays(d["rules"][rule][which]) for d in drops)])
    print_table(["rule", "false alarms a month", *(f"-{d['drop']:.0%}" for d in drops)], rows, empty="")


def _print_realistic(world: dict[str, Any], stresses: dict[str, Any]) -> None:
    typer.echo(
        f"\nRealistic world: {_rate(world['false_alarms'])} false alarms a campaign-month, {_rate(world['false_alarms_of_the_fleet'])} a fleet-month"
    )
    rows: list[list[object]] = [[name, _rate(rate)] for name, rate in stresses.items()]
    for rule, levels in world["rules"].items():
        rows += [[f"{rule}, {which} ({v['threshold']:.3g})", _rate(v["false_alarms"])] for which, v in levels.items()]
    print_table(["stress, rule", "false alarms a campaign-month"], rows, empty="")
    typer.echo(
        f"\n{world['incidents']} incidents; of {world['due']} that must be seen {world['missed']['hits']} were missed"
    )
    for law, told in world["against_bound"].items():
        typer.echo(f"{law}: {_delays(told['delays'])} minutes, bound {told['bound_mean']}, ratio {told['ratio']}")
    causes: list[list[object]] = [
        [cause, f"{told['seen']['hits']}/{told['seen']['trials']}", _delays(told["delays"])]
        for cause, told in world["by_cause"].items()
    ]
    print_table(["cause", "seen", "minutes, mean (median/p95)"], causes, empty="")
    _print_causes(world["causes"])
    typer.echo(f"\ntelemetry: {world['telemetry']}\ndollars: {world['dollars']}")


def _print_causes(told: dict[str, Any]) -> None:
    typer.echo("\nExplained, of the incidents that were seen (share, 95 % interval)")
    names = ["top_1", "top_3", "scope_exact", "outage_taken_for_real", "real_taken_for_outage"]
    names += ["innocent_deploy_blamed", "guilty_deploy_named"]
    print_table(["figure", "share"], [[name, _share(told[name])] for name in names], empty="")
    typer.echo(f"onset off by {told['onset_error_minutes']} minutes (median)")
    pauses = told["pauses"]
    typer.echo(
        f"pauses asked for that were right: {_share(pauses['precision'])}, lower bound {pauses['precision_lower_95']}"
    )
    typer.echo(
        f"incidents of lost tags and late feeds with a pause: {_share(pauses['asked_in_outages_and_late_feeds'])}"
    )
    rows = [[cause, "; ".join(f"{v} {n}" for v, n in row.items())] for cause, row in told["confusion"].items()]
    print_table(["what it was", "what was said"], rows, empty="")


def _share(share: dict[str, Any]) -> str:
    if share["share"] is None:
        return "none to judge"
    return f"{share['share']:.0%} ({share['low']:.0%} to {share['high']:.0%}) of {share['trials']}"


def _rate(rate: dict[str, Any]) -> str:
    return f"{rate['rate']:.2f} ({rate['low']:.2f} to {rate['high']:.2f})"


def _delays(delays: dict[str, Any]) -> str:
    missed = f", {delays['missed']} missed" if delays["missed"] else ""
    return f"{delays['mean']:.0f} ({delays['median']:.0f}/{delays['p95']:.0f}){missed}"
