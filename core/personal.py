"""Texts that hold an e-mail address: never recorded, whichever parameter, path or attribute they came in."""

from __future__ import annotations

import re
from typing import Final

#: Also as full-width signs, and percent-encoded any number of times: a URL inside a URL arrives still encoded.
_AT: Final = r"(?:[@＠﹫]|%(?:25)*40|%(?:25)*EF%(?:25)*BC%(?:25)*A0)"
_DOT: Final = r"(?:[.．。｡]|%(?:25)*2E)"
# The host part is bounded, so that a text full of signs costs linear time.
_EMAIL: Final = re.compile(rf"[^\s@]{_AT}[^\s@]{{1,255}}?{_DOT}[^\s@]", re.IGNORECASE)


def holds_email(text: str) -> bool:
    """True when something in the text reads as an e-mail address."""
    if text.isascii() and "@" not in text and "%" not in text:
        return False
    return _EMAIL.search(text) is not None
