"""`clicktrace localize FILE.csv`: which combinations of attribute values explain a gap between actual and expected, in any table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.output import Json, print_json
from correlator.explanation.localize.causes import explain
from correlator.explanation.localize.leaves import Measure, leaves_of
from correlator.explanation.localize.report import report_of
from correlator.explanation.localize.table import read_columns

app = typer.Typer(help="Where a gap comes from.", no_args_is_help=True)


@app.command()
def localize(
    file: Annotated[Path, typer.Argument(help="CSV with a header; one row per combination of attribute values.")],
    actual: Annotated[str, typer.Option(help="Column with what was seen.")],
    expected: Annotated[str, typer.Option(help="Column with what was expected.")],
    actual_total: Annotated[
        str, typer.Option(help="Column with the trials behind --actual: the measure is then the ratio.")
    ] = "",
    expected_total: Annotated[str, typer.Option(help="Column with the trials behind --expected.")] = "",
    attributes: Annotated[
        str, typer.Option(help="Attribute columns, comma between them. Default: every column that no option names.")
    ] = "",
    top: Annotated[int, typer.Option(min=1, help="At most this many causes, best first. Default: all.")] = 1000,
    json: Json = False,
) -> None:
    """Ranked combinations of attribute values that explain the gap; several causes, drops and rises, as few words as explain it."""
    measure = Measure(actual=actual, expected=expected, actual_total=actual_total, expected_total=expected_total)
    wanted = [name.strip() for name in attributes.split(",") if name.strip()]
    leaves = leaves_of(read_columns(file, needed=(*measure.columns, *wanted)), measure, attributes=wanted)
    report = report_of(leaves, explain(leaves), measure)
    if json:
        print_json(report.causes[:top])
        return
    console = Console()
    for number, cause in enumerate(report.causes[:top], start=1):
        console.print(f"{number}. {escape(cause.text)}", highlight=False, soft_wrap=True)
    for line in report.summary:
        console.print(escape(line), style="dim", highlight=False, soft_wrap=True)
