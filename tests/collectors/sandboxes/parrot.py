"""Secrets and whoever repeats them: what is secret in a vendor's files, and a vendor that quotes what it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.collectors.sandboxes.base import Answer, Request, Sandbox

#: Anything shorter is part of ordinary words, too.
SHORTEST = 8


class Parrot(Sandbox):
    """Refuses every call, and says in each field that a vendor's error has what it was sent. `heard` is what of it was secret."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.heard: set[str] = set()

    def answer(self, request: Request) -> Answer:
        credential = request.headers.get("authorization", "").rpartition(" ")[2]
        assertion = request.form.get("assertion", "") if b"assertion=" in request.body else ""
        self.heard |= {word for word in (credential, assertion) if word}
        said = f"{credential or assertion} may not do that"
        error = {"message": said, "code": 100, "status": "PERMISSION_DENIED", "type": said, "error_user_msg": said}
        return Answer(status=403, body={"error": error, "error_description": said, "message": said, "category": said})


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2].partition("/")[0])


def secrets_in(files: Iterable[Path]) -> set[str]:
    """The whole of a file with one token; of a service account's key file, the lines of the key."""
    return {
        secret for file in files for secret in _secrets(file.read_text("utf-8", "replace")) if len(secret) >= SHORTEST
    }


def _secrets(text: str) -> list[str]:
    try:
        key = str(json.loads(text)["private_key"])
    except (ValueError, KeyError, TypeError):
        return [] if text.lstrip().startswith("{") else [text.strip()]
    return [line for line in key.splitlines() if not line.startswith("-")]
