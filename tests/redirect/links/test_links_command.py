"""`clicktrace links` against a links API that really listens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from app.cli import links_transfer
from core.errors import Conflict, NotFound, Refusal, Transient, Unauthorized
from redirect.links import qr
from redirect.links.model import LinkDefinition

from .conftest import Keys


@pytest.fixture
def links(command: Callable[..., Result]) -> Callable[..., Result]:
    """`clicktrace links …` with the right key in the environment."""
    return command


def result(run: Result) -> Any:
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def test_add_show_edit_disable_and_history(links: Callable[..., Result]) -> None:
    added = result(
        links(
            "add", "spring", "https://shop.example/p", "--campaign", "google:1:2", "--tag", "a", "--tag", "b", "--json"
        )
    )
    assert (added["short_url"], added["tags"], added["parallel_tracking"]) == (
        "https://go.example/spring",
        ["a", "b"],
        True,
    )
    assert "{campaignid}" in added["tracking_template"]
    assert result(links("show", "spring", "--json")) == added
    edited = result(links("edit", "spring", "--answer", "unavailable", "--no-parallel", "--json"))
    assert (edited["answer"], edited["parallel_tracking"], edited["version"]) == ("unavailable", False, 2)
    assert result(links("disable", "spring", "--json"))["disabled"] is True
    assert result(links("disable", "spring", "--undo", "--json"))["disabled"] is False
    assert [change["author"] for change in result(links("show", "spring", "--history", "--json"))["changes"]] == [
        "eva"
    ] * 4


def test_every_field_of_a_link_has_an_option(links: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "- name: ios-de\n  when: {os: [ios], country: [DE]}\n  destination: https://shop.example/ios\n"
    )
    added = result(
        links(
            "add", "spring", "https://shop.example/p", "--rules", "rules.yaml", "--variant", "a=https://shop.example/a@3",
            "--variant", "b=https://shop.example/@home", "--status", "307", "--max-clicks", "5", "--disabled",
            "--fallback", "https://shop.example/f", "--expires", "2027-01-01T00:00:00Z", "--client", "acme", "--json",
        )
    )  # fmt: skip
    assert added["rules"] == [
        {"name": "ios-de", "when": {"os": ["ios"], "country": ["DE"]}, "destination": "https://shop.example/ios"}
    ]
    assert added["variants"] == [
        {"name": "a", "destination": "https://shop.example/a", "weight": 3},
        {"name": "b", "destination": "https://shop.example/@home"},
    ]
    assert (added["status"], added["max_clicks"], added["disabled"]) == (307, 5, True)
    emptied = result(links("edit", "spring", "--rules", "", "--variant", "", "--fallback", "", "--tag", "", "--json"))
    assert (emptied["rules"], emptied["variants"], emptied["fallback"], emptied["client"]) == ([], [], "", "acme")
    help_text = links("edit", "--help").output
    own = {"slug", "destination", "domain", "tags", "variants", "parallel_tracking", "pass_personal"}
    assert [
        f for f in LinkDefinition.__struct_fields__ if f not in own and f"--{f.replace('_', '-')}" not in help_text
    ] == []


def test_fields_may_come_from_a_file(links: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "link.json").write_text('{"note": "from file", "tags": ["a"], "status": 301}')
    added = result(links("add", "s", "https://shop.example/p", "--from", "link.json", "--note", "said", "--json"))
    assert (added["note"], added["tags"], added["status"]) == ("said", ["a"], 301), "what is said wins"
    for text in ("[1]", "{", "a: [b"):
        (tmp_path / "link.json").write_text(text)
        refused = links("edit", "s", "--from", "link.json").exception
        assert isinstance(refused, Refusal)
        assert refused.reason == "malformed"
    nonsense = links("edit", "s", "--variant", "nonsense").exception
    assert isinstance(nonsense, Refusal)
    assert nonsense.reason == "variants"


def test_changes_are_undone_and_their_history_is_told(links: Callable[..., Result]) -> None:
    links("add", "spring", "https://shop.example/p", "--tag", "a")
    links("edit", "spring", "--tag", "a", "--tag", "b", "--note", "x")
    stale = links("edit", "spring", "--note", "y", "--version", "1").exception
    assert isinstance(stale, Conflict)
    assert result(links("undo", "spring", "--json"))["tags"] == ["a"]
    assert result(links("undo", "spring", "--to", "2", "--json"))["tags"] == ["a", "b"]
    assert result(links("disable", "spring", "--json"))["disabled"] is True
    assert result(links("enable", "spring", "--json"))["disabled"] is False
    told = links("history", "spring").output
    assert "created, to https://shop.example/p" in told
    assert "tags: a -> a, b" in told
    assert "disabled: False -> True" in told
    assert len(result(links("history", "spring", "--json"))["changes"]) == 6
    assert [tag["tag"] for tag in result(links("tags", "--json"))] == ["a", "b"]


def test_a_slug_that_is_a_word_of_the_api_is_a_slug(links: Callable[..., Result]) -> None:
    for slug in ("tags", "export", "import", "bulk"):
        links("add", slug, "https://shop.example/p")
        assert result(links("show", slug, "--json"))["slug"] == slug
        assert result(links("edit", slug, "--note", "n", "--json"))["slug"] == slug
        assert result(links("undo", slug, "--json"))["slug"] == slug


@pytest.mark.parametrize("name", ["links.csv", "links.json", "links.ndjson"])
def test_links_are_exported_to_a_file_and_imported_again(
    links: Callable[..., Result], tmp_path: Path, name: str
) -> None:
    links("add", "a", "https://shop.example/a", "--note", "=1\n2", "--variant", "x=https://shop.example/x")
    links("add", "b", "https://shop.example/b", "--tag", "t")
    assert links("export", "--out", name).exit_code == 0
    assert result(links("import", name, "--json")) | {"errors": []} == {
        "dry_run": False, "added": 0, "changed": 0, "unchanged": 2, "refused": 0, "errors": [],
    }  # fmt: skip
    links("edit", "a", "--note", "other")
    assert "0 would be added, 1 would be changed" in links("import", name, "--dry-run").output
    assert result(links("import", name, "--json"))["changed"] == 1
    assert result(links("show", "a", "--json"))["note"] == "=1\n2"
    assert list(tmp_path.glob("*.part")) == []
    assert links("export", "--tag", "t").stdout.splitlines()[1].startswith("b,https://shop.example/b,")


def test_a_refused_line_is_told_with_its_number_in_the_file(
    links: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links_transfer, "CHUNK_LINES", 2)
    rows = [f"s{number},https://shop.example/{number}" for number in range(5)]
    rows[3] = "s3,https://evil.example/"
    (tmp_path / "theirs.csv").write_text("\n".join(["Short,Ziel", *rows, "s5,too,many", "s6,https://shop.example/6"]))
    run = links("import", "theirs.csv", "--map", "Short=slug", "--map", "Ziel=destination")
    assert run.exit_code == 1
    assert "theirs.csv: 5 added, 0 changed, 0 unchanged, 2 refused" in run.output
    assert "line 5 (s3): destination_not_allowed" in run.output
    assert "line 7: cells: 3 cells, but 2 columns" in run.output
    for name, content, reason in (
        ("none.csv", None, "file"),
        ("latin.csv", b"slug\n\xe4\n", "encoding"),
        ("half.json", b'[{"slug": "\\ud800"}]', ""),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        refused = links("import", name)
        assert refused.exit_code == 1 if reason == "" else isinstance(refused.exception, Refusal)
        assert reason in str(refused.exception)


def test_a_qr_code_is_written_as_a_picture(links: Callable[..., Result], tmp_path: Path) -> None:
    links("add", "spring", "https://shop.example/p")
    assert links("qr", "spring", "--out", "spring.svg").exit_code == 0
    assert (tmp_path / "spring.svg").read_bytes() == qr.picture("https://go.example/spring", kind="svg")
    assert links("qr", "spring", "--out", "spring.png", "--scale", "2", "--border", "1", "--level", "H").exit_code == 0
    expected = qr.picture("https://go.example/spring", kind="png", scale=2, border=1, level="H")
    assert (tmp_path / "spring.png").read_bytes() == expected
    assert isinstance(links("qr", "none", "--out", "none.svg").exception, NotFound)
    assert not (tmp_path / "none.svg").exists()


def test_people_read_tables(links: Callable[..., Result]) -> None:
    assert "There are no links yet" in links("list").output
    shown = links("add", "spring", "https://shop.example/p", "--platform", "meta", "--account", "7").output
    assert "https://go.example/spring?ct_campaign=meta:7:{{campaign.id}}" in shown
    links("add", "summer", "https://shop.example/q", "--tag", "hot")
    links("disable", "summer")
    listed = links("list", "--tag", "hot").output
    assert "summer" in listed
    assert "disabled" in listed
    assert "spring" not in listed
    assert "eva" in links("show", "spring", "--history").output


def test_a_refusal_keeps_its_reason(links: Callable[..., Result]) -> None:
    for run, reason in (
        (links("add", "spring", "https://evil.example/"), "destination_not_allowed"),
        (links("show", "none"), "unknown_link"),
        (links("list", "--key", "wrong"), "wrong_key"),
    ):
        assert run.exit_code != 0
        assert isinstance(run.exception, Refusal)
        assert run.exception.reason == reason


def test_without_a_key_the_admin_key_of_the_data_directory_is_used(
    links: Callable[..., Result], keys: Keys, tmp_path: Path
) -> None:
    missing = links("list", "--key", "")
    assert isinstance(missing.exception, Unauthorized)
    assert missing.exception.reason == "no_key"
    (tmp_path / "admin.key").write_text(keys.of("eva")["Authorization"].removeprefix("Bearer ") + "\n")
    assert links("list", "--key", "").exit_code == 0


def test_a_monitor_that_is_not_there_is_said_so(links: Callable[..., Result]) -> None:
    run = links("list", "--url", "http://127.0.0.1:1")
    assert isinstance(run.exception, Transient)
    assert "is the monitor running there?" in str(run.exception)
