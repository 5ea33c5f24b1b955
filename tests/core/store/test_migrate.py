"""The schema is applied once, in order, by whole files, and nobody changes what was applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import StoreError
from core.records import Kinds
from core.settings import StoreConfig
from core.store.client import Store, open_store
from core.store.cluster import check_not_mixed, replicated
from core.store.migrate import Migration, load_migrations, pending, split_statements


def test_a_semicolon_separates_only_where_it_is_code() -> None:
    sql = """
    -- a comment; with a semicolon
    CREATE TABLE a (b String DEFAULT 'x;''y\\';') ENGINE = Null; /* c;
    d */ SELECT 1 AS `odd;name`, ";" ;;
    SELECT 2 -- the end;
    """
    assert split_statements(sql) == [
        "CREATE TABLE a (b String DEFAULT 'x;''y\\';') ENGINE = Null",
        'SELECT 1 AS `odd;name`, ";"',
        "SELECT 2",
    ]


@pytest.mark.parametrize("sql", ["SELECT 'x", "SELECT 1 /* x", 'SELECT "a', "SELECT `a"])
def test_what_has_no_end_is_refused(sql: str) -> None:
    with pytest.raises(StoreError, match="no end"):
        split_statements(sql)


def test_files_are_numbered_and_no_number_is_used_twice(tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("SELECT 2")
    (tmp_path / "0001_a.sql").write_text("SELECT 1")
    assert [(one.version, one.name) for one in load_migrations(tmp_path)] == [(1, "a"), (2, "b")]
    (tmp_path / "0002_c.sql").write_text("SELECT 3")
    with pytest.raises(StoreError, match="same number"):
        load_migrations(tmp_path)
    (tmp_path / "0002_c.sql").rename(tmp_path / "c.sql")
    with pytest.raises(StoreError, match="NNNN_name"):
        load_migrations(tmp_path)


def test_only_what_is_missing_is_applied_and_a_changed_file_is_refused() -> None:
    one, two = (Migration(version=number, name=f"m{number}", sql=f"SELECT {number}") for number in (1, 2))
    assert pending([one, two], {1: one.digest}) == [two]
    with pytest.raises(StoreError, match="changed after"):
        pending([one, two], {1: two.digest})
    with pytest.raises(StoreError, match="does not know"):
        pending([one], {1: one.digest, 7: "x"})


def test_opening_a_store_again_applies_nothing_and_keeps_its_identity(store: Store, engine_dir: Path) -> None:
    again = open_store(StoreConfig(), engine_dir, database=store.database)
    assert again.migrate() == []
    assert again.store_id == store.store_id
    again.close()


def test_a_migration_that_was_cut_short_is_completed(store: Store) -> None:
    store.command("DROP VIEW gauge_from_journal SYNC")
    store.command("ALTER TABLE schema_migration DELETE WHERE 1 SETTINGS mutations_sync = 1")
    assert store.migrate() == [one.version for one in load_migrations()]
    assert store.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'gauge_from_journal'"
    )


def test_every_table_that_is_shipped_to_deduplicates(store: Store) -> None:
    """Plain DDL does not deduplicate at all; every view's target needs its own window."""
    views = store.rows(
        "SELECT create_table_query AS ddl FROM system.tables WHERE database = currentDatabase()"
        " AND engine = 'MaterializedView' AND create_table_query LIKE '%inbox_%'"
    )
    targets = {str(view["ddl"]).partition(" TO ")[2].split()[0].rpartition(".")[2] for view in views}
    assert targets >= set(Kinds.BY_NAME)
    tables = store.rows("SELECT name, create_table_query AS ddl FROM system.tables WHERE database = currentDatabase()")
    windows = {str(table["name"]) for table in tables if "non_replicated_deduplication_window" in str(table["ddl"])}
    assert targets - windows == set()


# --- clusters --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (
            "CREATE TABLE a (b Int8) ENGINE = MergeTree ORDER BY b",
            "CREATE TABLE a ON CLUSTER 'c' (b Int8) ENGINE = ReplicatedMergeTree ORDER BY b",
        ),
        (
            "CREATE TABLE IF NOT EXISTS a (b Int8) engine=ReplacingMergeTree(at, gone) ORDER BY b",
            "CREATE TABLE IF NOT EXISTS a ON CLUSTER 'c' (b Int8) ENGINE = ReplicatedReplacingMergeTree(at, gone) ORDER BY b",
        ),
        ("CREATE TABLE a (b Int8) ENGINE = Null", "CREATE TABLE a ON CLUSTER 'c' (b Int8) ENGINE = Null"),
        ("CREATE MATERIALIZED VIEW v TO a AS SELECT 1", "CREATE MATERIALIZED VIEW v ON CLUSTER 'c' TO a AS SELECT 1"),
        ("CREATE VIEW IF NOT EXISTS v AS SELECT 1", "CREATE VIEW IF NOT EXISTS v ON CLUSTER 'c' AS SELECT 1"),
        ("INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (1)"),
    ],
)
def test_engines_become_replicated_on_a_cluster(plain: str, expected: str) -> None:
    assert replicated(plain, cluster="c") == expected
    assert replicated(replicated(plain, cluster="c"), cluster="c").count("Replicated") == expected.count("Replicated")


def test_deduplication_windows_become_the_replicated_ones() -> None:
    plain = "CREATE TABLE a (b Int8) ENGINE = MergeTree ORDER BY b SETTINGS non_replicated_deduplication_window = 10000"
    assert "SETTINGS replicated_deduplication_window = 10000" in replicated(plain, cluster="c")


def test_the_whole_schema_can_be_replicated() -> None:
    for migration in load_migrations():
        for statement in split_statements(migration.sql):
            rewritten = replicated(statement, cluster="c")
            assert "ENGINE = MergeTree" not in rewritten
            assert "ENGINE = ReplacingMergeTree" not in rewritten


def test_what_cannot_be_replicated_is_refused() -> None:
    with pytest.raises(StoreError, match="Memory"):
        replicated("CREATE TABLE a (b Int8) ENGINE = Memory", cluster="c")
    with pytest.raises(StoreError, match="cluster"):
        replicated("SELECT 1", cluster="c'; DROP")


def test_a_mixed_schema_is_refused() -> None:
    check_not_mixed({"a": "MergeTree", "b": "ReplacingMergeTree", "v": "View", "i": "Null"})
    check_not_mixed({"a": "ReplicatedMergeTree", "b": "SharedMergeTree", "v": "MaterializedView"})
    with pytest.raises(StoreError, match=r": b$"):
        check_not_mixed({"a": "ReplicatedMergeTree", "b": "MergeTree", "c": "ReplicatedMergeTree"})
