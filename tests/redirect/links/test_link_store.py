"""Link definitions: rules, versions, history."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from core.errors import Conflict, Invalid, NotFound
from redirect.links.model import LinkDefinition
from redirect.links.routing import Rule, Variant, When
from redirect.links.search import Filter, cursor_after
from redirect.links.store import LinkStore


class Clock:
    now = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def links(control: Engine) -> LinkStore:
    return LinkStore(control, allowed_destinations=["shop.example"], clock=Clock())


def definition(**fields: Any) -> LinkDefinition:
    return LinkDefinition(**{"slug": "spring", "destination": "https://shop.example/p", **fields})


def test_an_added_link_is_stored_in_normal_form(links: LinkStore) -> None:
    added = links.add(
        definition(destination="HTTPS://Shop.Example/a/../p", domain="GO.example", campaign="google:1:2"), author="eva"
    )
    assert added.definition.destination == "https://shop.example/p"
    assert (added.definition.domain, added.definition.platform, added.version) == ("go.example", "google", 1)
    assert links.get(added.link_id) == links.find("spring", domain="go.example") == added


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"slug": ""}, "slug"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": "a b"}, "slug"),
        ({"slug": "ä"}, "slug"),
        ({"slug": ".hidden"}, "slug"),
        ({"slug": "a" * 129}, "slug"),
        ({"slug": "ct"}, "slug"),
        ({"slug": "ct.js"}, "slug"),
        ({"slug": "healthz"}, "slug"),
        ({"domain": "go.example/x"}, "domain"),
        ({"domain": "https://go.example"}, "domain"),
        ({"platform": "myspace"}, "platform"),
        ({"campaign": "2"}, "campaign"),
        ({"ad_group": "google:1"}, "ad_group"),
        ({"creative": "google::1"}, "creative"),
        ({"platform": "meta", "campaign": "google:1:2"}, "campaign"),
        ({"tags": ("a,b",)}, "tags"),
        ({"tags": ("",)}, "tags"),
        ({"tags": tuple(f"t{n}" for n in range(33))}, "tags"),
        ({"destination": "https://evil.example/"}, "destination_not_allowed"),
        ({"destination": "javascript:alert(1)"}, "destination_scheme"),
        ({"destination": "http://10.0.0.1/"}, "destination_private"),
    ],
)
def test_a_broken_rule_is_refused_by_name_and_stores_nothing(
    links: LinkStore, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Invalid) as refused:
        links.add(definition(**fields), author="eva")
    assert refused.value.reason == reason
    assert links.list() == []


def test_a_taken_slug_is_a_conflict_on_its_domain_only(links: LinkStore) -> None:
    links.add(definition(), author="eva")
    with pytest.raises(Conflict, match="link_exists"):
        links.add(definition(), author="bob")
    assert links.add(definition(domain="go.example"), author="bob").version == 1


def test_every_change_is_a_version_with_its_author(links: LinkStore) -> None:
    link = links.add(definition(), author="eva")
    links.edit(link.link_id, {"destination": "https://shop.example/q"}, author="bob")
    links.disable(link.link_id, author="kim")
    history = links.history(link.link_id)
    assert [(change.version, change.author) for change in history] == [(1, "eva"), (2, "bob"), (3, "kim")]
    assert [change.definition.destination[-1] for change in history] == ["p", "q", "q"]
    assert links.get(link.link_id).definition.disabled
    assert not links.disable(link.link_id, author="kim", disabled=False).definition.disabled


def test_a_change_that_changes_nothing_makes_no_version(links: LinkStore) -> None:
    link = links.add(definition(), author="eva")
    assert links.edit(link.link_id, {"destination": "https://shop.example:443/p"}, author="bob") == link
    assert len(links.history(link.link_id)) == 1


def test_changes_are_ordered_even_when_the_clock_stands_still(links: LinkStore) -> None:
    first = links.add(definition(), author="eva")
    second = links.add(definition(slug="summer"), author="eva")
    third = links.edit(first.link_id, {"note": "x"}, author="eva")
    assert first.updated_at < second.updated_at < third.updated_at


def test_slug_and_domain_never_change(links: LinkStore) -> None:
    link = links.add(definition(), author="eva")
    with pytest.raises(Invalid, match="identity"):
        links.edit(link.link_id, {"slug": "other"}, author="eva")


def test_an_edit_is_checked_like_a_new_link(links: LinkStore) -> None:
    link = links.add(definition(), author="eva")
    with pytest.raises(Invalid, match="destination_not_allowed"):
        links.edit(link.link_id, {"destination": "https://evil.example/"}, author="eva")


def test_a_missing_link_is_not_found(links: LinkStore) -> None:
    for call in (lambda: links.get("none"), lambda: links.find("none"), lambda: links.edit("none", {}, author="eva")):
        with pytest.raises(NotFound, match="unknown_link"):
            call()


def test_links_are_listed_by_slug_filtered_and_paged(links: LinkStore) -> None:
    for number in range(7):
        tags = ("odd",) if number % 2 else ("even", "all")
        links.add(
            definition(slug=f"s{number}", tags=tags, client="a" if number < 3 else "b", note=f"Note {number}"),
            author="eva",
        )
    assert [link.definition.slug for link in links.list(Filter(tags=("odd",)))] == ["s1", "s3", "s5"]
    assert [link.definition.slug for link in links.list(Filter(clients=frozenset("a")))] == ["s0", "s1", "s2"]
    assert [link.definition.slug for link in links.list(Filter(search="note 4"))] == ["s4"]
    page = links.list(limit=4)
    rest = links.list(limit=4, after=cursor_after(page[-1].definition))
    assert [link.definition.slug for link in page + rest] == [f"s{n}" for n in range(7)]


def test_a_definition_survives_storage_unchanged(links: LinkStore) -> None:
    full = definition(
        domain="go.example", platform="meta", account="1", campaign="meta:1:2", ad_group="meta:1:3", creative="meta:1:4",
        tags=("a", "b"), client="acme", note="n", disabled=True, parallel_tracking=True, answer="unavailable", pass_personal=True,
        rules=(Rule(name="r", when=When(country=("DE",)), variants=(Variant(name="a", destination="https://shop.example/r", weight=2),)),),
        variants=(Variant(name="b", destination="https://shop.example/b"),), status=307, starts="2026-11-20T10:00:00Z",
        expires="2027-11-20T10:00:00Z", max_clicks=5, fallback="https://shop.example/f", sign="campaign",
    )  # fmt: skip
    assert {name for name in LinkDefinition.__struct_fields__ if not getattr(full, name)} == set()
    added = links.add(full, author="eva")
    assert links.get(added.link_id).definition == full
    assert msgspec.to_builtins(links.history(added.link_id)[0].definition) == msgspec.to_builtins(full)


class Racing(LinkStore):
    """Somebody else changes the link after it was read and before it is written."""

    other: LinkStore

    def checked(self, wanted: LinkDefinition) -> LinkDefinition:
        self.other.edit(self.other.find("spring").link_id, {"note": "theirs"}, author="kim")
        return super().checked(wanted)


def test_of_two_changes_at_the_same_moment_one_is_refused_and_leaves_nothing(control: Engine, links: LinkStore) -> None:
    racing = Racing(control, allowed_destinations=["shop.example"])
    racing.other = links
    link = links.add(definition(tags=("a",)), author="eva")
    with pytest.raises(Conflict, match="changed_meanwhile"):
        racing.edit(link.link_id, {"tags": ["b"]}, author="eva")
    assert [entry.author for entry in links.history(link.link_id)] == ["eva", "kim"]
    assert [tag.tag for tag in links.tags()] == ["a"]
    assert links.get(link.link_id).definition.note == "theirs"


def test_many_changes_are_written_all_or_none(links: LinkStore) -> None:
    first, second = (links.add(definition(slug=slug), author="eva") for slug in ("a", "b"))
    links.edit(second.link_id, {"note": "theirs"}, author="kim")
    pairs = [(link, msgspec.structs.replace(link.definition, note="ours")) for link in (first, second)]
    with pytest.raises(Conflict, match="changed_meanwhile"):
        links.save(new=[definition(slug="c")], replaced=pairs, author="eva")
    assert [link.definition.slug for link in links.list()] == ["a", "b"]
    assert links.get(first.link_id) == first
