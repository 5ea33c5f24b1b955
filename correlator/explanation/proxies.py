"""What a leading proxy saw first, in a sentence with its numbers: page views per click, forms submitted per form begun, visits that go on."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from correlator.explanation.window import Window

Array = npt.NDArray[np.float64]

#: Fewer than this before the onset, and a share of them says nothing.
ENOUGH: Final = 20.0


def proxy_sentence(window: Window, kind: str, first: int) -> str:
    """How the share that fired moved at bucket `first`; '' for a kind that the evidence tells of, or when it did not fall."""
    none = np.zeros(window.clicks.shape[1])
    views = window.touches.get("page_view", none)
    if kind == "unlanded":
        good, trials = window.clicked_touches.get("page_view", none), window.clicks.sum(0)
        words = "page views per paid click"
    elif kind == "unsubmitted":
        good, trials = window.touches.get("form_submit", none), window.touches.get("form_start", none)
        words = "forms sent per form begun"
    elif kind == "bounced":
        deeds = [
            counts for name, counts in window.touches.items() if name not in ("page_view", "web_vital", "js_error")
        ]
        good, trials = sum(deeds, none), views
        words = "things done on the page per page view"
    else:
        return ""
    before, after = _ratio(good[:first], trials[:first]), _ratio(good[first:], trials[first:])
    if before is None or after is None or after >= before:
        return ""
    return f" Seen first by browsers: {after:.2f} {words} since then, {before:.2f} before."


def _ratio(counts: Array, trials: Array) -> float | None:
    total = float(trials.sum())
    return float(counts.sum()) / total if total >= ENOUGH else None
