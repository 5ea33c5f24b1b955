"""One POST with retries inside a deadline, and foreign errors translated: shared by the Alertmanager and webhook notifiers."""

from __future__ import annotations

from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from core.errors import Permanent, QuotaExceeded, Transient

ATTEMPTS = 3
TIMEOUT_S = 5.0
#: Statuses after which the same request may succeed later.
_PASSING = frozenset({408, 425, 500, 502, 503, 504})


def post_json(client: httpx.Client, url: str, body: Any, *, source: str) -> None:
    """POST `body` as JSON; passing errors are tried again with growing, jittered waits.

    Raises:
        Transient: still failing after the last attempt.
        Permanent: the receiver refuses it.
    """
    for attempt in Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.1, max=1.0, jitter=0.2),
        retry=retry_if_exception_type(Transient),
        reraise=True,
    ):
        with attempt:
            _post_once(client, url, body, source=source)


def _post_once(client: httpx.Client, url: str, body: Any, *, source: str) -> None:
    try:
        response = client.post(url, json=body, timeout=TIMEOUT_S)
    except httpx.UnsupportedProtocol as error:
        raise Permanent(source, f"not an address: {error}") from error
    except httpx.HTTPError as error:
        raise Transient(source, f"{type(error).__name__}: {error}") from error
    except httpx.InvalidURL as error:
        raise Permanent(source, f"not an address: {error}") from error
    if response.status_code == 429:
        raise QuotaExceeded(source, "too many requests (429)")
    if response.status_code in _PASSING:
        raise Transient(source, f"answered {response.status_code}")
    if response.status_code >= 300:
        raise Permanent(source, f"answered {response.status_code}: {response.text[:200]}")
