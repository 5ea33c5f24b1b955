"""The report on traffic quality: clicks, hits and conversions of a period, flagged and unflagged side by side, by word.

What `/roi` counts does not change with a flag (machines by user agent are its `bot_clicks`); here every hit counts, and says why one may doubt it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from core.metric_catalogue import value
from core.store.client import Store
from correlator import datacenters, queries
from correlator.config import TrafficConfig
from correlator.period import Question
from correlator.traffic_quality import judged_through
from correlator.traffic_words import WEAK


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign in one bucket. A hit with two words counts once in `flagged_hits` and under both words in `hits_by_flag`.

    `flagged_share` is of the clicks; None without clicks. Campaign "" holds what belongs to none.
    """

    campaign: str
    client: str
    since_ms: int
    until_ms: int
    hits: int
    flagged_hits: int
    hits_by_flag: dict[str, int]
    clicks: int
    flagged_clicks: int
    unflagged_clicks: int
    clicks_by_flag: dict[str, int]
    flagged_share: float | None
    conversions: int
    flagged_conversions: int
    unflagged_conversions: int
    conversions_by_flag: dict[str, int]


class ListState(msgspec.Struct, frozen=True, kw_only=True):
    """A list that flags rest on. `not_set`: nobody brought one, so its word never occurs."""

    word: str
    path: str
    state: Literal["ok", "missing", "unreadable", "not_set"]
    entries: int = 0
    changed_ms: int = 0
    problem: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    #: Behaviour is judged up to here; later hits have so far only what the request and the lists say.
    judged_through_ms: int
    lists: list[ListState]
    rows: list[Quality]


def traffic(store: Store, config: TrafficConfig, question: Question) -> Report:
    """Every campaign and bucket of the period in which anything happened, by campaign and time."""
    lists = datacenters.load(config.datacenter_networks)
    params = {**question.params(), "lists": lists.version, "weak": list(WEAK)}
    hits = _by_key(queries.read(store, _hits_sql(), params))
    conversions = _by_key(queries.read(store, _conversions_sql(), params))
    return Report(
        judged_through_ms=min(judged_through(store, now=question.now), question.until),
        lists=list_states(config),
        rows=[
            _quality(key, hits.get(key, {}), conversions.get(key, {}), question)
            for key in sorted({*hits, *conversions})
        ],
    )


def list_states(config: TrafficConfig) -> list[ListState]:
    """The lists that the user may bring, as they are now; the kept ones come with the program."""
    found = [
        ListState(
            word="datacenter",
            path=file.path,
            state=file.state,
            entries=file.entries,
            changed_ms=file.changed_ms,
            problem=file.problem,
        )
        for file in datacenters.load(config.datacenter_networks).files
    ]
    return found or [ListState(word="datacenter", path="", state="not_set")]


def _hits_sql() -> str:
    which = f"{queries.text('period')} AND {queries.text('visible')}"
    judged = "window >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') - INTERVAL 10 MINUTE AND " + queries.text(
        "period"
    )
    return queries.compose(
        "traffic_by_flag", {"hits": queries.compose("flagged_hit", {"which": which, "judged": judged})}
    )


def _conversions_sql() -> str:
    hits = queries.compose("flagged_hit", {"which": queries.text("converted_click"), "judged": "1"})
    parts = {"hits": hits, "period": queries.text("period"), "visible": queries.text("visible")}
    return queries.compose("conversions_by_flag", parts)


def _by_key(rows: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(str(row["campaign"]), int(row["bucket"])): row for row in rows}


def _quality(key: tuple[str, int], hits: dict[str, Any], sold: dict[str, Any], question: Question) -> Quality:
    clicks, flagged = int(hits.get("clicks", 0)), int(hits.get("flagged_clicks", 0))
    conversions, doubted = int(sold.get("conversions", 0)), int(sold.get("flagged_conversions", 0))
    return Quality(
        campaign=key[0],
        client=str(hits.get("owner_client") or sold.get("owner_client", "")),
        since_ms=key[1],
        until_ms=key[1] + question.bucket_ms,
        hits=int(hits.get("hits", 0)),
        flagged_hits=int(hits.get("flagged_hits", 0)),
        hits_by_flag=_counts(hits.get("hits_by_flag")),
        clicks=clicks,
        flagged_clicks=flagged,
        unflagged_clicks=clicks - flagged,
        clicks_by_flag=_counts(hits.get("clicks_by_flag")),
        flagged_share=value("flagged_share", flagged_clicks=flagged, clicks=clicks),
        conversions=conversions,
        flagged_conversions=doubted,
        unflagged_conversions=conversions - doubted,
        conversions_by_flag=_counts(sold.get("conversions_by_flag")),
    )


def _counts(pair: Any) -> dict[str, int]:
    """`sumMap`'s two arrays as a dict; Arrow names a tuple's members 1 and 2."""
    if not pair:
        return {}
    words, counts = (pair["1"], pair["2"]) if isinstance(pair, dict) else pair
    return {str(word): int(count) for word, count in zip(words, counts, strict=True)}
