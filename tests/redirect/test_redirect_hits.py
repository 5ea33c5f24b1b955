"""What a visitor gets, and what the journal says about it, through a real worker."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from core.identity import derive_from_query, is_click_id

from .live_worker import ProcessWorker, ThreadWorker, eventually, link, listening_socket

Start = Callable[..., ThreadWorker]


def test_a_hit_is_answered_with_a_302_and_journaled_once(worker: ThreadWorker) -> None:
    before = time.time() * 1000
    reply = worker.get(
        "/spring", User_Agent="Mozilla/5.0 (X11; Linux x86_64)", Referer="https://Search.example/q?secret=1"
    )
    assert reply.status == 302
    assert reply.headers["cache-control"] == "no-store"
    [line] = worker.lines()
    assert reply.location == f"https://shop.example/p?ct_click={line['click_id']}"
    assert is_click_id(line["click_id"])
    assert (line["slug"], line["http_status"], line["reason"]) == ("spring", 302, "redirected")
    assert (line["page"], line["link_version"], line["source"]) == ("shop.example/p", 1, "redirect")
    assert line["user_agent"] == "Mozilla/5.0 (X11; Linux x86_64)"
    assert line["referrer_host"] == "search.example"
    assert line["network"] == "127.0.0.0/24"
    assert len(line["network_hash"]) == len(line["hit_id"]) == 16
    assert before - 5 <= line["ts"] <= time.time() * 1000 + 5
    assert 0 < line["duration_us"] < 5_000_000


def test_the_click_is_in_the_journal_before_the_answer_arrives(worker: ThreadWorker) -> None:
    client = worker.connect()
    for count in range(1, 50):
        client.get("/spring")
        assert len(worker.lines()) == count


def test_a_platform_id_gives_the_derived_click_id_and_the_raw_id_is_kept(worker: ThreadWorker) -> None:
    reply = worker.get("/spring?gclid=CjwK%2Babc&utm_source=goo+gle")
    derived = derive_from_query(b"gclid=CjwK%2Babc")
    assert derived
    [line] = worker.lines()
    assert line["click_id"] == derived[0]
    assert line["platform_ids"] == {"gclid": "CjwK+abc"}
    assert line["platform"] == "google"
    assert line["utm"] == {"utm_source": "goo gle"}
    assert reply.location == f"https://shop.example/p?gclid=CjwK%2Babc&utm_source=goo+gle&ct_click={derived[0]}"


def test_two_hits_of_one_click_share_the_click_id_and_differ_in_the_hit_id(worker: ThreadWorker) -> None:
    worker.get("/spring?gclid=abc")
    worker.get("/spring?gclid=abc")
    first, second = worker.lines()
    assert first["click_id"] == second["click_id"]
    assert first["hit_id"] != second["hit_id"]


def test_the_destination_keeps_its_own_parameters_and_fragment(start_worker: Start) -> None:
    worker = start_worker(link(destination="https://shop.example/p?own=1&utm_source=link#part"))
    reply = worker.get("/spring?own=2&utm_source=visitor&more=3")
    click_id = worker.lines()[0]["click_id"]
    assert reply.location == f"https://shop.example/p?own=1&utm_source=link&more=3&ct_click={click_id}#part"
    assert worker.lines()[0]["utm"] == {"utm_source": "visitor"}


def test_macros_of_the_platform_name_campaign_ad_group_and_creative(start_worker: Start) -> None:
    worker = start_worker(link(campaign="google:1:2", ad_group="google:1:20", creative="google:1:30"))
    worker.get("/spring?ct_campaign=google:1:7&ct_ad_group=google:1:{adgroupid}&ct_creative=&ct_keyword=red+shoes")
    [line] = worker.lines()
    assert (line["campaign"], line["ad_group"], line["creative"]) == ("google:1:7", "google:1:20", "google:1:30")
    assert line["keyword"] == "red+shoes"


@pytest.mark.parametrize(
    "value", ["2", "google:1", "google::2", "google:1:%7Bcampaignid%7D", "__CAMPAIGN_ID__", "a:b:c%0Ad"]
)
def test_a_campaign_that_is_not_qualified_falls_back_to_the_link(start_worker: Start, value: str) -> None:
    worker = start_worker(link(campaign="google:1:2"))
    worker.get(f"/spring?ct_campaign={value}")
    assert worker.lines()[0]["campaign"] == "google:1:2"


def test_our_own_parameters_are_not_passed_on_but_consent_is(worker: ThreadWorker) -> None:
    reply = worker.get("/spring?ct_campaign=google:1:2&ct_lpurl=x&ct_click=aa&ct%5Fclick=bb&ct_consent=yes&a=1")
    [line] = worker.lines()
    assert reply.location == f"https://shop.example/p?ct_consent=yes&a=1&ct_click={line['click_id']}"
    assert line["consent"] == "yes"


def test_personal_parameters_are_neither_recorded_nor_passed_on(worker: ThreadWorker) -> None:
    reply = worker.get("/spring?email=eva%40example.com&Phone=1&%6eame=Eva&utm_term=eva@example.com&a=1")
    assert "eva" not in reply.location.replace("utm_term=eva@example.com", "").lower()
    [line] = worker.lines()
    assert "utm" not in line
    assert "example.com" not in str(line)


def test_personal_parameters_are_passed_on_when_the_link_says_so_and_still_not_recorded(start_worker: Start) -> None:
    worker = start_worker(link(pass_personal=True))
    assert "email=eva%40example.com" in worker.get("/spring?email=eva%40example.com").location
    assert "eva" not in str(worker.lines())


def test_a_new_visitor_gets_a_cookie_and_keeps_its_id(worker: ThreadWorker) -> None:
    first = worker.get("/spring")
    cookie, _, attributes = first.headers["set-cookie"].partition("; ")
    assert attributes == "Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax"
    second = worker.get("/spring", Cookie=f"other=1; {cookie}; last=2")
    assert "set-cookie" not in second.headers
    lines = worker.lines()
    assert lines[0]["visitor_id"] == lines[1]["visitor_id"] == cookie.removeprefix("ct_vid=")


@pytest.mark.parametrize(
    "cookie", ["ct_vid=short", "ct_vid=" + "Z" * 32, "ct_vid=" + "a" * 33, "xct_vid=" + "a" * 32, "ct_vid"]
)
def test_a_malformed_visitor_cookie_counts_as_none(worker: ThreadWorker, cookie: str) -> None:
    assert "ct_vid=" in worker.get("/spring", Cookie=cookie).headers["set-cookie"]
    assert worker.lines()[0]["visitor_id"] not in cookie


@pytest.mark.parametrize(
    ("target", "headers", "word"),
    [
        ("/spring?gclid=abc&ct_consent=no", {}, "no"),
        ("/spring?gclid=abc", {"Sec_GPC": "1"}, "gpc"),
        ("/spring?gclid=abc&ct_consent=yes", {"Sec_GPC": "1"}, "gpc"),
        ("/spring?gclid=abc", {"Cookie": "a=1; ct_consent=no"}, "no"),
    ],
)  # fmt: skip
def test_without_consent_the_click_counts_without_any_identifier(
    worker: ThreadWorker, target: str, headers: dict[str, str], word: str
) -> None:
    reply = worker.get(target, **{"Cookie": "ct_vid=" + "a" * 32, **headers})
    assert reply.status == 302
    taken_back = "ct_vid=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax" if "Cookie" not in headers else None
    assert reply.headers.get("set-cookie") == taken_back
    [line] = worker.lines()
    derived = derive_from_query(b"gclid=abc")
    assert derived
    assert line["click_id"] != derived[0]
    assert reply.location.endswith(f"ct_click={line['click_id']}")
    assert line["consent"] == word
    assert not {"visitor_id", "platform_ids", "network_hash"} & line.keys()
    assert line["platform"] == "google"
    assert line["network"] == "127.0.0.0/24"


def test_the_cookie_has_the_configured_domain_and_is_secure_over_https(start_worker: Start) -> None:
    worker = start_worker(link(), cookie_domain="example", trusted_proxies=["127.0.0.1/32"])
    reply = worker.get("/spring", X_Forwarded_Proto="https")
    assert reply.headers["set-cookie"].endswith("; HttpOnly; SameSite=Lax; Domain=example; Secure")


def test_a_trusted_proxy_names_the_visitor_and_nobody_else_does(start_worker: Start) -> None:
    trusting = start_worker(link(), trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    trusting.get("/spring", X_Forwarded_For="6.6.6.6, 203.0.113.77, 10.1.2.3")
    assert trusting.lines()[0]["network"] == "203.0.113.0/24"
    strict = start_worker(link())
    strict.get("/spring", X_Forwarded_For="203.0.113.77")
    assert strict.lines()[0]["network"] == "127.0.0.0/24"


@pytest.mark.parametrize(
    ("definition", "status", "reason"),
    [
        ({"answer": "unavailable"}, 503, "unavailable"),
        ({"disabled": True}, 410, "disabled"),
        ({"disabled": True, "answer": "unavailable"}, 410, "disabled"),
    ],
)
def test_a_link_that_does_not_redirect_journals_a_lost_click_with_its_reason(
    start_worker: Start, definition: dict[str, object], status: int, reason: str
) -> None:
    worker = start_worker(link(campaign="meta:1:2", **definition))
    reply = worker.get("/spring?fbclid=x")
    assert (reply.status, "location" in reply.headers) == (status, False)
    [line] = worker.lines()
    assert (line["http_status"], line["reason"], line["campaign"]) == (status, reason, "meta:1:2")


def test_a_destination_that_left_the_allow_list_is_not_redirected_to(start_worker: Start) -> None:
    worker = start_worker(link())
    worker.stop()
    config = worker.worker.config.model_copy(update={"allowed_destinations": ("other.example",)})
    again = ThreadWorker(config, data_dir=worker.data_dir, control=worker.control, sock=listening_socket())
    try:
        assert again.get("/spring").status == 403
        assert again.lines()[-1]["reason"] == "destination_not_allowed"
    finally:
        again.stop()


@pytest.mark.parametrize("target", ["/nothing", "/", "/spring/extra", "/SPRING", "/%2e%2e/spring", "/ct", "//spring"])
def test_an_unknown_slug_is_a_404_and_only_counted(worker: ThreadWorker, target: str) -> None:
    assert worker.get(target).status == 404
    assert worker.lines() == []


@pytest.mark.parametrize("target", ["/spring/", "/%73pring", "/spring?", "/spring#part", "http://go.example/spring"])
def test_unusual_spellings_of_a_slug_still_lead_there(worker: ThreadWorker, target: str) -> None:
    assert worker.get(target).status == 302
    assert len(worker.lines()) == 1


def test_a_link_of_a_domain_wins_there_and_is_unknown_elsewhere(start_worker: Start) -> None:
    worker = start_worker(
        link(destination="https://shop.example/any"),
        link(destination="https://shop.example/own", domain="go.example"),
        link(slug="only", domain="go.example"),
    )
    assert "/own?" in worker.get("/spring", Host="GO.example:8081").location
    assert "/any?" in worker.get("/spring", Host="other.example").location
    assert worker.get("/only", Host="other.example").status == 404


def test_hosts_outside_the_configured_domains_are_answered_404(start_worker: Start) -> None:
    worker = start_worker(link(), domains=["go.example"])
    assert worker.get("/spring", Host="go.example").status == 302
    assert worker.get("/spring", Host="evil.example").status == 404
    assert worker.get("/healthz", Host="10.0.0.1").status == 200


def test_head_and_prefetch_are_answered_and_not_counted_as_clicks(worker: ThreadWorker) -> None:
    head = worker.connect().request("HEAD", "/spring?a=1")
    assert (head.status, head.location) == (302, "https://shop.example/p?a=1")
    assert worker.get("/spring", Sec_Purpose="prefetch;prerender").status == 503
    assert worker.lines() == []


def test_a_link_has_no_other_methods(worker: ThreadWorker) -> None:
    reply = worker.connect().request("DELETE", "/spring")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
    assert worker.lines() == []


@pytest.mark.parametrize(
    ("method", "headers", "definition", "parallel"),
    [
        ("GET", {}, {}, False),
        ("GET", {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, {}, False),
        ("GET", {"Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "empty"}, {}, True),
        ("POST", {"Content_Type": "text/ping", "Ping_To": "https://shop.example/"}, {}, True),
        ("POST", {}, {}, True),
        ("GET", {}, {"parallel_tracking": True}, True),
        ("GET", {"Sec_Fetch_Mode": "navigate"}, {"parallel_tracking": True}, False),
    ],
)
def test_background_calls_are_recognised(
    start_worker: Start, method: str, headers: dict[str, str], definition: dict[str, object], parallel: bool
) -> None:
    worker = start_worker(link(**definition))
    body = b"PING" if method == "POST" else b""
    assert worker.connect().request(method, "/spring?gclid=x", body=body, **headers).status == 302
    assert worker.lines()[0].get("parallel", False) is parallel


def test_the_parallel_parameter_marks_a_background_call(worker: ThreadWorker) -> None:
    worker.get("/spring?ct_parallel=1")
    assert worker.lines()[0]["parallel"] is True


def test_a_new_link_and_a_change_are_live_within_a_second(worker: ThreadWorker) -> None:
    added = worker.links.add(link("later"), author="test")
    eventually(lambda: worker.get("/later").status == 302, within_s=1.5)
    worker.links.edit(added.link_id, {"answer": "unavailable"}, author="test")
    eventually(lambda: worker.get("/later").status == 503, within_s=1.5)
    worker.links.edit(added.link_id, {"answer": "redirect"}, author="test")
    eventually(lambda: worker.get("/later").status == 302, within_s=1.5)
    assert [line["link_version"] for line in worker.lines() if line["slug"] == "later"][-1] == 3


def test_health_says_how_the_journal_and_the_links_are(worker: ThreadWorker) -> None:
    worker.get("/spring")
    reply = worker.get("/healthz")
    assert reply.status == 200
    health = reply.json()
    assert health["status"] == "ok"
    assert health["journal"] | {"last_error": ""} == {
        "healthy": True, "appended": 1, "unjournaled": 0, "lost": 0, "ring_bytes": 0, "last_error": "",
    }  # fmt: skip
    assert health["links"]["in_memory"] == 1


def test_two_workers_share_the_salt_of_the_day(start_process: Callable[..., ProcessWorker]) -> None:
    process = start_process(link())
    process.get("/spring")
    process.start(index=1)
    for _ in range(20):
        process.get("/spring")
    assert len({line["network_hash"] for line in process.lines()}) == 1
