"""Every outcome of a request, as one word. The same word is the metric label, the record's `reason` and stands in the tests."""

from __future__ import annotations

from typing import Final

# --- hits on a known link: journaled ------------------------------------------------------------------------------------------
REDIRECTED: Final = "redirected"
#: A person switched the link off (410).
DISABLED: Final = "disabled"
#: A configuration change makes the link answer 503.
UNAVAILABLE: Final = "unavailable"
#: The allow-list no longer contains the link's destination (403).
DESTINATION_NOT_ALLOWED: Final = "destination_not_allowed"

# --- answered, but no click: only counted -------------------------------------------------------------------------------------
HEAD: Final = "head"
PREFETCH: Final = "prefetch"
UNKNOWN_SLUG: Final = "unknown_slug"
UNKNOWN_DOMAIN: Final = "unknown_domain"
SNIPPET: Final = "snippet"
HEALTH: Final = "health"
PREFLIGHT: Final = "preflight"
METHOD_NOT_ALLOWED: Final = "method_not_allowed"

# --- browser events (`POST /ct/e`) --------------------------------------------------------------------------------------------
EVENTS: Final = "events"
EVENTS_MALFORMED: Final = "events_malformed"
EVENTS_TOO_MANY: Final = "events_too_many"
EVENTS_UNKNOWN_NAME: Final = "events_unknown_name"
EVENTS_BAD_CLICK_ID: Final = "events_bad_click_id"
EVENTS_BAD_FIELD: Final = "events_bad_field"
EVENTS_FOREIGN_ORIGIN: Final = "events_foreign_origin"
EVENTS_RATE_LIMITED: Final = "events_rate_limited"

# --- not a request we can answer otherwise ------------------------------------------------------------------------------------
MALFORMED: Final = "malformed"
URI_TOO_LONG: Final = "uri_too_long"
HEADERS_TOO_LARGE: Final = "headers_too_large"
BODY_TOO_LARGE: Final = "body_too_large"
TIMED_OUT: Final = "timed_out"
TOO_MANY_CONNECTIONS: Final = "too_many_connections"
FAILED: Final = "failed"

# --- signals of a machine, recorded with the click (`bot_signals`); none of them changes the answer ------------------------------
#: No User-Agent header.
NO_USER_AGENT: Final = "no_user_agent"
#: The browser calls itself headless, in its User-Agent or in its client hints.
HEADLESS: Final = "headless"
#: No Accept header: a library or an app. Weak: some apps report the clicks of real people so, and it alone makes no bot.
NO_ACCEPT: Final = "no_accept"

#: What `redirect.bots` may say, in the order in which it does.
BOT_SIGNALS: Final[tuple[str, ...]] = (NO_USER_AGENT, HEADLESS, NO_ACCEPT)

OUTCOMES: Final[tuple[str, ...]] = (
    REDIRECTED,
    DISABLED,
    UNAVAILABLE,
    DESTINATION_NOT_ALLOWED,
    HEAD,
    PREFETCH,
    UNKNOWN_SLUG,
    UNKNOWN_DOMAIN,
    SNIPPET,
    HEALTH,
    PREFLIGHT,
    METHOD_NOT_ALLOWED,
    EVENTS,
    EVENTS_MALFORMED,
    EVENTS_TOO_MANY,
    EVENTS_UNKNOWN_NAME,
    EVENTS_BAD_CLICK_ID,
    EVENTS_BAD_FIELD,
    EVENTS_FOREIGN_ORIGIN,
    EVENTS_RATE_LIMITED,
    MALFORMED,
    URI_TOO_LONG,
    HEADERS_TOO_LARGE,
    BODY_TOO_LARGE,
    TIMED_OUT,
    TOO_MANY_CONNECTIONS,
    FAILED,
)
