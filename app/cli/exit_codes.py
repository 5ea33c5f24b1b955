"""What the command's exit code says, after sysexits where it has a word for it."""

from __future__ import annotations

from core.errors import ClicktraceError, Forbidden, NotFound, SettingsError, SourceError, StoreError, Unauthorized

FAILED = 1
NOT_FOUND = 3
UNAVAILABLE = 69
NO_PERMISSION = 77
WRONG_CONFIGURATION = 78


def exit_code(error: ClicktraceError) -> int:
    """The exit code of an expected error."""
    if isinstance(error, SettingsError):
        return WRONG_CONFIGURATION
    if isinstance(error, Unauthorized | Forbidden):
        return NO_PERMISSION
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, StoreError | SourceError):
        return UNAVAILABLE
    return FAILED
