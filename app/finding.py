"""What a check of `clicktrace doctor` found."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `mend` says what to do about it."""

    check: str
    state: Literal["ok", "warning", "problem"]
    text: str
    mend: str = ""
