"""Every word of the closed lists, made to happen on a real worker: the same word in the metric, in the worker's log, in the record and in its
routing trace. A word that is added without a case here fails the suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry

from core.click_telemetry import ClickTelemetry
from core.journal.reader import iter_lines, list_segments
from redirect import refusal_log
from redirect.canary_mark import HEADER
from redirect.counters import Counters, read_all
from redirect.links.routing import Variant
from redirect.links.store import LinkStore
from redirect.metrics import RedirectCollector
from redirect.reasons import ANSWERED, BOT_SIGNALS, CONDITIONS, OUTCOMES, PARAMETER_SIGNALS, REFUSALS
from redirect.signing import sign_destination

from .live_worker import ThreadWorker, eventually, link
from .test_links_live import _rename
from .test_resolve import test_every_condition_holds_or_names_itself as conditions_tried
from .test_server_hostile import send_without_reading, small_window
from .watch.test_canary_hits import mark_of

Start = Callable[..., ThreadWorker]
KEY: Final = "k" * 32
MARK: Final = HEADER.replace("-", "_")
PAGE_VIEW: Final = b'{"events":[{"name":"page_view"}]}'
TO: Final = "ct_to=https%3A%2F%2Fshop.example%2F&ct_exp=9999999999&ct_sig="


class Case:
    """How a word comes about: links and settings of the worker, what is asked, and other outcomes that it takes to get there."""

    def __init__(
        self, ask: Callable[[ThreadWorker], object], *links: Any, others: dict[str, int] | None = None, **settings: Any
    ) -> None:
        self.ask = ask
        self.links = links or (link(),)
        self.settings = settings
        #: None = any number of redirects.
        self.others = {} if others is None else others


def get(target: str = "/spring", *, times: int = 1, **headers: str) -> Callable[[ThreadWorker], object]:
    return lambda worker: [worker.get(target, **headers) for _ in range(times)]


def send(method: str, target: str, **headers: str) -> Callable[[ThreadWorker], object]:
    return lambda worker: worker.connect().request(method, target, **headers)


def post(body: bytes = PAGE_VIEW, *, times: int = 1, **headers: str) -> Callable[[ThreadWorker], object]:
    return lambda worker: [worker.connect().request("POST", "/ct/e", body=body, **headers) for _ in range(times)]


def raw(data: bytes) -> Callable[[ThreadWorker], object]:
    def ask(worker: ThreadWorker) -> object:
        client = worker.connect()
        client.send(data)
        return client.read()

    return ask


def leave_the_list(worker: ThreadWorker) -> None:
    LinkStore(worker.control, allowed_destinations=["gone.example"]).add(
        link("gone", "https://gone.example/"), author="t"
    )
    worker.get("/gone")


def read_from_a_database_that_is_away(worker: ThreadWorker) -> None:
    _rename(worker, "links", "gone")
    worker.get("/spring")
    _rename(worker, "gone", "links")


def open_one_too_many(worker: ThreadWorker) -> None:
    first = worker.connect()
    eventually(lambda: bool(worker.worker.server and worker.worker.server.connections))
    worker.connect().read()
    first.sock.close()


def read_nothing(worker: ThreadWorker) -> None:
    with small_window(worker) as client, pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_without_reading(client)


def break_something(worker: ThreadWorker) -> None:
    worker.worker.world.links = None  # type: ignore[assignment]
    assert worker.get("/spring").status == 500


def canary(worker: ThreadWorker) -> None:
    worker.get("/spring", **{MARK: mark_of(worker)})


CASES: Final[dict[str, Case]] = {
    "redirected": Case(get()),
    "disabled": Case(get(), link(disabled=True)),
    "not_started": Case(get(), link(starts="2090-01-01T00:00:00Z")),
    "expired": Case(get(), link(expires="2001-01-01T00:00:00Z")),
    "max_clicks_reached": Case(get(times=2), link(max_clicks=1), others={"redirected": 1}),
    "unavailable": Case(get(), link(answer="unavailable")),
    "destination_not_allowed": Case(leave_the_list),
    "signature_missing": Case(get("/spring?ct_to=https://shop.example/"), link(sign="destination")),
    "signature_invalid": Case(get(f"/spring?{TO}{'A' * 43}"), link(sign="destination")),
    "signature_expired": Case(
        get("/spring?" + sign_destination(KEY.encode(), domain="", slug="spring", destination="https://shop.example/", expires_s=1)),
        link(sign="destination"),
        signing_keys=[KEY],
    ),
    "rate_limited": Case(get(times=2), address_hits_per_second=0.01, others={"redirected": 1}),
    "head": Case(send("HEAD", "/spring")),
    "prefetch": Case(get(Sec_Purpose="prefetch")),
    "link_preview": Case(get(User_Agent="Twitterbot/1.0")),
    "unknown_slug": Case(get("/nothing")),
    "unknown_domain": Case(get(Host="evil.example"), domains=["go.example"]),
    "links_unavailable": Case(read_from_a_database_that_is_away),
    "snippet": Case(get("/ct.js")),
    "health": Case(get("/healthz")),
    "preflight": Case(send("OPTIONS", "/ct/e", Origin="https://shop.example")),
    "method_not_allowed": Case(send("DELETE", "/spring")),
    "canary": Case(canary),
    "canary_refused": Case(get(**{MARK: "1.a.0123456789abcdef"})),
    "events": Case(post()),
    "events_malformed": Case(post(b"{")),
    "events_too_many": Case(post(b'{"events":[]}')),
    "events_unknown_name": Case(post(b'{"events":[{"name":"nonsense"}]}')),
    "events_bad_click_id": Case(post(b'{"click":"x","events":[{"name":"page_view"}]}')),
    "events_bad_field": Case(post(b'{"session":"<","events":[{"name":"page_view"}]}')),
    "events_foreign_origin": Case(post(Origin="https://evil.example"), sites=["shop.example"]),
    "events_rate_limited": Case(post(times=2), events_per_second=0.01, others={"events": 1}),
    "malformed": Case(raw(b"NONSENSE\r\n\r\n")),
    "uri_too_long": Case(get("/spring?a=" + "x" * 300), max_target_bytes=256),
    "headers_too_large": Case(get(X_Pad="x" * 1100), max_header_bytes=1024, max_target_bytes=256),
    "body_too_large": Case(post(b"x" * 1100), max_body_bytes=1024),
    "timed_out": Case(raw(b"GET /spring HTTP/1.1\r\nHost:"), header_timeout_s=0.2),
    "slow_reader": Case(read_nothing, write_timeout_s=0.5),
    "too_many_connections": Case(open_one_too_many, max_connections=1),
    "failed": Case(break_something),
}  # fmt: skip
#: Words of hits on a known link: they are journaled as clicks.
CLICKS: Final = OUTCOMES[: OUTCOMES.index("rate_limited") + 1]
SIGNALS: Final = {
    "parameters_unsigned": "/spring?utm_source=mail",
    "parameters_tampered": f"/spring?utm_source=mail&ct_sig={'A' * 43}",
}
MACHINES: Final[dict[str, dict[str, str]]] = {
    "no_user_agent": {"Accept": "*/*"},
    "headless": {"Accept": "*/*", "User_Agent": "Mozilla/5.0 HeadlessChrome/126.0"},
    "no_accept": {"User_Agent": "Mozilla/5.0"},
}


class Heard:
    """What the workers log of refusals, added up by word."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def info(self, _event: str, **words: int) -> None:
        for word, number in words.items():
            self.words[word] = self.words.get(word, 0) + number


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    log = Heard()
    monkeypatch.setattr(refusal_log, "log", log)
    return log


