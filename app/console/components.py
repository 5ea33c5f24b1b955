"""The pieces that pages are made of. Text goes through labels, never through raw HTML: nothing that a visitor or a platform sent can
become markup."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from nicegui import ui
from nicegui.element import Element


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a table: text, a smaller note below it, a link, right-aligned when it is a number."""

    text: str
    note: str = ""
    href: str = ""
    number: bool = False
    mono: bool = False


def card(kind: str = "") -> Element:
    return ui.element("section").classes(f"ct-card {kind}".strip())


def heading(text: str) -> Element:
    with ui.element("h2") as element:
        ui.label(text).style("display:inline")
    return element


def text(content: str, classes: str = "") -> Element:
    return ui.label(content).classes(classes)


def link(content: str, href: str, classes: str = "ct-link") -> Element:
    # Only pages of our own and web addresses: a `javascript:` address from a deploy marker must not become a link.
    if not href.startswith(("/", "https://", "http://")):
        return text(content)
    return ui.link(content, href).classes(replace=classes)


def chip(content: str, kind: str = "") -> Element:
    return ui.label(content).classes(f"ct-chip {kind}".strip())


def figure(name: str, value: str, *, note: str = "", kind: str = "") -> None:
    """One number with its name above and its interval or basis below."""
    with ui.element("div").classes(f"ct-figure {kind}".strip()):
        ui.label(name).classes("name")
        ui.label(value).classes("value")
        if note:
            ui.label(note).classes("note")


def bar(share: float) -> None:
    with ui.element("div").classes("ct-bar"):
        ui.element("i").style(f"width:{max(0.0, min(1.0, share)) * 100:.1f}%")


def table(columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[Cell]]) -> None:
    """A plain table that scrolls sideways on a phone. Columns are (title, is a number)."""
    with ui.element("div").classes("ct-scroll"), ui.element("table").classes("ct"):
        with ui.element("thead"), ui.element("tr"):
            for title, number in columns:
                with ui.element("th").classes("num" if number else ""):
                    ui.label(title)
        with ui.element("tbody"):
            for row in rows:
                with ui.element("tr"):
                    for cell in row:
                        _cell(cell)


def _cell(cell: Cell) -> None:
    with ui.element("td").classes(f"{'num' if cell.number else ''} {'ct-mono' if cell.mono else ''}".strip()):
        if cell.href:
            link(cell.text, cell.href)
        else:
            ui.label(cell.text)
        if cell.note:
            with ui.element("small"):
                ui.label(cell.note)
