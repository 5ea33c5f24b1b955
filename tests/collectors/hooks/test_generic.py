"""The generic signed webhook through the public listener: who signed, when, whether it came before, what it means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, func, select

from collectors import hooks
from collectors.config import CollectorsConfig
from collectors.hooks.base import HookRequest
from collectors.hooks.config import GenericConfig, GenericConnection
from collectors.hooks.deliveries import CLAIM_MS
from collectors.hooks.generic import GenericHook
from collectors.refusals import REASONS
from core.control.tables import hook_deliveries
from core.errors import JournalError, Refusal
from core.records import Conversion, Deploy
from tests.collectors.internet import SECRET, Internet, open_internet, secret_file, signature

ORDER = {
    "event": "order.paid",
    "data": {
        "order": {"id": 17, "total": 59.90, "state": "PAID", "at": 1_789_999_800, "gclid": "Cj0abc", "note": None}
    },
}
MAPPED: dict[str, Any] = {
    "fields": {
        "conversion_id": "data.order.id",
        "value": "data.order.total",
        "status": "data.order.state",
        "ts": "data.order.at",
        "gclid": "data.order.gclid",
        "page": "data.order.note",
    },
    "constants": {"type": "order", "currency": "EUR"},
    "values": {"status": {"PAID": "confirmed", "REFUNDED": "refunded"}},
    "only": {"event": "order.paid"},
    "times": "unix_s",
}
Open = Callable[..., Internet]


@pytest.fixture
def opened(journal: Any, control: Engine, clock: Any, tmp_path: Path) -> Open:
    """The listener with one generic hook called `shop`."""

    def build(*secrets: str, door: dict[str, Any] | None = None, **connection: Any) -> Internet:
        one = {"name": "shop", "webhook_secret_file": secret_file(tmp_path, *secrets), **connection}
        sections = {"generic": {"connections": [one]}, "door": door or {}}
        return open_internet(journal, control, clock=clock, **sections)

    return build


def deliver(internet: Internet, body: bytes, clock: Any, *, age_s: int = 0, **headers: str) -> Any:
    at_s = clock.now // 1000 - age_s
    signed = {
        "x_clicktrace_timestamp": str(at_s),
        "x_clicktrace_signature": f"sha256={signature(body, at_s=at_s)}",
        **headers,
    }
    return internet.call("shop", body, **signed)


def encoded(**change: Any) -> bytes:
    order = {**ORDER["data"]["order"], **change}  # type: ignore[dict-item]
    return json.dumps({**ORDER, "data": {"order": order}}).encode()


def reason(answer: Any) -> tuple[int, str]:
    assert answer.json()["reason"] in REASONS
    return answer.status_code, answer.json()["reason"]


def test_a_signed_order_in_their_words_is_a_conversion_in_ours(opened: Open, clock: Any, journaled: Any) -> None:
    answer = deliver(opened(**MAPPED), encoded(), clock)
    assert (answer.status_code, answer.json()) == (200, {"result": "written", "records": 1, "written": 1})
    assert journaled() == [
        Conversion(
            ts=1_789_999_800_000,
            source="hook:shop",
            fact_id="conversion::backend:order:17",
            conversion_id="17",
            type="order",
            status="confirmed",
            origin="backend",
            value_micros=59_900_000,
            currency="EUR",
            platform_ids={"gclid": "Cj0abc"},
        )
    ]


def test_a_sender_of_our_own_fields_needs_no_mapping(opened: Open, clock: Any, journaled: Any) -> None:
    marker = {"service": "tag-manager", "version": "41", "change": "tag", "ts": "2026-09-21T14:10:00Z"}
    answer = deliver(opened(collection="deploys"), json.dumps([marker]).encode(), clock)
    assert answer.json()["written"] == 1
    (record,) = journaled()
    assert isinstance(record, Deploy)
    assert (record.service, record.version, record.change) == ("tag-manager", "41", "tag")


def test_a_list_of_facts_inside_the_body_is_found(opened: Open, clock: Any, journaled: Any) -> None:
    mapped = {"items": "orders", "fields": {"conversion_id": "id", "ts": "at"}, "constants": {"type": "lead"}}
    body = {"orders": [{"id": n, "at": "2026-09-21T14:10:00Z"} for n in (1, 2)]}
    assert deliver(opened(**mapped), json.dumps(body).encode(), clock).json()["written"] == 2
    assert [record.conversion_id for record in journaled()] == ["1", "2"]


def test_events_that_are_not_wanted_are_taken_and_written_nowhere(opened: Open, clock: Any, journaled: Any) -> None:
    body = json.dumps({**ORDER, "event": "order.viewed"}).encode()
    assert deliver(opened(**MAPPED), body, clock).json() == {"result": "nothing", "records": 0, "written": 0}
    assert journaled() == []


def test_a_hook_kept_to_a_client_writes_for_no_other(opened: Open, clock: Any, journaled: Any) -> None:
    body = json.dumps({"conversion_id": "1", "type": "lead", "ts": "2026-09-21T14:10:00Z", "client": "zenith"}).encode()
    deliver(opened(client="acme"), body, clock)
    assert [(record.client, record.fact_id) for record in journaled()] == [("acme", "conversion:acme:backend:lead:1")]


# --- who signed it, and when ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"x_clicktrace_signature": ""}, "missing_signature"),
        ({"x_clicktrace_timestamp": ""}, "missing_signature"),
        ({"x_clicktrace_signature": "0" * 64}, "bad_signature"),
        ({"x_clicktrace_signature": "sha256="}, "bad_signature"),
        ({"x_clicktrace_signature": "sha256=ümläut"}, "bad_signature"),
        ({"x_clicktrace_timestamp": "1"}, "bad_signature"),
        ({"x_clicktrace_timestamp": "now"}, "bad_signature"),
    ],
)
def test_what_is_not_signed_by_the_secret_is_refused(
    opened: Open, clock: Any, journaled: Any, headers: dict[str, str], word: str
) -> None:
    encodable = {name: value.encode("latin-1") for name, value in headers.items()}
    assert reason(deliver(opened(**MAPPED), encoded(), clock, **encodable)) == (401, word)  # type: ignore[arg-type]
    assert journaled() == []


def test_the_documented_lines_of_shell_sign_as_we_check() -> None:
    readme = (Path(hooks.__file__).parent / "README.md").read_text()
    (line,) = [line for line in readme.splitlines() if line.startswith("SIG=")]
    script = line.replace("$(cat shop.secret)", SECRET) + "; printf %s $SIG"
    body = '{"conversion_id":"o-17","page":"50% off"}'
    ran = subprocess.run(
        ["sh", "-c", script], env={**os.environ, "TS": "17", "BODY": body}, capture_output=True, text=True
    )
    assert ran.stdout == signature(body.encode(), at_s=17), ran.stderr


def test_a_changed_body_is_refused(opened: Open, clock: Any) -> None:
    at_s = clock.now // 1000
    signed = {"x_clicktrace_timestamp": str(at_s), "x_clicktrace_signature": signature(encoded(), at_s=at_s)}
    answer = opened(**MAPPED).call("shop", encoded(total=9_999), **signed)
    assert reason(answer) == (401, "bad_signature")


@pytest.mark.parametrize(("age_s", "accepted"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_what_was_signed_outside_the_tolerance_is_refused(opened: Open, clock: Any, age_s: int, accepted: bool) -> None:
    answer = deliver(opened(**MAPPED), encoded(), clock, age_s=age_s)
    assert answer.status_code == 200 if accepted else reason(answer) == (401, "stale_timestamp")


def test_a_signed_time_that_is_no_number_is_refused(opened: Open, clock: Any) -> None:
    body = encoded()
    for stamp in ("soon", "17e8", "1789999800.5", "9" * 30, "-5"):
        mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        answer = opened(**MAPPED).call("shop", body, x_clicktrace_timestamp=stamp, x_clicktrace_signature=mac)
        assert reason(answer) == (401, "stale_timestamp")


def test_a_secret_is_exchanged_without_a_gap(opened: Open, clock: Any, tmp_path: Path) -> None:
    internet = opened("the next one", SECRET, **MAPPED)
    assert deliver(internet, encoded(), clock).status_code == 200
    secret_file(tmp_path, "the next one")
    assert reason(deliver(internet, encoded(id=18), clock)) == (401, "bad_signature")


def test_a_secret_that_cannot_be_read_asks_the_sender_to_try_again(opened: Open, clock: Any, tmp_path: Path) -> None:
    internet = opened(**MAPPED)
    Path(secret_file(tmp_path)).unlink()
    answer = deliver(internet, encoded(), clock)
    assert reason(answer) == (503, "secret_unavailable")
    assert answer.headers["retry-after"]
    assert str(tmp_path) not in answer.text


def test_an_empty_secret_signs_nothing(opened: Open, clock: Any) -> None:
    internet = opened("  ", **MAPPED)
    body, at_s = encoded(), clock.now // 1000
    forged = signature(body, at_s=at_s, secret="")
    answer = internet.call("shop", body, x_clicktrace_timestamp=str(at_s), x_clicktrace_signature=forged)
    assert reason(answer) == (503, "secret_unavailable")


def test_no_answer_and_no_setting_shows_a_secret(opened: Open, clock: Any) -> None:
    internet = opened(**MAPPED)
    answers = [deliver(internet, encoded(), clock, x_clicktrace_signature=bad) for bad in ("x", "sha256=0", "v1=")]
    assert all(SECRET not in answer.text for answer in answers)


# --- Standard Webhooks ----------------------------------------------------------------------------------------------------------

STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def standard(tmp_path: Path) -> GenericHook:
    file = secret_file(tmp_path, STANDARD_SECRET)
    connection = GenericConnection(name="shop", scheme="standard", webhook_secret_file=file)
    return GenericHook(connection, config=GenericConfig())


def test_the_reference_vector_of_standard_webhooks_is_accepted(tmp_path: Path) -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,BBBB",
    }
    request = HookRequest(method="POST", url="https://x", headers=headers, body=b'{"test": 2432232314}')
    delivery = standard(tmp_path).verify(request, now=1_614_265_330_000)
    assert delivery.sent_at == 1_614_265_330_000
    renamed = {**headers, "webhook-id": "msg_2"}
    other = HookRequest(method="POST", url="https://x", headers=renamed, body=request.body)
    with pytest.raises(Refusal, match="bad_signature"):
        standard(tmp_path).verify(other, now=1_614_265_330_000)


def test_a_secret_that_is_no_base64_is_ours_to_mend(tmp_path: Path) -> None:
    hook = standard(tmp_path)
    secret_file(tmp_path, "whsec_***")
    headers = {
        "webhook-id": "1",
        "webhook-timestamp": "1",
        "webhook-signature": "v1," + base64.b64encode(b"x").decode(),
    }
    with pytest.raises(Refusal, match="secret_unavailable"):
        hook.verify(HookRequest(method="POST", url="https://x", headers=headers, body=b"{}"), now=0)


# --- whether it came before -----------------------------------------------------------------------------------------------------


def test_a_replay_is_refused_and_writes_nothing(opened: Open, clock: Any, journaled: Any) -> None:
    internet = opened(**MAPPED)
    assert deliver(internet, encoded(), clock).status_code == 200
    clock.advance(60_000)
    assert reason(deliver(internet, encoded(), clock, age_s=60)) == (409, "replayed")
    assert len(journaled()) == 1


def test_a_replay_is_refused_after_a_restart_and_by_other_processes(opened: Open, clock: Any) -> None:
    assert deliver(opened(**MAPPED), encoded(), clock).status_code == 200
    assert reason(deliver(opened(**MAPPED), encoded(), clock)) == (409, "replayed")


def test_a_repeat_with_a_fresh_signature_changes_nothing(opened: Open, clock: Any, journaled: Any) -> None:
    internet = opened(**MAPPED)
    deliver(internet, encoded(), clock)
    clock.advance(10_000)
    assert deliver(internet, encoded(), clock).json() == {"result": "unchanged", "records": 1, "written": 0}
    assert len(journaled()) == 1


def test_of_the_same_delivery_ten_times_at_once_one_is_written(opened: Open, clock: Any, journaled: Any) -> None:
    internet = opened(**MAPPED)
    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(lambda _: deliver(internet, encoded(), clock).status_code, range(10)))
    assert sorted(codes) == [200] + [409] * 9
    assert len(journaled()) == 1


class FullDisk:
    """A journal that cannot be written until `mended`."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self.mended = False

    def append_many(self, records: Any) -> int:
        if not self.mended:
            raise JournalError("the disk is full")
        return int(self._journal.append_many(records))


