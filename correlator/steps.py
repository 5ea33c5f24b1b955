"""The correlator's pipeline: the ordered list of named steps, each with what it reads, what it writes and at which grain.

Adding a step is adding a line to `STEPS`. A step looks only at what was loaded since it last looked, may run twice on the same rows
without harm, and returns how many rows it looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from core.records import Record
from core.store.client import Store
from correlator.config import CorrelatorConfig
from correlator.countries import file_version, look_up_countries
from correlator.enrichment import collect_repeated_clicks, look_up_networks, parse_user_agents
from correlator.matching import match_new, rules
from correlator.traffic_tick import judge_and_show
from correlator.unmatched import SHOWN_EVERY_MS, count_and_show


class Journal(Protocol):
    """Where a step writes what it concludes, so that a rebuilt store has it again."""

    def append(self, record: Record, *, known_at: int | None = None) -> None: ...


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a step gets: store, journal, settings, from which loading time on to look (ms), and the tick's time (ms)."""

    store: Store
    journal: Journal
    config: CorrelatorConfig
    since: int
    now: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """`timed`: time alone makes it work due, so it runs even when nothing arrived.

    `every_ms`: at most once in this time. `output` is "" for what only shows.
    `rules`: a fingerprint of the settings that its result depends on; when it changes, everything is new again.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    grain: str
    run: Callable[[Work], int]
    timed: bool = False
    every_ms: int = 0
    rules: Callable[[CorrelatorConfig], str] = lambda config: ""


STEPS: tuple[Step, ...] = (
    Step(
        name="user_agents",
        inputs=("click", "conversion"),
        output="user_agent_dim",
        grain="user agent",
        run=lambda work: parse_user_agents(work.store, since=work.since, now=work.now),
    ),
    Step(
        name="networks",
        inputs=("click",),
        output="network_dim",
        grain="network",
        run=lambda work: look_up_networks(work.store, config=work.config.traffic, since=work.since, now=work.now),
        timed=True,
    ),
    Step(
        name="countries",
        inputs=("click",),
        output="network_country",
        grain="network",
        run=lambda work: look_up_countries(
            work.store, database=work.config.country_database, since=work.since, now=work.now
        ),
        # A file that is brought later is asked about the networks of all hits, and a newer one about those that nobody knew.
        rules=lambda config: file_version(config.country_database),
    ),
    Step(
        name="repeated_clicks",
        inputs=("click",),
        output="repeated_click",
        grain="click ID",
        run=lambda work: collect_repeated_clicks(work.store, since=work.since),
    ),
    Step(
        name="matches",
        inputs=("conversion", "click", "user_agent_dim"),
        output="conversion_match",
        grain="conversion (fact_id)",
        run=lambda work: match_new(work.store, config=work.config, since=work.since, now=work.now),
        rules=rules,
    ),
)

#: What can wait: runs after detection.
LATER_STEPS: tuple[Step, ...] = (
    Step(
        name="traffic",
        inputs=("click", "touch", "conversion", "conversion_match", "repeated_click", "traffic_window"),
        output="hit_flag",
        grain="hit",
        run=lambda work: judge_and_show(work.store, config=work.config.traffic, now=work.now),
        timed=True,
    ),
    Step(
        name="unmatched",
        inputs=("conversion", "click", "conversion_match"),
        output="",
        grain="none",
        run=lambda work: count_and_show(work.store, config=work.config, now=work.now),
        timed=True,
        every_ms=SHOWN_EVERY_MS,
    ),
)
