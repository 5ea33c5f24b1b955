"""The handler as a pure function: same input, same answer; whatever the bytes, `Location` is the link's destination."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.destinations import AllowList
from core.rate_limit import RateLimit
from core.records import Click
from redirect import request as fields
from redirect.handler import Answer, Snippet, World, handle
from redirect.link_table import LinkTable
from redirect.links.model import Link, LinkDefinition
from redirect.live_link import to_live
from redirect.privacy import Networks
from redirect.request import SLOT_OF, Request

NOW = 1_790_000_000_000
ENTROPY = "0123456789abcdef" * 5
ALLOWED = AllowList(["shop.example"])


def world() -> World:
    table = LinkTable()
    definition = LinkDefinition(slug="spring", destination="https://shop.example/p?own=1#f", campaign="google:1:2")
    table.put(to_live(Link(link_id="ab" * 16, version=3, definition=definition, updated_at=NOW), allowed=ALLOWED))
    return World(
        links=table,
        networks=Networks(b"salt" * 8),
        snippet=Snippet(body=b"/**/", etag=b'"e"'),
        health=lambda: (200, b"{}"),
        limit=RateLimit(per_second=0),
    )


def ask(target: bytes, *, method: bytes = b"GET", headers: dict[bytes, bytes] | None = None) -> Answer:
    request = Request(method, target, address="203.0.113.7")
    for name, value in ({b"Host": b"go.example"} | (headers or {})).items():
        request.fields[SLOT_OF[name]] = value
    return handle(request, world=world(), now=NOW, entropy=ENTROPY, timer=lambda: 0.000123)


def clicks_of(answer: Answer) -> list[Click]:
    return [msgspec.json.decode(record, type=Click) for record in answer.records]


def test_the_whole_answer_and_the_whole_record() -> None:
    answer = ask(
        b"/spring?fbclid=x&utm_source=meta",
        headers={b"User-Agent": b"ua", b"Accept": b"*/*", b"Referer": b"https://A.example/b"},
    )
    [click] = clicks_of(answer)
    click_id = click.click_id
    assert answer.wire.decode() == (
        "HTTP/1.1 302 Found\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\nCache-Control: no-store\r\n"
        f"Set-Cookie: ct_vid={ENTROPY[32:64]}; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax\r\n"
        f"Location: https://shop.example/p?own=1&fbclid=x&utm_source=meta&ct_click={click_id}#f\r\n\r\n"
    )
    assert click == Click(
        ts=NOW, source="redirect", click_id=click_id, hit_id=ENTROPY[64:], link_id="ab" * 16, link_version=3, slug="spring",
        domain="", http_status=302, reason="redirected", duration_us=123, page="shop.example/p", platform="google",
        campaign="google:1:2", platform_ids={"fbclid": "x"}, utm={"utm_source": "meta"}, visitor_id=ENTROPY[32:64],
        user_agent="ua", network="203.0.113.0/24", network_hash=click.network_hash, referrer_host="a.example",
    )  # fmt: skip


def test_the_same_input_gives_the_same_answer() -> None:
    assert ask(b"/spring?a=1") == ask(b"/spring?a=1")


def test_a_record_can_be_journaled_and_read_back() -> None:
    hostile = b'\xff\xfe\x80"\\ \x01'
    headers = {b"User-Agent": hostile, b"Referer": b"https://" + hostile, b"Cookie": hostile}
    [click] = clicks_of(
        ask(b"/spring?gclid=%FF%22&utm_term=%FF%00%22&ct_keyword=%22%5C&ct_consent=" + hostile, headers=headers)
    )
    assert click.user_agent.endswith('"\\ \x01')
    assert click.keyword == '"\\'
    assert click.platform_ids["gclid"].endswith('"')


@pytest.mark.parametrize(
    "query", [b"", b"?a=1", b"?ct_keyword=k", b"?gclid=x", b"?gclid=x&ct_consent=no", b"?ct_campaign=meta:1:2"]
)
@pytest.mark.parametrize("platform", ["", "google"])
@pytest.mark.parametrize("campaign", ["", "google:1:2"])
def test_no_field_of_a_record_is_written_twice(query: bytes, platform: str, campaign: str) -> None:
    there = world()
    definition = LinkDefinition(
        slug="spring",
        destination="https://shop.example/p",
        platform=platform,
        campaign=campaign,
        ad_group="google:1:3",
        client="c",
    )
    there.links.put(to_live(Link(link_id="ab" * 16, version=9, definition=definition, updated_at=NOW), allowed=ALLOWED))
    [record] = handle(Request(b"GET", b"/spring" + query), world=there, now=NOW, entropy=ENTROPY).records
    names = [name for name, _ in json.loads(record, object_pairs_hook=list)]
    assert len(names) == len(set(names))
    click = msgspec.json.decode(record, type=Click)
    expected = "meta:1:2" if b"meta" in query else campaign
    assert (click.campaign, click.ad_group, click.client) == (expected, "google:1:3", "c")
    assert click.platform == (expected.partition(":")[0] or platform or ("google" if b"gclid" in query else ""))


TARGETS = st.one_of(
    st.binary(max_size=100).map(lambda tail: b"/spring?" + tail),
    st.binary(max_size=60).map(lambda path: b"/" + path),
    st.text(alphabet="/\\?#&=%@:.sprinect_k0123456789", max_size=60).map(str.encode),
    st.sampled_from(
        [b"//evil.example", b"/spring?//evil.example", b"/spring?x=\r\nX: y", b"/\\evil.example", b"*", b""]
    ),
)


@given(TARGETS, st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT"]), st.binary(max_size=40))
def test_whatever_the_input_location_is_the_links_destination_or_there_is_none(
    target: bytes, method: bytes, host: bytes
) -> None:
    answer = ask(target, method=method, headers={b"Host": host, b"Cookie": host, b"Referer": host, b"Origin": host})
    head = answer.wire.partition(b"\r\n\r\n")[0]
    status, *lines = head.split(b"\r\n")
    locations = [line for line in lines if line.lower().startswith(b"location:")]
    assert all(line.startswith(b"Location: https://shop.example/p?own=1") for line in locations)
    assert len(locations) == (status.split(b" ")[1] == b"302")
    allowed = (
        b"Date",
        b"Content-",
        b"Cache-",
        b"Set-Cookie: ct_vid=",
        b"Location",
        b"X-Content",
        b"X-Robots-Tag: noindex",
        b"Referrer-Policy: no-referrer",
        b"Allow",
        b"ETag",
        b"Access-",
        b"Vary",
    )
    assert all(line.startswith(allowed) for line in lines), "no header that we did not write"
    assert len(clicks_of(answer)) == (answer.outcome == "redirected"), "every record reads back as a Click"


@pytest.mark.parametrize("name", ["Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"])
def test_every_kind_of_prefetch_is_recognised(name: str) -> None:
    answer = ask(b"/spring", headers={name.encode(): b"prefetch"})
    assert (answer.outcome, answer.records) == ("prefetch", ())


def test_a_header_slot_has_one_meaning() -> None:
    assert SLOT_OF[b"host"] == SLOT_OF[b"Host"] == fields.HOST
    assert fields.slot_of(b"HOST") == fields.HOST
    assert fields.slot_of(b"X-Unheard-Of") == fields.IGNORED
