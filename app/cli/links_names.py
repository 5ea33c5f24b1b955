"""How commands name a link."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from redirect.links.model import ROUTE_WORDS, SLUG_MARK

Slug = Annotated[str, typer.Argument(help="Slug or link ID.")]
Domain = Annotated[str, typer.Option(help="Domain of the link, when it has one.")]


def link_path(slug: str) -> str:
    """The API's path of a link; a slug that is a word of the API gets its mark."""
    mark = SLUG_MARK if slug in ROUTE_WORDS else ""
    return f"/links/{mark}{quote(slug, safe='~')}"
