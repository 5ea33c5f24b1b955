"""The control database: what people decide and what must survive a wiped store (design §3). SQLite or PostgreSQL.

Times are milliseconds since the epoch, UTC. JSON columns hold what only Python reads; whatever is searched for has a column.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# --- links -------------------------------------------------------------------------------------------------------------------
links = Table(
    "links",
    metadata,
    Column("link_id", String(32), primary_key=True),
    Column("domain", String(255), nullable=False),  # "" = every domain of the redirect
    Column("slug", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", JSON, nullable=False),  # redirect.links.model.LinkDefinition
    Column("disabled", Boolean, nullable=False, default=False),
    Column("client", String(64), nullable=False, default=""),
    Column("updated_at", BigInteger, nullable=False),
    #: Counts all changes of all links: whoever has read up to a number lacks what is above it (redirect.links.writes).
    Column("change", BigInteger, nullable=False),
    Column("compiled", LargeBinary),  # redirect.compiled
    UniqueConstraint("domain", "slug", name="links_domain_slug"),
    Index("links_updated_at", "updated_at"),
    Index("links_change", "change", unique=True),
)

#: Clicks of links that have a `max_clicks`: one row for each worker that counted some, written by that worker alone.
link_usage = Table(
    "link_usage",
    metadata,
    Column("link_id", String(32), primary_key=True),
    Column("worker", String(64), primary_key=True),  # redirect.usage
    Column("clicks", BigInteger, nullable=False),
)

#: What lists and searches of links read: one narrow row a link, stored in the order of the pages.
link_index = Table(
    "link_index",
    metadata,
    Column("slug", String(255), primary_key=True),
    Column("domain", String(255), primary_key=True),
    Column("link_id", String(32), nullable=False),
    Column("client", String(64), nullable=False),
    Column("text", Text, nullable=False),  # what a search looks into, in lower case
    Index("link_index_client", "client", "slug", "domain"),
    sqlite_with_rowid=False,
)

#: Tags of links, stored in the order of the pages of one tag.
link_tags = Table(
    "link_tags",
    metadata,
    Column("tag", String(64), primary_key=True),
    Column("slug", String(255), primary_key=True),
    Column("domain", String(255), primary_key=True),
    Column("link_id", String(32), nullable=False),
    Column("client", String(64), nullable=False),
    sqlite_with_rowid=False,
)

link_history = Table(
    "link_history",
    metadata,
    Column("link_id", String(32), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("author", String(128), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

# --- who may call ------------------------------------------------------------------------------------------------------------
api_keys = Table(
    "api_keys",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("key_sha256", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("clients", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

#: Salt of the keyed network hash: one a day, shared by the workers, destroyed after two days.
salts = Table(
    "salts",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("salt", LargeBinary, nullable=False),
)

#: Small secrets the product makes for itself (signing keys of approval links), by name.
secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# --- journal to store --------------------------------------------------------------------------------------------------------
#: Written before a range is sent and re-sent unchanged until confirmed, per store.
ship_ranges = Table(
    "ship_ranges",
    metadata,
    Column("store_id", String(32), primary_key=True),
    Column("segment", String(64), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("end", BigInteger, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger),
    Index("ship_ranges_open", "store_id", "confirmed_at"),
)

#: Cursors and state that a part keeps over restarts (collector positions, detector state), by part and name.
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("part", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# --- acting ------------------------------------------------------------------------------------------------------------------
actions = Table(
    "actions",
    metadata,
    Column("action_id", String(32), primary_key=True),
    Column("rule", String(128), nullable=False),
    Column("incident_id", String(32), nullable=False),
    Column("kind", String(32), nullable=False),  # pause_campaign, resume_campaign, scale_budget, webhook
    Column("target", String(255), nullable=False),  # qualified campaign ID
    Column("client", String(64), nullable=False, default=""),
    Column("state", String(32), nullable=False),  # alerts.ledger.STATES
    Column("mode", String(16), nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
    Column("decided_by", String(128)),
    Column("expires_at", BigInteger),
    Column("spend_per_hour_micros", BigInteger, nullable=False, default=0),
    Column("currency", String(3), nullable=False, default=""),
    Column("payload", JSON, nullable=False),
    Index("actions_state", "state"),
    Index("actions_incident", "incident_id"),
)

#: The ledger: append-only. Intent stands before the call, result after it, then what the platform reads back.
ledger = Table(
    "ledger",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("action_id", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column(
        "step", String(32), nullable=False
    ),  # proposed, held, approved, rejected, intent, call, read_back, lease_end, undone …
    Column("by", String(128), nullable=False),
    Column("reason", String(64), nullable=False, default=""),
    Column("payload", JSON, nullable=False),
    Index("ledger_action", "action_id", "entry"),
)

#: A pause is a lease: it ends by itself.
pause_leases = Table(
    "pause_leases",
    metadata,
    Column("target", String(255), primary_key=True),
    Column("action_id", String(32), nullable=False),
    Column("platform", String(32), nullable=False),
    Column("previous_status", String(32), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("kept_by", String(128)),  # a person pressed "keep paused": no automatic return
    Column("ended_at", BigInteger),
    Column("ended_reason", String(64)),
)

#: Two emergency switches and whatever else people flip at run time.
switches = Table(
    "switches",
    metadata,
    Column("name", String(64), primary_key=True),  # stop_pauses, stop_returns
    Column("on", Boolean, nullable=False),
    Column("by", String(128), nullable=False),
    Column("at", BigInteger, nullable=False),
)

#: State of every rule and scope: since when its conditions hold, what was sent.
rule_states = Table(
    "rule_states",
    metadata,
    Column("rule", String(128), primary_key=True),
    Column("scope", String(255), primary_key=True),
    Column("state", String(32), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("windows", Integer, nullable=False, default=0),
    Column("value", Float),
    Column("payload", JSON, nullable=False),
)

#: One leader runs correlator and alerts; the others stand by.
leadership = Table(
    "leadership",
    metadata,
    Column("role", String(32), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("until", BigInteger, nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("segment", String(64), primary_key=True),
    Column("o", BigInteger, primary_key=True),
    Column("reason", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("line", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("redriven_at", BigInteger),
)

# --- destination watch -------------------------------------------------------------------------------------------------------
#: What is remembered of every URL that live links lead to: the newest look, and what people or the first good look made expected.
watched_destinations = Table(
    "watched_destinations",
    metadata,
    Column("url_sha256", String(64), primary_key=True),
    Column("url", Text, nullable=False),
    Column("state", String(16), nullable=False),  # redirect.watch.check.State
    Column("seen", JSON, nullable=False),
    Column("findings", JSON, nullable=False),
    Column("baseline", JSON),
    Column("checked_at", BigInteger, nullable=False),
)

# --- doors that face the Internet --------------------------------------------------------------------------------------------
#: Deliveries of webhooks that were taken, kept until the same bytes would be refused for their age (collectors.hooks.deliveries).
hook_deliveries = Table(
    "hook_deliveries",
    metadata,
    Column("connection", String(64), primary_key=True),
    Column("delivery_sha256", String(64), primary_key=True),
    Column("claimed_at", BigInteger, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("hook_deliveries_expires_at", "expires_at"),
)

#: Where the life of a conversion that came by postback stands: what its next postback is compared with (collectors.postback.lives).
postback_lives = Table(
    "postback_lives",
    metadata,
    Column("key_sha256", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("life", LargeBinary, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("postback_lives_updated_at", "updated_at"),
)

# --- conversions out -----------------------------------------------------------------------------------------------------------
#: Every conversion that was to go to an ad platform, once for each destination and target: what keeps it from going twice.
uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", String(32), primary_key=True),
    Column("destination", String(64), nullable=False),
    Column("target", String(255), nullable=False),
    Column("conversion", Text, nullable=False),  # the conversion's fact_id
    Column("event_id", String(255), nullable=False),
    #: Of what is or may be at the platform: one event ID goes to one target once. Empty for what is left out.
    Column("event_key", String(64), unique=True),
    Column("client", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # uploads.states
    Column("reason", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("event_ts", BigInteger, nullable=False),
    Column("value_micros", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("attempts", Integer, nullable=False),
    #: Since when it may have arrived without our knowing.
    Column("uncertain_since", BigInteger),
    Column("next_attempt", BigInteger, nullable=False),
    #: The largest request it may share, 0 = the destination's: a request that was refused in part is cut in halves.
    Column("batch_limit", Integer, nullable=False),
    Column("batch_id", String(32), nullable=False),
    Column("request_id", String(255), nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    #: Its newest state does not stand in the journal yet.
    Column("unpublished", Boolean, nullable=False),
    Index("uploads_due", "destination", "state", "next_attempt"),
    Index("uploads_request", "request_id"),
    Index("uploads_unpublished", "unpublished"),
)

# --- erasure of people -------------------------------------------------------------------------------------------------------------
#: Who asked for whose erasure, without the person: by which sort of identifier, and how many of each sort it led to.
erasures = Table(
    "erasures",
    metadata,
    Column("erasure_id", String(32), primary_key=True),
    Column("subject", String(32), nullable=False),  # core.erasure.identifiers.SUBJECTS
    Column("by", String(128), nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("identifiers", JSON, nullable=False),
    #: Its tombstone record stands in the journal.
    Column("journaled", Boolean, nullable=False),
)

#: What each machine with a journal did for an erasure, and what its search found afterwards.
erasure_nodes = Table(
    "erasure_nodes",
    metadata,
    Column("erasure_id", String(32), primary_key=True),
    Column("node", String(128), primary_key=True),
    Column("done_at", BigInteger),
    Column("result", JSON, nullable=False),  # core.erasure.result
)

#: Keyed digests of identifiers that were erased: facts up to `until` (ms) do not come back.
tombstones = Table(
    "tombstones",
    metadata,
    Column("digest", String(32), primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("erasure_id", String(32), nullable=False),
    Index("tombstones_erasure", "erasure_id"),
)
