from __future__ import annotations

import pytest

from app.demo.ad_account import Clicks
from app.demo.google_sandbox import GoogleSandbox
from core.clock import HOUR_MS
from core.errors import Permanent, Transient
from core.vendors.config import AccountConfig
from core.vendors.google_ads import GoogleAdsAccount
from core.vendors.google_ads_wire import SCOPE
from core.vendors.google_sign_in import ServiceAccount


@pytest.fixture
def client(google: GoogleSandbox) -> GoogleAdsAccount:
    return GoogleAdsAccount(
        AccountConfig(
            platform="google",
            account="1234567890",
            endpoint=google.endpoint,
            credentials_file=str(google.credentials_file),
        )
    )


def test_spend_is_broken_down_by_device(client: GoogleAdsAccount, google: GoogleSandbox) -> None:
    ts = google.account.clock()
    google.account.add_clicks(
        [Clicks(campaign="12", clicks=n, device=d, ts=ts) for n, d in [(3, "mobile"), (5, "desktop")]]
    )
    google.account.clock.now = ts + 4 * HOUR_MS
    rows = {row.device: row.clicks for row in client.spend(ts - HOUR_MS, ts + HOUR_MS, deadline_s=10).rows}
    assert rows == {"mobile": 3, "desktop": 5}


def test_a_revoked_token_is_replaced_before_the_credentials_are_blamed(
    client: GoogleAdsAccount, google: GoogleSandbox
) -> None:
    client.campaigns(deadline_s=10)
    google.issuer.tokens.clear()
    with pytest.raises(Transient, match="OAUTH_TOKEN_INVALID"):
        client.campaigns(deadline_s=10)
    assert len(client.campaigns(deadline_s=10)) == 2


@pytest.mark.parametrize(("life_s", "tokens"), [(3600, 1), (60, 2)])
def test_a_token_is_used_until_shortly_before_it_ends_and_then_renewed(
    google: GoogleSandbox, monkeypatch: pytest.MonkeyPatch, life_s: int, tokens: int
) -> None:
    monkeypatch.setattr("app.demo.google_tokens.TOKEN_LIFE_S", life_s)
    account = ServiceAccount("google", str(google.credentials_file), scope=SCOPE)
    assert len({account.bearer()["Authorization"] for _ in range(2)}) == len(google.issuer.tokens) == tokens


def test_another_customer_is_refused_by_name(google: GoogleSandbox) -> None:
    other = GoogleAdsAccount(
        AccountConfig(
            platform="google", account="999", endpoint=google.endpoint, credentials_file=str(google.credentials_file)
        )
    )
    with pytest.raises(Permanent, match="USER_PERMISSION_DENIED"):
        other.campaigns(deadline_s=10)
