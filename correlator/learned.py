"""Learns from the store how fast each source's figures fill up: a step once a day, and what reports read of it.

What a day's facts were at each age is kept in `known_by_age`; the pattern is made of it when a report asks (`correlator.development`), from
days that were over and told by the midnight before the question's moment, so that an as-of answer never changes.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any, Final, Literal, get_args

import msgspec

from core.clock import DAY_MS, to_datetime
from core.store.client import Store
from correlator import queries
from correlator.development import AGES_MS, Day, Pattern, learn

Kind = Literal["click", "conversion", "spend", "tally"]
#: A day is looked at again this long: then its facts count as final. A click waits for nobody but its machine.
SETTLES_DAYS: Final[dict[Kind, int]] = {"click": 2, "conversion": 31, "spend": 31, "tally": 31}
COLUMNS: Final = ("kind", "source", "origin", "name", "day", "ages_ms", "known", "through")
#: Days before any fact of ours.
_BEGINNING: Final = date(2000, 1, 1)
#: The kind of the one row that says through when everything is learned.
_MARK: Final = "all"


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """The pattern of one source's facts. `origin` and `name` (conversion type, tally) are "" where the kind has none."""

    kind: Kind
    source: str
    origin: str
    name: str
    pattern: Pattern


class DailyLearning:
    """Learns after every midnight (UTC), in whichever tick of the correlator first knows everything up to it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._done = -1

    def tick(self, through: int) -> int:
        """Learn when it is due; how many days are learned now, 0 when it was not. `through`: everything known by then (ms) is in the store."""
        midnight = _midnight(through)
        if midnight <= self._done:
            return 0
        rows = learn_days(self._store, through=midnight)
        self._done = midnight
        return rows


def learn_days(store: Store, *, through: int) -> int:
    """Write down every day that was not final the last time; how many there are now. Does nothing twice for the same midnight.

    Args:
        through: a midnight (ms); everything known by then is in the store.
    """
    done = _learned_through(store)
    if through <= done or not (done or _anything_known(store, before=through)):
        return 0
    for kind in get_args(Kind):
        # The first time, and in a store that was wiped, all days.
        begin = to_datetime(done - SETTLES_DAYS[kind] * DAY_MS).date() if done else _BEGINNING
        params = {
            "ages_ms": list(AGES_MS),
            "through": through,
            "from_day": begin,
            "settles_ms": (SETTLES_DAYS[kind] - 1) * DAY_MS,
        }
        sql = queries.compose(f"known_age_{kind}", {"told": queries.text("told_columns")})
        queries.insert(store, "known_by_age", COLUMNS, sql, params)
    # Last, so that a learning that was cut off is done again.
    store.insert("known_by_age", COLUMNS, [(_MARK, "", "", "", date(1970, 1, 1), [], [], to_datetime(through))])
    rows = store.rows("SELECT count() AS rows FROM known_by_age FINAL WHERE kind != {mark:String}", {"mark": _MARK})
    return int(str(rows[0]["rows"]))


def _learned_through(store: Store) -> int:
    rows = store.rows(
        "SELECT toUnixTimestamp64Milli(max(through)) AS through FROM known_by_age WHERE kind = {mark:String}",
        {"mark": _MARK},
    )
    return max(0, int(str(rows[0]["through"])))


def _anything_known(store: Store, *, before: int) -> bool:
    """Whether there is something to learn from: a store that begins today need not be asked four questions."""
    sql = " UNION ALL ".join(
        f"(SELECT 1 FROM {kind} WHERE known_at < fromUnixTimestamp64Milli({{before:Int64}}, 'UTC') LIMIT 1)"
        for kind in get_args(Kind)
    )
    return bool(store.rows(sql, {"before": before}))


def read_learned(store: Store, *, at: int, history_days: int) -> list[Learned]:
    """What the newest `history_days` days before the midnight before `at` teach, by kind, source, origin and name."""
    midnight = _midnight(at)
    params: dict[str, object] = {
        "from_day": to_datetime(midnight - history_days * DAY_MS).date(),
        "until_day": to_datetime(midnight).date(),
    }
    days: dict[tuple[Any, ...], list[Day]] = defaultdict(list)
    for row in queries.read(store, queries.text("learned_days"), params):
        if day := _day(row, midnight=midnight):
            days[row["kind"], row["source"], row["origin"], row["name"]].append(day)
    found = []
    for (kind, source, origin, name), told in sorted(days.items()):
        if pattern := learn(told, counted=kind in ("click", "conversion")):
            found.append(Learned(kind=kind, source=source, origin=origin, name=name, pattern=pattern))
    return found


def _midnight(at: int) -> int:
    return at - at % DAY_MS


def _day(row: dict[str, Any], *, midnight: int) -> Day | None:
    """The ages that the whole day had reached by `midnight`, as far as the row was learned; None where it was written for other ages."""
    if tuple(row["ages_ms"]) != AGES_MS:
        return None
    old_enough = min(midnight, int(row["learned_through"])) - int(row["day_end"])
    ages = sum(age <= old_enough for age in AGES_MS)
    return Day(known=tuple(row["known"][:ages]))
