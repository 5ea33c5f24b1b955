"""What a request says of its visitor: device and system, preferred language, country, parameters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from redirect.country import CHECK_MS, MEMO_MS, Countries
from redirect.visitor import RequestVisitor, describe_agent, preferred_languages

from .routes import NOW, write_countries

IPHONE = b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
CHROME = b"Mozilla/5.0 (%b) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 %bSafari/537.36"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (IPHONE, ("mobile", "ios")),
        (CHROME % (b"Linux; Android 14; Pixel 8", b"Mobile "), ("mobile", "android")),
        (CHROME % (b"Linux; Android 14; SM-X910", b""), ("tablet", "android")),
        (CHROME % (b"Windows NT 10.0; Win64; x64", b""), ("desktop", "windows")),
        (CHROME % (b"Macintosh; Intel Mac OS X 10_15_7", b""), ("desktop", "macos")),
        (CHROME % (b"X11; Linux x86_64", b""), ("desktop", "linux")),
        (CHROME % (b"X11; CrOS x86_64 14541.0.0", b""), ("desktop", "chromeos")),
        (b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", ("bot", "other")),
        (b"", ("other", "other")),
        (b"\xff\xfe", ("other", "other")),
    ],
)
def test_devices_and_systems_have_the_words_of_conditions(agent: bytes, words: tuple[str, str]) -> None:
    assert describe_agent(agent) == words


@pytest.mark.parametrize(
    ("header", "languages"),
    [
        (b"", set()),
        (b"*", set()),
        (b"de", {"de"}),
        (b"de-AT,de;q=0.9,en;q=0.8", {"de-at", "de"}),
        (b"en;q=0.8, de-AT", {"de-at", "de"}),
        (b"en;q=0.8,de;q=0.8", {"en"}),
        (b"fr;q=0, en;q=0.1", {"en"}),
        (b"zh-Hant-TW", {"zh-hant-tw", "zh-hant", "zh"}),
        (b"de;q=x, en;q=0.2", {"en"}),
        (b"\xff;q=nan,,;q=1", set()),
    ],
)
def test_the_most_preferred_language_counts(header: bytes, languages: set[str]) -> None:
    assert preferred_languages(header) == languages


def test_a_parameter_is_its_first_value_decoded() -> None:
    visitor = RequestVisitor(
        user_agent=b"", accept_language=b"", address="", query=b"a=%41&a=2&b=", countries=Countries()
    )
    assert [visitor.parameter(name) for name in (b"a", b"b", b"c")] == [b"A", b"", None]


def test_a_country_is_looked_up_in_the_database_the_user_brings(tmp_path: Path) -> None:
    path = tmp_path / "c.mmdb"
    write_countries(path, {"203.0.113.0/24": "AT", "2001:db8::/32": "DE"})
    countries = Countries(path)
    found = [
        countries.of(a, now=NOW)
        for a in ("203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "192.0.2.1", "no address")
    ]
    assert found == ["AT", "AT", "DE", "", ""]


def test_a_new_file_is_used_and_a_broken_or_missing_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.mmdb"
    countries = Countries(path)
    assert countries.of("203.0.113.7", now=NOW) is None
    write_countries(path, {"203.0.113.0/24": "AT"})
    assert countries.of("203.0.113.7", now=NOW + CHECK_MS - 1) is None, "looked at every few seconds only"
    assert countries.of("203.0.113.7", now=NOW + CHECK_MS) == "AT"
    write_countries(path, {"203.0.113.0/24": "CH"})
    assert countries.of("203.0.113.7", now=NOW + 2 * CHECK_MS) == "CH"
    broken = tmp_path / "broken"
    broken.write_bytes(b"no database" * 100)
    broken.rename(path)
    assert countries.of("203.0.113.7", now=NOW + 3 * CHECK_MS) == "CH"
    path.unlink()
    assert countries.of("203.0.113.8", now=NOW + 4 * CHECK_MS) == "CH"


def test_addresses_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "c.mmdb"
    write_countries(path, {"203.0.113.0/24": "AT"})
    countries = Countries(path)
    countries.of("203.0.113.7", now=NOW)
    countries.of("203.0.113.8", now=NOW + MEMO_MS + 1)
    assert list(countries._memo) == ["203.0.113.8"]


def test_a_clock_that_goes_back_does_not_stop_the_look_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.mmdb"
    countries = Countries(path)
    assert countries.of("203.0.113.7", now=NOW) is None
    write_countries(path, {"203.0.113.0/24": "AT"})
    assert countries.of("203.0.113.7", now=NOW - 3_600_000) == "AT"


def test_lists_and_databases_are_not_loaded_before_a_condition_needs_them() -> None:
    code = (
        "import sys, redirect.server; print(sorted({'ua_parser', 'crawleruseragents', 'maxminddb'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
