"""`clicktrace import KIND FILE…`: history and offline facts from CSV, NDJSON and Parquet into the journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.output import Json, print_json
from app.settings import Settings, load_settings
from collectors.files.importer import JOURNAL, Imported, Importer
from collectors.files.reading import Decimal as DecimalForm
from collectors.files.reading import Reading
from collectors.files.shapes import KINDS
from core.clock import now_ms
from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.errors import ClicktraceError, Invalid
from core.journal.writer import JournalWriter
from core.settings import data_path
from core.zones import zone

app = typer.Typer(
    help="Import files: columns have the field names of the API. A second import of the same file changes nothing.",
    no_args_is_help=True,
)

Files = Annotated[
    list[Path], typer.Argument(help="CSV, TSV or NDJSON files (also .gz, .zst, .zip), or Parquet; several at once.")
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", help="theirs=ours: read their column as our field; theirs= leaves it out. Repeat for several."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="field=value: what every row has that says nothing of its own. Repeat for several."),
]
DecimalSign = Annotated[
    str, typer.Option("--decimal", help="Decimal sign of numbers: , (as in 1.234,56) or . (as in 1,234.56).")
]
DateFormat = Annotated[
    str, typer.Option(help="How times and days are written, e.g. '%d.%m.%Y %H:%M'; default ISO 8601.")
]
Timezone = Annotated[
    str,
    typer.Option(help="IANA zone of times without one, e.g. Europe/Berlin; default: the account's of the settings."),
]
Delimiter = Annotated[str, typer.Option(help="What separates a CSV's cells; default: what its header has most of.")]
KnownAt = Annotated[
    Literal["event", "now"],
    typer.Option(
        "--known-at",
        help="What rows without a column known_at claim: known when it happened (history), or from now on (news).",
    ),
]


def _command(kind: str) -> Callable[..., None]:
    def run(
        files: Files,
        column: Map = None,
        constant: Set = None,
        decimal: DecimalSign = "",
        date_format: DateFormat = "",
        timezone: Timezone = "",
        delimiter: Delimiter = "",
        known_at: KnownAt = "event",
        json: Json = False,
    ) -> None:
        settings = load_settings()
        how = Reading(
            renames=_pairs(column or [], option="--map"),
            constants=_pairs(constant or [], option="--set"),
            decimal=_decimal(decimal),
            date_format=date_format,
            zone=_zone(timezone),
            zones={f"{own.platform}:{own.account}": own.timezone for own in settings.accounts},
            delimiter=_delimiter(delimiter),
        )
        _import(kind, files, settings=settings, how=how, known_at=known_at, json=json)

    return run


for _kind in (*KINDS, JOURNAL):
    app.command(
        _kind, help="Journal lines with their own kind and known_at." if _kind == JOURNAL else f"Import {_kind}."
    )(_command(_kind))


def _import(
    kind: str, files: list[Path], *, settings: Settings, how: Reading, known_at: Literal["event", "now"], json: bool
) -> None:
    engine = open_control(settings.control.url, settings.data_dir)
    journal = JournalWriter(data_path(settings.data_dir, "journal"), config=settings.journal, name="import")
    bar = _bar(shown=not json)
    results: list[Imported] = []
    try:
        with bar:
            for path in files:
                task = bar.add_task(path.name, total=1.0, rows=0)
                importer = Importer(
                    journal,
                    Checkpoints(engine, "imports"),
                    now=now_ms(),
                    known_at=known_at,
                    how=how,
                    progress=lambda share, rows, task=task: bar.update(task, completed=share, rows=rows),  # type: ignore[misc]  # the default binds the loop's task
                )
                try:
                    results.append(importer.run(kind, path))
                except BaseException:  # raised again: a bar that will never be full says less than the error below it
                    bar.update(task, visible=False)
                    raise
                bar.update(task, completed=1.0)
    except ClicktraceError:
        if results and not json:
            _show(results, json=False)  # what is done stays done
        raise
    finally:
        journal.close()
        engine.dispose()
    _show(results, json=json)
    if any(result.bad for result in results):
        raise typer.Exit(1)


def _bar(*, shown: bool) -> Progress:
    terminal = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
        console=terminal,
        disable=not (shown and terminal.is_terminal),  # in a file or a pipe nobody watches it move
    )


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


def _pairs(given: list[str], *, option: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        left, separator, right = text.partition("=")
        if not separator or not left:
            raise Invalid(
                "bad_value", f"{option} {text}: write {'theirs=ours' if option == '--map' else 'field=value'}"
            )
        pairs[left] = right
    return pairs


def _decimal(sign: str) -> DecimalForm:
    if sign not in ("", ".", ","):
        raise Invalid("bad_value", f"--decimal {sign}: write , or .")
    return cast(DecimalForm, sign)


def _zone(name: str) -> str:
    try:
        return zone(name).key if name else ""
    except ValueError as error:
        raise Invalid("bad_value", f"--timezone: {error}") from None


def _delimiter(text: str) -> str:
    sign = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(sign) > 1 or sign in ('"', "\n", "\r"):
        raise Invalid("bad_value", f"--delimiter {text}: write one character, or tab")
    return sign
