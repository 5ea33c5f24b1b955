"""The migrated control database is what the code believes it to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from core.control.engine import MIGRATIONS, open_control, upgrade
from core.control.tables import metadata


def test_the_migrated_schema_equals_the_tables_the_code_uses(control: Engine) -> None:
    with control.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_unique_constraints_and_primary_keys_are_migrated_too(control: Engine) -> None:
    found = inspect(control)
    for table in metadata.sorted_tables:
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
        indexes = {str(index["name"]) for index in found.get_indexes(table.name)}
        assert {str(index.name) for index in table.indexes} <= indexes
    assert [one["name"] for one in found.get_unique_constraints("links")] == ["links_domain_slug"]
    assert [one["column_names"] for one in found.get_unique_constraints("api_keys")] == [["key_sha256"]]


def test_migrating_twice_changes_nothing_and_going_down_leaves_nothing(tmp_path: Path) -> None:
    engine = open_control("", tmp_path)
    upgrade(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()


def test_links_from_before_are_found_by_list_search_and_tag(tmp_path: Path) -> None:
    engine = open_control("", tmp_path, migrate=False)
    upgrade(engine, to="0001")
    old = {"slug": "spring", "destination": "https://shop.example/Shoes", "tags": ["sale", "b"], "note": "Ä"}
    _write_old_link(engine, link_id="1", slug="spring", updated_at=5, definition=old)
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT slug, client, text FROM link_index")).all() == [
            ("spring", "acme", "spring\nhttps://shop.example/shoes\n\nä\nsale\nb")
        ]
        assert connection.execute(text("SELECT tag, link_id FROM link_tags ORDER BY tag")).all() == [
            ("b", "1"),
            ("sale", "1"),
        ]
    engine.dispose()


def test_links_from_before_are_numbered_in_the_order_of_their_changes(tmp_path: Path) -> None:
    engine = open_control("", tmp_path, migrate=False)
    upgrade(engine, to="0001")
    for link_id, updated_at in (("a", 30), ("b", 10), ("c", 20), ("d", 10)):
        _write_old_link(engine, link_id=link_id, slug=link_id, updated_at=updated_at, definition={"slug": link_id})
    upgrade(engine)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT link_id, change, compiled FROM links ORDER BY change")).all()
    assert [tuple(row) for row in rows] == [("b", 1, None), ("d", 2, None), ("c", 3, None), ("a", 4, None)]
    engine.dispose()


def _write_old_link(
    engine: Engine, *, link_id: str, slug: str, updated_at: int, definition: Mapping[str, object]
) -> None:
    """A link as the first release wrote it."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO links (link_id, domain, slug, version, definition, disabled, client, updated_at) "
                "VALUES (:link_id, '', :slug, 1, :definition, false, 'acme', :updated_at)"
            ),
            {"link_id": link_id, "slug": slug, "updated_at": updated_at, "definition": json.dumps(definition)},
        )
