"""One JSON call to a control port of the simulated world."""

from __future__ import annotations

from typing import Any

import httpx


def call(url: str, body: object, *, quiet: bool = False) -> Any:
    """POST `body`, or GET when it is None; the answer's JSON, None when there is none. `quiet`: None when nobody answers yet.

    Raises:
        httpx.HTTPError: no answer, or an error (unless `quiet`).
    """
    try:
        answer = (
            httpx.get(url, timeout=10, trust_env=False)
            if body is None
            else httpx.post(url, json=body, timeout=10, trust_env=False)
        )
        answer.raise_for_status()
    except httpx.HTTPError:
        if quiet:
            return None
        raise
    return answer.json() if answer.content else None
