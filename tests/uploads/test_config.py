"""Off unless told otherwise, and every mistake in the settings named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import uploads
from app.settings import Settings, load_settings
from app.uploading import sandbox_accounts
from core.errors import SettingsError
from uploads.registry import DESTINATIONS, build_destinations

GOOGLE = {
    "name": "google-shop", "enabled": True, "account": "1", "credentials_file": "key.json",
    "conversions": [{"type": "order", "target": "7001"}],
}  # fmt: skip
META = {
    "name": "meta-shop", "enabled": True, "dataset": "55", "credentials_file": "token",
    "conversions": [{"type": "order", "target": "Purchase"}],
}  # fmt: skip


def configured(tmp_path: Path, uploads: dict[str, Any], **more: Any) -> Settings:
    file = tmp_path / "clicktrace.yaml"
    file.write_text(yaml.safe_dump({"uploads": uploads, **more}))
    return load_settings(file, environ={"CLICKTRACE_DATA_DIR": str(tmp_path / "data")})


def both(**switch: Any) -> dict[str, Any]:
    return {"google_data_manager": {"connections": [GOOGLE]}, "meta_conversions": {"connections": [META]}} | switch


def names(settings: Settings, **more: bool) -> list[str]:
    return [one.config.name for one in build_destinations(settings.uploads, **more)]


def test_nothing_is_reported_unless_both_switches_say_so(tmp_path: Path) -> None:
    assert names(configured(tmp_path, {})) == []
    assert names(configured(tmp_path, both())) == []
    assert names(configured(tmp_path, both(enabled=True))) == ["google-shop", "meta-shop"]
    one = both(enabled=True, google_data_manager={"connections": [GOOGLE | {"enabled": False}]})
    assert names(configured(tmp_path, one)) == ["meta-shop"]
    assert names(configured(tmp_path, one), disabled_too=True) == ["google-shop", "meta-shop"]


def test_a_destination_is_off_until_it_is_switched_on(tmp_path: Path) -> None:
    unsaid = {key: value for key, value in META.items() if key != "enabled"}
    assert names(configured(tmp_path, {"enabled": True, "meta_conversions": {"connections": [unsaid]}})) == []


@pytest.mark.parametrize(
    ("uploads", "words"),
    [
        (both(meta_conversions={"connections": [META | {"name": "google-shop"}]}), "same name: google-shop"),
        (
            both(meta_conversions={"connections": [META, META | {"name": "again"}]}),
            "order as event Purchase of data set 55",
        ),
        (both(meta_conversions={"connections": [META | {"conversions": []}]}), "conversions: must not be empty"),
        (both(meta_conversions={"connections": [META | {"page_url": "shop.example"}]}), "begin it with https://"),
        (both(meta_conversions={"connections": [META | {"since": "yesterday"}]}), "not an RFC 3339 time"),
        (both(google_data_manager={"connections": [GOOGLE | {"account": "123-456"}]}), "account"),
        (
            both(google_data_manager={"connections": [GOOGLE | {"conversions": GOOGLE["conversions"] * 2}]}),
            "listed more than once: order as 7001",
        ),
    ],
    ids=["names", "targets", "nothing to send", "page", "since", "account", "twice"],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, uploads: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        configured(tmp_path, uploads)
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_a_destination_says_what_whoever_switches_it_on_must_know(kind: str) -> None:
    told = (Path(uploads.__file__).parent / kind / "README.md").read_text("utf-8").lower()
    wanted = ("least privilege", "limits", "repetitions", "documentation used", "not verified")
    assert [words for words in wanted if words not in told] == []


def test_accounts_that_are_tests_are_known_whatever_their_form(tmp_path: Path) -> None:
    accounts = [
        {"platform": "meta", "account": "act_5", "sandbox": True},
        {"platform": "google", "account": "1", "sandbox": True},
        {"platform": "google", "account": "2"},
    ]
    assert sandbox_accounts(configured(tmp_path, {}, accounts=accounts)) == ["meta:5", "google:1"]
