"""A link never leads to the redirect again: refused when it is written, and never followed if it was written before."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine

from core.destinations import AllowList
from core.errors import Invalid
from redirect.config import RedirectConfig
from redirect.links.model import Link, LinkDefinition
from redirect.links.routing import Rule, Variant, When
from redirect.links.store import LinkStore
from redirect.live_link import to_live

LOOP = "https://go.shop.example/other"


@pytest.fixture
def links(control: Engine) -> LinkStore:
    return LinkStore(control, allowed_destinations=["*.shop.example"], own_hosts=["go.shop.example"])


@pytest.mark.parametrize(
    "fields",
    [
        {"destination": LOOP},
        {"destination": "https://GO.shop.example.:443/x"},
        {"fallback": LOOP, "expires": "2030-01-01T00:00:00Z"},
        {"variants": (Variant(name="a", destination=LOOP),)},
        {"rules": (Rule(name="r", when=When(device=("mobile",)), destination=LOOP),)},
        {"domain": "kurz.shop.example", "destination": "https://kurz.shop.example/other"},
        {"domain": "kurz.shop.example", "fallback": "https://kurz.shop.example/x", "expires": "2030-01-01T00:00:00Z"},
    ],
)
def test_a_link_to_the_redirect_itself_is_refused(links: LinkStore, fields: dict[str, Any]) -> None:
    values = {"destination": "https://www.shop.example/", **fields}
    with pytest.raises(Invalid) as refused:
        links.add(LinkDefinition(slug="spring", **values), author="eva")
    assert refused.value.reason == "destination_loop"


def test_a_link_that_became_a_loop_loses_its_clicks_instead_of_going_round() -> None:
    link = Link(link_id="ab" * 16, version=1, definition=LinkDefinition(slug="a", destination=LOOP), updated_at=1)
    live = to_live(link, allowed=AllowList(["*.shop.example"], own=["go.shop.example"]))
    assert live.decision.target.outcome == "destination_not_allowed"


def test_the_settings_say_where_the_redirect_answers() -> None:
    config = RedirectConfig.model_validate({"domains": ["go.example"], "public_url": "https://kurz.example:8443/"})
    assert config.own_hosts == ("go.example", "kurz.example:8443")
    assert RedirectConfig.model_validate({}).own_hosts == ("localhost:8081",)
    with pytest.raises(ValidationError, match="write host or host:port"):
        RedirectConfig.model_validate({"domains": ["https://go.example"]})
