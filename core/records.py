"""The journal's vocabulary: one frozen struct per kind of fact (design §5).

A record says what happened. The envelope around it (schema version `v`, `known_at`, byte offset `o`) is stamped by the journal
writer, never by whoever builds the record. Times are milliseconds since the epoch, UTC; money is integer micros plus an
ISO 4217 code; identifiers of clicks and spans are lower-case hex.

Anything that can be repeated or restated carries a `fact_id`, its natural key: the newest `known_at` of a `fact_id` is the fact.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

#: Version of the vocabulary that the writer stamps. Older lines are upcast on reading (`core.journal.versions` says when to raise it).
SCHEMA_VERSION = 2

ConversionStatus = Literal["captured", "qualified", "rejected", "duplicate", "confirmed", "returned", "refunded"]
Origin = Literal["backend", "analytics", "platform", "crm", "offline"]
Change = Literal["deploy", "rollback", "cdn", "config", "tag", "creative", "budget"]

#: Upper bounds in seconds of the `service` duration histogram; the last bucket is open.
DURATION_BOUNDS_S: tuple[float, ...] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What all kinds share: when it happened and who says so."""

    ts: int
    source: str


class Click(Record, frozen=True, kw_only=True, omit_defaults=True, tag="click"):
    """One hit on a known link, answered by a redirect or not (`http_status` of 400 and up is a lost click)."""

    click_id: str
    hit_id: str
    link_id: str
    link_version: int
    slug: str
    domain: str
    http_status: int
    reason: str
    duration_us: int
    page: str = ""
    variant: str = ""
    routing: list[str] = []
    client: str = ""
    platform: str = ""
    campaign: str = ""
    ad_group: str = ""
    creative: str = ""
    keyword: str = ""
    platform_ids: dict[str, str] = {}
    utm: dict[str, str] = {}
    visitor_id: str = ""
    user_agent: str = ""
    network: str = ""
    network_hash: str = ""
    referrer_host: str = ""
    consent: str = ""
    parallel: bool = False
    #: "" = GET. For spans only: the store does not keep it.
    method: str = ""
    bot_signals: list[str] = []


class Touch(Record, frozen=True, kw_only=True, omit_defaults=True, tag="touch"):
    """Something a visitor's browser reports: page_view, form_start, form_submit, form_error, js_error, web_vital, …"""

    name: str
    click_id: str = ""
    visitor_id: str = ""
    session_id: str = ""
    page: str = ""
    value: float = 0.0
    duration_ms: int = 0
    user_agent: str = ""
    attributes: dict[str, str] = {}


class Impression(Record, frozen=True, kw_only=True, omit_defaults=True, tag="impression"):
    fact_id: str
    platform: str
    campaign: str
    visitor_id: str = ""
    hashed_id: str = ""


class Conversion(Record, frozen=True, kw_only=True, omit_defaults=True, tag="conversion"):
    """A lead or an order in one state of its life; a later state is a later version of the same `fact_id`."""

    fact_id: str
    conversion_id: str
    type: str
    status: ConversionStatus
    origin: Origin
    value_micros: int = 0
    currency: str = ""
    click_id: str = ""
    platform_ids: dict[str, str] = {}
    visitor_id: str = ""
    order_id: str = ""
    crm_id: str = ""
    email_sha256: str = ""
    phone_sha256: str = ""
    client: str = ""
    page: str = ""
    user_agent: str = ""
    attributes: dict[str, str] = {}


class Spend(Record, frozen=True, kw_only=True, omit_defaults=True, tag="spend"):
    """What a platform charged in one bucket [ts, ts + bucket_s) at one grain."""

    fact_id: str
    platform: str
    account: str
    campaign: str
    bucket_s: int
    cost_micros: int
    currency: str
    ad_group: str = ""
    creative: str = ""
    keyword: str = ""
    device: str = ""
    clicks: int = 0
    impressions: int = 0
    platform_conversions: float = 0.0


class Campaign(Record, frozen=True, kw_only=True, omit_defaults=True, tag="campaign"):
    """A campaign as the platform or a person describes it; names and states are dimensions with history."""

    fact_id: str
    campaign: str
    platform: str
    account: str
    name: str = ""
    status: str = ""
    client: str = ""
    owner: str = ""
    currency: str = ""
    daily_budget_micros: int = 0
    target_cpl_micros: int = 0
    target_roas: float = 0.0
    break_even_rate: float = 0.0
    margin_micros: int = 0
    cpc_micros: int = 0
    parallel_tracking: bool = False
    sandbox: bool = False
    launched: int = 0


