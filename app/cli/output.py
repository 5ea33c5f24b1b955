"""How commands print: a table for people, one JSON document for machines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

#: The option that every command with a result has.
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def print_json(value: object) -> None:
    """One JSON document on standard output, indented."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str, whole: Collection[str] = ()
) -> None:
    """A table, or the sentence `empty` when there is nothing to show. Columns in `whole` are not cut where it is narrow: names that
    begin alike could not be told apart."""
    console = Console()
    if not rows:
        console.print(empty)
        return
    headers = [Column(name, no_wrap=name in whole) for name in columns]
    table = Table(*headers, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(table)
