"""`/ct.js` as it is served: the file beside this one, with the configured sites filled in."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from redirect.handler import Snippet

SOURCE = Path(__file__).with_name("ct.js")
#: Replaced by the sites' hosts, separated by blanks.
PLACEHOLDER = "__SITES__"


def load_snippet(sites: Sequence[str]) -> Snippet:
    """Read the snippet and fill in the hosts whose links it decorates."""
    body = SOURCE.read_text("utf-8").replace(PLACEHOLDER, " ".join(sites)).encode()
    return Snippet(body=body, etag=b'"' + sha256(body).hexdigest()[:32].encode() + b'"')
