"""`clicktrace links import | export | qr`: links as files, and as pictures."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from json import dumps as to_json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.api_client import ApiClient, Key, Url
from app.cli.exit_codes import FAILED
from app.cli.links_names import Domain, Slug, link_path
from app.cli.output import Json, print_json
from core.errors import Invalid
from redirect.links.file_lines import Line
from redirect.links.transfer import FORMATS, Format, parse_renames, read

#: Lines in one call; the monitor takes at most `max_body_bytes`.
CHUNK_LINES = 1000
CHUNK_BYTES = 2**22
IMPORT_TIMEOUT_S = 300.0
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson",
}  # fmt: skip

FormatOption = Annotated[str, typer.Option("--format", help="csv, json or ndjson; else by the file's name.")]


def import_links(
    file: Annotated[Path, typer.Argument(help="CSV, JSON or NDJSON, as `links export` writes them.")],
    format: FormatOption = "",
    map: Annotated[
        list[str] | None,
        typer.Option("--map", help="theirs=ours; theirs= leaves it out. Repeat for several."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, change nothing.")] = False,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Add what is new, change what differs, leave the rest. The exit code is 1 when a line was refused."""
    renames = parse_renames(map or ())
    total: dict[str, Any] = {"dry_run": dry_run, "added": 0, "changed": 0, "unchanged": 0, "refused": 0, "errors": []}
    with ApiClient(url=url, key=key) as api, _Text(file, quiet=json) as text:
        for chunk in _chunks(_lines(text, _kind(format, file), renames)):
            _take(api, chunk, total)
    if json:
        print_json(total)
    else:
        _print(file, total)
    if total["refused"]:
        raise typer.Exit(FAILED)


def export(
    out: Annotated[Path | None, typer.Option(help="File to write; else standard output.")] = None,
    format: FormatOption = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only links with this tag; several: with all.")] = None,
    search: Annotated[str, typer.Option(help="Part of slug, destination, campaign, note or a tag.")] = "",
    client: Annotated[str | None, typer.Option(help="Only links of this client.")] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """Write links as a file that `links import` reads back to the same links."""
    query = {"format": _kind(format, out), "tag": tag or [], "search": search}
    query |= {"client": client} if client is not None else {}
    with ApiClient(url=url, key=key) as api:
        blocks = api.stream("/links/export", params=query)
        if out is None:
            for block in blocks:
                sys.stdout.buffer.write(block)
        else:
            _write(out, blocks)


def qr(
    slug: Slug,
    out: Annotated[Path, typer.Option(help="File to write: .svg or .png.")],
    domain: Domain = "",
    scale: Annotated[int, typer.Option(help="Pixels a module.")] = 8,
    border: Annotated[int, typer.Option(help="Modules around it; scanners need 4.")] = 4,
    level: Annotated[str, typer.Option(help="How much may be lost: L 7 %, M 15 %, Q 25 %, H 30 %.")] = "M",
    url: Url = "",
    key: Key = "",
) -> None:
    """The link's short address as a QR code."""
    query = {"format": out.suffix.lower().removeprefix("."), "scale": scale, "border": border, "level": level}
    query |= {"domain": domain} if domain else {}
    with ApiClient(url=url, key=key) as api:
        _write(out, api.stream(f"{link_path(slug)}/qr", params=query))


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    """Whole or not at all: a connection that breaks leaves no half file under the name."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            for block in blocks:
                file.write(block)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _kind(wanted: str, file: Path | None) -> Format:
    if wanted:
        if wanted not in FORMATS:
            raise typer.BadParameter(f"{wanted}: one of {', '.join(FORMATS)}")
        return wanted
    return _SUFFIXES.get(file.suffix.lower(), "csv") if file else "csv"


class _Text:
    """A file as text, with a bar that shows how far it is read."""

    def __init__(self, path: Path, *, quiet: bool) -> None:
        self._path = path
        terminal = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
            console=terminal, disable=quiet or not terminal.is_terminal,
        )  # fmt: skip

    def __enter__(self) -> io.TextIOWrapper:
        self._bar.start()
        try:
            file = self._bar.open(self._path, "rb", description=self._path.name)
        except OSError as error:
            self._hide()
            self._bar.stop()
            raise Invalid("file", f"{self._path}: {error.strerror}") from None
        self._file = io.TextIOWrapper(file, "utf-8", newline="")
        return self._file

    def __exit__(self, failed: type[BaseException] | None, *_exc: object) -> None:
        self._file.close()
        if failed is not None:
            self._hide()  # how far it is read says less than the error below it
        self._bar.stop()

    def _hide(self) -> None:
        for task in self._bar.task_ids:
            self._bar.update(task, visible=False)


def _lines(text: io.TextIOWrapper, kind: Format, renames: dict[str, str]) -> Iterator[Line]:
    try:
        yield from read(text, kind, renames=renames)
    except UnicodeDecodeError as error:
        raise Invalid("encoding", f"{error}: save the file as UTF-8") from None


def _chunks(lines: Iterable[Line]) -> Iterator[list[tuple[Line, bytes]]]:
    """Lines with what is sent of them, as many as go into one call."""
    chunk: list[tuple[Line, bytes]] = []
    size = 0
    for line in lines:
        # Not msgspec: what a file may say wrongly (half a character, NaN) is for the monitor to refuse.
        sent = b"" if line.problem else to_json(line.values).encode() + b"\n"
        if len(chunk) == CHUNK_LINES or size + len(sent) > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append((line, sent))
        size += len(sent)
    if chunk:
        yield chunk


def _take(api: ApiClient, chunk: list[tuple[Line, bytes]], total: dict[str, Any]) -> None:
    """Send one chunk and add what became of it, with the line numbers of the file."""
    good = [(line, sent) for line, sent in chunk if sent]
    errors: list[dict[str, Any]] = [
        {"line": line.number, "slug": str(line.values.get("slug", "")), "reason": p.reason, "detail": p.detail}
        for line, _ in chunk
        if (p := line.problem) is not None
    ]
    total["refused"] += len(errors)
    if good:
        answer = api.call(
            "POST",
            "/links/import",
            params={"dry_run": total["dry_run"]},
            content=b"".join(sent for _, sent in good),
            headers={"Content-Type": "application/x-ndjson"},
            timeout=IMPORT_TIMEOUT_S,
        )
        for name in ("added", "changed", "unchanged", "refused"):
            total[name] += answer[name]
        errors += [{**error, "line": good[error["line"] - 1][0].number} for error in answer["errors"]]
    total["errors"] += sorted(errors, key=lambda error: error["line"])


def _print(file: Path, total: dict[str, Any]) -> None:
    would = "would be " if total["dry_run"] else ""
    counts = ", ".join(f"{total[name]:,} {would}{name}" for name in ("added", "changed", "unchanged", "refused"))
    console = Console()
    console.print(f"{file.name}: {counts}", highlight=False, markup=False)
    for error in total["errors"]:
        named = f" ({error['slug']})" if error["slug"] else ""
        console.print(
            f"  line {error['line']}{named}: {error['reason']}: {error['detail']}", highlight=False, markup=False
        )
