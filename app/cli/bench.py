"""`clicktrace bench`: measurements that anybody can repeat, each printed as one object with the parameters that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.cli.output import Json, print_json, print_table

app = typer.Typer(help="Measure the redirect or the ingestion.", no_args_is_help=True)


@app.command()
def redirect(
    seconds: Annotated[int, typer.Option(help="Length of each round.")] = 5,
    rounds: Annotated[int, typer.Option(help="Rounds of each service, interleaved; medians are shown.")] = 3,
    connections: Annotated[int, typer.Option(help="Open connections of the load generator.")] = 32,
    json: Json = False,
) -> None:
    """Redirects a second beside nginx `return 302` in the same run (needs wrk and nginx)."""
    from app.bench.redirect import run  # imported late: each measurement brings its own tools

    _print(run(seconds=seconds, rounds=rounds, connections=connections), json=json)


@app.command()
def links(
    links: Annotated[int, typer.Option(help="Links of the large side.")] = 1_000_000,
    few: Annotated[int, typer.Option(help="Links of the small side.")] = 1000,
    seconds: Annotated[int, typer.Option(help="Length of each round.")] = 5,
    rounds: Annotated[int, typer.Option(help="Rounds of each side, alternating; medians are shown.")] = 5,
    connections: Annotated[int, typer.Option(help="Open connections of the load generator.")] = 32,
    warm_s: Annotated[int, typer.Option(help="Seconds of hits before the first round.")] = 15,
    json: Json = False,
) -> None:
    """Redirects a second with a million links beside a thousand, hit by a Zipf mix (needs wrk, 3 GB of disk, minutes to write the links)."""
    from app.bench.links import run

    _print(run(links=links, few=few, seconds=seconds, rounds=rounds, connections=connections, warm_s=warm_s), json=json)


@app.command()
def ingest(
    lines: Annotated[int, typer.Option(help="Journal lines that each side loads in each round.")] = 200_000,
    rounds: Annotated[int, typer.Option(help="Rounds of each side, interleaved; medians are shown.")] = 5,
    json: Json = False,
) -> None:
    """Journal bytes to queryable rows, beside a bare engine insert of the same bytes."""
    from app.bench.ingest import run

    _print(run(lines=lines, rounds=rounds), json=json)


def _print(result: Mapping[str, Any], *, json: bool) -> None:
    if json:
        print_json(result)
    else:
        print_table(["figure", "value"], [[name, value] for name, value in result.items()], empty="")
