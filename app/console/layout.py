"""The frame around every page: name, who is signed in, and how complete every number is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from nicegui import ui
from nicegui.element import Element

from app.console import components, wording
from app.console.style import CSS
from core.principal import Principal


class SourceAge(msgspec.Struct, frozen=True, kw_only=True):
    """How far one source is complete. `state` is ok, late or unknown; `live` sources are those that live decisions rest on."""

    name: str
    complete_through: int
    state: str
    live: bool = False


@contextmanager
def page(principal: Principal, *, title: str) -> Iterator[Element]:
    """The frame; the body of the `with` fills the page. Yields the freshness strip's element."""
    ui.page_title(f"{title} · Clicktrace")
    ui.add_css(CSS)
    ui.colors(primary="#1f4fd8")
    with ui.element("header").classes("ct-top"):
        with ui.element("div").classes("ct-top-in"):
            ui.link("Clicktrace", "/").classes(replace="ct-brand")
            with ui.element("div").classes("ct-push ct-who ct-row"):
                ui.link("What the figures mean", "/figures")
                ui.label(principal.name)
                ui.link("Sign out", "/sign-out")
        with ui.element("div").classes("ct-fresh-bar"), ui.element("div").classes("ct-top-in ct-fresh-wrap"):
            strip = ui.element("div").classes("ct-fresh")
    with ui.element("main").classes("ct-page"):
        yield strip


def show_freshness(strip: Element, sources: Sequence[SourceAge], *, now: int) -> None:
    """Fill the strip: each source with the time it is complete through."""
    strip.clear()
    with strip:
        if not sources:
            ui.label("No source has reported yet.")
        for source in sources:
            with ui.element("span").classes(source.state):
                ui.element("i").classes(f"ct-dot {source.state}")
                ui.label(_freshness_text(source, now=now)).style("display:inline")


def _freshness_text(source: SourceAge, *, now: int) -> str:
    if not source.complete_through:
        return f"{source.name}: nothing yet"
    through = wording.clock_time(source.complete_through, now=now)
    behind = f", {wording.span(now - source.complete_through)} behind" if source.state == "late" else ""
    return f"{source.name} complete through {through}{behind}"


def show_notice(place: Element, text: str) -> None:
    """Say what is wrong with the page itself, above whatever it shows."""
    place.clear()
    with place, components.card("mending"):
        components.text(text[:300], "ct-small")


def not_found(detail: str) -> None:
    """What a page says when its subject does not exist."""
    with components.card("ct-empty"):
        components.text(detail, "ct-title")
        components.link("All incidents", "/")
