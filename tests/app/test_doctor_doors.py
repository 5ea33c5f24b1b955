from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.auth import KeyRing
from app.doctor_doors import doors
from app.settings import Settings, load_settings
from core.control.engine import open_control

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    def load(text: str) -> Settings:
        file = tmp_path / "clicktrace.yaml"
        file.write_text(f"data_dir: {tmp_path}\n{text}")
        return load_settings(file, environ={})

    return load


def hook(tmp_path: Path, secret: str) -> str:
    file = tmp_path / "secret"
    file.write_text(secret)
    return f"collectors: {{generic: {{connections: [{{name: shop, webhook_secret_file: {file}}}]}}}}\n"


PUBLIC = "public_url: https://clicktrace.example\nmonitor: {public_port: 8443}\n"


def said(found: Any) -> list[tuple[str, str]]:
    return [(each.check, each.state) for each in found]


def test_without_hooks_and_senders_there_is_nothing_to_say(settings: Any) -> None:
    assert doors(settings(""), None) == []


def test_a_hook_with_its_secret_and_an_address_is_fine(settings: Any, tmp_path: Path) -> None:
    assert said(doors(settings(PUBLIC + hook(tmp_path, SECRET)), None)) == [("webhooks", "ok")]


def test_a_secret_that_is_missing_or_short_is_found(settings: Any, tmp_path: Path) -> None:
    (missing,) = doors(settings(PUBLIC + hook(tmp_path, "\n")), None)
    assert (missing.state, "cannot be read or is empty" in missing.text) == ("problem", True)
    (short,) = doors(settings(PUBLIC + hook(tmp_path, "hunter2")), None)
    assert (short.state, "hunter2" in short.text + short.mend) == ("warning", False)


def test_senders_must_reach_us_over_https(settings: Any, tmp_path: Path) -> None:
    found = doors(settings(hook(tmp_path, SECRET)), None)
    assert said(found) == [("public listener", "warning")] * 2
    assert "loopback only" in found[0].text
    assert "public_url is not set" in found[1].text


def test_a_sender_needs_its_key(settings: Any, tmp_path: Path) -> None:
    loaded = settings(PUBLIC + "collectors: {postback: {senders: [{key: network}]}}\n")
    keys = KeyRing(open_control("", tmp_path))
    (found,) = doors(loaded, None)
    assert (found.check, found.state) == ("postbacks network", "problem")
    keys.add("network", scopes=["read"])
    assert said(doors(loaded, None)) == [("postbacks network", "problem")]
    keys.revoke("network")
    other = settings(PUBLIC + "collectors: {postback: {senders: [{key: tracker}]}}\n")
    keys.add("tracker", scopes=["postback"])
    assert doors(other, None) == []


def test_a_list_of_networks_behind_an_unknown_proxy_is_found(settings: Any, tmp_path: Path) -> None:
    KeyRing(open_control("", tmp_path)).add("network", scopes=["postback"])
    sender = "postback: {senders: [{key: network, networks: [198.51.100.0/24]}]}"
    behind = "public_url: https://clicktrace.example\nmonitor: {public_port: 8443, public_host: 127.0.0.1}\n"
    (found,) = doors(settings(f"{behind}collectors: {{{sender}}}\n"), None)
    assert "behind a proxy that is not trusted" in found.text
    trusting = f"collectors: {{{sender}, door: {{trusted_proxies: [127.0.0.1/32]}}}}\n"
    assert doors(settings(behind + trusting), None) == []
