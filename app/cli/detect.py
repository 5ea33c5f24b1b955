"""`clicktrace detect`: an anomaly score for each row of any series."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from core.errors import NotFound

if TYPE_CHECKING:
    from correlator.detection.series.scoring import Series

app = typer.Typer()
#: Files with more rows take more than two seconds: progress is shown.
LONG_ROWS: Final = 20_000


@app.command()
def detect(
    file: Annotated[
        Path, typer.Argument(help="CSV with timestamp,value or timestamp,successes,trials; - = standard input.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write here instead of standard output.")] = None,
) -> None:
    """The file's columns and anomaly_score: 0 = as ever, 0.5 and more = an alarm. A row's score depends on the rows up to it only."""
    # Imported late: the arrays and their filters take half a second, --help none.
    from correlator.detection.series.table import read_table, write_scored

    with _opened(file) as lines:
        table = read_table(lines)
        scores = np.empty(len(table.order))
        scores[table.order] = _scored(table.series)
        lines.seek(0)
        with _written(out) as written:
            write_scored(lines, written, scores=scores)
    if table.disordered:
        typer.echo(f"{table.disordered} rows go back in time; all were scored in time order.", err=True)
    if out is not None:
        _summarise(scores, missing=table.missing, out=out)


def _scored(series: Series) -> NDArray[np.float64]:
    from correlator.detection.series.scoring import score

    rows = len(series.values)
    if rows < LONG_ROWS:
        return score(series)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scoring", total=rows)
        return score(series, told=lambda done: progress.update(task, completed=done))


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """The file's text; standard input is kept in a temporary file, as it is read twice."""
    if str(file) == "-":
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as kept:
            shutil.copyfileobj(sys.stdin, kept)
            kept.seek(0)
            yield kept
        return
    if not file.is_file():
        raise NotFound("no_such_file", f"there is no file {file}")
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        yield lines


@contextmanager
def _written(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or the file: put in place when it is whole, so that the input may be its own output."""
    if out is None:
        yield sys.stdout
        return
    part = out.with_name(out.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as lines:
            yield lines
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _summarise(scores: NDArray[np.float64], *, missing: int, out: Path) -> None:
    alarms = int((scores >= 0.5).sum())
    typer.echo(f"{len(scores)} rows, {missing} without a value, {alarms} with a score of 0.5 or more: {out}", err=True)
