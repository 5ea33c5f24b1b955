"""Figures and times in the words of the console. Pure: values in, text out."""

from __future__ import annotations

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, to_datetime
from core.incidents import VERDICT_WORDS, Verdict
from core.money import MICROS

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
STATE_WORDS = {"open": "Open", "recovering": "Recovering", "closed": "Closed"}
BLANK = "–"


def money(micros: int | None, currency: str) -> str:
    """`$1,234` from a hundred units on, `$12.34` below; an unknown amount is a dash, never zero."""
    if micros is None:
        return BLANK
    amount = micros / MICROS
    digits = 0 if abs(amount) >= 100 else 2
    sign = "−" if amount < 0 else ""
    symbol = _SYMBOLS.get(currency)
    text = f"{abs(amount):,.{digits}f}"
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency}".rstrip()


def percent(share: float | None, *, digits: int = 0) -> str:
    return BLANK if share is None else f"{share * 100:.{digits}f} %"


def rate(share: float | None) -> str:
    """A conversion rate, with two significant digits."""
    if share is None:
        return BLANK
    return f"{share * 100:.2f} %" if share < 0.1 else f"{share * 100:.1f} %"


def interval(low: float, high: float) -> str:
    return f"{low * 100:.2f} to {high * 100:.2f} %"


def count(value: float) -> str:
    """A count: whole from ten on, one decimal below (expected values are no whole numbers)."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.1f}"


def clock_time(ms: int, *, now: int) -> str:
    """`10:47:05` today, `19 Nov 10:47` before (UTC)."""
    moment = to_datetime(ms)
    if to_datetime(now).date() == moment.date():
        return moment.strftime("%H:%M:%S")
    return f"{moment.day} {moment.strftime('%b %H:%M')}"


def span(ms: int) -> str:
    """A length of time in its two largest units: `2 h 15 min`."""
    ms = max(0, ms)
    if ms < MINUTE_MS:
        return f"{ms // 1000} s"
    if ms < HOUR_MS:
        minutes, rest = divmod(ms, MINUTE_MS)
        return f"{minutes} min {rest // 1000} s" if minutes < 10 and rest >= 1000 else f"{minutes} min"
    if ms < DAY_MS:
        hours, rest = divmod(ms, HOUR_MS)
        return f"{hours} h {rest // MINUTE_MS} min" if rest >= MINUTE_MS else f"{hours} h"
    days, rest = divmod(ms, DAY_MS)
    return f"{days} d {rest // HOUR_MS} h" if rest >= HOUR_MS else f"{days} d"


def relative_to_onset(ts: int, onset: int) -> str:
    """When a change happened, seen from the onset: `40 s before onset`."""
    if abs(ts - onset) < 1000:
        return "at onset"
    return f"{span(onset - ts)} before onset" if ts < onset else f"{span(ts - onset)} after onset"


def verdict_words(verdict: str) -> str:
    try:
        return VERDICT_WORDS[Verdict(verdict)]
    except ValueError:
        return verdict.replace("_", " ")


def scope_words(scope: dict[str, str]) -> str:
    """`mobile · shop.example/p`; the whole traffic when there is no restriction."""
    return " · ".join(scope.values()) if scope else "all traffic"