def test_what_could_not_be_written_may_be_delivered_again(
    journal: Any, control: Engine, clock: Any, tmp_path: Path, journaled: Any
) -> None:
    disk = FullDisk(journal)
    one = {"name": "shop", "webhook_secret_file": secret_file(tmp_path), **MAPPED}
    internet = open_internet(disk, control, clock=clock, generic={"connections": [one]})
    assert reason(deliver(internet, encoded(), clock)) == (503, "journal_unavailable")
    disk.mended = True
    assert deliver(internet, encoded(), clock).json()["written"] == 1
    assert len(journaled()) == 1


def test_a_delivery_whose_process_died_before_writing_may_come_again(opened: Open, clock: Any, control: Engine) -> None:
    internet = opened(**MAPPED, tolerance_s=600)
    deliver(internet, encoded(), clock)
    with control.begin() as database:
        database.execute(hook_deliveries.update().values(done=False))
    assert reason(deliver(internet, encoded(), clock)) == (409, "replayed")
    clock.advance(CLAIM_MS + 1)
    assert deliver(internet, encoded(), clock, age_s=60).status_code == 200


def test_deliveries_are_forgotten_once_they_are_too_old_to_be_replayed(
    opened: Open, clock: Any, control: Engine
) -> None:
    internet = opened(**MAPPED)
    for number in range(5):
        deliver(internet, encoded(id=number), clock)
        clock.advance(120_000)
    with control.connect() as database:
        kept = database.execute(select(func.count()).select_from(hook_deliveries)).scalar_one()
    assert kept == 3  # signed within the last five minutes