def sample(worker: ThreadWorker, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(RedirectCollector(worker.data_dir))
    return registry.get_sample_value(name, {"worker": "0", **labels})


def outcomes(worker: ThreadWorker) -> dict[str, int]:
    [counters] = read_all(worker.data_dir)
    return {word: counters.values[f"outcome:{word}"] for word in OUTCOMES if counters.values[f"outcome:{word}"]}


def test_every_word_has_a_case() -> None:
    assert list(CASES) == list(OUTCOMES)
    assert set(REFUSALS) == set(OUTCOMES) - ANSWERED
    assert tuple(SIGNALS) == PARAMETER_SIGNALS
    assert tuple(MACHINES) == BOT_SIGNALS


@pytest.mark.parametrize("word", OUTCOMES)
def test_an_outcome_is_the_same_word_everywhere(start_worker: Start, heard: Heard, word: str) -> None:
    case = CASES[word]
    worker = start_worker(*case.links, **case.settings)
    case.ask(worker)
    eventually(lambda: word in outcomes(worker))
    worker.stop()

    counted = outcomes(worker)
    assert counted.pop(word) == 1
    assert counted == case.others or word == "slow_reader", "and nothing else is counted"
    assert sample(worker, "clicktrace_redirect_requests_total", outcome=word) == 1
    assert heard.words == ({word: 1} if word in REFUSALS else {})
    clicks = [line for line in worker.lines() if line["reason"] == word]
    assert len(clicks) == (word in CLICKS)
    if word in CLICKS and word != "redirected":
        *_, why, end = clicks[0]["routing"]
        assert (why.rpartition(":")[2], end) == (word, "lost")
    assert (
        word in CLICKS
        or not [line for line in worker.lines() if line["reason"] not in case.others]
        or word == "slow_reader"
    )


@pytest.mark.parametrize("word", PARAMETER_SIGNALS)
def test_a_flag_on_parameters_is_the_same_word_everywhere(start_worker: Start, heard: Heard, word: str) -> None:
    worker = start_worker(link(sign="campaign"), signing_keys=[KEY])
    assert worker.get(SIGNALS[word]).status == 302
    worker.stop()
    assert sample(worker, "clicktrace_redirect_parameter_signals_total", signal=word) == 1
    assert heard.words == {word: 1}
    [click] = worker.lines()
    assert click["routing"] == [f"signature:{word}", "destination"]


@pytest.mark.parametrize("word", BOT_SIGNALS)
def test_a_signal_of_a_machine_is_the_same_word_in_record_and_metric(worker: ThreadWorker, word: str) -> None:
    """Not in the routing trace: it decides nothing about the way."""
    assert worker.get("/spring", **MACHINES[word]).status == 302
    lines = [line for one in list_segments(worker.data_dir / "journal") for line in iter_lines(one.path)]
    telemetry = ClickTelemetry(signals=BOT_SIGNALS)
    telemetry.observe("click", lines)
    registry = CollectorRegistry()
    registry.register(telemetry.metrics)
    counted = {one: registry.get_sample_value("clicktrace_click_signals_total", {"signal": one}) for one in BOT_SIGNALS}
    assert counted == {one: float(one == word) for one in BOT_SIGNALS}
    assert worker.lines()[0]["bot_signals"] == [word]


def test_a_choice_that_is_no_longer_allowed_says_where_it_would_have_gone(start_worker: Start) -> None:
    worker = start_worker(link())
    store = LinkStore(worker.control, allowed_destinations=["shop.example", "gone.example"])
    store.add(link("drawn", variants=(Variant(name="a", destination="https://gone.example/"),)), author="t")
    store.add(link("over", expires="2001-01-01T00:00:00Z", fallback="https://gone.example/"), author="t")
    assert [worker.get(path).status for path in ("/drawn", "/over")] == [403, 403]
    assert [line["routing"] for line in worker.lines()] == [
        ["variant:a", "destination_not_allowed", "lost"],
        ["schedule:expired", "fallback", "destination_not_allowed", "lost"],
    ]


def test_the_log_says_at_once_what_is_refused_and_then_once_a_minute(tmp_path: Path, heard: Heard) -> None:
    counters = Counters(tmp_path, index=0)
    counters.add("outcome:unknown_slug", 7)
    log = refusal_log.RefusalLog(counters)
    log.tell_if_due(100.0)
    assert heard.words == {}, "what a worker before this one has told"
    counters.add("outcome:unknown_slug")
    log.tell_if_due(101.0)
    counters.add("outcome:unknown_slug", 3)
    log.tell_if_due(100.0 + refusal_log.QUIET_S)
    assert heard.words == {"unknown_slug": 1}
    log.tell_if_due(101.0 + refusal_log.QUIET_S)
    assert heard.words == {"unknown_slug": 4}
    counters.close()


def test_every_condition_of_a_rule_is_tried_somewhere() -> None:
    """By its word, in `test_resolve.py`."""
    tried = {failing for mark in conditions_tried.pytestmark for _, failing in mark.args[1]}  # type: ignore[attr-defined]
    assert tried - {""} | {"no_country_database"} == set(CONDITIONS)
