"""What the Data Manager API answers, and what follows from it: pure ("Understand API errors", "Diagnostics", read Nov 2026)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from core.http_client import redact
from uploads.base import Outcome

PREFIX: Final = "PROCESSING_ERROR_REASON_"
#: The event was there before: what a repetition is told, and as good as a success.
THERE: Final = frozenset({"DUPLICATE_TRANSACTION_ID", "DUPLICATE_GCLID"})
#: Google's own fault.
RETRYABLE: Final = frozenset({"INTERNAL_ERROR"})
_PLACE: Final = re.compile(r"\bevents\[(\d+)\]")


class ErrorCount(msgspec.Struct, frozen=True, rename="camel"):
    reason: str = "PROCESSING_ERROR_REASON_UNSPECIFIED"
    #: 64-bit numbers are text in Google's JSON.
    record_count: str | int = 0


class ErrorInfo(msgspec.Struct, frozen=True, rename="camel"):
    error_counts: list[ErrorCount] = []


class PerDestination(msgspec.Struct, frozen=True, rename="camel"):
    request_status: str = "REQUEST_STATUS_UNKNOWN"
    error_info: ErrorInfo = ErrorInfo()


class RequestStatus(msgspec.Struct, frozen=True, rename="camel"):
    request_status_per_destination: list[PerDestination]


class Taken(msgspec.Struct, frozen=True, rename="camel"):
    request_id: str


class Violation(msgspec.Struct, frozen=True, rename="camel"):
    field: str = ""
    description: str = ""
    reason: str = ""


class Detail(msgspec.Struct, frozen=True, rename="camel"):
    field_violations: list[Violation] = []
    reason: str = ""


class Error(msgspec.Struct, frozen=True):
    message: str = ""
    status: str = ""
    details: list[Detail] = []


class ErrorBody(msgspec.Struct, frozen=True):
    error: Error


def outcome_of(status: PerDestination) -> Outcome | None:
    """What the status of the request's only destination says; None while it is worked on."""
    if status.request_status in ("PROCESSING", "REQUEST_STATUS_UNKNOWN"):
        return None
    counts: dict[str, int] = {}
    for each in status.error_info.error_counts:
        reason = each.reason.removeprefix(PREFIX)
        counts[reason] = counts.get(reason, 0) + int(each.record_count)
    failures = {reason: count for reason, count in counts.items() if reason not in THERE}
    failed_all = status.request_status in ("FAILED", "FAILURE")
    if status.request_status != "SUCCESS" and not counts:
        # "May not be populated in all cases": the failures have no name.
        failures = {"UNSPECIFIED": 1}
    return Outcome(
        failures=failures,
        there=sum(count for reason, count in counts.items() if reason in THERE),
        retryable=bool(failures) and failures.keys() <= RETRYABLE,
        failed_all=failed_all,
    )


def events_at_fault(error: Error) -> dict[int, str]:
    """Places in the request -> what is wrong there, by the field violations."""
    found: dict[int, str] = {}
    for violation in (each for detail in error.details for each in detail.field_violations):
        place = _PLACE.search(violation.field)
        if place is not None:
            words = redact(f"{violation.reason or 'INVALID'}: {violation.field}: {violation.description}")
            found.setdefault(int(place[1]), words)
    return found


def names_request(error: Error) -> bool:
    """True when the request ID that was asked about is not known."""
    violations = [violation for detail in error.details for violation in detail.field_violations]
    reasons = {detail.reason for detail in error.details} | {violation.reason for violation in violations}
    return "INVALID_REQUEST_ID" in reasons or any(one.field in ("request_id", "requestId") for one in violations)


def words_of(error: Error) -> str:
    """The answer in one line: status, reasons, message."""
    reasons = [detail.reason for detail in error.details]
    reasons += [violation.reason for detail in error.details for violation in detail.field_violations]
    return redact(
        ": ".join(
            part for part in (error.status, ", ".join(dict.fromkeys(filter(None, reasons))), error.message) if part
        )
    )
