"""Signals of a machine, seen on the spot: recorded with the click, and the answer stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from redirect import bots, reasons

from .live_worker import ThreadWorker

CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
HEADLESS = CHROME.replace(b"Chrome/", b"HeadlessChrome/")
BRANDS = '"Chromium";v="126", "HeadlessChrome";v="126"'


@pytest.mark.parametrize(
    ("agent", "accepts", "hinted", "words"),
    [
        (CHROME, True, False, ()),
        (b"", True, False, ("no_user_agent",)),
        (CHROME, False, False, ("no_accept",)),
        (HEADLESS, True, False, ("headless",)),
        (CHROME, True, True, ("headless",)),
        (b"Mozilla/5.0 PhantomJS/2.1.1", True, False, ("headless",)),
        (b"", False, True, ("no_user_agent", "headless", "no_accept")),
    ],
)
def test_a_request_is_told_by_what_no_browser_does(
    agent: bytes, accepts: bool, hinted: bool, words: tuple[str, ...]
) -> None:
    assert bots.signals(agent, accepts, hinted) == words


def test_every_word_is_in_the_closed_list_and_can_occur() -> None:
    assert bots.signals(b"", False, True) == reasons.BOT_SIGNALS


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"User_Agent": CHROME.decode(), "Accept": "*/*"}, None),
        ({"Accept": "*/*"}, ["no_user_agent"]),
        ({"User_Agent": "Mozilla/5.0"}, ["no_accept"]),
        ({"User_Agent": CHROME.decode(), "Accept": "*/*", "Sec_CH_UA": BRANDS}, ["headless"]),
        ({}, ["no_user_agent", "no_accept"]),
    ],
)
def test_the_journal_says_the_words_and_the_answer_does_not_change(
    start_worker: Callable[..., ThreadWorker], worker: ThreadWorker, headers: dict[str, Any], words: list[str] | None
) -> None:
    reply = worker.get("/spring", **headers)
    [line] = worker.lines()
    assert line.get("bot_signals") == words
    assert (reply.status, reply.location) == (302, f"https://shop.example/p?ct_click={line['click_id']}")
    assert line.get("user_agent", "") == headers.get("User_Agent", "")


def test_a_long_user_agent_is_cut_before_it_is_remembered() -> None:
    assert bots.members(b"a" * 5000, b"*/*", b"") == b',"user_agent":"%b"' % (b"a" * bots.MAX_USER_AGENT)
