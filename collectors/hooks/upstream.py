"""For hooks whose body only names a thing: it is read at the vendor, and the vendor may not answer."""

from __future__ import annotations

import structlog

from core.errors import Invalid, SourceError

log = structlog.get_logger(__name__)

#: A thread of ours is held while the vendor is asked, and HubSpot waits no longer than five seconds for our answer.
CALL_S = 4.0


def vendor_unavailable(error: SourceError) -> Invalid:
    """The refusal (503) that makes the sender try again later; what went wrong stands in our log, not in an answer to the Internet."""
    log.warning("hook: the vendor could not be asked", source=error.source, error=error.detail)
    return Invalid("vendor_unavailable", "what this is about cannot be read now; send it again later", status=503)
