"""Which clicks a person made on the way to each conversion: composed queries, for one day at a time.

A path is the clicks of the conversion's person at or before the matched click, which ends it, inside the type's look-back
(`sql/path_from_match.sql`). The person is found anew for each question (`sql/person_from_fact.sql`), so an as-of answer rests on what was known
then, and nothing has to be kept up to date between two questions.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from core.clock import DAY_MS
from core.store.client import Store
from correlator import queries
from correlator.config import CorrelatorConfig, days_ms
from correlator.dimensions import dimension
from correlator.matching import matches_of
from correlator.period import Question
from correlator.report_queries import matches, rates, report_params

KEY_COLUMNS: Final = ("question", "fact_id", "space", "key")
_NOTED: Final = "SELECT fact_id, space, key FROM path_key WHERE question = {question:UInt64}"
_NOTED_CLICKS: Final = "SELECT * FROM path_click WHERE question = {question:UInt64}"
#: Columns of a hit that every path needs, and those that some dimensions are told by.
_CLICK: Final = ("click_id", "ts", "known_at", "segment", "o", "visitor_id", "client", "campaign")
_TOLD_BY: Final = ("ad_group", "creative", "keyword", "page", "variant", "network", "user_agent")
_COLUMN_OF_HIT: Final = re.compile(r"\bhit\.(\w+)")


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """The query for the paths, and what it binds."""

    paths: str
    params: dict[str, object]


def days(question: Question) -> Iterator[Question]:
    """The question day by day, so that its memory does not grow with its period; over all campaigns, which share paths."""
    for begin in range(question.since, question.until, DAY_MS):
        end = min(question.until, begin + DAY_MS)
        yield msgspec.structs.replace(question, since=begin, until=end, campaign="", grain_ms=0)


def path_params(config: CorrelatorConfig, day: Question) -> dict[str, object]:
    """What the queries of `paths` bind. Clicks are looked for as far back as the longest look-back reaches."""
    types = (*config.catalogue.values(), config.unlisted)
    return {
        **report_params(config, day),
        "paths_since": day.since - max(days_ms(entry.lookback_days) for entry in types),
        "paths_until": day.until + config.clock_skew_ms,
        "person_keys": config.attribution.person_keys,
        "person_clicks": config.attribution.person_clicks,
    }


@contextmanager
def walked(store: Store, config: CorrelatorConfig, day: Question) -> Iterator[Walked]:
    """The paths of a day's conversions, to be read inside the block.

    1. Find whose clicks they are, in a table, because the engine repeats a named subquery at every mention.
    2. Add the visitors whom those clicks name.
    3. Note their clicks, too: they lie all over the look-back, and are the one thing here that grows with it.
    4. Let the caller read; then drop what was noted.
    """
    number = secrets.randbits(63)
    params = {**path_params(config, day), "question": number}
    try:
        queries.insert(store, "path_key", KEY_COLUMNS, _persons(), params)
        queries.insert(store, "path_key", KEY_COLUMNS, queries.compose("visitor_of_path_key", {"keys": _NOTED}), params)
        _note_clicks(store, day.by, params)
        found = paths(day, keys=_NOTED, clicks=_NOTED_CLICKS, reporting=config.reporting_currency)
        yield Walked(paths=found, params=params)
    finally:
        for table in ("path_key", "path_click"):
            store.command(f"ALTER TABLE {table} DROP PARTITION {number}")


def _note_clicks(store: Store, by: str, params: dict[str, object]) -> None:
    """Fill path_click with the columns that telling by the dimension needs."""
    asked = _COLUMN_OF_HIT.findall(" ".join(_value_of_hit(by)))
    columns = (*_CLICK, *(name for name in _TOLD_BY if name in asked))
    found = _walked_clicks(columns, keys=_NOTED)
    named = queries.compose("numbered", {"columns": ", ".join(columns), "found": found})
    queries.insert(store, "path_click", ("question", *columns), named, params)


def _walked_clicks(columns: tuple[str, ...], *, keys: str) -> str:
    return queries.compose("walked_click", {"columns": ", ".join(columns), "keys": keys})


def inline(config: CorrelatorConfig, day: Question) -> Walked:
    """The same as one query that notes nothing, for an engine that may only be read. Planning it takes several times as long."""
    persons = _once(_persons())
    keys = _once(f"{persons} UNION ALL {queries.compose('visitor_of_path_key', {'keys': persons})}")
    clicks = _walked_clicks((*_CLICK, *_TOLD_BY), keys=keys)
    found = paths(day, keys=keys, clicks=clicks, reporting=config.reporting_currency)
    return Walked(paths=found, params={**path_params(config, day), "question": 0})


def _once(keys: str) -> str:
    """The rows of the query `keys`, out of a scalar: the engine works that out once, however often it is mentioned."""
    rows = f"(SELECT groupArray((question, fact_id, space, key)) FROM ({keys}))"
    return f"SELECT row.1 AS question, row.2 AS fact_id, row.3 AS space, row.4 AS key FROM (SELECT arrayJoin({rows}) AS row)"


def paths(day: Question, *, keys: str, clicks: str, reporting: str) -> str:
    """The query for the paths of a day's conversions, whose persons' keys the query `keys` gives and whose hits the query `clicks`.

    Args:
        reporting: the currency of their worth.
    """
    owners = queries.text("owner_of_campaign")
    found = _matches(day)
    value, lookup = _told(day.by, "match", {"matches": found})
    return queries.compose(
        "path_from_match",
        {
            "worth": _worth(found, reporting=reporting),
            "clicks": _clicks(day.by, keys=keys, found=clicks, owners=owners),
            "owners": owners,
            "match_value": "client" if day.by == "client" else value,
            "match_lookup": lookup,
        },
    )


def _persons() -> str:
    facts = queries.compose("fact_from_conversion", {"targets": queries.text("fact_in_period")})
    keys = queries.compose("direct_key_from_fact", {"facts": facts})
    return queries.compose("person_from_fact", {"facts": facts, "keys": keys})


def _clicks(by: str, *, keys: str, found: str, owners: str) -> str:
    value, lookup = _value_of_hit(by)
    slots = {"keys": keys, "found": found, "owners": owners, "hit_value": value, "hit_lookup": lookup}
    return queries.compose("path_from_key", slots)


def _value_of_hit(by: str) -> tuple[str, str]:
    value, lookup = _told(by, "hit", {})
    return "client" if by == "client" else value, lookup


def _matches(day: Question) -> str:
    if day.as_of is None or day.matched_in:
        return matches(day)
    return queries.compose("match_named", {"matches": matches_of(queries.text("fact_in_period"))})


def _worth(found: str, *, reporting: str) -> str:
    rate = rates(reporting)["rate_of_match"]
    return queries.compose(
        "worth_of_match", {"matches": found, "rate_of_match": rate, "visible": queries.text("visible")}
    )


def _told(by: str, rows: str, parts: dict[str, str]) -> tuple[str, str]:
    """The expression of the dimension's value in `hit` or `match`, and the join that brings it."""
    value, lookup = dimension(by).read_from(rows)
    if not lookup:
        return value, ""
    return value, queries.compose(lookup, {slot: parts[slot] for slot in queries.slots(lookup)})
