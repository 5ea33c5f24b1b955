"""Addresses signed by the API open what they say on the redirect, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from fastapi.testclient import TestClient
from sqlalchemy import Engine
from typer.testing import Result

from app.cli.links_sign import seconds
from redirect.counters import SIGNAL_SLOT
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.signing_keys import signing_keys

from ..live_worker import ThreadWorker, link
from .conftest import SIGNING_KEY, Keys

TO = "https://shop.example/a?b=1"


@pytest.fixture(autouse=True)
def _links(store: LinkStore) -> None:
    store.add(LinkDefinition(slug="open", destination="https://shop.example/", sign="destination"), author="eva")
    store.add(LinkDefinition(slug="mail", destination="https://shop.example/", sign="campaign"), author="eva")
    store.add(LinkDefinition(slug="plain", destination="https://shop.example/", client="acme"), author="eva")


def test_a_signed_address_works_on_a_real_worker(api: TestClient, start_worker: Callable[..., ThreadWorker]) -> None:
    signed = api.post("/open/sign", json={"destination": "HTTPS://shop.example:443/a?b=1", "expires_in_s": 3600})
    assert signed.json()["destination"] == TO
    worker = start_worker(link("open", sign="destination"), signing_keys=["n" * 32, SIGNING_KEY.decode()])
    target = signed.json()["url"].removeprefix("https://go.example")
    reply = worker.get(target)
    assert reply.location.startswith(TO + "&ct_click=")
    assert worker.get(target.replace("%2Fa", "%2Fb")).status == 403
    assert [line["reason"] for line in worker.lines()] == ["redirected", "signature_invalid"]


def test_workers_and_api_share_a_key_of_the_installations_own(start_worker: Callable[..., ThreadWorker]) -> None:
    worker = start_worker(link("open", sign="destination"))
    [key] = signing_keys(worker.control, (), now=1)
    assert len(key) == 32
    assert worker.worker.world.signatures.keys == (key,)


def test_the_first_key_of_the_settings_signs(control: Engine) -> None:
    assert signing_keys(control, ("n" * 32, "o" * 32), now=1) == (b"n" * 32, b"o" * 32)


def test_signed_parameters_come_through_unflagged(api: TestClient, start_worker: Callable[..., ThreadWorker]) -> None:
    parameters = {"utm_source": "news letter", "utm_campaign": "grün & gut"}
    address = api.post("/mail/sign", json={"parameters": parameters}).json()["url"]
    worker = start_worker(link("mail", sign="campaign"), signing_keys=[SIGNING_KEY.decode()])
    target = address.removeprefix("https://go.example")
    worker.get(target, User_Agent="ua", Accept="*/*")
    worker.get(target.replace("news", "olds"), User_Agent="ua", Accept="*/*")
    first, second = worker.lines()
    assert first["utm"] == parameters
    assert first["routing"] == ["destination"]
    assert second["routing"] == ["signature:parameters_tampered", "destination"]
    slots = worker.worker.counters.slots
    assert (slots[SIGNAL_SLOT["parameters_tampered"]], slots[SIGNAL_SLOT["parameters_unsigned"]]) == (1, 0)


@pytest.mark.parametrize(
    ("name", "body", "status", "reason"),
    [
        ("open", {"destination": "https://evil.example/"}, 422, "destination_not_allowed"),
        ("open", {"destination": "javascript:alert(1)"}, 422, "destination_scheme"),
        ("open", {}, 422, "sign"),
        ("open", {"destination": TO, "parameters": {"utm_source": "x"}}, 422, "sign"),
        ("open", {"parameters": {"utm_source": "x"}}, 409, "not_signed"),
        ("open", {"destination": TO, "expires_in_s": 0}, 422, "invalid_request"),
        ("mail", {"destination": TO}, 409, "not_signed"),
        ("mail", {"parameters": {"gclid": "x"}}, 422, "parameters"),
        ("plain", {"destination": TO}, 409, "not_signed"),
        ("nothing", {"destination": TO}, 404, "unknown_link"),
    ],
)
def test_what_cannot_be_signed_is_refused_by_name(
    api: TestClient, name: str, body: dict[str, Any], status: int, reason: str
) -> None:
    answer = api.post(f"/{name}/sign", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


def test_a_key_of_another_client_signs_nothing(api: TestClient, keys: Keys) -> None:
    answer = api.post("/plain/sign", json={"destination": TO}, headers=keys.of("bob", "other"))
    assert answer.json()["reason"] == "unknown_link"


def test_the_command_prints_the_address(command: Callable[..., Result]) -> None:
    shown = command("sign", "open", "--to", TO, "--expires", "30m")
    assert shown.exit_code == 0, shown.output
    assert urlsplit(shown.stdout.strip()).path == "/open"
    signed = json.loads(command("sign", "mail", "--parameter", "utm_source=mail", "--json").stdout)
    assert signed["url"].startswith("https://go.example/mail?utm_source=mail&ct_sig=")
    assert command("sign", "open").exit_code == 2


@pytest.mark.parametrize(("span", "expected"), [("30s", 30), ("5m", 300), ("12h", 43_200), ("7d", 604_800)])
def test_a_span_is_a_number_and_a_unit(span: str, expected: int) -> None:
    assert seconds(span) == expected


@pytest.mark.parametrize("span", ["", "7", "d", "0d", "-1d", "1.5h", "1w", "7d "])
def test_any_other_span_is_refused(span: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(span)
