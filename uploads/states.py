"""What can become of an upload, and why: closed lists. The same word stands in the metric, the journal, the log and the answer.

pending ──> sending ──> sent                    a platform that answers at once
   ^ │         │ └────> accepted ──> sent       one that works on it for a while
   │ │         v            │
   │ └──────> dead <────────┘                   nothing happens any more until a person looks (`clicktrace uploads redrive`)
   └── skipped                                  left out by a rule of ours; looked at again when the conversion changes
"""

from __future__ import annotations

from typing import Final, Literal

State = Literal["pending", "sending", "accepted", "sent", "skipped", "dead"]
STATES: Final[tuple[State, ...]] = ("pending", "sending", "accepted", "sent", "skipped", "dead")

#: Why a conversion is left out, in the order in which it is asked.
SKIPPED: Final = (
    "replayed",  # history that was imported: it claims to have been known for more than a day
    "status",  # its status is not, or no longer, one that is sent
    "sandbox",  # its click belongs to a test account
    "other_account",  # its click belongs to an ad account that this destination does not report for
    "low_confidence",  # the way it was matched to the click is not sure enough
    "consent_refused",
    "consent_unknown",
    "flagged",  # traffic quality found something odd
    "too_old",  # the platform takes no event of this age
    "click_too_old",  # ... or of a click of this age
    "no_user_agent",  # the platform wants the browser's name for events of websites
    "no_page_url",  # ... and the page
    "no_click_id",  # it had a click ID of the platform when it was entered, and has none any more
    "duplicate_event",  # another conversion with the same event ID goes there
)
#: Why something waits longer than it should.
WAITING: Final = ("unreachable", "unanswered", "quota", "stopped", "interrupted", "partial", "platform_error")
#: Why nothing happens any more.
DEAD: Final = (
    "refused",  # the platform named this event and why; its words stand in `detail`
    "too_old",  # it could not be delivered in time
    "gave_up",  # it was tried for as long as the settings say
    "outcome_unknown",  # it may have arrived, and the platform would no longer notice a second one
)
#: What is to be said of something that arrived.
SENT: Final = (
    "already_there",  # the platform had this event before
    "taken_back",  # the conversion was rejected, returned or refunded since
)
REASONS: Final = frozenset({"", *SKIPPED, *WAITING, *DEAD, *SENT})

#: Nothing more is expected of these.
FINAL: Final[frozenset[str]] = frozenset({"sent", "skipped", "dead"})
