"""`/ct.js` as it is served: the file beside this one, shortened, with the configured sites filled in."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from redirect.handler import Snippet
from redirect.snippet.minify import minify

SOURCE = Path(__file__).with_name("ct.js")
#: Replaced by the sites' hosts, separated by blanks.
PLACEHOLDER = "%SITES%"


def load_snippet(sites: Sequence[str]) -> Snippet:
    """Read the snippet, shorten it, and fill in the hosts whose links it decorates."""
    body = minify(SOURCE.read_text("utf-8")).replace(PLACEHOLDER, " ".join(sites)).encode()
    return Snippet(body=body, etag=b'"' + sha256(body).hexdigest()[:32].encode() + b'"')
