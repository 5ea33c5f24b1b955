"""Errors as problem+json (RFC 9457): every answer that is not a success has the same five fields, `reason` from a closed list."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from core.errors import JournalError, QuotaExceeded, Refusal, SourceError, StoreError

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
POSTBACK_PATH = "/api/v1/postback/"
#: Reason word of statuses that the framework itself answers with.
_FRAMEWORK_REASONS = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}

#: What a refusal's status asks for beside the body (RFC 9110; 429 RFC 6585).
_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="clicktrace"'},
    429: {"Retry-After": "10"},
    503: {"Retry-After": "2"},
}


def problem(status: int, reason: str, detail: str, *, headers: dict[str, str] | None = None) -> JSONResponse:
    """One problem+json answer."""
    # What a caller sent may stand in the detail, and JSON can name half a character (\ud800) that UTF-8 cannot write.
    detail = detail.encode("utf-8", "backslashreplace").decode()
    body = {
        "type": f"about:blank#{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
    }
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make `app` answer every error of `core.errors`, and the framework's own, as problem+json."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(StoreError, _unavailable)
    app.add_exception_handler(JournalError, _unavailable)
    app.add_exception_handler(OperationalError, _locked)
    app.add_exception_handler(SourceError, _outside)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)


def shown_path(request: Request) -> str:
    """The path for a log line; the key in a postback's address stays out of it."""
    path = request.url.path
    return POSTBACK_PATH + "***" if path.startswith(POSTBACK_PATH) else path


def _refusal(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    headers = _HEADERS.get(error.status)
    return problem(error.status, error.reason, error.detail, headers=headers)


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    log.warning("request failed", path=shown_path(request), error=str(error))
    reason = "store_unavailable" if isinstance(error, StoreError) else "journal_unavailable"
    return problem(503, reason, str(error), headers={"Retry-After": "1"})


def _locked(request: Request, error: Exception) -> JSONResponse:
    """The control database is locked, full or away: nothing was changed."""
    log.warning("control database", path=shown_path(request), error=str(error))
    detail = "the control database does not answer: nothing was changed, try again"
    return problem(503, "control_unavailable", detail, headers={"Retry-After": "1"})


def _outside(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SourceError)
    headers = None
    if isinstance(error, QuotaExceeded) and error.retry_after_s is not None:
        headers = {"Retry-After": str(round(error.retry_after_s))}
    return problem(502, "source_unavailable" if error.retryable else "source_refused", str(error), headers=headers)


def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return problem(422, "invalid_request", "; ".join(found))


def _framework(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reason = _FRAMEWORK_REASONS.get(error.status_code, "http_error")
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, reason, str(error.detail), headers=headers)


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    # The server logs the traceback itself; this line says to which request it belongs.
    log.error("unexpected error", path=shown_path(request), error=repr(error))
    return problem(500, "internal_error", "something went wrong here; the log of the monitor says what")
