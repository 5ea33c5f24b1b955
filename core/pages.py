"""The one spelling of a page that every part uses: ``host/path``.

Clicks, touches, conversions and spans name the same page in different URLs; they join only if all of them are brought to the same
form. No other module may cut a URL into a page by itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from core.personal import holds_email

MAX_PAGE_CHARS = 512
_DEFAULT_PORTS = (":80", ":443")
#: Stands for a path segment that holds an e-mail address, which is never recorded.
EMAIL_SEGMENT: Final = ":email"


@lru_cache(maxsize=16_384)
def normalise_page(url: str) -> str:
    """``https://Shop.Example:443/Spring/?a=1#x`` as ``shop.example/Spring``.

    The host is lower-case and keeps a port that is not the default one; scheme, credentials, query, fragment and trailing slashes
    are gone; the root page is just the host. A URL without a scheme (``shop.example/p``) is read the same way. The path keeps its
    case and its percent-encoding, because servers may tell them apart. A segment with an e-mail address is written ``:email``.

    Returns:
        The page, at most 512 characters, or "" when the URL names no host.
    """
    rest = url.strip()
    scheme, separator, after = rest.partition("://")
    if separator and scheme.isalnum():
        rest = after
    elif rest.startswith("//"):
        rest = rest[2:]
    for mark in "?#":
        rest = rest.partition(mark)[0]
    host, _, path = rest.partition("/")
    host = host.rpartition("@")[2].lower()
    for port in _DEFAULT_PORTS:
        host = host.removesuffix(port)
    host = host.removesuffix(".")
    if not host or any(c.isspace() for c in host):
        return ""
    path = path.rstrip("/")
    if holds_email(path):
        path = "/".join(EMAIL_SEGMENT if holds_email(segment) else segment for segment in path.split("/"))
    return (f"{host}/{path}" if path else host)[:MAX_PAGE_CHARS]
