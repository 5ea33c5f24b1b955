"""`clicktrace journal`: its state, whether the store agrees with it, dead letters, and loading the store anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine

from app.cli.exit_codes import FAILED
from app.cli.output import Json, print_json, print_table
from app.reading import open_reader
from app.run_state import lock
from app.settings import Settings, load_settings
from core.clock import now_ms, to_rfc3339
from core.control.engine import open_control
from core.journal import admin
from core.journal.writer import JournalWriter
from core.shipper import ShipReport
from core.store.client import open_store

app = typer.Typer(help="The journal: state, checks, dead letters, rebuilding the store.", no_args_is_help=True)


@app.command()
def stat(json: Json = False) -> None:
    """Segments, sizes, what the store lacks, and dead letters by reason."""
    settings, control = _open()
    store = open_reader(settings)
    try:
        state = admin.stat(settings.data_dir / "journal", control, store_id=store.store_id)
    finally:
        store.close()
    if json:
        print_json(state)
        return
    rows = [
        ["segments", f"{state.segments} ({state.compressed} compressed, {state.being_written} being written)"],
        ["lines in plain form", _bytes(state.journal_bytes)],
        ["on disk", _bytes(state.disk_bytes)],
        ["not yet in the store", _bytes(state.unshipped_bytes)],
        ["oldest segment", _time(state.oldest)],
        ["newest segment", _time(state.newest)],
        ["dead letters", ", ".join(f"{n} {reason}" for reason, n in state.dead_letters.items()) or "none"],
    ]
    print_table(["journal", ""], rows, empty="")


@app.command()
def verify(json: Json = False) -> None:
    """Compare every shipped line with the store, offset by offset; exit code 1 when they differ."""
    settings, control = _open()
    store = open_reader(settings)
    try:
        with _progress("comparing", json=json) as advance:
            found = admin.verify(settings.data_dir / "journal", store, control, progress=advance)
    finally:
        store.close()
    if json:
        print_json({"ok": found.ok, "result": found})
    elif found.ok:
        typer.echo(f"{found.lines:,} lines of {found.segments} segments: every one is in the store exactly once.")
    else:
        rows = [[one.segment, one.kind, one.lines, one.rows, one.missing] for one in found.mismatches]
        print_table(["segment", "kind", "lines", "rows", "missing offsets"], rows, empty="")
    if not found.ok:
        raise typer.Exit(FAILED)


@app.command()
def redrive(json: Json = False) -> None:
    """Append dead letters that are records by today's rules to the journal again."""
    settings, control = _open()
    writer = JournalWriter(settings.data_dir / "journal", config=settings.journal, name="redrive")
    try:
        result = admin.redrive(control, writer, now=now_ms())
    finally:
        writer.close()
    if json:
        print_json(result)
    else:
        rest = ", ".join(f"{n} {reason}" for reason, n in result.still_bad.items()) or "none"
        typer.echo(f"driven again: {result.redriven}; still bad: {rest}")


@app.command("rebuild-store")
def rebuild_store(
    yes: bool = typer.Option(False, "--yes", help="Do not ask before emptying the store."), json: Json = False
) -> None:
    """Empty the store and load every kept segment into it. Stop `clicktrace up` first."""
    settings, control = _open()
    if not yes:
        typer.confirm(f"Empty the store of {settings.data_dir} and load it anew from the journal?", abort=True)
    held = lock(settings.data_dir, ["monitor", "shipper"])
    store = open_store(settings.store, settings.data_dir)
    try:
        with _lines_progress(json=json) as advance:
            result = admin.rebuild_store(
                store, control, settings.data_dir / "journal", config=settings.journal, progress=advance
            )
    finally:
        store.close()
        for file in held:
            file.close()
    if json:
        print_json(result)
    else:
        typer.echo(
            f"{result.lines:,} lines loaded in {result.seconds:.1f} s; oldest kept segment: {_time(result.oldest)}"
        )


def _open() -> tuple[Settings, Engine]:
    settings = load_settings()
    return settings, open_control(settings.control.url, settings.data_dir)


@contextmanager
def _progress(title: str, *, json: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error that takes (done, total); none for machines."""
    with Progress(console=Console(stderr=True), disable=json, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _lines_progress(*, json: bool) -> Iterator[Callable[[ShipReport], None]]:
    """A bar over the journal's bytes."""
    with Progress(console=Console(stderr=True), disable=json, transient=True) as bar:
        task = bar.add_task("loading", total=None)
        done = 0

        def advance(report: ShipReport) -> None:
            nonlocal done
            done += report.bytes
            bar.update(task, completed=done, total=done + report.behind_bytes)

        yield advance


def _bytes(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


def _time(ms: int | None) -> str:
    return to_rfc3339(ms) if ms is not None else "–"
