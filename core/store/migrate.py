"""Brings a store's schema up to date: numbered .sql files, each applied once, recorded with its hash."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from core.errors import StoreError

SCHEMA = Path(__file__).parent / "schema"
_NUMBERED = re.compile(r"^(\d{4})_(\w+)\.sql$")
#: What neither separates statements nor begins a quoted run or a comment.
_PLAIN = re.compile(r"[^-/'\"`;]+")

#: What the migrator itself needs. The store's identity lies in the store: a wiped store is another store, and is refilled.
BOOTSTRAP = (
    """CREATE TABLE IF NOT EXISTS schema_migration
    (version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'))
    ENGINE = MergeTree ORDER BY version""",
    "CREATE TABLE IF NOT EXISTS store_identity (store_id String) ENGINE = MergeTree ORDER BY store_id",
)


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        return sha256(self.sql.encode()).hexdigest()


def load_migrations(directory: Path = SCHEMA) -> list[Migration]:
    """The numbered files in order.

    Raises:
        StoreError: two files share a number, or a file has none.
    """
    found: dict[int, Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _NUMBERED.match(path.name)
        if match is None:
            raise StoreError(f"{path.name}: a migration is called NNNN_name.sql")
        version = int(match[1])
        if version in found:
            raise StoreError(f"{path.name} and {version:04d}_{found[version].name}.sql have the same number")
        found[version] = Migration(version=version, name=match[2], sql=path.read_text("utf-8"))
    return [found[version] for version in sorted(found)]


def split_statements(sql: str) -> list[str]:
    """The statements of a script; a semicolon in a string, a quoted name or a comment separates nothing.

    Raises:
        StoreError: a string, quoted name or block comment has no end.
    """
    statements: list[str] = []
    at = begin = 0
    while at < len(sql):
        if sql[at] == ";":
            statements.append(sql[begin:at])
            at = begin = at + 1
        else:
            at = _skip(sql, at)
    statements.append(sql[begin:])
    return [text for text in (_without_comments(s).strip() for s in statements) if text]


def _skip(sql: str, at: int) -> int:
    """Where the token at `at` ends: a quoted run, a comment, a run in which nothing of that begins, or one character."""
    if sql.startswith("--", at):
        end = sql.find("\n", at)
        return len(sql) if end < 0 else end
    if sql.startswith("/*", at):
        return _after(sql, "*/", at=at, begin=at + 2)
    if sql[at] in "'\"`":
        return _after_quote(sql, at)
    plain = _PLAIN.match(sql, at)
    return at + 1 if plain is None else plain.end()


def _after(sql: str, mark: str, *, at: int, begin: int) -> int:
    end = sql.find(mark, begin)
    if end < 0:
        raise StoreError(f"no end to what begins with {sql[at : at + 30]!r}")
    return end + len(mark)


def _after_quote(sql: str, at: int) -> int:
    quote = sql[at]
    end = at + 1
    while end < len(sql):
        if sql[end] == "\\" or sql.startswith(quote * 2, end):
            end += 2
        elif sql[end] == quote:
            return end + 1
        else:
            end += 1
    raise StoreError(f"no end to what begins with {sql[at : at + 30]!r}")


def _without_comments(sql: str) -> str:
    kept: list[str] = []
    at = 0
    while at < len(sql):
        end = _skip(sql, at)
        if not sql.startswith(("--", "/*"), at):
            kept.append(sql[at:end])
        at = end
    return "".join(kept)


def pending(migrations: list[Migration], applied: dict[int, str]) -> list[Migration]:
    """What is still to be applied.

    Raises:
        StoreError: an applied file was changed since, or the store is newer than this program.
    """
    known = {migration.version: migration for migration in migrations}
    for version, digest in applied.items():
        if version not in known:
            raise StoreError(f"the store has migration {version:04d}, which this version of clicktrace does not know")
        if known[version].digest != digest:
            raise StoreError(f"migration {version:04d}_{known[version].name} was changed after it had been applied")
    return [migration for migration in migrations if migration.version not in applied]


def migrate(
    run: Callable[[str], object],
    applied: Callable[[], dict[int, str]],
    *,
    migrations: list[Migration],
    rewrite: Callable[[str], str] = lambda statement: statement,
) -> list[int]:
    """Apply what is missing; the versions applied. Files are idempotent, so one that was cut short runs again whole.

    Args:
        run: executes one statement.
        applied: version -> hash of what the store says it has; called after the bootstrap tables exist.
        rewrite: turns a statement's engines into replicated ones on a cluster.
    """
    for statement in BOOTSTRAP:
        run(rewrite(statement))
    done: list[int] = []
    for migration in pending(migrations, applied()):
        for statement in split_statements(migration.sql):
            run(rewrite(statement))
        run(
            f"INSERT INTO schema_migration (version, name, sha256) "
            f"VALUES ({migration.version}, '{migration.name}', '{migration.digest}')"
        )
        done.append(migration.version)
    return done
