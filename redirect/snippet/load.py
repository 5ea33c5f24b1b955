"""`/ct.js` as it is served: the file beside this one without its comments, with the configured sites filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from redirect.handler import Snippet

SOURCE = Path(__file__).with_name("ct.js")
#: Replaced by the sites' hosts, separated by blanks.
PLACEHOLDER = "__SITES__"
_COMMENT = re.compile(r"^/\*.*?\*/\n", re.DOTALL | re.MULTILINE)


def load_snippet(sites: Sequence[str]) -> Snippet:
    """Read the snippet and fill in the hosts whose links it decorates."""
    text = _COMMENT.sub("", SOURCE.read_text("utf-8"))
    body = text.replace(PLACEHOLDER, " ".join(sites)).encode()
    return Snippet(body=body, etag=b'"' + sha256(body).hexdigest()[:32].encode() + b'"')
