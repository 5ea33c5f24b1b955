"""The buyer with the phone: follows the link of the message, reads the page, presses the button."""

from __future__ import annotations

import re

import httpx


class CouldNotDecide(Exception):
    """The page did not take the decision."""


def decide(url: str, *, name: str, decision: str = "approve") -> int:
    """Open the approval page and answer it as a person would; the number of campaigns that were on it.

    Raises:
        CouldNotDecide: the page or its answer was not what a person could use.
    """
    with httpx.Client(timeout=15, trust_env=False) as browser:
        page = browser.get(url)
        shown = re.findall(r'<input type="hidden" name="action" value="([^"]+)">', page.text)
        if page.status_code != 200 or not shown:
            raise CouldNotDecide(f"{url} answered {page.status_code} with nothing to decide")
        answer = browser.post(url, data={"name": name, "decision": decision, "action": shown})
        if answer.status_code != 200:
            raise CouldNotDecide(f"the decision was answered with {answer.status_code}: {answer.text[:500]}")
    return len(shown)
