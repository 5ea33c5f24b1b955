"""Postbacks through the public listener: who may send them, what they are called, what life a conversion has."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError
from sqlalchemy import Engine, func, select

from app.auth import require_scope
from collectors.postback.config import PostbackConfig
from collectors.refusals import REASONS
from core.clock import DAY_MS
from core.control.tables import postback_lives
from core.errors import Forbidden, JournalError
from core.principal import SCOPES, Principal
from core.records import Conversion
from tests.collectors.internet import Internet, open_internet

CLICK = "0123456789abcdef0123456789abcdef"
OTHER_CLICK = "f" * 32


class Tracker:
    """A sender with its key."""

    def __init__(self, internet: Internet, key: str) -> None:
        self.internet = internet
        self.key = key

    def send(self, **parameters: str) -> tuple[int, str]:
        """(status, result or reason)."""
        answer = self.internet.postback(self.key, **parameters)
        return answer.status_code, said(answer)


def said(answer: Any) -> str:
    body = answer.json()
    if answer.status_code == 200:
        return str(body["result"])
    assert body["reason"] in REASONS
    return str(body["reason"])


Opened = Callable[..., Tracker]


@pytest.fixture
def tracker(journal: Any, control: Engine, clock: Any) -> Opened:
    """A key called `network` with the sender's settings; `clients` are the key's."""

    def build(*, clients: list[str] | None = None, writes_to: Any = None, **sender: Any) -> Tracker:
        senders = [{"key": "network", "currency": "EUR", **sender}]
        internet = open_internet(writes_to or journal, control, clock=clock, postback={"senders": senders})
        return Tracker(internet, internet.keys.add("network", scopes=["postback"], clients=clients or []))

    return build


def figures(journaled: Any) -> list[tuple[str, str, int]]:
    return [(each.conversion_id, each.status, each.value_micros // 1_000_000) for each in journaled()]


# --- what trackers call it --------------------------------------------------------------------------------------------------------


def test_a_postback_is_a_conversion_of_its_click(tracker: Opened, clock: Any, journaled: Any) -> None:
    sender = tracker(clients=["acme"])
    answer = sender.internet.postback(sender.key, click_id=CLICK, payout="12.50", txid="t-1", status="lead")
    assert (answer.status_code, answer.json()) == (200, {"result": "created", "id": f"{CLICK}:t-1"})
    assert answer.headers["cache-control"] == "no-store"
    assert journaled() == [
        Conversion(
            ts=clock.now,
            source="postback:network",
            fact_id=f"conversion:acme:backend:order:{CLICK}%3At-1",
            conversion_id=f"{CLICK}:t-1",
            type="order",
            status="captured",
            origin="backend",
            value_micros=12_500_000,
            currency="EUR",
            click_id=CLICK,
            client="acme",
            attributes={"txid": "t-1"},
        )
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {"cid": CLICK, "payout": "5", "txid": "1", "currency": "USD", "et": "lead"},  # Voluum
        {"subid": CLICK, "revenue": "5", "tid": "1", "currency": "usd", "status": "sale", "type": "lead"},  # Keitaro
        {"clickid": CLICK, "sum": "5", "transaction_id": "1", "currency": "USD", "type": "lead"},  # RedTrack
        {"click_id": CLICK.upper(), "payout": " 5 ", "txid": "1", "currency": "USD", "goal": "lead"},
    ],
)
def test_trackers_names_for_the_same_thing_are_understood(
    tracker: Opened, journaled: Any, parameters: dict[str, str]
) -> None:
    assert tracker().send(**parameters) == (200, "created")
    (record,) = journaled()
    assert (record.click_id, record.value_micros, record.currency) == (CLICK, 5_000_000, "USD")
    assert (record.conversion_id, record.type, record.status) == (f"{CLICK}:1", "lead", "confirmed")


def test_a_senders_own_names_and_words_are_settings(tracker: Opened, journaled: Any) -> None:
    sender = tracker(
        parameters={"click_id": "aff_sub", "payout": "amount"},
        statuses={"Genehmigt": "confirmed", "ping": "ignore"},
        types={"7": "lead"},
        keep=["geo", "offer"],
        origin="platform",
    )
    own = {
        "aff_sub": CLICK,
        "amount": "3",
        "status": "genehmigt",
        "type": "7",
        "geo": "DE",
        "offer": "{offer}",
        "x": "y",
    }
    assert sender.send(**own) == (200, "created")
    (record,) = journaled()
    assert (record.status, record.type, record.origin, record.attributes) == (
        "confirmed", "lead", "platform", {"geo": "DE"},
    )  # fmt: skip
    assert sender.send(**{**own, "status": "ping"}) == (200, "left_out")
    assert len(journaled()) == 1


def test_macros_that_nobody_filled_in_count_as_absent(tracker: Opened, journaled: Any) -> None:
    assert tracker().send(click_id=CLICK, payout="{payout}", txid="__TXID__", status="") == (200, "created")
    (record,) = journaled()
    assert (record.conversion_id, record.value_micros, record.currency, record.attributes) == (CLICK, 0, "", {})


def test_the_ad_platforms_own_id_stands_in_for_the_click(tracker: Opened, journaled: Any) -> None:
    assert tracker().send(gclid="Cj0abc", payout="3") == (200, "created")
    assert journaled()[0].platform_ids == {"gclid": "Cj0abc"}


@pytest.mark.parametrize("ts", ["1789999800", "1789999800000", "2026-09-21T14:10:00Z"])
def test_a_postback_may_name_its_time(tracker: Opened, journaled: Any, ts: str) -> None:
    assert tracker().send(click_id=CLICK, ts=ts) == (200, "created")
    assert journaled()[0].ts == 1_789_999_800_000


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"payout": "5"}, "missing_field"),
        ({"click_id": "{cid}", "payout": "5"}, "missing_field"),
        ({"click_id": "123"}, "bad_value"),
        ({"click_id": CLICK, "payout": "12,50"}, "bad_value"),
        ({"click_id": CLICK, "payout": "NaN"}, "bad_value"),
        ({"click_id": CLICK, "payout": "5", "currency": "EURO"}, "bad_value"),
        ({"click_id": CLICK, "status": "frobnicated"}, "bad_value"),
        ({"click_id": CLICK, "ts": "yesterday"}, "bad_value"),
        ({"click_id": CLICK, "txid": "ann@example.org"}, "bad_value"),
        ({"click_id": CLICK, "txid": "x" * 201}, "bad_value"),
        ({"click_id": CLICK, "txid": "a\x00b"}, "bad_value"),
    ],
)
def test_a_postback_that_cannot_be_understood_is_refused_by_its_word(
    tracker: Opened, journaled: Any, parameters: dict[str, str], word: str
) -> None:
    assert tracker().send(**parameters) == (422, word)
    assert journaled() == []


def test_a_payout_without_any_currency_is_refused(tracker: Opened) -> None:
    assert tracker(currency="").send(click_id=CLICK, payout="5") == (422, "missing_field")


def test_an_address_of_a_person_in_a_kept_parameter_stays_out(tracker: Opened, journaled: Any) -> None:
    tracker(keep=["sub1", "sub2"]).send(click_id=CLICK, sub1="ann@example.org", sub2="north")
    assert journaled()[0].attributes == {"sub2": "north"}


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (f"click_id={CLICK}&payout=59.90&txid=1".encode(), "application/x-www-form-urlencoded"),
        (json.dumps({"click_id": CLICK, "payout": 59.90, "txid": 1}).encode(), "application/json; charset=utf-8"),
    ],
)
def test_post_takes_a_form_or_a_json_object(tracker: Opened, journaled: Any, content: bytes, media_type: str) -> None:
    sender = tracker()
    client = sender.internet.client()
    answer = client.post(f"/api/v1/postback/{sender.key}", content=content, headers={"content-type": media_type})
    assert (answer.status_code, said(answer)) == (200, "created")
    assert (journaled()[0].value_micros, journaled()[0].conversion_id) == (59_900_000, f"{CLICK}:1")


@pytest.mark.parametrize(
    ("content", "media_type", "expected"),
    [
        (b"{", "application/json", (400, "malformed")),
        (b'{"click_id": ["x"]}', "application/json", (400, "malformed")),
        (b"[1]", "application/json", (400, "malformed")),
        (b"a=b", "multipart/form-data", (415, "unsupported_media_type")),
        (b"&".join(b"a%d=1" % n for n in range(101)), "application/x-www-form-urlencoded", (413, "too_many_items")),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", (413, "body_too_large")),
    ],
)
def test_a_body_that_is_no_postback_is_refused(
    tracker: Opened, content: bytes, media_type: str, expected: tuple[int, str]
) -> None:
    sender = tracker()
    client = sender.internet.client()
    answer = client.post(f"/api/v1/postback/{sender.key}", content=content, headers={"content-type": media_type})
    assert (answer.status_code, said(answer)) == expected


# --- who may send it --------------------------------------------------------------------------------------------------------------


def test_the_key_stands_in_the_path_in_a_parameter_or_in_the_header(tracker: Opened) -> None:
    sender = tracker()
    client = sender.internet.client()
    ways: list[dict[str, Any]] = [
        {"url": f"/api/v1/postback/{sender.key}", "params": {"click_id": CLICK, "txid": "1"}},
        {"url": "/api/v1/postback", "params": {"click_id": CLICK, "txid": "2", "key": sender.key}},
        {
            "url": "/api/v1/postback",
            "params": {"click_id": CLICK, "txid": "3"},
            "headers": {"authorization": f"Bearer {sender.key}"},
        },
    ]
    assert [said(client.get(**way)) for way in ways] == ["created"] * 3


def test_of_two_keys_the_one_in_the_address_says_who_sends(tracker: Opened, journaled: Any) -> None:
    sender = tracker()
    other = {"authorization": f"Bearer {sender.internet.keys.add('other', scopes=['ingest'])}"}
    client = sender.internet.client()
    assert said(client.get(f"/api/v1/postback/{sender.key}", params={"click_id": CLICK}, headers=other)) == "created"
    assert journaled()[0].source == "postback:network"
    wrong = client.get("/api/v1/postback/ct_wrong", params={"click_id": CLICK}, headers=other)
    assert (wrong.status_code, said(wrong)) == (401, "wrong_key")


def test_without_a_key_of_ours_nothing_is_taken(tracker: Opened, journaled: Any) -> None:
    sender = tracker()
    client = sender.internet.client()
    assert said(client.get("/api/v1/postback", params={"click_id": CLICK})) == "missing_key"
    wrong = client.get("/api/v1/postback/ct_wrong", params={"click_id": CLICK})
    assert (wrong.status_code, said(wrong)) == (401, "wrong_key")
    sender.internet.keys.revoke("network")
    assert sender.send(click_id=CLICK) == (401, "wrong_key")
    assert journaled() == []


def test_a_key_that_can_do_more_is_refused_in_an_address_and_taken_in_the_header(tracker: Opened) -> None:
    internet = tracker().internet
    strong = internet.keys.add("strong", scopes=["postback", "ingest"])
    reader = internet.keys.add("reader", scopes=["read"])
    client = internet.client()
    in_path = client.get(f"/api/v1/postback/{strong}", params={"click_id": CLICK})
    in_query = client.get("/api/v1/postback", params={"click_id": CLICK, "key": strong})
    assert [(each.status_code, said(each)) for each in (in_path, in_query)] == [(403, "wrong_scope")] * 2
    bearer = {"authorization": f"Bearer {strong}"}
    assert said(client.get("/api/v1/postback", params={"click_id": CLICK}, headers=bearer)) == "created"
    bearer = {"authorization": f"Bearer {reader}"}
    assert said(client.get("/api/v1/postback", params={"click_id": CLICK}, headers=bearer)) == "wrong_scope"


def test_a_refusal_is_counted_under_the_name_of_the_key_once_that_is_known(tracker: Opened) -> None:
    internet = tracker().internet
    strong = internet.keys.add("too-strong", scopes=["postback", "ingest"])

    def counted(sender: str, outcome: str) -> float:
        return REGISTRY.get_sample_value("clicktrace_postbacks_total", {"sender": sender, "outcome": outcome}) or 0

    before = counted("too-strong", "wrong_scope"), counted("unknown", "wrong_key")
    internet.client().get(f"/api/v1/postback/{strong}", params={"click_id": CLICK})
    internet.client().get("/api/v1/postback/nobody", params={"click_id": CLICK})
    assert (counted("too-strong", "wrong_scope"), counted("unknown", "wrong_key")) == (before[0] + 1, before[1] + 1)


def test_a_postback_key_opens_no_other_door() -> None:
    holder = Principal(name="network", scopes=frozenset({"postback"}))
    for scope in set(SCOPES) - {"postback"}:
        with pytest.raises(Forbidden, match="missing_scope"):
            require_scope(holder, scope)


def test_a_key_writes_for_its_own_clients_only(tracker: Opened, journaled: Any) -> None:
    two = tracker(clients=["acme", "zenith"])
    assert two.send(click_id=CLICK) == (422, "missing_field")
    assert two.send(click_id=CLICK, client="other") == (403, "forbidden_client")
    assert two.send(click_id=CLICK, client="zenith") == (200, "created")
    assert [record.client for record in journaled()] == ["zenith"]


def test_no_answer_repeats_the_key(tracker: Opened) -> None:
    sender = tracker()
    answers = [sender.internet.postback(sender.key, **given) for given in ({}, {"click_id": CLICK}, {"click_id": "x"})]
    assert all(sender.key not in answer.text for answer in answers)


def test_settings_of_senders_are_checked_at_the_start() -> None:
    for senders in ([{"key": ""}], [{"key": "a"}, {"key": "a"}], [{"key": "a", "networks": ["shop.example"]}]):
        with pytest.raises(ValidationError):
            PostbackConfig.model_validate({"senders": senders})


# --- the life of a conversion -----------------------------------------------------------------------------------------------------


def test_a_lead_is_confirmed_and_refunded_as_versions_of_one_fact(tracker: Opened, clock: Any, journaled: Any) -> None:
    sender, began = tracker(), clock.now
    for status, payout in (("lead", "0"), ("sale", "30"), ("refund", "0")):
        sender.send(click_id=CLICK, status=status, payout=payout)
        clock.advance(DAY_MS)
    assert figures(journaled) == [(CLICK, "captured", 0), (CLICK, "confirmed", 30), (CLICK, "refunded", 30)]
    assert len({record.fact_id for record in journaled()}) == 1
    assert {record.ts for record in journaled()} == {began}


@pytest.mark.parametrize("policy", ["ignore", "new", "add"])
def test_an_earlier_status_that_comes_late_changes_nothing(tracker: Opened, journaled: Any, policy: str) -> None:
    sender = tracker(duplicates=policy)
    assert sender.send(click_id=CLICK, status="sale", payout="30") == (200, "created")
    assert sender.send(click_id=CLICK, status="lead", payout="0") == (200, "late")
    assert sender.send(click_id=CLICK, status="rejected") == (200, "moved")
    assert sender.send(click_id=CLICK, status="sale", payout="30") == (200, "late")
    assert figures(journaled) == [(CLICK, "confirmed", 30), (CLICK, "rejected", 30)]


def test_transactions_of_one_click_are_conversions_of_their_own(tracker: Opened, journaled: Any) -> None:
    sender = tracker()
    assert [sender.send(click_id=CLICK, txid=txid, payout="5")[1] for txid in ("1", "2", "1")] == [
        "created", "created", "ignored",
    ]  # fmt: skip
    assert figures(journaled) == [(f"{CLICK}:1", "confirmed", 5), (f"{CLICK}:2", "confirmed", 5)]


def test_two_networks_that_number_alike_do_not_meet(tracker: Opened, journaled: Any) -> None:
    sender = tracker()
    sender.send(click_id=CLICK, txid="1001")
    assert sender.send(click_id=OTHER_CLICK, txid="1001") == (200, "created")
    assert len({record.fact_id for record in journaled()}) == 2


POLICIES = {
    "ignore": (["ignored", "ignored"], [(CLICK, "confirmed", 10)]),
    "new": (
        ["repeated", "repeated"],
        [(CLICK, "confirmed", 10), (f"{CLICK}#2", "confirmed", 7), (f"{CLICK}#3", "confirmed", 7)],
    ),
    "overwrite": (["overwritten", "ignored"], [(CLICK, "confirmed", 10), (CLICK, "confirmed", 7)]),
    "add": (["added", "added"], [(CLICK, "confirmed", 10), (CLICK, "confirmed", 17), (CLICK, "confirmed", 24)]),
}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_becomes_of_a_duplicate_is_the_senders_policy(tracker: Opened, journaled: Any, policy: str) -> None:
    sender = tracker(duplicates=policy)
    assert sender.send(click_id=CLICK, payout="10") == (200, "created")
    outcomes, expected = POLICIES[policy]
    assert [sender.send(click_id=CLICK, payout="7")[1] for _ in range(2)] == outcomes
    assert figures(journaled) == expected


def test_overwriting_believes_the_newest_also_backwards(tracker: Opened, journaled: Any) -> None:
    sender = tracker(duplicates="overwrite")
    sender.send(click_id=CLICK, status="rejected", payout="10")
    assert sender.send(click_id=CLICK, status="sale") == (200, "overwritten")
    assert figures(journaled)[-1] == (CLICK, "confirmed", 10)


def test_adding_tells_a_retry_from_another_sale_by_its_transaction(tracker: Opened, journaled: Any) -> None:
    sender = tracker(duplicates="add")
    sent = [("t1", "10"), ("t2", "5"), ("t2", "5"), ("t1", "10"), ("", "1"), ("", "1")]
    assert [sender.send(click_id=CLICK, txid=txid, payout=payout)[1] for txid, payout in sent] == [
        "created", "added", "ignored", "ignored", "added", "added",
    ]  # fmt: skip
    assert figures(journaled)[-1] == (CLICK, "confirmed", 17)


def test_payouts_of_two_currencies_are_not_added(tracker: Opened, journaled: Any) -> None:
    sender = tracker(duplicates="add")
    sender.send(click_id=CLICK, payout="10", currency="EUR")
    assert sender.send(click_id=CLICK, payout="10", currency="USD") == (422, "bad_value")
    assert figures(journaled) == [(CLICK, "confirmed", 10)]


def test_payouts_that_come_at_once_are_all_added(tracker: Opened, journaled: Any) -> None:
    sender = tracker(duplicates="add")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: sender.send(click_id=CLICK, txid=f"t{n}", payout="1"), range(8)))
    assert sorted(answer[1] for answer in answers) == ["added"] * 7 + ["created"]
    assert figures(journaled)[-1] == (CLICK, "confirmed", 8)


def test_lives_go_on_after_a_restart(
    tracker: Opened, journal: Any, control: Engine, clock: Any, journaled: Any
) -> None:
    first = tracker(duplicates="add")
    first.send(click_id=CLICK, payout="10")
    senders = [{"key": "network", "currency": "EUR", "duplicates": "add"}]
    again = open_internet(journal, control, clock=clock, postback={"senders": senders})
    assert said(again.postback(first.key, click_id=CLICK, payout="5")) == "added"
    assert figures(journaled)[-1] == (CLICK, "confirmed", 15)


def test_lives_are_forgotten_after_the_time_that_is_set(
    tracker: Opened, clock: Any, control: Engine, journaled: Any
) -> None:
    sender = tracker()
    sender.send(click_id=CLICK, payout="10")
    clock.advance(179 * DAY_MS)
    assert sender.send(click_id=CLICK, payout="10") == (200, "ignored")
    clock.advance(2 * DAY_MS)
    sender.send(click_id=OTHER_CLICK)
    with control.connect() as database:
        assert database.execute(select(func.count()).select_from(postback_lives)).scalar_one() == 1


class FullDisk:
    """A journal that refuses."""

    def append_many(self, records: Any) -> int:
        raise JournalError("the disk is full")


def test_what_could_not_be_written_is_not_remembered(
    tracker: Opened, journal: Any, control: Engine, clock: Any, journaled: Any
) -> None:
    broken = tracker(duplicates="add", writes_to=FullDisk())
    assert broken.send(click_id=CLICK, payout="10") == (503, "journal_unavailable")
    senders = [{"key": "network", "currency": "EUR", "duplicates": "add"}]
    mended = open_internet(journal, control, clock=clock, postback={"senders": senders})
    assert said(mended.postback(broken.key, click_id=CLICK, payout="10")) == "created"
    assert figures(journaled) == [(CLICK, "confirmed", 10)]


def test_the_key_in_a_path_stays_out_of_the_log(tracker: Opened, capfd: Any) -> None:
    broken = tracker(writes_to=FullDisk())
    broken.send(click_id=CLICK)
    logged = "".join(capfd.readouterr())
    assert "/api/v1/postback/***" in logged
    assert broken.key not in logged
