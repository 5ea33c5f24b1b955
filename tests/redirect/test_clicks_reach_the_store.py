"""What a worker journals is what the store answers, field by field."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.store.client import Store

from .live_worker import ProcessWorker, link

if TYPE_CHECKING:
    from ..conftest import Ship


def test_a_click_and_its_touches_can_be_queried(
    start_process: Callable[..., ProcessWorker], store: Store, ship: Ship
) -> None:
    process = start_process(link(campaign="google:1:2", client="acme"))
    client = process.connect()
    click_id = client.get(
        "/spring?gclid=a%22b&utm_source=x&ct_keyword=k", User_Agent='odd "agent"', Referer="https://a.example/"
    ).location.rpartition("=")[2]
    body = b'{"click":"%b","page":"https://shop.example/p","events":[{"name":"page_view","attributes":{"a":"b"}}]}'
    assert client.request("POST", "/ct/e", body=body % click_id.encode()).status == 204
    process.signal(signal.SIGTERM)
    process.process.join(10)
    report = ship()
    assert (report.lines, report.dead_letters) == (2, 0)
    [click] = store.rows(
        "SELECT lower(hex(click_id)) AS id, campaign, platform, client, page, keyword, user_agent, referrer_host, network, http_status,"
        " reason, platform_ids['gclid'] AS gclid, utm['utm_source'] AS source FROM click"
    )
    assert click == {
        "id": click_id, "campaign": "google:1:2", "platform": "google", "client": "acme", "page": "shop.example/p", "keyword": "k",
        "user_agent": 'odd "agent"', "referrer_host": "a.example", "network": "127.0.0.0/24", "http_status": 302,
        "reason": "redirected", "gclid": 'a"b', "source": "x",
    }  # fmt: skip
    [touch] = store.rows("SELECT lower(hex(click_id)) AS id, name, page, attributes['a'] AS a FROM touch")
    assert touch == {"id": click_id, "name": "page_view", "page": "shop.example/p", "a": "b"}
