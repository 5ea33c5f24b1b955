"""Calls the HTTP API of a running monitor for a command: where it listens, with which key, and errors of `core.errors` only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self, cast

import httpx
import typer

from app.run_state import running
from app.settings import load_settings
from core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Transient, Unauthorized

URL_VARIABLE = "CLICKTRACE_URL"
KEY_VARIABLE = "CLICKTRACE_KEY"
TIMEOUT_S = 30.0
_ERRORS: dict[int, type[Refusal]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Conflict}

#: The two options of every command that talks to a running monitor.
Url = Annotated[str, typer.Option("--url", help="Base URL of the monitor.", envvar=URL_VARIABLE)]
Key = Annotated[str, typer.Option("--key", help="API key; else <data_dir>/admin.key.", envvar=KEY_VARIABLE)]


class ApiClient:
    """A client of one monitor; use it in a `with` statement."""

    def __init__(self, *, url: str = "", key: str = "") -> None:
        self._base = _address(url or _running_url())
        headers = {"Authorization": f"Bearer {_sendable(key or _admin_key())}"}
        self._client = httpx.Client(base_url=f"{self._base}/api/v1", headers=headers, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.close()

    def stream(self, path: str, **request: Any) -> Iterator[bytes]:
        """A GET below /api/v1 that answers with a file, block by block; errors as in `call`."""
        try:
            with self._client.stream("GET", path, **request) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise self._nobody(error) from None

    def call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """One call below /api/v1; the answer's JSON object.

        Raises:
            Refusal: the API refused, with its reason.
            Transient: nobody answered.
        """
        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise self._nobody(error) from None
        if not response.is_success:
            raise _refusal(response)
        return cast(dict[str, Any], response.json())

    def _nobody(self, error: httpx.HTTPError) -> Transient:
        return Transient(self._base, f"{error}; is the monitor running there? (clicktrace up, --url, {URL_VARIABLE})")


def _address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise Invalid("bad_url", f"{url}: write the monitor's address as http://host:port (--url, {URL_VARIABLE})")
    return url.rstrip("/")


def _sendable(key: str) -> str:
    """Never shown: a wrong key may be a right one of something else."""
    if not key.isascii() or not key.isprintable():
        raise Unauthorized("wrong_key", "a key has plain letters, digits, - and _ only: was it copied whole?")
    return key


def _refusal(response: httpx.Response) -> Refusal:
    try:
        problem = response.json()
        reason, detail = str(problem["reason"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        reason, detail = "http_error", f"the monitor answered {response.status_code}"
    return _ERRORS.get(response.status_code, Invalid)(reason, detail, status=response.status_code)


def _running_url() -> str:
    """Where the monitor of our data directory listens, else where the settings say."""
    settings = load_settings()
    state = running(settings.data_dir)
    return (state.console if state else "") or f"http://localhost:{settings.monitor.port}"


def _admin_key() -> str:
    path = load_settings().data_dir / "admin.key"
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        where = (
            "run this as the user that runs `clicktrace up`"
            if isinstance(error, PermissionError)
            else "start `clicktrace up` there, or name where it runs with --config or CLICKTRACE_DATA_DIR"
        )
        raise Unauthorized(
            "no_key", f"{path} cannot be read: {error.strerror}; {where}, or use --key or {KEY_VARIABLE}"
        ) from None
