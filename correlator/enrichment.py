"""Dimensions of raw values, each distinct value parsed once, off the hot path (design §5)."""

from __future__ import annotations

from core.clock import to_datetime
from core.store.client import Store
from core.user_agents import describe
from correlator import datacenters, queries
from correlator.config import TrafficConfig
from correlator.datacenters import Datacenters

_COLUMNS = ("user_agent", "device", "browser", "os", "bot", "parsed_at")
_NETWORK_COLUMNS = ("network", "datacenter", "owner", "lists", "looked_up_at")


def parse_user_agents(store: Store, *, since: int, now: int) -> int:
    """Parse the user agents loaded since `since` that are new; how many were."""
    found = queries.read(store, queries.text("user_agent_from_arrival"), {"since": since})
    store.insert("user_agent_dim", _COLUMNS, [_row(str(row["user_agent"]), now=now) for row in found])
    return len(found)


def look_up_networks(store: Store, *, config: TrafficConfig, since: int, now: int) -> int:
    """Look up the networks loaded since `since` in the lists of data centres, all known ones when the lists changed; how many were."""
    lists = datacenters.load(config.datacenter_networks)
    if not lists.version:
        return 0
    params = {"lists": lists.version}
    fresh = not store.rows("SELECT 1 FROM network_dim WHERE lists = {lists:String} LIMIT 1", params)
    sql = queries.compose("network_from_arrival", {"loaded": queries.text("loaded_network")})
    found = queries.read(store, sql, {**params, "since": 0 if fresh else since})
    store.insert("network_dim", _NETWORK_COLUMNS, [_network(str(row["network"]), lists, now=now) for row in found])
    return len(found)


def collect_repeated_clicks(store: Store, *, since: int) -> int:
    """Note the click IDs that a second hit carries; how many are new.

    Only the first hit of a click ID starts a click. One from another network or more than 30 minutes later is flagged `reused_id` in
    the click's journey; a reload soon after from the same network is no new click either, so for counting all are alike.
    """
    before = _count(store)
    sql = queries.text("repeated_click_from_click")
    queries.insert(store, "repeated_click", ("click_id",), sql, {"since": since})
    return _count(store) - before


def _row(raw: str, *, now: int) -> list[object]:
    agent = describe(raw)
    return [raw, agent.device, agent.browser, agent.os, agent.bot, to_datetime(now)]


def _network(network: str, lists: Datacenters, *, now: int) -> list[object]:
    owner = lists.owner(network)
    return [network, owner is not None, owner or "", lists.version, to_datetime(now)]


def _count(store: Store) -> int:
    return int(str(store.rows("SELECT count() AS rows FROM repeated_click FINAL")[0]["rows"]))
