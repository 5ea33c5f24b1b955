"""Rewrites the schema's engines for a self-managed ClickHouse cluster. Pure: a statement in, a statement out.

On one server, and in the embedded engine, plain MergeTree is right. On a cluster of replicas every table must be replicated: a
plain one would hold, on each replica, only what happened to be inserted there, and nobody would see an error. So the rewriting
refuses a result in which both kinds stand. ClickHouse Cloud replicates plain engines by itself and needs no rewriting.
"""

from __future__ import annotations

import re

from core.errors import StoreError

_ENGINE = re.compile(r"\bENGINE\s*=\s*(?P<name>\w+)(?:\s*(?P<arguments>\((?:[^()]|\([^()]*\))*\)))?", re.IGNORECASE)
_CREATE = re.compile(
    r"^\s*(?P<verb>CREATE\s+(?:OR\s+REPLACE\s+)?(?:MATERIALIZED\s+VIEW|TABLE|VIEW|DICTIONARY|FUNCTION)|ALTER\s+TABLE|DROP\s+(?:TABLE|VIEW))"
    r"\s+(?P<condition>IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<name>[\w.`]+)",
    re.IGNORECASE,
)
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window\b")
_CLUSTER = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")


def replicated(statement: str, *, cluster: str) -> str:
    """A statement of the schema as a cluster wants it.

    MergeTree engines become Replicated…MergeTree with the server's default path and macros, their deduplication windows become
    the replicated ones, and definitions run ON CLUSTER. Engines that hold nothing (Null, View) stay.

    Raises:
        StoreError: the cluster's name is none, or an engine of the statement cannot be replicated.
    """
    if not _CLUSTER.match(cluster):
        raise StoreError(f"{cluster!r} is not the name of a cluster")
    rewritten = _ENGINE.sub(_replicate, statement)
    rewritten = _WINDOW.sub("replicated_deduplication_window", rewritten)
    return _CREATE.sub(lambda found: _on_cluster(found, cluster), rewritten, count=1)


def _replicate(found: re.Match[str]) -> str:
    name, arguments = found["name"], found["arguments"] or ""
    if name.startswith("Replicated") or name in ("Null", "View", "MaterializedView"):
        return found[0]
    if not name.endswith("MergeTree"):
        raise StoreError(f"the engine {name} cannot be replicated")
    return f"ENGINE = Replicated{name}{arguments}"


def _on_cluster(found: re.Match[str], cluster: str) -> str:
    return f"{found['verb']} {found['condition'] or ''}{found['name']} ON CLUSTER '{cluster}'"


def check_not_mixed(engines: dict[str, str]) -> None:
    """Refuse a schema in which some tables are replicated and others are not.

    Args:
        engines: table name -> engine name, as `system.tables` has them.

    Raises:
        StoreError: names the tables of the smaller kind.
    """
    holding = {table: engine for table, engine in engines.items() if engine.endswith("MergeTree")}
    # Cloud shows SharedMergeTree: replicated by the service.
    alike = {table for table, engine in holding.items() if engine.startswith(("Replicated", "Shared"))}
    others = holding.keys() - alike
    if alike and others:
        odd = sorted(alike if len(alike) < len(others) else others)
        raise StoreError(f"replicated and plain tables are mixed; of the smaller kind are: {', '.join(odd)}")
