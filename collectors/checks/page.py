"""What a page says: its text as people read it, its title, and its forms. No script runs."""

from __future__ import annotations

import codecs
import zlib
from email.message import Message
from html.parser import HTMLParser
from typing import Final

import msgspec

from core.visits.visit import Visit

MAX_PAGE_BYTES: Final = 2**20
MAX_TITLE: Final = 200
#: What stands in these is no text for people.
_UNSEEN: Final = frozenset(("script", "style", "template", "noscript"))
#: These do not part words; every other tag does.
_INLINE: Final = frozenset(
    (
        "a",
        "abbr",
        "b",
        "bdi",
        "cite",
        "code",
        "em",
        "font",
        "i",
        "mark",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "u",
        "wbr",
    )
)


class Form(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    action: str

    def is_called(self, wanted: str) -> bool:
        return wanted == "*" or wanted in (self.id, self.name, self.action)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`text` has single blanks where the page has any white space."""

    title: str
    text: str
    forms: tuple[Form, ...]


def read_page(visit: Visit) -> Page | None:
    """The page that a visit ended on; None when its server compressed it in a way that we did not ask for."""
    body = _plain(visit.body, visit.content_encoding)
    if body is None:
        return None
    reader = _Reader()
    reader.feed(body.decode(_charset(visit.content_type), "replace"))
    reader.close()
    title = " ".join("".join(reader.title).split())[:MAX_TITLE]
    return Page(title=title, text=" ".join("".join(reader.parts).split()), forms=tuple(reader.forms))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title: list[str] = []
        self.forms: list[Form] = []
        self._unseen = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._part(tag)
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "title":
            self._in_title = True
        elif tag == "form" and not self._unseen:
            values = {name: value or "" for name, value in attrs}
            form = Form(id=values.get("id", ""), name=values.get("name", ""), action=values.get("action", ""))
            self.forms.append(form)

    def handle_endtag(self, tag: str) -> None:
        self._part(tag)
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "title":
            self._in_title = False

    def _part(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._unseen:
            self.parts.append(data)


def _plain(body: bytes, encoding: str) -> bytes | None:
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip"):
        return None
    try:
        return zlib.decompressobj(wbits=31).decompress(body, MAX_PAGE_BYTES)
    except zlib.error:
        return None


def _charset(content_type: str) -> str:
    """The charset that the header names, where Python knows it; else UTF-8."""
    header = Message()
    header["content-type"] = content_type
    named = str(header.get_content_charset() or "utf-8")
    try:
        return codecs.lookup(named).name
    except LookupError:
        return "utf-8"
