"""Parameters that several routes about links have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path, Query

from redirect.links.search import MAX_SEARCH

MAX_PAGE = 1000
MAX_FILTER_TAGS = 8

Name = Annotated[str, Path(description="Link ID or slug; ~slug where the slug is a word of this API, such as tags.")]
Domain = Annotated[str, Query(max_length=255, description="Domain of the link, when it has one.")]
Tags = Annotated[
    list[str], Query(max_length=MAX_FILTER_TAGS, description="Only links with this tag; several: with all.")
]
Client = Annotated[str | None, Query(max_length=64, description="Only links of this client.")]
Search = Annotated[str, Query(max_length=MAX_SEARCH, description="Part of slug, destination, campaign, note or a tag.")]
Cursor = Annotated[str, Query(max_length=512, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
IfMatch = Annotated[str, Header(description="The ETag you have seen; when the link has another by now: 412.")]
