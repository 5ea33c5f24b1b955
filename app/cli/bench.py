"""`clicktrace bench`: measurements that anybody can repeat, each printed as one object with the parameters that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from app.bench.ingest import CASES
from app.cli.output import Json, print_json, print_table

Cases = dict[str, dict[str, Any]]
app = typer.Typer(help="Measure the redirect, the ingestion or what is worked out of them.", no_args_is_help=True)

Days = Annotated[int, typer.Option(help="Days of history.")]
ClicksADay = Annotated[int, typer.Option(help="Clicks of each day; a fortieth as many conversions.")]
Rounds = Annotated[int, typer.Option(help="Rounds that count; medians are shown.")]


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
    _judged(run(case, size=size, rounds=rounds), json=json)


@app.command()
def tick(
    days: Days = 90,
    clicks_a_day: ClicksADay = 110_000,
    campaigns: Annotated[int, typer.Option(help="Campaigns that share the clicks.")] = 2000,
    ticks: Annotated[int, typer.Option(help="Ticks that count.")] = 30,
    interval_s: Annotated[float, typer.Option(help="Seconds from tick to tick.")] = 10.0,
    json: Json = False,
) -> None:
    """A tick of the monitor with a day of history beside one with many, at equal traffic; fails when a bound is missed.

    Disk: 400 bytes a click of history.
    """
    from app.bench.tick import run

    _judged(
        run(days=days, clicks_a_day=clicks_a_day, campaigns=campaigns, ticks=ticks, interval_s=interval_s), json=json
    )


@app.command()
def join(days: Days = 2, clicks_a_day: ClicksADay = 1_100_000, rounds: Rounds = 7, json: Json = False) -> None:
    """The newest day's conversions joined with their clicks, beside DuckDB and pandas on Parquet (needs the development packages)."""
    from app.bench.join import run

    _judged(run(days=days, clicks_a_day=clicks_a_day, rounds=rounds), json=json)


@app.command()
def attribution(days: Days = 7, clicks_a_day: ClicksADay = 1_100_000, rounds: Rounds = 3, json: Json = False) -> None:
    """All models over the newest day; the days before are what paths reach into."""
    from app.bench.reads import run_attribution

    _judged(run_attribution(days=days, clicks_a_day=clicks_a_day, rounds=rounds), json=json)


@app.command()
def midnight(
    days: Days = 30,
    clicks_a_day: ClicksADay = 110_000,
    campaigns: Annotated[int, typer.Option(help="Campaigns that share the clicks.")] = 2000,
    rounds: Rounds = 5,
    json: Json = False,
) -> None:
    """What is done once a day: learning inside a tick, refit and exposure check beside it, reconciliation, choice of a control campaign."""
    from app.bench.midnight import run

    _judged(run(days=days, clicks_a_day=clicks_a_day, campaigns=campaigns, rounds=rounds), json=json)


@app.command()
def reads(
    days: Days = 30,
    clicks_a_day: ClicksADay = 110_000,
    rounds: Rounds = 15,
    rank: Annotated[int, typer.Option(help="Which campaign: 0 has the most clicks.")] = 3,
    json: Json = False,
) -> None:
    """A campaign's timeline by the hour over all days, and the journeys of clicks of all ages."""
    from app.bench.reads import run

    _judged(run(days=days, clicks_a_day=clicks_a_day, rounds=rounds, rank=rank), json=json)


@app.command()
def disk(days: Days = 9, clicks_a_day: ClicksADay = 1_100_000, json: Json = False) -> None:
    """Bytes that a click takes in the store, indexes and projections included, and what bounds the engine's memory."""
    from app.bench.disk import run

    _judged(run(days=days, clicks_a_day=clicks_a_day), json=json)


@app.command()
def series(
    series: Annotated[int, typer.Option(min=1, help="Series of each kind, once with faults and once without.")] = 4,
    first_seed: Annotated[
        int, typer.Option(help="Seeds from here on; below 6000 some were used to choose constants.")
    ] = 6000,
    json: Json = False,
) -> None:
    """Scores of `clicktrace detect` on drawn series with labelled faults, beside simple rules at their best thresholds."""
    from app.bench.series.run import run

    result = run(series=series, first_seed=first_seed)
    if json:
        print_json(result)
        return
    for part in ("rules", "kinds", "faults"):
        figures = cast(Cases, result[part])
        columns = list(next(iter(figures.values())))
        print_table([part, *columns], [[name, *row.values()] for name, row in figures.items()], empty="")
    typer.echo(f"{result['series']} series, {result['rows']} rows, {result['rows_per_cpu_second']} a second")


@app.command()
def detector(
    campaigns: Annotated[
        int, typer.Option(min=1, help="Campaigns; each makes ten streams and a few are shared.")
    ] = 1000,
    clicks_a_minute: Annotated[float, typer.Option(help="Over all campaigns.")] = 10_000.0,
    minutes: Annotated[int, typer.Option(min=1, help="Minutes that count; medians are shown.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the traffic.")] = 1,
    json: Json = False,
) -> None:
    """A minute of ten thousand streams: time of one core, bytes kept of a stream, the same after a restart; fails when a bound is missed."""
    from app.bench.detector import run

    _judged(run(campaigns=campaigns, clicks_a_minute=clicks_a_minute, minutes=minutes, seed=seed), json=json)


@app.command()
def localize(
    tables: Annotated[int, typer.Option(min=1, help="Labelled tables of each family.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the first; the next table's is one more.")] = 1,
    family: Annotated[list[str] | None, typer.Option(help="Only this family (repeatable).")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only this method (repeatable).")] = None,
    json: Json = False,
) -> None:
    """How exactly `localize` names the causes in labelled tables, beside two published methods; fails when it is too slow."""
    from app.bench.localize import run

    result = run(tables=tables, seed=seed, families=family or (), methods=method or ())
    if json:
        print_json(result)
    else:
        rows = [
            [name, method, *figures.values()]
            for name, methods in result["families"].items()
            for method, figures in methods.items()
        ]
        columns = ["family", "method", "F1", "precision", "recall", "top-1", "top-3", "exact", "returned", "s"]
        print_table(columns, rows, empty="")
        typer.echo(f"large: {result['large']}")
    if result["missed"]:
        raise typer.Exit(1)


@app.command()
def rebuild(
    lines: Annotated[int, typer.Option(help="Lines of the journal, of every kind.")] = 5_000_000,
    days: Days = 10,
    json: Json = False,
) -> None:
    """Write a journal, work on it, drop the store, rebuild it: fails when a table or an answer is not the same, and says which.

    Disk: 1.5 kB a line.
    """
    from app.bench.rebuild import run

    _judged(run(lines=lines, days=days), json=json)


def _judged(result: Mapping[str, Any], *, json: bool) -> None:
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
