"""Two people for tests of erasure: Anna, who is erased, and Ben, who is not and shares a click ID with her."""

from __future__ import annotations

import msgspec
from sqlalchemy import Engine, insert

from core.control.checkpoints import Checkpoints
from core.control.tables import actions, dead_letters, postback_lives, uploads
from core.identity import derive
from core.records import Click, Conversion, Impression, Incident, PlatformClick, Record, Span, Touch, Upload

TS = 1_790_000_000_000
HOUR = 3_600_000


def hex32(text: str) -> str:
    return derive("test", text.encode())


ANNA, BEN = hex32("anna"), hex32("ben")
ANNA_MAIL, BEN_MAIL = "a" * 64, "b" * 64
FIRST, SECOND, GCLID = hex32("first"), derive("gclid", b"Cj0K-anna"), "Cj0K-anna"
SHARED = hex32("shared")
ANNA_ORDER, BEN_ORDER = "17", "170"
#: Whatever of Anna's must not be found anywhere afterwards. Her order's number is too short to be searched for as text.
SECRETS = (ANNA, ANNA_MAIL, FIRST, SECOND, GCLID, "crm-anna", "anna@")
BEN_CLICK = hex32("bens")


def click(click_id: str, visitor_id: str, *, ts: int = TS, number: int = 0) -> Click:
    return Click(
        ts=ts,
        source="redirect",
        click_id=click_id,
        hit_id=f"{number + 1:016x}",
        link_id="l1",
        link_version=1,
        slug="spring",
        domain="go.example",
        http_status=302,
        reason="",
        duration_us=90,
        campaign="google:1:2",
        visitor_id=visitor_id,
        user_agent="Mozilla/5.0",
        network="192.0.2.0",
    )


def order(order_id: str, **who: object) -> Conversion:
    return Conversion(
        ts=TS + HOUR,
        source="shop",
        fact_id=f"conversion::backend:order:{order_id}",
        conversion_id=order_id,
        type="order",
        status="confirmed",
        origin="backend",
        value_micros=59_900_000,
        currency="EUR",
        order_id=order_id,
        **who,  # type: ignore[arg-type] # fields of the record
    )


def upload(order_id: str) -> Upload:
    return Upload(
        ts=TS + 2 * HOUR,
        source="google_data_manager",
        fact_id=f"upload:{hex32(order_id)}",
        destination="google",
        target="7001",
        conversion=f"conversion::backend:order:{order_id}",
        event_id=order_id,
        state="sent",
    )


def touch(visitor_id: str, *, click_id: str = "") -> Touch:
    return Touch(ts=TS + 60_000, source="ct.js", name="page_view", click_id=click_id, visitor_id=visitor_id, page="/p")


def span(click_id: str) -> Span:
    return Span(
        ts=TS + 1000,
        source="otlp",
        click_id=click_id,
        trace_id=click_id,
        span_id="1" * 16,
        parent_span_id="2" * 16,
        service="shop",
        name="GET /p",
        duration_us=5,
    )


def platform_click(click_id: str) -> PlatformClick:
    return PlatformClick(
        ts=TS, source="google_ads", fact_id=f"platform_click:google:1:{click_id}", click_id=click_id, platform="google", account="1",
        campaign="google:1:2", bucket_s=86_400,
    )  # fmt: skip


def incident(*shown: str) -> Incident:
    return Incident(
        ts=TS + HOUR, source="correlator", fact_id="incident:i1", incident_id="i1", state="open", onset=TS, opened=TS, verdict="site",
        scope={"campaign": "google:1:2"}, payload={"failed_traces": list(shown), "lost": 12},
    )  # fmt: skip


def annas() -> list[Record]:
    return [
        click(FIRST, ANNA, number=1),
        click(SECOND, ANNA, ts=TS + 60_000, number=2),
        click(SHARED, ANNA, number=3),
        touch(ANNA, click_id=FIRST),
        touch("", click_id=FIRST),
        span(FIRST),
        platform_click(SECOND),
        Impression(ts=TS, source="dsp", fact_id="impression:1", platform="dsp", campaign="dsp:1:1", visitor_id=ANNA),
        order(ANNA_ORDER, email_sha256=ANNA_MAIL, crm_id="crm-anna", platform_ids={"gclid": GCLID}),
        order("18", email_sha256=ANNA_MAIL, visitor_id=ANNA),
        upload(ANNA_ORDER),
    ]


def bens() -> list[Record]:
    return [
        click(SHARED, BEN, number=4),
        click(BEN_CLICK, BEN, number=5),
        touch(BEN, click_id=SHARED),
        span(BEN_CLICK),
        order(BEN_ORDER, email_sha256=BEN_MAIL, visitor_id=BEN, click_id=BEN_CLICK),
        upload(BEN_ORDER),
        incident(FIRST, BEN_CLICK),
    ]


def in_control(control: Engine) -> None:
    """Anna in a dead letter, the sent log, a postback's life and an action's evidence; Ben beside her."""
    texts = ["client", "reason", "detail", "batch_id", "request_id"]
    numbers = ["event_ts", "value_micros", "attempts", "next_attempt", "batch_limit", "decided_at", "updated_at"]
    sent = {"destination": "google", "target": "7001", "state": "sent", "currency": "EUR", "unpublished": False}
    sent |= dict.fromkeys(texts, "") | dict.fromkeys(numbers, 0)
    with control.begin() as connection:
        letter = b'{"kind":"click","ts":"?","visitor_id":"' + ANNA.encode() + b'"'
        bad = {"segment": "0" * 36, "reason": "not_json", "detail": "", "at": 0, "redriven_at": None}
        connection.execute(insert(dead_letters).values(o=0, line=letter, **bad))
        connection.execute(insert(dead_letters).values(o=900, line=letter.replace(ANNA.encode(), BEN.encode()), **bad))
        for number in (ANNA_ORDER, "170"):
            conversion = f"conversion::backend:order:{number}"
            connection.execute(insert(uploads).values(upload_id=number, conversion=conversion, event_id=number, **sent))
            life = msgspec.json.encode({"conversion": order(number), "count": 1})
            key = {"key_sha256": number.rjust(64, "0"), "version": 1, "updated_at": 0}
            connection.execute(insert(postback_lives).values(life=life, **key))
        connection.execute(
            insert(actions).values(
                action_id="a", rule="r", incident_id="i1", kind="pause_campaign", target="google:1:2", state="paused", mode="approve",
                proposed_at=0, payload={"evidence": [FIRST, BEN_CLICK]},
            )
        )  # fmt: skip
    Checkpoints(control, "detection").put("state", b'{"last":"%b","n":3}' % SECOND.encode())
