"""Browser events (`POST /ct/e`): one bounded JSON batch in, Touch records out, or a refusal by name.

    {"click": "<32 hex>", "session": "<id>", "page": "https://shop.example/p", "consent": "no",
     "events": [{"name": "page_view", "age": 120, "value": 0, "duration": 0, "attributes": {"key": "text"}}]}

`age` is milliseconds between the event and the sending, because clocks of browsers are wrong by hours; `duration` is milliseconds.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from core.errors import Invalid
from core.identity import is_click_id
from core.pages import normalise_page
from core.personal import holds_email
from core.records import Touch
from redirect import reasons
from redirect.params import is_personal

SOURCE: Final = "snippet"
MAX_EVENTS: Final = 50
MAX_ATTRIBUTES: Final = 16
MAX_TEXT: Final = 256
#: A page that waited offline may send late; older events are dated as the oldest allowed.
MAX_AGE_MS: Final = 3_600_000
NAMES: Final = frozenset(
    (
        "page_view",
        "form_start",
        "form_submit",
        "form_error",
        "js_error",
        "web_vital",
        "add_to_cart",
        "begin_checkout",
        "search",
        "scroll",
        "video",
        "outbound",
    )
)
_SESSION = re.compile(r"[A-Za-z0-9_-]{0,64}")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_MAX_DURATION_MS: Final = 2**32 - 1


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    age: float = 0.0
    value: float = 0.0
    duration: float = 0.0
    attributes: dict[str, str | float | bool] = {}


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    events: list[_Event]
    click: str = ""
    session: str = ""
    page: str = ""
    consent: str = ""


_decode = msgspec.json.Decoder(_Batch).decode


def parse(body: bytes, *, now: int, visitor_id: str, user_agent: str, private: bool) -> tuple[Touch, ...]:
    """The touches of one batch.

    Args:
        visitor_id: from the first-party cookie, "" when there is none.
        private: the browser refuses tracking; the batch's own `consent: "no"` counts the same.

    Raises:
        Invalid: status 400, the reason is the request's outcome.
    """
    try:
        batch = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(reasons.EVENTS_MALFORMED, str(error)) from None
    if not 0 < len(batch.events) <= MAX_EVENTS:
        raise _invalid(reasons.EVENTS_TOO_MANY, f"1 to {MAX_EVENTS} events a call")
    if batch.click and not is_click_id(batch.click):
        raise _invalid(reasons.EVENTS_BAD_CLICK_ID, "click is 32 lower-case hex digits, not all zero")
    if not _SESSION.fullmatch(batch.session):
        raise _invalid(reasons.EVENTS_BAD_FIELD, "session: up to 64 letters, digits, - or _")
    private = private or batch.consent == "no"
    page = normalise_page(batch.page)
    return tuple(
        Touch(
            ts=now - int(min(max(event.age, 0.0), MAX_AGE_MS)),
            source=SOURCE,
            name=_name(event.name),
            click_id=batch.click,
            visitor_id="" if private else visitor_id,
            session_id="" if private else batch.session,
            page=page,
            value=event.value,
            duration_ms=int(min(max(event.duration, 0.0), _MAX_DURATION_MS)),
            user_agent=user_agent,
            attributes=_attributes(event.attributes),
        )
        for event in batch.events
    )


def _invalid(reason: str, detail: str) -> Invalid:
    return Invalid(reason, detail, status=400)


def _name(name: str) -> str:
    if name not in NAMES:
        raise _invalid(reasons.EVENTS_UNKNOWN_NAME, f"{name[:64]!r}: one of {', '.join(sorted(NAMES))}")
    return name


def _attributes(given: dict[str, str | float | bool]) -> dict[str, str]:
    """Bounded texts; personal names and texts that hold an e-mail address are left out, never recorded."""
    if len(given) > MAX_ATTRIBUTES or not all(_LABEL.fullmatch(name) for name in given):
        raise _invalid(reasons.EVENTS_BAD_FIELD, f"attributes: at most {MAX_ATTRIBUTES}, names of letters and digits")
    texts = {name: _text(value) for name, value in given.items() if not is_personal(name.encode())}
    # Looked at whole and cut afterwards: half an address is still one.
    return {name: text[:MAX_TEXT] for name, text in texts.items() if not holds_email(text)}


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:g}"