# --- what it means --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "malformed"),
        (b"{", 400, "malformed"),
        (b"\xff\xfe", 400, "malformed"),
        (b"[" * 100_000, 400, "malformed"),
        (b"7", 422, "not_an_object"),
        (b"[[]]", 422, "not_an_object"),
        (b'{"conversion_id": "1", "type": "lead", "ts": "yesterday"}', 422, "bad_value"),
        (b'{"conversion_id": {"a": [1]}, "type": "lead", "ts": "2026-09-21T14:10:00Z"}', 422, "bad_value"),
        (b'{"conversion_id": 1e999999, "type": "lead", "ts": "2026-09-21T14:10:00Z"}', 422, "bad_value"),
        (b'{"type": "lead", "ts": "2026-09-21T14:10:00Z"}', 422, "missing_field"),
        (b'{"conversion_id": "1", "typ": "lead"}', 422, "unknown_field"),
        (json.dumps([{}] * 1_001).encode(), 413, "too_many_items"),
    ],
)
def test_a_body_that_cannot_be_understood_is_refused_by_its_word(
    opened: Open, clock: Any, journaled: Any, body: bytes, status: int, word: str
) -> None:
    assert reason(deliver(opened(), body, clock)) == (status, word)
    assert journaled() == []


def test_one_bad_fact_of_a_body_leaves_out_all_so_that_it_can_be_sent_again(
    opened: Open, clock: Any, journaled: Any
) -> None:
    good = {"conversion_id": "1", "type": "lead", "ts": "2026-09-21T14:10:00Z"}
    body = json.dumps([good, {**good, "value": "much"}]).encode()
    assert reason(deliver(opened(), body, clock)) == (422, "bad_value")
    assert journaled() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fields": {"ts": "data..at"}}, "write a path"),
        ({"items": ".data"}, "write a path"),
        ({"client": "acme", "collection": "spend"}, "for conversions, not for spend"),
        ({"collection": "clicks"}, "collection"),
    ],
)
def test_settings_that_cannot_work_are_named_at_the_start(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GenericConnection(name="shop", **change)


def test_two_webhooks_of_one_name_are_refused_at_the_start() -> None:
    twice = {"connections": [{"name": "shop", "webhook_secret_file": "x"}] * 2}
    with pytest.raises(ValidationError, match="two webhooks of the same name: shop"):
        CollectorsConfig.model_validate({"generic": twice})
