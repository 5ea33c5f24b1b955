"""A node's copy of all links, for control databases that are a server: filled by one worker, read by all, and never the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, text

from core.control.tables import links
from core.destinations import AllowList
from redirect.compiled import Loader
from redirect.link_cache import LinkCache
from redirect.link_replica import LinkReplica
from redirect.link_source import SqliteLinks
from redirect.link_table import LinksUnavailable, LinkTable
from redirect.links.model import LinkDefinition
from redirect.links.store import LinkStore
from redirect.privacy import Networks

NOW = 1_790_000_000_000
ALLOWED = AllowList(["shop.example"])


class Node:
    """One worker of a node whose control database is elsewhere."""

    def __init__(self, control: Engine, data_dir: Path) -> None:
        self.replica = LinkReplica(control, data_dir)
        source = SqliteLinks(
            self.replica.path, loader=Loader(ALLOWED), complete=lambda: self.replica.complete, timer=lambda: 0.0
        )
        self.table = LinkTable(source)
        self.cache = LinkCache(control, self.table, Networks(), allowed=ALLOWED, replica=self.replica)

    def outcome(self, slug: str) -> str:
        live = self.table.find(b"x", f"/{slug}".encode())
        return live.decision.target.outcome if live else ""


@pytest.fixture
def store(control: Engine) -> LinkStore:
    return LinkStore(control, allowed_destinations=["shop.example"])


def definition(slug: str) -> LinkDefinition:
    return LinkDefinition(slug=slug, destination="https://shop.example/p")


def test_links_and_their_changes_are_read_from_the_copy(control: Engine, store: LinkStore, tmp_path: Path) -> None:
    made = store.save(new=[definition(f"s{n}") for n in range(4500)], author="t")
    node = Node(control, tmp_path / "node")
    assert node.cache.refresh(NOW)
    assert [node.outcome("s0"), node.outcome("s4499"), node.outcome("s4500")] == ["redirected", "redirected", ""]
    store.disable(made[0].link_id, author="t")
    store.add(definition("s4500"), author="t")
    assert node.cache.refresh(NOW)
    assert [node.outcome("s0"), node.outcome("s4500")] == ["disabled", "redirected"]


def test_an_unknown_slug_is_no_404_while_the_copy_is_not_complete(
    control: Engine, store: LinkStore, tmp_path: Path
) -> None:
    store.add(definition("a"), author="t")
    node = Node(control, tmp_path / "node")
    with pytest.raises(LinksUnavailable):
        node.outcome("a")
    half = LinkReplica(control, tmp_path / "half")
    links.create(half.engine)
    source = SqliteLinks(half.path, loader=Loader(ALLOWED), complete=lambda: half.complete)
    with pytest.raises(LinksUnavailable, match="filled"):
        source.read("a", "")


def test_hits_go_on_while_the_control_database_is_away_and_after_a_restart(
    control: Engine, store: LinkStore, tmp_path: Path
) -> None:
    store.add(definition("a"), author="t")
    first = Node(control, tmp_path / "node")
    first.cache.refresh(NOW)
    first.replica.close()
    with control.begin() as connection:
        connection.execute(text("ALTER TABLE links RENAME TO gone"))
    second = Node(control, tmp_path / "node")
    assert second.cache.refresh(NOW) is False
    assert second.cache.failures == 1
    assert (second.outcome("a"), second.outcome("b")) == ("redirected", "")


def test_one_worker_of_a_node_fills_the_copy_and_another_takes_over_when_it_ends(
    control: Engine, store: LinkStore, tmp_path: Path
) -> None:
    first, second = Node(control, tmp_path / "node"), Node(control, tmp_path / "node")
    first.cache.refresh(NOW)
    store.add(definition("a"), author="t")
    assert second.cache.refresh(NOW)
    assert second.outcome("a") == "", "it is not the second one's turn"
    first.cache.refresh(NOW)
    second.cache.refresh(NOW)
    assert second.outcome("a") == "redirected"
    first.replica.close()
    store.add(definition("b"), author="t")
    second.cache.refresh(NOW)
    assert second.outcome("b") == "redirected"


def test_a_control_database_that_went_back_to_a_backup_takes_the_copy_with_it(
    control: Engine, store: LinkStore, tmp_path: Path
) -> None:
    store.add(definition("a"), author="t")
    store.add(definition("future"), author="t")
    node = Node(control, tmp_path / "node")
    node.cache.refresh(NOW)
    with control.begin() as connection:
        connection.execute(delete(links).where(links.c.slug == "future"))
    node.cache.refresh(NOW)
    assert (node.outcome("a"), node.outcome("future")) == ("redirected", "")


def test_a_lost_copy_is_made_anew(store: LinkStore, control: Engine, tmp_path: Path) -> None:
    store.add(definition("a"), author="t")
    first = Node(control, tmp_path / "node")
    first.cache.refresh(NOW)
    first.replica.close()
    for path in (tmp_path / "node").glob("links-copy.sqlite*"):
        path.unlink()
    second = Node(control, tmp_path / "node")
    second.cache.refresh(NOW)
    assert second.outcome("a") == "redirected"


def test_a_node_of_its_own_data_directory_has_a_copy_of_its_own(
    control: Engine, store: LinkStore, tmp_path: Path
) -> None:
    store.add(definition("a"), author="t")
    nodes = [Node(control, tmp_path / name) for name in ("one", "two")]
    assert [node.cache.refresh(NOW) and node.outcome("a") for node in nodes] == ["redirected", "redirected"]
