"""Every outcome of a request, as one word. The same word is the metric label, the record's `reason`, stands in its routing trace and in the
worker's log (`redirect.refusal_log`); `tests/redirect/test_every_word.py` walks through all of them."""

from __future__ import annotations

from typing import Final

# --- hits on a known link: journaled ------------------------------------------------------------------------------------------
REDIRECTED: Final = "redirected"
#: A person switched the link off (410).
DISABLED: Final = "disabled"
#: The link's schedule: too early (404), too late (410), or enough clicks (410), and no fallback.
NOT_STARTED: Final = "not_started"
EXPIRED: Final = "expired"
MAX_CLICKS_REACHED: Final = "max_clicks_reached"
#: A configuration change makes the link answer 503.
UNAVAILABLE: Final = "unavailable"
#: The allow-list no longer contains the link's destination (403).
DESTINATION_NOT_ALLOWED: Final = "destination_not_allowed"

#: The query names a destination of its own without a signature (403), with a wrong one (403), or too late (410).
SIGNATURE_MISSING: Final = "signature_missing"
SIGNATURE_INVALID: Final = "signature_invalid"
SIGNATURE_EXPIRED: Final = "signature_expired"
SIGNATURE_REFUSALS: Final[tuple[str, ...]] = (SIGNATURE_MISSING, SIGNATURE_INVALID, SIGNATURE_EXPIRED)
#: Too many hits from one address or network (429); all are counted, a bounded number a second is journaled.
RATE_LIMITED: Final = "rate_limited"

# --- answered, but no click: only counted -------------------------------------------------------------------------------------
HEAD: Final = "head"
PREFETCH: Final = "prefetch"
LINK_PREVIEW: Final = "link_preview"
UNKNOWN_SLUG: Final = "unknown_slug"
UNKNOWN_DOMAIN: Final = "unknown_domain"
#: The link is not in memory and the control database does not answer (503).
LINKS_UNAVAILABLE: Final = "links_unavailable"
SNIPPET: Final = "snippet"
HEALTH: Final = "health"
PREFLIGHT: Final = "preflight"
METHOD_NOT_ALLOWED: Final = "method_not_allowed"
#: Our own click or touch, journaled as a kind of its own (`redirect.canary_mark`).
CANARY: Final = "canary"
#: A canary whose mark is not ours, or old (403).
CANARY_REFUSED: Final = "canary_refused"

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
#: A client did not take its answers in time; its connection was reset.
SLOW_READER: Final = "slow_reader"
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

# --- flags that change nothing: the hit is redirected and counts; they stand in its routing trace ------------------------------------
#: Campaign parameters of a link with `sign: "campaign"` that carry no signature, or not the one they were signed with.
PARAMETERS_UNSIGNED: Final = "parameters_unsigned"
PARAMETERS_TAMPERED: Final = "parameters_tampered"
PARAMETER_SIGNALS: Final[tuple[str, ...]] = (PARAMETERS_UNSIGNED, PARAMETERS_TAMPERED)

OUTCOMES: Final[tuple[str, ...]] = (
    REDIRECTED,
    DISABLED,
    NOT_STARTED,
    EXPIRED,
    MAX_CLICKS_REACHED,
    UNAVAILABLE,
    DESTINATION_NOT_ALLOWED,
    *SIGNATURE_REFUSALS,
    RATE_LIMITED,
    HEAD,
    PREFETCH,
    LINK_PREVIEW,
    UNKNOWN_SLUG,
    UNKNOWN_DOMAIN,
    LINKS_UNAVAILABLE,
    SNIPPET,
    HEALTH,
    PREFLIGHT,
    METHOD_NOT_ALLOWED,
    CANARY,
    CANARY_REFUSED,
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
    SLOW_READER,
    TOO_MANY_CONNECTIONS,
    FAILED,
)

#: What somebody asked for and got. Everything else was refused.
ANSWERED: Final = frozenset((REDIRECTED, HEAD, PREFETCH, LINK_PREVIEW, SNIPPET, HEALTH, PREFLIGHT, CANARY, EVENTS))
REFUSALS: Final[tuple[str, ...]] = tuple(outcome for outcome in OUTCOMES if outcome not in ANSWERED)

# --- the routing trace (`Click.routing`, grammar in `redirect.resolve`) ---------------------------------------------------------
OPEN: Final = "open"
HOLDS: Final = "holds"
#: The condition of a rule that did not hold.
NOT_SINCE: Final = "since"
NOT_UNTIL: Final = "until"
NOT_DAYS: Final = "days"
NOT_HOURS: Final = "hours"
NOT_QUERY: Final = "query"
NOT_DEVICE: Final = "device"
NOT_OS: Final = "os"
NOT_LANGUAGE: Final = "language"
NOT_COUNTRY: Final = "country"
NO_COUNTRY_DATABASE: Final = "no_country_database"
CONDITIONS: Final[tuple[str, ...]] = (
    NOT_SINCE,
    NOT_UNTIL,
    NOT_DAYS,
    NOT_HOURS,
    NOT_QUERY,
    NOT_DEVICE,
    NOT_OS,
    NOT_LANGUAGE,
    NOT_COUNTRY,
    NO_COUNTRY_DATABASE,
)
#: Where the visitor went, `variant:<name>` where variants were drawn. The trace of a lost click goes on with its outcome, unless a step said
#: it, and ends with `lost`.
DESTINATION: Final = "destination"
RULE_DESTINATION: Final = "rule_destination"
VARIANT: Final = "variant"
FALLBACK: Final = "fallback"
LOST: Final = "lost"
#: Of a rule that an earlier step made needless; only in explanations.
NOT_TRIED: Final = "not_tried"
#: `signature:<word of PARAMETER_SIGNALS or SIGNATURE_REFUSALS>`, before the end.
SIGNATURE: Final = "signature"
#: The destination came with the query, signed.
SIGNED: Final = "signed"