class Service(Record, frozen=True, kw_only=True, omit_defaults=True, tag="service"):
    """One minute of one service's route and version: requests, errors, durations in `DURATION_BOUNDS_S` buckets.

    Additive: several lines of the same minute add up, as the receiver flushes more than once a minute. Read from another system it has a
    `fact_id` and is written once, because versions would add up, too.
    """

    service: str
    route: str
    version: str
    requests: int
    errors: int
    buckets: list[int]
    duration_sum_s: float
    device: str = ""
    fact_id: str = ""


class Gauge(Record, frozen=True, kw_only=True, omit_defaults=True, tag="gauge"):
    """One reading. Only those that are read from another system, and may be read again, have a `fact_id`."""

    service: str
    name: str
    value: float
    attributes: dict[str, str] = {}
    fact_id: str = ""


class Span(Record, frozen=True, kw_only=True, omit_defaults=True, tag="span"):
    """A span of a paid click's trace. `click_id` may differ from `trace_id`: browsers send no traceparent on navigation."""

    click_id: str
    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    name: str
    duration_us: int
    status: str = ""
    kind_of: str = ""
    version: str = ""
    route: str = ""
    http_status: int = 0
    error: str = ""
    attributes: dict[str, str] = {}


class Deploy(Record, frozen=True, kw_only=True, omit_defaults=True, tag="deploy"):
    fact_id: str
    service: str
    version: str
    change: Change
    author: str = ""
    link: str = ""
    description: str = ""


class Incident(Record, frozen=True, kw_only=True, omit_defaults=True, tag="incident"):
    """What the correlator concluded, a new version at every change, so that a rebuild restores it with its ID."""

    fact_id: str
    incident_id: str
    state: Literal["open", "recovering", "closed"]
    onset: int
    opened: int
    verdict: str
    scope: dict[str, str]
    closed: int = 0
    payload: dict[str, object] = {}


class Baseline(Record, frozen=True, kw_only=True, omit_defaults=True, tag="baseline"):
    fact_id: str
    stream: str
    payload: dict[str, object] = {}


class Decision(Record, frozen=True, kw_only=True, omit_defaults=True, tag="decision"):
    """A line of the ledger: what was proposed, approved, refused, done, read back or undone, and by whom."""

    fact_id: str
    action_id: str
    incident_id: str
    rule: str
    state: str
    target: str = ""
    by: str = ""
    payload: dict[str, object] = {}


class Tally(Record, frozen=True, kw_only=True, omit_defaults=True, tag="tally"):
    """How much of something another system counted in [ts, ts + bucket_s): sessions, key events, a platform's conversions.

    A total, never a person, and never added to our own facts: it stands beside them, so that the difference shows.
    """

    fact_id: str
    origin: Origin
    #: Who counted, within its origin: `ga4:<property>`, `google:<account>`.
    account: str
    #: "session", or a conversion type of the catalogue.
    name: str
    bucket_s: int
    count: float
    value_micros: int = 0
    currency: str = ""
    campaign: str = ""
    device: str = ""
    client: str = ""
    #: What the other system calls it, where that is another word.
    reported_as: str = ""


class PlatformClick(Record, frozen=True, kw_only=True, omit_defaults=True, tag="platform_click"):
    """What a platform says one of its clicks belongs to. It happened in [ts, ts + bucket_s), mostly a day: the hour is not told. The
    platform's own ID is not kept, because the click ID derived from it (design §4) is enough to find our click."""

    fact_id: str
    click_id: str
    platform: str
    account: str
    campaign: str
    bucket_s: int
    ad_group: str = ""
    creative: str = ""
    keyword: str = ""


class Rate(Record, frozen=True, kw_only=True, omit_defaults=True, tag="rate"):
    """One unit of `base` was worth `rate` units of `currency` on the day that begins at `ts` (UTC)."""

    fact_id: str
    base: str
    currency: str
    rate: float


class Watermark(Record, frozen=True, kw_only=True, omit_defaults=True, tag="watermark"):
    """`source` is complete for event times up to `complete_through`."""

    complete_through: int
    #: What the source documents as its usual lag, in seconds, so that freshness can say "late" instead of "behind".
    documented_lag_s: int = 0


