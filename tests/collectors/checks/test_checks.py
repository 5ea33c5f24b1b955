"""Synthetic checks look at real pages over real sockets, and never where they should not go."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from prometheus_client import REGISTRY
from pydantic import ValidationError

from collectors.checks.collector import ChecksSource
from collectors.checks.config import ChecksConfig, ChecksConnection
from collectors.windows import Window
from core.clock import DAY_MS, HOUR_MS
from core.records import Check, Gauge
from tests.redirect.watch.shop import Names, Shop

NOW = 1_790_000_040_000
PAGE = b"""<!doctype html><html><head><title>Spring
 sale</title><style>.sold-out{}</style></head><body>
<p>Only <b>59</b>,90&nbsp;EUR</p><p>Buy <em>now</em></p>
<script>document.write("sold out")</script><template><form id="hidden"></form></template>
<form id="order" action="/order" method="post"><input name="email"></form></body></html>"""


@pytest.fixture
def shop() -> Iterator[Shop]:
    running = Shop()
    running.answers["/p"] = (200, {"Content-Type": "text/html; charset=utf-8"}, PAGE)
    yield running
    running.close()


def source(shop: Shop, *pages: dict[str, Any], allowed: bool = True, **schedule: Any) -> ChecksSource:
    place = f"127.0.0.1:{shop.port}"
    config = ChecksConfig(retry_s=0.0, allowed_private=(place,) if allowed else (), **{"timeout_s": 10.0, **schedule})
    listed = [{"url": f"http://{place}/p"} | page for page in pages or ({},)]
    return ChecksSource(
        ChecksConnection.model_validate({"name": "shop", "client": "acme", "pages": listed}), config=config
    )


def look(one: ChecksSource, *, now: int = NOW) -> tuple[list[Check], list[Gauge]]:
    fetched = one.describe(now=now, deadline_s=20)
    assert fetched.failed == 0, fetched.detail
    checks = [record for record in fetched.records if isinstance(record, Check)]
    return checks, [record for record in fetched.records if isinstance(record, Gauge)]


def words(shop: Shop, **page: Any) -> list[str]:
    [check], _ = look(source(shop, page))
    return check.findings


def test_a_page_as_it_should_be_is_a_check_and_gauges(shop: Shop) -> None:
    wanted = {"text": ["59,90 EUR", "Buy now", "Spring sale"], "absent": ["sold out"], "form": "order"}
    [check], gauges = look(source(shop, wanted | {"campaigns": ["google:1:2"]}))
    assert (check.state, check.findings, check.statuses, check.title) == ("ok", [], [200], "Spring sale")
    assert (check.source, check.host, check.clients) == ("checks:shop", f"127.0.0.1:{shop.port}", ["acme"])
    assert (check.campaigns, check.ts, check.holds_until) == (["google:1:2"], NOW, NOW + 180_000)
    values = {gauge.name: gauge.value for gauge in gauges}
    assert values.keys() == {"check.up", "check.ttfb_s"}
    assert values["check.up"] == 1.0
    assert {tuple(gauge.attributes.items()) for gauge in gauges} == {(("check", "shop"), ("url", check.url))}
    assert len(shop.visits) == 1, "nothing was found, so nothing is confirmed"


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        ({"text": ["60,90 EUR"]}, "text_missing"),
        ({"text": ["sold out"]}, "text_missing"),  # a script's text is not seen by people
        ({"absent": ["Buy  now"]}, "text_present"),
        ({"form": "checkout"}, "form_missing"),
        ({"form": "hidden"}, "form_missing"),  # a template is not on the page yet
        ({"status": [204]}, "wrong_status"),
        ({"slow_s": 0.0001}, "slow"),
    ],
)
def test_what_is_not_as_it_should_be_has_its_word(shop: Shop, wanted: dict[str, Any], word: str) -> None:
    if word == "slow":
        shop.delay_s = 0.01
    assert words(shop, **wanted) == [word]
    assert len(shop.visits) == 2, "a finding is confirmed by a second look"


@pytest.mark.parametrize("form", ["*", "order", "/order"])
def test_a_form_is_known_by_its_id_name_or_action(shop: Shop, form: str) -> None:
    assert words(shop, form=form) == []


def test_a_status_that_is_expected_is_no_finding(shop: Shop) -> None:
    shop.answers["/p"] = (410, {}, b"gone")
    assert words(shop, status=[404, 410]) == []
    assert words(shop) == ["wrong_status"]


def test_a_page_that_fails_once_is_not_failing(shop: Shop) -> None:
    answers = iter([(500, {}, b"")])
    shop.answers["/p"] = lambda _path: next(answers, (200, {}, PAGE))
    one = source(shop)
    [check], gauges = look(one)
    assert (check.state, len(shop.visits)) == ("ok", 2)
    assert [gauge.value for gauge in gauges if gauge.name == "check.up"] == [1.0]


def test_a_page_that_stays_broken_is_looked_at_once_a_round_until_it_is_mended(shop: Shop) -> None:
    shop.answers["/p"] = (503, {}, b"")
    one = source(shop)
    [check], gauges = look(one)
    assert (check.state, check.findings) == ("failing", ["wrong_status"])
    assert [gauge.value for gauge in gauges if gauge.name == "check.up"] == [0.0]
    assert REGISTRY.get_sample_value("clicktrace_synthetic_pages", {"check": "shop", "state": "failing"}) == 1
    look(one, now=NOW + 60_000)
    assert len(shop.visits) == 3
    shop.answers["/p"] = (200, {}, PAGE)
    [check], _ = look(one, now=NOW + 120_000)
    assert check.state == "ok"
    assert REGISTRY.get_sample_value("clicktrace_synthetic_pages", {"check": "shop", "state": "failing"}) == 0


def test_an_unreachable_page_is_a_finding_and_the_others_are_looked_at(shop: Shop) -> None:
    gone = Shop()
    gone.close()
    place = f"127.0.0.1:{gone.port}"
    config = ChecksConfig(retry_s=0.0, allowed_private=(place, f"127.0.0.1:{shop.port}"))
    pages = [{"url": f"http://{place}/p"}, {"url": f"http://127.0.0.1:{shop.port}/p"}]
    connection = ChecksConnection.model_validate({"name": "two", "pages": pages})
    checks, gauges = look(ChecksSource(connection, config=config))
    assert [check.findings for check in checks] == [["unreachable"], []]
    assert [gauge.name for gauge in gauges if gauge.attributes["url"].startswith(f"http://{place}")] == ["check.up"]


def test_what_is_compressed_unasked_is_read_and_what_cannot_be_is_said(shop: Shop) -> None:
    shop.answers["/p"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(PAGE))
    assert words(shop, text=["Buy now"]) == []
    shop.answers["/p"] = (200, {"Content-Encoding": "br"}, b"\x0b\x02")
    assert words(shop, text=["Buy now"]) == ["unreadable"]
    assert words(shop) == [], "without a text to look for it does not matter"


def test_a_page_in_another_charset_is_read(shop: Shop) -> None:
    body = "<p>Größe wählen</p>".encode("iso-8859-1")
    shop.answers["/p"] = (200, {"Content-Type": "text/html; charset=ISO-8859-1"}, body)
    assert words(shop, text=["Größe wählen"]) == []


def test_no_more_than_a_megabyte_of_a_page_is_read(shop: Shop) -> None:
    shop.answers["/p"] = (200, {}, b"x" * 2**20 + b"<p>Buy now</p>")
    assert words(shop, text=["Buy now"]) == ["text_missing"]


def test_a_certificate_is_checked_and_its_end_is_foreseen(shop: Shop) -> None:
    import ssl

    authority = trustme.CA()
    soon = datetime.now(UTC) + timedelta(days=3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=soon).configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    secure = Shop(tls=context)
    place = f"127.0.0.1:{secure.port}"
    connection = ChecksConnection.model_validate({"name": "tls", "pages": [{"url": f"https://{place}/p"}]})
    config = ChecksConfig(retry_s=0.0, allowed_private=(place,))
    now = int(time.time() * 1000)
    try:
        [check], gauges = look(ChecksSource(connection, config=config, tls=trusting), now=now)
        assert (check.state, check.findings) == ("care", ["certificate_expires_soon"])
        days = {gauge.name: gauge.value for gauge in gauges}["check.certificate_days"]
        assert days == pytest.approx(3, abs=0.1)
        assert abs(check.certificate_expires - now - 3 * DAY_MS) < HOUR_MS
        [check], _ = look(ChecksSource(connection, config=config), now=now)
        assert check.findings == ["certificate_invalid"]
    finally:
        secure.close()


# --- where a check does not go ---------------------------------------------------------------------------------------------------


def test_a_private_page_is_looked_at_only_where_the_settings_name_it(shop: Shop) -> None:
    [check], _ = look(source(shop, allowed=False))
    assert check.findings == ["unsafe_hop"]
    assert "collectors.checks.allowed_private" in check.details[0]
    assert shop.visits == []


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest/meta-data", "http://127.0.0.1:1/", "http://[::ffff:10.0.0.1]/", "ftp://x/"]
)
def test_a_redirect_into_a_private_network_is_not_followed(shop: Shop, to: str) -> None:
    shop.redirect("/p", to)
    [check], _ = look(source(shop))
    assert check.findings == ["unsafe_hop"]
    assert check.statuses == [302]


def test_a_name_that_leads_to_a_private_address_is_not_followed(shop: Shop) -> None:
    names = Names({"shop.example": [["10.0.0.1"]]})
    connection = ChecksConnection.model_validate({"name": "x", "pages": [{"url": "https://shop.example/p"}]})
    [check], _ = look(ChecksSource(connection, config=ChecksConfig(retry_s=0.0), resolve=names))
    assert check.findings == ["unsafe_hop"]


def test_redirects_are_followed_and_a_circle_ends(shop: Shop) -> None:
    shop.redirect("/a", "/p")
    base = f"http://127.0.0.1:{shop.port}"
    assert words(shop, url=f"{base}/a", text=["Buy now"]) == []
    shop.redirect("/b", "/b")
    assert words(shop, url=f"{base}/b") == ["too_many_hops"]


# --- rounds ----------------------------------------------------------------------------------------------------------------------


def test_a_slow_page_does_not_keep_the_round_beyond_its_deadline_and_is_told_as_left_out(shop: Shop) -> None:
    slow = Shop()
    slow.delay_s = 3.0
    place, other = f"127.0.0.1:{slow.port}", f"127.0.0.1:{shop.port}"
    pages = [{"url": f"http://{place}/p"}, {"url": f"http://{other}/p"}]
    connection = ChecksConnection.model_validate({"name": "two", "pages": pages})
    one = ChecksSource(connection, config=ChecksConfig(retry_s=0.0, allowed_private=(place, other)))
    started = time.monotonic()
    fetched = one.describe(now=NOW, deadline_s=0.5)
    assert time.monotonic() - started < 2.5
    assert (fetched.failed, fetched.detail) == (1, "1 page(s) not looked at in time")
    assert [record.url for record in fetched.records if isinstance(record, Check)] == [f"http://{other}/p"]
    slow.close()


def test_there_is_no_past_to_look_at(shop: Shop) -> None:
    assert source(shop).fetch(Window(since=0, until=NOW), now=NOW, deadline_s=1).records == []
    assert shop.visits == []


def test_the_doctor_is_told_how_the_pages_do(shop: Shop) -> None:
    one = source(shop, {"form": "order"})
    assert one.probe(now=NOW, deadline_s=10) == "1 page(s) as they should be"
    shop.answers["/p"] = (200, {}, b"<p>Nothing</p>")
    assert "form_missing" not in one.probe(now=NOW, deadline_s=10)
    assert "lacks the form 'order'" in one.probe(now=NOW, deadline_s=10)


@pytest.mark.parametrize(
    ("connection", "word"),
    [
        ({"pages": []}, "at least 1"),
        ({"pages": [{"url": "shop.example"}]}, "http"),
        ({"pages": [{"url": "https://a:b@shop.example/"}]}, "no user name"),
        ({"pages": [{"url": "https://shop.example/"}, {"url": "https://SHOP.example"}]}, "more than once"),
        ({"pages": [{"url": "https://shop.example/"}], "endpoint": "x"}, "endpoint"),
    ],
    ids=["no page", "no scheme", "password", "one page twice", "endpoint"],
)
def test_settings_that_cannot_work_are_refused_at_the_start(connection: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        ChecksConnection.model_validate({"name": "x"} | connection)


@pytest.mark.parametrize("entry", ["shop.corp", "*.corp", "a b:80"])
def test_private_pages_are_named_exactly(entry: str) -> None:
    with pytest.raises(ValidationError):
        ChecksConfig(allowed_private=(entry,))
