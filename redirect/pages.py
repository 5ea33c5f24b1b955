"""What a person reads on a link that leads nowhere: one small static page an outcome, made when the worker starts.

Neutral words, nothing from the request, no script, no file of another host; whoever does not ask for HTML gets the same words as text.
"""

from __future__ import annotations

import html
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final

from redirect import reasons

#: Outcome -> (title, text).
WORDS: Final[dict[str, tuple[str, str]]] = {
    reasons.DISABLED: ("This link was switched off", "It is no longer in use."),
    reasons.EXPIRED: ("This link is over", "It was meant for a limited time."),
    reasons.MAX_CLICKS_REACHED: ("This link is over", "It was meant for a limited number of visits."),
    reasons.NOT_STARTED: ("This link does not work yet", "Please come back later."),
    reasons.UNAVAILABLE: ("This link is unavailable for the moment", "Please try again in a few minutes."),
    reasons.DESTINATION_NOT_ALLOWED: ("This link cannot be opened", "The page it leads to is not available here."),
    reasons.SIGNATURE_MISSING: ("This link is incomplete", "Please use the whole link as you got it."),
    reasons.SIGNATURE_INVALID: ("This link is incomplete", "Please use the whole link as you got it."),
    reasons.SIGNATURE_EXPIRED: ("This link is over", "It was meant for a limited time."),
    reasons.UNKNOWN_SLUG: ("There is no such link", "Please check how it is written."),
    reasons.UNKNOWN_DOMAIN: ("There is no such link", "Please check how it is written."),
    reasons.RATE_LIMITED: ("Too many requests", "Please wait a minute and try again."),
}
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.125rem/1.5 system-ui,sans-serif;"
    "background:#fff;color:#1a1a1a}"
    "main{max-width:32rem;padding:2rem}"
    "h1{font-size:1.5rem;margin:0 0 .5rem}"
    "p{margin:0 0 .5rem}"
    "@media(prefers-color-scheme:dark){body{background:#121212;color:#eee}}"
)
_TEMPLATE: Final = (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="robots" content="noindex">\n'
    "<title>{{title}}</title>\n<style>" + _STYLE + "</style>\n</head>\n"
    "<body>\n<main>\n<h1>{{title}}</h1>\n<p>{{text}}</p>\n{{note}}</main>\n</body>\n</html>\n"
)
_SAFETY: Final = b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Robots-Tag: noindex\r\nCache-Control: no-store\r\n"
_CLOSED: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#: Seconds a client that was limited is asked to wait: its bucket has filled a good deal by then.
_RETRY_AFTER: Final = b"Retry-After: 10\r\n"


class Pages:
    """(headers, body) of every outcome, as HTML and as text; `of` looks up, nothing is made while requests are answered.

    Args:
        note: a sentence below the words of the built-in page and of the text.
        template: a page of one's own with ``{{title}}`` and ``{{text}}``; it may bring styles and images inside itself.
    """

    def __init__(self, *, note: str = "", template: str = "") -> None:
        style = f"'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
        policy = f"{_CLOSED}; style-src 'unsafe-inline'; img-src data:" if template else f"{_CLOSED}; style-src {style}"
        self._pages: dict[tuple[str, bool], tuple[bytes, bytes]] = {}
        for outcome, (title, text) in WORDS.items():
            page = _fill(template or _TEMPLATE, title=title, text=text, note=note)
            plain = "\n".join(filter(None, (f"{title}. {text}", note))) + "\n"
            for as_html, body in ((True, page), (False, plain)):
                headers = _headers(outcome, as_html=as_html, policy=policy, size=len(body.encode()))
                self._pages[outcome, as_html] = headers, body.encode()

    def of(self, outcome: str, accept: bytes) -> tuple[bytes, bytes]:
        """Headers, each with its line end, and the body, for an Accept header."""
        return self._pages[outcome, b"text/html" in accept]


def load_pages(*, note: str, path: str) -> Pages:
    """The pages of the settings.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read: better at start than in front of a visitor.
    """
    return Pages(note=note, template=Path(path).read_text("utf-8") if path else "")


def _fill(template: str, *, title: str, text: str, note: str) -> str:
    paragraph = f"<p>{html.escape(note)}</p>\n" if note else ""
    words = {"{{title}}": html.escape(title), "{{text}}": html.escape(text), "{{note}}": paragraph}
    for mark, value in words.items():
        template = template.replace(mark, value)
    return template


def _headers(outcome: str, *, as_html: bool, policy: str, size: int) -> bytes:
    kind = "html" if as_html else "plain"
    retry = _RETRY_AFTER if outcome == reasons.RATE_LIMITED else b""
    return b"Content-Type: text/%b; charset=utf-8\r\nContent-Length: %d\r\n%b%bContent-Security-Policy: %b\r\n" % (
        kind.encode(), size, retry, _SAFETY, policy.encode(),
    )  # fmt: skip
