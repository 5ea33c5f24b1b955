"""How commands name a link."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from core.errors import NotFound
from redirect.links.model import ROUTE_WORDS, SLUG_MARK

Slug = Annotated[str, typer.Argument(help="Slug or link ID.")]
Domain = Annotated[str, typer.Option(help="Domain of the link, when it has one.")]


def link_path(slug: str) -> str:
    """The API's path of a link; a slug that is a word of the API gets its mark."""
    mark = SLUG_MARK if slug in ROUTE_WORDS else ""
    return f"/links/{mark}{quoted(slug)}"


def quoted(slug: str) -> str:
    """A slug as a part of a path.

    Raises:
        NotFound: `unknown_link`: no link can have that name.
    """
    if "/" in slug or not slug.strip("."):
        raise NotFound("unknown_link", f"there is no link {slug!r}: name its slug or ID, not its address")
    return quote(slug, safe="~")
