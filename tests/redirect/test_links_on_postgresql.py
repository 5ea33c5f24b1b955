"""Links with PostgreSQL as the control database: change numbers in the order of commits, a node's copy, clicks exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from core.control.engine import open_control
from core.control.tables import links
from redirect.config import RedirectConfig
from redirect.links.model import LinkDefinition
from redirect.links.preparation import prepare_stale
from redirect.links.store import LinkStore
from redirect.privacy import Networks
from redirect.worker_links import WorkerLinks
from tests.postgresql import postgresql

NOW = 1_790_000_000_000
CONFIG = RedirectConfig.model_validate({"allowed_destinations": ["shop.example"]})


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture
def control(server: str, tmp_path: Path) -> Iterator[Engine]:
    engine = open_control(server, tmp_path)
    yield engine
    engine.dispose()


def test_links_of_a_server_are_served_from_the_nodes_copy(control: Engine, tmp_path: Path) -> None:
    store = LinkStore(control, allowed_destinations=CONFIG.allowed_destinations)
    definitions = [LinkDefinition(slug=f"s{n}", destination="https://shop.example/p") for n in range(50)]
    definitions.append(LinkDefinition(slug="few", destination="https://shop.example/p", max_clicks=2))
    made = store.save(new=definitions, author="t")
    workers = [
        WorkerLinks(control, Networks(), config=CONFIG, data_dir=tmp_path / "node", index=index) for index in (0, 1)
    ]
    for worker in workers:
        worker.load(NOW)
        assert worker.cache.refreshed_at == NOW
        assert worker.table.find(b"x", b"/s49")
        assert worker.table.find(b"x", b"/s50") is None
    store.disable(made[49].link_id, author="t")
    for worker in workers:
        worker.load(NOW)
        live = worker.table.find(b"x", b"/s49")
        assert live
        assert live.decision.target.outcome == "disabled"
    workers[0].usage.count("l")
    workers[0].stop()
    assert not workers[1].usage.exhausted("l", 1)
    workers[1].stop()
    assert workers[1].usage.exhausted("l", 1)


def test_writers_that_meet_never_show_a_higher_number_before_a_lower_one(control: Engine) -> None:
    store = LinkStore(control, allowed_destinations=CONFIG.allowed_destinations)
    made = store.save(
        new=[LinkDefinition(slug=f"w{n}", destination="https://shop.example/p") for n in range(6)], author="t"
    )

    def write(link_id: str) -> None:
        for number in range(20):
            store.edit(link_id, {"note": str(number)}, author="t")

    seen: dict[str, int] = {}
    newest = 0
    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, link.link_id) for link in made]
        while True:
            done = all(writer.done() for writer in writers)
            with control.connect() as connection:
                query = select(links.c.link_id, links.c.version, links.c.change).where(links.c.change > newest)
                for link_id, version, change in connection.execute(query):
                    seen[link_id] = version
                    newest = max(newest, change)
            if done:
                break
        for writer in writers:
            writer.result()
    assert [seen[link.link_id] for link in made] == [21] * 6


def test_stale_links_are_found_and_prepared(control: Engine) -> None:
    with control.begin() as connection:
        connection.execute(links.update().values(compiled=b"of another format"))
        plain = len(connection.execute(select(links.c.link_id).where(links.c.slug != "few")).all())
    allowed = LinkStore(control, allowed_destinations=CONFIG.allowed_destinations).allowed
    assert prepare_stale(control, allowed=allowed) == plain
    assert prepare_stale(control, allowed=allowed) == 0
