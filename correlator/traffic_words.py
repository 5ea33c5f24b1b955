"""The closed list of words that flag a hit or a conversion, with what the two figures beside each mean.

The words of the request itself are the redirect's (`redirect/reasons.py`, `BOT_SIGNALS`); they are repeated here because the parts do not
import each other, and a test keeps the two lists equal. docs/redirect.md explains each word.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Word(msgspec.Struct, frozen=True):
    """`observed` and `usual` say what the figures of a flag are; empty = the flag rests on a list or on the request."""

    word: str
    meaning: str
    observed: str = ""
    usual: str = ""


#: Seen on the spot, in the order of the redirect's list.
SIGNALS: Final[tuple[Word, ...]] = (
    Word("no_user_agent", "no User-Agent header"),
    Word("headless", "the browser calls itself headless"),
    Word("no_accept", "no Accept header: a library or an app; weak, makes no bot alone"),
)
#: By lists, looked up when asked.
LISTED: Final[tuple[Word, ...]] = (
    Word("crawler", "the user agent is on the kept list of crawlers and libraries"),
    Word("datacenter", "the network belongs to a data centre, by the lists you brought"),
    Word("reused_id", "the click ID came before, from another network or over 30 minutes earlier"),
)
#: By behaviour, judged in ten-minute windows and kept in hit_flag.
BEHAVIOUR: Final[tuple[Word, ...]] = (
    Word("network_burst", "one /24 or /48 clicks far more often than usual", "clicks in the window", "clicks a window"),
    Word("address_burst", "one address clicks far more often than usual", "clicks in the window", "clicks a window"),
    Word(
        "no_landing", "clicks of one network never reach the page where others do", "share that landed", "of the rest"
    ),
    Word("fast_landing", "the page view came sooner than any browser can", "ms to the page view", "median ms"),
    Word("same_agent", "one user agent over many networks, suddenly and without page views", "clicks", "clicks"),
    Word(
        "no_cookies", "one address and user agent, a new visitor at every click, no page view", "clicks", "a visitor's"
    ),
)
#: Of conversions, kept in conversion_flag; flagged_click is looked up when asked.
CONVERSIONS: Final[tuple[Word, ...]] = (
    Word("flagged_click", "its click is flagged as a machine's"),
    Word("too_fast", "sooner after the click than a person can", "seconds", "the limit"),
    Word("form_too_fast", "the form was sent sooner than a person fills it in", "seconds", "the limit"),
    Word("network_spike", "conversions of one network, far more than usual", "conversions in the window", "a window"),
    Word("repeated_identity", "the same person or order number again and again", "conversions in the window", "one"),
    Word(
        "repeated_value",
        "the same value from the same network again and again",
        "conversions in the window",
        "expected",
    ),
)

#: Flags that alone do not make a hit's conversion suspicious: apps of real people, people who share a link or a carrier's network.
WEAK: Final[tuple[str, ...]] = ("no_accept", "reused_id", "network_burst")
HIT_WORDS: Final[tuple[str, ...]] = tuple(word.word for word in (*SIGNALS, *LISTED, *BEHAVIOUR))
CONVERSION_WORDS: Final[tuple[str, ...]] = tuple(word.word for word in CONVERSIONS)