class Reading(Record, frozen=True, kw_only=True, omit_defaults=True, tag="reading"):
    """How a source does, as its reader saw it; written when that changes, and at least every hour. Times in ms, 0 = never or unknown."""

    #: removed = it is no longer in the settings; what it brought stays.
    state: Literal["waiting", "complete", "partial", "behind", "quota", "stopped", "removed"]
    #: What is wrong, in words, without secrets and personal data.
    detail: str = ""
    #: Words of `collectors.shape_watch.FINDINGS`, and a sentence for each.
    findings: list[str] = []
    details: list[str] = []
    last_success: int = 0
    next_attempt: int = 0
    interval_s: int = 0
    documented_lag_s: int = 0
    quota_unit: str = ""
    quota_used: float = 0.0
    quota_limit: float = 0.0
    quota_resets_at: int = 0


class Check(Record, frozen=True, kw_only=True, omit_defaults=True, tag="check"):
    """One look at a page: by the destination watch at a URL that links lead to (`redirect.watch.check` says what the words mean), or by a
    synthetic check (`collectors.checks.judge`)."""

    url: str
    host: str
    #: ok, care, changed, failing; unused = no link leads there any more, so what was found is over.
    state: Literal["ok", "care", "changed", "failing", "unused"]
    #: It stands until a newer one, at the latest until here (ms): a watch that was switched off leaves no alert behind.
    holds_until: int
    findings: list[str] = []
    details: list[str] = []
    links: list[str] = []
    campaigns: list[str] = []
    clients: list[str] = []
    statuses: list[int] = []
    final_url: str = ""
    ttfb_ms: int = 0
    certificate_expires: int = 0
    click_id_survived: bool = False
    title: str = ""
    accepted_by: str = ""


class Canary(Record, frozen=True, kw_only=True, omit_defaults=True, tag="canary"):
    """One step of a canary click: our own click or touch, on the way that people's take, and never counted with theirs."""

    click_id: str
    step: Literal["click", "touch"]
    link_id: str = ""
    slug: str = ""
    domain: str = ""
    http_status: int = 0
    reason: str = ""
    duration_us: int = 0


class Upload(Record, frozen=True, kw_only=True, omit_defaults=True, tag="upload"):
    """What became of one conversion on its way to one conversion action of an ad platform; `source` is the kind of destination.

    It holds no identifier of a person: those are read anew from the conversion and its click whenever something is sent.
    """

    fact_id: str
    destination: str
    target: str
    #: The conversion's own `fact_id`.
    conversion: str
    event_id: str
    #: pending, sending, accepted, sent, skipped, dead (`uploads.states` says what they mean).
    state: str
    reason: str = ""
    client: str = ""
    value_micros: int = 0
    currency: str = ""
    attempts: int = 0
    request_id: str = ""


class Erasure(Record, frozen=True, kw_only=True, omit_defaults=True, tag="erasure"):
    """A tombstone record: somebody was erased, and what carries one of these identifiers does not come back (core.erasure)."""

    fact_id: str
    #: By which sort of identifier the person was named; never the value.
    subject: str
    #: Keyed digests of identifiers, and until when (ms) facts that carry them are erased; they run parallel.
    digests: list[str] = []
    untils: list[int] = []
    #: Tells the secret apart that the digests are keyed with, and nothing of it.
    secret: str = ""


AnyRecord = (
    Click
    | Touch
    | Impression
    | Conversion
    | Spend
    | Campaign
    | Service
    | Gauge
    | Span
    | Deploy
    | Incident
    | Baseline
    | Decision
    | Tally
    | PlatformClick
    | Watermark
    | Reading
    | Check
    | Canary
    | Upload
    | Rate
    | Erasure
)


class Kinds:
    """The closed list of kinds and their types, for code that walks over all of them."""

    BY_NAME: ClassVar[dict[str, type[Record]]] = {
        "click": Click,
        "touch": Touch,
        "impression": Impression,
        "conversion": Conversion,
        "spend": Spend,
        "campaign": Campaign,
        "service": Service,
        "gauge": Gauge,
        "span": Span,
        "deploy": Deploy,
        "incident": Incident,
        "baseline": Baseline,
        "decision": Decision,
        "tally": Tally,
        "platform_click": PlatformClick,
        "watermark": Watermark,
        "reading": Reading,
        "check": Check,
        "canary": Canary,
        "upload": Upload,
        "rate": Rate,
        "erasure": Erasure,
    }


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal writer stamped around a record."""

    v: int
    known_at: int
    o: int
    claimed: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One journal line, read back."""

    segment: str
    envelope: Envelope
    record: AnyRecord
