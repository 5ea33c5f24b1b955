"""Lists of data-centre networks as their providers publish them, and ASN databases; the words that flags may be."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from correlator import datacenters, traffic_words
from redirect import reasons

AWS = {
    "syncToken": "1", "createDate": "2026-09-21-00-00-00",
    "prefixes": [{"ip_prefix": "198.51.100.0/23", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"}],
    "ipv6_prefixes": [{"ipv6_prefix": "2001:db8:1::/47", "region": "eu-west-1", "service": "EC2"}],
}  # fmt: skip
GOOGLE = {
    "syncToken": "1",
    "prefixes": [{"ipv4Prefix": "198.51.100.0/23", "scope": "x"}, {"ipv6Prefix": "2001:db8:1::/47", "scope": "x"}],
}
AZURE = {
    "changeNumber": 1,
    "values": [{"name": "AzureCloud", "properties": {"addressPrefixes": ["198.51.100.0/23", "2001:db8:1::/47"]}}],
}
LINES = "# ours\n198.51.100.0/23\n\n2001:db8:1::/47   # too\n"


@pytest.mark.parametrize("content", [json.dumps(AWS), json.dumps(GOOGLE), json.dumps(AZURE), LINES, "\ufeff" + LINES])
def test_every_published_format_is_read(tmp_path: Path, content: str) -> None:
    file = tmp_path / "list"
    file.write_text(content, "utf-8")
    lists = datacenters.load([str(file)])
    assert [(one.state, one.entries) for one in lists.files] == [("ok", 2)]
    assert [lists.owner(network) for network in ("198.51.101.0/24", "2001:db8:1::/48", "203.0.113.0/24")] == [
        "listed",
        "listed",
        None,
    ]


@pytest.mark.parametrize(
    "content", ["198.51.100.300/24", '{"prefixes": 3}', '{"values": [{}]}', "{}", "[1]", '{"a', "\xff"]
)
def test_what_is_no_list_is_said_and_the_others_go_on(tmp_path: Path, content: str) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(content.encode("latin-1"))
    good.write_text(LINES)
    lists = datacenters.load([str(bad), str(good), str(tmp_path / "gone")])
    assert [one.state for one in lists.files] == ["unreadable", "ok", "missing"]
    assert lists.files[0].problem
    assert lists.owner("198.51.100.0/24") == "listed"


@pytest.mark.parametrize("network", ["", "unknown", "198.51.100.0/99", "198.51.100.0, 192.0.2.0"])
def test_what_an_import_brought_for_a_network_belongs_to_nobody(tmp_path: Path, network: str) -> None:
    (tmp_path / "list").write_text(LINES)
    assert datacenters.load([str(tmp_path / "list")]).owner(network) is None


def test_an_asn_database_is_compared_with_the_kept_hosters(tmp_path: Path) -> None:
    writer = MMDBWriter(ip_version=6, database_type="ASN", ipv4_compatible=True)
    for network, name in {"198.51.100.0/24": "Hetzner Online GmbH", "203.0.113.0/24": "Deutsche Telekom AG"}.items():
        writer.insert_network(IPSet([network]), {"autonomous_system_organization": name})
    file = tmp_path / "asn.mmdb"
    writer.to_db_file(str(file))
    lists = datacenters.load([str(file)])
    assert [one.state for one in lists.files] == ["ok"]
    found = [lists.owner(network) for network in ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "2001:db8::/48")]
    assert found == ["Hetzner Online GmbH", None, None, None]


def test_a_damaged_database_is_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "asn.mmdb"
    file.write_bytes(b"no database")
    assert [one.state for one in datacenters.load([str(file)]).files] == ["unreadable"]


@pytest.mark.parametrize(
    ("name", "hoster"),
    [
        ("AMAZON-02", True), ("Amazon.com, Inc.", True), ("DigitalOcean, LLC", True), ("OVH SAS", True), ("Covhanna Telecom", False),
        ("Deutsche Telekom AG", False), ("Google LLC", False), ("GOOGLE-CLOUD-PLATFORM", True), ("Comcast Cable", False), ("", False),
    ],
)  # fmt: skip
def test_hosters_are_told_by_whole_words(name: str, hoster: bool) -> None:
    assert datacenters.is_hoster(name) is hoster


def test_a_network_is_a_data_centres_when_half_of_it_is_listed() -> None:
    ranges = datacenters.Ranges(
        ipaddress.ip_network(text) for text in ("198.51.100.0/26", "198.51.100.64/26", "198.51.101.0/26", "0.0.0.0/30")
    )
    shares = [ranges.covers(ipaddress.ip_network(f"198.51.{n}.0/24")) for n in (99, 100, 101)]
    assert shares == [0.0, 0.5, 0.25]
    assert datacenters.Ranges([]).covers(ipaddress.ip_network("10.0.0.0/24")) == 0.0


def test_lists_are_parsed_again_only_when_a_file_changed(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text(LINES)
    first = datacenters.load([str(file)])
    assert datacenters.load([str(file)]) is first
    file.write_text("203.0.113.0/24\n")
    os.utime(file, (1, 1))
    again = datacenters.load([str(file)])
    assert (again.owner("203.0.113.0/24"), again.version != first.version) == ("listed", True)
    assert datacenters.load([]).version == ""


def test_the_redirects_words_are_the_reports_words() -> None:
    assert tuple(word.word for word in traffic_words.SIGNALS) == reasons.BOT_SIGNALS


def test_every_word_is_explained_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "redirect.md").read_text("utf-8")
    missing = [word for word in (*traffic_words.HIT_WORDS, *traffic_words.CONVERSION_WORDS) if f"`{word}`" not in page]
    assert missing == []
