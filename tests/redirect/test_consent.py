"""Consent, every combination: what it decides is cookie and identifiers; the click counts and redirects all the same."""

from __future__ import annotations

from itertools import product

import pytest

from core.identity import derive
from redirect import privacy

from .test_redirect_handler import ENTROPY, ask, clicks_of

VISITOR = "7" * 32
SIGNALS = {"": "", "1": "gpc", "0": "", "1, 1": "gpc"}
#: What a page or a person wrote -> what it means; None = nothing was said.
WORDS = {None: "", "no": "no", "NO": "no", "yes": "yes", "Yes": "yes", "maybe": ""}
COMBINATIONS = list(product(SIGNALS, WORDS, WORDS, (False, True), (False, True)))


def expected_consent(signal: str, parameter: str | None, cookie: str | None) -> str:
    return SIGNALS[signal] or (WORDS[parameter] if parameter else WORDS[cookie])


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_combination_of_signal_parameter_and_cookies(signal: str) -> None:
    for combination in COMBINATIONS:
        if combination[0] == signal:
            check(*combination)


def check(signal: str, parameter: str | None, cookie: str | None, known: bool, paid: bool) -> None:
    query = "&".join([*(["gclid=abc"] if paid else []), *([f"ct_consent={parameter}"] if parameter else [])])
    cookies = "; ".join([*([f"ct_consent={cookie}"] if cookie else []), *([f"ct_vid={VISITOR}"] if known else [])])
    headers = {b"Sec-GPC": signal.encode(), b"Cookie": cookies.encode(), b"User-Agent": b"ua"}
    answer = ask(f"/spring?{query}".encode(), headers=headers)
    [click] = clicks_of(answer)
    consent = expected_consent(signal, parameter, cookie)
    private = consent in ("no", "gpc")
    random_id, derived_id = ENTROPY[:32], derive("gclid", b"abc")
    case = f"{signal=} {parameter=} {cookie=} {known=} {paid=}"

    assert answer.outcome == "redirected", case
    assert click.consent == consent, case
    assert click.click_id == (derived_id if paid and not private else random_id), case
    assert click.visitor_id == ("" if private else VISITOR if known else ENTROPY[32:64]), case
    assert click.platform_ids == ({"gclid": "abc"} if paid and not private else {}), case
    assert bool(click.network_hash) is not private, case
    assert click.network == "203.0.113.0/24", case
    assert (b"Set-Cookie: ct_vid=%b" % ENTROPY[32:64].encode() in answer.wire) is not (private or known), case
    assert (b"Set-Cookie: ct_vid=; Max-Age=0" in answer.wire) is (private and known), case
    assert click.campaign == "google:1:2", "the click counts for its campaign"
    assert click.user_agent == "ua", "what bots are told by stays"


def test_consent_given_later_brings_identifiers_back() -> None:
    refused, given = (
        ask(b"/spring?gclid=abc&ct_consent=" + word, headers={b"User-Agent": b"ua"}) for word in (b"no", b"yes")
    )
    [before], [after] = clicks_of(refused), clicks_of(given)
    assert (before.visitor_id, before.platform_ids, before.network_hash) == ("", {}, "")
    assert (after.visitor_id, after.click_id) == (ENTROPY[32:64], derive("gclid", b"abc"))
    assert b"Set-Cookie" in given.wire
    assert b"Set-Cookie: ct_vid=" + ENTROPY[32:64].encode() not in refused.wire


def test_a_refusal_in_an_odd_spelling_of_the_name_counts() -> None:
    [click] = clicks_of(ask(b"/spring?ct%5Fconsent=no"))
    assert click.consent == privacy.REFUSED
