"""Records for tests of the journal and the store."""

from __future__ import annotations

from core.records import Click, Conversion, Touch

TS = 1_790_000_000_000


def click(number: int, *, ts: int = TS, duration_us: int = 100, http_status: int = 302, campaign: str = "") -> Click:
    return Click(
        ts=ts,
        source="redirect",
        click_id=f"{number + 1:032x}",
        hit_id=f"{number + 1:016x}",
        link_id="l1",
        link_version=1,
        slug="spring",
        domain="go.example",
        http_status=http_status,
        reason="" if http_status < 400 else "unavailable",
        duration_us=duration_us,
        campaign=campaign,
        user_agent="Mozilla/5.0",
    )


def touch(number: int, *, ts: int = TS) -> Touch:
    return Touch(ts=ts, source="ct.js", name="page_view", click_id=f"{number + 1:032x}", attributes={"n": str(number)})


def order(number: int, *, ts: int = TS) -> Conversion:
    return Conversion(
        ts=ts,
        source="shop",
        fact_id=f"backend:order:{number}",
        conversion_id=str(number),
        type="order",
        status="confirmed",
        origin="backend",
        order_id=str(number),
    )
