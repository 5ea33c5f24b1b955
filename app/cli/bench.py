"""`clicktrace bench`: measurements that anybody can repeat, each printed as one object with the parameters that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from app.bench.ingest import CASES
from app.cli.output import Json, print_json, print_table

Cases = dict[str, dict[str, Any]]
app = typer.Typer(help="Measure the redirect or the ingestion.", no_args_is_help=True)


@app.command()
def redirect(
    seconds: Annotated[int, typer.Option(help="Length of each round.")] = 5,
    rounds: Annotated[int, typer.Option(help="Rounds of each service, interleaved; medians are shown.")] = 3,
    connections: Annotated[int, typer.Option(help="Open connections of the load generator.")] = 32,
    cases: Annotated[list[str] | None, typer.Option("--case", help="Only this case (repeatable).")] = None,
    json: Json = False,
) -> None:
    """Redirects a second beside nginx `return 302` in the same run (needs wrk and nginx); fails when a bound is missed."""
    from app.bench.redirect import run  # imported late: each measurement brings its own tools

    result = run(seconds=seconds, rounds=rounds, connections=connections, cases=cases or ())
    if json:
        print_json(result)
    else:
        _print_cases(result)
    if any(case["missed"] for case in cast(Cases, result["cases"]).values()):
        raise typer.Exit(1)


@app.command()
def links(
    links: Annotated[int, typer.Option(help="Links of the large side.")] = 1_000_000,
    few: Annotated[int, typer.Option(help="Links of the small side.")] = 1000,
    seconds: Annotated[int, typer.Option(help="Length of each round.")] = 5,
    rounds: Annotated[int, typer.Option(help="Rounds of each side, alternating; medians are shown.")] = 5,
    connections: Annotated[int, typer.Option(help="Open connections of the load generator.")] = 32,
    warm_s: Annotated[int, typer.Option(help="Seconds of hits before the first round.")] = 15,
    warm_anew_s: Annotated[int, typer.Option(help="The same for hits that are drawn anew.")] = 120,
    json: Json = False,
) -> None:
    """Redirects a second with a million links beside a thousand, hit by a Zipf mix (needs wrk, 3 GB of disk, minutes to write the links).

    Fails when a bound is missed.
    """
    from app.bench.links import run

    result = run(
        links=links,
        few=few,
        seconds=seconds,
        rounds=rounds,
        connections=connections,
        warm_s=warm_s,
        warm_anew_s=warm_anew_s,
    )
    _print(result, json=json)
    if result["missed"]:
        raise typer.Exit(1)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(help="How long.")] = 10.0,
    json: Json = False,
) -> None:
    """Redirects at half the maximum rate for minutes: memory and latency at the beginning and at the end (needs wrk)."""
    from app.bench.soak import run

    _print(run(seconds=round(minutes * 60)), json=json)


@app.command()
def ingest(
    case: Annotated[str, typer.Option(help=f"What is brought in: {', '.join(CASES)}.")] = "store",
    size: Annotated[
        int, typer.Option("--size", "--lines", help="How much in each round, in the case's unit; 0 = its own.")
    ] = 0,
    rounds: Annotated[int, typer.Option(help="Rounds; medians are shown. 0 = the case's own.")] = 0,
    json: Json = False,
) -> None:
    """How fast facts come in, by way; fails when a bound is missed."""
    from app.bench.ingest import run

    if case not in CASES:
        raise typer.BadParameter(f"there is no case {case}; there are: {', '.join(CASES)}", param_hint="--case")
    result = run(case, size=size, rounds=rounds)
    _print(result, json=json)
    if result["missed"]:
        raise typer.Exit(1)


def _print_cases(result: Mapping[str, Any]) -> None:
    """Both services of each case, one under the other."""
    rows: list[list[object]] = []
    for name, case in cast(Cases, result["cases"]).items():
        for side in ("nginx", "clicktrace"):
            figures = case[side]
            ours = [case["ratio"], case["cpu_ratio"], case["p99_ratio"], "; ".join(case["missed"]) or "kept"]
            row = [figures["per_second"], figures["p50_ms"], figures["p99_ms"], figures["cpu_us"]]
            rows.append([name if side == "nginx" else "", side, *row, *(ours if side == "clicktrace" else [""] * 4)])
    columns = [
        "case",
        "service",
        "req/s",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "req/s ratio",
        "CPU ratio",
        "p99 ratio",
        "bounds",
    ]
    print_table(columns, rows, empty="")
    typer.echo(f"{result['answered']} redirects answered, {result['lost']} clicks lost; {result['parameters']}")


def _print(result: Mapping[str, Any], *, json: bool) -> None:
    if json:
        print_json(result)
    else:
        print_table(["figure", "value"], [[name, value] for name, value in result.items()], empty="")
