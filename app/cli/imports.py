"""`clicktrace import KIND FILE…`: history and offline facts from CSV, NDJSON and Parquet into the journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.output import Json, print_json
from app.settings import load_settings
from collectors.files.importer import JOURNAL, Imported, Importer
from collectors.files.shapes import KINDS
from core.clock import now_ms
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.errors import Invalid
from core.journal.writer import JournalWriter
from core.settings import data_path

app = typer.Typer(
    help="Import files: columns have the field names of the API. A second import of the same file changes nothing.",
    no_args_is_help=True,
)

Files = Annotated[list[Path], typer.Argument(help="CSV, TSV, NDJSON or Parquet files.")]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="theirs=ours: read their column as our field; theirs= leaves it out. Repeat for several."
    ),
]
KnownAt = Annotated[
    Literal["event", "now"],
    typer.Option(
        "--known-at",
        help="What rows without a column known_at claim: known when it happened (history), or from now on (news).",
    ),
]


def _command(kind: str) -> Callable[..., None]:
    def run(files: Files, column: Map = None, known_at: KnownAt = "event", json: Json = False) -> None:
        _import(kind, files, renames=_renames(column or []), known_at=known_at, json=json)

    return run


for _kind in (*KINDS, JOURNAL):
    app.command(
        _kind, help="Journal lines with their own kind and known_at." if _kind == JOURNAL else f"Import {_kind}."
    )(_command(_kind))


def _import(
    kind: str, files: list[Path], *, renames: dict[str, str], known_at: Literal["event", "now"], json: bool
) -> None:
    settings = load_settings()
    engine = open_control(settings.control.url, settings.data_dir)
    journal = JournalWriter(data_path(settings.data_dir, "journal"), config=settings.journal, name="import")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=json,
    )
    results = []
    try:
        with bar:
            for path in files:
                task = bar.add_task(path.name, total=1.0, rows=0)
                importer = Importer(
                    journal,
                    Checkpoints(engine, "imports"),
                    now=now_ms(),
                    known_at=known_at,
                    renames=renames,
                    progress=lambda share, rows, task=task: bar.update(task, completed=share, rows=rows),  # type: ignore[misc]  # the default binds the loop's task
                )
                results.append(importer.run(kind, path))
    finally:
        journal.close()
        engine.dispose()
    _show(results, json=json)
    if any(result.bad for result in results):
        raise typer.Exit(1)


def _show(results: list[Imported], *, json: bool) -> None:
    if json:
        print_json({"files": results})
        return
    console = Console()
    for result in results:
        console.print(_sentence(result), highlight=False)
        for bad in result.bad_lines:
            console.print(f"  line {bad.line}: {bad.reason}: {bad.detail}", highlight=False, markup=False)
        if result.bad > len(result.bad_lines):
            console.print(f"  … and {result.bad - len(result.bad_lines):,} more")


def _sentence(result: Imported) -> str:
    if result.already:
        return f"{result.file}: imported before, nothing changed"
    resumed = f", {result.skipped:,} done earlier" if result.skipped else ""
    return f"{result.file}: {result.written:,} rows written, {result.bad:,} refused{resumed}"


def _renames(given: list[str]) -> dict[str, str]:
    renames = {}
    for text in given:
        theirs, separator, ours = text.partition("=")
        if not separator or not theirs:
            raise Invalid("bad_value", f"--map {text}: write theirs=ours")
        renames[theirs] = ours
    return renames
