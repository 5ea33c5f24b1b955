"""What can go wrong, on one screen.

    ClicktraceError
    ├── SettingsError            the configuration is wrong; lists every problem found
    ├── Refusal                  a request or record we do not accept; `reason` is a word from a closed list
    │   ├── Unauthorized         no key or a wrong one (401)
    │   ├── Forbidden            the key lacks the scope or the client (403)
    │   ├── NotFound             (404)
    │   ├── Conflict             it exists already, or was decided already (409)
    │   └── Invalid              malformed or against a rule (400 or 422)
    ├── JournalError             the journal cannot be written or read
    ├── StoreError               the event store refused or did not answer
    │   └── BadRows              rows of a batch do not parse
    └── SourceError              an outside party: ad platform, CRM, Alertmanager, Prometheus
        ├── Transient            trying again can help
        │   └── QuotaExceeded    … after `retry_after_s`
        └── Permanent            trying again cannot help until somebody mends something

Whether trying again can help is decided here, by the one who knows, never by the caller.
"""

from __future__ import annotations


class ClicktraceError(Exception):
    """Root of all errors raised on purpose."""

    #: True when the same call may succeed later without anybody mending anything.
    retryable = False


class SettingsError(ClicktraceError):
    """The configuration is wrong. `problems` are sentences that name the field and say how to mend it."""

    def __init__(self, problems: list[str], *, looked_in: list[str]) -> None:
        self.problems = problems
        self.looked_in = looked_in
        where = ", ".join(looked_in)
        super().__init__(
            f"{len(problems)} problem(s) in the settings (read from {where}):\n  - " + "\n  - ".join(problems)
        )


class Refusal(ClicktraceError):
    """A request or record that is not accepted.

    Args:
        reason: one word from the part's closed list; the same word is the metric label and stands in the test.
        detail: a sentence for the sender that says how to mend it.
    """

    status = 422

    def __init__(self, reason: str, detail: str, *, status: int | None = None) -> None:
        self.reason = reason
        self.detail = detail
        if status is not None:
            self.status = status
        super().__init__(f"{reason}: {detail}")


class Unauthorized(Refusal):
    status = 401


class Forbidden(Refusal):
    status = 403


class NotFound(Refusal):
    status = 404


class Conflict(Refusal):
    status = 409


class Invalid(Refusal):
    status = 422


class JournalError(ClicktraceError):
    """The journal cannot be written or read."""


class StoreError(ClicktraceError):
    """The event store refused a statement or did not answer."""

    retryable = True


class BadRows(StoreError):
    """Rows of a batch do not parse; sending the same bytes again cannot help."""

    retryable = False


class SourceError(ClicktraceError):
    """Something outside answered with an error or not at all."""

    def __init__(self, source: str, detail: str) -> None:
        self.source = source
        self.detail = detail
        super().__init__(f"{source}: {detail}")


class Transient(SourceError):
    retryable = True
    #: True when the request never left us, so that nothing can have happened there.
    unsent = False


class QuotaExceeded(Transient):
    def __init__(self, source: str, detail: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(source, detail)


class Permanent(SourceError):
    pass
