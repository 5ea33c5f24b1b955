"""What every route about links may answer besides success, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel


class Problem(BaseModel):
    """Why a request was refused (RFC 9457); `reason` is a word from a closed list."""

    type: str
    title: str
    status: int
    detail: str
    reason: str


_MEANINGS: Final = {
    400: "The body cannot be read.",
    401: "No key, or a wrong one.",
    403: "The key lacks the scope or the client.",
    404: "There is no such link, or it belongs to a client that the key does not see.",
    409: "Taken, or changed meanwhile.",
    412: "`If-Match` names another version.",
    413: "Too much at once.",
    415: "The body's content type is none that this route reads.",
    422: "Against a rule; `reason` says which one.",
    503: "The control database does not answer; try again.",
}


#: Made once: the API's routes mention it a hundred times, and pydantic works it out anew at every call.
_SCHEMA: Final = Problem.model_json_schema()


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: these statuses, and those that any route may answer."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {"application/problem+json": {"schema": _SCHEMA}},
        }
        for status in sorted({*statuses, 401, 403, 422, 503})
    }
